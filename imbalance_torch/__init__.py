"""imbalance_torch: the PyTorch toolkit for imbalanced classification."""

__version__ = "0.1.0"
