"""The names that the command line, recipes and ``model.json`` use, and what each of them builds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from imbalance_torch._checks import check_choice
from imbalance_torch.class_stats import class_counts
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
from imbalance_torch.samplers import (
    ClassBalancedSampler,
    ProgressiveSampler,
    RotatingUnderSampler,
    ShuffledSampler,
    WeightedSampler,
)

MODERATE_RATIO = 0.25
PROGRESSIVE_STAGES = 10


def _progressive(labels: Tensor, max_steps: int, *, batch_size: int, **kwargs: Any) -> ProgressiveSampler:
    """Go from the shares of the data to the moderate ratio, in stages of equal length that fill the budget.

    A stage is long enough to feed every class; with very rare ones there are fewer stages.
    """
    counts = class_counts(labels).double()
    rarest = float(counts.min() / counts.max())
    every_class = math.ceil(len(labels) / (int(counts.min()) * batch_size))  # steps that feed each class at the start
    steps = max(math.ceil(max_steps / PROGRESSIVE_STAGES), every_class)
    return ProgressiveSampler(
        labels,
        num_epochs=math.ceil(max_steps / steps),
        end=math.log(MODERATE_RATIO) / math.log(rarest) if rarest < MODERATE_RATIO else 1.0,
        num_samples=steps * batch_size,
        batch_size=batch_size,
        **kwargs,
    )


def _weighted(labels: Tensor, max_steps: int, **kwargs: Any) -> WeightedSampler:
    """Draw rows with the weight of their class, which raises a class to the moderate ratio where it is below."""
    counts = class_counts(labels).double()
    weights = counts.clamp(min=MODERATE_RATIO * float(counts.max())) / counts
    return WeightedSampler(weights[labels], labels=labels, **kwargs)


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
    "balanced": lambda labels, max_steps, **kwargs: ClassBalancedSampler(labels, ratio=MODERATE_RATIO, **kwargs),
    "rotating_undersampling": lambda labels, max_steps, **kwargs: RotatingUnderSampler(
        labels, ratio=MODERATE_RATIO, **kwargs
    ),
    "progressive": _progressive,
    "weighted": _weighted,
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

    def build_sampler(self, labels: Tensor, *, max_steps: int, **kwargs: Any) -> Any:
        """Build the training sampler for a budget of ``max_steps``; plain shuffling without a name."""
        if self.sampler is None:
            return ShuffledSampler(labels, **kwargs)
        return SAMPLERS[self.sampler](labels, max_steps, **kwargs)

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
