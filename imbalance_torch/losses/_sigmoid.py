"""The sigmoid family: one engine that takes the expectation over labels, one base for its modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imbalance_torch._checks import check_floating, check_same_device, check_tensor
from imbalance_torch._reduction import Normalizer, divide, reduce_loss, widen
from imbalance_torch.losses._arguments import check_nonnegative, check_options, describe, keep
from imbalance_torch.losses._modulator import unsmooth
from imbalance_torch.priors import label_shift

ElementLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(logits, target, pos_weight) -> the loss of each element, or their sum, for targets that may be soft."""

NORMALIZERS = ("weight", "count", "positives")


def sigmoid_loss(
    element_loss: ElementLoss,
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    sample_weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int | None,
    reduction: str,
    normalizer: Normalizer,
    sync: bool = False,
    summed_loss: ElementLoss | None = None,
) -> Tensor:
    """Return weight times ``element_loss`` of the (smoothed) target, reduced.

    ``summed_loss``, if there is one, gives the sum where nothing else than the sum is needed.
    """
    check_floating("logits", logits)
    check_tensor("target", target)
    if sample_weight is not None:
        check_tensor("sample_weight", sample_weight)
    check_same_device(logits=logits, target=target, sample_weight=sample_weight)
    if target.shape != logits.shape:
        raise ValueError(
            f"`target` must have the shape of `logits`, {tuple(logits.shape)}, got {tuple(target.shape)}. "
            "Add or drop a dimension with unsqueeze or squeeze."
        )
    weight = None if weight is None else broadcast("weight", weight, logits)
    pos_weight = None if pos_weight is None else broadcast("pos_weight", pos_weight, logits)
    z = widen(logits)
    t = target.to(z.dtype)
    valid = None
    if ignore_index is not None:
        valid = (target if target.is_floating_point() else target.long()) != ignore_index
        z, t = torch.where(valid, z, 0.0), torch.where(valid, t, 0.0)
    smooth = t * (1.0 - label_smoothing) + label_smoothing / 2 if label_smoothing else t
    if summed_loss is not None and reduction != "none" and valid is None and weight is None and sample_weight is None:
        total = summed_loss(z, smooth, pos_weight)
        return total if reduction == "sum" else divide(total, z.shape, None, None, t, normalizer, sync)
    loss = element_loss(z, smooth, pos_weight)
    return reduce_loss(
        loss if weight is None else loss * weight,
        dtype=logits.dtype,
        valid=valid,
        weight=weight,
        sample_weight=sample_weight,
        positives=t,
        reduction=reduction,
        normalizer=normalizer,
        sync=sync,
    )


def expectation(positive: Tensor, negative: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
    """Return t pos_weight times the loss of a positive plus (1 - t) times the loss of a negative."""
    return target * (positive if pos_weight is None else positive * pos_weight) + (1.0 - target) * negative


def broadcast(name: str, values: Tensor, logits: Tensor) -> Tensor:
    """Return ``values`` in the dtype of the computation; raise unless they broadcast to ``logits``."""
    shape, full = check_tensor(name, values).shape, logits.shape
    if len(shape) > len(full) or any(a not in (1, b) for a, b in zip(shape[::-1], full[::-1], strict=False)):
        raise ValueError(
            f"`{name}` must broadcast to the shape of `logits`, {tuple(full)}, got {name}.shape={tuple(shape)}."
        )
    check_same_device(logits=logits, **{name: values})
    return values.to(widen(logits).dtype)


class AbstractSigmoidLoss(nn.Module, ABC):
    """Base of the sigmoid losses: holds the common arguments; a loss adds `element_loss` and, if needed, `link`."""

    weight: Tensor | None
    pos_weight: Tensor | None
    label_smoothing: float
    ignore_index: int | None
    reduction: str
    normalizer: Normalizer
    sync_normalizer: bool

    def __init__(
        self,
        *,
        weight: Tensor | None,
        pos_weight: Tensor | None,
        label_smoothing: float,
        ignore_index: int | None,
        reduction: str,
        normalizer: Normalizer,
        sync_normalizer: bool,
    ) -> None:
        super().__init__()
        check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
        for name, values in {"weight": weight, "pos_weight": pos_weight}.items():
            if values is not None:
                check_nonnegative(name, values)
        keep(
            self,
            weight=weight,
            pos_weight=pos_weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )

    def forward(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: Float tensor of any shape.
            target: Tensor of the same shape, 0/1 (bool or integer too) or probabilities.
            sample_weight: Weights of the leading dimensions, (N,) up to the shape of ``logits``, or None.

        Returns:
            A 0-d tensor, or for ``reduction="none"`` a tensor of the shape and dtype of ``logits``.
        """
        return sigmoid_loss(
            self.element_loss,
            logits,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            sample_weight=sample_weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            normalizer=self.normalizer,
            sync=self.sync_normalizer,
            summed_loss=self.summed_loss,
        )

    def log_posterior(self, logits: Tensor, *, prior: Any, train_prior: Any = None) -> Tensor:
        """Return log p(y=1|x) under the true shares, from the logits of a network trained with this loss.

        ``logit = link(logits) - log pos_weight + logit(prior) - logit(train_prior)``, exact at the population
        minimiser; ``link`` is what the loss makes of logits (the identity for binary cross-entropy). ``weight`` scales
        both terms and cancels; label smoothing is undone between the weights and the priors.

        Args:
            logits: Float tensor; with (L, 2) priors the labels lie along dimension 1 (0 for 1-D logits).
            prior: True share of positives: a number, (2,) [negative, positive], or (L, 2) such rows.
            train_prior: The shares that a sampler or resampler fed; None means ``prior``.

        Returns:
            Log-probabilities of the shape of ``logits``, float32 for half input.

        Raises:
            ValueError: A prior does not sum to 1, does not fit the labels, or holds a share outside (0, 1); or the
                loss gave one class no weight.

        Notes:
            Only the priors are inspected: keep them on the CPU and nothing waits for the device. ``sample_weight`` is
            not undone. A label whose ``pos_weight`` is 0 was never trained: NaN. With smoothing, an output below the
            smoothing floor, which only estimation error produces, becomes a probability near 0 that keeps its order.
        """
        z = widen(check_floating("logits", logits))
        odds = self.link(z)
        if self.pos_weight is not None:
            ratio = broadcast("pos_weight", self.pos_weight, logits)
            odds = odds - torch.where(ratio > 0, ratio, torch.nan).log()
        floor = self.label_smoothing / 2
        odds = unsmooth(F.logsigmoid(odds), floor) - unsmooth(F.logsigmoid(-odds), floor)
        return F.logsigmoid(odds + label_shift(z, prior, train_prior))

    @abstractmethod
    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the loss of each element; the target may be soft."""

    def summed_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the sum of `element_loss`; a loss that has the sum for less says so here."""
        return self.element_loss(logits, target, pos_weight).sum()

    def link(self, logits: Tensor) -> Tensor:
        """Return the log-odds of weight times posterior at which ``logits`` minimise the loss."""
        return logits

    def extra_repr(self) -> str:
        """Show every argument."""
        return describe(self)
