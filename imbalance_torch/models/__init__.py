"""Detectors: networks over the encoder's tensor or images. Any other ``torch.nn.Module`` works as well."""

from imbalance_torch.models._cosine import CosineClassifier
from imbalance_torch.models._image import ConvNet
from imbalance_torch.models._mlp import MLP
from imbalance_torch.models._resnet import ResNet
from imbalance_torch.models._tabm import TabM

__all__ = ["MLP", "ConvNet", "CosineClassifier", "ResNet", "TabM"]
