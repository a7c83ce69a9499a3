"""Asymmetric loss for many labels that are mostly absent."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options, refuse_posterior
from imbalance_torch.losses._modulator import focal_term, log_focal_slope, log_sigmoids
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, expectation, sigmoid_loss


def asymmetric_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Normalizer = "count",
) -> Tensor:
    """Asymmetric loss (ASL): a focal loss that fades absent labels faster and drops the easiest of them.

    ``t (1-p)^gamma_pos (-log p) + (1-t) p_m^gamma_neg (-log(1 - p_m))`` with p = sigmoid(``logits``), t = ``target``
    and ``p_m = max(p - clip, 0)``. ``gamma_neg`` = ``gamma_pos`` and ``clip`` = 0 is the sigmoid focal loss, all 0
    binary cross-entropy.

    Args:
        logits: Float tensor of any shape.
        target: Tensor of the same shape: 0/1 (bool or integer too) or probabilities.
        gamma_neg: Focusing strength on negatives, >= 0.
        gamma_pos: Focusing strength on positives, >= 0.
        clip: Probability in [0, 1) below which a negative costs nothing.
        weight: Tensor that broadcasts to ``logits`` and scales both terms, or None.
        pos_weight: Tensor that broadcasts to ``logits`` and scales the positives, or None.
        sample_weight: Weights of the leading dimensions of ``logits``, (N,) up to its full shape, or None.
        label_smoothing: In [0, 1].
        ignore_index: Target value that does not count, or None.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"count"``, ``"weight"``, ``"positives"``, or a number or 0-d tensor;
            see `sigmoid_focal_loss`.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` a tensor of the shape of ``logits``. Half input is computed in
        float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        -log p comes from logsigmoid: a positive at any logit keeps its slope. Values and gradients are finite for
        logits up to 1e4. Memory O(elements); no synchronisation.
        NOTE[DIFF]: -log p is not clamped at 1e-8, which in the reference code stops the gradient of positives below a
        logit of -18.4.
        NOTE[DIFF]: the modulator is differentiated (the reference code detaches it by default) and ``"mean"`` is the
        default (there: the sum over batch and labels).

    References:
        Ben-Baruch et al., Asymmetric loss for multi-label classification, ICCV 2021, arXiv 2009.14119.

    Example:
        >>> logits, target = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 1])
        >>> print(f"{asymmetric_loss(logits, target):.4f}")
        0.0649
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    _check_shape_of_loss(gamma_neg, gamma_pos, clip)
    return sigmoid_loss(
        partial(_asymmetric, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip),
        logits,
        target,
        weight=weight,
        pos_weight=pos_weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class AsymmetricLoss(AbstractSigmoidLoss):
    """Asymmetric loss, the module of `asymmetric_loss`.

    Args:
        gamma_neg: Focusing strength on negatives, >= 0.
        gamma_pos: Focusing strength on positives, >= 0.
        clip: Probability in [0, 1) below which a negative costs nothing.
        weight: See `asymmetric_loss`; finite and >= 0.
        pos_weight: See `asymmetric_loss`; finite and >= 0.
        label_smoothing: See `asymmetric_loss`.
        ignore_index: See `asymmetric_loss`.
        reduction: See `asymmetric_loss`.
        normalizer: See `asymmetric_loss`.
        sync_normalizer: See `SigmoidFocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> loss = AsymmetricLoss()
        >>> logits = torch.tensor([[2.0, -1.0], [0.5, -3.0]])
        >>> print(f"{loss(logits, torch.tensor([[1, 0], [1, 0]])):.4f}")
        0.0487
        >>> print(loss.log_posterior(logits, prior=[[0.9, 0.1], [0.8, 0.2]]).exp().round(decimals=4))
        tensor([[0.9633, 0.0033],
                [0.4513, 0.0000]])
    """

    def __init__(
        self,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
        normalizer: Normalizer = "count",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            weight=weight,
            pos_weight=pos_weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )
        _check_shape_of_loss(gamma_neg, gamma_pos, clip)
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip

    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the asymmetric loss of each element."""
        return _asymmetric(
            logits, target, pos_weight, gamma_neg=self.gamma_neg, gamma_pos=self.gamma_pos, clip=self.clip
        )

    def link(self, logits: Tensor) -> Tensor:
        """Return the log of the slope of the negative loss over that of the positive; a p below clip means 0."""
        if self.clip and not (self.gamma_neg and self.gamma_pos):
            refuse_posterior(
                self, "with `clip` > 0 and a focusing strength of 0 many posteriors share the optimum p = clip or p = 1"
            )
        log_p, log_q = log_sigmoids(logits)
        positive = log_focal_slope(log_p, log_q, self.gamma_pos)
        return log_focal_slope(*_log_of_clipped(log_p, log_q, self.clip), self.gamma_neg) - positive


def _asymmetric(
    logits: Tensor,
    target: Tensor,
    pos_weight: Tensor | None,
    *,
    gamma_neg: float,
    gamma_pos: float,
    clip: float,
) -> Tensor:
    log_p, log_q = log_sigmoids(logits)
    negative = focal_term(*_log_of_clipped(log_p, log_q, clip), gamma_neg)
    return expectation(focal_term(log_p, log_q, gamma_pos), negative, target, pos_weight)


def _log_of_clipped(log_p: Tensor, log_q: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Return log(1 - p_m) and log p_m."""
    if not clip:
        return log_q, log_p
    p = (log_p.exp() - clip).clamp(min=torch.finfo(log_p.dtype).tiny)
    return torch.log1p(-p), p.log()


def _check_shape_of_loss(gamma_neg: float, gamma_pos: float, clip: float) -> None:
    check_number("gamma_neg", gamma_neg, minimum=0)
    check_number("gamma_pos", gamma_pos, minimum=0)
    if check_number("clip", clip, minimum=0) >= 1:
        raise ValueError(f"`clip` must be < 1, got clip={clip}.")
