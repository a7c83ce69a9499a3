"""ProWSyn: levels are those of the stated peeling, shares are exact, parents are two rows of one level."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from imbalance_torch.plan import largest_remainder
from imbalance_torch.resampling import BatchOversampler, ProWSyn, smote_from_plan


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def peeled(X, y, label, n_levels, n_neighbors):
    """The levels as sets of rows, then what is left, by a loop over the rows of other classes."""
    rest, levels = set((y == label).nonzero().flatten().tolist()), []
    for _ in range(n_levels):
        distances = {row: (X - X[row]).norm(dim=1) for row in rest}
        level = set()
        for other in (y != label).nonzero().flatten().tolist():
            level |= set(sorted(rest, key=lambda row: float(distances[row][other]))[:n_neighbors])
        levels.append(level)
        rest -= level
    return [*levels, rest]


@pytest.mark.parametrize(("n_levels", "n_neighbors"), [(1, 1), (2, 1), (3, 2), (5, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_parents_are_all_pairs_of_each_level(n_levels, n_neighbors, seed, device):
    X, y = data((40, 14, 20), columns=2, seed=seed)
    resampler = ProWSyn(n_levels=n_levels, n_neighbors=n_neighbors, theta=0, random_state=0)
    info = resampler.fit(X.to(device), y.to(device)).sample(20_000)
    for label in (1, 2):
        drawn = info.y == label
        pairs = set(zip(info.base_index[drawn].tolist(), info.neighbor_index[drawn].tolist(), strict=True))
        levels = peeled(X, y, label, n_levels, n_neighbors)
        assert pairs == {(i, j) for level in levels for i in level for j in level if i != j}


@pytest.mark.parametrize("theta", [0, 0.3, 1.0, 50.0])
def test_shares_of_levels_are_exact(theta):
    X, y = data((80, 20), columns=2, seed=1)
    settings = {"n_levels": 3, "n_neighbors": 2}
    info = ProWSyn({0: 90}, theta=theta, random_state=0, **settings).fit(X, y).sample(1001)
    levels = peeled(X, y, 0, 3, 2)
    assert [len(level) > 1 for level in levels] == [True] * 4
    weights = {number: math.exp(-theta * min(number, 2)) for number in range(4)}
    number = [sum(row in level for row in info.base_index.tolist()) for level in levels]
    scale = {n: round(weight * 1e12) for n, weight in weights.items()}
    assert number == list(largest_remainder(1001, scale).values())


def test_a_level_of_one_row_is_left_out():
    X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    info = ProWSyn({1: 9}, n_levels=1, n_neighbors=1, random_state=0).fit(X, y).sample(200)
    assert set(info.base_index.tolist()) == set(info.neighbor_index.tolist()) == {4, 5}


def test_one_level_of_all_rows_is_a_uniform_draw_of_pairs():
    X, y = data((60, 6))
    info = ProWSyn(n_neighbors=6, random_state=0).fit(X, y).sample(30_000)
    pairs = torch.unique(info.base_index * 1000 + info.neighbor_index, return_counts=True)[1]
    assert len(pairs) == 30
    assert chisquare(pairs.numpy()).pvalue > 1e-4
    assert kstest(info.gap.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = ProWSyn(random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(y[info.neighbor_index], info.y)
    assert (info.base_index != info.neighbor_index).all()


def test_rows_move_and_scale_along():
    X, y = data()
    expected = ProWSyn(random_state=0).fit_resample(X, y)[0]
    torch.testing.assert_close(ProWSyn(random_state=0).fit_resample(X + 1e4, y)[0] - 1e4, expected)
    for scale in (1e-200, 1e200):
        torch.testing.assert_close(ProWSyn(random_state=0).fit_resample(X * scale, y)[0] / scale, expected)


def test_the_order_of_rows_changes_no_level():
    X, y = data((40, 20))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    settings = {"n_levels": 2, "n_neighbors": 1, "random_state": 0}
    graphs = [ProWSyn(**settings).fit(*rows).graph_ for rows in ((X, y), (X[order], y[order]))]
    assert torch.equal(graphs[0].edges[1].ends, graphs[1].edges[1].ends)
    starts = [0, *graphs[0].edges[1].ends.tolist()]
    for start, end in itertools.pairwise(starts):
        rows = [graph.row_index[graph.edges[1].bases[start:end]] for graph in graphs]
        assert set(rows[0].tolist()) == set(order[rows[1]].tolist())


def test_no_level_of_two_rows_grows_by_plain_smote():
    X = torch.tensor([[0.0], [1.0], [2.0], [5.0], [9.0]])
    y = torch.tensor([0, 0, 0, 1, 1])
    with pytest.warns(UserWarning, match="No level of class 1 has two rows. Using plain SMOTE") as caught:
        X_res, y_res = ProWSyn({1: 40}, n_levels=2, n_neighbors=1, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert y_res.bincount().tolist() == [3, 40]
    assert ((X_res[5:] >= 5) & (X_res[5:] <= 9)).all()
    with pytest.raises(ValueError, match="larger `n_neighbors`"):
        ProWSyn({1: 40}, n_levels=2, n_neighbors=1, on_degenerate="error").fit(X, y)


def test_one_row_is_refused_with_its_class():
    X, y = data((40, 1))
    with pytest.raises(ValueError, match=r"got 1 row of class 1\. Use random over-sampling"):
        ProWSyn().fit(X, y)
    assert ProWSyn({0: 50}).fit_resample(X, y)[1].bincount().tolist() == [50, 1]


def test_two_rows_are_enough():
    X, y = data((40, 2))
    info = ProWSyn(random_state=0).fit(X, y).sample(100)
    rows = (y == 1).nonzero().flatten().tolist()
    assert set(info.base_index.tolist()) == set(rows)
    assert (info.base_index + info.neighbor_index == sum(rows)).all()


def test_copies_are_told_and_duplicates_are_not_copies():
    X, y = data((40, 10))
    X[y == 1] = X[y == 1][:5].repeat(2, 1)
    assert ProWSyn(random_state=0).fit_resample(X, y)[1].bincount().tolist() == [40, 40]
    X[y == 1] = 2.5
    with pytest.warns(UserWarning, match="All rows in each level of class 1 are equal") as caught:
        X_res, _ = ProWSyn(random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert (X_res[50:] == 2.5).all()
    with pytest.raises(ValueError, match="drop duplicates"):
        ProWSyn(on_degenerate="error").fit(X, y)


def test_it_serves_batches():
    X, y = data()
    oversampler = BatchOversampler(ProWSyn(random_state=0), target_ratio=1.0).fit(X, y)
    first, second = (oversampler(X, y) for _ in range(2))
    assert first[1].bincount().tolist() == [60, 60, 60]
    assert (first[0][len(X) :] != second[0][len(X) :]).any(1).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_levels": 0}, ValueError, "`n_levels` must be >= 1"),
        ({"n_levels": 1.5}, TypeError, "`n_levels`"),
        ({"theta": -1}, ValueError, "`theta` must be >= 0"),
        ({"theta": np.inf}, ValueError, "`theta` must be finite"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be >= 1"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        ProWSyn(**arguments)
