"""race: half of the techniques go at a time, the baseline never, and test rows are not looked at."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from imbalance_torch.evaluation import race
from imbalance_torch.training import Settings, TabularDataModule

SETTINGS = Settings(network="mlp", batch_size=128)
TREES = ("trees", HistGradientBoostingClassifier(max_iter=50))


def _stripes(rows=2_500, **keywords):
    """Return a table that trees read at once and a network after a few steps does not."""
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(rows, 4))
    y = ((x[:, 0] * 8).astype(int) % 2 == 0) & ((x[:, 1] * 8).astype(int) % 4 == 1)
    return TabularDataModule(
        pd.DataFrame(x, columns=list("abcd")).assign(y=y.astype(int)), "y", audit=False, **keywords
    )


@pytest.fixture(scope="module")
def stripes():
    return _stripes()


def _race(data, techniques, **keywords):
    return race(data, techniques, **{"settings": SETTINGS, "budgets": [2, 4], "num_repeats": 4, **keywords})


@pytest.fixture(scope="module")
def outcome(stripes, tmp_path_factory):
    directory = tmp_path_factory.mktemp("race")
    names = ["focal", "class_weighted", TREES, "balanced", "poly1"]
    return _race(stripes, names, directory=directory), directory, names


def test_half_of_the_techniques_go_on_until_one_is_left(outcome):
    found = outcome[0]
    assert [(one.budget, len(one.differences), len(one.kept)) for one in found.rounds] == [
        (2, 5, 3),
        (4, 3, 2),
        (4, 2, 1),
    ]
    for one in found.rounds:
        ranked = sorted(one.differences, key=one.differences.get, reverse=True)
        assert one.kept == ranked[: len(one.kept)]
    assert [found.final.technique] == found.rounds[-1].kept
    assert (found.final.budget, found.final.pairs, found.final.p_holm) == (4, 4, found.final.p)


def test_the_planted_winner_wins_and_the_outcome_is_json(outcome):
    found = outcome[0]
    assert found.chosen == "trees"
    assert "better than the baseline" in found.reason
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["chosen"] == "trees"


def test_an_interrupted_race_goes_on(outcome, stripes):
    found, directory, names = outcome
    rounds = sorted(path.name for path in directory.iterdir())
    stamps = [(directory / name / "results.parquet").stat().st_size for name in rounds]
    assert _race(stripes, names, directory=directory) == found
    assert [(directory / name / "results.parquet").stat().st_size for name in rounds] == stamps
    assert rounds == ["round-0", "round-1", "round-2", "round-3"]


def test_without_a_winner_the_baseline_stays(stripes):
    found = _race(stripes, ["poly1", "focal"])
    assert [(one.budget, len(one.kept)) for one in found.rounds] == [(4, 1)]
    assert found.chosen == "baseline"
    assert "nothing beats the baseline" in found.reason


def test_test_rows_are_not_looked_at(stripes):
    frame = stripes.frame.copy()
    test = stripes.split.test
    frame.loc[test, ["a", "b", "c", "d"]] = np.random.default_rng(1).normal(size=(len(test), 4))
    changed = TabularDataModule(frame, "y", audit=False)
    assert np.array_equal(changed.split.test, test)
    assert _race(changed, ["focal"]) == _race(stripes, ["focal"])


def test_the_final_has_its_own_splits_and_seeds(outcome):
    directory = outcome[1]
    seeds = [
        {*pd.read_parquet(directory / f"round-{number}" / "results.parquet", columns=["seed"])["seed"]}
        for number in range(3)
    ]
    assert not (seeds[0] & seeds[1])
    assert not (seeds[0] & seeds[2])
    assert not (seeds[1] & seeds[2])


def test_a_race_needs_runners(stripes):
    with pytest.raises(ValueError, match="nothing to race"):
        race(stripes, ["baseline"])
    with pytest.raises(ValueError, match="must be >= 2"):
        race(stripes, ["focal"], num_repeats=1)
