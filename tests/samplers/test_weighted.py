import itertools
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2

from imbalance_torch.samplers import WeightedSampler

SIGNIFICANCE = 1e-4


def assert_frequencies(times, expected):
    """Chi-square test at significance 1e-4; cells of expectation 0 must be empty."""
    times, expected = torch.as_tensor(times).double(), torch.as_tensor(expected).double()
    assert not times[expected == 0].any()
    times, expected = times[expected > 0], expected[expected > 0]
    assert expected.min() >= 5
    assert float(((times - expected) ** 2 / expected).sum()) < chi2.isf(SIGNIFICANCE, max(1, len(times) - 1))


@pytest.mark.parametrize("batch_size", [None, 64])
def test_rows_come_in_proportion_to_their_weights(batch_size):
    weights = torch.tensor([0.0, 1.0, 5.0, 0.25, 0.0, 0.0, 2.0, 2.0, 0.0])
    sampler = WeightedSampler(weights, 200_000, batch_size=batch_size)
    rows = sampler.indices()
    assert len(rows) == len(sampler) == 200_000
    assert_frequencies(torch.bincount(rows, minlength=9), weights / weights.sum() * 200_000)


def test_draws_are_independent_of_one_another():
    rows = WeightedSampler([1.0, 2.0, 3.0], 120_000).indices()
    pairs = torch.bincount(rows[:-1:2] * 3 + rows[1::2], minlength=9)
    share = torch.tensor([1.0, 2.0, 3.0]).double() / 6
    assert_frequencies(pairs, torch.outer(share, share).flatten() * 60_000)
    epochs = [WeightedSampler([1.0, 2.0, 3.0], 60_000, seed=seed).indices() for seed in range(2)]
    assert_frequencies(
        torch.bincount(epochs[0] * 3 + epochs[1], minlength=9), torch.outer(share, share).flatten() * 60_000
    )


def test_without_replacement_the_law_is_that_of_multinomial():
    weights, epochs = torch.tensor([1.0, 2.0, 3.0, 0.0, 6.0]), 20_000
    sampler = WeightedSampler(weights, 2, replacement=False)
    ours = torch.cat([sampler._draw(epoch, 0) for epoch in range(epochs)]).view(-1, 2)
    theirs = torch.multinomial(weights.expand(epochs, -1), 2, generator=torch.Generator().manual_seed(0))
    exact = torch.zeros(5, 5, dtype=torch.float64)
    for i, j in itertools.permutations(range(5), 2):
        exact[i, j] = weights[i] / 12 * weights[j] / (12 - weights[i])
    for drawn in (ours, theirs):
        assert_frequencies(torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25), exact.flatten() * epochs)


@pytest.mark.parametrize("num_samples", [None, 1, 300, 997])
def test_without_replacement_no_row_comes_twice(num_samples):
    weights = np.random.default_rng(0).pareto(1, 1000)
    weights[:3] = 0
    num_samples = num_samples or 997
    sampler = WeightedSampler(weights, num_samples, False)
    epochs = [list(sampler) for _ in range(3)]
    assert all(len(set(rows)) == num_samples for rows in epochs)
    assert not {0, 1, 2} & set(itertools.chain(*epochs))
    assert all(a != b for a, b in pairwise(epochs))
    with pytest.raises(ValueError, match=r"must be <= 997, .*got num_samples=998"):
        WeightedSampler(weights, 998, replacement=False)


def test_without_replacement_ranks_share_and_resume():
    def make(rank):
        return WeightedSampler(torch.rand(500, generator=torch.Generator().manual_seed(1)), 500, False, **on(rank))

    def on(rank):
        return {"batch_size": 10, "num_replicas": 2, "rank": rank}

    first, second = (make(rank) for rank in range(2))
    whole = [sampler.indices().tolist() for sampler in (first, second)]
    assert sorted(whole[0] + whole[1]) == list(range(500))
    first.advance(30)
    restored = make(1)
    restored.load_state_dict(first.state_dict())
    assert list(restored) == whole[1][30:]
    with pytest.raises(ValueError, match="settings differ"):
        WeightedSampler(torch.rand(500), 500, True, **on(0)).load_state_dict(first.state_dict())


def test_twenty_million_rows_are_drawn_up_to_the_last():
    number, half = 20_000_000, 1 << 24
    weights = torch.ones(number)
    weights[half:] = 4
    rows = WeightedSampler(weights, 200_000).indices()
    upper = rows[rows >= half]
    share = 4 * (number - half) / (4 * (number - half) + half)
    assert_frequencies([len(upper), len(rows) - len(upper)], [200_000 * share, 200_000 * (1 - share)])
    edges = torch.linspace(half, number, 65).long()
    assert_frequencies(
        torch.histogram(upper.double(), edges.double()).hist, edges.diff() / (number - half) * len(upper)
    )


def test_a_range_of_1e8_in_float32_keeps_the_light_rows():
    weights = torch.ones(100_000)
    weights[0] = 1e8
    times = torch.bincount(WeightedSampler(weights, 2_000_000).indices(), minlength=100_000)
    assert_frequencies([times[0], times[1:].sum()], torch.tensor([1e8, 99_999.0]) / (1e8 + 99_999) * 2_000_000)
    light = WeightedSampler(torch.cat([weights[:1] * 0, weights[1:] * 1e-8]), 500_000).indices()
    assert_frequencies(torch.bincount((light - 1) // 1000, minlength=100)[:99], torch.full((99,), 500_000 / 99.999))


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e300, 1.7e308])
@pytest.mark.parametrize("replacement", [True, False])
def test_the_scale_of_the_weights_does_not_matter(scale, replacement):
    sampler = WeightedSampler([scale, scale, 0.0, scale], 3, replacement)
    assert sampler.indices().equal(WeightedSampler([1, 1, 0, 1], 3, replacement).indices())


def test_extreme_ratios_do_not_overflow():
    assert set(WeightedSampler([1e-290, 1e308, 0, 1e-323], 1000).indices().tolist()) == {1}
    assert WeightedSampler([1e300, 1e8], 2, False).indices().tolist() == [0, 1]


def test_one_row_of_weight():
    assert WeightedSampler([0, 0, 3, 0], 5).indices().tolist() == [2] * 5
    assert WeightedSampler([0, 0, 3, 0], 1, False).indices().tolist() == [2]
    assert WeightedSampler([7]).indices().tolist() == [0]


def test_kinds_of_weights_agree():
    values = [0, 1, 2, 3, 1, 0, 5]
    expected = WeightedSampler(values).indices()
    tensor = torch.tensor(values)
    kinds = [
        *(
            tuple(values),
            np.array(values, np.uint8),
            np.array(values, np.float16),
            pd.Series(values, index=range(7, 0, -1)),
        ),
        *(tensor, tensor.half(), tensor.bfloat16(), tensor.double().requires_grad_(), tensor.repeat_interleave(2)[::2]),
    ]
    for weights in kinds:
        before = np.array(weights.tolist() if hasattr(weights, "tolist") else weights)
        assert WeightedSampler(weights).indices().equal(expected)
        assert (np.array(weights.tolist() if hasattr(weights, "tolist") else weights) == before).all()
    assert WeightedSampler([True, False, True], 50).indices().unique().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("weights", "error", "text"),
    [
        ([1.0, float("nan")], ValueError, r"weights\[1\]=nan"),
        ([1.0, float("inf")], ValueError, r"weights\[1\]=inf"),
        ([1.0, -1e-9], ValueError, r"weights\[1\]=-1e-09"),
        ([0.0, 0.0], ValueError, "above zero"),
        ([], ValueError, "shape"),
        ([[1.0]], ValueError, "shape"),
        (torch.tensor(1.0), ValueError, "shape"),
        (["a"], TypeError, "numbers"),
        ([1j], TypeError, "numbers"),
        (None, TypeError, "numbers"),
    ],
)
def test_bad_weights(weights, error, text):
    with pytest.raises(error, match=f"`weights` .*{text}"):
        WeightedSampler(weights)


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "text"),
    [
        ((0,), {}, ValueError, "num_samples"),
        ((2.0,), {}, TypeError, "num_samples"),
        ((2, 1), {}, TypeError, "replacement"),
        ((2, None), {}, TypeError, "replacement"),
        ((2,), {"labels": [0, 1]}, ValueError, r"len\(weights\)=3, len\(labels\)=2"),
    ],
)
def test_bad_arguments(args, kwargs, error, text):
    with pytest.raises(error, match=text):
        WeightedSampler([1, 2, 3], *args, **kwargs)


def test_the_prior_is_known_with_labels_only():
    assert not hasattr(WeightedSampler([1, 2]), "effective_prior")
    with pytest.raises(AttributeError, match="Pass `labels`"):
        _ = WeightedSampler([1, 2]).effective_prior
    assert WeightedSampler([1, 2]).classes == ()
    assert "batch" not in str(WeightedSampler([1, 2]).describe())
    sampler = WeightedSampler([1, 0, 2, 5], labels=["b", "b", "a", "c"])
    assert sampler.classes == ("a", "b", "c")
    assert sampler.effective_prior.tolist() == [0.25, 0.125, 0.625]
    assert sampler.indices().equal(WeightedSampler([1, 0, 2, 5]).indices())


@pytest.mark.parametrize("num_samples", [50, 200, 799, 800])
def test_the_prior_without_replacement(num_samples):
    labels = torch.arange(1000) % 5
    weights = torch.tensor([0.0, 1.0, 1.0, 8.0, 100.0])[labels]
    sampler = WeightedSampler(weights, num_samples, False, labels=labels)
    fed = torch.stack([torch.bincount(labels[sampler._draw(epoch, 0)], minlength=5) for epoch in range(300)])
    torch.testing.assert_close(sampler.effective_prior, fed.double().mean(0) / num_samples, atol=0.004, rtol=0)
    if num_samples == 800:
        assert sampler.effective_prior.tolist() == [0, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(("uniform", "row"), [(0.0, 1), (1 - 2.0**-53, 3)])
@pytest.mark.parametrize(
    "weights", [[0, 1, 0, 1, 0], [0, 0.1, 0.2, 0.3, 0], [0, 5e-324, 0, 5e-324, 0], [0, 3, 1, 1e-3, 0]]
)
def test_the_ends_of_the_unit_interval_hit_rows_of_weight(monkeypatch, uniform, row, weights):
    sampler = WeightedSampler(weights)
    monkeypatch.setattr(torch, "rand", lambda number, **kwargs: torch.full((number,), uniform, dtype=torch.float64))
    assert sampler.indices().tolist() == [row] * 5
