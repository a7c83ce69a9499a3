"""Thresholds: probabilities of the positive class -> decisions, chosen on validation data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_number, check_tensor


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
    return _best(
        probabilities,
        target,
        lambda tp, fp, fn, tn: (1 + square) * tp / ((1 + square) * tp + square * fn + fp),
    )


def threshold_for_balanced_accuracy(probabilities: Tensor, target: Tensor) -> float:
    """Return the threshold with the highest balanced accuracy: ``(tp / (tp + fn) + tn / (tn + fp)) / 2``.

    Arguments, result and errors as for :func:`threshold_for_f_beta`.

    Example:
        >>> threshold_for_balanced_accuracy(torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 0, 0, 1]))
        0.625
    """
    return _best(probabilities, target, lambda tp, fp, fn, tn: tp / (tp + fn) + tn / (tn + fp))


def threshold_for_cost(
    probabilities: Tensor, target: Tensor, *, false_negative: float, false_positive: float = 1.0
) -> float:
    """Return the threshold with the lowest cost: ``false_negative fn + false_positive fp``.

    With exact probabilities that is ``false_positive / (false_positive + false_negative)``; here it is the best on
    the data given. Arguments, result and errors as for :func:`threshold_for_f_beta`; costs are > 0, in any unit.

    Example:
        >>> threshold_for_cost(torch.tensor([0.125, 0.5, 0.25, 0.75]), torch.tensor([0, 0, 1, 1]), false_negative=10)
        0.1875
    """
    check_number("false_negative", false_negative, exclusive_minimum=0.0)
    check_number("false_positive", false_positive, exclusive_minimum=0.0)
    return _best(probabilities, target, lambda tp, fp, fn, tn: -(false_negative * fn + false_positive * fp))


def _best(probabilities: Tensor, target: Tensor, utility: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> float:
    p, y = check_floating("probabilities", probabilities), check_tensor("target", target).to(torch.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(
            f"`probabilities` and `target` must have shape (N,), got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("`probabilities` must lie in [0, 1]: some are outside or NaN. Apply sigmoid to logits.")
    positives = y.sum()
    if not bool(((y == 0) | (y == 1)).all()) or not 0 < float(positives) < len(y):
        raise ValueError(
            f"A threshold needs rows of both classes 0 and 1, got {int(positives)} positives in {len(y)} rows."
        )
    ranked, order = torch.sort(p, descending=True)
    one = p.new_ones(1)  # the bounds just outside [0, 1] stand for flagging nothing and flagging everything
    bounds = torch.cat([torch.nextafter(one, 2 * one), ranked, torch.nextafter(0 * one, -one)])
    cuts = (bounds.diff() != 0).nonzero()[:, 0]  # flag the first `cut` rows; between bounds[cut] and bounds[cut + 1]
    tp = torch.cat([y.new_zeros(1), y[order].cumsum(0)])[cuts]
    fp = cuts - tp
    best = cuts[utility(tp, fp, positives - tp, len(y) - positives - fp).argmax()]
    above, below = bounds[best], bounds[best + 1]
    middle = below + (above - below) / 2
    return float(torch.where(middle > below, middle, above))
