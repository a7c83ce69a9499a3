"""BorderlineSMOTE: bases are the rows in danger, rows equal imbalanced-learn's from the same plan, fall-backs speak."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import BorderlineSMOTE as ImblearnBorderlineSMOTE
from scipy.stats import chisquare

from imbalance_torch.resampling import SMOTE, BatchOversampler, BorderlineSMOTE, smote_from_plan

KINDS = ("borderline-1", "borderline-2")


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def far_apart():
    X, y = data((40, 15))
    X[y == 1] += 1000
    return X, y


def neighbors_of(X, row, k):
    """The k nearest of all other rows, ties by index."""
    squared = ((X - X[row]) ** 2).sum(1)
    squared[row] = torch.inf
    return squared.argsort(stable=True)[:k]


def in_danger(X, y, label, m):
    rows = (y == label).nonzero().flatten().tolist()
    others = {row: int((y[neighbors_of(X, row, m)] != label).sum()) for row in rows}
    return {row for row, number in others.items() if m / 2 <= number < m}


def replayed(resampler, X, y, seed):
    """The plan from imbalanced-learn's draws: one stream, restarted in every class and for the second factor."""
    base, neighbor, gap = [], [], []
    for label, number in resampler.sampling_strategy_.items():
        if number:
            random_state = np.random.RandomState(seed)
            edges, index = resampler.graph_.edges[label], resampler.graph_.row_index
            k = edges.neighbors.shape[1]
            pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), number))
            base.append(index[edges.bases[pair // k]])
            neighbor.append(index[edges.neighbors.flatten()[pair]])
            gap.append(random_state.uniform(size=number))
            other = (y[neighbor[-1]] != label).numpy()
            gap[-1][other] *= np.random.RandomState(seed).uniform(0, 0.5, other.sum())
    return torch.cat(base), torch.cat(neighbor), np.concatenate(gap)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_imbalanced_learns_draws_give_its_rows(kind, seed):
    X, y = data(seed=seed)
    settings = {"k_neighbors": 4, "m_neighbors": 7 + seed, "kind": kind}
    theirs = ImblearnBorderlineSMOTE(random_state=seed, **settings)
    expected, labels = theirs.fit_resample(X.numpy(), y.numpy())
    resampler = BorderlineSMOTE(**settings).fit(X, y)
    for label, rows in theirs.in_danger_indices.items():
        drawn_from = resampler.graph_.row_index[resampler.graph_.edges[label].bases]
        assert drawn_from.tolist() == rows.tolist()
    base, neighbor, gap = replayed(resampler, X, y, seed)
    new, expected = smote_from_plan(X, base, neighbor, gap).numpy(), expected[len(X) :]
    same = (y[base] == y[neighbor]).numpy()
    assert np.array_equal(new[same], expected[same])
    # Across classes the two factors are multiplied in another order there: s (u d), here (s u) d.
    np.testing.assert_allclose(new[~same], expected[~same], rtol=0, atol=1e-14)
    assert same.all() == (kind == "borderline-1")
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1, 2, 5, 10])
def test_bases_are_the_rows_in_danger(kind, m):
    X, y = data((50, 30, 30), columns=2, seed=3)
    X[(y == 1).nonzero()[0]] = X[y == 0].mean(0)  # a row amid another class
    for label in (1, 2):
        expected = in_danger(X, y, label, m)
        if m == 1:  # one neighbour is of the class (0 < 1/2) or all are not: nothing is in danger
            assert not expected
            with pytest.warns(UserWarning, match=f"No row of class {label}"):
                BorderlineSMOTE({label: 60}, m_neighbors=m, kind=kind).fit(X, y)
            continue
        info = BorderlineSMOTE({label: 60}, m_neighbors=m, kind=kind, random_state=0).fit(X, y).sample(4000)
        assert set(info.base_index.tolist()) == expected
        assert 0 < len(expected) < 30


@pytest.mark.parametrize("kind", KINDS)
def test_danger_counts_duplicates_but_not_the_row_itself(kind):
    """Every row three times, more often than there are neighbours in part: self is masked by index, ties by index."""
    X, y = data((40, 16), columns=2, seed=1)
    X, y = torch.cat((X, X, X)), torch.cat((y, y, 1 - y))
    for m in (2, 4, 6):
        expected = in_danger(X, y, 1, m)
        info = BorderlineSMOTE({1: 200}, k_neighbors=3, m_neighbors=m, kind=kind, random_state=0).fit(X, y).sample(4000)
        assert set(info.base_index.tolist()) == expected
        assert (info.base_index != info.neighbor_index).all()


def test_neighbours_of_borderline_2_are_the_nearest_of_all_rows():
    X, y = data((50, 30), columns=2)
    info = BorderlineSMOTE({1: 60}, k_neighbors=3, kind="borderline-2", random_state=0).fit(X, y).sample(6000)
    pairs = set(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True))
    expected = {(row, near) for row in in_danger(X, y, 1, 10) for near in neighbors_of(X, row, 3).tolist()}
    assert pairs == expected
    assert torch.equal(info.X, X[info.base_index] + info.gap[:, None] * (X[info.neighbor_index] - X[info.base_index]))


def test_neighbours_of_borderline_1_are_those_of_smote():
    X, y = data((50, 30, 30))
    danger, plain = BorderlineSMOTE(k_neighbors=3).fit(X, y).graph_, SMOTE(k_neighbors=3).fit(X, y).graph_
    for label, edges in danger.edges.items():
        offset = plain.edges[label].bases[0]
        assert torch.equal(edges.neighbors, plain.edges[label].neighbors[edges.bases - offset])
        assert 0 < len(edges.bases) < len(plain.edges[label].bases)


def test_gaps_are_halved_towards_other_classes():
    X, y = data((50, 30), columns=2)
    info = BorderlineSMOTE({1: 60}, kind="borderline-2", random_state=0).fit(X, y).sample(40_000)
    other = y[info.neighbor_index] != 1
    for gap, top in ((info.gap[~other], 1.0), (info.gap[other], 0.5)):
        assert len(gap) > 5000
        assert 0 <= gap.min()
        assert gap.max() < top
        assert chisquare((gap / top * 50).long().bincount(minlength=50).numpy()).pvalue > 1e-4


def test_where_all_rows_are_in_danger_it_is_plain_smote():
    """Pairs of class 1 between rows of class 0: of the two nearest rows one is the partner."""
    place = torch.arange(20, dtype=torch.float64) * 10
    ones, zeros = torch.cat((place, place + 1)), torch.cat((place - 2, place + 3.5, place + 5))
    X, y = torch.cat((zeros, ones))[:, None], torch.tensor([0] * 60 + [1] * 40)
    expected = SMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)[0]
    assert torch.equal(BorderlineSMOTE(k_neighbors=3, m_neighbors=2, random_state=0).fit_resample(X, y)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_without_danger_it_warns_once_and_is_plain_smote(kind):
    X, y = far_apart()
    theirs = ImblearnBorderlineSMOTE(kind=kind).fit_resample(X.numpy(), y.numpy())[1]
    assert len(theirs) == len(y)  # silently nothing
    with pytest.warns(UserWarning, match="No row of class 1 is in danger.*plain SMOTE.*`m_neighbors`") as caught:
        X_res, y_res = BorderlineSMOTE(kind=kind, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res, SMOTE(random_state=0).fit_resample(X, y)[0])
    assert y_res.bincount().tolist() == [40, 40]
    with pytest.raises(ValueError, match="in danger"):
        BorderlineSMOTE(kind=kind, on_degenerate="error").fit(X, y)


def test_one_class_falls_back_alone():
    X, y = data((60, 20, 15))
    X[y == 2] += 1000
    with pytest.warns(UserWarning, match="class 2") as caught:
        info = BorderlineSMOTE(random_state=0).fit_resample(X, y, return_info=True)
    assert len(caught) == 1
    assert info.y.bincount().tolist() == [60, 60, 60]
    assert set(info.base_index[:40].tolist()) <= in_danger(X, y, 1, 10)


def test_copies_are_announced():
    """Twelve equal rows of class 1 whose ten nearest are equal rows of class 0 and of class 1."""
    X, y = data((40, 12), columns=2)
    X[:], X[y == 0] = 0.0, 0.0
    with pytest.warns(UserWarning, match="copies") as caught:
        BorderlineSMOTE({1: 50}, k_neighbors=2, m_neighbors=45, kind="borderline-2").fit(X, y)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="All 12 rows of class 1 equal") as caught:
        BorderlineSMOTE({1: 50}, k_neighbors=2, m_neighbors=45).fit(X, y)
    assert len(caught) == 1


def test_borderline_2_needs_fewer_rows_of_the_class():
    X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [4.5], [4.75], [9.0]])
    y = torch.tensor([0, 0, 0, 0, 0, 1, 1, 0])
    settings = {"k_neighbors": 3, "m_neighbors": 4, "random_state": 0}
    info = BorderlineSMOTE(kind="borderline-2", **settings).fit_resample(X, y, return_info=True)
    assert info.y.bincount().tolist() == [6, 6]
    assert set(info.base_index.tolist()) <= {5, 6}
    with pytest.raises(ValueError, match=r"got k_neighbors=3 and 2 rows of class 1. Use k_neighbors=1"):
        BorderlineSMOTE(**settings).fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_scale_shift_and_order_do_not_matter(kind):
    X, y = data((50, 30))
    settings = {"kind": kind, "random_state": 0}
    expected = BorderlineSMOTE(**settings).fit_resample(X, y, return_info=True)
    for factor in (2.0**300, 2.0**-300):
        scaled = BorderlineSMOTE(**settings).fit_resample(X * factor, y, return_info=True)
        assert torch.equal(scaled.neighbor_index, expected.neighbor_index)
        assert torch.equal(scaled.X, expected.X * factor)
    torch.testing.assert_close(BorderlineSMOTE(**settings).fit_resample(X + 1e4, y)[0], expected.X + 1e4)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    moved = BorderlineSMOTE(**settings).fit(X[order], y[order]).sample(4000)
    drawn = BorderlineSMOTE(**settings).fit(X, y).sample(4000)
    assert set(order[moved.base_index].tolist()) == set(drawn.base_index.tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_follow_from_their_stated_parents(kind, dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = BorderlineSMOTE(kind=kind, random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)


def test_batches_can_be_topped_up():
    X, y = data((60, 20))
    oversampler = BatchOversampler(BorderlineSMOTE(kind="borderline-2", random_state=0), target_ratio=1.0).fit(X, y)
    batch = (y == 0).nonzero().flatten()[:10]
    assert oversampler(X[batch], y[batch])[1].bincount().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"m_neighbors": 0}, ValueError, "`m_neighbors` must be >= 1"),
        ({"m_neighbors": 2.0}, TypeError, "`m_neighbors`"),
        ({"kind": "borderline-3"}, ValueError, "'borderline-1', 'borderline-2'"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        BorderlineSMOTE(**arguments)


def test_more_neighbours_than_rows():
    X, y = data((20, 10))
    with pytest.raises(ValueError, match=r"got m_neighbors=30 and 30 rows. Use m_neighbors=29"):
        BorderlineSMOTE(m_neighbors=30).fit(X, y)
    with pytest.raises(ValueError, match=r"`k_neighbors`.*got k_neighbors=30 and 30 rows"):
        BorderlineSMOTE(m_neighbors=5, k_neighbors=30, kind="borderline-2").fit(X, y)
    with pytest.raises(ValueError, match=r"1 row of class 1. Use random over-sampling"):
        BorderlineSMOTE().fit(*data((20, 1)))
