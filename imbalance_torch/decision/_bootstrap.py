"""How far a chosen threshold would move on other validation rows of the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.decision._cuts import check_rows


def bootstrap_threshold_interval(
    choose: Callable[[Tensor, Tensor], float],
    probabilities: Tensor,
    target: Tensor,
    *,
    num_resamples: int = 200,
    confidence: float = 0.95,
    random_state: RandomState = 0,
) -> tuple[float, float]:
    """Return a percentile interval of a chosen threshold, from a stratified bootstrap.

    Positives and negatives are drawn separately with replacement, so that every resample has the same prevalence.
    A resample on which ``choose`` finds no threshold (it raises ValueError, as where a precision floor is out of reach)
    counts as the threshold ``inf``, which flags nothing. An upper end of ``inf`` thus says that more than
    ``(1 - confidence) / 2`` of the resamples have no solution.

    Args:
        choose: such as :func:`threshold_for_f_beta`, or
            ``lambda p, y: threshold_for_alert_budget(p, budget=20, days=30)``.
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both classes occur.
        num_resamples: at least 2; 200 are enough for two digits, 1,000 for a report.
        confidence: share of the resamples inside the interval, in (0, 1).
        random_state: seed, CPU generator (which advances) or None for fresh entropy.

    Returns:
        ``(low, high)``, each a threshold of some resample or ``inf``.

    Raises:
        ValueError: a number out of range, rows of one class only, or what ``choose`` raises on the rows given.

    Notes:
        ``choose`` runs once per resample; the rows come sorted, which makes its own sort cheap.

    References:
        B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).

    Example:
        >>> from imbalance_torch.decision import threshold_for_recall
        >>> p, y = torch.linspace(0, 1, 101), (torch.linspace(0, 1, 101) > 0.7).long()
        >>> low, high = bootstrap_threshold_interval(lambda p, y: threshold_for_recall(p, y, 0.9), p, y)
        >>> low <= threshold_for_recall(p, y, 0.9) <= high
        True
    """
    check_int("num_resamples", num_resamples, minimum=2)
    check_number("confidence", confidence, exclusive_minimum=0.0)
    if confidence >= 1:
        raise ValueError(f"`confidence` must be < 1, got confidence={confidence}.")
    check_rows(probabilities, target)
    choose(probabilities, target)
    p, order = probabilities.sort(descending=True)
    y = target[order]
    classes = [(y == label).nonzero()[:, 0].cpu() for label in (0, 1)]
    generator = generator_for(seed_from(random_state))
    thresholds = []
    for _ in range(num_resamples):
        drawn = [rows[torch.randint(len(rows), rows.shape, generator=generator)] for rows in classes]
        rows = torch.cat(drawn).sort().values.to(p.device)
        try:
            thresholds.append(choose(p[rows], y[rows]))
        except ValueError:
            thresholds.append(math.inf)
    tail = (1 - confidence) / 2
    low, high = np.quantile(thresholds, tail, method="lower"), np.quantile(thresholds, 1 - tail, method="higher")
    return float(low), float(high)
