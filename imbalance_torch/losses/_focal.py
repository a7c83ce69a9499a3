"""Softmax focal loss."""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_class_vector
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_gamma, check_nonnegative, check_options, keep
from imbalance_torch.losses._fast import is_fast, softmax_focal
from imbalance_torch.losses._modulator import focal_term, log_focal_slope, softmax_rest, softmax_rests
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss
from imbalance_torch.priors import along_classes


def focal_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma: float | Tensor = 2.0,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Softmax focal loss: cross-entropy that fades for classes that are already well predicted.

    ``loss_i = sum_c t_ic w_c (1 - p_ic)^gamma (-log p_ic)`` with p = softmax(``logits``), t = ``target`` (one-hot of an
    index, smoothed towards 1/C by ``label_smoothing``), w = ``weight``.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor, C >= 2.
        target: Class indices 0..C-1 of the shape without C (any integer kind), or probabilities of the shape of
            ``logits``.
        weight: (C,) class weights >= 0, or None. There is no ``alpha``: the class vector is ``weight``.
        gamma: Focusing strength >= 0, a number or one per class (C,). 0 is cross-entropy.
        sample_weight: Weights of the leading dimensions of the loss, (N,) up to (N, *), or None.
        label_smoothing: In [0, 1].
        ignore_index: Target index that does not count; index targets only.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"weight"`` (the summed weight of the valid targets, as in torch.nn),
            ``"count"`` (the number of valid targets), or a number or 0-d tensor.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` one loss per class index. Half input is computed in float32 and
        returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit, or C < 2.

    Notes:
        p comes from the unweighted log-probability and 1 - p from the log-sum-exp of the other classes: values and
        gradients are finite for logits up to 1e4 and any gamma, also 0 < gamma < 1. In eager mode with index targets
        and a number gamma > 0 the slope is computed beside the value and is all that is kept for backward: one float
        per logit. No synchronisation.
        NOTE[DIFF]: soft and smoothed targets are the expectation over labels, so mixing labels mixes losses; some
        libraries multiply the smoothed cross-entropy by the modulator of one class.
        NOTE[DIFF]: a batch without valid targets gives 0 with a graph (torch.nn: NaN); probability targets with
        ``weight`` divide by their summed weight (torch.nn: by N, here ``normalizer="count"``).

    References:
        Lin et al., Focal loss for dense object detection, ICCV 2017, arXiv 1708.02002.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{focal_loss(logits, torch.tensor([0, 2])):.4f}")
        0.4142
    """
    check_gamma(gamma)
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return softmax_loss(
        partial(_focal_of_class, gamma=gamma),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class FocalLoss(AbstractSoftmaxLoss):
    """Softmax focal loss, the module of `focal_loss`.

    Args:
        weight: (C,) class weights, finite and >= 0, or None.
        gamma: Number >= 0, or (C,).
        label_smoothing: See `focal_loss`.
        ignore_index: See `focal_loss`.
        reduction: See `focal_loss`.
        normalizer: See `focal_loss`.
        sync_normalizer: Whether ``"mean"`` with a named normalizer sums the detached denominator over the ranks of the
            default process group, so that the average over ranks equals one process on the joined batch.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = FocalLoss(torch.tensor([0.5, 1.0, 2.0]))
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{loss(logits, torch.tensor([0, 2])):.4f}")
        0.6561
        >>> print(loss.log_posterior(logits, prior=[0.7, 0.2, 0.1]).exp().round(decimals=4))
        tensor([[0.9914, 0.0027, 0.0059],
                [0.5748, 0.3478, 0.0773]])
    """

    gamma: float | Tensor

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float | Tensor = 2.0,
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
        check_gamma(gamma)
        if isinstance(gamma, Tensor):
            check_nonnegative("gamma", check_class_vector("gamma", gamma, None if weight is None else len(weight)))
        keep(self, gamma=gamma)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return (1 - p)^gamma (-log p) of class ``index``, or of every class."""
        return _focal_of_class(logits, index, gamma=self.gamma)

    def link(self, logits: Tensor) -> Tensor:
        """Return -log phi(p): at the minimiser weight times posterior is proportional to 1 / phi(p)."""
        log_p = F.log_softmax(logits, 1)
        return -log_focal_slope(log_p, softmax_rests(log_p), _aligned(self.gamma, logits))


def _focal_of_class(logits: Tensor, index: Tensor | None, *, gamma: float | Tensor) -> Tensor:
    if logits.shape[1] < 2:
        raise ValueError("`logits` must have at least 2 classes. For one output use sigmoid_focal_loss.")
    if index is not None and is_fast(logits, gamma):
        return softmax_focal(logits, index, gamma)
    log_p = F.log_softmax(logits, 1)
    gamma = _aligned(gamma, logits)
    if index is None:
        return focal_term(log_p, softmax_rests(log_p), gamma)
    if isinstance(gamma, Tensor):
        gamma = gamma.flatten()[index]
    return focal_term(log_p.gather(1, index), softmax_rest(log_p, index), gamma)


def _aligned(gamma: float | Tensor, logits: Tensor) -> float | Tensor:
    if not isinstance(gamma, Tensor):
        return gamma
    return along_classes("gamma", check_class_vector("gamma", gamma, logits.shape[1]), logits)
