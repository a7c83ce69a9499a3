"""Losses for imbalanced classification, with the arguments and semantics of ``torch.nn``."""

from imbalance_torch.losses import functional
from imbalance_torch.losses._focal import FocalLoss
from imbalance_torch.losses._sigmoid_focal import SigmoidFocalLoss
from imbalance_torch.losses._weighted import ClassWeightedCrossEntropyLoss

__all__ = ["ClassWeightedCrossEntropyLoss", "FocalLoss", "SigmoidFocalLoss", "functional"]
