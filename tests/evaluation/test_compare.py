"""compare: equal footing, honest verdict, table and report from the same figures."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.evaluation import _compare as module
from imbalance_torch.evaluation import as_text, compare, compare_into, write_report
from imbalance_torch.metrics import binary_scores
from imbalance_torch.training import RECIPES, Settings, TabularDataModule, TabularModel, fit


@pytest.fixture(scope="module")
def data() -> TabularDataModule:
    return TabularDataModule(load_nyc_flights().frame.iloc[::60], "cancelled", time="scheduled_departure")


@pytest.fixture(scope="module")
def comparison(data):
    return compare(data, num_seeds=2, settings=Settings(network="mlp", max_steps=40, batch_size=128), num_replicates=50)


def test_the_five_recipes_with_the_baseline_first(comparison):
    assert [arm.name for arm in comparison.arms] == ["baseline", *(name for name in RECIPES if name != "baseline")]
    assert comparison.arms[0].ap_difference == (0, 0, 0)


def test_figures_are_means_over_seeds_of_plain_fits(comparison, data):
    x, y = data.rows("test")
    scores = []
    for seed in (0, 1):
        settings = Settings(RECIPES["focal"], network="mlp", max_steps=40, batch_size=128, seed=seed)
        model = fit(data, settings)
        scores.append(binary_scores(model.probabilities(model.logits(x)), y))
    arm = next(arm for arm in comparison.arms if arm.name == "focal")
    assert arm.ap_by_seed == [score["ap"] for score in scores]
    for name in ("ap", "auroc", "brier", "calibration_error", "expected_observed"):
        assert arm.scores[name] == pytest.approx(np.mean([score[name] for score in scores]), rel=1e-12)


def test_order_and_company_do_not_change_an_arm(comparison, data):
    alone = compare(
        data,
        recipes=["undersample"],
        num_seeds=2,
        settings=Settings(network="mlp", max_steps=40, batch_size=128),
        num_replicates=50,
    )
    one = next(arm for arm in comparison.arms if arm.name == "undersample")
    assert alone.arms[1].ap_by_seed == one.ap_by_seed
    torch.testing.assert_close(alone.arms[1].corrected, one.corrected, rtol=0, atol=0)
    assert alone.arms[1].ap_interval == one.ap_interval


def _arm(name, difference, by_seed):
    return module.Arm(name, {}, (0.0, 1.0), difference, by_seed, None, torch.zeros(1), torch.zeros(1))


@pytest.mark.parametrize(
    ("difference", "by_seed", "wins"),
    [
        ((0.05, 0.01, 0.09), [0.31, 0.32], True),
        ((0.05, -0.01, 0.11), [0.31, 0.32], False),  # the interval includes 0
        ((0.05, 0.01, 0.09), [0.41, 0.29], False),  # worse in one seed
        ((-0.05, -0.09, -0.01), [0.2, 0.2], False),
    ],
)
def test_verdict(difference, by_seed, wins):
    baseline = _arm("baseline", (0.0, 0.0, 0.0), [0.30, 0.30])
    name, reason = module._verdict([baseline, _arm("focal", difference, by_seed)])
    assert name == ("focal" if wins else "baseline")
    assert ("no technique beats the tuned baseline here" in reason) is not wins


def test_one_seed_gives_no_verdict():
    arms = [_arm("baseline", (0.0, 0.0, 0.0), [0.3]), _arm("focal", (0.1, 0.05, 0.15), [0.4])]
    assert module._verdict(arms) == (
        "baseline",
        "one seed cannot tell a technique from training noise; ask for two or more",
    )


def test_the_planted_winner_is_found_and_noise_is_not(data):
    # A score that knows the target beats one that does not; two scores of equal worth are not told apart.
    generator = np.random.default_rng(0)
    target = np.arange(4000) % 25 == 0
    noise = [generator.normal(size=4000) for _ in range(4)]

    def fits(*scores):
        return [
            module._Fit(
                None, torch.zeros(1), torch.tensor(s), binary_scores(torch.tensor(s).sigmoid(), torch.tensor(target))
            )
            for s in scores
        ]

    runs = {
        "baseline": fits(noise[0] + target, noise[1] + target),
        "equal": fits(noise[2] + target, noise[3] + target),
        "better": fits(noise[0] + 2 * target, noise[1] + 2 * target),
    }
    intervals = module._intervals(runs, target, 200)
    arms = []
    for name, found in runs.items():
        differences = [f.scores["ap"] - b.scores["ap"] for f, b in zip(found, runs["baseline"], strict=True)]
        arms.append(_arm(name, (float(np.mean(differences)), *intervals[name][1]), [f.scores["ap"] for f in found]))
    assert module._verdict(arms)[0] == "better"
    assert module._verdict(arms[:2])[0] == "baseline"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_report_is_self_contained_and_shows_the_figures(comparison, tmp_path):
    file = write_report(comparison, tmp_path / "deep" / "report.html")
    text = file.read_text()
    page = _Page()
    page.feed(text)
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 5
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("h1") == 1
    for arm in comparison.arms:
        assert f"{arm.scores['ap']:.3f} [" in text
    assert "category codes and missing indicators are copied" in text
    assert [entry.name for entry in file.parent.iterdir()] == ["report.html"]


def test_text_table_has_every_column_of_the_demo(comparison):
    text = as_text(comparison)
    for part in ("AP [95 %]", "AUROC", "raw .5 → tuned", "50 % precision", "calibration error", "expected/observed"):
        assert part in text
    assert "seconds" in text
    assert "recommended: " in text
    assert "threshold: " in text


def test_compare_into_leaves_a_model_that_scores(data, tmp_path):
    settings = Settings(network="mlp", max_steps=10, batch_size=128)
    comparison, report = compare_into(tmp_path / "c", data, settings=settings, recipes=["focal"], num_seeds=1)
    assert report == tmp_path / "c/report.html"
    model = TabularModel.load(tmp_path / "c/model")
    assert model.threshold == comparison.best.model.threshold
    scored = model.score(data.frame.iloc[data.split.test])
    np.testing.assert_allclose(scored["probability"], comparison.best.corrected, rtol=1e-5)
    with pytest.raises(ValueError, match="Did you mean 'focal'"):
        compare(data, recipes=["focus"])
    with pytest.raises(ValueError, match="`num_seeds` must be >= 1"):
        compare(data, num_seeds=0)


def test_three_classes_are_refused(tmp_path):
    frame = pd.DataFrame({"x": np.arange(90.0), "y": np.arange(90) % 3})
    with pytest.raises(ValueError, match="two classes, got 3"):
        compare(TabularDataModule(frame, "y", audit=False), settings=Settings(network="mlp", max_steps=1))
    assert list(Path(tmp_path).iterdir()) == []
