"""Samplers for any DataLoader: balanced or rotating batches that survive DDP, resume and more than 2^24 rows."""

from imbalance_torch.samplers._accelerate import for_accelerate
from imbalance_torch.samplers._balanced_batch import BalancedBatchSampler
from imbalance_torch.samplers._class_balanced import ClassBalancedSampler
from imbalance_torch.samplers._group_balanced import GroupBalancedSampler
from imbalance_torch.samplers._hard_example import HardExampleSampler
from imbalance_torch.samplers._iterable import BalancedIterableDataset
from imbalance_torch.samplers._labels import labels_of
from imbalance_torch.samplers._loader import BalancedDataLoader, make_loader
from imbalance_torch.samplers._multi_label import MultiLabelBalancedSampler
from imbalance_torch.samplers._progressive import ProgressiveSampler
from imbalance_torch.samplers._repeat_factor import RepeatFactorSampler
from imbalance_torch.samplers._rotating import RotatingUnderSampler
from imbalance_torch.samplers._shuffled import ShuffledSampler
from imbalance_torch.samplers._square_root import SquareRootSampler
from imbalance_torch.samplers._weighted import WeightedSampler

__all__ = [
    "BalancedBatchSampler",
    "BalancedDataLoader",
    "BalancedIterableDataset",
    "ClassBalancedSampler",
    "GroupBalancedSampler",
    "HardExampleSampler",
    "MultiLabelBalancedSampler",
    "ProgressiveSampler",
    "RepeatFactorSampler",
    "RotatingUnderSampler",
    "ShuffledSampler",
    "SquareRootSampler",
    "WeightedSampler",
    "for_accelerate",
    "labels_of",
    "make_loader",
]
