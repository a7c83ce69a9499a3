"""What every resampler of the package keeps; the registry is `resampling.__all__`, so that none can stay out."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from imbalance_torch import resampling
from imbalance_torch.resampling._over import OverSampler

RESAMPLERS = [
    thing
    for thing in (getattr(resampling, name) for name in resampling.__all__)
    if inspect.isclass(thing)
    and issubclass(thing, OverSampler)
    and all(p.default is not p.empty for p in inspect.signature(thing).parameters.values())
]
resamplers = pytest.mark.parametrize("resampler", RESAMPLERS)

# Random clouds may hold no row in danger, no cluster or no support vector: the class then grows by plain SMOTE with
# this warning, and all that is tested here still holds. The tests of each method check when it warns.
# SMOTEN takes the numbers here for categories that occur once, which its metric cannot tell apart.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using plain SMOTE:UserWarning"),
    pytest.mark.filterwarnings("ignore:The value difference metric is 0:UserWarning"),
]


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + y[:, None]
    return X.to(device, dtype), y.to(device)


def test_the_registry_is_not_empty():
    assert resampling.SMOTE in RESAMPLERS


@resamplers
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64]
)
def test_originals_first_then_synthetic_rows_by_class(resampler, dtype, device):
    X, y = data(dtype=dtype, device=device)
    X_before, y_before = X.clone(), y.clone()
    X_res, y_res = resampler(random_state=0).fit_resample(X, y)
    assert (X_res.dtype, X_res.device, y_res.dtype, y_res.device) == (X.dtype, X.device, y.dtype, y.device)
    assert torch.equal(X_res[: len(X)], X_before)
    assert torch.equal(y_res[: len(y)], y_before)
    assert torch.equal(X, X_before)
    assert torch.equal(y_res[len(y) :], y_res[len(y) :].sort().values)
    assert y_res.bincount().tolist() == [60, 60, 60]
    assert X_res.isfinite().all()


@resamplers
def test_counts_are_exact_on_many_data_sets(resampler):
    rng = np.random.default_rng(0)
    for seed in range(60):
        counts = rng.integers(7, 80, size=rng.integers(2, 5)).tolist()
        X, y = data(counts, columns=int(rng.integers(1, 6)), seed=seed)
        final = {label: count + int(rng.integers(0, 100)) for label, count in enumerate(counts)}
        _, y_res = resampler(final, random_state=seed).fit_resample(X, y)
        assert y_res.bincount().tolist() == list(final.values())
        assert len(resampler(random_state=seed).fit_resample(X, y)[1]) == max(counts) * len(counts)


@resamplers
def test_the_seed_decides(resampler):
    X, y = data()
    first = resampler(random_state=3).fit_resample(X, y)[0]
    assert torch.equal(resampler(random_state=3).fit_resample(X, y)[0], first)
    again = resampler(random_state=3)
    assert torch.equal(again.fit_resample(X, y)[0], again.fit_resample(X, y)[0])
    assert not torch.equal(resampler(random_state=4).fit_resample(X, y)[0], first)
    assert not torch.equal(resampler().fit_resample(X, y)[0], resampler().fit_resample(X, y)[0])
    seeds = torch.Generator().manual_seed(3)
    by_generator = [resampler(random_state=seeds).fit_resample(X, y)[0] for _ in range(2)]
    assert not torch.equal(*by_generator)
    assert torch.equal(resampler(random_state=seeds.manual_seed(3)).fit_resample(X, y)[0], by_generator[0])


@resamplers
def test_global_randomness_is_left_alone(resampler):
    X, y = data()
    torch.manual_seed(1), np.random.seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    resampler(random_state=0).fit(X, y).sample(5)
    resampler().fit_resample(X, y)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


@resamplers
def test_every_kind_of_container_gives_the_same_rows(resampler):
    X, y = data()
    expected, labels = resampler(random_state=0).fit_resample(X, y)
    X_np, y_np = resampler(random_state=0).fit_resample(X.numpy(), y.numpy())
    assert type(X_np) is type(y_np) is np.ndarray
    assert (X_np.dtype, y_np.dtype) == (np.float32, np.int64)
    assert np.array_equal(X_np, expected.numpy())
    assert np.array_equal(y_np, labels.numpy())
    frame = pd.DataFrame(X.numpy(), columns=["a", "b", "c", "d"], index=range(900, 900 + len(X)))
    series = pd.Series(np.array(["x", "y", "z"])[y.numpy()], name="kind", dtype="category", index=frame.index)
    X_pd, y_pd = resampler(random_state=0).fit_resample(frame, series)
    assert list(X_pd.columns) == ["a", "b", "c", "d"]
    assert (X_pd.dtypes == np.float32).all()
    assert (y_pd.dtype, y_pd.name) == (series.dtype, "kind")
    assert X_pd.index.equals(pd.RangeIndex(len(X_pd)))
    assert y_pd.index.equals(X_pd.index)
    assert np.array_equal(X_pd.to_numpy(), expected.numpy())
    assert y_pd.tolist() == [("x", "y", "z")[label] for label in labels.tolist()]


@resamplers
def test_a_frame_keeps_the_dtype_of_each_column(resampler):
    X, y = data(columns=5)
    frame = pd.DataFrame(X.numpy().round(), columns=list("abcde")).astype(
        {"a": "int8", "b": "float32", "c": "float64", "d": "Int64"}
    )
    frame["e"] = frame["e"] > 0
    X_res, y_res = resampler(random_state=0).fit_resample(frame, y.numpy())
    assert X_res.dtypes.equals(frame.dtypes)
    assert X_res.iloc[: len(frame)].equals(frame)
    assert type(y_res) is np.ndarray
    plain = resampler(random_state=0).fit_resample(frame.astype("float64").to_numpy(), y.numpy())[0]
    expected = np.rint(plain[:, [0, 3, 4]])
    expected[:, 2] = expected[:, 2].clip(0, 1)
    assert np.array_equal(X_res[["a", "d", "e"]].to_numpy("float64"), expected)
    assert np.array_equal(X_res["c"].to_numpy(), plain[:, 2])
    assert type(resampler(random_state=0).fit(frame, y.numpy()).sample(4).X) is pd.DataFrame


@resamplers
@pytest.mark.parametrize("names", [["no", "yes", "z"], [b"a", b"b", b"c"], [-5, 0, 1000], [0.5, 1.5, 2.5]], ids=str)
def test_labels_may_be_what_numpy_sorts(resampler, names):
    X, y = data()
    labels = np.array(names)[y.numpy()]
    y_res = resampler(random_state=0).fit_resample(X, labels)[1]
    assert y_res.dtype == labels.dtype
    assert dict(zip(*np.unique(y_res, return_counts=True), strict=True)) == dict.fromkeys(names, 60)


@resamplers
def test_info_states_where_rows_came_from(resampler, device):
    X, y = data(dtype=torch.float64, device=device)
    info = resampler(random_state=0).fit_resample(X, y, return_info=True)
    new = info.X[len(X) :]
    assert info.is_synthetic.tolist() == [False] * len(X) + [True] * len(new)
    assert info.base_index.dtype == info.neighbor_index.dtype == torch.int64
    assert len(info.base_index) == len(info.neighbor_index) == len(info.gap) == len(new)
    assert torch.equal(y[info.base_index], info.y[len(X) :])
    arrays = resampler(random_state=0).fit_resample(X.cpu().numpy(), y.cpu().numpy(), return_info=True)
    assert all(type(part) is np.ndarray for part in arrays)
    assert np.array_equal(arrays.base_index, info.base_index.cpu().numpy())


@resamplers
def test_a_buffer_is_written_and_returned(resampler, tmp_path):
    X, y = data()
    expected = resampler(random_state=0).fit_resample(X, y)[0]
    out = torch.empty_like(expected)
    assert resampler(random_state=0).fit_resample(X, y, out=out)[0] is out
    assert torch.equal(out, expected)
    disk = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, tuple(expected.shape))
    assert resampler(random_state=0).fit_resample(X.numpy(), y.numpy(), out=disk)[0] is disk
    assert np.array_equal(np.load(tmp_path / "rows.npy"), expected.numpy())
    rows = torch.empty(6, 4)
    fitted = resampler(random_state=0).fit(X, y)
    assert fitted.sample(6, out=rows).X is rows
    assert torch.equal(resampler(random_state=0).fit(X, y).sample(6).X, rows)


@resamplers
@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (torch.empty(3, 4), ValueError, r"shape \(180, 4\)"),
        (torch.empty(180, 4, dtype=torch.float64), ValueError, "dtype"),
        (np.empty((180, 4)), ValueError, "dtype"),
        ([1], TypeError, "`out`"),
        (np.broadcast_to(np.float32(0), (180, 4)), ValueError, "writeable"),
    ],
)
def test_a_wrong_buffer_is_refused(resampler, out, error, words):
    with pytest.raises(error, match=words):
        resampler().fit_resample(*data(), out=out)


@resamplers
def test_no_buffer_for_a_frame(resampler):
    X, y = data()
    with pytest.raises(TypeError, match="DataFrame"):
        resampler().fit_resample(pd.DataFrame(X.numpy()), y.numpy(), out=np.empty((180, 4), np.float32))


@resamplers
def test_sample_before_fit(resampler):
    assert not resampler().is_fitted
    with pytest.raises(RuntimeError, match=r"fit\(X, y\)"):
        resampler().sample(3)


@resamplers
def test_sample_gives_exact_counts(resampler, device):
    X, y = data(device=device)
    fitted = resampler(random_state=0).fit(X, y)
    assert fitted.is_fitted
    assert fitted.sample({2: 3, 1: 5}).y.tolist() == [1] * 5 + [2] * 3
    assert fitted.sample(83).y.bincount().tolist() == [0, 48, 35]
    assert fitted.sample(7).y.bincount().tolist() == [0, 4, 3]
    drawn = fitted.sample({1: 5})
    assert drawn.is_synthetic.all()
    assert drawn.X.device == drawn.gap.device == X.device
    assert set(y[drawn.base_index].tolist()) == {1}


@resamplers
@pytest.mark.parametrize("nothing", [0, {}, {1: 0}])
def test_nothing_may_be_asked_for(resampler, nothing):
    X, y = data()
    drawn = resampler(random_state=0).fit(X, y).sample(nothing)
    assert drawn.X.shape == (0, 4)
    assert [len(part) for part in drawn] == [0] * 6
    assert drawn.X.dtype == X.dtype
    assert drawn.y.dtype == y.dtype


@resamplers
def test_calls_advance_and_repeat_from_the_seed(resampler):
    X, y = data()
    fitted, twin = (resampler(random_state=5).fit(X, y) for _ in range(2))
    draws = [fitted.sample(10).X for _ in range(3)]
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])
    assert all(torch.equal(twin.sample(10).X, draw) for draw in draws)


@resamplers
def test_a_generator_alone_decides(resampler):
    X, y = data()
    other = 5 if resampler is resampling.KMeansSMOTE else 6  # its clusters, part of the graph, follow from the seed too
    fitted, twin = resampler(random_state=5).fit(X, y), resampler(random_state=other).fit(X, y)
    twin.sample(3)
    draws = [r.sample({1: 9}, generator=torch.Generator().manual_seed(7)).X for r in (fitted, twin)]
    assert torch.equal(*draws)
    expected = resampler(random_state=5).fit(X, y).sample(4).X
    assert torch.equal(fitted.sample(4).X, expected)  # the own stream has not moved
    with pytest.raises(TypeError, match="`generator`"):
        fitted.sample(3, generator=7)


@resamplers
@pytest.mark.parametrize(
    ("n", "error", "words"),
    [(-1, ValueError, "`n`"), (1.5, TypeError, "`n`"), ({0: 3}, ValueError, r"classes that grow \(1, 2\)"),
     ({9: 3}, ValueError, "9"), ({1: -2}, ValueError, "n"), ({1: 0.5}, TypeError, "n")],
)  # fmt: skip
def test_wrong_numbers_are_refused(resampler, n, error, words):
    with pytest.raises(error, match=words):
        resampler().fit(*data()).sample(n)


@resamplers
def test_balanced_data_comes_back_as_it_is(resampler):
    X, y = data((9, 9))
    fitted = resampler()
    X_res, y_res = fitted.fit_resample(X, y)
    assert torch.equal(X_res, X)
    assert torch.equal(y_res, y)
    with pytest.raises(ValueError, match="adds no rows"):
        fitted.sample(3)


@resamplers
@pytest.mark.parametrize(
    ("X", "y", "error", "words"),
    [
        (torch.tensor([[1.0, torch.nan, torch.inf]] * 2), [0, 1], ValueError, r"2 of 3 columns: 1 \(2 values\), 2 \("),
        (pd.DataFrame({"age": [1.0, np.nan], "b": [1, 2]}), [0, 1], ValueError, r"'age' \(1 values\)"),
        (pd.DataFrame({"name": ["a", "b"], "b": [1, 2]}), [0, 1], TypeError, "name"),
        (np.array([["a"], ["b"]]), [0, 1], TypeError, "numbers"),
        (torch.ones(4, 2, dtype=torch.complex64), [0, 0, 1, 1], TypeError, "real"),
        (torch.ones(4), [0, 0, 1, 1], ValueError, "shape"),
        (torch.ones(4, 0), [0, 0, 1, 1], ValueError, "d >= 1"),
        (torch.ones(4, 2), [0, 0, 1], ValueError, "number of rows"),
        (torch.ones(4, 2), [[0], [0], [1], [1]], ValueError, "`y` must have shape"),
        (torch.ones(4, 2), [0, 0, 0, 0], ValueError, "more than 1 class. Got 1"),
        (torch.ones(0, 2), [], ValueError, "more than 1 class. Got 0"),
        (torch.ones(4, 2), [0, 0, 0, np.nan], ValueError, "NaN"),
        (torch.tensor([[-3e38], [3e38]]), [0, 1], ValueError, "overflowing values in 1 of 1"),
        (sparse.eye_array(4), [0, 0, 1, 1], TypeError, "numbers"),
    ],
)
def test_bad_data_is_refused_with_its_name(resampler, X, y, error, words):
    if resampler is resampling.SMOTEN and words in ("name", "numbers") and not sparse.issparse(X):
        pytest.skip("text is data for SMOTEN")
    with pytest.raises(error, match=words):
        resampler().fit_resample(X, np.array(y))


@resamplers
def test_read_only_and_strided_inputs(resampler):
    X, y = data()
    expected = resampler(random_state=0).fit_resample(X, y)[0].numpy()
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    strided = np.asfortranarray(np.repeat(X.numpy(), 2, axis=1))[:, ::2]
    assert np.array_equal(resampler(random_state=0).fit_resample(frozen, y.numpy())[0], expected)
    assert np.array_equal(resampler(random_state=0).fit_resample(strided, y.numpy())[0], expected)
    assert np.array_equal(resampler(random_state=0).fit_resample(X.T.contiguous().T, y)[0], expected)
    from_lists = resampler(random_state=0).fit_resample(X.tolist(), y.tolist())[0]  # lists are read in float64
    np.testing.assert_allclose(from_lists, expected, rtol=1e-5, atol=1e-5)


@resamplers
def test_labels_of_a_tensor_must_not_be_nan(resampler):
    with pytest.raises(ValueError, match="NaN"):
        resampler().fit(torch.ones(4, 2), torch.tensor([0.0, 0.0, 1.0, torch.nan]))


@resamplers
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "float16", ">f4", ">i4"])
def test_other_numpy_dtypes(resampler, dtype):
    X, y = data()
    X = (X.numpy() * 10 + 200).astype(dtype)
    X_res, _ = resampler(random_state=0).fit_resample(X, y.numpy())
    assert X_res.dtype == X.dtype.newbyteorder("=")
    assert np.array_equal(X_res[: len(X)], X)


@resamplers
def test_gradients_do_not_flow(resampler):
    X, y = data()
    assert not resampler().fit_resample(X.requires_grad_(), y)[0].requires_grad


@resamplers
def test_a_fitted_resampler_travels(resampler):
    fitted = resampler(random_state=0).fit(*data())
    clones = copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))
    expected = fitted.sample(10).X
    assert all(torch.equal(clone.sample(10).X, expected) for clone in clones)


@resamplers
def test_devices_draw_the_same_rows(resampler, device):
    X, y = data(dtype=torch.float64)
    expected = resampler(random_state=0).fit(X, y).sample(50).X
    there = resampler(random_state=0).fit(X.to(device), y.to(device)).sample(50).X
    moved = resampler(random_state=0).fit(X, y).to(device).sample(50).X
    torch.testing.assert_close(there.cpu(), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(moved.cpu(), expected, rtol=1e-10, atol=1e-10)
