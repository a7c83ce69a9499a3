"""Known posteriors: calibrated by construction, best by construction, linear where theory says so."""

import numpy as np
import pytest
import torch
from scipy import stats

from imbalance_torch.data.datasets import make_classification_with_known_posterior

SIGNIFICANCE = 1e-4
CASES = [
    {"prior": 0.05},
    {"prior": 0.5, "num_modes": 1, "separation": 1.0},
    {"prior": [0.9, 0.08, 0.02], "num_modes": 3},
    {"prior": [0.4, 0.3, 0.2, 0.1], "num_features": 2, "separation": 3.0},
    {"prior": 0.01, "num_features": 3, "num_modes": 4},
]


@pytest.fixture(params=[(case, seed) for case in CASES for seed in (0, 1)], ids=str)
def drawn(request):
    case, seed = request.param
    return make_classification_with_known_posterior(40_000, **case, random_state=seed)


def test_shapes_and_types(drawn):
    X, y, posterior = drawn
    assert (X.dtype, y.dtype, posterior.dtype) == (torch.float32, torch.int64, torch.float64)
    assert len(X) == len(y) == len(posterior) == 40_000
    assert set(y.tolist()) <= set(range(posterior.shape[1]))
    torch.testing.assert_close(posterior.sum(1), torch.ones(40_000, dtype=torch.float64))


def test_the_mean_posterior_is_the_share_of_each_class(drawn):
    _, y, posterior = drawn
    for c, p in enumerate(posterior.T):
        surprise = (y == c).double() - p  # mean 0, variance p (1 - p), independent rows
        z = surprise.sum() / (p * (1 - p)).sum().sqrt()
        assert abs(z) < stats.norm.isf(SIGNIFICANCE / 2 / posterior.shape[1])


def test_each_bin_holds_as_many_of_a_class_as_it_says(drawn):
    """A sum of unequal Bernoulli variables spreads no wider than a binomial one of the same mean."""
    _, y, posterior = drawn
    for c, p in enumerate(posterior.T.numpy()):
        bins = np.array_split(np.argsort(p), 20)
        for rows in bins:
            low, high = stats.binom.interval(1 - SIGNIFICANCE / 20, len(rows), p[rows].mean())
            assert low <= int((y[rows] == c).sum()) <= high


def test_no_other_probabilities_have_a_smaller_brier_score(drawn):
    """E|q - y|^2 - E|p - y|^2 = E|q - p|^2, to within the noise of the labels."""
    _, y, p = drawn
    one_hot = torch.nn.functional.one_hot(y, p.shape[1]).double()
    sharpened, flattened = (torch.softmax(t * p.clamp_min(1e-300).log(), 1) for t in (1.5, 0.6))
    uniform = 0.8 * p + 0.2 / p.shape[1]
    for q in (sharpened, flattened, uniform, p.roll(1, dims=0), p.mean(0).expand_as(p)):
        gain = ((q - one_hot) ** 2).sum(1) - ((p - one_hot) ** 2).sum(1)
        assert gain.mean() > 0
        noise = gain - ((q - p) ** 2).sum(1)
        assert abs(noise.mean()) < 5 * noise.std() / len(y) ** 0.5


def test_with_one_mode_the_log_odds_are_linear_and_with_more_they_are_not():
    for num_modes, linear in ((1, True), (3, False)):
        X, _, posterior = make_classification_with_known_posterior(
            5_000, prior=[0.7, 0.2, 0.1], num_modes=num_modes, random_state=4
        )
        design = torch.cat([X.double(), torch.ones(5_000, 1, dtype=torch.float64)], 1)
        odds = posterior.log()[:, 1:] - posterior.log()[:, :1]
        residual = odds - design @ torch.linalg.lstsq(design, odds).solution
        assert bool(residual.abs().max() < 1e-8) == linear


def test_without_separation_the_posterior_is_the_prior():
    *_, posterior = make_classification_with_known_posterior(100, prior=0.2, separation=0, random_state=0)
    torch.testing.assert_close(posterior, torch.tensor([[0.8, 0.2]], dtype=torch.float64).expand(100, 2))


def test_far_modes_are_told_apart_without_overflow():
    _, y, posterior = make_classification_with_known_posterior(2_000, prior=0.1, separation=1e4, random_state=0)
    assert posterior.isfinite().all()
    assert (posterior.argmax(1) == y).all()


def test_seeds():
    def draw(random_state):
        return make_classification_with_known_posterior(50, random_state=random_state)

    assert all(torch.equal(a, b) for a, b in zip(draw(1), draw(1), strict=True))
    assert not torch.equal(draw(1).X, draw(2).X)
    assert torch.equal(draw(torch.Generator().manual_seed(1)).X, draw(torch.Generator().manual_seed(1)).X)
    before = torch.get_rng_state()
    draw(None)
    assert torch.equal(before, torch.get_rng_state())


def test_one_row():
    X, y, posterior = make_classification_with_known_posterior(1, num_features=1, num_modes=1, random_state=0)
    assert (X.shape, y.shape, posterior.shape) == ((1, 1), (1,), (1, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"num_rows": 0}, ValueError, "`num_rows`"),
        ({"num_rows": 1.5}, TypeError, "`num_rows`"),
        ({"num_features": 0}, ValueError, "`num_features`"),
        ({"num_modes": 0}, ValueError, "`num_modes`"),
        ({"separation": -1}, ValueError, "`separation`"),
        ({"separation": float("nan")}, ValueError, "`separation`"),
        ({"prior": 0.0}, ValueError, "`prior`"),
        ({"prior": 1.0}, ValueError, "`prior`"),
        ({"prior": [0.5, 0.4]}, ValueError, "`prior`"),
        ({"prior": [1.0]}, ValueError, "`prior`"),
        ({"prior": [[0.5, 0.5]]}, ValueError, "`prior`"),
        ({"prior": [1.0, 0.0]}, ValueError, "`prior`"),
        ({"random_state": -1}, ValueError, "`random_state`"),
    ],
)
def test_bad_arguments(arguments, error, match):
    with pytest.raises(error, match=match):
        make_classification_with_known_posterior(**({"num_rows": 10} | arguments))
