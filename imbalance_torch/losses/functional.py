"""The loss functions."""

from imbalance_torch.losses._asymmetric import asymmetric_loss
from imbalance_torch.losses._balanced_softmax import balanced_softmax_loss
from imbalance_torch.losses._cost_sensitive import cost_sensitive_loss
from imbalance_torch.losses._focal import focal_loss
from imbalance_torch.losses._ldam import ldam_loss
from imbalance_torch.losses._logit_adjusted import logit_adjusted_cross_entropy
from imbalance_torch.losses._logit_adjusted_binary import logit_adjusted_binary_cross_entropy
from imbalance_torch.losses._overlap import soft_f1, tversky_loss
from imbalance_torch.losses._pairwise_auc import pairwise_auc_loss
from imbalance_torch.losses._poly1 import poly1_cross_entropy
from imbalance_torch.losses._poly1_focal import poly1_focal_loss
from imbalance_torch.losses._sigmoid_focal import sigmoid_focal_loss
from imbalance_torch.losses._smooth_ap import smooth_ap_loss
from imbalance_torch.losses._vs import vs_loss
from imbalance_torch.losses._weighted import weighted_cross_entropy
from imbalance_torch.losses._weighted_bce import weighted_binary_cross_entropy_with_logits

__all__ = [
    "asymmetric_loss",
    "balanced_softmax_loss",
    "cost_sensitive_loss",
    "focal_loss",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "logit_adjusted_cross_entropy",
    "pairwise_auc_loss",
    "poly1_cross_entropy",
    "poly1_focal_loss",
    "sigmoid_focal_loss",
    "smooth_ap_loss",
    "soft_f1",
    "tversky_loss",
    "vs_loss",
    "weighted_binary_cross_entropy_with_logits",
    "weighted_cross_entropy",
]
