"""Resamplers: SMOTE on any device, and over-sampling inside the training loop."""

from imbalance_torch.resampling._batch import BatchOversampler
from imbalance_torch.resampling._over import Resampled
from imbalance_torch.resampling._smote import SMOTE, smote_from_plan

__all__ = ["SMOTE", "BatchOversampler", "Resampled", "smote_from_plan"]
