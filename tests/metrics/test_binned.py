"""Average precision from histograms: near the exact one at low prevalence, and always within its own bounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_average_precision

from imbalance_torch.metrics import BinnedAveragePrecision, average_precision


def draw(num_rows, prevalence, seed, separation=5.0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand(num_rows, generator=generator) < prevalence
    y[0] = True
    z = torch.randn(num_rows, generator=generator, dtype=torch.float64) * 1.5 + separation * y
    return (2 * z + math.log(prevalence) - 3).sigmoid(), y.long()


def binned(p, y, *sizes, **options):
    metric = BinnedAveragePrecision(**options)
    for batch in zip(p.split(sizes or len(p)), y.split(sizes or len(p)), strict=True):
        metric.update(*batch)
    return metric


@pytest.mark.parametrize("prevalence", [0.05, 0.001, 0.0001])
@pytest.mark.parametrize("seed", range(3))
def test_within_a_thousandth_of_the_exact_value(prevalence, seed):
    p, y = draw(300_000, prevalence, seed)
    exact = average_precision(p, y).item()
    assert 0.1 < exact < 0.95
    assert binned(p, y).compute().item() == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("prevalence", [0.001, 0.0001])
def test_linear_thresholds_are_far_off_where_log_odds_are_not(prevalence):
    p, y = draw(300_000, prevalence, 0)
    p = (p.logit() - 8).sigmoid()  # scores of a detector that is rarely sure
    exact = average_precision(p, y).item()
    linear = binary_average_precision(p, y, thresholds=1000).item()
    assert abs(linear - exact) > 0.05
    assert binned(p, y).compute().item() == pytest.approx(exact, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 5, 40, 1000]), st.sampled_from([0.01, 0.3, 0.9]), st.booleans())
def test_the_exact_value_lies_within_the_bounds(seed, num_bins, prevalence, ties):
    p, y = draw(200, prevalence, seed, separation=2.0)
    p = (p * 10).round() / 10 if ties else p
    metric = binned(p, y, num_bins=num_bins)
    least, most = metric.bounds()
    assert least - 1e-12 <= average_precision(p, y) <= most + 1e-12
    assert least - 1e-12 <= metric.compute() <= most + 1e-12
    assert 0 < least <= most <= 1


def test_the_value_is_that_of_rounded_scores():
    p, y = draw(5000, 0.02, 0)
    steps = ((p.logit() / 40 + 0.5) * 50).floor()
    assert binned(p, y, num_bins=50).compute().item() == pytest.approx(average_precision(steps, y).item(), abs=1e-12)


def test_scores_in_bins_of_their_own_are_exact():
    metric = binned(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
    assert [float(value) for value in (metric.compute(), *metric.bounds())] == pytest.approx([5 / 6] * 3, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_kinds_of_input_and_probabilities_of_zero_and_one(dtype, device):
    p = torch.tensor([0.0, 1.0, 0.25, 1.0], dtype=dtype, device=device)
    for y in (torch.tensor([0, 1, 1, 0]), torch.tensor([False, True, True, False])):
        assert binned(p.cpu(), y).compute().item() == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-12)
    metric = BinnedAveragePrecision().to(device)
    metric.update(p, torch.tensor([0, 1, 1, 0], device=device))
    assert metric.compute().item() == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-12)


def test_memory_does_not_grow():
    p, y = draw(10_000, 0.05, 0)
    metric = binned(p, y, 1000, 0, 9000)
    assert metric.counts.shape == (32769,)
    assert metric.counts.sum() == 10_000
    assert metric.compute() == binned(p, y).compute()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused_at_the_end(value):
    metric = binned(torch.tensor([0.5, value]), torch.tensor([1, 0]))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\] and `target` be 0 or 1, got 1 rows"):
        metric.compute()


@pytest.mark.parametrize("value", [2, -1])
def test_what_is_no_target_is_refused_at_the_end(value):
    metric = binned(torch.tensor([0.5, 0.5]), torch.tensor([1, value]))
    for call in (metric.compute, metric.bounds):
        with pytest.raises(ValueError, match="got 1 rows"):
            call()


def test_other_bad_input():
    with pytest.raises(ValueError, match="at least one positive, got none in 2 rows"):
        binned(torch.tensor([0.5, 0.5]), torch.zeros(2)).compute()
    with pytest.raises(ValueError, match=r"must have shape \(N,\), got \(2, 1\) and \(2, 1\)"):
        BinnedAveragePrecision().update(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(TypeError, match="`probabilities` must be a floating-point tensor"):
        BinnedAveragePrecision().update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="`num_bins` must be >= 2"):
        BinnedAveragePrecision(num_bins=1)
