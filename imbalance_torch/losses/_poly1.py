"""Poly-1 cross-entropy: softmax cross-entropy with its first polynomial term re-weighted."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options
from imbalance_torch.losses._modulator import softmax_rests
from imbalance_torch.losses._softmax import (
    NORMALIZERS,
    AbstractSoftmaxLoss,
    cross_entropy_of_class,
    softmax_loss,
)


def poly1_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Poly-1 cross-entropy: ``-log p_y + epsilon (1 - p_y)``, p = softmax(``logits``).

    -log p = sum_k (1-p)^k / k; ``epsilon`` is added to the coefficient of k = 1. ``epsilon`` = 0 is cross-entropy.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
        epsilon: >= -1. Above 0 confident rows keep a larger slope, below 0 a smaller one.
        weight: (C,) class weights >= 0, or None; they scale both terms.
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
        1 - p is -expm1(log p). Memory O(N C); no synchronisation.
        NOTE[DIFF]: ``weight`` scales the epsilon term too, which keeps the map to the posterior exact; a common
        re-implementation weights the cross-entropy alone.

    References:
        Leng et al., PolyLoss: a polynomial expansion perspective of classification loss functions, ICLR 2022,
        arXiv 2204.12511.

    Example:
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{poly1_cross_entropy(logits, torch.tensor([0, 2])):.4f}")
        1.3175
    """
    check_number("epsilon", epsilon, minimum=-1)
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return softmax_loss(
        partial(_poly1_of_class, epsilon=epsilon),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class Poly1Loss(AbstractSoftmaxLoss):
    """Poly-1 cross-entropy, the module of `poly1_cross_entropy`.

    Args:
        weight: (C,) class weights, finite and >= 0, or None.
        epsilon: >= -1.
        label_smoothing: See `poly1_cross_entropy`.
        ignore_index: See `poly1_cross_entropy`.
        reduction: See `poly1_cross_entropy`.
        normalizer: See `poly1_cross_entropy`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> loss = Poly1Loss(epsilon=2.0)
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{loss(logits, torch.tensor([0, 2])):.4f}")
        1.8040
        >>> print(loss.log_posterior(logits, prior=[0.7, 0.2, 0.1]).exp().round(decimals=4))
        tensor([[0.6479, 0.0769, 0.2752],
                [0.3526, 0.3732, 0.2742]])
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        epsilon: float = 1.0,
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
        self.epsilon = check_number("epsilon", epsilon, minimum=-1)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return -log p + epsilon (1 - p) of class ``index``, or of every class."""
        return _poly1_of_class(logits, index, epsilon=self.epsilon)

    def link(self, logits: Tensor) -> Tensor:
        """Return -log phi(p), phi(p) = 1/p + epsilon = ((1 - p) + (1 + epsilon) p) / p."""
        log_p = F.log_softmax(logits, 1)
        if self.epsilon == -1:
            return log_p - softmax_rests(log_p)
        return log_p - torch.logaddexp(softmax_rests(log_p), log_p + math.log1p(self.epsilon))


def _poly1_of_class(logits: Tensor, index: Tensor | None, *, epsilon: float) -> Tensor:
    loss = cross_entropy_of_class(logits, index)
    return loss - epsilon * torch.expm1(-loss)
