"""Measures of decisions: which class a row is taken for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_number, check_same_device, check_tensor
from imbalance_torch.class_stats import to_tensor


def geometric_mean(predictions: Tensor, target: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Return the geometric mean of the recalls: ``(product over C classes of recall_c) ** (1 / C)``.

    One class that is never found makes it 0, whatever its size. The classes are those that occur in ``target`` or
    among the decisions; one that is only decided for has recall 0.

    Args:
        predictions: class indices, (N,) integer or bool; or probabilities of the positive class, (N,) floating point
            in [0, 1]; or scores per class, (N, C) floating point, of which the highest is the decision.
        target: class indices, (N,).
        threshold: decide for class 1 where the probability is at least this; only for (N,) floating point.

    Returns:
        Scalar float64 tensor in [0, 1].

    Raises:
        ValueError: no rows, another shape, negative labels, probabilities outside [0, 1] or NaN.

    Notes:
        The value of imbalanced-learn's ``geometric_mean_score`` at its defaults. Memory is O(C^2).

    References:
        Kubat and Matwin, Addressing the curse of imbalanced training sets, ICML 1997.

    Example:
        >>> p, target = torch.tensor([0.1, 0.7, 0.2, 0.9]), torch.tensor([0, 0, 0, 1])
        >>> geometric_mean(p, target)
        tensor(0.8165, dtype=torch.float64)
    """
    decided, true = decisions(predictions, target, threshold)
    classes, index = torch.unique(torch.stack([decided, true]), return_inverse=True)
    if len(classes) and bool(classes[0] < 0):
        raise ValueError(REFUSED.format("at least 0", int((true.minimum(decided) < 0).sum())))
    return geometric_mean_of(confusion(index[0], index[1], len(classes)))


def expected_cost(predictions: Tensor, target: Tensor, cost_matrix: Any, *, threshold: float = 0.5) -> Tensor:
    """Return the mean cost of the decisions: ``mean_i cost_matrix[y_i][d_i]``, y the true class and d the decision.

    Args:
        predictions: as in :func:`geometric_mean`.
        target: class indices in 0..C-1, (N,).
        cost_matrix: (C, C) finite numbers, true class by decision, the diagonal usually 0; gains are negative costs.
        threshold: as in :func:`geometric_mean`.

    Returns:
        Scalar float64 tensor: the cost of a row.

    Raises:
        ValueError: no rows, another shape, labels outside 0..C-1, probabilities outside [0, 1] or NaN.

    References:
        Elkan, The foundations of cost-sensitive learning, IJCAI 2001.

    Example:
        >>> cost = [[0.0, 1.0], [50.0, 0.0]]  # a missed positive costs 50 false alarms
        >>> expected_cost(torch.tensor([0.1, 0.7, 0.2]), torch.tensor([0, 0, 1]), cost)
        tensor(17., dtype=torch.float64)
    """
    costs = cost_table(cost_matrix)
    return expected_cost_of(confusion(*decisions(predictions, target, threshold), len(costs)), costs)


REFUSED = "The classes of `predictions` and `target` must be {}, and probabilities in [0, 1]: {} rows are not so."


def decisions(predictions: Tensor, target: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return decided and true class, (N,) int64 each; -1 where a prediction is not valid."""
    p, y = check_tensor("predictions", predictions).detach(), check_tensor("target", target)
    check_same_device(predictions=p, target=y)
    if y.ndim != 1 or p.shape[:1] != y.shape or p.ndim > 1 + p.is_floating_point() or p.shape[1:].numel() == 0:
        raise ValueError(
            "`predictions` must have shape (N,), or (N, C) for scores per class, and `target` (N,), "
            f"got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    if y.is_floating_point():
        raise TypeError(f"`target` must hold integers, got target.dtype={y.dtype}.")
    if not p.is_floating_point():
        return p.long(), y.long()
    if p.ndim == 2:
        return torch.where(p.isfinite().all(1), p.argmax(1), -1), y.long()
    return torch.where((p >= 0) & (p <= 1), (p >= check_number("threshold", threshold)).long(), -1), y.long()


def confusion(decided: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Count the pairs, true class by decision, as (C * C + 1,): the last entry counts those outside the classes."""
    valid = (decided.minimum(true) >= 0) & (decided.maximum(true) < num_classes)
    return torch.where(valid, num_classes * true + decided, num_classes**2).bincount(minlength=num_classes**2 + 1)


def cost_table(cost_matrix: Any) -> Tensor:
    """Return the costs as (C, C) float64."""
    costs = to_tensor("cost_matrix", cost_matrix).double()
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or len(costs) == 0:
        raise ValueError(f"`cost_matrix` must have shape (C, C), got cost_matrix.shape={tuple(costs.shape)}.")
    if not bool(costs.isfinite().all()):
        raise ValueError("`cost_matrix` must be finite, got NaN or infinity.")
    return costs


def geometric_mean_of(pairs: Tensor) -> Tensor:
    """Return the geometric mean of the recalls in what `confusion` counted."""
    table = _valid(pairs)
    support = table.sum(1)
    recall = table.diagonal() / support.clamp(min=1)
    return recall[support + table.sum(0) > 0].log().mean().exp()


def expected_cost_of(pairs: Tensor, costs: Tensor) -> Tensor:
    """Return the mean cost in what `confusion` counted."""
    table = _valid(pairs)
    return (table * costs.to(table.device)).sum() / table.sum()


def _valid(pairs: Tensor) -> Tensor:
    size = round((len(pairs) - 1) ** 0.5)
    if refused := int(pairs[-1]):
        raise ValueError(REFUSED.format(f"in 0..{size - 1}", refused))
    table = pairs[:-1].double().reshape(size, size)
    if not bool(table.any()):
        raise ValueError("This needs at least one row, got none.")
    return table
