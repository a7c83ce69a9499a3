"""RandomOverSampler: exact copies, or noise of the stated width; with imbalanced-learn's draws, its rows."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler as ImblearnRandomOverSampler
from scipy.stats import chisquare, kstest

from imbalance_torch.resampling import BatchOversampler, RandomOverSampler
from imbalance_torch.resampling._graph import Plan


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + y[:, None]
    return X.to(device, dtype), y.to(device)


def bandwidth(X):
    return (4 / ((X.shape[1] + 2) * len(X))) ** (1 / (X.shape[1] + 4))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shrinkage", [None, 0, 0.7, {0: 0.1, 1: 2.0, 2: 0.0}], ids=str)
@pytest.mark.parametrize("strategy", ["auto", "minority", {0: 70, 1: 41, 2: 25}], ids=str)
def test_imbalanced_learns_draws_give_its_rows(strategy, shrinkage, seed, monkeypatch):
    X, y = data(seed=seed)
    expected, labels = ImblearnRandomOverSampler(
        sampling_strategy=strategy, shrinkage=shrinkage, random_state=seed
    ).fit_resample(X.numpy(), y.numpy())
    resampler = RandomOverSampler(strategy, shrinkage=shrinkage).fit(X, y)
    random_state, parts = np.random.RandomState(seed), []
    index = resampler.graph_.row_index
    for label, number in resampler.sampling_strategy_.items():
        drawn = torch.as_tensor(random_state.choice(np.flatnonzero(y == label), size=number, replace=True))
        normals = None if shrinkage is None else torch.as_tensor(random_state.randn(number, 4))
        if number:
            base = (index == drawn[:, None]).byte().argmax(1)
            plan = Plan(base, base, torch.zeros(number, dtype=torch.float64), None if shrinkage is None else 0)
            with monkeypatch.context() as patch:
                patch.setattr(torch, "randn", lambda *_, normals=normals, **__: normals)
                parts.append(resampler.generate(plan))
    new = torch.cat(parts).numpy()
    if shrinkage is None:
        assert np.array_equal(new, expected[len(X) :])
    else:
        np.testing.assert_allclose(new, expected[len(X) :], rtol=1e-13, atol=1e-13)
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.bool]
)
@pytest.mark.parametrize("shrinkage", [None, 0, {1: 0.0, 2: 0}])
def test_rows_are_copies_of_their_stated_parents(dtype, shrinkage, device):
    X, y = data(dtype=torch.float32, device=device)
    X = X.abs().to(dtype)
    info = RandomOverSampler(shrinkage=shrinkage, random_state=0).fit(X, y).sample(300)
    assert torch.equal(info.X, X[info.base_index])
    assert torch.equal(info.neighbor_index, info.base_index)
    assert not info.gap.any()
    assert torch.equal(y[info.base_index], info.y)


def test_copies_keep_what_arithmetic_would_lose():
    X = torch.tensor([[2**53 + 1], [2**63 - 1], [-(2**63)], [3], [4]])
    y = torch.tensor([1, 1, 1, 0, 0])
    assert set(RandomOverSampler({0: 2, 1: 40}, random_state=0).fit_resample(X, y)[0][5:].flatten().tolist()) == set(
        X[:3].flatten().tolist()
    )
    zeros = torch.tensor([[-0.0], [1.0], [2.0]])
    new = RandomOverSampler(random_state=0).fit_resample(zeros, np.array([1, 0, 0]))[0][3:]
    assert torch.signbit(new).all()


def test_rows_are_drawn_uniformly_and_with_replacement():
    X, y = data()
    info = RandomOverSampler(random_state=0).fit(X, y).sample({1: 36_000})
    times = info.base_index.bincount(minlength=len(X))
    assert not times[y != 1].any()
    assert chisquare(times[y == 1].numpy()).pvalue > 1e-4


def test_one_row_is_enough():
    X, y = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), ["a", "a", "b"]
    X_res, y_res = RandomOverSampler({"a": 5, "b": 9}, random_state=0).fit_resample(X, y)
    assert torch.equal(X_res[-8:], X[2:].expand(8, 2))
    assert y_res.tolist() == ["a"] * 2 + ["b"] + ["a"] * 3 + ["b"] * 8


@pytest.mark.parametrize("rows", [1, 4])
def test_equal_rows_have_no_width(rows):
    X = torch.cat((torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), torch.full((rows, 2), 0.1)))
    y = torch.tensor([0] * 8 + [1] * rows)
    with pytest.warns(UserWarning, match=rf"{rows} rows of class 1 are equal.*shrinkage=None") as caught:
        X_res, _ = RandomOverSampler(shrinkage=1.0, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert (X_res[8:] == 0.1).all()
    with pytest.raises(ValueError, match="class 1 are equal"):
        RandomOverSampler(shrinkage=1.0, on_degenerate="error").fit(X, y)
    assert torch.equal(RandomOverSampler(shrinkage=0.0, random_state=0).fit_resample(X, y)[0], X_res)


def test_a_constant_column_stays_constant():
    X, y = data()
    X[:, 2] = 0.1
    new = RandomOverSampler(shrinkage=1.0, random_state=0).fit(X, y).sample(200).X
    assert (new[:, 2] == 0.1).all()
    assert (new[:, 0].unique(return_counts=True)[1] == 1).all()


def test_noise_is_normal_with_the_stated_width():
    X, y = data((600, 40, 25))
    X *= torch.tensor([1.0, 10.0, 0.1, 1.0])
    resampler = RandomOverSampler(shrinkage={1: 0.5, 2: 2.0}, random_state=0).fit(X, y)
    info = resampler.sample({1: 30_000, 2: 30_000})
    noise = info.X - X[info.base_index]
    for label, shrinkage in ((1, 0.5), (2, 2.0)):
        width = shrinkage * bandwidth(X) * X[y == label].numpy().std(axis=0)
        standard = noise[info.y == label].numpy() / width
        assert all(kstest(column, "norm").pvalue > 1e-4 for column in standard.T)
        np.testing.assert_allclose(np.corrcoef(standard.T), np.eye(4), atol=4 / 30_000**0.5)


def test_noise_differs_between_rows_blocks_calls_and_classes():
    """Two columns make blocks of 2^17 rows; chunks of 2^18 rows have plans of their own."""
    X, y = data((60, 12, 12), columns=2)
    resampler = RandomOverSampler(shrinkage=1.0, random_state=0).fit(X, y)
    info = resampler.sample({1: 400_000, 2: 50})
    noise = info.X - X[info.base_index]
    assert len(noise.unique(dim=0)) == len(noise)
    again = resampler.sample({1: 400_000}).X
    assert not (again == info.X[:400_000]).any(1).any()
    twin = RandomOverSampler(shrinkage=1.0, random_state=0).fit(X, y).sample({1: 400_000, 2: 50})
    assert torch.equal(twin.X, info.X)
    alone = RandomOverSampler(shrinkage=1.0, random_state=0).fit(X, y).sample({2: 50})
    assert torch.equal(alone.X, info.X[400_000:])


def test_scaling_and_translation_move_rows_along():
    X, y = data()
    expected = RandomOverSampler(shrinkage=1.0, random_state=0).fit_resample(X, y)[0]
    for scale in (2.0**-900, 2.0**900):
        scaled = RandomOverSampler(shrinkage=1.0, random_state=0).fit_resample(X * scale, y)[0]
        torch.testing.assert_close(scaled / scale, expected, rtol=1e-13, atol=1e-13)
    moved = RandomOverSampler(shrinkage=1.0, random_state=0).fit_resample(X + 1e3, y)[0]
    torch.testing.assert_close(moved, expected + 1e3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_noise_in_other_dtypes(dtype):
    X, y = data(dtype=dtype)
    info = RandomOverSampler(shrinkage=1.0, random_state=0).fit(X, y).sample({2: 2000})
    assert info.X.dtype == dtype
    noise = (info.X.float() - X[info.base_index].float()).std(0)
    torch.testing.assert_close(noise, bandwidth(X) * X[y == 2].float().std(0, correction=0), rtol=0.1, atol=0)


def test_noise_leaves_no_dtype():
    X = torch.tensor([[0], [255], [0], [255], [0], [255], [0], [255]], dtype=torch.uint8)
    y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    new = RandomOverSampler({1: 400}, shrinkage=1.0, random_state=0).fit(X, y).sample(400)
    for end in (0, 255):  # half of the noise points outwards
        assert 0.35 < (new.X == end)[X[new.base_index] == end].float().mean() < 0.65
    big = torch.tensor([[-4e4], [4e4], [-6e4], [6e4]], dtype=torch.float16)
    grown = RandomOverSampler({1: 400}, shrinkage=1.0, random_state=0).fit_resample(big, np.array([0, 0, 1, 1]))[0]
    assert grown.isfinite().all()
    flags = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 1], [1, 0]], dtype=torch.bool)
    assert RandomOverSampler(shrinkage=1.0).fit_resample(flags, np.array([0, 0, 0, 1, 1]))[0].dtype == torch.bool


def test_noise_of_integers_is_rounded_to_the_nearest():
    X, y = data()
    whole = (X * 10).round()
    as_float = RandomOverSampler(shrinkage=1.0, random_state=0).fit(whole, y).sample(200).X
    as_int = RandomOverSampler(shrinkage=1.0, random_state=0).fit(whole.long(), y).sample(200).X
    assert torch.equal(as_int, as_float.round().long())


@pytest.mark.parametrize("shrinkage", [None, 0.5])
def test_batches_are_topped_up(shrinkage):
    X, y = data((60, 12, 25), dtype=torch.float32)
    oversampler = BatchOversampler(RandomOverSampler(shrinkage=shrinkage, random_state=0), target_ratio=1.0).fit(X, y)
    X_more, y_more = oversampler(X[:40], y[:40])
    assert y_more.bincount().tolist() == [y[:40].bincount().max()] * 3
    known = (X_more[40:, None] == X).all(2).any(1)
    assert known.all() if shrinkage is None else not known.any()


@pytest.mark.parametrize(
    ("shrinkage", "error", "words"),
    [
        (-1, ValueError, r"`shrinkage` must be >= 0, got shrinkage=-1"),
        (float("nan"), ValueError, "finite"),
        ("0.5", TypeError, "`shrinkage` must be a number"),
        ({"a": -0.5}, ValueError, r"`shrinkage\['a'\]` must be >= 0"),
        ({"a": None}, TypeError, r"`shrinkage\['a'\]`"),
    ],
)
def test_wrong_shrinkage_is_refused(shrinkage, error, words):
    with pytest.raises(error, match=words):
        RandomOverSampler(shrinkage=shrinkage)


def test_a_class_without_shrinkage_is_named():
    X, y = data()
    with pytest.raises(ValueError, match=r"factor for each class that will be resampled.*\[2\]"):
        RandomOverSampler(shrinkage={1: 1.0, 7: 3}).fit(X, y)
    RandomOverSampler({1: 30}, shrinkage={1: 1.0, 7: 3}).fit(X, y)
