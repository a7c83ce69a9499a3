"""SafeLevelSMOTE: the gap of each pair follows from the safe levels of its two rows."""

import pytest
import torch
from scipy.stats import chisquare
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.resampling import SMOTE, BatchOversampler, SafeLevelSMOTE, smote_from_plan


def data(counts=(60, 30, 25), columns=2, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 2 + y[:, None]
    return X.to(device, dtype), y.to(device)


def ranges(X, y, label, k):
    """Pair of rows to the range of its gap, in the words of the paper and by scikit-learn's neighbours."""
    near = NearestNeighbors(n_neighbors=k).fit(X.numpy()).kneighbors(return_distance=False)
    level = {i: int((y.numpy()[near[i]] == label).sum()) for i in range(len(X))}
    rows = (y == label).nonzero().flatten().tolist()
    own = NearestNeighbors(n_neighbors=k).fit(X[rows].numpy()).kneighbors(return_distance=False)
    found = {}
    for i, neighbors in zip(rows, own, strict=True):
        for j in (rows[n] for n in neighbors):
            if level[j] == 0:
                if level[i]:
                    found[i, j] = (0.0, 0.0)
                continue
            ratio = level[i] / level[j]
            found[i, j] = (0.0, 1 / ratio) if ratio >= 1 else (1 - ratio, 1.0)
    return found


@pytest.mark.parametrize("k", [2, 3, 5])
def test_gaps_are_uniform_in_the_range_of_their_pair(k):
    X, y = data()
    resampler = SafeLevelSMOTE(k_neighbors=k, random_state=0).fit(X, y)
    for label in (1, 2):
        expected = ranges(X, y, label, k)
        info = resampler.sample({label: 30_000})
        pairs = list(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True))
        assert set(pairs) == set(expected)
        low, high = torch.tensor([expected[pair] for pair in pairs], dtype=torch.float64).unbind(1)
        wide = high > low
        assert torch.equal(info.gap[~wide], low[~wide])
        place = ((info.gap - low) / (high - low))[wide]
        assert place.min() >= -1e-12
        assert place.max() <= 1
        assert chisquare((place * 50).long().clamp(0, 49).bincount(minlength=50).numpy()).pvalue > 1e-4
        counts = torch.unique(torch.tensor([i * 1000 + j for i, j in pairs]), return_counts=True)[1]
        assert chisquare(counts.numpy()).pvalue > 1e-4
    assert any(bounds == (0.0, 0.0) for bounds in ranges(X, y, 1, 2).values())
    assert len(ranges(X, y, 1, 2)) < 60  # pairs whose levels are both 0 are left out


def test_where_all_rows_are_equally_safe_pairs_and_gaps_are_those_of_smote():
    X, y = data((60, 20))
    X[y == 1] += 1000
    info = SafeLevelSMOTE(random_state=0).fit(X, y).sample(4000)
    plain = SMOTE(random_state=0).fit(X, y).sample(4000)
    assert torch.equal(info.X, plain.X)


def test_without_a_safe_pair_it_warns_once_and_is_plain_smote():
    """Every row of class 1 stands far from the others, amid rows of class 0."""
    place = torch.arange(10, dtype=torch.float64) * 100
    zeros = (place[:, None] + torch.arange(1, 4)).flatten()
    X, y = torch.cat((zeros, place))[:, None], torch.tensor([0] * 30 + [1] * 10)
    words = "No row of class 1 .*plain SMOTE.*`k_neighbors`"
    with pytest.warns(UserWarning, match=words) as caught:
        X_res, y_res = SafeLevelSMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res, SMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)[0])
    assert y_res.bincount().tolist() == [30, 30]
    with pytest.raises(ValueError, match="No row of class 1"):
        SafeLevelSMOTE(k_neighbors=3, on_degenerate="error").fit(X, y)


def test_equal_rows_are_announced():
    X, y = data((40, 12))
    X[y == 1] = 50.0
    with pytest.warns(UserWarning, match="All 12 rows of class 1 equal") as caught:
        X_res, _ = SafeLevelSMOTE(random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert (X_res[52:] == 50).all()


def test_scale_does_not_matter():
    X, y = data()
    expected = SafeLevelSMOTE(random_state=0).fit_resample(X, y, return_info=True)
    for factor in (2.0**300, 2.0**-300):
        scaled = SafeLevelSMOTE(random_state=0).fit_resample(X * factor, y, return_info=True)
        assert torch.equal(scaled.gap, expected.gap)
        assert torch.equal(scaled.X, expected.X * factor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = SafeLevelSMOTE(random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(y[info.neighbor_index], info.y)


def test_batches_can_be_topped_up():
    X, y = data((60, 20))
    oversampler = BatchOversampler(SafeLevelSMOTE(random_state=0), target_ratio=1.0).fit(X, y)
    batch = (y == 0).nonzero().flatten()[:10]
    assert oversampler(X[batch], y[batch])[1].bincount().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"k_neighbors": 2.0}, TypeError, "`k_neighbors`"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        SafeLevelSMOTE(**arguments)


def test_too_few_rows():
    with pytest.raises(ValueError, match="got k_neighbors=5 and 4 rows of class 1"):
        SafeLevelSMOTE().fit(*data((20, 4)))
