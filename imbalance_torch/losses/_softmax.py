"""The softmax family: one engine that takes the expectation over labels, one base for its modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imbalance_torch._checks import check_class_vector, check_floating, check_same_device, check_tensor
from imbalance_torch._reduction import Normalizer, reduce_loss, widen
from imbalance_torch.losses._arguments import check_nonnegative, check_options, describe, keep
from imbalance_torch.losses._modulator import unsmooth
from imbalance_torch.priors import along_classes, class_shift

ClassLoss = Callable[[Tensor, "Tensor | None"], Tensor]
"""(logits (N, C, *), index (N, 1, *) or None) -> the loss of that class (N, 1, *), or of every class (N, C, *)."""

NORMALIZERS = ("weight", "count")


def softmax_loss(
    class_loss: ClassLoss,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *,
    sample_weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: str,
    normalizer: Normalizer,
    sync: bool = False,
    index_only: bool = False,
) -> Tensor:
    """Return sum_c t_c w_c f_c, reduced, with f the ``class_loss`` and t the (smoothed) target."""
    check_floating("logits", logits)
    if check_tensor("target", target).is_floating_point() and index_only:
        raise ValueError("`target` must hold class indices: a margin belongs to one class, got probabilities.")
    _check_shapes(logits, target)
    if weight is not None:
        check_class_vector("weight", weight, logits.shape[min(1, logits.ndim - 1)])
    if sample_weight is not None:
        check_tensor("sample_weight", sample_weight)
    check_same_device(logits=logits, target=target, weight=weight, sample_weight=sample_weight)
    batched = logits.ndim > 1
    z = widen(logits if batched else logits.unsqueeze(0))
    target = target if batched else target.unsqueeze(0)
    if sample_weight is not None and not batched:
        sample_weight = sample_weight.unsqueeze(0)
    class_weight = None if weight is None else along_classes("weight", weight, z)
    of_target = _of_probabilities if target.is_floating_point() else _of_indices
    loss, valid, target_weight = of_target(class_loss, z, target, class_weight, label_smoothing, ignore_index)
    result = reduce_loss(
        loss,
        dtype=logits.dtype,
        valid=valid,
        weight=target_weight,
        sample_weight=sample_weight,
        positives=None,
        reduction=reduction,
        normalizer=normalizer,
        sync=sync,
    )
    return result if batched or reduction != "none" else result.squeeze(0)


def _of_probabilities(
    class_loss: ClassLoss, z: Tensor, target: Tensor, weight: Tensor | None, smoothing: float, ignore_index: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    if ignore_index >= 0:
        raise ValueError(f"`ignore_index` needs class indices as target, got ignore_index={ignore_index}.")
    target = target.to(z.dtype)
    losses = class_loss(z, None) if weight is None else class_loss(z, None) * weight
    loss = (target * losses).sum(1) * (1.0 - smoothing)
    if smoothing:
        loss = loss + losses.sum(1) * (smoothing / z.shape[1])
    return loss, None, None if weight is None else (target * weight).sum(1)


def _of_indices(
    class_loss: ClassLoss, z: Tensor, target: Tensor, weight: Tensor | None, smoothing: float, ignore_index: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    target = target.long()  # before the comparison: as uint8, -100 is 156
    valid = target != ignore_index
    index = torch.where(valid, target, 0).unsqueeze(1)
    target_weight = None if weight is None else weight.flatten()[index.squeeze(1)]
    if not smoothing:
        loss = class_loss(z, index).squeeze(1)
        return loss if target_weight is None else loss * target_weight, valid, target_weight
    losses = class_loss(z, None) if weight is None else class_loss(z, None) * weight
    loss = losses.gather(1, index).squeeze(1) * (1.0 - smoothing) + losses.sum(1) * (smoothing / z.shape[1])
    return loss, valid, target_weight


def _check_shapes(logits: Tensor, target: Tensor) -> None:
    if logits.ndim == 0:
        raise ValueError("`logits` must have shape (N, C), (N, C, *) or (C,), got a scalar.")
    shape = logits.shape
    if not target.is_floating_point():
        shape = shape[:1] + shape[2:] if len(shape) > 1 else shape[1:]
    if target.shape != shape:
        kind = "class probabilities" if target.is_floating_point() else "class indices"
        raise ValueError(
            f"`target` must have shape {tuple(shape)} as {kind} for logits of shape {tuple(logits.shape)}, "
            f"got target.shape={tuple(target.shape)}."
        )


class AbstractSoftmaxLoss(nn.Module, ABC):
    """Base of the softmax losses: holds the common arguments; a loss adds `class_loss` and, if needed, `link`."""

    index_only = False
    weight: Tensor | None
    label_smoothing: float
    ignore_index: int
    reduction: str
    normalizer: Normalizer
    sync_normalizer: bool

    def __init__(
        self,
        weight: Tensor | None,
        *,
        label_smoothing: float,
        ignore_index: int,
        reduction: str,
        normalizer: Normalizer,
        sync_normalizer: bool,
    ) -> None:
        super().__init__()
        check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
        if weight is not None:
            check_nonnegative("weight", check_class_vector("weight", weight))
        keep(
            self,
            weight=weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )

    def forward(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: (N, C), (N, C, *) or (C,) float tensor.
            target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
            sample_weight: Weights of the leading dimensions, (N,) up to (N, *), or None.

        Returns:
            A 0-d tensor, or for ``reduction="none"`` one loss per class index, in the dtype of ``logits``.
        """
        return softmax_loss(
            self.class_loss,
            logits,
            target,
            self.weight,
            sample_weight=sample_weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            normalizer=self.normalizer,
            sync=self.sync_normalizer,
            index_only=self.index_only,
        )

    def log_posterior(self, logits: Tensor, *, prior: Any, train_prior: Any = None) -> Tensor:
        """Return log p(y|x) under the true class shares, from the logits of a network trained with this loss.

        ``log_softmax(link(logits) - log weight + log prior - log train_prior)``, exact at the population minimiser;
        ``link`` is what the loss makes of logits (the identity for cross-entropy), and label smoothing is undone
        between the weights and the priors.

        Args:
            logits: (N, C), (N, C, *) or (C,) float tensor.
            prior: (C,) true class shares.
            train_prior: (C,) class shares that a sampler or resampler fed; None means ``prior``.

        Returns:
            Normalised log-probabilities of the shape of ``logits``, float32 for half input.

        Raises:
            ValueError: A prior does not sum to 1, does not fit C, or holds a share outside (0, 1).

        Notes:
            Only the priors are inspected: keep them on the CPU and nothing waits for the device. A class of weight 0
            was never trained: the result is NaN. ``sample_weight`` is not undone. With smoothing, an output below the
            smoothing floor, which only estimation error produces, becomes a probability near 0 that keeps its order.
        """
        check_floating("logits", logits)
        z = widen(logits if logits.ndim > 1 else logits.unsqueeze(0))
        eta = self.link(z)
        if self.weight is not None:
            eta = eta - along_classes("weight", self.weight.log(), z)
        eta = unsmooth(F.log_softmax(eta, 1), self.label_smoothing / z.shape[1])
        return F.log_softmax(eta + class_shift(z, prior, train_prior), 1).reshape(logits.shape)

    @abstractmethod
    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the loss of class ``index``, or of every class."""

    def link(self, logits: Tensor) -> Tensor:
        """Return the log of weight times posterior, up to a constant, at which ``logits`` minimise the loss."""
        return logits

    def extra_repr(self) -> str:
        """Show every argument."""
        return describe(self)


def cross_entropy_of_class(logits: Tensor, index: Tensor | None) -> Tensor:
    """Return -log p of class ``index``, or of every class."""
    log_p = F.log_softmax(logits, 1)
    return -(log_p if index is None else log_p.gather(1, index))
