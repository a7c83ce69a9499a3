"""Fit one technique on one data module with a fixed number of steps: what every command builds on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from imbalance_torch._checks import check_choice, check_int, check_number
from imbalance_torch._random import mix
from imbalance_torch.data import TensorLoader
from imbalance_torch.training._callbacks import RandomState, StepProgress, StopOnNonFiniteLoss
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._datamodule import TabularDataModule
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._registry import NETWORKS, Technique


@dataclass(frozen=True)
class Settings:
    """How a detector is trained; goes through JSON unchanged.

    Attributes:
        technique: what is done about the imbalance.
        network: registry name of the network.
        max_steps: optimiser steps; the only budget, so that techniques are compared at equal cost.
        batch_size: rows of a batch before any synthetic ones.
        learning_rate: peak of the one-cycle schedule (10 % warm-up, then cosine to zero).
        weight_decay: of AdamW.
        seed: of the initial weights, the batches, dropout and the synthetic rows.
        device: "auto", "cpu" or "cuda".
        checkpoint_every: steps between two checkpoints.
    """

    technique: Technique = field(default_factory=Technique)
    network: str = "mlp"
    max_steps: int = 1500
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    device: str = "auto"
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        check_choice("device", self.device, ("auto", "cpu", "cuda"))
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"There is no CUDA device for torch {torch.__version__}. Use --device cpu.")
        for name in ("max_steps", "batch_size", "checkpoint_every"):
            check_int(name, getattr(self, name), minimum=1)
        check_int("seed", self.seed, minimum=0)
        check_number("learning_rate", self.learning_rate, exclusive_minimum=0.0)
        check_number("weight_decay", self.weight_decay, minimum=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Settings:
        """Rebuild what :meth:`to_dict` gave."""
        return cls(**{**record, "technique": Technique(**record["technique"])})


def fit(
    data: TabularDataModule,
    settings: Settings,
    *,
    directory: Path | None = None,
    resume: bool = False,
    progress: Callback | None = None,
) -> TabularModel:
    """Train a detector on the training part of ``data``.

    Args:
        data: the table, its split and its encoder.
        settings: technique, network, budget, seed and device.
        directory: where ``checkpoints/last.ckpt`` and the log go; None keeps nothing.
        resume: go on from ``directory/checkpoints/last.ckpt``; the result is that of an uninterrupted run.
        progress: a callback that shows progress; by default a bar of its own.

    Returns:
        The model, its threshold not chosen yet (0.5 for two classes).

    Raises:
        FileNotFoundError: nothing to resume from.
        NonFiniteLossError: the loss became NaN or infinite.
        KeyboardInterrupt, SystemExit(143): Ctrl-C or SIGTERM; the last checkpoint stays usable.
    """
    checkpoint = None if directory is None else directory / "checkpoints" / "last.ckpt"
    if resume and (checkpoint is None or not checkpoint.is_file()):
        raise FileNotFoundError(
            f"There is no checkpoint {checkpoint}: the run ended before its first. Delete {directory} and train again."
        )
    if resume:
        _check_readable(checkpoint)
    x, y = data.rows("train")
    sampler = settings.technique.build_sampler(
        y, max_steps=settings.max_steps, batch_size=settings.batch_size, seed=settings.seed
    )
    callbacks: list[Callback] = [StopOnNonFiniteLoss(), RandomState(), progress or StepProgress()]
    if directory is not None:
        callbacks.append(
            ModelCheckpoint(
                directory / "checkpoints",
                filename="last",
                every_n_train_steps=settings.checkpoint_every,
                save_on_train_epoch_end=False,
                enable_version_counter=False,
            )
        )
    with _own_random_state(settings.seed), quiet_lightning(), signals_as_exceptions():
        classifier, network = _build(data, settings)
        trainer = L.Trainer(
            accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[settings.device],
            devices=1,
            max_steps=settings.max_steps,
            gradient_clip_val=1.0,
            logger=CSVLogger(directory, name="log") if directory is not None else False,
            callbacks=callbacks,
            enable_checkpointing=directory is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(
            classifier,
            TensorLoader(x, y, batch_size=settings.batch_size, sampler=sampler),
            ckpt_path=checkpoint if resume else None,
            weights_only=True,
        )
    return TabularModel(
        data.schema,
        data.encoder,
        classifier,
        network,
        settings.technique.loss,
        threshold=0.5 if data.num_classes == 2 else None,
    )


def _build(data: TabularDataModule, settings: Settings) -> tuple[ImbalancedClassifier, dict[str, Any]]:
    arguments = {
        "num_dense": data.num_dense,
        "cardinalities": data.cardinalities,
        "num_outputs": data.num_classes,
    }
    technique = settings.technique
    classifier = ImbalancedClassifier(
        NETWORKS[settings.network](**arguments),
        technique.build_loss(data.class_counts),
        task="binary" if data.num_classes == 2 else "multiclass",
        class_counts=data.class_counts,
        resampler=technique.build_resampler(data.interpolated_columns, settings.seed),
        optimizer=lambda parameters: AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay),
        scheduler=lambda optimizer: OneCycleLR(
            optimizer,
            max_lr=settings.learning_rate,
            total_steps=settings.max_steps + 1,
            pct_start=0.1,
            cycle_momentum=False,
        ),
    )
    return classifier, {"name": settings.network, "arguments": arguments}


@contextmanager
def _own_random_state(seed: int) -> Iterator[None]:
    """Initial weights and dropout draw from a fork of torch's global generators; the caller's stay as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(mix(seed))
        yield


def _check_readable(checkpoint: Any) -> None:
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{checkpoint} is damaged and cannot be resumed ({error}). Train again.") from error


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Turn what the trainer makes of SIGTERM and Ctrl-C back into ``SystemExit(143)`` and ``KeyboardInterrupt``."""
    try:
        yield
    except SIGTERMException as stop:
        raise SystemExit(143) from stop
    except SystemExit as stop:
        if stop.code != 1:
            raise
        raise KeyboardInterrupt from stop


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence the trainer's advertisements and the warnings that do not concern this package's users."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
