"""``imbalance-torch fit | validate | test | predict --config YAML``: LightningCLI with an allow-list for imports."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses import ClassWeightedCrossEntropyLoss
from imbalance_torch.training._callbacks import RandomState
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._datamodule import TabularDataModule
from imbalance_torch.training._fitting import quiet_lightning, signals_as_exceptions
from imbalance_torch.training._non_finite import StopOnNonFiniteLoss

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


class _Cli(LightningCLI):
    """What the data decide is linked: input columns, categories, outputs, class counts."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for source, target in {
            "num_dense": "network.init_args.num_dense",
            "cardinalities": "network.init_args.cardinalities",
            "num_classes": "network.init_args.num_outputs",
            "class_counts": "loss.init_args.class_counts",
        }.items():
            parser.link_arguments(f"data.{source}", f"model.{target}", apply_on="instantiate")


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
            return _Cli(
                ImbalancedClassifier,
                TabularDataModule,
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
