"""Expected cost under a cost matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._reduction import Normalizer
from imbalance_torch.class_stats import to_tensor
from imbalance_torch.losses._arguments import check_nonnegative, check_options, keep, refuse_posterior
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss


def cost_sensitive_loss(
    logits: Tensor,
    target: Tensor,
    cost_matrix: Any,
    *,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Expected cost of a decision that is drawn from the predicted probabilities.

    ``loss_i = sum_c cost[y_i, c] p_ic`` with p = softmax(``logits``): row y of ``cost_matrix`` holds what decision c
    costs when y is true. With 0 on the diagonal and 1 elsewhere it is 1 - p_y.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
        cost_matrix: (C, C) costs >= 0, true class by decision, the diagonal usually 0.
        sample_weight: Weights of the leading dimensions of the loss, (N,) up to (N, *), or None.
        label_smoothing: In [0, 1].
        ignore_index: Target index that does not count; index targets only.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"weight"``, ``"count"``, or a number or 0-d tensor; see `focal_loss`.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` one loss per class index. Half input is computed in float32 and
        returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        The loss is bounded, so a mislabelled row cannot dominate; its slope vanishes where the network is confidently
        wrong, so start from weights that were trained with cross-entropy. When the costs may change, cross-entropy
        with a threshold chosen for the cost is the better choice. Memory O(N C); no synchronisation.

    References:
        Elkan, The foundations of cost-sensitive learning, IJCAI 2001.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0], [0.1, 0.2]])
        >>> cost = [[0.0, 1.0], [50.0, 0.0]]  # a missed positive costs 50 false alarms
        >>> print(f"{cost_sensitive_loss(logits, torch.tensor([0, 1]), cost):.4f}")
        11.8992
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return softmax_loss(
        partial(_expected_cost, cost_matrix=_square(cost_matrix)),
        logits,
        target,
        None,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class CostSensitiveLoss(AbstractSoftmaxLoss):
    """Expected cost under a cost matrix, the module of `cost_sensitive_loss`.

    Args:
        cost_matrix: (C, C) costs, finite and >= 0, true class by decision.
        label_smoothing: See `cost_sensitive_loss`.
        ignore_index: See `cost_sensitive_loss`.
        reduction: See `cost_sensitive_loss`.
        normalizer: See `cost_sensitive_loss`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = CostSensitiveLoss([[0.0, 1.0], [50.0, 0.0]])
        >>> print(f"{loss(torch.tensor([[2.0, -1.0], [0.1, 0.2]]), torch.tensor([0, 1])):.4f}")
        11.8992
    """

    cost_matrix: Tensor

    def __init__(
        self,
        cost_matrix: Any,
        *,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        normalizer: Normalizer = "weight",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            None,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )
        costs = _square(cost_matrix)
        check_nonnegative("cost_matrix", costs)
        keep(self, cost_matrix=costs)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the expected cost if class ``index`` is true, or for every class."""
        return _expected_cost(logits, index, cost_matrix=self.cost_matrix)

    def link(self, logits: Tensor) -> Tensor:
        """Raise: the minimiser puts all probability on the cheapest decision."""
        refuse_posterior(self, "at the optimum the cheapest decision gets probability 1, whatever the posterior")


def _square(cost_matrix: Any) -> Tensor:
    costs = to_tensor("cost_matrix", cost_matrix)
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1]:
        raise ValueError(f"`cost_matrix` must have shape (C, C), got cost_matrix.shape={tuple(costs.shape)}.")
    return costs if costs.is_floating_point() else costs.to(torch.float64)


def _expected_cost(logits: Tensor, index: Tensor | None, *, cost_matrix: Tensor) -> Tensor:
    if cost_matrix.shape[0] != logits.shape[1]:
        raise ValueError(
            f"`cost_matrix` must have one row for each of the {logits.shape[1]} classes, got {cost_matrix.shape[0]}."
        )
    cost = cost_matrix.to(logits.device, logits.dtype)
    p = logits.softmax(1)
    if index is None:
        with torch.autocast(logits.device.type, enabled=False):  # a product of matrices, which autocast would narrow
            return torch.einsum("yc,nc...->ny...", cost, p)
    return (cost[index.squeeze(1)].movedim(-1, 1) * p).sum(1, keepdim=True)
