"""The loss functions."""

from imbalance_torch.losses._focal import focal_loss
from imbalance_torch.losses._sigmoid_focal import sigmoid_focal_loss
from imbalance_torch.losses._weighted import weighted_cross_entropy

__all__ = ["focal_loss", "sigmoid_focal_loss", "weighted_cross_entropy"]
