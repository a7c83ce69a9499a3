"""One case for each loss in `losses.__all__`: how to build it, what makes it the torch.nn loss, what it cannot do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from imbalance_torch import losses
from imbalance_torch.losses import functional

DOUBLE = torch.float64
WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
COUNTS = [100, 10, 1]
SHARES = [0.7, 0.2, 0.1]
COSTS = [[0.0, 1.0, 2.0], [5.0, 0.0, 3.0], [50.0, 10.0, 0.0]]
NOT_LOSSES = {"DeferredReweighting", "NoPosteriorError"}  # a schedule around a loss, with tests of its own; an error


@dataclass(frozen=True)
class Case:
    """`family`: softmax and sigmoid losses have one value a row or element, batch losses one for each class."""

    family: str
    module: type[nn.Module]
    function: Callable[..., Tensor]
    neutral: dict[str, Any] | None = field(default_factory=dict)  # makes it the torch.nn loss
    settings: dict[str, Any] = field(default_factory=dict)  # a setting far from neutral
    grid: tuple[dict[str, Any], ...] = ()  # further settings at which numbers must be finite and posteriors exact
    required: dict[str, Any] = field(default_factory=dict)
    index_only: bool = False  # margins: probabilities raise
    takes_weight: bool = True
    has_posterior: bool = True

    def build(self, **arguments: Any) -> nn.Module:
        return self.module(**{**self.required, **arguments})


GAMMAS = tuple({"gamma": gamma} for gamma in (0.0, 0.1, 0.5, 1.0, 2.0, 5.0))
CASES = {
    "FocalLoss": Case("softmax", losses.FocalLoss, functional.focal_loss, {"gamma": 0.0}, {"gamma": 1.5}, GAMMAS),
    "ClassWeightedCrossEntropyLoss": Case(
        "softmax",
        losses.ClassWeightedCrossEntropyLoss,
        functional.weighted_cross_entropy,
        required={"weight": torch.ones(3, dtype=DOUBLE)},
    ),
    "LogitAdjustedLoss": Case(
        "softmax",
        losses.LogitAdjustedLoss,
        functional.logit_adjusted_cross_entropy,
        {"tau": 0.0},
        {"tau": 1.5},
        ({"tau": 0.5}, {"tau": 1.0}, {"prior": [1 - 2e-9, 1e-9, 1e-9], "tau": 2.0}),
        {"prior": SHARES},
    ),
    "BalancedSoftmaxLoss": Case(
        "softmax",
        losses.BalancedSoftmaxLoss,
        functional.balanced_softmax_loss,
        {"class_counts": [7, 7, 7]},
        required={"class_counts": COUNTS},
        grid=({"class_counts": [10**12, 1, 1]},),
    ),
    "VSLoss": Case(
        "softmax",
        losses.VSLoss,
        functional.vs_loss,
        {"gamma": 0.0, "tau": 0.0},
        {"gamma": 0.2, "tau": 1.5},
        ({"gamma": 0.3, "tau": 0.0}, {"gamma": 0.0, "tau": 1.0}),
        {"class_counts": COUNTS},
    ),
    "LDAMLoss": Case(
        "softmax",
        losses.LDAMLoss,
        functional.ldam_loss,
        {"max_margin": 0.0, "scale": 1.0},
        {"max_margin": 0.4, "scale": 3.0},
        ({"max_margin": 0.5, "scale": 30.0},),
        {"class_counts": COUNTS},
        index_only=True,
        has_posterior=False,
    ),
    "Poly1Loss": Case(
        "softmax",
        losses.Poly1Loss,
        functional.poly1_cross_entropy,
        {"epsilon": 0.0},
        {"epsilon": 1.5},
        ({"epsilon": -1.0}, {"epsilon": -0.5}, {"epsilon": 5.0}),
    ),
    "CostSensitiveLoss": Case(
        "softmax",
        losses.CostSensitiveLoss,
        functional.cost_sensitive_loss,
        None,
        required={"cost_matrix": COSTS},
        takes_weight=False,
        has_posterior=False,
    ),
    "SigmoidFocalLoss": Case(
        "sigmoid",
        losses.SigmoidFocalLoss,
        functional.sigmoid_focal_loss,
        {"gamma": 0.0},
        {"gamma": 1.5, "alpha": 0.3},
        GAMMAS,
    ),
    "ClassWeightedBCEWithLogitsLoss": Case(
        "sigmoid", losses.ClassWeightedBCEWithLogitsLoss, functional.weighted_binary_cross_entropy_with_logits
    ),
    "LogitAdjustedBCEWithLogitsLoss": Case(
        "sigmoid",
        losses.LogitAdjustedBCEWithLogitsLoss,
        functional.logit_adjusted_binary_cross_entropy,
        {"tau": 0.0},
        {"tau": 1.5},
        ({"prior": 1e-9, "tau": 2.0}, {"prior": [0.9, 0.1]}),
        {"prior": 0.1},
    ),
    "AsymmetricLoss": Case(
        "sigmoid",
        losses.AsymmetricLoss,
        functional.asymmetric_loss,
        {"gamma_neg": 0.0, "gamma_pos": 0.0, "clip": 0.0},
        {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": 0.1},
        (
            *({"gamma_neg": g, "gamma_pos": 0.0} for g in (0.1, 1.0, 4.0)),
            {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.0},
            {"gamma_neg": 0.5, "gamma_pos": 0.5, "clip": 0.0},
        ),
    ),
    "Poly1FocalLoss": Case(
        "sigmoid",
        losses.Poly1FocalLoss,
        functional.poly1_focal_loss,
        {"epsilon": 0.0, "gamma": 0.0},
        {"epsilon": 0.5, "gamma": 1.5, "alpha": 0.3},
        tuple({"epsilon": e, **gamma} for e in (-1.0, 0.0, 2.0) for gamma in GAMMAS if e > -1 or gamma["gamma"]),
    ),
    "TverskyLoss": Case("batch", losses.TverskyLoss, functional.tversky_loss, None, {"alpha": 0.2, "beta": 0.9}),
    "SoftF1Loss": Case("batch", losses.SoftF1Loss, functional.soft_f1, None),
    "SmoothAPLoss": Case(
        "batch", losses.SmoothAPLoss, functional.smooth_ap_loss, None, {"temperature": 0.5}, ({"temperature": 0.01},)
    ),
    "PairwiseAUCLoss": Case(
        "batch",
        losses.PairwiseAUCLoss,
        functional.pairwise_auc_loss,
        None,
        {"margin": 0.7},
        ({"surrogate": "logistic"},),
    ),
}


def draw(case: Case, shape: tuple[int, ...] = (8, 3), dtype: torch.dtype = DOUBLE) -> tuple[Tensor, Tensor]:
    """Return logits that need a gradient, and a target."""
    generator = torch.Generator().manual_seed(7)
    logits = (2 * torch.randn(shape, generator=generator, dtype=DOUBLE)).to(dtype).requires_grad_()
    if case.family == "sigmoid":
        return logits, torch.randint(2, shape, generator=generator)
    return logits, torch.randint(
        shape[min(1, len(shape) - 1)], shape[:1] + shape[2:] if len(shape) > 1 else (), generator=generator
    )
