"""Versions for a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

import imbalance_torch

_PACKAGES = ("numpy", "lightning", "torchmetrics", "scikit-learn", "pandas", "pyarrow", "imbalanced-learn")


def show_versions() -> None:
    """Print the versions that a bug report needs, without importing anything heavy."""
    print(f"imbalance_torch {imbalance_torch.__version__}")
    print(f"python {platform.python_version()} on {platform.platform()}")
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda if torch.cuda.is_available() else 'not available'}")
    for package in _PACKAGES:
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} not installed")
