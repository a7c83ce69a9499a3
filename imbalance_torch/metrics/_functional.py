"""Measures of probabilities under imbalance, as functions of all scores at once."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_int
from imbalance_torch.metrics._arguments import binary_probabilities_of


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
    p, y = binary_probabilities_of(probabilities, target)
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
    p, y = binary_probabilities_of(probabilities, target)
    values, group, counts = torch.unique(p, return_inverse=True, return_counts=True)
    hits = torch.zeros_like(values).index_add(0, group, y)
    gaps = (values - hits / counts).repeat_interleave(counts).cumsum(0)
    edges = torch.linspace(0, len(p), num_bins + 1, dtype=torch.float64, device=p.device).round().long()
    return torch.cat([gaps.new_zeros(1), gaps])[edges].diff().abs().sum() / len(p)
