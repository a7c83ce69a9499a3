"""A guard against class weights so large that they kill the network."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number

_PLACES = {"weight": "class", "pos_weight": "label"}
_ROUNDING = 1e-5


class WeightGuard(Callback):
    """Cap the class weights of the loss, clip the gradient, and warn when the network stops looking at its inputs.

    A class weight of a thousand lets one rare row throw the weights so far that every ReLU is off: from then on the
    network gives all rows the same logits. Clipping the gradient prevents it; a cap on the weights keeps the ranking
    from suffering.

    Args:
        max_weight: upper bound > 0 of the loss's buffers ``weight`` and ``pos_weight``, in the scale of
            :func:`imbalance_torch.class_weights`; None leaves them.
        gradient_clip_val: norm > 0 that the gradient is clipped to where the trainer sets no ``gradient_clip_val``;
            None leaves it.
        every_n_steps: optimiser steps between two looks at the logits, >= 1.
        patience: looks in a row with the same logits for every row before the warning, >= 1.

    Warns:
        UserWarning: a weight is capped (its class and its value), or the logits are dead.

    Notes:
        Probabilities are corrected by the weights of the loss: capped ones keep them right. The cap acts wherever the
        trainer sets up (fit, validate, test, predict), also on a ``DeferredReweighting``. A model that is rebuilt
        without the guard must be given the capped weights: ``class_weights(counts, max_weight=...)``.
        The caller's own tensors stay as they are. A look costs one synchronisation.

    Example:
        >>> trainer = L.Trainer(callbacks=[WeightGuard(max_weight=50.0)], logger=False, enable_checkpointing=False)
    """

    def __init__(
        self,
        max_weight: float | None = 100.0,
        gradient_clip_val: float | None = 1.0,
        *,
        every_n_steps: int = 50,
        patience: int = 3,
    ) -> None:
        for name, value in (("max_weight", max_weight), ("gradient_clip_val", gradient_clip_val)):
            if value is not None:
                check_number(name, value, exclusive_minimum=0)
        self.max_weight = max_weight
        self.gradient_clip_val = gradient_clip_val
        self.every_n_steps = check_int("every_n_steps", every_n_steps, minimum=1)
        self.patience = check_int("patience", patience, minimum=1)
        self._dead_looks = 0
        self._handle: Any = None

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Cap the weights, and clip the gradient unless the trainer does."""
        self._cap(pl_module.loss)
        if trainer.gradient_clip_val is None:
            trainer.gradient_clip_val = self.gradient_clip_val

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Cap weights that came with a checkpoint."""
        self._cap(pl_module.loss)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Watch the network's output where a look is due."""
        if (trainer.global_step + 1) % self.every_n_steps == 0:
            self._handle = pl_module.network.register_forward_hook(self._look)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Warn after enough looks in a row."""
        if self._handle is None:
            return
        self._forget()
        if self._dead_looks == self.patience:
            rank_zero_warn(
                f"The network gave every row the same logits at {self.patience} looks in a row, up to step "
                f"{trainer.global_step}: it no longer depends on its inputs. Start again with a lower learning rate, "
                "smaller class weights (max_weight) or a clipped gradient (gradient_clip_val)."
            )

    def on_exception(self, *_: Any) -> None:
        """Leave the network as it was."""
        self._forget()

    def _cap(self, loss: nn.Module) -> None:
        if self.max_weight is None:
            return
        found: dict[str, None] = {}
        for path, value in list(loss.named_buffers()):
            owner, _, buffer = path.rpartition(".")
            name = buffer.removeprefix("full_")  # DeferredReweighting
            if name in _PLACES and (value > self.max_weight).any():
                found |= dict.fromkeys(_too_large(name, value, self.max_weight))
                setattr(loss.get_submodule(owner), buffer, value.clamp(max=self.max_weight))
        if found:
            rank_zero_warn(f"{', '.join(found)}: capped at max_weight={self.max_weight:g}.")

    def _look(self, network: nn.Module, inputs: Any, logits: Tensor) -> None:
        rows = logits.detach().float()  # the members of an ensemble differ among themselves, so they stay apart
        spread = rows.amax(0) - rows.amin(0)
        dead = len(rows) > 1 and bool((spread <= _ROUNDING * rows.abs().amax(0).clamp(min=1)).all())
        self._dead_looks = self._dead_looks + 1 if dead else 0

    def _forget(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = None


def _too_large(name: str, value: Tensor, limit: float) -> list[str]:
    if value.ndim == 0:
        return [f"The {name} is {float(value):g}"]
    large = (value.flatten() > limit).nonzero().flatten().tolist()
    return [f"The {name} of {_PLACES[name]} {i} is {float(value.flatten()[i]):g}" for i in large]
