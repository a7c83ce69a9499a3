"""Thresholds: probabilities of the positive class -> decisions, chosen on validation data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_number, check_same_length
from imbalance_torch.decision._cuts import check_probabilities, cut_points, label_cuts


def threshold_for_f_beta(probabilities: Tensor, target: Tensor, beta: float = 1.0) -> float:
    """Return the threshold with the highest F-beta: ``(1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp)``.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both classes occur.
        beta: weight of recall against precision, > 0.

    Returns:
        A threshold t; the decision is ``p >= t``. It lies halfway between two scores, so that rounding does not flip
        a row, and is exact in the dtype of ``probabilities``. Of equally good ones the highest; slightly above 1
        where a row of probability 1 is best left alone.

    Raises:
        ValueError: another shape, probabilities outside [0, 1] or NaN, or only one class.

    Notes:
        One sort, O(N log N); every cut between two different probabilities is tried.

    Example:
        >>> threshold_for_f_beta(torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 0, 1, 1]))
        0.375
    """
    square = check_number("beta", beta, exclusive_minimum=0.0) ** 2
    cuts = label_cuts(probabilities, target)
    return cuts.best((1 + square) * cuts.tp / ((1 + square) * cuts.tp + square * cuts.fn + cuts.fp))


def threshold_for_balanced_accuracy(probabilities: Tensor, target: Tensor) -> float:
    """Return the threshold with the highest balanced accuracy: ``(tp / (tp + fn) + tn / (tn + fp)) / 2``.

    Arguments, result and errors as for :func:`threshold_for_f_beta`.

    Example:
        >>> threshold_for_balanced_accuracy(torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 0, 0, 1]))
        0.625
    """
    cuts = label_cuts(probabilities, target)
    return cuts.best(cuts.tp / (cuts.tp + cuts.fn) + cuts.tn / (cuts.tn + cuts.fp))


def threshold_for_cost(
    probabilities: Tensor, target: Tensor, *, false_negative: float, false_positive: float = 1.0
) -> float:
    """Return the threshold with the lowest cost: ``false_negative fn + false_positive fp``.

    With exact probabilities that is :func:`bayes_threshold`, ``false_positive / (false_positive + false_negative)``;
    here it is the best on the data given. Where right decisions have a cost too, pass the differences: with
    ``cost[true][decided]``, ``false_negative = cost[1][0] - cost[1][1]`` and
    ``false_positive = cost[0][1] - cost[0][0]``; the total cost differs from the sum above by a constant.

    Arguments, result and errors as for :func:`threshold_for_f_beta`; costs are > 0, in any unit.

    Example:
        >>> threshold_for_cost(torch.tensor([0.125, 0.5, 0.25, 0.75]), torch.tensor([0, 0, 1, 1]), false_negative=10)
        0.1875
    """
    check_number("false_negative", false_negative, exclusive_minimum=0.0)
    check_number("false_positive", false_positive, exclusive_minimum=0.0)
    cuts = label_cuts(probabilities, target)
    return cuts.best(-(false_negative * cuts.fn + false_positive * cuts.fp))


def threshold_for_precision(probabilities: Tensor, target: Tensor, precision: float) -> float:
    """Return the threshold with the highest recall among those with ``tp / (tp + fp) >= precision``.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both classes occur.
        precision: the floor, in (0, 1]; a threshold that flags nothing does not reach it.

    Returns:
        A threshold as for :func:`threshold_for_f_beta`.

    Raises:
        ValueError: as for :func:`threshold_for_f_beta`, or no threshold reaches the floor; the text names the highest
            precision.

    Example:
        >>> p, y = torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 1, 0, 1])
        >>> threshold_for_precision(p, y, 0.6), threshold_for_precision(p, y, 0.9)
        (0.1875, 0.625)
    """
    check_number("precision", precision, exclusive_minimum=0.0, maximum=1.0)
    cuts = label_cuts(probabilities, target)
    precisions = (cuts.tp / (cuts.tp + cuts.fp)).nan_to_num(0.0)
    reached = precisions >= precision
    if not bool(reached.any()):
        best = precisions.argmax()
        raise ValueError(
            f"No threshold reaches a precision of {precision}: the best is {float(precisions[best]):.4g}, where "
            f"{int(cuts.tp[best] + cuts.fp[best])} rows are flagged. Lower `precision`."
        )
    return cuts.best(torch.where(reached, cuts.tp, -1.0))


def threshold_for_recall(probabilities: Tensor, target: Tensor, recall: float) -> float:
    """Return the highest threshold with ``tp / (tp + fn) >= recall``: the fewest false positives at that recall.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both classes occur.
        recall: the floor, in (0, 1].

    Returns:
        A threshold as for :func:`threshold_for_f_beta`.

    Raises:
        ValueError: as for :func:`threshold_for_f_beta`.

    Example:
        >>> threshold_for_recall(torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 1, 0, 1]), 0.8)
        0.1875
    """
    check_number("recall", recall, exclusive_minimum=0.0, maximum=1.0)
    cuts = label_cuts(probabilities, target)
    return cuts.best((cuts.tp / (cuts.tp + cuts.fn) >= recall).double())


def threshold_for_alert_budget(probabilities: Tensor, *, budget: float, days: Tensor | np.ndarray | float) -> float:
    """Return the lowest threshold whose mean number of alerts per day stays within ``budget``.

    Rows of equal probability are flagged together or not at all, so the budget is never exceeded on the rows given;
    where the most probable ones alone exceed it, nothing is flagged.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1], N > 0: all rows of the period, labelled
            or not.
        budget: alerts (flagged rows) per day, > 0.
        days: the day of each row, (N,), of any kind that can be sorted; or the number of days, > 0. A day without
            rows counts in the number only.

    Returns:
        A threshold as for :func:`threshold_for_f_beta`.

    Raises:
        ValueError: another shape, no rows, probabilities outside [0, 1] or NaN, or a number out of range.

    Notes:
        One sort, O(N log N). The budget holds for the mean; single days lie above it and below it.

    Example:
        >>> p, days = torch.tensor([0.9, 0.7, 0.5, 0.5, 0.1, 0.2]), torch.tensor([1, 1, 1, 2, 2, 2])
        >>> round(threshold_for_alert_budget(p, budget=1.5, days=days), 4)
        0.6
    """
    check_number("budget", budget, exclusive_minimum=0.0)
    p = check_floating("probabilities", probabilities)
    if p.ndim != 1 or len(p) == 0:
        raise ValueError(f"`probabilities` must have shape (N,) with N > 0, got {tuple(p.shape)}.")
    check_probabilities(p)
    if isinstance(days, int | float):
        num_days = check_number("days", days, exclusive_minimum=0.0)
    else:
        check_same_length(probabilities=p, days=days)
        num_days = len(np.unique(days.cpu() if isinstance(days, Tensor) else days))
    flagged, threshold = cut_points(p.sort(descending=True).values)
    return float(threshold[flagged.double() / num_days <= budget][-1])
