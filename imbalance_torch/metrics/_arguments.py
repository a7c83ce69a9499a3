"""What the measures accept: one score per row, or one per row and class."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_same_device, check_tensor


def binary_scores_of(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return finite scores as (N,) float32 or float64, and the target as (N,) bool."""
    s, y = check_floating("scores", scores), check_tensor("target", target)
    if s.ndim != 1 or len(s) == 0 or s.shape != y.shape:
        raise ValueError(
            f"`scores` and `target` must have shape (N,) with N > 0, got {tuple(s.shape)} and {tuple(y.shape)}."
        )
    check_same_device(scores=s, target=y)
    return _finite("scores", s), _hits(y)


def score_matrix_of(name: str, scores: Tensor) -> Tensor:
    """Return finite scores as (N, C) float32 or float64."""
    s = check_floating(name, scores)
    if s.ndim != 2 or s.numel() == 0:
        raise ValueError(f"`{name}` must have shape (N, C) with N > 0 and C > 0, got {tuple(s.shape)}.")
    return _finite(name, s)


def class_hits(target: Tensor, scores: Tensor) -> Tensor:
    """Return which rows belong to which class, (N, C) bool, from class indices, (N,), or labels 0 and 1, (N, C)."""
    y = check_tensor("target", target)
    check_same_device(scores=scores, target=y)
    if y.shape == scores.shape:
        return _hits(y)
    num_rows, num_classes = scores.shape
    if y.shape != (num_rows,):
        raise ValueError(
            f"`target` must have shape ({num_rows},) or {tuple(scores.shape)} to go with the scores, "
            f"got {tuple(y.shape)}."
        )
    hits: Tensor = y[:, None] == torch.arange(num_classes, device=y.device)
    if not bool(hits.any(1).all()):
        low, high = y.min().item(), y.max().item()
        raise ValueError(f"`target` must hold the classes 0..{num_classes - 1}, got values from {low} to {high}.")
    return hits


def binary_probabilities_of(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities and target as (N,) float64."""
    p, y = check_floating("probabilities", probabilities), check_tensor("target", target)
    if p.ndim != 1 or len(p) == 0 or p.shape != y.shape:
        raise ValueError(
            f"`probabilities` and `target` must have shape (N,) with N > 0, got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("`probabilities` must lie in [0, 1]: some are outside or NaN. Apply sigmoid to logits.")
    return p.to(torch.float64), _hits(y).to(torch.float64)


def _finite(name: str, scores: Tensor) -> Tensor:
    s = scores.detach() if scores.dtype == torch.float64 else scores.detach().float()
    if not all(bound.isfinite() for bound in s.aminmax()):
        raise ValueError(f"`{name}` must be finite: some are NaN or infinite. Look for where in the model they arise.")
    return s


def _hits(target: Tensor) -> Tensor:
    hits: Tensor = target == 1
    if not bool((hits | (target == 0)).all()):
        raise ValueError(f"`target` must be 0 or 1, got values from {target.min().item()} to {target.max().item()}.")
    return hits
