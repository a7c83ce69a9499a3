"""Adapters keep scikit-learn's and imbalanced-learn's rules, and give the rows of the core on every container."""

import pickle

import imblearn.over_sampling
import imblearn.under_sampling
import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.base import BaseSampler
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling.base import BaseCleaningSampler, BaseUnderSampler
from imblearn.utils import estimator_checks as imblearn_checks
from numpy.random import RandomState
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import estimator_checks as sklearn_checks

import imbalance_torch.integrations.sklearn as ours
from imbalance_torch import resampling

ARGUMENTS = {
    "SMOTENC": {"categorical_features": [0]},
    "KMeansSMOTE": {"kmeans_estimator": 2, "cluster_balance_threshold": 0.05},
}
NAMES = [name for name in ours.__all__ if name != "TorchKNN"]
HOMES = (imblearn.over_sampling, imblearn.under_sampling, imblearn.combine)


def sampler(name, **arguments):
    """Return an adapter that checks can use, with a fixed seed where it takes one."""
    adapter = getattr(ours, name)(**ARGUMENTS.get(name, {}), **arguments)
    return adapter.set_params(random_state=0) if "random_state" in adapter.get_params() else adapter


def data(sizes=(60, 12, 25), columns=4, seed=0):
    numbers = RandomState(seed)
    y = numbers.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return numbers.standard_normal((len(y), columns)) + y[:, None], y


def data_for(name):
    X, y = data()
    return (X.round() if name in ("SMOTEN", "SMOTENC") else X), y


ESTIMATORS = [*map(sampler, NAMES), *(sampler("NearMiss", version=v) for v in (2, 3) if "NearMiss" in NAMES)]


# The one that counts for NearMiss-3 fails in imbalanced-learn too; it leaves SMOTENC out of its checks altogether.
CANNOT_HOLD = {
    ("NearMiss", 3): {"check_samplers_fit_resample": "version 3 shortlists fewer rows than it is asked for"},
    ("SMOTENC", None): {
        "check_samplers_string": "the one column holds strings, and SMOTE-NC needs a column of numbers beside it",
        "check_estimators_nan_inf": "the NaN stands in the column of categories, where it is one",
    },
}


def checks(module, estimators):
    """Return what ``parametrize_with_checks`` of a module asks for, as a list."""
    for estimator in estimators:
        for fresh, check in module.estimator_checks_generator(estimator):
            name = check.func.__name__
            reason = CANNOT_HOLD.get((type(estimator).__name__, getattr(estimator, "version", None)), {}).get(name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(fresh, check, id=f"{estimator}-{name}", marks=marks)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), list(checks(imblearn_checks, ESTIMATORS)))
def test_checks_of_imbalanced_learn(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("estimator", "check"), list(checks(sklearn_checks, [*ESTIMATORS, ours.TorchKNN()])))
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("check", ["check_param_validation", "check_dataframe_column_names_consistency"])
def test_checks_of_arguments_and_names(estimator, check):
    getattr(imblearn_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_those_of_imbalanced_learn_and_the_device(name):
    theirs = next((getattr(home, name) for home in HOMES if hasattr(home, name)), None)
    if theirs is None:
        pytest.skip("not in imbalanced-learn")
    required = ARGUMENTS.get(name, {})
    assert getattr(ours, name)(**required).get_params() == {**theirs(**required).get_params(), "device": "cpu"}
    for base in (BaseSampler, BaseOverSampler, BaseUnderSampler, BaseCleaningSampler):
        assert issubclass(getattr(ours, name), base) == issubclass(theirs, base)


@pytest.mark.parametrize("name", NAMES)
def test_a_fitted_adapter_travels(name):
    X, y = data_for(name)
    adapter = sampler(name)
    expected = adapter.fit_resample(X, y)[0]
    again = pickle.loads(pickle.dumps(adapter))
    assert again.sampling_strategy_ == adapter.sampling_strategy_
    assert np.array_equal(again.fit_resample(X, y)[0], expected)
    assert np.array_equal(clone(adapter).fit_resample(X, y)[0], expected)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_core(name):
    X, y = data_for(name)
    y = np.array(["a", "b", "c"])[y]
    of_adapters_alone = {"device", "n_jobs", "categorical_encoder"}
    arguments = {k: v for k, v in sampler(name).get_params(deep=False).items() if k not in of_adapters_alone}
    expected = getattr(resampling, name)(**arguments).fit_resample(X, y)
    result = sampler(name).fit_resample(X, y)
    assert np.array_equal(result[0], expected[0])
    assert np.array_equal(result[1], expected[1])


def test_a_strategy_and_an_estimator_reach_the_core():
    X, y = data()
    strategy = {0: 70, 2: 30}
    expected = resampling.SMOTE(strategy, k_neighbors=2, random_state=3).fit_resample(X, y)[0]
    adapter = ours.SMOTE(sampling_strategy=strategy, k_neighbors=NearestNeighbors(n_neighbors=3), random_state=3)
    assert np.array_equal(adapter.fit_resample(X, y)[0], expected)
    assert adapter.sampling_strategy_ == {0: 10, 2: 5}
    calls = []
    adapter.set_params(sampling_strategy=lambda y: calls.append(len(y)) or strategy)
    assert np.array_equal(adapter.fit_resample(X, y)[0], expected)
    assert calls == [len(y)]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if sampler(name).__sklearn_tags__().sampler_tags.sample_indices]
)
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_array, pd.DataFrame])
def test_sample_indices_name_the_rows(name, kind):
    X, y = data()
    adapter = sampler(name)
    result, labels = adapter.fit_resample(kind(X), y)
    assert type(result) is type(kind(X))
    assert np.array_equal(result.toarray() if sparse.issparse(result) else result, X[adapter.sample_indices_])
    assert np.array_equal(labels, y[adapter.sample_indices_])


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("Random")])
def test_random_samplers_take_rows_of_any_kind(name):
    frame = pd.DataFrame({"text": list("abcdef"), "date": pd.date_range("2020", periods=6), "gap": [np.nan] * 6})
    frame["kind"] = pd.Categorical(list("xxyyzz"))
    frame.index = range(50, 56)
    y = pd.Series([0, 0, 0, 0, 1, 1], index=frame.index, name="label")
    adapter = sampler(name)
    result, labels = adapter.fit_resample(frame, y)
    pd.testing.assert_series_equal(result.dtypes, frame.dtypes)
    expected = frame.iloc[adapter.sample_indices_].reset_index(drop=True)
    pd.testing.assert_frame_equal(result.reset_index(drop=True), expected)
    assert labels.tolist() == y.iloc[adapter.sample_indices_].tolist()
    assert labels.index.equals(result.index)


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("SMOTEENN", "SMOTETomek")])
def test_combinations_are_their_parts(name):
    X, y = data()
    argument, cleaner = {"SMOTEENN": ("enn", "EditedNearestNeighbours"), "SMOTETomek": ("tomek", "TomekLinks")}[name]
    grown = ours.SMOTE(random_state=0).fit_resample(X, y)
    expected = getattr(ours, cleaner)(sampling_strategy="all").fit_resample(*grown)
    theirs = getattr(imblearn.under_sampling, cleaner)(sampling_strategy="all")
    for adapter in (sampler(name), sampler(name, smote=ours.SMOTE(random_state=0), **{argument: theirs})):
        for result, wanted in zip(adapter.fit_resample(X, y), expected, strict=True):
            assert np.array_equal(result, wanted)
    whole = pd.DataFrame(X * 5).round().astype("int64")
    whole[9] = X[:, 0]
    assert (sampler(name).fit_resample(whole, y)[0].dtypes == whole.dtypes).all()


@pytest.mark.parametrize("name", NAMES)
def test_devices_give_the_same_rows(name, device):
    X, y = data_for(name)
    result = sampler(name, device=str(device)).fit_resample(X, y)
    expected = sampler(name).fit_resample(X, y)
    np.testing.assert_allclose(result[0], expected[0], rtol=1e-10, atol=1e-10)
    assert np.array_equal(result[1], expected[1])


def test_auto_takes_the_device_there_is():
    X, y = data()
    adapter = ours.SMOTE(device="auto", random_state=0)
    np.testing.assert_allclose(adapter.fit_resample(X, y)[0], sampler("SMOTE").fit_resample(X, y)[0], atol=1e-10)
    assert adapter.device == "auto"
    with pytest.raises(ValueError, match="`device` must be"):
        ours.SMOTE(device="nonsense").fit_resample(X, y)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array])
def test_sparse_rows_keep_their_format(kind):
    X, y = data()
    X = np.where(np.abs(X) > 0.7, X, 0).astype(np.float32)
    result, labels = ours.SMOTE(random_state=0).fit_resample(kind(X), y)
    assert type(result) is kind
    assert result.dtype == np.float32
    expected, expected_labels = ours.SMOTE(random_state=0).fit_resample(X, y)
    assert np.array_equal(result.toarray(), expected)
    assert np.array_equal(labels, expected_labels)


def test_frames_keep_dtypes_and_round_whole_columns():
    X, y = data()
    frame = pd.DataFrame(X, columns=list("abcd")).mul(9).round()
    frame = frame.astype({"a": "int8", "b": "float32", "d": "Int64"})
    labels = pd.Series(np.array(["x", "y", "z"])[y], name="kind", dtype="category")
    result, result_labels = ours.SMOTE(random_state=0).fit_resample(frame, labels)
    assert result.dtypes.equals(frame.dtypes)
    assert result.iloc[: len(frame)].equals(frame)
    assert (result_labels.dtype, result_labels.name) == (labels.dtype, "kind")
    assert dict(result_labels.value_counts()) == {"x": 60, "y": 60, "z": 60}
    exact = ours.SMOTE(random_state=0).fit_resample(frame.astype("float64"), labels)[0]
    assert np.array_equal(result["a"], np.rint(exact["a"]))
    assert not np.array_equal(np.rint(exact["a"]), np.trunc(exact["a"]))


@pytest.mark.parametrize("name", [name for name in NAMES if "random_state" in sampler(name).get_params()])
def test_random_state_follows_scikit_learn(name):
    X, y = data_for(name)
    seeded = [sampler(name).set_params(random_state=4).fit_resample(X, y)[0] for _ in range(2)]
    assert np.array_equal(*seeded)
    numbers = RandomState(1)
    adapter = sampler(name).set_params(random_state=numbers)
    first, second = adapter.fit_resample(X, y)[0], adapter.fit_resample(X, y)[0]
    assert not np.array_equal(first, second)
    twin = sampler(name).set_params(random_state=RandomState(1))
    assert np.array_equal(twin.fit_resample(X, y)[0], first)
    fresh = [sampler(name).set_params(random_state=None).fit_resample(X, y)[0] for _ in range(2)]
    assert not np.array_equal(*fresh)


@pytest.mark.parametrize("name", NAMES)
def test_global_randomness_is_left_alone(name):
    X, y = data_for(name)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    sampler(name).fit_resample(X, y)
    if "random_state" in sampler(name).get_params():
        sampler(name).set_params(random_state=None).fit_resample(X, y)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize(
    ("metric", "refused"),
    [({"metric": "manhattan"}, True), ({"p": 1}, True), ({"metric": "euclidean"}, False), ({"p": 2}, False)],
)
def test_other_metrics_are_refused(metric, refused):
    X, y = data()
    adapter = ours.SMOTE(k_neighbors=NearestNeighbors(n_neighbors=4, **metric), random_state=0)
    if refused:
        with pytest.raises(ValueError, match="`k_neighbors` must measure Euclidean distance"):
            adapter.fit_resample(X, y)
    else:
        assert np.array_equal(
            adapter.fit_resample(X, y)[0], ours.SMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)[0]
        )


@pytest.mark.parametrize("dtype", [np.float128, np.complex128])
def test_numbers_that_torch_lacks_are_refused(dtype):
    X, y = data()
    with pytest.raises(ValueError, match=r"64 bits|Complex"):
        ours.SMOTE().fit_resample(X.astype(dtype), y)


def test_a_pipeline_resamples_training_folds_alone():
    X, y = data((300, 40), seed=2)
    pipeline = make_pipeline(ours.SMOTE(random_state=0), LogisticRegression())
    folds = StratifiedKFold(3)
    scores = cross_validate(pipeline, X, y, cv=folds, scoring="neg_log_loss", error_score="raise")["test_score"]
    by_hand, without = [], []
    for train, test in folds.split(X, y):
        rows, labels = ours.SMOTE(random_state=0).fit_resample(X[train], y[train])
        by_hand.append(-log_loss(y[test], LogisticRegression().fit(rows, labels).predict_proba(X[test])))
        without.append(-log_loss(y[test], LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])))
    np.testing.assert_allclose(scores, by_hand)
    assert not np.isclose(scores, without).any()


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_search_sets_the_arguments():
    X, y = data((300, 40), seed=2)
    pipeline = make_pipeline(ours.SMOTE(random_state=0), LogisticRegression())
    grid = {"smote__k_neighbors": [1, 3, 1000], "smote__sampling_strategy": [0.5, 1.0], "smote__device": ["cpu"]}
    search = GridSearchCV(pipeline, grid, cv=3, scoring="average_precision")
    with pytest.warns(FitFailedWarning, match="k_neighbors=1000"):
        search.fit(X, y)
    assert np.isfinite(search.best_score_)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False] * 4 + [True] * 2
    step = search.best_estimator_["smote"]
    assert step.get_params().items() >= {"k_neighbors": step.nn_k_.n_neighbors - 1, "device": "cpu"}.items()


@pytest.mark.parametrize("package", ["lightgbm", "xgboost"])
def test_trees_in_a_pipeline(package):
    trees = pytest.importorskip(package)
    name = {"lightgbm": "LGBMClassifier", "xgboost": "XGBClassifier"}[package]
    model = getattr(trees, name)(n_estimators=5, n_jobs=1, random_state=0, **{"verbose": -1} if name[0] == "L" else {})
    X, y = data((300, 40), columns=3)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    fitted = make_pipeline(ours.SMOTE(random_state=0), model).fit(frame, y)
    assert average_precision_score(y, fitted.predict_proba(frame)[:, 1]) > 3 * y.mean()


# TorchKNN


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, pd.DataFrame])
def test_neighbors_are_those_of_scikit_learn(dtype, kind, device):
    rows, query = RandomState(0).standard_normal((80, 5)).astype(dtype), RandomState(1).standard_normal((9, 5))
    found, expected = ours.TorchKNN(4, device=str(device)).fit(kind(rows)), NearestNeighbors(n_neighbors=4).fit(rows)
    for arguments in ((), (kind(rows),), (kind(query.astype(dtype)),), (None, 7), (kind(rows), 1)):
        distances, indices = found.kneighbors(*arguments)
        for actual, wanted in zip((distances, indices), expected.kneighbors(*_plain(arguments)), strict=True):
            np.testing.assert_allclose(actual, wanted, atol=2e-3 if dtype == np.float32 else 1e-12)
        assert np.array_equal(found.kneighbors(*arguments, return_distance=False), indices)
    for mode in ("connectivity", "distance"):
        graph, wanted = (nn.kneighbors_graph(rows, mode=mode) for nn in (found, expected))
        assert graph.shape == wanted.shape
        np.testing.assert_allclose(graph.toarray(), wanted.toarray(), atol=2e-3)


def _plain(arguments):
    dense = [a.toarray() if sparse.issparse(a) else a for a in arguments]
    return [a.to_numpy() if isinstance(a, pd.DataFrame) else a for a in dense]


def test_a_row_is_its_own_first_neighbor_also_among_duplicates():
    rows = np.repeat(RandomState(0).standard_normal((4, 2)), 3, axis=0)
    found = ours.TorchKNN(3).fit(rows)
    distances, indices = found.kneighbors(rows)
    assert indices[:, 0].tolist() == list(range(12))
    assert not distances.any()
    assert np.array_equal(indices // 3, np.arange(12)[:, None] // 3 + np.zeros((1, 3), int))
    assert not (found.kneighbors(None, 2)[1] == np.arange(12)[:, None]).any()


@pytest.mark.parametrize(
    ("rows", "k", "words"),
    [(3, 4, "Expected n_neighbors <= n_samples_fit, but n_neighbors = 4"), (3, 0, "'n_neighbors' parameter")],
)
def test_too_few_rows_or_neighbors(rows, k, words):
    with pytest.raises(ValueError, match=words):
        ours.TorchKNN(k).fit(np.eye(rows)).kneighbors(np.eye(rows))
    with pytest.raises(ValueError, match="Lower `n_neighbors` to 2"):
        ours.TorchKNN(3).fit(np.eye(3)).kneighbors()


def test_one_row_is_its_own_neighbor():
    distances, indices = ours.TorchKNN(1).fit([[1.0, 2.0]]).kneighbors([[1.0, 2.0]])
    assert (distances.tolist(), indices.tolist()) == ([[0.0]], [[0]])


NEIGHBOR_USERS = [
    (imblearn.over_sampling.SMOTE, "k_neighbors", 6, {"random_state": 0}),
    (imblearn.over_sampling.ADASYN, "n_neighbors", 6, {"random_state": 0}),
    (imblearn.over_sampling.BorderlineSMOTE, "m_neighbors", 11, {"random_state": 0, "kind": "borderline-2"}),
    (imblearn.over_sampling.SVMSMOTE, "k_neighbors", 6, {"random_state": 0}),
    (
        imblearn.over_sampling.KMeansSMOTE,
        "k_neighbors",
        3,
        {"random_state": 0, "kmeans_estimator": 2, "cluster_balance_threshold": 0.1},
    ),
    (imblearn.under_sampling.NearMiss, "n_neighbors", 3, {"version": 2}),
    (imblearn.under_sampling.EditedNearestNeighbours, "n_neighbors", 4, {}),
]


@pytest.mark.parametrize(("theirs", "argument", "default", "others"), NEIGHBOR_USERS)
def test_samplers_of_imbalanced_learn_give_the_same_rows_with_our_neighbors(theirs, argument, default, others):
    X, y = data((90, 40), columns=3, seed=5)
    expected = theirs(**others).fit_resample(X, y)
    result = theirs(**others, **{argument: ours.TorchKNN(default)}).fit_resample(X, y)
    assert np.array_equal(result[0], expected[0])
    assert np.array_equal(result[1], expected[1])
