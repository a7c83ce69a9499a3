"""Fit one technique on one data module with a fixed number of steps: what every command builds on."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from imbalance_torch._checks import check_choice, check_device, check_int, check_number
from imbalance_torch._random import mix
from imbalance_torch.data import Schema, TableEncoder, TensorLoader
from imbalance_torch.resampling import BatchOversampler
from imbalance_torch.resampling._over import OverSampler
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.training._callbacks import RandomState, StepProgress
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._early_stopping import BestCheckpoint, EarlyStopping
from imbalance_torch.training._loggers import default_loggers
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._non_finite import StopOnNonFiniteLoss
from imbalance_torch.training._registry import NETWORKS, Technique, num_outputs, on_encoded_rows

_LOOKS = 20
_PATIENCE = 5


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
        early_stopping: look at the validation AP up to 20 times, stop after 5 looks without a better one, and keep the
            best weights. Off by default: under drift the validation rows pick too many steps.
    """

    technique: Technique = field(default_factory=Technique)
    network: str = "tabm"
    max_steps: int = 1500
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    seed: int = 0
    device: str = "auto"
    checkpoint_every: int = 200
    early_stopping: bool = False

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        check_device(self.device)
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


class EncodedTable(Protocol):
    """What :func:`fit` needs of a table: a :class:`TabularDataModule`, or anything else with these."""

    @property
    def schema(self) -> Schema:
        """Column roles and class names."""

    @property
    def encoder(self) -> TableEncoder:
        """The fitted encoder."""

    @property
    def class_counts(self) -> Sequence[float]:
        """Training rows of each class, before any sampling."""

    def rows(self, part: str) -> tuple[Tensor, Tensor]:
        """Return encoded rows and class indices of a part, such as "train"."""


class _WeightedLoader(TensorLoader):
    """Batches as dictionaries with a weight for each row."""

    def __iter__(self) -> Iterator[Any]:
        for x, y, weight in super().__iter__():
            yield {"x": x, "y": y, "sample_weight": weight}


def fit(
    data: EncodedTable,
    settings: Settings,
    *,
    network: nn.Module | Callable[..., nn.Module] | None = None,
    loss: nn.Module | None = None,
    sampler: Callable[..., AbstractSampler] | None = None,
    resampler: OverSampler | BatchOversampler | None = None,
    sample_weight: Tensor | None = None,
    directory: Path | None = None,
    resume: bool = False,
    progress: Callback | None = None,
) -> TabularModel:
    """Train a detector on the training part of ``data``.

    Args:
        data: the table, its split and its encoder.
        settings: technique, network, budget, seed and device.
        network: instead of the one that the settings name: a module, or a factory ``network(num_dense, cardinalities,
            num_outputs)``.
        loss: instead of the one that the technique names.
        sampler: factory ``sampler(labels, batch_size=, seed=)``, instead of the one that the technique names.
        resampler: instead of the one that the technique names.
        sample_weight: weights of the training rows, (N,), for the loss.
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
    technique, encoder, counts = settings.technique, data.encoder, data.class_counts
    x, y = data.rows("train")
    with _own_random_state(settings.seed):
        loss = loss or technique.build_loss(counts)
        arguments = {
            "num_dense": encoder.num_dense,
            "cardinalities": encoder.cardinalities,
            "num_outputs": num_outputs(loss, len(counts)),
        }
        if not isinstance(network, nn.Module):
            network = (network or NETWORKS[settings.network])(**arguments)
        classifier = ImbalancedClassifier(
            network,
            loss,
            task="binary" if len(counts) == 2 else "multiclass",
            class_counts=counts,
            resampler=technique.build_resampler(encoder, settings.seed)
            if resampler is None
            else on_encoded_rows(resampler, encoder),
            optimizer=partial(AdamW, lr=settings.learning_rate, weight_decay=settings.weight_decay),
            scheduler=partial(
                OneCycleLR,
                max_lr=settings.learning_rate,
                total_steps=settings.max_steps + 1,
                pct_start=warm_up_share(settings.max_steps),
                cycle_momentum=False,
            ),
        )
        order = {"batch_size": settings.batch_size, "seed": settings.seed}
        chosen = sampler(y, **order) if sampler else technique.build_sampler(y, max_steps=settings.max_steps, **order)
        loader = (
            TensorLoader(x, y, batch_size=settings.batch_size, sampler=chosen)
            if sample_weight is None
            else _WeightedLoader(x, y, sample_weight, batch_size=settings.batch_size, sampler=chosen)
        )
        run = _run_steps if not settings.early_stopping else partial(_run_until_the_best, data.rows("val"))
        run(classifier, loader, settings, directory, resume, progress)
    return TabularModel(
        data.schema,
        encoder,
        classifier,
        {"name": settings.network, "arguments": arguments},
        technique,
        threshold=0.5 if len(counts) == 2 else None,
    )


def warm_up_share(max_steps: int) -> float:
    """Return the share of the steps in which the learning rate rises: a tenth, but two steps at least."""
    return max(0.1, 2 / (max_steps + 1))


def _run_until_the_best(
    rows: tuple[Tensor, Tensor],
    classifier: ImbalancedClassifier,
    loader: TensorLoader,
    settings: Settings,
    directory: Path | None,
    resume: bool,
    progress: Callback | None,
) -> None:
    with TemporaryDirectory() as folder:
        best = BestCheckpoint(folder if directory is None else directory / "checkpoints", save_weights_only=True)
        callbacks = [EarlyStopping(patience=_PATIENCE), best]
        _run_steps(
            classifier, loader, settings, directory, resume, progress, callbacks, TensorLoader(*rows, batch_size=8192)
        )
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    classifier.load_state_dict(state)


def _run_steps(
    classifier: ImbalancedClassifier,
    loader: TensorLoader,
    settings: Settings,
    directory: Path | None,
    resume: bool,
    progress: Callback | None,
    more_callbacks: Sequence[Callback] = (),
    val_loader: TensorLoader | None = None,
) -> None:
    checkpoint = None if directory is None else directory / "checkpoints" / "last.ckpt"
    if resume and (checkpoint is None or not checkpoint.is_file()):
        raise FileNotFoundError(
            f"There is no checkpoint {checkpoint}: the run ended before its first. Delete {directory} and train again."
        )
    if resume:
        _check_readable(checkpoint)
    callbacks: list[Callback] = [StopOnNonFiniteLoss(), RandomState(), progress or StepProgress(), *more_callbacks]
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
    with quiet_lightning(), signals_as_exceptions():
        trainer = L.Trainer(
            accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[settings.device],
            devices=1,
            max_steps=settings.max_steps,
            gradient_clip_val=1.0,
            logger=default_loggers(directory) if directory is not None else False,
            callbacks=callbacks,
            enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            val_check_interval=math.ceil(settings.max_steps / _LOOKS),
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(classifier, loader, val_loader, ckpt_path=checkpoint if resume else None, weights_only=True)
        classifier.trainer = None  # it holds the data


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
