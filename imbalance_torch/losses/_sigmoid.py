"""The sigmoid family: one engine that takes the expectation over labels, one base for its modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_floating, check_same_device, check_tensor
from imbalance_torch._reduction import Normalizer, reduce_loss, widen
from imbalance_torch.losses._arguments import check_nonnegative, check_options, describe, keep

LabelLoss = Callable[[Tensor], tuple[Tensor, Tensor]]
"""logits -> (loss of a positive, loss of a negative), each of the shape of the logits."""

NORMALIZERS = ("weight", "count", "positives")


def sigmoid_loss(
    label_loss: LabelLoss,
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
) -> Tensor:
    """Return weight (t pos_weight f_positive + (1 - t) f_negative), reduced, with t the (smoothed) target."""
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
        valid = target != ignore_index
        z, t = torch.where(valid, z, 0.0), torch.where(valid, t, 0.0)
    smooth = t * (1.0 - label_smoothing) + label_smoothing / 2
    positive, negative = label_loss(z)
    loss = smooth * (positive if pos_weight is None else positive * pos_weight) + (1.0 - smooth) * negative
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
    """Base of the sigmoid losses: holds the common arguments; a loss adds `label_loss` and `log_posterior`."""

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
            self.label_loss,
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
        )

    @abstractmethod
    def label_loss(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of a positive and of a negative at each logit."""

    def extra_repr(self) -> str:
        """Show every argument."""
        return describe(self)
