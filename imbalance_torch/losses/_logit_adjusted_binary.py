"""Logit-adjusted binary cross-entropy: one output or several labels."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options, keep
from imbalance_torch.losses._modulator import log_sigmoids
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, expectation, sigmoid_loss
from imbalance_torch.priors import along_classes, log_odds_of, shares_of


def logit_adjusted_binary_cross_entropy(
    logits: Tensor,
    target: Tensor,
    prior: Any,
    *,
    tau: float = 1.0,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Normalizer = "count",
) -> Tensor:
    """Logit-adjusted binary cross-entropy: the network learns the log-odds without the share of positives.

    ``BCE(logits + tau log(prior / (1 - prior)), target)``. Predict with the plain ``logits``: at ``tau`` = 1 the
    threshold 0 minimises the balanced error. At ``tau`` = 0 this is binary cross-entropy.

    Args:
        logits: Float tensor of any shape.
        target: Tensor of the same shape: 0/1 (bool or integer too) or probabilities.
        prior: Share of positives in the training data: a number in (0, 1), (2,) [negative, positive] shares, or (L, 2)
            such rows for L labels along dimension 1 (0 for 1-D logits). Its values are checked: keep it on the CPU.
        tau: Strength >= 0.
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
        The offset is computed in float64, so that tiny shares do not saturate. No synchronisation with a ``prior`` on
        the CPU.

    References:
        Menon et al., Long-tail learning via logit adjustment, ICLR 2021, arXiv 2007.07314.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 1])
        >>> print(f"{logit_adjusted_binary_cross_entropy(logits, target, 0.01):.4f}")
        2.2608
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return sigmoid_loss(
        partial(_adjusted, offset=_offset(prior, tau)),
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


class LogitAdjustedBCEWithLogitsLoss(AbstractSigmoidLoss):
    """Logit-adjusted binary cross-entropy, the module of `logit_adjusted_binary_cross_entropy`.

    Args:
        prior: Share of positives in the training data: a number, (2,) or (L, 2) [negative, positive] shares.
        tau: Strength >= 0.
        weight: See `logit_adjusted_binary_cross_entropy`; finite and >= 0.
        pos_weight: See `logit_adjusted_binary_cross_entropy`; finite and >= 0.
        label_smoothing: See `logit_adjusted_binary_cross_entropy`.
        ignore_index: See `logit_adjusted_binary_cross_entropy`.
        reduction: See `logit_adjusted_binary_cross_entropy`.
        normalizer: See `logit_adjusted_binary_cross_entropy`.
        sync_normalizer: See `SigmoidFocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = LogitAdjustedBCEWithLogitsLoss(0.01)
        >>> print(f"{loss(torch.zeros(1), torch.ones(1)):.4f}")
        4.6052
        >>> print(loss.log_posterior(torch.zeros(1), prior=0.01).exp())
        tensor([0.0100])
    """

    offset: Tensor

    def __init__(
        self,
        prior: Any,
        *,
        tau: float = 1.0,
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
        self.prior, self.tau = shares_of("prior", prior), tau
        keep(self, offset=_offset(prior, tau))

    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the binary cross-entropy of each adjusted element."""
        return _adjusted(logits, target, pos_weight, offset=self.offset)

    def link(self, logits: Tensor) -> Tensor:
        """Return ``logits + tau log(prior / (1 - prior))``."""
        return logits + along_classes("prior", self.offset, logits)


def _offset(prior: Any, tau: float) -> Tensor:
    return check_number("tau", tau, minimum=0) * log_odds_of(shares_of("prior", prior))


def _adjusted(logits: Tensor, target: Tensor, pos_weight: Tensor | None, *, offset: Tensor) -> Tensor:
    log_p, log_q = log_sigmoids(logits + along_classes("prior", offset, logits))
    return expectation(-log_p, -log_q, target, pos_weight)
