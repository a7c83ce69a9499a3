"""What torchmetrics lacks: functions on tensors, and the same as :class:`torchmetrics.Metric` (``train`` extra)."""

from imbalance_torch.metrics._functional import brier_score, calibration_error, recall_at_precision
from imbalance_torch.metrics._metrics import BrierScore, EqualMassCalibrationError, RecallAtPrecision
from imbalance_torch.metrics._summary import binary_scores, multiclass_scores

__all__ = [
    "BrierScore",
    "EqualMassCalibrationError",
    "RecallAtPrecision",
    "binary_scores",
    "brier_score",
    "calibration_error",
    "multiclass_scores",
    "recall_at_precision",
]
