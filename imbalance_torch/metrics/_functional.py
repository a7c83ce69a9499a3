"""Measures of probabilities under imbalance, as functions of all scores at once."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_int, check_number, check_tensor


def brier_score(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of the probabilities: ``mean((p - y)^2)``.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).

    Returns:
        Scalar float64 tensor, 0 is best.

    Raises:
        ValueError: no rows, probabilities outside [0, 1] or NaN, a target that is neither 0 nor 1.

    References:
        Brier, Verification of forecasts expressed in terms of probability, 1950.

    Example:
        >>> brier_score(torch.tensor([0.1, 0.8]), torch.tensor([0, 1]))
        tensor(0.0250, dtype=torch.float64)
    """
    p, y = _pair(probabilities, target)
    return (p - y).square().mean()


def calibration_error(probabilities: Tensor, target: Tensor, num_bins: int = 15) -> Tensor:
    """Return the expected calibration error over bins of equal mass: ``sum_b n_b / N |mean p_b - mean y_b|``.

    Rows are sorted by probability and cut into ``num_bins`` runs of equal length, which holds at any prevalence
    (bins of equal width put nearly every row of a rare-class problem into the first one). Rows of equal probability
    that a bin's edge tears apart count with their mean target on both sides, so that the order of rows is irrelevant.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).
        num_bins: number of bins; at most N are used.

    Returns:
        Scalar float64 tensor, 0 is best.

    Raises:
        ValueError: as :func:`brier_score`.

    References:
        Nguyen and O'Connor, Posterior calibration and exploratory analysis for NLP models, 2015 (equal mass).

    Example:
        >>> calibration_error(torch.tensor([0.1, 0.1, 0.7, 0.9]), torch.tensor([0, 0, 1, 1]), num_bins=2)
        tensor(0.1500, dtype=torch.float64)
    """
    check_int("num_bins", num_bins, minimum=1)
    p, y = _pair(probabilities, target)
    values, group, counts = torch.unique(p, return_inverse=True, return_counts=True)
    hits = torch.zeros_like(values).index_add(0, group, y)
    gaps = (values - hits / counts).repeat_interleave(counts).cumsum(0)
    edges = torch.linspace(0, len(p), num_bins + 1, dtype=torch.float64, device=p.device).round().long()
    return torch.cat([gaps.new_zeros(1), gaps])[edges].diff().abs().sum() / len(p)


def recall_at_precision(probabilities: Tensor, target: Tensor, precision: float) -> Tensor:
    """Return the highest recall among the thresholds whose precision reaches a floor; 0 where none does.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).
        precision: the floor, in (0, 1].

    Returns:
        Scalar float64 tensor in [0, 1]; 0 also when there is no positive.

    Raises:
        ValueError: as :func:`brier_score`, or a floor outside (0, 1].

    Example:
        >>> recall_at_precision(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]), 0.6)
        tensor(1., dtype=torch.float64)
        >>> recall_at_precision(torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), 0.6)
        tensor(0., dtype=torch.float64)
    """
    check_number("precision", precision, exclusive_minimum=0.0, maximum=1.0)
    p, y = _pair(probabilities, target)
    order = torch.argsort(p, descending=True)
    hits, ranked = y[order].cumsum(0), p[order]
    last_of_tie = torch.cat([ranked.diff() != 0, torch.ones(1, dtype=torch.bool, device=p.device)])
    flagged = torch.arange(1, len(p) + 1, device=p.device)
    reached = last_of_tie & (hits / flagged >= precision)
    return torch.where(reached, hits, 0.0).max() / hits[-1].clamp(min=1)


def _pair(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    p, y = check_floating("probabilities", probabilities), check_tensor("target", target)
    if p.ndim != 1 or len(p) == 0 or p.shape != y.shape:
        raise ValueError(
            f"`probabilities` and `target` must have shape (N,) with N > 0, got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("`probabilities` must lie in [0, 1]: some are outside or NaN. Apply sigmoid to logits.")
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"`target` must be 0 or 1, got values from {y.min().item()} to {y.max().item()}.")
    return p.to(torch.float64), y.to(torch.float64)
