"""What every under-sampler keeps; the registry is `resampling.__all__`, so that none can stay out."""

import copy
import inspect
import pickle
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from imbalance_torch import resampling
from imbalance_torch.resampling._under import UnderSampler

UNDER = [
    thing
    for thing in (getattr(resampling, name) for name in resampling.__all__)
    if inspect.isclass(thing) and issubclass(thing, UnderSampler)
]
MEASURING = [cls for cls in UNDER if cls is not resampling.RandomUnderSampler]
samplers = pytest.mark.parametrize("cls", UNDER)
measuring = pytest.mark.parametrize("cls", MEASURING)


def make(cls, strategy="auto", seed=0):
    seeded = {"random_state": seed} if "random_state" in inspect.signature(cls).parameters else {}
    return cls(strategy, **seeded)


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + 3 * y[:, None]
    return X.to(device, dtype), y.to(device)


def test_the_registry_is_complete():
    names = {"RandomUnderSampler", "NearMiss", "TomekLinks", "EditedNearestNeighbours"}
    assert names <= {cls.__name__ for cls in UNDER}


@samplers
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64]
)
def test_rows_that_stay_are_unchanged(cls, dtype, device):
    X, y = data(dtype=dtype, device=device)
    X_before, y_before = X.clone(), y.clone()
    sampler = make(cls)
    X_res, y_res, index = sampler.fit_resample(X, y, return_info=True)
    assert torch.equal(X, X_before)
    assert torch.equal(y, y_before)
    assert (X_res.dtype, X_res.device, y_res.dtype, y_res.device) == (X.dtype, X.device, y.dtype, y.device)
    assert (index.dtype, index.device) == (torch.int64, X.device)
    assert torch.equal(X_res, X[index])
    assert torch.equal(y_res, y[index])
    assert index is sampler.sample_indices_
    assert len(index.unique()) == len(index) < len(X)
    assert sampler.class_counts_ == {0: 60, 1: 12, 2: 25}
    pair = make(cls).fit_resample(X, y)
    assert type(pair) is tuple
    assert torch.equal(pair[0], X_res)
    assert torch.equal(pair[1], y_res)


@samplers
def test_classes_that_are_not_named_stay_whole_and_in_order(cls):
    X, y = data()
    index = make(cls, "majority").fit_resample(X, y, return_info=True).index
    for label in (1, 2):
        assert torch.equal(index[y[index] == label], (y == label).nonzero().flatten())
    assert 0 < (y[index] == 0).sum() < 60


@samplers
def test_every_kind_of_container_gives_the_same_rows(cls):
    X, y = data()
    sampler = make(cls)
    expected, labels, index = sampler.fit_resample(X, y, return_info=True)
    X_np, y_np, index_np = sampler.fit_resample(X.numpy(), y.numpy(), return_info=True)
    assert type(X_np) is type(y_np) is type(index_np) is type(sampler.sample_indices_) is np.ndarray
    assert (X_np.dtype, y_np.dtype, index_np.dtype) == (np.float32, np.int64, np.int64)
    assert np.array_equal(X_np, expected)
    assert np.array_equal(y_np, labels)
    assert np.array_equal(index_np, index)
    X_li, y_li = sampler.fit_resample(X.double().tolist(), y.tolist())
    assert type(X_li) is type(y_li) is np.ndarray
    assert np.array_equal(X_li, expected)
    mixed = sampler.fit_resample(X, y.numpy())
    assert (type(mixed[0]), type(mixed[1])) == (torch.Tensor, np.ndarray)


@samplers
def test_a_pandas_frame_keeps_dtypes_names_and_index(cls):
    X, y = data(columns=3)
    frame = pd.DataFrame(X.double().numpy().round(2), columns=["a", "b", "c"], index=range(900, 900 + len(X)))
    frame = frame.astype({"b": "float32"})
    frame["c"] = frame["c"].round().astype("Int64")
    series = pd.Series(np.array(["x", "y", "z"])[y.numpy()], name="kind", dtype="category", index=frame.index)
    X_res, y_res, index = make(cls).fit_resample(frame, series, return_info=True)
    pd.testing.assert_frame_equal(X_res, frame.iloc[index])
    pd.testing.assert_series_equal(y_res, series.iloc[index])
    assert X_res.index.equals(y_res.index)
    plain = make(cls).fit_resample(frame.to_numpy(float), series.to_numpy(), return_info=True)
    assert np.array_equal(plain.index, index)


@samplers
def test_a_polars_frame_keeps_dtypes_and_names(cls):
    X, y = data(columns=2)
    frame = pl.DataFrame({"a": X[:, 0].numpy(), "b": X[:, 1].numpy().round().astype(np.int8)})
    series = pl.Series("kind", np.array(["x", "y", "z"])[y.numpy()])
    X_res, y_res, index = make(cls).fit_resample(frame, series, return_info=True)
    assert (type(X_res), type(y_res)) == (pl.DataFrame, pl.Series)
    assert X_res.equals(frame[index])
    assert y_res.equals(series[index])


@samplers
@pytest.mark.parametrize("names", [["no", "yes", "z"], [b"a", b"b", b"c"], [-5, 0, 1000], [0.5, 1.5, 2.5]], ids=str)
def test_labels_may_be_what_numpy_sorts(cls, names):
    X, y = data()
    labels = np.array(names)[y.numpy()]
    sampler = make(cls)
    _, y_res, index = sampler.fit_resample(X, labels, return_info=True)
    assert y_res.dtype == labels.dtype
    assert np.array_equal(y_res, labels[index])
    assert torch.equal(torch.as_tensor(index), make(cls).fit_resample(X, y, return_info=True).index)
    assert list(sampler.class_counts_) == names


@samplers
def test_global_randomness_is_left_alone(cls):
    X, y = data()
    torch.manual_seed(1), np.random.seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    cls().fit_resample(X, y)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


@samplers
def test_read_only_and_strided_inputs(cls):
    X, y = data()
    expected = make(cls).fit_resample(X, y)[0]
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    strided = np.asfortranarray(np.repeat(X.numpy(), 2, axis=1))[:, ::2]
    for rows in (frozen, strided, X.T.contiguous().T, X.clone().requires_grad_()):
        X_res = make(cls).fit_resample(rows, y)[0]
        assert np.array_equal(X_res, expected)
        assert not getattr(X_res, "requires_grad", False)


@samplers
def test_nothing_is_lost_on_the_way_through_a_pickle(cls):
    X, y = data()
    sampler = make(cls)
    expected = sampler.fit_resample(X, y)[0]
    for clone in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert torch.equal(clone.sample_indices_, sampler.sample_indices_)
        assert torch.equal(clone.fit_resample(X, y)[0], expected)


@samplers
def test_no_class_named_means_no_row_removed(cls):
    X, y = data()
    nothing = {} if cls in (resampling.RandomUnderSampler, resampling.NearMiss) else []
    index = make(cls, nothing).fit_resample(X, y, return_info=True).index
    assert Counter(index.tolist()) == Counter(range(len(X)))


@samplers
def test_devices_keep_the_same_rows(cls, device):
    X, y = data(dtype=torch.float64)
    expected = make(cls).fit_resample(X, y, return_info=True).index
    assert torch.equal(make(cls).fit_resample(X.to(device), y.to(device), return_info=True).index.cpu(), expected)


@samplers
@pytest.mark.parametrize(
    ("X", "y", "error", "words"),
    [
        (torch.ones(4, 2), [0, 0, 1], ValueError, "number of rows"),
        (torch.ones(4, 2), [[0], [0], [1], [1]], ValueError, "`y` must have shape"),
        (torch.ones(4, 2), [0, 0, 0, 0], ValueError, "more than 1 class. Got 1"),
        (torch.ones(0, 2), [], ValueError, "more than 1 class. Got 0"),
        (torch.ones(4, 2), [0, 0, 0, np.nan], ValueError, "NaN"),
    ],
)
def test_bad_labels_are_refused(cls, X, y, error, words):
    with pytest.raises(error, match=words):
        cls().fit_resample(X, np.array(y))


@measuring
@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (torch.tensor([[1.0, torch.nan, torch.inf]] * 2), ValueError, r"2 of 3 columns: 1 \(2 values\), 2 \("),
        (pd.DataFrame({"age": [1.0, np.nan], "b": [1, 2]}), ValueError, r"'age' \(1 values\)"),
        (pd.DataFrame({"name": ["a", "b"], "b": [1, 2]}), TypeError, "name"),
        (np.array([["a"], ["b"]]), TypeError, "numbers"),
        (torch.ones(2), ValueError, "shape"),
    ],
)
def test_what_cannot_be_measured_is_refused(cls, X, error, words):
    with pytest.raises(error, match=words):
        cls().fit_resample(X, [0, 1])


@measuring
def test_the_budget_of_the_search_does_not_show(cls):
    X, y = data()
    expected = cls().fit_resample(X, y)[0]
    for memory_budget in (1, 10_000):
        assert torch.equal(cls(memory_budget=memory_budget).fit_resample(X, y)[0], expected)


@measuring
def test_the_order_of_rows_does_not_matter(cls):
    X, y = data(dtype=torch.float64)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
    expected = cls().fit_resample(X, y, return_info=True).index
    permuted = cls().fit_resample(X[order], y[order], return_info=True).index
    assert set(order[permuted].tolist()) == set(expected.tolist())


@measuring
def test_rotation_translation_and_scale_do_not_matter(cls):
    X, y = data(dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    expected = cls().fit_resample(X, y, return_info=True).index
    for moved in (X @ turn, X + 1e6, X * 2.0**-900, X * 2.0**900):
        assert torch.equal(cls().fit_resample(moved, y, return_info=True).index, expected)


@measuring
def test_columns_of_very_unequal_width_warn_once(cls):
    X, y = data()
    X[:, 0] *= 1e6
    with pytest.warns(UserWarning, match="times as wide") as caught:
        cls().fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@samplers
@pytest.mark.parametrize("strategy", ["nonsense", {9: 3}, 1.5, None])
def test_wrong_strategies_are_refused(cls, strategy):
    with pytest.raises((ValueError, TypeError), match=r"sampling_strategy|target class|cleaning"):
        cls(strategy).fit_resample(*data())
