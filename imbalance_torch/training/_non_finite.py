"""A stop at the first loss that is not finite, with the batch that gave it kept for a look."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_NAMES = ("x", "y", "index")


class NonFiniteLossError(ArithmeticError):
    """The training loss became NaN or infinite."""


class StopOnNonFiniteLoss(Callback):
    """Raise :class:`NonFiniteLossError` at the first step whose loss is NaN or infinite, and save its batch.

    The message names the step and the batch, says whether the batch itself holds values that are not finite, and where
    it was saved: ``non_finite_batch.safetensors`` with the tensors "x", "y" and, where there is one, "index" (or the
    keys of a batch that is a dictionary), as the network saw them: after resampling. The last checkpoint is from before
    that step.

    Args:
        dirpath: directory for the batch; None means the directory of the trainer's logger, and no file without one.

    Notes:
        Reading the loss costs one synchronisation a step. Each process looks at its own loss, without a collective;
        with several processes the file name ends in the rank. The file is written under another name and renamed.

    Example:
        >>> stop = StopOnNonFiniteLoss(dirpath="run/diagnostics")
        >>> trainer = L.Trainer(callbacks=[stop], logger=False, enable_checkpointing=False)
    """

    def __init__(self, dirpath: str | Path | None = None) -> None:
        self.dirpath = dirpath
        self._directory: Path | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Settle the directory here, where all processes are at the same place: ``log_dir`` is a collective."""
        directory = trainer.log_dir if self.dirpath is None and trainer.loggers else self.dirpath
        self._directory = None if directory is None else Path(directory)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss of the step."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is None or torch.isfinite(loss):
            return
        tensors = dict(_tensors("", batch))
        raise NonFiniteLossError(
            f"The training loss became {float(loss)} at step {trainer.global_step} "
            f"(batch {batch_idx} of epoch {trainer.current_epoch}). {_cause(tensors)} {self._save(trainer, tensors)}"
        )

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuse to overwrite the last checkpoint with weights that are not finite."""
        for name, parameter in pl_module.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NonFiniteLossError(
                    f"`{name}` became NaN or infinite at step {trainer.global_step}. Lower the learning rate."
                )

    def _save(self, trainer: L.Trainer, tensors: dict[str, Tensor]) -> str:
        if self._directory is None:
            return "To keep the batch, pass StopOnNonFiniteLoss(dirpath=...)."
        rank = f"_rank{trainer.global_rank}" if trainer.world_size > 1 else ""
        file = self._directory / f"non_finite_batch{rank}.safetensors"
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, part)
            part.replace(file)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                part.unlink()
            return f"The batch could not be saved to {file} ({error})."
        return f"The batch is in {file}."


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name or "batch", value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list | tuple):
        names = [*_NAMES, *map(str, range(len(_NAMES), len(value)))] if not name else map(str, range(len(value)))
        for key, part in zip(names, value, strict=False):
            yield from _tensors(f"{name}.{key}" if name else key, part)


def _cause(tensors: dict[str, Tensor]) -> str:
    for name, tensor in tensors.items():
        bad = ~torch.isfinite(tensor)
        if bad.any():
            rows = int(bad.flatten(1).any(1).sum()) if tensor.ndim > 1 else int(bad.sum())
            return f"`{name}` of the batch is not finite in {rows} of {tensor.shape[:1].numel()} rows: clean the data."
    return "The batch is finite: lower the learning rate, or clip the gradient (gradient_clip_val)."
