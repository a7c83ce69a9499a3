"""A recipe for ``imbalance-torch fit --config``: a technique on a table, as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from imbalance_torch.evaluation._arms import parse_technique
from imbalance_torch.training import NETWORKS, Settings, Technique
from imbalance_torch.training._fitting import warm_up_share

_LOSSES: dict[str, dict[str, Any]] = {
    "cross_entropy": {"class_path": "torch.nn.CrossEntropyLoss"},
    "class_weighted": {"class_path": "imbalance_torch.training.lightning_cli.BalancedCrossEntropyLoss"},
    "focal": {"class_path": "imbalance_torch.losses.FocalLoss"},
    "logit_adjusted": {"class_path": "imbalance_torch.losses.LogitAdjustedLoss"},
    "balanced_softmax": {"class_path": "imbalance_torch.losses.BalancedSoftmaxLoss"},
    "vs": {"class_path": "imbalance_torch.losses.VSLoss"},
    "ldam": {"class_path": "imbalance_torch.losses.LDAMLoss"},
}
_SAMPLERS = {"balanced": "ClassBalancedSampler", "rotating_undersampling": "RotatingUnderSampler"}
_SCHEMES = {None: "balanced", 1.0: "balanced", 0.5: "inverse_sqrt"}


def recipe_text(
    technique: str, data: Mapping[str, Any], *, num_classes: int, settings: Settings, notes: Sequence[str]
) -> str:
    """Return the YAML of one technique: what :func:`fit` does with these settings.

    Args:
        technique: for :func:`parse_technique`; losses, samplers and resamplers that the rules name.
        data: arguments of :class:`TabularDataModule`.
        num_classes: number of classes.
        settings: network, budget, batch size, learning rate, seed and device.
        notes: lines of comment at the top.
    """
    parsed, steps, rate = parse_technique(technique), settings.max_steps, settings.learning_rate
    model = {
        "task": "binary" if num_classes == 2 else "multiclass",
        "network": {"class_path": f"imbalance_torch.models.{NETWORKS[settings.network].__name__}"},
        "loss": _loss(parsed),
        **_resampler(parsed, settings.seed),
        "optimizer": {
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": rate, "weight_decay": settings.weight_decay},
        },
        "scheduler": {
            "class_path": "torch.optim.lr_scheduler.OneCycleLR",
            "init_args": {
                "max_lr": rate,
                "total_steps": steps + 1,
                "pct_start": warm_up_share(steps),
                "cycle_momentum": False,
            },
        },
    }
    trainer = {
        "max_steps": steps,
        "max_epochs": -1,
        "gradient_clip_val": 1.0,
        "val_check_interval": 1.0,
        "num_sanity_val_steps": 0,
        "accelerator": {"cuda": "gpu"}.get(settings.device, settings.device),
        "devices": 1,
    }
    table = {**data, "batch_size": settings.batch_size, **_sampler(parsed)}
    config = {"seed_everything": settings.seed, "model": model, "data": table, "trainer": trainer}
    comments = "".join(f"# {line}\n" for note in notes for line in note.splitlines())
    body: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)
    return comments + body


def _loss(technique: Technique) -> dict[str, Any]:
    arguments = technique.loss_arguments
    if technique.loss == "class_weighted":
        arguments = {"scheme": _SCHEMES[technique.weight_power]}
    return {**_LOSSES[technique.loss], **({"init_args": arguments} if arguments else {})}


def _sampler(technique: Technique) -> dict[str, Any]:
    if technique.sampler is None:
        return {}
    path = f"imbalance_torch.samplers.{_SAMPLERS[technique.sampler]}"
    return {"sampler": {"class_path": path, "init_args": {"ratio": technique.ratio}}}


def _resampler(technique: Technique, seed: int) -> dict[str, Any]:
    if technique.resampler is None:
        return {}
    smote = {"class_path": "imbalance_torch.resampling.SMOTE", "init_args": {"k_neighbors": 5, "random_state": seed}}
    return {
        "resampler": {
            "class_path": "imbalance_torch.resampling.BatchOversampler",
            "init_args": {"target_ratio": technique.ratio, "resampler": smote},
        }
    }
