"""Losses for imbalanced classification, with the arguments and semantics of ``torch.nn``."""

from imbalance_torch.losses import functional
from imbalance_torch.losses._arguments import NoPosteriorError
from imbalance_torch.losses._asymmetric import AsymmetricLoss
from imbalance_torch.losses._balanced_softmax import BalancedSoftmaxLoss
from imbalance_torch.losses._cost_sensitive import CostSensitiveLoss
from imbalance_torch.losses._deferred import DeferredReweighting
from imbalance_torch.losses._focal import FocalLoss
from imbalance_torch.losses._ldam import LDAMLoss
from imbalance_torch.losses._logit_adjusted import LogitAdjustedLoss
from imbalance_torch.losses._logit_adjusted_binary import LogitAdjustedBCEWithLogitsLoss
from imbalance_torch.losses._overlap import SoftF1Loss, TverskyLoss
from imbalance_torch.losses._pairwise_auc import PairwiseAUCLoss
from imbalance_torch.losses._poly1 import Poly1Loss
from imbalance_torch.losses._poly1_focal import Poly1FocalLoss
from imbalance_torch.losses._sigmoid_focal import SigmoidFocalLoss
from imbalance_torch.losses._smooth_ap import SmoothAPLoss
from imbalance_torch.losses._vs import VSLoss
from imbalance_torch.losses._weighted import ClassWeightedCrossEntropyLoss
from imbalance_torch.losses._weighted_bce import ClassWeightedBCEWithLogitsLoss

__all__ = [
    "AsymmetricLoss",
    "BalancedSoftmaxLoss",
    "ClassWeightedBCEWithLogitsLoss",
    "ClassWeightedCrossEntropyLoss",
    "CostSensitiveLoss",
    "DeferredReweighting",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedBCEWithLogitsLoss",
    "LogitAdjustedLoss",
    "NoPosteriorError",
    "PairwiseAUCLoss",
    "Poly1FocalLoss",
    "Poly1Loss",
    "SigmoidFocalLoss",
    "SmoothAPLoss",
    "SoftF1Loss",
    "TverskyLoss",
    "VSLoss",
    "functional",
]
