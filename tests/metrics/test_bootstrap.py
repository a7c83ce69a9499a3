"""The bootstrap of average precision: against scikit-learn on the resampled rows, paired, and of the right width."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from imbalance_torch._random import mix
from imbalance_torch.evaluation import bootstrap_average_precision


def test_every_replicate_is_sklearns_value_on_the_drawn_rows():
    generator = np.random.default_rng(1)
    target = (np.arange(300) % 7 == 0).astype(int)
    scores = np.round(generator.normal(size=(2, 300)) + target, 1)  # many ties
    ours = bootstrap_average_precision(scores, target, num_replicates=20, seed=4)
    draws = np.random.Generator(np.random.PCG64(mix(4)))
    for replicate in ours:
        weight = np.zeros(300)
        for rows in (np.flatnonzero(target), np.flatnonzero(target == 0)):
            weight[rows] = np.bincount(draws.integers(len(rows), size=len(rows)), minlength=len(rows))
        drawn = np.repeat(np.arange(300), weight.astype(int))
        expected = [average_precision_score(target[drawn], row[drawn]) for row in scores]
        np.testing.assert_allclose(replicate, expected, rtol=1e-12)


def test_identical_scores_have_no_difference():
    target = np.arange(200) % 5 == 0
    scores = np.random.default_rng(0).normal(size=200)
    replicates = bootstrap_average_precision(np.stack([scores, scores]), target, num_replicates=50)
    np.testing.assert_array_equal(replicates[:, 0], replicates[:, 1])


def test_a_perfect_score_is_one_in_every_replicate():
    target = np.arange(100) % 4 == 0
    assert (bootstrap_average_precision(target[None].astype(float), target, num_replicates=30) == 1).all()


def test_the_interval_covers_the_true_value():
    # 100 samples of one population; the population value by a sample of 400,000 rows. The share of 95 % intervals that
    # cover it is at least 0.85 (binomial, p < 1e-4 if the intervals were right; seeds are fixed).
    def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        target = np.arange(rows) % 20 == 0
        return generator.normal(size=rows) + 1.5 * target, target

    scores, target = draw(400_000, 0)
    truth = average_precision_score(target, scores)
    covered = 0
    for seed in range(1, 101):
        scores, target = draw(4_000, seed)
        replicates = bootstrap_average_precision(scores[None], target, num_replicates=200, seed=seed)
        low, high = np.quantile(replicates, [0.025, 0.975])
        covered += low <= truth <= high
    assert covered >= 85


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_draws_the_same_rows(seed):
    target = np.arange(50) % 5 == 0
    scores = np.random.default_rng(2).normal(size=(1, 50))
    one, other = (bootstrap_average_precision(scores, target, num_replicates=5, seed=s) for s in (seed, seed))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, bootstrap_average_precision(scores, target, num_replicates=5, seed=seed + 1))
