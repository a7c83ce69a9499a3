"""Sigmoid focal loss: binary and multi-label."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_gamma, check_nonnegative, check_options, keep
from imbalance_torch.losses._fast import is_fast, sigmoid_focal
from imbalance_torch.losses._modulator import focal_term, log_focal_slope, log_sigmoids
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, broadcast, expectation, sigmoid_loss


def sigmoid_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float | Tensor = 2.0,
    alpha: float | Tensor | None = None,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Normalizer = "count",
) -> Tensor:
    """Sigmoid focal loss: binary cross-entropy that fades for elements that are already well predicted.

    ``loss = w (a r t (1-p)^gamma (-log p) + (1-a) (1-t) p^gamma (-log(1-p)))`` with p = sigmoid(``logits``),
    t = ``target`` (smoothed towards 1/2 by ``label_smoothing``), w = ``weight``, r = ``pos_weight``, a = ``alpha``;
    without ``alpha`` neither a nor 1 - a appears.

    Args:
        logits: Float tensor of any shape.
        target: Tensor of the same shape: 0/1 (bool or integer too) or probabilities.
        gamma: Focusing strength >= 0: a number, or a tensor that broadcasts to ``logits`` such as one per label (C,).
            0 is binary cross-entropy.
        alpha: In [0, 1], a number or a tensor that broadcasts to ``logits``: positives times alpha, negatives times
            1 - alpha. Below 0.5 it weakens the positives. ``pos_weight=r`` is ``alpha=r/(1+r)`` times 1 + r.
        weight: Tensor that broadcasts to ``logits`` and scales both terms, or None.
        pos_weight: Tensor that broadcasts to ``logits`` and scales the positives, or None.
        sample_weight: Weights of the leading dimensions of ``logits``, (N,) up to its full shape, or None.
        label_smoothing: In [0, 1].
        ignore_index: Target value that does not count, or None.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"count"`` (the number of valid elements, as in torch.nn),
            ``"weight"`` (their summed ``weight`` times ``sample_weight``), ``"positives"`` (the summed target, at
            least 1), or a number or 0-d tensor.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` a tensor of the shape of ``logits``. Half input is computed in
        float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        p and 1 - p come from logsigmoid(x) and logsigmoid(-x): values and gradients are finite for logits up to 1e4
        and any gamma, also 0 < gamma < 1. In eager mode with a number gamma > 0 the slope is computed beside the value
        and is all that is kept for backward: one float per element. No synchronisation.
        NOTE[DIFF]: ``alpha`` is None by default (torchvision: 0.25, reduction "none").
        NOTE[DIFF]: soft targets are the expectation over labels (torchvision modulates by one mixed probability).
        NOTE[DIFF]: a batch without valid elements gives 0 with a graph (torch.nn: NaN).

    References:
        Lin et al., Focal loss for dense object detection, ICCV 2017, arXiv 1708.02002.

    Example:
        >>> logits, target = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 1])
        >>> print(f"{sigmoid_focal_loss(logits, target):.4f}")
        0.0307
    """
    check_gamma(gamma)
    _check_alpha(alpha)
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return sigmoid_loss(
        partial(_focal_of_element, gamma=gamma, alpha=alpha),
        logits,
        target,
        weight=weight,
        pos_weight=pos_weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
        summed_loss=partial(_focal_of_element, gamma=gamma, alpha=alpha, summed=True),
    )


class SigmoidFocalLoss(AbstractSigmoidLoss):
    """Sigmoid focal loss, binary and multi-label: the module of `sigmoid_focal_loss`.

    Args:
        gamma: Number >= 0, or a tensor that broadcasts to the logits.
        alpha: In [0, 1], a number or a tensor that broadcasts to the logits, or None.
        weight: See `sigmoid_focal_loss`; finite and >= 0.
        pos_weight: See `sigmoid_focal_loss`; finite and >= 0.
        label_smoothing: See `sigmoid_focal_loss`.
        ignore_index: See `sigmoid_focal_loss`.
        reduction: See `sigmoid_focal_loss`.
        normalizer: See `sigmoid_focal_loss`.
        sync_normalizer: Whether ``"mean"`` with a named normalizer sums the detached denominator over the ranks of the
            default process group, so that the average over ranks equals one process on the joined batch.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> loss = SigmoidFocalLoss(alpha=0.75)
        >>> logits = torch.tensor([2.0, -1.0, 0.5])
        >>> print(f"{loss(logits, torch.tensor([1, 0, 1])):.4f}")
        0.0192
        >>> print(loss.log_posterior(logits, prior=0.1).exp().round(decimals=4))
        tensor([0.9866, 0.0223, 0.5598])
    """

    gamma: float | Tensor
    alpha: float | Tensor | None

    def __init__(
        self,
        *,
        gamma: float | Tensor = 2.0,
        alpha: float | Tensor | None = None,
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
        check_gamma(gamma)
        _check_alpha(alpha)
        if isinstance(gamma, Tensor):
            check_nonnegative("gamma", gamma)
        if isinstance(alpha, Tensor) and not bool(((alpha >= 0) & (alpha <= 1)).all()):
            raise ValueError(f"`alpha` must be in [0, 1], got alpha={alpha.tolist()}.")
        keep(self, gamma=gamma, alpha=alpha)

    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the focal loss of each element."""
        return _focal_of_element(logits, target, pos_weight, gamma=self.gamma, alpha=self.alpha)

    def summed_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the sum of the focal losses."""
        return _focal_of_element(logits, target, pos_weight, gamma=self.gamma, alpha=self.alpha, summed=True)

    def link(self, logits: Tensor) -> Tensor:
        """Return log phi(1-p) - log phi(p) - logit alpha, phi(p) = -d/dp (1-p)^gamma (-log p)."""
        log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
        gamma = broadcast("gamma", self.gamma, logits) if isinstance(self.gamma, Tensor) else self.gamma
        odds = log_focal_slope(log_q, log_p, gamma) - log_focal_slope(log_p, log_q, gamma)
        if self.alpha is None:
            return odds
        if not isinstance(self.alpha, Tensor) and self.alpha in (0, 1):
            raise ValueError(f"`alpha` must lie strictly between 0 and 1 for a posterior, got alpha={self.alpha}.")
        return odds - broadcast("alpha", torch.as_tensor(self.alpha, device=logits.device), logits).logit()


def _focal_of_element(
    logits: Tensor,
    target: Tensor,
    pos_weight: Tensor | None,
    *,
    gamma: float | Tensor,
    alpha: float | Tensor | None,
    summed: bool = False,
) -> Tensor:
    if isinstance(gamma, Tensor):
        gamma = broadcast("gamma", gamma, logits)
    negative_weight = None
    if alpha is not None:
        alpha = broadcast("alpha", torch.as_tensor(alpha, device=logits.device), logits)
        pos_weight, negative_weight = alpha if pos_weight is None else alpha * pos_weight, 1.0 - alpha
    if is_fast(logits, gamma, target, pos_weight, negative_weight):
        a, b = (None if x is None else x.expand_as(logits) for x in (pos_weight, negative_weight))
        return sigmoid_focal(logits, target, a, b, gamma, summed)
    log_p, log_q = log_sigmoids(logits)
    positive, negative = focal_term(log_p, log_q, gamma), focal_term(log_q, log_p, gamma)
    loss = expectation(
        positive, negative if negative_weight is None else negative * negative_weight, target, pos_weight
    )
    return loss.sum() if summed else loss


def _check_alpha(alpha: float | Tensor | None) -> None:
    if alpha is not None and not isinstance(alpha, Tensor):
        check_number("alpha", alpha, minimum=0, maximum=1)
