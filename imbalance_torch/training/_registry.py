"""The names that the command line, recipes and ``model.json`` use, and what each of them builds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_number
from imbalance_torch.class_stats import class_counts
from imbalance_torch.data import TableEncoder
from imbalance_torch.losses import (
    AsymmetricLoss,
    BalancedSoftmaxLoss,
    ClassWeightedCrossEntropyLoss,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    Poly1Loss,
    VSLoss,
)
from imbalance_torch.losses._sigmoid import AbstractSigmoidLoss
from imbalance_torch.models import MLP, ResNet, TabM
from imbalance_torch.resampling import ADASYN, SMOTE, SMOTENC, BatchOversampler, BorderlineSMOTE, RandomOverSampler
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


def _progressive(labels: Tensor, max_steps: int, *, ratio: float, batch_size: int, **kwargs: Any) -> ProgressiveSampler:
    """Go from the shares of the data to the ratio, in stages of equal length that fill the budget.

    A stage is long enough to feed every class; with very rare ones there are fewer stages.
    """
    counts = class_counts(labels).double()
    rarest = float(counts.min() / counts.max())
    every_class = math.ceil(len(labels) / (int(counts.min()) * batch_size))  # steps that feed each class at the start
    steps = max(math.ceil(max_steps / PROGRESSIVE_STAGES), every_class)
    return ProgressiveSampler(
        labels,
        num_epochs=math.ceil(max_steps / steps),
        end=math.log(ratio) / math.log(rarest) if rarest < ratio else 1.0,
        num_samples=steps * batch_size,
        batch_size=batch_size,
        **kwargs,
    )


def weights_to_ratio(labels: Tensor, ratio: float) -> Tensor:
    """Return a weight per row, that of its class, which raises a class to the ratio where it is below."""
    counts = class_counts(labels).double()
    weights = counts.clamp(min=ratio * float(counts.max())) / counts
    return weights[labels]


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "cross_entropy": lambda class_counts: nn.CrossEntropyLoss(),
    "class_weighted": ClassWeightedCrossEntropyLoss.from_counts,
    "focal": lambda class_counts, gamma=2.0: FocalLoss(gamma=gamma),
    "logit_adjusted": LogitAdjustedLoss.from_counts,
    "balanced_softmax": BalancedSoftmaxLoss,
    "vs": VSLoss,
    "ldam": LDAMLoss,
    "asymmetric": lambda class_counts: AsymmetricLoss(),
    "poly1": lambda class_counts: Poly1Loss(),
}
SAMPLERS: dict[str, Callable[..., Any]] = {
    "balanced": lambda labels, max_steps, **kwargs: ClassBalancedSampler(labels, **kwargs),
    "rotating_undersampling": lambda labels, max_steps, **kwargs: RotatingUnderSampler(labels, **kwargs),
    "progressive": _progressive,
    "weighted": lambda labels, max_steps, *, ratio, **kwargs: WeightedSampler(
        weights_to_ratio(labels, ratio), labels=labels, **kwargs
    ),
}
RESAMPLERS: dict[str, Callable[..., OverSampler]] = {
    "smote": SMOTE,
    "borderline_smote": BorderlineSMOTE,
    "adasyn": ADASYN,
    "smotenc": partial(SMOTENC, "auto"),
    "random_oversampling": RandomOverSampler,
}
NETWORKS: dict[str, Callable[..., nn.Module]] = {"tabm": TabM, "mlp": MLP, "resnet": ResNet}


@dataclass(frozen=True)
class Technique:
    """What is done about the imbalance: registry names of a loss, a sampler and a resampler, and their figures.

    Args:
        loss: name of the loss.
        sampler: name of the training sampler; None shuffles.
        resampler: name of what tops up the training batches; None adds nothing.
        gamma: of the loss "focal", >= 0; its default is 2.
        weight_power: of the loss "class_weighted", >= 0: 0 is no weighting, 1 (its default) balanced.
        ratio: minority rows per majority row that the sampler or resampler goes to, in (0, 1].

    Raises:
        ValueError: an unknown name (the message lists the known ones), or a figure that does not belong to it.
    """

    loss: str = "cross_entropy"
    sampler: str | None = None
    resampler: str | None = None
    gamma: float | None = None
    weight_power: float | None = None
    ratio: float = MODERATE_RATIO

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, LOSSES)
        if self.sampler is not None:
            check_choice("sampler", self.sampler, SAMPLERS)
        if self.resampler is not None:
            check_choice("resampler", self.resampler, RESAMPLERS)
        for name, value, loss in (
            ("gamma", self.gamma, "focal"),
            ("weight_power", self.weight_power, "class_weighted"),
        ):
            if value is not None and self.loss != loss:
                raise ValueError(f"`{name}` belongs to loss={loss!r}, got {name}={value} with loss={self.loss!r}.")
            if value is not None:
                check_number(name, value, minimum=0.0)
        check_number("ratio", self.ratio, exclusive_minimum=0.0, maximum=1.0)

    @property
    def loss_arguments(self) -> dict[str, Any]:
        """What the loss is built with beside the class counts."""
        if self.weight_power is not None:
            return {"scheme": "power", "power": self.weight_power}
        return {} if self.gamma is None else {"gamma": self.gamma}

    def build_loss(self, class_counts: Sequence[float]) -> nn.Module:
        """Build the loss for classes with these training rows."""
        return LOSSES[self.loss](class_counts, **self.loss_arguments)

    def build_sampler(self, labels: Tensor, *, max_steps: int, **kwargs: Any) -> Any:
        """Build the training sampler for a budget of ``max_steps``; plain shuffling without a name."""
        if self.sampler is None:
            return ShuffledSampler(labels, **kwargs)
        return SAMPLERS[self.sampler](labels, max_steps, ratio=self.ratio, **kwargs)

    def build_resampler(self, encoder: TableEncoder, seed: int) -> BatchOversampler | None:
        """Build the resampler that tops up training batches of encoded rows, or None."""
        if self.resampler is None:
            return None
        method = RESAMPLERS[self.resampler](random_state=seed)
        return on_encoded_rows(BatchOversampler(method, target_ratio=self.ratio), encoder)


def num_outputs(loss: nn.Module, num_classes: int) -> int:
    """Return how many logits a loss takes: one for each class, or one alone for a sigmoid loss of two classes."""
    if not isinstance(loss, AbstractSigmoidLoss | nn.BCEWithLogitsLoss):
        return num_classes
    if num_classes > 2:
        raise ValueError(f"{type(loss).__name__} is for two classes, got {num_classes}. Use a softmax loss.")
    return 1


def on_encoded_rows(resampler: OverSampler | BatchOversampler, encoder: TableEncoder) -> BatchOversampler:
    """Let a resampler top up batches of encoded rows: it interpolates numbers, unless it names its own columns.

    Raises:
        ValueError: there is nothing to interpolate, or "smotenc" has no category to vote on.
    """
    batch = resampler if isinstance(resampler, BatchOversampler) else BatchOversampler(resampler)
    if batch.columns is not None:
        return batch
    name = type(batch.resampler).__name__
    if not encoder.num_numeric:
        raise ValueError(f"{name} needs numeric columns, the table has none. Use a sampler, such as 'balanced'.")
    columns = [*range(encoder.num_numeric)]
    if isinstance(batch.resampler, SMOTENC):
        others = range(encoder.num_blocks, encoder.num_dense + len(encoder.cardinalities))
        if not others:
            raise ValueError(f"{name} needs categories, the table has none. Use 'smote'.")
        batch.resampler.categorical_features = [*range(len(columns), len(columns) + len(others))]
        columns += others
    batch.columns, batch.finish = columns, encoder.rebuild
    return batch


RECIPES: dict[str, Technique] = {
    "baseline": Technique(),
    "class_weighted": Technique(loss="class_weighted"),
    "focal": Technique(loss="focal"),
    "smote": Technique(resampler="smote"),
    "undersample": Technique(sampler="rotating_undersampling"),
}
