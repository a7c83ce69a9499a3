"""From probabilities to decisions: thresholds chosen on validation data."""

from imbalance_torch.decision._thresholds import (
    threshold_for_balanced_accuracy,
    threshold_for_cost,
    threshold_for_f_beta,
)

__all__ = ["threshold_for_balanced_accuracy", "threshold_for_cost", "threshold_for_f_beta"]
