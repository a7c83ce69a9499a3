"""The figures by which techniques are compared: ranking, decisions and probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_average_precision,
)

from imbalance_torch.metrics._functional import brier_score, calibration_error, recall_at_precision

PRECISION_FLOOR = 0.5


def binary_scores(probabilities: Tensor, target: Tensor, *, threshold: float = 0.5) -> dict[str, float]:
    """Return the figures of one set of binary probabilities.

    Args:
        probabilities: of the positive class, (N,), finite.
        target: 0 or 1, (N,); both occur.
        threshold: for the balanced accuracy.

    Returns:
        ``ap``, ``auroc``, ``balanced_accuracy`` (of ``p >= threshold``), ``recall_at_precision_50``, ``brier``,
        ``calibration_error`` (15 bins of equal mass) and ``expected_observed`` (sum of p over number of positives).
    """
    p, y = probabilities.double(), target.long()
    flagged = (p >= threshold).long()
    return {
        "ap": float(binary_average_precision(p, y)),
        "auroc": float(binary_auroc(p, y)),
        "balanced_accuracy": float(multiclass_accuracy(flagged, y, num_classes=2, average="macro")),
        "recall_at_precision_50": float(recall_at_precision(p, y, PRECISION_FLOOR)),
        "brier": float(brier_score(p, y)),
        "calibration_error": float(calibration_error(p, y)),
        "expected_observed": float(p.sum() / y.sum()),
    }


def multiclass_scores(probabilities: Tensor, target: Tensor) -> dict[str, float]:
    """Return ``ap`` and ``auroc`` (macro, one against the rest), ``balanced_accuracy`` and ``brier``.

    Args:
        probabilities: (N, C), finite.
        target: class indices, (N,).
    """
    p, y = probabilities.double(), target.long()
    num_classes = p.shape[1]
    return {
        "ap": float(multiclass_average_precision(p, y, num_classes=num_classes)),
        "auroc": float(multiclass_auroc(p, y, num_classes=num_classes)),
        "balanced_accuracy": float(multiclass_accuracy(p, y, num_classes=num_classes, average="macro")),
        "brier": float((p - torch.nn.functional.one_hot(y, num_classes)).square().sum(1).mean()),
    }
