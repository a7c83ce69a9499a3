"""Label-distribution-aware margin loss."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options, keep, refuse_posterior
from imbalance_torch.losses._class_shares import check_counts, class_vector
from imbalance_torch.losses._modulator import softmax_rest, softmax_rests
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss
from imbalance_torch.priors import along_classes


def ldam_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Any,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Label-distribution-aware margin (LDAM) loss: rare classes must win by a wider margin.

    ``CE(scale (logits - margin_y e_y), target)`` with ``margin_c = max_margin (min n / n_c)^(1/4)``, n =
    ``class_counts``. Made for cosines in [-1, 1], see `imbalance_torch.models.CosineClassifier`. At ``max_margin`` = 0
    and ``scale`` = 1 it is cross-entropy.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor, C >= 2.
        target: Class indices of the shape without C. Probabilities raise: the margin belongs to one class.
        class_counts: (C,) rows of each class in the training data, > 0.
        max_margin: Margin of the rarest class, >= 0.
        scale: What all logits are multiplied by, > 0: cosines alone cannot make the loss small.
        weight: (C,) class weights >= 0, or None.
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
        Usually combined with weights that set in late: `DeferredReweighting`. Smoothed targets mean the expectation
        over labels, each with its own margin. Memory O(N C); no synchronisation.
        NOTE[DIFF]: ``logits`` are not scaled beforehand; some forks expect ``scale`` times cosines and subtract scaled
        margins from them.

    References:
        Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019,
        arXiv 1906.07413.

    Example:
        >>> import torch
        >>> cosines = torch.tensor([[0.8, -0.1, 0.2], [0.1, 0.2, -0.3]])
        >>> print(f"{ldam_loss(cosines, torch.tensor([0, 2]), [90, 9, 1]):.4f}")
        15.0243
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    check_number("scale", scale, exclusive_minimum=0)
    margin = _margin(class_vector("class_counts", class_counts), max_margin)
    return softmax_loss(
        partial(_margin_loss, margin=margin, scale=scale),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        index_only=True,
    )


class LDAMLoss(AbstractSoftmaxLoss):
    """Label-distribution-aware margin loss, the module of `ldam_loss`.

    Args:
        class_counts: (C,) rows of each class in the training data, > 0.
        max_margin: Margin of the rarest class, >= 0.
        scale: What all logits are multiplied by, > 0.
        weight: (C,) class weights >= 0, or None.
        label_smoothing: See `ldam_loss`.
        ignore_index: See `ldam_loss`.
        reduction: See `ldam_loss`.
        normalizer: See `ldam_loss`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = LDAMLoss([90, 9, 1])
        >>> print(loss.margin.round(decimals=4))
        tensor([0.1623, 0.2887, 0.5000], dtype=torch.float64)
        >>> cosines = torch.tensor([[0.8, -0.1, 0.2], [0.1, 0.2, -0.3]])
        >>> print(f"{loss(cosines, torch.tensor([0, 2])):.4f}")
        15.0243
    """

    index_only = True
    margin: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        max_margin: float = 0.5,
        scale: float = 30.0,
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
        check_number("scale", scale, exclusive_minimum=0)
        self.class_counts, self.max_margin, self.scale = check_counts(class_counts), max_margin, scale
        keep(self, margin=_margin(self.class_counts, max_margin))

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the margin loss of class ``index``, or of every class."""
        return _margin_loss(logits, index, margin=self.margin, scale=self.scale)

    def link(self, logits: Tensor) -> Tensor:
        """Raise: a margin that depends on the label leaves no posterior to read off."""
        refuse_posterior(self, "the margin depends on the label, and the scaled logits separate rather than calibrate")


def _margin(counts: Tensor, max_margin: float) -> Tensor:
    return check_number("max_margin", max_margin, minimum=0) * (counts.min() / counts) ** 0.25


def _margin_loss(logits: Tensor, index: Tensor | None, *, margin: Tensor, scale: float) -> Tensor:
    """Return softplus(log(1 - p) - log p + scale margin), p = softmax(scale logits)."""
    log_p = F.log_softmax(scale * logits, 1)
    margins = along_classes("class_counts", margin, logits)
    if index is None:
        log_odds = softmax_rests(log_p) - log_p
    else:
        log_odds = softmax_rest(log_p, index) - log_p.gather(1, index)
        margins = margins.flatten()[index]
    return F.softplus(log_odds + scale * margins, threshold=40)
