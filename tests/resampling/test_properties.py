"""What must not change SMOTE, what must move along with it, and that its rows are distributed as imbalanced-learn's."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE as ImblearnSMOTE
from sklearn.metrics import pairwise_distances

from imbalance_torch.resampling import SMOTE, smote_from_plan


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    return X, (torch.arange(200) >= 160).long()


def pairs(resampler, index=None):
    """Return the (base, neighbour) pairs that rows can come from, as rows of the fitted data or of ``index``."""
    graph = resampler.graph_
    index = graph.row_index if index is None else index[graph.row_index]
    edges = graph.edges[1]
    bases = index[edges.bases].repeat_interleave(edges.neighbors.shape[1])
    return set(zip(bases.tolist(), index[edges.neighbors.flatten()].tolist(), strict=True))


def test_the_order_of_rows_only_renames_parents():
    X, y = data()
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
    assert pairs(SMOTE().fit(X[order], y[order]), order) == pairs(SMOTE().fit(X, y))


def test_rotation_and_translation_move_rows_along():
    X, y = data()
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    info = SMOTE(random_state=0).fit(X, y).sample(100)
    moved = SMOTE(random_state=0).fit(X @ turn + 3, y).sample(100)
    assert torch.equal(moved.base_index, info.base_index)
    assert torch.equal(moved.neighbor_index, info.neighbor_index)
    torch.testing.assert_close(moved.X, info.X @ turn + 3)


@pytest.mark.parametrize("memory_budget", [1, 10_000, "auto"])
def test_the_budget_of_the_search_does_not_show(memory_budget):
    X, y = data()
    expected = SMOTE(random_state=0).fit_resample(X, y)[0]
    assert torch.equal(SMOTE(random_state=0, memory_budget=memory_budget).fit_resample(X, y)[0], expected)


def energy_distance(a, b):
    """2 E|A - B| - E|A - A'| - E|B - B'|, 0 for equal distributions."""
    return 2 * pairwise_distances(a, b).mean() - pairwise_distances(a).mean() - pairwise_distances(b).mean()


def test_rows_are_distributed_as_those_of_imbalanced_learn():
    """Inside the 95 % band of imbalanced-learn against itself; gaps of one half are far outside, so it can fail."""
    X, y = data()
    final = {0: 160, 1: 1000}
    theirs = [
        ImblearnSMOTE(sampling_strategy=final, random_state=seed).fit_resample(X, y)[0][200:] for seed in range(24)
    ]
    ours = [SMOTE(final, random_state=seed).fit_resample(X, y)[0][200:].numpy() for seed in range(12)]
    band = np.quantile([energy_distance(a, b) for a, b in zip(theirs[:12], theirs[12:], strict=True)], 0.95)
    assert np.median([energy_distance(a, b) for a, b in zip(ours, theirs[:12], strict=True)]) <= band
    plans = [SMOTE(random_state=seed).fit(X, y).sample(960) for seed in range(12)]
    halves = [smote_from_plan(X, p.base_index, p.neighbor_index, torch.full_like(p.gap, 0.5)) for p in plans]
    assert np.median([energy_distance(a.numpy(), b) for a, b in zip(halves, theirs[:12], strict=True)]) > band
