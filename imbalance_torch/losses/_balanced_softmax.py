"""Balanced softmax."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options, keep
from imbalance_torch.losses._class_shares import check_counts, class_vector, log_shares, move, moved_cross_entropy
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss


def balanced_softmax_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Any,
    *,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Balanced softmax: cross-entropy of a softmax in which every class is multiplied by its training rows.

    ``-log(n_y exp(logits_y) / sum_c n_c exp(logits_c))`` with n = ``class_counts``: the logit-adjusted loss at
    ``tau`` = 1, from counts instead of shares. Predict with the plain ``logits``. With equal counts it is
    cross-entropy.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
        class_counts: (C,) rows of each class in the training data, > 0.
        weight: (C,) class weights >= 0, or None. Balancing weights on top correct twice.
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
        log n is computed in float64. A class with count 0 has probability 0 and infinite loss; the module refuses it.
        Memory O(N C); no synchronisation.

    References:
        Ren et al., Balanced meta-softmax for long-tailed visual recognition, NeurIPS 2020, arXiv 2007.10740.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{balanced_softmax_loss(logits, torch.tensor([0, 2]), [90, 9, 1]):.4f}")
        2.5094
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    offset = log_shares(class_vector("class_counts", class_counts))
    return softmax_loss(
        partial(moved_cross_entropy, offset=offset),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class BalancedSoftmaxLoss(AbstractSoftmaxLoss):
    """Balanced softmax, the module of `balanced_softmax_loss`.

    Args:
        class_counts: (C,) rows of each class in the training data, > 0.
        weight: (C,) class weights >= 0, or None.
        label_smoothing: See `balanced_softmax_loss`.
        ignore_index: See `balanced_softmax_loss`.
        reduction: See `balanced_softmax_loss`.
        normalizer: See `balanced_softmax_loss`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = BalancedSoftmaxLoss([90, 9, 1])
        >>> logits = torch.zeros(1, 3)
        >>> print(f"{loss(logits, torch.tensor([2])):.4f}")
        4.6052
        >>> print(loss.log_posterior(logits, prior=[0.90, 0.09, 0.01]).exp())
        tensor([[0.9000, 0.0900, 0.0100]])
    """

    offset: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        normalizer: Normalizer = "weight",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )
        self.class_counts = check_counts(class_counts)
        keep(self, offset=log_shares(self.class_counts))

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the balanced cross-entropy of class ``index``, or of every class."""
        return moved_cross_entropy(logits, index, offset=self.offset)

    def link(self, logits: Tensor) -> Tensor:
        """Return ``logits + log n``."""
        return move(logits, self.offset)
