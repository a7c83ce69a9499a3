"""Detectors: networks over the encoder's tensor. Any other ``torch.nn.Module`` works as well."""

from imbalance_torch.models._cosine import CosineClassifier
from imbalance_torch.models._mlp import MLP

__all__ = ["MLP", "CosineClassifier"]
