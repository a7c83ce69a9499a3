"""Thresholds: probabilities of the positive class -> decisions, chosen on validation data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from imbalance_torch._checks import check_number, check_same_length


def threshold_for_f_beta(probabilities: Tensor, target: Tensor, beta: float = 1.0) -> float:
    """Return the threshold with the highest F-beta: ``(1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp)``.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both classes occur.
        beta: weight of recall against precision, > 0.

    Returns:
        A threshold t; the decision is ``p >= t``. Halfway between two scores, so that rounding does not flip a row.

    Raises:
        ValueError: non-finite probabilities, or only one class.

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
    check_same_length(probabilities=probabilities, target=target)
    p, y = probabilities.to(torch.float64), target.to(torch.float64)
    if not bool(torch.isfinite(p).all()):
        raise ValueError("`probabilities` must be finite.")
    positives = y.sum()
    if not 0 < float(positives) < len(y):
        raise ValueError(f"A threshold needs rows of both classes, got {int(positives)} positives in {len(y)} rows.")
    ranked, order = torch.sort(p, descending=True)
    ends = torch.cat([ranked.diff() != 0, torch.ones(1, dtype=torch.bool, device=p.device)]).nonzero()[:, 0]
    tp = y[order].cumsum(0)[ends]
    fp = (ends + 1) - tp
    best = int(ends[utility(tp, fp, positives - tp, len(y) - positives - fp).argmax()])
    below = float(ranked[best + 1]) if best + 1 < len(p) else 0.0
    middle = (float(ranked[best]) + below) / 2
    return middle if middle > below else float(ranked[best])
