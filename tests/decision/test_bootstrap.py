"""The bootstrap interval of a threshold."""

import math

import numpy as np
import pytest
import torch

from imbalance_torch.decision import (
    bootstrap_threshold_interval,
    threshold_for_alert_budget,
    threshold_for_f_beta,
    threshold_for_precision,
    threshold_for_recall,
)


def scores(seed, rows=2000):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(rows, generator=generator, dtype=torch.float64)
    return p, (torch.rand(rows, generator=generator) < p**3).long()


def test_against_resampling_written_out():
    p, y = scores(0)
    low, high = bootstrap_threshold_interval(threshold_for_f_beta, p, y, num_resamples=400)
    draws, chosen = np.random.default_rng(1), []
    for _ in range(400):
        rows = np.concatenate([draws.choice(np.flatnonzero(y == label), int((y == label).sum())) for label in (0, 1)])
        chosen.append(threshold_for_f_beta(p[rows], y[rows]))
    expected = np.quantile(chosen, [0.025, 0.975])
    assert [low, high] == pytest.approx(expected, abs=0.02)
    assert high - low > 0.02


def test_covers_the_threshold_of_the_population():
    population = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    share = (population**3).flip(0).cumsum(0) / (population**3).sum()
    true = float(population.flip(0)[int((share < 0.8).sum())])  # recall 0.8 over the population
    inside = 0
    for seed in range(30):
        p, y = scores(seed, 600)
        low, high = bootstrap_threshold_interval(lambda p, y: threshold_for_recall(p, y, 0.8), p, y, num_resamples=80)
        inside += low <= true <= high
    assert 23 <= inside <= 30  # binomial(30, 0.95): below 23 with probability 1e-4


def test_every_resample_keeps_the_class_counts_and_rows_of_the_original():
    p, y = scores(0, 50)
    pairs, seen = set(zip(p.tolist(), y.tolist(), strict=True)), []

    def choose(p_drawn, y_drawn):
        assert len(p_drawn) == 50
        assert int(y_drawn.sum()) == int(y.sum())
        assert set(zip(p_drawn.tolist(), y_drawn.tolist(), strict=True)) <= pairs
        seen.append(p_drawn)
        return 0.5

    assert bootstrap_threshold_interval(choose, p, y, num_resamples=7) == (0.5, 0.5)
    assert len(seen) == 8
    assert not seen[1].equal(seen[2])


def test_a_resample_without_a_solution_counts_as_infinite():
    p = torch.linspace(0.01, 0.99, 40)
    y = torch.tensor([0, 1] * 20)
    y[-3:] = torch.tensor([0, 1, 1])
    low, high = bootstrap_threshold_interval(lambda p, y: threshold_for_precision(p, y, 1.0), p, y)
    assert 0 < low < 1
    assert high == math.inf
    low, high = bootstrap_threshold_interval(lambda p, y: threshold_for_precision(p, y, 0.3), p, y)
    assert high < 1
    with pytest.raises(ValueError, match="No threshold reaches"):
        bootstrap_threshold_interval(lambda p, y: threshold_for_precision(p, y, 1.0), p, 1 - y)


def test_random_state_and_confidence(device):
    p, y = scores(3)

    def interval(**options):
        return bootstrap_threshold_interval(threshold_for_f_beta, p.to(device), y.to(device), **options)

    assert interval() == interval(random_state=0) != interval(random_state=1)
    generator = torch.Generator().manual_seed(0)
    assert interval(random_state=generator) != interval(random_state=generator)
    wide, narrow = interval(confidence=0.99), interval(confidence=0.5)
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]
    assert wide != narrow


def test_alert_budget_by_number_of_days():
    p, y = scores(4)
    low, high = bootstrap_threshold_interval(lambda p, y: threshold_for_alert_budget(p, budget=20, days=10), p, y)
    assert low < threshold_for_alert_budget(p, budget=20, days=10) < high


def test_bad_input():
    p, y = scores(0, 20)
    with pytest.raises(ValueError, match="`confidence` must be < 1"):
        bootstrap_threshold_interval(threshold_for_f_beta, p, y, confidence=1.0)
    with pytest.raises(ValueError, match="`confidence` must be > 0"):
        bootstrap_threshold_interval(threshold_for_f_beta, p, y, confidence=0.0)
    with pytest.raises(ValueError, match="`num_resamples` must be >= 2"):
        bootstrap_threshold_interval(threshold_for_f_beta, p, y, num_resamples=1)
    with pytest.raises(ValueError, match="both classes"):
        bootstrap_threshold_interval(lambda p, y: 0.5, p, y * 0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        bootstrap_threshold_interval(lambda p, y: 0.5, p * torch.nan, y)
