"""compare: the same splits, seeds and steps for all, nothing lost when it is interrupted, an honest verdict."""

import json
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier

from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.evaluation import as_text, compare
from imbalance_torch.evaluation._compare import _recommendation
from imbalance_torch.evaluation._results import content_hash, read_rows
from imbalance_torch.evaluation._statistics import verdicts
from imbalance_torch.metrics import binary_scores
from imbalance_torch.training import RECIPES, Settings, TabularDataModule, Technique, fit

SETTINGS = Settings(network="mlp", batch_size=128)
FIGURES = ["ap", "auroc", "balanced_accuracy", "f1", "brier", "calibration_error", "expected_observed"]


def _table(step=60):
    frame = load_nyc_flights().frame.iloc[::step].reset_index(drop=True)
    return TabularDataModule(frame.drop(columns="scheduled_departure"), "cancelled", audit=False)


def _classes(rows=3_000):
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [rows - 600, 400, 200])
    frame = pd.DataFrame(generator.normal(size=(rows, 3)) + 1.5 * y[:, None], columns=["a", "b", "c"])
    return TabularDataModule(frame.assign(label=np.array(["common", "rare", "rarest"])[y]), "label", audit=False)


@pytest.fixture(scope="module")
def data():
    return _table()


@pytest.fixture(scope="module")
def comparison(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("comparison") / "runs"
    techniques = ["undersample:1", "smote", "hist_gradient_boosting"]
    return compare(data, techniques, settings=SETTINGS, budgets=[30, 10], num_repeats=[2, 3], directory=directory)


def test_a_row_for_every_technique_budget_and_repeat(comparison):
    found = comparison.results.groupby(["technique", "budget"], sort=False)["repeat"].apply(list).to_dict()
    names = ["baseline", "undersample:1", "smote", "hist_gradient_boosting"]
    assert comparison.techniques == names
    assert comparison.budgets == [10, 30]
    assert found == {(name, budget): repeats for name in names for budget, repeats in ((10, [0, 1, 2]), (30, [0, 1]))}
    assert (comparison.results["seconds"] > 0).all()
    assert (comparison.results["peak_memory_mib"] > 50).all()


def test_figures_are_those_of_a_plain_fit_on_the_split_of_the_repeat(comparison, data):
    other = TabularDataModule(data.frame, "cancelled", seed=1, audit=False)
    settings = replace(SETTINGS, technique=Technique(resampler="smote"), seed=1, max_steps=30)
    model = fit(other, settings)
    model.classifier.calibrate(model.logits(other.rows("val")[0]).double(), other.rows("val")[1])
    x, y = other.rows("test")
    scores = binary_scores(model.probabilities(model.logits(x)), y)
    rows = comparison.results.set_index(["technique", "budget", "repeat"])
    for name in ("ap", "auroc", "brier", "calibration_error", "expected_observed"):
        assert rows.loc[("smote", 30, 1), name] == pytest.approx(scores[name], rel=1e-12)


def test_no_two_techniques_share_a_random_stream_by_accident_but_all_share_the_split(comparison):
    targets = [scored.target for scored in comparison.scored.values()]
    assert all(np.array_equal(targets[0], target) for target in targets)
    wide = comparison.results.pivot_table(index=["budget", "repeat"], columns="technique", values="ap")
    assert (wide.nunique(axis=1) == 4).all()


def test_order_and_company_do_not_change_a_technique(comparison, data):
    alone = compare(data, ["smote"], settings=SETTINGS, budgets=[10], num_repeats=3)
    mine, theirs = (
        found.results.query("technique == 'smote' and budget == 10")[FIGURES].to_numpy()
        for found in (alone, comparison)
    )
    np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(alone.effects[0].difference, comparison.effects[1].difference)


def test_models_and_scored_rows_belong_together(comparison, data):
    first = replace(SETTINGS, seed=0)
    assert first.seed == 0
    assert set(comparison.models) == {"baseline", "undersample:1", "smote"}
    for name, model in comparison.models.items():
        scored = comparison.scored[name]
        split = TabularDataModule(data.frame, "cancelled", seed=0, audit=False).split.test
        probability = model.score(data.frame.iloc[split])["probability"]
        np.testing.assert_allclose(scored.corrected[:, 1], probability, rtol=1e-9)
        assert scored.threshold == model.threshold
    assert comparison.scored["undersample:1"].train_shares == pytest.approx([0.5, 0.5])
    assert comparison.scored["smote"].realism["synthetic_rows"] == 500
    assert comparison.scored["baseline"].realism is None


def test_a_model_from_outside_has_the_same_figures_at_every_budget(comparison):
    rows = comparison.results.query("technique == 'hist_gradient_boosting' and repeat < 2")
    for _, own in rows.groupby("repeat"):
        assert own[FIGURES].nunique().eq(1).all()


def test_rows_seen_and_corrected_probabilities(comparison, data):
    rows = comparison.means(30)
    labels = data.rows("train")[1]
    assert rows.loc["baseline", "rows_seen"] == 26 * 128 + (len(labels) - 26 * 128) + 3 * 128  # an epoch ends short
    assert rows.loc["smote", "rows_seen"] > 1.2 * rows.loc["baseline", "rows_seen"]
    assert rows.loc["undersample:1", "rows_seen"] < 0.9 * rows.loc["baseline", "rows_seen"]
    assert rows.loc["hist_gradient_boosting", "rows_seen"] == len(data.split.train)
    assert rows.loc["undersample:1", "raw_expected_observed"] > 5
    assert 0.5 < rows.loc["undersample:1", "expected_observed"] < 2


def test_verdicts_are_those_of_the_statistics(comparison):
    wide = comparison.results.query("budget == 30").pivot_table(index="repeat", columns="technique", values="ap")
    ratio = comparison.protocol["test to train"]
    assert ratio == pytest.approx(1 / 3, abs=0.001)
    names = comparison.techniques[1:]
    wanted = verdicts({n: (wide[n] - wide["baseline"]).tolist() for n in names}, budget=30, test_to_train=ratio)
    assert [effect for effect in comparison.effects if effect.budget == 30] == wanted


def test_the_same_call_goes_on_and_computes_nothing_again(comparison, data, tmp_path):
    names = ["class_weighted", "focal"]
    keywords = {"settings": SETTINGS, "budgets": [4], "directory": tmp_path / "c"}
    before = compare(data, names[:1], num_repeats=2, **keywords)
    more = compare(data, names, num_repeats=3, **keywords)
    again = more.results.query("technique != 'focal' and repeat < 2")
    pd.testing.assert_frame_equal(
        again.reset_index(drop=True), before.results, check_exact=True
    )  # seconds too: the rows are those of the first call
    fewer = compare(data, names[:1], num_repeats=2, **keywords)
    pd.testing.assert_frame_equal(fewer.results, before.results, check_exact=True)
    assert len(read_rows(tmp_path / "c")) == 9  # what is not asked for now stays


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"settings": replace(SETTINGS, batch_size=64)}, "another 'settings: batch_size'"),
        ({"splits": "fixed"}, "another 'splits'"),
        ({"techniques": [("class_weighted", Technique(loss="focal"))]}, "another 'definitions: class_weighted'"),
    ],
)
def test_another_comparison_in_the_directory_is_refused(data, tmp_path_factory, change, told):
    directory = tmp_path_factory.getbasetemp() / "refused"
    keywords = {"settings": SETTINGS, "budgets": [2], "num_repeats": 1, "directory": directory}
    keywords = {"techniques": ["class_weighted"], **keywords}
    compare(data, **keywords)
    rows = read_rows(directory)
    with pytest.raises(
        ValueError, match=told
    ) as kept:  # a notebook keeps the traceback: the lock must be free all the same
        compare(data, **{**keywords, **change})
    compare(data, **keywords)
    assert kept.tb is not None
    pd.testing.assert_frame_equal(read_rows(directory), rows)


def test_other_data_and_other_things_in_the_directory_are_refused(data, tmp_path):
    keywords = {"settings": SETTINGS, "budgets": [2], "num_repeats": 1}
    compare(data, [], directory=tmp_path / "c", **keywords)
    changed = data.frame.copy()
    changed.loc[0, "distance"] += 1
    with pytest.raises(ValueError, match="another 'data'"):
        compare(TabularDataModule(changed, "cancelled", audit=False), [], directory=tmp_path / "c", **keywords)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for place in ("mine", "mine/thesis.txt"):
        with pytest.raises(FileExistsError, match="Choose another"):
            compare(data, [], directory=tmp_path / place, **keywords)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_killed_at_any_moment_and_gone_on_with(tmp_path):
    script = textwrap.dedent("""
        import sys
        from tests.evaluation.test_compare import SETTINGS, _table
        from imbalance_torch.evaluation import compare
        compare(_table(200), ["focal", "smote"], settings=SETTINGS, budgets=[5, 10], num_repeats=3,
                directory=sys.argv[1])
    """)
    place = tmp_path / "c"
    running = subprocess.Popen([sys.executable, "-c", script, str(place)])
    while len(list(place.glob("fits/[!.]*.parquet"))) < 4:
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert not (place / "results.parquet").exists()
    kept = read_rows(place)
    subprocess.run([sys.executable, "-c", script, str(place)], check=True)
    rows = read_rows(place)
    whole = compare(_table(200), ["focal", "smote"], settings=SETTINGS, budgets=[5, 10], num_repeats=3)
    keys = ["technique", "budget", "repeat"]
    assert len(kept) >= 4
    assert len(rows) == 18
    assert not (place / "fits").exists()
    assert kept.merge(rows, on=[*keys, "seconds", "peak_memory_mib"]).shape[0] == len(kept)
    merged = rows.merge(whole.results, on=keys, suffixes=("", "_whole"))
    for name in FIGURES:
        np.testing.assert_array_equal(merged[name], merged[f"{name}_whole"])


def test_three_classes_and_one_fixed_split(tmp_path):
    comparison = compare(
        _classes(),
        ["logit_adjusted", "balanced:1", ("chance", DummyClassifier(strategy="prior"))],
        settings=SETTINGS,
        budgets=[40],
        num_repeats=3,
        splits="fixed",
    )
    assert comparison.classes == ["common", "rare", "rarest"]
    assert all("training noise" in effect.statement for effect in comparison.effects)
    chance = comparison.results.query("technique == 'chance'")
    assert chance["ap"].nunique() == 1
    assert chance["ap"].iloc[0] == pytest.approx(1 / 3, abs=0.01)
    by_name = {effect.technique: effect for effect in comparison.effects}
    assert by_name["chance"].verdict == "worse"
    assert by_name["chance"].difference < -0.2
    means = comparison.means(40)
    assert (means["balanced_accuracy"] > 0.6).tolist() == [True, True, True, False]
    assert means.loc["balanced:1", "raw_expected_observed"] > 1.4
    assert 0.75 < means.loc["balanced:1", "expected_observed"] < 1.33
    assert len(comparison.scored["baseline"].threshold) == 3
    assert "3 classes" in as_text(comparison)
    assert "means over the classes" in as_text(comparison)


def test_windows_move_on_in_time():
    frame = pd.DataFrame({"when": np.arange(700) // 2, "a": np.random.default_rng(0).normal(size=700)})
    frame["y"] = (np.arange(700) % 10 < 2).astype(int)
    data = TabularDataModule(frame.sample(frac=1, random_state=0), "y", time="when", audit=False)
    from imbalance_torch.evaluation._repeats import cut, kind_of_splits

    assert kind_of_splits(data, "auto") == "prequential"
    splits = cut(data, "prequential", 3)
    when = data.frame["when"].to_numpy()
    tested = []
    for split in splits:
        assert when[split.train].max() < when[split.val].min()
        assert when[split.val].max() < when[split.test].min()
        assert len(split.train) == pytest.approx(300, abs=3)
        assert len(split.test) == pytest.approx(100, abs=3)
        tested += when[split.test].tolist()
    assert len(tested) == len({*tested}) * 2
    assert max(tested) == when.max()
    with pytest.raises(ValueError, match="name a time column"):
        kind_of_splits(_classes(), "prequential")


def test_whole_groups_stay_on_one_side():
    from imbalance_torch.evaluation._repeats import cut

    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"card": np.repeat(np.arange(100), 5), "a": generator.normal(size=500)})
    frame["y"] = (generator.random(500) < 0.3).astype(int)
    data = TabularDataModule(frame, "y", group="card", audit=False)
    splits = cut(data, "random", 4)
    for split in splits:
        parts = [{*frame["card"].iloc[rows]} for rows in split]
        assert sum(map(len, parts)) == 100
    assert len({tuple(split.test) for split in splits}) == 4


def test_a_class_absent_from_a_window_is_told():
    y = np.isin(np.arange(100), [1, 2, 30, 31, 98, 99]).astype(int)
    frame = pd.DataFrame({"when": np.arange(100), "a": 0.0, "y": y})
    data = TabularDataModule(frame, "y", time="when", split=(0.2, 0.2, 0.6), audit=False)
    with pytest.raises(ValueError, match=r"Repeat 0: Class 1 has no row in the .*fewer repeats"):
        compare(data, [], num_repeats=4)


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"techniques": ["focus"]}, "Did you mean 'focal'"),
        ({"techniques": ["focal+class_weighted"]}, "two of the same kind"),
        ({"techniques": ["smote:a"]}, "needs a number"),
        ({"techniques": ["vs:2"]}, "takes no figure"),
        ({"techniques": [("baseline", Technique(loss="focal"))]}, "Rename one"),
        ({"techniques": [("mine", object())]}, "estimator with fit and predict_proba"),
        ({"budgets": [10, 10]}, "different numbers of steps"),
        ({"budgets": [10], "num_repeats": [1, 2]}, "one number or one for each"),
        ({"budgets": []}, "different numbers of steps"),
        ({"num_repeats": 0}, "must be >= 1"),
        ({"splits": "bootstrap"}, "must be one of"),
    ],
)
def test_bad_arguments(data, keywords, told):
    with pytest.raises((TypeError, ValueError), match=told):
        compare(data, **{"techniques": ["focal"], "settings": SETTINGS, **keywords})


def test_names_of_techniques():
    from imbalance_torch.evaluation import parse_technique

    assert parse_technique("undersample:1") == Technique(sampler="rotating_undersampling", ratio=1.0)
    assert parse_technique("class_weighted:0.5") == Technique(loss="class_weighted", weight_power=0.5)
    assert parse_technique("balanced+focal:3") == Technique(loss="focal", sampler="balanced", gamma=3.0)
    for name, recipe in RECIPES.items():
        assert parse_technique(name) == recipe


def _effects(**by_technique):
    found = []
    for budget in (300, 1500):
        differences = {name: pairs[budget] for name, pairs in by_technique.items()}
        found += verdicts(differences, budget=budget, test_to_train=0.25)
    return found


def test_a_technique_is_recommended_only_if_it_wins_at_every_budget():
    noise = np.random.default_rng(0).normal(scale=0.005, size=10)
    wins, loses = (noise + 0.05).tolist(), (noise - 0.05).tolist()
    both, early = {300: wins, 1500: wins}, {300: wins, 1500: noise.tolist()}
    assert _recommendation(_effects(a=early, b=both))[0] == "b"
    name, reason = _recommendation(_effects(a=early))
    assert name == "baseline"
    assert "no technique beats" in reason
    assert "300 and 1500" in reason
    assert _recommendation(_effects(a={300: loses, 1500: loses}))[0] == "baseline"
    stronger = {300: wins, 1500: (noise + 0.08).tolist()}
    assert _recommendation(_effects(a=both, b=stronger))[0] == "b"
    name, reason = _recommendation(verdicts({"a": [0.3]}, budget=300, test_to_train=0.25))
    assert name == "baseline"
    assert "one repeat" in reason


def test_a_planted_winner_is_found():
    # A table that a tree reads at once and the network, cut short after five steps, does not.
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(2_000, 4))
    y = ((x[:, 0] * 8).astype(int) % 2 == 0) & ((x[:, 1] * 8).astype(int) % 4 == 1)
    data = TabularDataModule(pd.DataFrame(x, columns=list("abcd")).assign(y=y.astype(int)), "y", audit=False)
    trees = ("trees", HistGradientBoostingClassifier(max_iter=50))
    comparison = compare(data, [trees, "focal"], settings=SETTINGS, budgets=[3, 5], num_repeats=4)
    assert comparison.recommended == "trees"
    assert "trees" not in comparison.models
    assert "recommended: trees" in as_text(comparison)


def test_the_hash_of_a_table_sees_every_value_name_and_order():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    other = [frame.iloc[::-1], frame.rename(columns={"a": "c"}), frame.astype({"a": float}), frame.fillna("y")]
    assert len({content_hash(table) for table in [frame, *other]}) == 5
    assert content_hash(frame) == content_hash(frame.copy())
    content_hash(pd.DataFrame({"a": [[1], [2]]}))


def test_torch_is_as_it_was(data):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    compare(data, [], settings=SETTINGS, budgets=[2], num_repeats=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_process_at_a_time_in_a_directory(data, tmp_path):
    keywords = {"settings": SETTINGS, "budgets": [2], "num_repeats": 1, "directory": tmp_path / "c"}

    class Nosy(DummyClassifier):
        """Look at the directory while it is in use."""

        def fit(self, X, y):
            with pytest.raises(BlockingIOError, match="Another process works"):
                compare(data, [], **keywords)
            return super().fit(X, y)

    compare(data, [("nosy", Nosy())], **keywords)
    compare(data, [], **keywords)


def test_names_that_a_file_system_would_mix_up(data, tmp_path):
    names = ["a/b", "a_b", ".x", "a:b", "a=b", "../up"]
    techniques = [(name, DummyClassifier(strategy="prior")) for name in names]
    comparison = compare(
        data, techniques, settings=SETTINGS, budgets=[2], num_repeats=2, directory=tmp_path / "deep" / "c"
    )
    assert comparison.techniques == ["baseline", *names]
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


class Duck:
    """No more than the interface that is asked for."""

    def fit(self, X, y):
        self.share = y.mean()
        return self

    def predict_proba(self, X):
        p = np.clip(self.share + 0.01 * np.tanh(X[:, 0]), 0.001, 0.999)
        return np.stack([1 - p, p], axis=1)


def test_any_object_with_fit_and_predict_proba(data, tmp_path):
    keywords = {"settings": SETTINGS, "budgets": [2], "num_repeats": 2, "directory": tmp_path / "c"}
    before = compare(data, [("duck", Duck())], **keywords)
    again = compare(data, [("duck", Duck())], **keywords)  # another object of the same kind
    pd.testing.assert_frame_equal(again.results, before.results, check_exact=True)


def test_a_failing_technique_is_named(data):
    class Broken(Duck):
        def predict_proba(self, X):
            return np.full((len(X), 2), np.nan)

    with pytest.raises(ValueError, match="broken, 2 steps, repeat 0: "):
        compare(data, [("broken", Broken())], settings=SETTINGS, budgets=[2], num_repeats=1)


def test_days_as_objects_are_times():
    frame = load_nyc_flights().frame.iloc[::60].reset_index(drop=True)
    frame["scheduled_departure"] = frame["scheduled_departure"].dt.date
    data = TabularDataModule(frame, "cancelled", time="scheduled_departure", audit=False)
    comparison = compare(data, [], settings=SETTINGS, budgets=[2], num_repeats=2)
    assert comparison.scored["baseline"].time.dtype.kind == "M"


def test_the_same_table_under_another_name_goes_on(tmp_path, monkeypatch):
    _table().frame.to_parquet(tmp_path / "t.parquet")
    monkeypatch.chdir(tmp_path)
    keywords = {"budgets": [2], "num_repeats": 1, "directory": "c"}
    first, second = (
        compare(
            TabularDataModule(name, "cancelled", audit=False), [], settings=replace(SETTINGS, device=device), **keywords
        )
        for name, device in (("t.parquet", "auto"), (str(tmp_path / "t.parquet"), "cpu"))
    )
    pd.testing.assert_frame_equal(first.results, second.results, check_exact=True)


def test_pairs_without_spread_are_valid_json(data):
    copies = [("copy", Technique()), "poly1"]
    comparison = compare(data, copies, settings=SETTINGS, budgets=[2], num_repeats=2)
    printed = json.dumps(comparison.to_dict(), allow_nan=False)
    assert json.loads(printed)["effects"][0]["low"] is None
    assert "inf" not in as_text(comparison)


@pytest.mark.parametrize("steps", range(1, 12))
def test_any_number_of_steps_trains(data, steps):
    fit(data, replace(SETTINGS, max_steps=steps))
