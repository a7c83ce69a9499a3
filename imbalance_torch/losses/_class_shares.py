"""Training counts or shares of the classes as the constants that prior-aware losses add to the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imbalance_torch.class_stats import to_tensor
from imbalance_torch.losses._softmax import cross_entropy_of_class
from imbalance_torch.priors import along_classes


def check_counts(class_counts: Any) -> Tensor:
    """Return the counts in float64; raise unless every class has rows: a look at the values, for constructors only."""
    counts = to_tensor("class_counts", class_counts).to(torch.float64)
    if counts.ndim != 1 or not bool((torch.isfinite(counts) & (counts > 0)).all()):
        raise ValueError(
            f"`class_counts` must be (C,) finite counts > 0, got class_counts={counts.tolist()}. "
            "Leave out a class without rows, or count it as 1."
        )
    return counts


def class_vector(name: str, values: Any) -> Tensor:
    """Return a (C,) list, array or tensor in float64, on its device; no look at the values."""
    vector = to_tensor(name, values).to(torch.float64)
    if vector.ndim != 1:
        raise ValueError(f"`{name}` must have shape (C,), got {name}.shape={tuple(vector.shape)}.")
    return vector


def log_shares(class_counts: Tensor) -> Tensor:
    """Return log(n_c / sum n)."""
    return (class_counts / class_counts.sum()).log()


def moved_cross_entropy(logits: Tensor, index: Tensor | None, *, offset: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of ``move(logits)`` at class ``index``, or of every class."""
    return cross_entropy_of_class(move(logits, offset, scale), index)


def move(logits: Tensor, offset: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return ``logits`` times ``scale`` plus ``offset``, (C,) vectors along the classes."""
    if scale is not None:
        logits = logits * along_classes("class_counts", scale, logits)
    return logits + along_classes("class_counts", offset, logits)
