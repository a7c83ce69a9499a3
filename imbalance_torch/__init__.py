"""imbalance_torch: the PyTorch toolkit for imbalanced classification.

Every public name is resolved at first use: ``import imbalance_torch`` costs next to nothing, ``imbalance_torch.knn``
imports torch, and only the training names import Lightning.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imbalance_torch import losses, resampling, samplers
    from imbalance_torch._versions import show_versions
    from imbalance_torch.class_stats import class_counts, class_weights, describe_weights, sample_weights
    from imbalance_torch.evaluation import advise, compare
    from imbalance_torch.losses import ClassWeightedCrossEntropyLoss, FocalLoss, SigmoidFocalLoss
    from imbalance_torch.neighbors import knn
    from imbalance_torch.priors import adjust_logits, init_prior_bias_
    from imbalance_torch.resampling import SMOTE, BatchOversampler
    from imbalance_torch.samplers import (
        ClassBalancedSampler,
        RotatingUnderSampler,
        ShuffledSampler,
        labels_of,
        make_loader,
    )
    from imbalance_torch.training import Detector, ImbalancedClassifier, TabularDataModule

__version__ = "0.1.0"

_MODULE_OF = {
    "BatchOversampler": "resampling",
    "ClassBalancedSampler": "samplers",
    "ClassWeightedCrossEntropyLoss": "losses",
    "Detector": "training",
    "FocalLoss": "losses",
    "ImbalancedClassifier": "training",
    "RotatingUnderSampler": "samplers",
    "SMOTE": "resampling",
    "ShuffledSampler": "samplers",
    "SigmoidFocalLoss": "losses",
    "TabularDataModule": "training",
    "adjust_logits": "priors",
    "advise": "evaluation",
    "class_counts": "class_stats",
    "class_weights": "class_stats",
    "compare": "evaluation",
    "describe_weights": "class_stats",
    "init_prior_bias_": "priors",
    "knn": "neighbors",
    "labels_of": "samplers",
    "make_loader": "samplers",
    "sample_weights": "class_stats",
    "show_versions": "_versions",
}
_SUBPACKAGES = ("losses", "resampling", "samplers")

__all__ = [
    "SMOTE",
    "BatchOversampler",
    "ClassBalancedSampler",
    "ClassWeightedCrossEntropyLoss",
    "Detector",
    "FocalLoss",
    "ImbalancedClassifier",
    "RotatingUnderSampler",
    "ShuffledSampler",
    "SigmoidFocalLoss",
    "TabularDataModule",
    "adjust_logits",
    "advise",
    "class_counts",
    "class_weights",
    "compare",
    "describe_weights",
    "init_prior_bias_",
    "knn",
    "labels_of",
    "losses",
    "make_loader",
    "resampling",
    "sample_weights",
    "samplers",
    "show_versions",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
