"""ADASYN: rows per base follow the other classes around it, exactly or rounded as in imbalanced-learn."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from imblearn.over_sampling import ADASYN as ImblearnADASYN
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.plan import largest_remainder
from imbalance_torch.resampling import ADASYN, SMOTE, BatchOversampler, _over, smote_from_plan


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def others_around(X, y, label, k):
    """Row of the class to how many of its k nearest rows are of other classes, by scikit-learn."""
    near = NearestNeighbors(n_neighbors=k + 1).fit(X.numpy()).kneighbors(return_distance=False, n_neighbors=k)
    return {row: int((y[near[row]] != label).sum()) for row in (y == label).nonzero().flatten().tolist()}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [4, 5])
def test_imbalanced_learns_draws_give_its_rows_bit_for_bit(k, seed):
    X, y = data(seed=seed)
    expected, labels = ImblearnADASYN(random_state=seed, n_neighbors=k).fit_resample(X.numpy(), y.numpy())
    resampler = ADASYN(n_neighbors=k, exact=False)
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)
    random_state = np.random.RandomState(seed)  # one stream for all classes
    base, neighbor, gap = [], [], []
    for label, number in resampler.sampling_strategy_.items():
        edges, index = resampler.graph_.edges[label], resampler.graph_.row_index
        row = torch.repeat_interleave(edges.shares.long())
        assert len(row) == number
        column = torch.as_tensor(random_state.choice(k, size=number))
        base.append(index[edges.bases[row]])
        neighbor.append(index[edges.neighbors[row, column]])
        gap.append(random_state.uniform(size=number))
    new = smote_from_plan(X, torch.cat(base), torch.cat(neighbor), np.concatenate(gap))
    assert np.array_equal(new.numpy(), expected[len(X) :])
    drawn = resampler.fit_resample(X, y, return_info=True).base_index
    assert torch.equal(drawn, torch.cat(base))  # which base gets how many rows is not random


def test_rounding_misses_the_count_and_exact_does_not():
    missed = 0
    for seed in range(20):
        X, y = data((60, 14), seed=seed)
        theirs = np.bincount(ImblearnADASYN(random_state=0).fit_resample(X.numpy(), y.numpy())[1]).tolist()
        rounding = ADASYN(exact=False, random_state=0)
        assert rounding.fit_resample(X, y)[1].bincount().tolist() == theirs
        assert rounding.sampling_strategy_ == {1: theirs[1] - 14}
        missed += theirs != [60, 60]
        assert ADASYN(random_state=0).fit_resample(X, y)[1].bincount().tolist() == [60, 60]
    assert missed > 10


def test_a_draw_for_one_batch_reaches_bases_by_their_weight():
    X, y = data(seed=2)
    resampler = ADASYN(random_state=0).fit(X, y)
    others = others_around(X, y, 1, 5)
    drawn = torch.stack([resampler.sample({1: 2}).base_index.bincount(minlength=len(X)) for _ in range(2000)])
    assert (drawn.sum(1) == 2).all()
    for row, share in others.items():
        quota = 2 * share / sum(others.values())
        assert drawn[:, row].max() <= int(quota) + 1
        assert (
            abs(float(drawn[:, row].double().mean()) - quota) < 4 * (quota % 1 * (1 - quota % 1) / 2000) ** 0.5 + 1e-9
        )


@pytest.mark.parametrize("number", [35, 400, 12_345])
def test_bases_get_their_share_by_largest_remainder(number):
    X, y = data(seed=2)
    resampler = ADASYN(random_state=0).fit(X, y)
    for label in (1, 2):
        others = others_around(X, y, label, 5)
        assert 0 in others.values() or label == 1
        expected = largest_remainder(number, others)
        drawn = resampler.sample({label: number}).base_index.bincount(minlength=len(X))
        assert {row: int(drawn[row]) for row in others} == expected
        assert int(drawn.sum()) == number
        quotas = {row: Fraction(number * share, sum(others.values())) for row, share in others.items()}
        assert all(abs(int(drawn[row]) - quota) < 1 for row, quota in quotas.items())


@pytest.mark.parametrize("exact", [True, False])
def test_many_rows_are_shared_out_in_parts(exact, monkeypatch):
    X, y = data(seed=2)
    whole = ADASYN({1: 412}, exact=exact, random_state=0).fit_resample(X, y, return_info=True)
    monkeypatch.setattr(_over, "_CHUNK", 100)
    parts = ADASYN({1: 412}, exact=exact, random_state=0).fit_resample(X, y, return_info=True)
    assert len(parts.y) == len(whole.y)
    difference = parts.base_index.bincount(minlength=len(X)) - whole.base_index.bincount(minlength=len(X))
    assert difference.abs().max() <= 5


def test_neighbours_are_the_nearest_of_the_class():
    X, y = data()
    info = ADASYN(n_neighbors=3, random_state=0).fit(X, y).sample({1: 3000})
    rows = (y == 1).nonzero().flatten().numpy()
    near = NearestNeighbors(n_neighbors=3).fit(X[rows].numpy()).kneighbors(return_distance=False)
    weighted = {row for row, number in others_around(X, y, 1, 3).items() if number}
    allowed = {(rows[i], rows[j]) for i, row in enumerate(near) for j in row if rows[i] in weighted}
    assert set(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True)) == allowed
    assert 0 <= info.gap.min()
    assert 0.99 < info.gap.max() < 1


def test_the_seed_moves_neighbours_and_gaps_not_bases():
    X, y = data()
    first, second = (ADASYN(random_state=seed).fit_resample(X, y, return_info=True) for seed in (0, 1))
    assert torch.equal(first.base_index, second.base_index)
    assert not torch.equal(first.neighbor_index, second.neighbor_index)
    assert (first.gap != second.gap).all()


@pytest.mark.parametrize("exact", [True, False])
def test_without_other_classes_near_it_warns_once_and_is_plain_smote(exact):
    X, y = data((40, 15))
    X[y == 1] += 1000
    with pytest.raises(RuntimeError, match="majority"):
        ImblearnADASYN().fit_resample(X.numpy(), y.numpy())
    with pytest.warns(UserWarning, match="No row of class 1 has .*plain SMOTE.*`n_neighbors`") as caught:
        X_res, y_res = ADASYN(exact=exact, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res, SMOTE(random_state=0).fit_resample(X, y)[0])
    assert y_res.bincount().tolist() == [40, 40]
    with pytest.raises(ValueError, match="No row of class 1"):
        ADASYN(on_degenerate="error").fit(X, y)


def test_rounding_everything_to_nothing_is_refused():
    X, y = data((300, 100), seed=1)
    with pytest.raises(ValueError, match="No samples will be generated"):
        ImblearnADASYN(sampling_strategy={1: 103}).fit_resample(X.numpy(), y.numpy())
    with pytest.raises(ValueError, match=r"rounds the share of every row of class 1 to 0 of the 3 rows.*exact=True"):
        ADASYN({1: 103}, exact=False).fit(X, y)
    assert ADASYN({1: 103}).fit_resample(X, y)[1].bincount().tolist() == [300, 103]


def test_a_sample_is_exact_also_with_rounding():
    X, y = data()
    resampler = ADASYN(exact=False, random_state=0).fit(X, y)
    for number in (1, 7, 100):
        assert len(resampler.sample(number).y) == number
        assert len(resampler.sample({1: number}).y) == number


def test_weights_do_not_depend_on_scale_and_shift():
    X, y = data()
    expected = ADASYN(random_state=0).fit_resample(X, y, return_info=True)
    for factor in (2.0**300, 2.0**-300):
        scaled = ADASYN(random_state=0).fit_resample(X * factor, y, return_info=True)
        assert torch.equal(scaled.base_index, expected.base_index)
        assert torch.equal(scaled.X, expected.X * factor)
    torch.testing.assert_close(ADASYN(random_state=0).fit_resample(X + 1e4, y)[0], expected.X + 1e4)


def test_duplicates_do_not_count_themselves():
    """Each row of class 1 stands on a row of class 0 that comes first: one of its two nearest, itself is none."""
    place = torch.arange(6, dtype=torch.float64)[:, None] * 100
    X = torch.cat((place, torch.full((4, 1), -5000.0, dtype=torch.float64), place))
    y = torch.tensor([0] * 10 + [1] * 6)
    resampler = ADASYN({1: 12}, n_neighbors=1, random_state=0).fit(X, y)
    assert resampler.graph_.edges[1].shares.tolist() == [1] * 6
    assert resampler.sample(6).base_index.tolist() == list(range(10, 16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = ADASYN(random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)


def test_batches_can_be_topped_up():
    X, y = data((60, 20))
    oversampler = BatchOversampler(ADASYN(random_state=0), target_ratio=1.0).fit(X, y)
    batch = (y == 0).nonzero().flatten()[:10]
    assert oversampler(X[batch], y[batch])[1].bincount().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be >= 1"),
        ({"n_neighbors": 2.0}, TypeError, "`n_neighbors`"),
        ({"exact": 1}, TypeError, "`exact` must be True or False"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        ADASYN(**arguments)


def test_too_few_rows_name_the_argument():
    with pytest.raises(ValueError, match=r"`n_neighbors` must be .*got n_neighbors=5 and 4 rows.*Use n_neighbors=3 or"):
        ADASYN().fit(*data((20, 4)))
