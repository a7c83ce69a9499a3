"""The names that the command line, recipes and ``model.json`` use, and what each of them builds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from imbalance_torch._checks import check_choice
from imbalance_torch.losses import (
    BalancedSoftmaxLoss,
    ClassWeightedCrossEntropyLoss,
    FocalLoss,
    LogitAdjustedLoss,
    Poly1Loss,
    VSLoss,
)
from imbalance_torch.models import MLP
from imbalance_torch.resampling import ADASYN, SMOTE, BatchOversampler, BorderlineSMOTE, RandomOverSampler
from imbalance_torch.resampling._over import OverSampler
from imbalance_torch.samplers import ClassBalancedSampler, RotatingUnderSampler, ShuffledSampler

MODERATE_RATIO = 0.25

LOSSES: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    "cross_entropy": lambda class_counts: nn.CrossEntropyLoss(),
    "class_weighted": lambda class_counts: ClassWeightedCrossEntropyLoss.from_counts(class_counts),
    "focal": lambda class_counts: FocalLoss(gamma=2.0),
    "logit_adjusted": lambda class_counts: LogitAdjustedLoss.from_counts(class_counts),
    "balanced_softmax": lambda class_counts: BalancedSoftmaxLoss(class_counts),
    "vs": lambda class_counts: VSLoss(class_counts),
    "poly1": lambda class_counts: Poly1Loss(),
}
SAMPLERS: dict[str, Callable[..., Any]] = {
    "balanced": lambda labels, **kwargs: ClassBalancedSampler(labels, ratio=MODERATE_RATIO, **kwargs),
    "rotating_undersampling": lambda labels, **kwargs: RotatingUnderSampler(labels, ratio=MODERATE_RATIO, **kwargs),
}
RESAMPLERS: dict[str, Callable[..., OverSampler]] = {
    "smote": SMOTE,
    "borderline_smote": BorderlineSMOTE,
    "adasyn": ADASYN,
    "random_oversampling": RandomOverSampler,
}
NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": MLP}


@dataclass(frozen=True)
class Technique:
    """What is done about the imbalance: registry names of a loss, a sampler and a resampler.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """

    loss: str = "cross_entropy"
    sampler: str | None = None
    resampler: str | None = None

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        if self.sampler is not None:
            check_choice("sampler", self.sampler, SAMPLERS)
        if self.resampler is not None:
            check_choice("resampler", self.resampler, RESAMPLERS)

    def build_loss(self, class_counts: Sequence[int]) -> nn.Module:
        """Build the loss for classes with these training rows."""
        return LOSSES[self.loss](class_counts)

    def build_sampler(self, labels: Tensor, **kwargs: Any) -> Any:
        """Build the training sampler; plain shuffling without a name."""
        return (SAMPLERS[self.sampler] if self.sampler else ShuffledSampler)(labels, **kwargs)

    def build_resampler(self, columns: Sequence[int], seed: int) -> BatchOversampler | None:
        """Build the resampler that tops up the training batches, or None."""
        if self.resampler is None:
            return None
        if not columns:
            raise ValueError(
                f"`resampler` {self.resampler!r} needs numeric columns, the table has none. Use sampler='balanced'."
            )
        return BatchOversampler(
            RESAMPLERS[self.resampler](random_state=seed), target_ratio=MODERATE_RATIO, columns=columns
        )


RECIPES: dict[str, Technique] = {
    "baseline": Technique(),
    "class_weighted": Technique(loss="class_weighted"),
    "focal": Technique(loss="focal"),
    "smote": Technique(resampler="smote"),
    "undersample": Technique(sampler="rotating_undersampling"),
}
