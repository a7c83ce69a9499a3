"""Callbacks of every run: exact resume and one progress bar over all steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RandomState(Callback):
    """Save torch's random state with a checkpoint and restore it before the first step after a resume.

    Dropout draws from torch's global generator; without this a resumed run drops other units than the uninterrupted
    one. Nothing else in the package reads or writes that generator.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the CPU generator and of every CUDA generator in use."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the first batch: setting up data and loops may still draw."""
        self._pending = state_dict

    def on_train_batch_start(self, *_: Any) -> None:
        """Restore the state that a checkpoint brought, once."""
        if self._pending is not None:
            torch.set_rng_state(self._pending["cpu"])
            if self._pending["cuda"]:
                torch.cuda.set_rng_state_all(self._pending["cuda"])
            self._pending = None


class StepProgress(Callback):
    """One progress bar over all optimiser steps of a run; draws nothing where the output is not a terminal.

    Args:
        description: text before the bar.
        progress: a running :class:`rich.progress.Progress` to add to; by default one of its own.
    """

    def __init__(self, description: str = "training", *, progress: Progress | None = None) -> None:
        self.description = description
        self.progress = progress or progress_bar()
        self._owns_progress = progress is None
        self._task: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        if self._owns_progress:
            self.progress.start()
        self._task = self.progress.add_task(
            self.description, total=trainer.estimated_stepping_batches, completed=trainer.global_step
        )

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Advance the bar."""
        self.progress.update(self._task, completed=trainer.global_step)

    def on_train_end(self, *_: Any) -> None:
        """Close the bar."""
        if self._owns_progress:
            self.progress.stop()

    def on_exception(self, *_: Any) -> None:
        """Close the bar."""
        self.on_train_end()


@contextmanager
def waiting(description: str) -> Iterator[None]:
    """Show a pulsing bar while something of unknown length runs."""
    with progress_bar() as progress:
        progress.add_task(description, total=None)
        yield


def progress_bar() -> Progress:
    """Return the bar that every long operation uses: on standard error, off unless that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
