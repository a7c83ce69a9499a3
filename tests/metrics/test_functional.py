"""Brier score, calibration error and recall at a precision floor: properties, then scikit-learn and plain loops."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, precision_recall_curve

from imbalance_torch.metrics import brier_score, calibration_error, recall_at_precision

ALL = [brier_score, calibration_error, lambda p, y: recall_at_precision(p, y, 0.3)]
NAMES = ["brier", "calibration", "recall"]


def draw(num_rows=2000, levels=None, seed=0, share=0.1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 1 / share - 1, num_rows)
    if levels:
        p = np.round(p * levels) / levels
    y = (rng.random(num_rows) < p).astype(int)
    y[:2] = 0, 1
    return torch.tensor(p), torch.tensor(y)


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
@pytest.mark.parametrize("levels", [None, 3, 20])
def test_the_order_of_rows_is_irrelevant(metric, levels, generator):
    p, y = draw(levels=levels)
    rows = torch.randperm(len(p), generator=generator)
    assert metric(p, y).item() == pytest.approx(metric(p[rows], y[rows]).item(), abs=1e-12)


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_kinds_of_input_agree(metric, device):
    p, y = draw(levels=64)
    expected = metric(p, y)
    assert expected.dtype == torch.float64
    assert expected.shape == ()
    for target in (y.bool(), y.float(), y.to(torch.uint8)):
        assert metric(p.float().to(device), target.to(device)).item() == pytest.approx(expected.item(), abs=1e-7)
    strided = torch.stack([p, 1 - p], dim=1)[:, 0]
    assert metric(strided, y) == expected


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_anything_but_probabilities_is_refused(metric, value):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        metric(torch.tensor([0.5, value]), torch.tensor([0, 1]))


@pytest.mark.parametrize("metric", ALL, ids=NAMES)
def test_other_bad_input(metric):
    with pytest.raises(ValueError, match=r"shape \(N,\) with N > 0, got \(0,\)"):
        metric(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        metric(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"got \(2, 1\)"):
        metric(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="`target` must be 0 or 1, got values from 0 to 2"):
        metric(torch.zeros(3), torch.tensor([0, 1, 2]))
    with pytest.raises(TypeError, match="`probabilities` must be a floating-point tensor"):
        metric(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match=r"`target` must be a torch\.Tensor"):
        metric(torch.tensor([0.5]), [1])


def test_brier_score_equals_scikit_learn():
    p, y = draw()
    assert brier_score(p, y).item() == pytest.approx(brier_score_loss(y.numpy(), p.numpy()), abs=1e-12)
    assert brier_score(y.double(), y) == 0
    assert brier_score(1 - y.double(), y) == 1


@pytest.mark.parametrize("num_rows", [15, 16, 150, 1999])
@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_calibration_error_equals_a_plain_loop(num_rows, num_bins):
    p, y = draw(num_rows)
    order = np.argsort(p.numpy())
    edges = [round(num_rows * b / num_bins) for b in range(num_bins + 1)]
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        rows = order[low:high]
        expected += len(rows) / num_rows * abs(p.numpy()[rows].mean() - y.numpy()[rows].mean())
    assert calibration_error(p, y, num_bins).item() == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_simple_cases():
    y = torch.tensor([0, 0, 0, 1] * 50)
    assert calibration_error(torch.full((200,), 0.25), y).item() == pytest.approx(0, abs=1e-12)
    assert calibration_error(torch.full((200,), 0.75), y).item() == pytest.approx(0.5, abs=1e-12)
    assert calibration_error(y.double(), y) == 0
    assert calibration_error(1 - y.double(), y, num_bins=4) == 1
    p, y = draw(10)
    assert calibration_error(p, y, 15).item() == pytest.approx((p - y).abs().mean().item(), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([None, 2, 7]), st.integers(1, 20))
def test_calibration_error_lies_between_the_global_gap_and_the_mean_error(seed, levels, num_bins):
    p, y = draw(50, levels, seed, share=0.4)
    error = calibration_error(p, y, num_bins).item()
    assert (p - y).mean().abs().item() - 1e-12 <= error <= (p - y).abs().mean().item() + 1e-12


def test_bins_must_be_positive():
    with pytest.raises(ValueError, match="`num_bins` must be >= 1"):
        calibration_error(torch.tensor([0.5]), torch.tensor([1]), 0)


@pytest.mark.parametrize("levels", [None, 5, 50])
@pytest.mark.parametrize("floor", [0.01, 0.1, 0.29, 0.5, 0.7, 0.9, 1.0])
def test_recall_at_precision_equals_the_curve(levels, floor):
    for seed in range(5):
        p, y = draw(300, levels, seed)
        precision, recall, _ = precision_recall_curve(y.numpy(), p.numpy())
        expected = recall[precision >= floor].max()
        assert recall_at_precision(p, y, floor).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("hits", "flagged"), [(7, 100), (29, 100), (1, 10), (3, 10), (1, 3)])
def test_a_floor_that_is_met_exactly_counts(hits, flagged):
    y = torch.zeros(flagged, dtype=torch.long)
    y[:hits] = 1
    p = torch.full((flagged,), 0.5)
    assert recall_at_precision(p, y, hits / flagged) == 1
    assert recall_at_precision(p, y, float(np.nextafter(hits / flagged, 1))) == 0


def test_a_floor_that_is_never_reached_gives_zero():
    p, y = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 0, 1])
    assert recall_at_precision(p, y, 0.5) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recall_at_precision(p, torch.zeros(3), 0.5) == 0
    assert recall_at_precision(p, torch.ones(3), 1.0) == 1


@pytest.mark.parametrize("floor", [0.0, -0.5, 1.5, float("nan")])
def test_bad_floor(floor):
    with pytest.raises(ValueError, match="`precision` must be"):
        recall_at_precision(torch.tensor([0.5]), torch.tensor([1]), floor)
