"""Sigmoid focal loss: binary and multi-label."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_floating, check_number
from imbalance_torch._reduction import Normalizer, widen
from imbalance_torch.losses._arguments import check_gamma, check_nonnegative, check_options, keep
from imbalance_torch.losses._modulator import focal_term, log_focal_slope, unsmooth
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, broadcast, sigmoid_loss
from imbalance_torch.priors import label_shift


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
        and any gamma, also 0 < gamma < 1. Memory O(elements); no synchronisation.
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
        partial(_focal_of_label, gamma=gamma, alpha=alpha),
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

    def label_loss(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the focal loss of a positive and of a negative at each logit."""
        return _focal_of_label(logits, gamma=self.gamma, alpha=self.alpha)

    def log_posterior(self, logits: Tensor, *, prior: Any, train_prior: Any = None) -> Tensor:
        """Return log p(y=1|x) under the true shares, from the logits of a network trained with this loss.

        ``logit = log phi(1-p) - log phi(p) - log(pos_weight alpha / (1-alpha)) + logit(prior) - logit(train_prior)``,
        phi(p) = -d/dp (1-p)^gamma (-log p): exact at the population minimiser. ``weight`` scales both terms and
        cancels; label smoothing is undone between the weights and the priors.

        Args:
            logits: Float tensor; with (L, 2) priors the labels lie along dimension 1 (0 for 1-D logits).
            prior: True share of positives: a number, (2,) [negative, positive], or (L, 2) such rows.
            train_prior: The shares that a sampler or resampler fed; None means ``prior``.

        Returns:
            Log-probabilities of the shape of ``logits``, float32 for half input.

        Raises:
            ValueError: A prior does not sum to 1, does not fit the labels, or holds a share outside (0, 1); or the
                number ``alpha`` is 0 or 1, so that one class was never trained.

        Notes:
            Only the priors are inspected: keep them on the CPU and nothing waits for the device. ``sample_weight`` is
            not undone. With smoothing, an output below the smoothing floor, which only estimation error produces,
            becomes a probability near 0 that keeps its order.
        """
        if not isinstance(self.alpha, Tensor) and self.alpha in (0, 1):
            raise ValueError(f"`alpha` must lie strictly between 0 and 1 for a posterior, got alpha={self.alpha}.")
        z = widen(check_floating("logits", logits))
        log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)
        gamma = broadcast("gamma", self.gamma, logits) if isinstance(self.gamma, Tensor) else self.gamma
        odds = log_focal_slope(log_q, log_p, gamma) - log_focal_slope(log_p, log_q, gamma)
        if self.pos_weight is not None:
            odds = odds - broadcast("pos_weight", self.pos_weight, logits).log()
        if self.alpha is not None:
            odds = odds - broadcast("alpha", torch.as_tensor(self.alpha, device=z.device), logits).logit()
        floor = self.label_smoothing / 2
        odds = unsmooth(F.logsigmoid(odds), floor) - unsmooth(F.logsigmoid(-odds), floor)
        return F.logsigmoid(odds + label_shift(z, prior, train_prior))


def _focal_of_label(logits: Tensor, *, gamma: float | Tensor, alpha: float | Tensor | None) -> tuple[Tensor, Tensor]:
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    if isinstance(gamma, Tensor):
        gamma = broadcast("gamma", gamma, logits)
    positive, negative = focal_term(log_p, log_q, gamma), focal_term(log_q, log_p, gamma)
    if alpha is None:
        return positive, negative
    if isinstance(alpha, Tensor):
        alpha = broadcast("alpha", alpha, logits)
    return positive * alpha, negative * (1.0 - alpha)


def _check_alpha(alpha: float | Tensor | None) -> None:
    if alpha is not None and not isinstance(alpha, Tensor):
        check_number("alpha", alpha, minimum=0, maximum=1)
