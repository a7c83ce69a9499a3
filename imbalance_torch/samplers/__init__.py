"""Samplers for any DataLoader: balanced or rotating batches that survive DDP, resume and more than 2^24 rows."""

from imbalance_torch.samplers._class_balanced import ClassBalancedSampler
from imbalance_torch.samplers._labels import labels_of
from imbalance_torch.samplers._loader import make_loader
from imbalance_torch.samplers._rotating import RotatingUnderSampler
from imbalance_torch.samplers._shuffled import ShuffledSampler

__all__ = ["ClassBalancedSampler", "RotatingUnderSampler", "ShuffledSampler", "labels_of", "make_loader"]
