"""Measures of probabilities under imbalance, as functions of all scores at once."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number, check_same_length


def brier_score(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of the probabilities: ``mean((p - y)^2)``.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).

    Returns:
        Scalar float64 tensor, 0 is best.

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
    (bins of equal width put nearly every row of a rare-class problem into the first one).

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).
        num_bins: number of bins; at most N are used.

    Returns:
        Scalar float64 tensor, 0 is best.

    References:
        Nguyen and O'Connor, Posterior calibration and exploratory analysis for NLP models, 2015 (equal mass).

    Example:
        >>> calibration_error(torch.tensor([0.1, 0.1, 0.7, 0.9]), torch.tensor([0, 0, 1, 1]), num_bins=2)
        tensor(0.1500, dtype=torch.float64)
    """
    check_int("num_bins", num_bins, minimum=1)
    p, y = _pair(probabilities, target)
    order = torch.argsort(p, stable=True)
    gap = torch.cat([torch.zeros(1, dtype=p.dtype, device=p.device), (p - y)[order].cumsum(0)])
    edges = torch.linspace(0, len(p), num_bins + 1, device=p.device).round().long()
    return gap[edges].diff().abs().sum() / len(p)


def recall_at_precision(probabilities: Tensor, target: Tensor, precision: float) -> Tensor:
    """Return the highest recall among the thresholds whose precision reaches a floor; 0 where none does.

    Args:
        probabilities: of the positive class, (N,) floating point.
        target: 0 or 1, (N,), with at least one positive.
        precision: the floor, in (0, 1].

    Returns:
        Scalar float64 tensor in [0, 1].

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
    reached = last_of_tie & (hits >= precision * flagged)
    return torch.where(reached, hits, 0.0).max() / hits[-1]


def _pair(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    check_same_length(probabilities=probabilities, target=target)
    if probabilities.ndim != 1 or len(probabilities) == 0:
        raise ValueError(f"`probabilities` must have shape (N,) with N > 0, got {tuple(probabilities.shape)}.")
    return probabilities.to(torch.float64), target.to(torch.float64)
