"""What torchmetrics lacks: functions on tensors, and the same as :class:`torchmetrics.Metric` (``train`` extra)."""

from imbalance_torch.metrics._binned import BinnedAveragePrecision
from imbalance_torch.metrics._cards import card_precision_at_k
from imbalance_torch.metrics._decision_metrics import ExpectedCost, GeometricMean
from imbalance_torch.metrics._decisions import expected_cost, geometric_mean
from imbalance_torch.metrics._functional import brier_score, calibration_error
from imbalance_torch.metrics._metrics import (
    AveragePrecision,
    BrierScore,
    CardPrecisionAtK,
    EqualMassCalibrationError,
    MulticlassAveragePrecision,
    MultilabelAveragePrecision,
    PartialAUROC,
    PrecisionAtK,
    RecallAtPrecision,
)
from imbalance_torch.metrics._ranking import (
    auroc,
    average_precision,
    multiclass_average_precision,
    multilabel_average_precision,
    partial_auroc,
    precision_at_k,
    recall_at_precision,
)
from imbalance_torch.metrics._summary import binary_scores, multiclass_scores
from imbalance_torch.metrics._tables import grouped, per_class_scores

__all__ = [
    "AveragePrecision",
    "BinnedAveragePrecision",
    "BrierScore",
    "CardPrecisionAtK",
    "EqualMassCalibrationError",
    "ExpectedCost",
    "GeometricMean",
    "MulticlassAveragePrecision",
    "MultilabelAveragePrecision",
    "PartialAUROC",
    "PrecisionAtK",
    "RecallAtPrecision",
    "auroc",
    "average_precision",
    "binary_scores",
    "brier_score",
    "calibration_error",
    "card_precision_at_k",
    "expected_cost",
    "geometric_mean",
    "grouped",
    "multiclass_average_precision",
    "multiclass_scores",
    "multilabel_average_precision",
    "partial_auroc",
    "per_class_scores",
    "precision_at_k",
    "recall_at_precision",
]
