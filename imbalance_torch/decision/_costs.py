"""Decisions of the lowest expected cost, in closed form from probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating
from imbalance_torch.decision._cuts import check_probabilities


def bayes_threshold(cost_matrix: Any) -> float:
    """Return the threshold of the lowest expected cost for exact probabilities, without looking at data.

    ``t = (c01 - c00) / (c01 - c00 + c10 - c11)``, where ``c_yk`` is ``cost_matrix[y][k]``: what decision k costs when
    y is true. The decision is ``p >= t``. It needs probabilities at the true class shares, such as the corrected ones
    of the trainer; :func:`threshold_for_cost` is the best on validation rows instead.

    Args:
        cost_matrix: (2, 2), finite, true class by decision; in each row the right decision is the cheapest.

    Returns:
        The threshold, in (0, 1).

    Raises:
        ValueError: another shape, a cost that is not finite, or a wrong decision that is no dearer than the right one.

    References:
        C. Elkan: The Foundations of Cost-Sensitive Learning, IJCAI 2001.

    Example:
        >>> bayes_threshold([[0, 1], [9, 0]])
        0.1
    """
    cost = _square(cost_matrix)
    if len(cost) != 2:
        raise ValueError(f"A threshold is for two classes, got a cost matrix of {len(cost)}. Use `bayes_decision`.")
    false_positive, false_negative = float(cost[0, 1] - cost[0, 0]), float(cost[1, 0] - cost[1, 1])
    if not (false_positive > 0 and false_negative > 0):
        raise ValueError(
            f"The right decision must be the cheapest in each row of `cost_matrix`, got {cost.tolist()}. "
            "Rows are true classes, columns decisions."
        )
    return false_positive / (false_positive + false_negative)


def bayes_decision(probabilities: Tensor, cost_matrix: Any) -> Tensor:
    """Return the class of the lowest expected cost: ``argmin_k sum_c p_c cost_matrix[c][k]``.

    With 0 on the diagonal and 1 elsewhere it is the most probable class. For two classes it is
    ``p >= bayes_threshold(cost_matrix)``.

    Args:
        probabilities: at the true class shares, (N, C) floating point in [0, 1].
        cost_matrix: (C, C), finite, true class by decision; a cost < 0 is a gain.

    Returns:
        Class indices, (N,) int64 on the device of ``probabilities``; of equally cheap classes the last.

    Raises:
        TypeError: probabilities that are not floating point.
        ValueError: shapes that do not fit, a cost that is not finite, probabilities outside [0, 1] or NaN.

    Example:
        >>> p = torch.tensor([[0.75, 0.25, 0.0], [0.75, 0.0, 0.25]])
        >>> bayes_decision(p, [[0, 1, 1], [2, 0, 1], [10, 5, 0]])
        tensor([0, 2])
    """
    p, cost = check_floating("probabilities", probabilities), _square(cost_matrix).to(probabilities.device)
    if p.ndim != 2 or p.shape[1] != len(cost):
        raise ValueError(
            f"`probabilities` must have shape (N, {len(cost)}), one column for each row of `cost_matrix`, "
            f"got {tuple(p.shape)}."
        )
    check_probabilities(p)
    return len(cost) - 1 - (p.double() @ cost).flip(1).argmin(dim=1)


def _square(cost_matrix: Any) -> Tensor:
    cost = torch.as_tensor(cost_matrix, dtype=torch.float64)
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1] or len(cost) == 0:
        raise ValueError(f"`cost_matrix` must have shape (C, C), got {tuple(cost.shape)}.")
    if not bool(cost.isfinite().all()):
        raise ValueError("`cost_matrix` must be finite: some costs are infinite or NaN.")
    return cost
