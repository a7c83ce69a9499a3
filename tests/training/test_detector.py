"""Detector: scikit-learn's own checks, every kind of table, weights, the decision, and the model directory."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import polars
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import imbalance_torch
from imbalance_torch.cli import main
from imbalance_torch.decision import thresholds_for_macro_f_beta
from imbalance_torch.losses import ClassWeightedCrossEntropyLoss, SigmoidFocalLoss
from imbalance_torch.models import MLP
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.samplers import ClassBalancedSampler
from imbalance_torch.training import Detector

# In scikit-learn's own words, of its stochastic learners.
NOT_EQUIVALENT = {
    "check_sample_weight_equivalence_on_dense_data": "sample_weight is not equivalent to removing/repeating samples.",
}


def quick(threshold=0.5, **arguments):
    return Detector("mlp", threshold=threshold, **{"max_steps": 60, "batch_size": 64, "device": "cpu"} | arguments)


@parametrize_with_checks([quick()], expected_failed_checks=lambda _: NOT_EQUIVALENT)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The rarest class has:UserWarning")
@parametrize_with_checks([quick("auto")], expected_failed_checks=lambda _: NOT_EQUIVALENT)
def test_scikit_learn_checks_with_a_chosen_threshold(estimator, check):
    check(estimator)


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(500, 3))
Y = (X[:, 0] + 0.5 * RANDOM.normal(size=500) > 1.3).astype(int)
WEIGHT = RANDOM.uniform(0.5, 2.0, 500)
PROBABILITIES = quick().fit(X, Y).predict_proba(X)


def auroc_of(column):
    """Separation by one informative column beside a column of noise."""
    y = np.arange(600) % 6 == 0
    frame = pd.DataFrame({"noise": np.random.default_rng(1).normal(size=600), "column": column(y)})
    given = frame.copy()
    p = quick(max_steps=120).fit(frame, y).predict_proba(frame)
    pd.testing.assert_frame_equal(frame, given)
    return np.mean(p[y, 1][:, None] > p[~y, 1])


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(lambda y: np.where(y, 2.0, -1.0), id="number"),
        pytest.param(lambda y: pd.Categorical(np.where(y, "b", "a")), id="category"),
        pytest.param(lambda y: np.where(y, "red", "blue").astype(object), id="text"),
        pytest.param(lambda y: y, id="boolean"),
        pytest.param(lambda y: pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(y, 5, 0), "D"), id="date"),
        pytest.param(lambda y: np.where(y, np.nan, 1.0), id="missing number"),
        pytest.param(lambda y: np.where(y, None, "a"), id="missing text"),
    ],
)
def test_every_kind_of_column_tells(column):
    assert auroc_of(column) == 1.0


def test_unseen_and_missing_values_are_scored():
    frame = pd.DataFrame({"text": ["a", "b"] * 50, "number": np.arange(100.0), "target": np.arange(100) % 7})
    detector = quick().fit(frame, np.arange(100) % 2)
    new = pd.DataFrame({"text": ["c", None], "number": [np.nan, 1e9], "target": [np.nan, 3.0]})
    assert np.isfinite(detector.predict_proba(new)).all()
    assert detector.feature_names_in_.tolist() == ["text", "number", "target"]
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(new.drop(columns="number"))


@pytest.mark.parametrize(
    "kind", [torch.from_numpy, pd.DataFrame, lambda x: polars.DataFrame(x, schema=["a", "b", "c"])]
)
def test_the_same_rows_in_another_container(kind):
    np.testing.assert_array_equal(quick().fit(kind(X), torch.from_numpy(Y)).predict_proba(kind(X)), PROBABILITIES)


def test_rows_without_names_follow_the_order_of_the_columns():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(quick().fit(frame, Y).predict_proba(X), PROBABILITIES)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        np.testing.assert_array_equal(quick().fit(X, Y).predict_proba(frame), PROBABILITIES)


@pytest.mark.parametrize("names", [["bad", "good"], ["good", "fraud"]], ids=["rarer last", "rarer first"])
def test_text_labels(names):
    labels = np.array(names)[Y]
    detector = quick(0.2).fit(X, labels)
    assert detector.classes_.tolist() == sorted(names)
    assert detector.positive_class_ == names[1]
    positive = sorted(names).index(names[1])
    p = detector.predict_proba(X)
    np.testing.assert_allclose(p[:, positive], PROBABILITIES[:, 1], rtol=1e-12)
    assert detector.decision_threshold_ == 0.2
    np.testing.assert_array_equal(detector.predict(X) == names[1], p[:, positive] >= 0.2)


def test_the_chosen_threshold_decides():
    detector = quick("auto", max_steps=150).fit(X, Y)
    p = detector.predict_proba(X)[:, 1]
    assert 0 < detector.decision_threshold_ < 1
    np.testing.assert_array_equal(detector.predict(X), p >= detector.decision_threshold_)
    assert quick(lambda p, y: 0.123).fit(X, Y).decision_threshold_ == 0.123
    assert quick("recall:1.0").fit(X, Y).decision_threshold_ < detector.decision_threshold_


def test_three_classes():
    y = np.array(["common", "a rare", "rarer"])[np.digitize(X[:, 0], [1.0, 1.6])]
    likeliest, tuned = (quick(threshold, max_steps=150).fit(X, y) for threshold in ("auto", "macro_f1"))
    assert likeliest.classes_.tolist() == ["a rare", "common", "rarer"]
    assert (likeliest.decision_threshold_, likeliest.positive_class_) == (None, None)
    p = tuned.predict_proba(X)
    np.testing.assert_array_equal(p, likeliest.predict_proba(X))
    np.testing.assert_array_equal(likeliest.predict(X), likeliest.classes_[p.argmax(1)])
    np.testing.assert_array_equal(tuned.predict(X), tuned.classes_[(p / tuned.decision_threshold_).argmax(1)])
    assert sum(tuned.decision_threshold_) == pytest.approx(1)
    assert len(set(tuned.decision_threshold_)) > 1


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ({"network": "mlp"}, lambda: {"network": MLP}),
        ({"loss": "class_weighted"}, lambda: {"loss": ClassWeightedCrossEntropyLoss.from_counts(np.bincount(Y))}),
        ({"sampler": "balanced"}, lambda: {"sampler": partial(ClassBalancedSampler, ratio=0.25)}),
        ({"resampler": "smote"}, lambda: {"resampler": SMOTE(random_state=0)}),
        ({"resampler": "smote"}, lambda: {"resampler": BatchOversampler(SMOTE(random_state=0))}),
    ],
    ids=["network", "loss", "sampler", "resampler", "batch oversampler"],
)
def test_objects_do_what_their_names_do_and_stay_as_they_are(name, build):
    expected = quick().set_params(**name).fit(X, Y).predict_proba(X)
    detector = quick().set_params(**build())
    for _ in range(2):
        np.testing.assert_array_equal(detector.fit(X, Y).predict_proba(X), expected)


def test_a_module_is_copied_and_a_sigmoid_loss_takes_one_logit():
    network = torch.nn.Linear(quick().fit(X, Y).model_.encoder.num_dense, 1)
    before = network.weight.clone()
    p = Detector(network, SigmoidFocalLoss(), threshold=0.5, max_steps=60, batch_size=64).fit(X, Y).predict_proba(X)
    assert torch.equal(network.weight, before)
    np.testing.assert_allclose(p.sum(1), 1)


@pytest.mark.parametrize("threshold", [0.3, "auto", "macro_f1"])
def test_save_and_load(threshold, tmp_path):
    y = np.where(Y, "fraud", "ok") if threshold != "macro_f1" else np.digitize(X[:, 0], [0.8, 1.5])
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(d=np.where(X[:, 1] > 0, "x", "y"))
    frame.iloc[::9, 0] = np.nan
    detector = quick(threshold, loss="focal", sampler="balanced").fit(frame, y)
    loaded = Detector.load(detector.save(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict_proba(frame), detector.predict_proba(frame), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(loaded.predict(frame), detector.predict(frame))
    for name in ("decision_threshold_", "positive_class_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(detector, name)
    for name in ("classes_", "feature_names_in_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(detector, name))
    assert (loaded.network, loaded.loss, loaded.sampler) == ("mlp", "focal", "balanced")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert main(["score", str(tmp_path / "model"), str(tmp_path / "rows.csv"), "-o", str(tmp_path / "s.parquet")]) == 0
    scored = pd.read_parquet(tmp_path / "s.parquet")
    np.testing.assert_array_equal(scored["decision"], detector.predict(frame))
    names = detector.classes_ if threshold == "macro_f1" else ["fraud"]
    for i, name in enumerate(names):
        column = "probability" if len(names) == 1 else f"probability_{name}"
        np.testing.assert_allclose(scored[column], detector.predict_proba(frame)[:, i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", [{"network": MLP}, {"loss": torch.nn.CrossEntropyLoss()}], ids=["network", "loss"])
def test_objects_have_no_name_to_save(given, tmp_path):
    detector = quick().set_params(**given).fit(X, Y)
    with pytest.raises(ValueError, match=f"A model directory names its {next(iter(given))}"):
        detector.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_random_state():
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    np.testing.assert_array_equal(quick().fit(X, Y).predict_proba(X), PROBABILITIES)
    same = [quick(random_state=torch.Generator().manual_seed(4)).fit(X, Y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    fresh = [quick(random_state=None).fit(X, Y).predict_proba(X) for _ in range(2)]
    different = [PROBABILITIES, quick(random_state=1).fit(X, Y).predict_proba(X), same[0], *fresh]
    assert len({p.tobytes() for p in different}) == 5
    assert (np.random.get_state()[1] == numpy_before).all()
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_a_row_of_weight_zero_takes_no_part():
    weight = np.where(np.arange(500) % 3 == 0, 0.0, WEIGHT)
    dirty = np.where(weight[:, None] == 0, 1e6, X)
    kept = weight > 0
    p = quick("auto").fit(dirty, Y, weight).predict_proba(X)
    np.testing.assert_array_equal(p, quick("auto").fit(X[kept], Y[kept], weight[kept]).predict_proba(X))


@pytest.mark.parametrize("threshold", [0.5, "auto"])
def test_equal_weights_are_none_and_their_scale_is_irrelevant(threshold):
    def fitted(weight):
        return quick(threshold).fit(X, Y, weight).predict_proba(X)

    np.testing.assert_allclose(fitted(np.ones(500)), fitted(None), rtol=1e-6)
    np.testing.assert_allclose(fitted(1000 * WEIGHT), fitted(WEIGHT), rtol=1e-4)
    assert abs(fitted(WEIGHT) - fitted(None)).max() > 1e-3


@pytest.mark.parametrize("arguments", [{}, {"sampler": "balanced"}, {"loss": "class_weighted"}], ids=str)
@pytest.mark.parametrize("threshold", [0.5, "auto"])
def test_probabilities_are_those_of_the_weighted_rows(threshold, arguments):
    x = np.random.default_rng(2).normal(size=(4000, 2))
    y = (x[:, 0] + 0.5 * np.random.default_rng(3).normal(size=4000) > 1.2).astype(int)
    weight = 1.0 + 4 * y
    p = quick(threshold, max_steps=300, **arguments).fit(x, y, weight).predict_proba(x)[:, 1]
    assert np.average(p, weights=weight) == pytest.approx(np.average(y, weights=weight), rel=0.06)
    assert np.average(p, weights=weight) > 2 * y.mean()


def test_clone_and_pickle():
    detector = quick(0.25, loss="focal", random_state=3).fit(X, Y)
    twin = clone(detector)
    assert twin.get_params() == detector.get_params()
    assert not hasattr(twin, "classes_")
    copy = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copy.predict_proba(X), detector.predict_proba(X))
    with pytest.raises(AttributeError, match="not fitted"):
        _ = twin.decision_threshold_


def test_model_selection_and_pipelines():
    scores = cross_val_score(make_pipeline(StandardScaler(), quick(max_steps=100)), X, Y, cv=3, scoring="roc_auc")
    assert scores.min() > 0.85
    search = GridSearchCV(quick(), {"loss": ["focal", "cross_entropy"], "threshold": [0.5]}, cv=2, scoring="f1")
    assert search.fit(X, Y).best_params_["loss"] in ("focal", "cross_entropy")
    assert len(search.predict(X)) == 500


@pytest.mark.parametrize("rows", [1, 3])
def test_a_tiny_class_leaves_the_threshold_at_half(rows):
    y = np.arange(500) < rows
    with pytest.warns(UserWarning, match=rf"The rarest class has {rows} rows, too few to hold some out"):
        assert quick("auto").fit(X, y).decision_threshold_ == 0.5


BAD = {
    "infinite": (lambda: (np.where(X > 2, np.inf, X), Y), "infinity"),
    "infinite frame": (
        lambda: (pd.DataFrame({"a": np.where(X[:, 0] > 2, np.inf, 1.0)}), Y),
        "'a' has an infinite value",
    ),
    "nan label": (lambda: (X, np.where(Y == 1, np.nan, 0.0)), "Input y contains NaN"),
    "no text label": (lambda: (X, pd.array([None, "a"] * 250, dtype="string")), "NaN"),
    "two columns of one name": (lambda: (pd.DataFrame(X, columns=["a", "b", "a"]), Y), "two columns named 'a'"),
    "no label": (lambda: (X, pd.Series([None, "a"] * 250)), "NaN"),
    "continuous": (lambda: (X, X[:, 0]), "continuous"),
    "one class": (lambda: (X, np.zeros(500, int)), "got one class: 0"),
    "empty": (lambda: (X[:0], Y[:0]), "0 sample"),
    "empty frame": (lambda: (pd.DataFrame(X[:0]), Y[:0]), "0 sample"),
    "no columns": (lambda: (pd.DataFrame(index=range(500)), Y), "0 feature"),
    "nothing to learn from": (lambda: (np.full((500, 2), np.nan), Y), "No feature column is left"),
    "other length": (lambda: (X, Y[:5]), "inconsistent numbers of samples"),
    "negative weight": (lambda: (X, Y, -WEIGHT), "Negative values"),
    "no weight": (lambda: (X, Y, 0 * WEIGHT), "non-zero"),
    "one class with weight": (lambda: (X, Y, 1.0 - Y), "got one class: 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_rows_that_cannot_be_used(name):
    build, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        quick().fit(*build())


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("network", "cnn", "`network` must be one of"),
        ("loss", "hinge", "`loss` must be one of"),
        ("sampler", "none", "`sampler` must be one of"),
        ("resampler", "smoot", "`resampler` must be one of"),
        ("threshold", 1.5, "`threshold` must be <= 1"),
        ("threshold", "best", "`threshold` must be one of"),
        ("threshold", "macro_f1", "three classes or more"),
        ("max_steps", 0, "`max_steps` must be >= 1"),
        ("batch_size", 0, "`batch_size` must be >= 1"),
        ("device", "tpu", "`device` must be one of"),
        ("random_state", -1, "`random_state` must be >= 0"),
    ],
)
def test_bad_arguments(argument, value, message):
    with pytest.raises(ValueError, match=message):
        quick().set_params(**{argument: value}).fit(X, Y)


def test_arguments_that_do_not_go_together():
    with pytest.raises(ValueError, match="is for two classes"):
        quick("f1").fit(X, np.arange(500) % 3)
    with pytest.raises(ValueError, match="cannot be resampled"):
        quick(resampler="smote").fit(X, Y, WEIGHT)


def test_it_is_a_name_of_the_package():
    assert imbalance_torch.Detector is Detector


@pytest.mark.parametrize("kind", [lambda t: t, np.float32, np.float64, lambda t: torch.tensor(t), lambda t: int(t > 0)])
def test_whatever_number_a_function_returns_decides(kind):
    detector = quick(lambda p, y: kind(float(np.quantile(p, 0.95)))).fit(X, Y)
    assert type(detector.decision_threshold_) is float
    expected = detector.predict_proba(X)[:, 1] >= detector.decision_threshold_
    np.testing.assert_array_equal(detector.predict(X), expected.astype(int))


@pytest.mark.parametrize("threshold", [0.9, "0.9", np.float32(0.9), np.float64(0.9)])
def test_a_number_is_a_number_in_any_form(threshold):
    detector = quick(threshold).fit(X, Y)
    assert detector.decision_threshold_ == pytest.approx(0.9)
    assert detector.model_.card["validation rows"] == 0


def test_three_classes_with_early_stopping_and_a_number_for_two():
    y = np.digitize(X[:, 0], [0.5, 1.5])
    detector = quick(0.5, early_stopping=True).fit(X, y)
    np.testing.assert_array_equal(detector.predict(X), detector.predict_proba(X).argmax(1))


def test_a_function_for_three_classes_returns_one_number_for_each(tmp_path):
    y = np.digitize(X[:, 0], [0.5, 1.5])
    detector = quick(thresholds_for_macro_f_beta).fit(X, y)
    again = Detector.load(detector.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(X), detector.predict(X))
    assert len(again.decision_threshold_) == 3
    with pytest.raises(ValueError, match="must return 3 numbers, one for each class"):
        quick(lambda p, y: 0.5).fit(X, y)


def test_a_class_of_tiny_weight_is_still_held_out():
    detector = quick("f1").fit(X, Y, np.where(Y == 1, 0.01, 1.0))
    assert 0 <= detector.decision_threshold_ <= 1.1
    assert detector.predict_proba(X)[:, 1].mean() < 0.1 * Y.mean()


def test_a_loaded_detector_remembers_how_it_was_made(tmp_path):
    made = quick("recall:0.8", random_state=7).fit(X, Y)
    loaded = Detector.load(made.save(tmp_path / "model"))
    for name in ("threshold", "max_steps", "batch_size", "random_state", "early_stopping", "network", "loss"):
        assert getattr(loaded, name) == getattr(made, name)
    assert Detector.load(quick(lambda p, y: 0.4).fit(X, Y).save(tmp_path / "own")).decision_threshold_ == 0.4


def test_a_directory_of_the_command_line_takes_the_table_it_came_from(tmp_path):
    frame = pd.DataFrame({"row_id": [f"r{i}" for i in range(500)], "city": list("ab") * 250, "amount": X[:, 0], "y": Y})
    frame.to_csv(tmp_path / "t.csv", index=False)
    words = ["train", str(tmp_path / "t.csv"), "--target", "y", "--network", "mlp", "--max-steps", "20"]
    assert main([*words, "-o", str(tmp_path / "run"), "--json", "--no-audit"]) == 0
    detector = Detector.load(tmp_path / "run/model")
    p = detector.predict_proba(frame)
    np.testing.assert_array_equal(p, detector.predict_proba(frame[["amount", "city"]]))
    with pytest.raises(ValueError, match="Feature names"):
        detector.predict_proba(frame[["amount"]])


def test_columns_that_are_left_out_are_named():
    frame = pd.DataFrame({"a": X[:, 0], "id": [f"r{i}" for i in range(500)]})
    with pytest.warns(UserWarning, match=r"1 column\(s\) left out, such as 'id': looks like an identifier"):
        quick().fit(frame, Y)
