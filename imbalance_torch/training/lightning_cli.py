"""``imbalance-torch fit | validate | test | predict --config YAML``: LightningCLI with an allow-list for imports."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses import ClassWeightedCrossEntropyLoss, DeferredReweighting
from imbalance_torch.samplers import WeightedSampler
from imbalance_torch.training._callbacks import RandomState
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._datamodule import TabularDataModule
from imbalance_torch.training._fitting import quiet_lightning, signals_as_exceptions
from imbalance_torch.training._loggers import default_loggers
from imbalance_torch.training._non_finite import StopOnNonFiniteLoss
from imbalance_torch.training._registry import weights_to_ratio

ALLOWED_IMPORTS = (
    "imbalance_torch",
    "torch.nn",
    "torch.optim",
    "torchmetrics.classification",
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.LearningRateMonitor",
    "lightning.pytorch.callbacks.ModelCheckpoint",
    "lightning.pytorch.callbacks.RichProgressBar",
    "lightning.pytorch.callbacks.TQDMProgressBar",
    "lightning.pytorch.loggers",
    "lightning.pytorch.strategies",
)
_FLAG = "--allow-import"


class BalancedCrossEntropyLoss(ClassWeightedCrossEntropyLoss):
    """:class:`ClassWeightedCrossEntropyLoss` for YAML: the class counts come from the data module.

    Args:
        class_counts: training rows of each class; filled in by the command line.
        scheme: weighting scheme of :func:`imbalance_torch.class_weights`.
        max_weight: cap on a weight.
    """

    def __init__(
        self, class_counts: Sequence[int], *, scheme: str = "balanced", max_weight: float | None = None
    ) -> None:
        super().__init__(class_weights(torch.as_tensor(class_counts), scheme, max_weight=max_weight))


class DeferredBalancedCrossEntropyLoss(DeferredReweighting):
    """:class:`DeferredReweighting` of balanced cross-entropy for YAML: the class counts come from the data module.

    Args:
        class_counts: training rows of each class; filled in by the command line.
        start_epoch: when the weights set in; a share of the run beside the callback ``LossSchedule``.
        scheme: weighting scheme of :func:`imbalance_torch.class_weights`.
    """

    def __init__(self, class_counts: Sequence[int], *, start_epoch: float = 0.8, scheme: str = "balanced") -> None:
        super().__init__(BalancedCrossEntropyLoss(class_counts, scheme=scheme), start_epoch=start_epoch)


class ClassWeightedSampler(WeightedSampler):
    """:class:`WeightedSampler` for YAML, with the weights that raise each class to a ratio.

    Args:
        labels: classes of the training rows, (N,).
        ratio: rows of a class per row of the largest one, in (0, 1].
        batch_size: rows in a batch; the data module passes it.
        seed: selects the streams; the data module passes it.
    """

    def __init__(self, labels: Tensor, *, ratio: float = 0.25, batch_size: int | None = None, seed: int = 0) -> None:
        super().__init__(weights_to_ratio(labels, ratio), labels=labels, batch_size=batch_size, seed=seed)


class _Cli(LightningCLI):
    """What the data decide is linked: input columns, categories, outputs, class counts."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for source, target in (
            ("num_dense", "network.init_args.num_dense"),
            ("cardinalities", "network.init_args.cardinalities"),
            ("num_classes", "network.init_args.num_outputs"),
            ("num_classes", "num_classes"),
            ("class_counts", "loss.init_args.class_counts"),
        ):
            parser.link_arguments(f"data.{source}", f"model.{target}", apply_on="instantiate")
        parser.link_arguments("data.class_counts", "model.loss.init_args.prior", _shares, apply_on="instantiate")

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer, by default with :func:`default_loggers`."""
        trainer = self._get(self.config_init, "trainer")
        if trainer["logger"] in (None, True):
            kwargs["logger"] = default_loggers(trainer["default_root_dir"] or Path.cwd())
        return super().instantiate_trainer(**kwargs)


def run(arguments: list[str]) -> LightningCLI:
    """Run one LightningCLI command.

    Args:
        arguments: the command, its flags and ``--config`` files; ``--allow-import PACKAGE`` lets the YAML name
            classes of one more package. Without it only classes of this package, ``torch.nn``, ``torch.optim``,
            torchmetrics and chosen parts of Lightning are imported.

    Raises:
        ValueError: an unknown key, a class outside the allow-list or a wrong value.
    """
    words, extra = _split_flag(arguments)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED_IMPORTS, *extra])
    defaults: dict[str, Any] = {
        "callbacks": [StopOnNonFiniteLoss(), RandomState()],
        "enable_model_summary": False,
        "enable_progress_bar": sys.stdout.isatty(),
    }
    try:
        with quiet_lightning(), signals_as_exceptions():
            by_class = _names_its_data_module(words)
            return _Cli(
                ImbalancedClassifier,
                L.LightningDataModule if by_class else TabularDataModule,
                subclass_mode_data=by_class,
                args=words,
                seed_everything_default=0,
                trainer_defaults=defaults,
                auto_configure_optimizers=False,
                save_config_kwargs={"overwrite": True},
                parser_kwargs={"exit_on_error": False, words[0]: {"exit_on_error": False}},
            )
    except ArgumentError as error:
        text = " ".join(str(error).split())
        denied = re.search(r"Importing '(\w+)[\w.]*' is not allowed", text)
        hint = f"Trust it with {_FLAG} {denied[1]}." if denied else f"See `imbalance-torch {words[0]} --help`."
        raise ValueError(f"{text.partition(' Add the import path')[0]} {hint}") from error


def _shares(class_counts: Sequence[int]) -> list[float]:
    counts = torch.as_tensor(class_counts, dtype=torch.float64)
    shares: list[float] = (counts / counts.sum(-1, keepdim=True)).tolist()
    return shares


def _names_its_data_module(words: Sequence[str]) -> bool:
    """Return whether a config has ``data: {class_path: ...}``; without it the data are those of TabularDataModule."""
    flags = [(word, following) for word, following in pairwise([*words, ""]) if re.match(r"(-c|--config)(=|$)", word)]
    files = [word.partition("=")[2] or following for word, following in flags]
    configs = [yaml.safe_load(Path(file).read_text()) for file in files if Path(file).is_file()]
    return any("class_path" in ((config or {}).get("data") or {}) for config in configs)


def _split_flag(arguments: list[str]) -> tuple[list[str], list[str]]:
    words, extra = [], []
    remaining = iter(arguments)
    for word in remaining:
        if word == _FLAG or word.startswith(f"{_FLAG}="):
            package = word.partition("=")[2] or next(remaining, "")
            if not package:
                raise ValueError(f"{_FLAG} needs the name of a package.")
            extra.append(package)
        else:
            words.append(word)
    return words, extra
