"""Deferred re-weighting: train without class weights first, with them later."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_floating, check_number

SCHEDULES = ("step", "linear", "cosine")


class DeferredReweighting(nn.Module):
    """A loss whose class weights are 1 at first and come into force at a later epoch (DRW).

    ``weight_e = 1 + a_e (weight - 1)``, and ``pos_weight`` alike, with e the epoch given to `set_epoch` and a_e = 0
    before ``start_epoch``. From there on ``"step"`` has a_e = 1; with u = (e - ``start_epoch``) / (``end_epoch`` -
    ``start_epoch``), at most 1, ``"linear"`` has a_e = u and ``"cosine"`` a_e = (1 - cos(pi u)) / 2.

    Args:
        loss: A loss module with a float buffer ``weight``, ``pos_weight`` or both. From now on its buffers hold the
            weights in force.
        start_epoch: >= 0, the last epoch without weights for a ramp, the first with weights for ``"step"``.
        end_epoch: The first epoch with the full weights, > ``start_epoch``; None for ``"step"``.
        schedule: ``"step"``, ``"linear"`` or ``"cosine"``.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The loss has no weights, or an argument is out of range.

    Notes:
        Call `set_epoch` at the start of every epoch, never between a forward and its backward pass. The weights change
        in place: their addresses stay, a compiled step is not compiled again, and nothing waits for the device.
        The epoch is the one thing that ``state_dict`` holds; loading it sets the weights of that epoch.
        The paper steps to ``class_weights(counts, "effective", beta=0.9999, normalize="classes")`` at epoch 160 of 200,
        where the learning rate falls, and does so with the LDAM loss.

    References:
        Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019,
        arXiv 1906.07413.

    Example:
        >>> from imbalance_torch.losses import ClassWeightedCrossEntropyLoss
        >>> weighted = ClassWeightedCrossEntropyLoss(torch.tensor([0.5, 5.0]))
        >>> loss = DeferredReweighting(weighted, start_epoch=2, end_epoch=4, schedule="linear")
        >>> for epoch in range(5):
        ...     loss.set_epoch(epoch)
        ...     print(epoch, weighted.weight)
        0 tensor([1., 1.])
        1 tensor([1., 1.])
        2 tensor([1., 1.])
        3 tensor([0.7500, 3.0000])
        4 tensor([0.5000, 5.0000])
    """

    def __init__(
        self, loss: nn.Module, *, start_epoch: float, end_epoch: float | None = None, schedule: str = "step"
    ) -> None:
        super().__init__()
        check_number("start_epoch", start_epoch, minimum=0)
        check_choice("schedule", schedule, SCHEDULES)
        if (end_epoch is None) != (schedule == "step"):
            needed = "None" if schedule == "step" else "a number"
            raise ValueError(f"`end_epoch` must be {needed} for schedule={schedule!r}, got end_epoch={end_epoch!r}.")
        if end_epoch is not None:
            check_number("end_epoch", end_epoch, exclusive_minimum=start_epoch)
        self.loss = loss
        self.start_epoch = start_epoch
        self.end_epoch = end_epoch
        self.schedule = schedule
        full = {name: value for name, value in loss.named_buffers(recurse=False) if name in ("weight", "pos_weight")}
        if not full:
            raise ValueError(
                f"`loss` must have a buffer `weight` or `pos_weight`, got {type(loss).__name__} without. "
                "Build it with weight=class_weights(counts)."
            )
        for name, value in full.items():
            self.register_buffer(f"full_{name}", check_floating(f"loss.{name}", value).clone(), persistent=False)
            # torch.nn keeps the caller's tensor, which must not change, and saves it, which the epoch makes needless
            loss.register_buffer(name, value.clone(), persistent=False)
        self._enter(0)

    @property
    def epoch(self) -> float:
        """The epoch whose weights are in force."""
        return self._epoch

    def set_epoch(self, epoch: float) -> None:
        """Put the weights of ``epoch`` in force, a number >= 0 and not an increment; a no-op when already there."""
        if check_number("epoch", epoch, minimum=0) != self._epoch:
            self._enter(epoch)

    def forward(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the wrapped loss under the weights in force."""
        extra = () if sample_weight is None else (sample_weight,)  # the losses of torch.nn take none
        loss: Tensor = self.loss(logits, target, *extra)
        return loss

    def log_posterior(self, logits: Tensor, *, prior: Any, train_prior: Any = None) -> Tensor:
        """Return the log-posterior of the wrapped loss, which undoes the weights in force."""
        posterior: Tensor = self.loss.log_posterior(logits, prior=prior, train_prior=train_prior)  # type: ignore[operator]
        return posterior

    def get_extra_state(self) -> dict[str, float]:
        """Return the epoch, for ``state_dict``."""
        return {"epoch": self._epoch}

    def set_extra_state(self, state: dict[str, float]) -> None:
        """Put the weights of the saved epoch in force, for ``load_state_dict``."""
        self._enter(check_number("epoch", state["epoch"], minimum=0))

    def extra_repr(self) -> str:
        """Show the schedule and the epoch."""
        return (
            f"start_epoch={self.start_epoch}, end_epoch={self.end_epoch}, schedule={self.schedule!r}, "
            f"epoch={self._epoch}"
        )

    @torch.no_grad()
    def _enter(self, epoch: float) -> None:
        share = self._share(epoch)
        for name, full in self.named_buffers(recurse=False):
            weight = torch.lerp(torch.ones_like(full), full, share)  # exact at both ends
            self.loss.get_buffer(name.removeprefix("full_")).copy_(weight)
        self._epoch = epoch

    def _share(self, epoch: float) -> float:
        end = self.start_epoch if self.end_epoch is None else self.end_epoch
        if epoch >= end:
            return 1.0
        if epoch <= self.start_epoch:
            return 0.0
        progress = (epoch - self.start_epoch) / (end - self.start_epoch)
        return progress if self.schedule == "linear" else (1.0 - math.cos(math.pi * progress)) / 2
