"""From probabilities to decisions: calibration maps and thresholds chosen on validation data."""

from imbalance_torch.decision._bootstrap import bootstrap_threshold_interval
from imbalance_torch.decision._calibration import Calibration, choose_calibration
from imbalance_torch.decision._calibration_maps import IsotonicCalibration, PlattScaling, TemperatureScaling
from imbalance_torch.decision._costs import bayes_decision, bayes_threshold
from imbalance_torch.decision._per_class import per_label_thresholds, thresholds_for_macro_f_beta
from imbalance_torch.decision._thresholds import (
    threshold_for_alert_budget,
    threshold_for_balanced_accuracy,
    threshold_for_cost,
    threshold_for_f_beta,
    threshold_for_precision,
    threshold_for_recall,
)

__all__ = [
    "Calibration",
    "IsotonicCalibration",
    "PlattScaling",
    "TemperatureScaling",
    "bayes_decision",
    "bayes_threshold",
    "bootstrap_threshold_interval",
    "choose_calibration",
    "per_label_thresholds",
    "threshold_for_alert_budget",
    "threshold_for_balanced_accuracy",
    "threshold_for_cost",
    "threshold_for_f_beta",
    "threshold_for_precision",
    "threshold_for_recall",
    "thresholds_for_macro_f_beta",
]
