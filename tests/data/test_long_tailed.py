"""Long tails: exact class sizes, nested rows, and every kind of label source."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from imbalance_torch.data.datasets import make_long_tailed
from imbalance_torch.samplers import labels_of


def counts_of(subset):
    return np.unique(labels_of(subset), return_counts=True)[1].tolist()


@given(
    num_classes=st.integers(2, 12),
    size=st.integers(1, 300),
    factor=st.floats(1, 300),
    kind=st.sampled_from(["exp", "step"]),
    seed=st.integers(0, 5),
)
def test_balanced_data_give_the_sizes_of_the_formula(num_classes, size, factor, kind, seed):
    labels = np.tile(np.arange(num_classes), size)
    if size / factor * (1 + 1e-12) < 1:
        with pytest.raises(ValueError, match="`imbalance_factor` must be <="):
            make_long_tailed(labels, factor, kind=kind, seed=seed)
        return
    tail = make_long_tailed(labels, factor, kind=kind, seed=seed)
    mu = 1 / factor
    shares = [
        mu ** (c / (num_classes - 1)) if kind == "exp" else (1.0 if c < num_classes // 2 else mu)
        for c in range(num_classes)
    ]
    for found, share in zip(counts_of(tail), shares, strict=True):
        assert size * share * (1 - 1e-9) - 1 < found <= size * share * (1 + 1e-9)
    assert tail.indices == sorted(set(tail.indices))


@given(counts=st.lists(st.integers(5, 60), min_size=2, max_size=6), factor=st.integers(1, 5))
def test_unbalanced_data_give_the_largest_tail_that_fits(counts, factor):
    """By exhaustion over the largest class, in exact arithmetic on the step form."""
    labels = np.repeat(np.arange(len(counts)), counts)
    half = len(counts) // 2

    def sizes(largest):
        return [largest if c < half else int(Fraction(largest, factor)) for c in range(len(counts))]

    fitting = [n for n in range(1, 400) if all(a <= b for a, b in zip(sizes(n), counts, strict=True))]
    if min(sizes(fitting[-1])) == 0:
        return
    assert counts_of(make_long_tailed(labels, factor, kind="step")) == sizes(fitting[-1])


def test_the_sizes_of_the_literature():
    labels = np.tile(np.arange(10), 5_000)
    assert counts_of(make_long_tailed(labels, 100)) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert counts_of(make_long_tailed(labels, 100, kind="step")) == [5000] * 5 + [50] * 5
    assert counts_of(make_long_tailed(np.tile(np.arange(3), 49), 49)) == [49, 7, 1]
    assert counts_of(make_long_tailed(labels, 1)) == [5000] * 10


def test_the_tail_of_a_tail_is_itself():
    labels = np.tile(np.arange(10), 6_000)
    tail = make_long_tailed(labels, 100)
    again = make_long_tailed(labels_of(tail), 100)
    assert len(again) == len(tail) == 14_886


def test_a_larger_factor_takes_some_of_the_same_rows_and_seeds_differ():
    labels = np.random.default_rng(0).permutation(np.tile(np.arange(5), 200))
    small, large = (set(make_long_tailed(labels, factor, seed=1).indices) for factor in (5, 50))
    assert large < small
    assert make_long_tailed(labels, 5, seed=1).indices == make_long_tailed(labels, 5, seed=1).indices
    assert make_long_tailed(labels, 5, seed=2).indices != make_long_tailed(labels, 5, seed=1).indices


def test_every_row_of_a_class_is_as_likely():
    taken = np.zeros(40)
    labels = np.tile([0, 1], 20)
    for seed in range(2_000):
        taken[make_long_tailed(labels, 4, seed=seed).indices] += 1
    assert (taken[labels == 0] == 2_000).all()
    rare = taken[labels == 1]  # 5 of 20 each time
    assert np.abs(rare - 500).max() < 4.5 * np.sqrt(2_000 * 0.25 * 0.75)


class Folder:
    def __init__(self, labels):
        self.samples = [(f"{i}.png", label) for i, label in enumerate(labels)]

    def __getitem__(self, index):
        raise AssertionError("a sample was read")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: TensorDataset(torch.zeros(len(y), 2), torch.tensor(y)),
        lambda y: ConcatDataset([TensorDataset(torch.tensor(y[:30])), TensorDataset(torch.tensor(y[30:]))]),
        lambda y: Subset(TensorDataset(torch.tensor(y)), range(len(y))),
        Folder,
        torch.tensor,
        list,
        lambda y: [f"class {c}" for c in y],
        lambda y: np.asarray(y, dtype=bool) if max(y) == 1 else np.asarray(y, np.uint8)[::1],
    ],
)
def test_every_label_source(wrap):
    y = [0, 1, 2] * 20
    dataset = wrap(y)
    tail = make_long_tailed(dataset, 16)
    assert tail.dataset is dataset
    assert np.bincount(np.asarray(y)[tail.indices]).tolist() == [20, 5, 1]


def test_bad_arguments():
    labels = np.tile([0, 1], 10)
    for factor, error in ((0.5, ValueError), (float("inf"), ValueError), ("10", TypeError), (True, TypeError)):
        with pytest.raises(error, match="`imbalance_factor`"):
            make_long_tailed(labels, factor)
    with pytest.raises(ValueError, match=r"`imbalance_factor` must be <= 10 .*no rows"):
        make_long_tailed(labels, 11)
    with pytest.raises(ValueError, match="`kind` must be one of 'exp', 'step'"):
        make_long_tailed(labels, 2, kind="linear")
    with pytest.raises(ValueError, match="`seed`"):
        make_long_tailed(labels, 2, seed=-1)
    for few in (np.zeros(5, int), np.zeros(0, int)):
        with pytest.raises(ValueError, match="at least two classes"):
            make_long_tailed(few, 2)
    with pytest.raises(TypeError, match="without reading its samples"):
        make_long_tailed(object(), 2)
    with pytest.raises(ValueError, match="shape"):
        make_long_tailed(np.zeros((4, 2), int), 2)
