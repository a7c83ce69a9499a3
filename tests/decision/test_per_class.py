"""Thresholds per label and per class."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, fbeta_score

from imbalance_torch.decision import (
    per_label_thresholds,
    threshold_for_f_beta,
    threshold_for_precision,
    thresholds_for_macro_f_beta,
)


def skewed(generator, rows=400, classes=4, dtype=torch.float64):
    """Return calibrated probabilities with rarer and rarer classes, and labels drawn from them."""
    logits = 1.5 * torch.randn(rows, classes, generator=generator, dtype=dtype) - torch.arange(classes)
    p = logits.softmax(1)
    return p, torch.multinomial(p, 1, generator=generator)[:, 0]


def decide(p, thresholds):
    return (p / thresholds).argmax(1)


def macro(p, y, thresholds, beta=1.0):
    return fbeta_score(y, decide(p, thresholds), beta=beta, average="macro", zero_division=0)


def test_each_label_gets_the_threshold_of_its_column(generator, device):
    p = torch.rand(300, 3, generator=generator)
    y = (torch.rand(300, 3, generator=generator) < p**2).long()
    for choose in (threshold_for_f_beta, lambda p, y: threshold_for_precision(p, y, 0.6)):
        thresholds = per_label_thresholds(choose, p.to(device), y.to(device))
        assert thresholds.dtype == torch.float64
        assert thresholds.tolist() == [choose(p[:, label], y[:, label]) for label in range(3)]


def test_an_error_names_the_label():
    p, y = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[0, 1], [1, 1], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match="Label 1: A threshold needs rows of both classes"):
        per_label_thresholds(threshold_for_f_beta, p, y)
    with pytest.raises(ValueError, match=r"\(N, L\), got \(4, 2\) and \(4,\)"):
        per_label_thresholds(threshold_for_f_beta, p, y[:, 0])


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_single_threshold_can_be_moved_to_gain_more(beta, generator):
    p, y = skewed(generator, rows=80)
    thresholds = thresholds_for_macro_f_beta(p, y, beta)
    assert thresholds.sum() == pytest.approx(1)
    assert bool((thresholds > 0).all())
    reached = macro(p, y, thresholds, beta)
    assert reached > macro(p, y, torch.ones(4), beta)  # of the most probable class
    for c in range(4):
        others = p / thresholds
        others[:, c] = 0
        ratios = torch.sort(p[:, c] / others.amax(1)).values
        for cut in [ratios[0] / 2, *((ratios[1:] + ratios[:-1]) / 2), 2 * ratios[-1]]:
            trial = thresholds.clone()
            trial[c] = cut
            assert macro(p, y, trial, beta) <= reached + 1e-4 + 1e-12


def test_two_classes_against_every_cut(generator):
    p, y = skewed(generator, rows=120, classes=2)
    thresholds = thresholds_for_macro_f_beta(p, y)
    cuts = [0.0, *p[:, 1].tolist()]
    best = max(f1_score(y, p[:, 1] >= cut, average="macro", zero_division=0) for cut in cuts)
    assert macro(p, y, thresholds) == pytest.approx(best, abs=1e-4)
    assert decide(p, thresholds).equal((p[:, 1] >= thresholds[1]).long())


def test_rare_classes_gain_on_new_rows(generator):
    p, y = skewed(generator, rows=20_000, classes=5)
    fitted, held_out = slice(0, 10_000), slice(10_000, None)
    thresholds = thresholds_for_macro_f_beta(p[fitted], y[fitted])
    gain = macro(p[held_out], y[held_out], thresholds) - macro(p[held_out], y[held_out], torch.ones(5))
    assert gain > 0.03
    assert thresholds[4] < thresholds[0]


def test_device_dtype_and_order_of_rows(device, generator):
    p, y = skewed(generator)
    rows = torch.randperm(400, generator=generator)
    expected = thresholds_for_macro_f_beta(p, y)
    torch.testing.assert_close(thresholds_for_macro_f_beta(p[rows].to(device), y[rows].to(device)).cpu(), expected)
    single = p.float()
    assert macro(single.double(), y, thresholds_for_macro_f_beta(single, y)) > 0


def test_probabilities_of_0_and_1_and_ties():
    hard = torch.eye(3)[torch.tensor([0, 0, 1, 2, 2, 0])]
    y = torch.tensor([0, 0, 1, 2, 2, 0])
    thresholds = thresholds_for_macro_f_beta(hard, y)
    assert bool(thresholds.isfinite().all())
    assert decide(hard, thresholds).equal(y)
    flat = torch.full((6, 3), 1 / 3)
    assert bool(thresholds_for_macro_f_beta(flat, y).isfinite().all())
    wrong = torch.eye(3)[torch.tensor([1, 2, 2, 0, 0, 1])]
    assert bool((thresholds_for_macro_f_beta(wrong, y) > 0).all())


def test_bad_input(generator):
    p, y = skewed(generator, rows=20, classes=2)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        thresholds_for_macro_f_beta(p * np.nan, y)
    with pytest.raises(ValueError, match="must sum to 1"):
        thresholds_for_macro_f_beta(p / 2, y)
    with pytest.raises(ValueError, match="class 1 has none"):
        thresholds_for_macro_f_beta(p, y * 0)
    for label in (-1, 2):
        with pytest.raises(ValueError, match="class indices from 0 to 1"):
            thresholds_for_macro_f_beta(p, y.index_fill(0, torch.tensor(3), label))
    for shape in ((20,), (20, 1)):
        with pytest.raises(ValueError, match="C >= 2"):
            thresholds_for_macro_f_beta(torch.ones(shape), y)
    with pytest.raises(ValueError, match="class 0 has none"):
        thresholds_for_macro_f_beta(p[:0], y[:0])
    with pytest.raises(ValueError, match="`beta` must be > 0"):
        thresholds_for_macro_f_beta(p, y, 0.0)
