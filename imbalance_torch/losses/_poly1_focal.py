"""Poly-1 focal loss: sigmoid focal loss with its first polynomial term re-weighted."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options
from imbalance_torch.losses._modulator import log_sigmoids
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, expectation, sigmoid_loss


def poly1_focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    epsilon: float = 1.0,
    gamma: float = 2.0,
    alpha: float | None = None,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Normalizer = "count",
) -> Tensor:
    """Poly-1 focal loss of sigmoid outputs: ``(1-p_t)^gamma (-log p_t) + epsilon (1-p_t)^(gamma+1)``.

    p_t is p = sigmoid(``logits``) for a positive and 1 - p for a negative; ``alpha`` and 1 - ``alpha`` scale the two.
    ``epsilon`` = 0 is the sigmoid focal loss.

    Args:
        logits: Float tensor of any shape.
        target: Tensor of the same shape: 0/1 (bool or integer too) or probabilities.
        epsilon: >= -1: what is added to the coefficient of (1-p_t)^(gamma+1), which is 1 in the focal loss.
        gamma: Focusing strength >= 0.
        alpha: In [0, 1] or None: positives times alpha, negatives times 1 - alpha.
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
        Everything is computed from log p and log(1 - p): finite for logits up to 1e4. Soft targets are the expectation
        over labels. Memory O(elements); no synchronisation.
        NOTE[DIFF]: ``alpha`` scales the epsilon term too (a common re-implementation: the focal term alone).

    References:
        Leng et al., PolyLoss: a polynomial expansion perspective of classification loss functions, ICLR 2022,
        arXiv 2204.12511.

    Example:
        >>> logits, target = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 1])
        >>> print(f"{poly1_focal_loss(logits, target):.4f}")
        0.0557
    """
    _check_shape_of_loss(epsilon, gamma, alpha)
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return sigmoid_loss(
        partial(_poly1_focal, epsilon=epsilon, gamma=gamma, alpha=alpha),
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


class Poly1FocalLoss(AbstractSigmoidLoss):
    """Poly-1 focal loss of sigmoid outputs, the module of `poly1_focal_loss`.

    Args:
        epsilon: >= -1.
        gamma: Focusing strength >= 0.
        alpha: In [0, 1] or None.
        weight: See `poly1_focal_loss`; finite and >= 0.
        pos_weight: See `poly1_focal_loss`; finite and >= 0.
        label_smoothing: See `poly1_focal_loss`.
        ignore_index: See `poly1_focal_loss`.
        reduction: See `poly1_focal_loss`.
        normalizer: See `poly1_focal_loss`.
        sync_normalizer: See `SigmoidFocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> loss = Poly1FocalLoss(epsilon=0.5)
        >>> logits = torch.tensor([2.0, -1.0, 0.5])
        >>> print(f"{loss(logits, torch.tensor([1, 0, 1])):.4f}")
        0.0432
        >>> print(loss.log_posterior(logits, prior=0.1).exp().round(decimals=4))
        tensor([0.9941, 0.0739, 0.7788])
    """

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        gamma: float = 2.0,
        alpha: float | None = None,
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
        _check_shape_of_loss(epsilon, gamma, alpha)
        self.epsilon, self.gamma, self.alpha = epsilon, gamma, alpha

    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the Poly-1 focal loss of each element."""
        return _poly1_focal(logits, target, pos_weight, epsilon=self.epsilon, gamma=self.gamma, alpha=self.alpha)

    def link(self, logits: Tensor) -> Tensor:
        """Return log phi(1-p) - log phi(p) - logit alpha, phi the negative slope of the loss of a positive in p."""
        log_p, log_q = log_sigmoids(logits)
        odds = self._log_slope(log_q, log_p) - self._log_slope(log_p, log_q)
        if self.alpha is None:
            return odds
        if self.alpha in (0, 1):
            raise ValueError(f"`alpha` must lie strictly between 0 and 1 for a posterior, got alpha={self.alpha}.")
        return odds - math.log(self.alpha / (1.0 - self.alpha))

    def _log_slope(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Return log phi: gamma log q + log(q/p + gamma (l/q - 1) + (1 + epsilon)(1 + gamma)), l = -log p.

        The sum is of positive terms: nothing cancels. For q -> 0, l/q - 1 is q/2 + q^2/3 + q^3/4 + ...
        """
        q = log_q.exp().clamp(min=torch.finfo(log_q.dtype).tiny)
        series = q * (1 / 2 + q * (1 / 3 + q * (1 / 4 + q * (1 / 5 + q * (1 / 6 + q / 7)))))
        rise = torch.where(q < 1e-2, series, -log_p / q - 1.0)
        constant = (1.0 + self.epsilon) * (1.0 + self.gamma)
        return self.gamma * log_q + torch.logaddexp(log_q - log_p, (self.gamma * rise + constant).log())


def _poly1_focal(
    logits: Tensor,
    target: Tensor,
    pos_weight: Tensor | None,
    *,
    epsilon: float,
    gamma: float,
    alpha: float | None,
) -> Tensor:
    log_p, log_q = log_sigmoids(logits)
    positive, negative = _term(log_p, log_q, epsilon, gamma), _term(log_q, log_p, epsilon, gamma)
    if alpha is not None:
        positive, negative = alpha * positive, (1.0 - alpha) * negative
    return expectation(positive, negative, target, pos_weight)


def _term(log_p: Tensor, log_q: Tensor, epsilon: float, gamma: float) -> Tensor:
    """Return q^gamma (-log p + epsilon q)."""
    return (gamma * log_q).exp() * (epsilon * log_q.exp() - log_p)


def _check_shape_of_loss(epsilon: float, gamma: float, alpha: float | None) -> None:
    check_number("epsilon", epsilon, minimum=-1)
    check_number("gamma", gamma, minimum=0)
    if alpha is not None:
        check_number("alpha", alpha, minimum=0, maximum=1)
