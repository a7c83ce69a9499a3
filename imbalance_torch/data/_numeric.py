"""Numeric blocks of the encoder: what each learns from a training column, and how it maps all columns at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import require

LIMIT = 10.0
_TAIL = 1e-7  # as in scikit-learn's QuantileTransformer: ranks stay this far from 0 and 1
_QUANTILES = 1000
Statistics: TypeAlias = "dict[str, np.ndarray]"


class Column(NamedTuple):
    """A numeric column of the training rows, in units of its largest absolute value.

    Attributes:
        position: its place among the numeric columns.
        observed: the values that are not missing.
        filled: all values, the median for missing ones.
        labels: class of each observed value, or None.
        num_bins: bins that a tree may make.
    """

    position: int
    observed: np.ndarray
    filled: np.ndarray
    labels: np.ndarray | None
    num_bins: int


class Block(NamedTuple):
    """A numeric block: statistics of one column, and the map (N, columns) -> (N, width) that uses those of all."""

    fit: Callable[[Column], Statistics]
    apply: Callable[..., Tensor]
    statistics: tuple[str, ...]


def _fit_standard(column: Column) -> Statistics:
    mean, scale = _moments(column.filled)
    return {"mean": mean, "scale": scale}


def _standard(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return ((x - mean) / scale).clamp(-LIMIT, LIMIT)


def _fit_robust(column: Column) -> Statistics:
    low, center, high = np.quantile(column.observed, [[0.25], [0.5], [0.75]])
    return {"mean": center, "scale": high - low if high > low else _moments(column.filled)[1]}


def _fit_log(column: Column) -> Statistics:
    signed = column.observed.min() < 0
    positive = column.observed[column.observed > 0]
    statistics = {
        "signed": np.array([signed]),
        "center": np.array([np.median(column.observed) if signed else 0.0]),
        "unit": _moments(column.filled)[1] if signed else np.array([np.median(positive) if len(positive) else 1.0]),
    }
    logs = _logarithm(torch.from_numpy(column.filled), **{k: torch.from_numpy(v) for k, v in statistics.items()})
    mean, scale = _moments(logs.numpy())
    return {**statistics, "mean": mean, "scale": scale}


def _log(x: Tensor, signed: Tensor, center: Tensor, unit: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return _standard(_logarithm(x, signed, center, unit), mean, scale)


def _logarithm(x: Tensor, signed: Tensor, center: Tensor, unit: Tensor) -> Tensor:
    z = ((x - center) / unit).clamp(-1e300, 1e300)
    tenth = z.new_tensor(0.1)  # an export to ONNX keeps tensors, and rounds numbers to float32
    return torch.where(signed, z.sign() * (4 * z.abs()).log1p(), (z.clamp(min=0) + tenth).log())


def _fit_quantile(column: Column) -> Statistics:
    return {"edges": np.quantile(column.observed, np.linspace(0, 1, _QUANTILES))[None]}


def _quantile(x: Tensor, edges: Tensor) -> Tensor:
    values, last = x.T.contiguous(), edges.shape[1] - 1
    below = torch.searchsorted(edges, values)
    above = torch.searchsorted(edges, values, right=True)
    left, right = (edges.gather(1, index.clamp(0, last)) for index in (below - 1, below))
    step = ((values - left) / (right - left)).nan_to_num(0.0)
    rank = torch.where(above > below, (below + above - 1) / 2, below - 1 + step) / last
    lowest, highest = edges[:, :1], edges[:, -1:]
    rank = torch.where(values >= highest, 1.0, torch.where(values <= lowest, 0.0, rank))
    rank = torch.where(lowest == highest, 0.5, rank)
    scores: Tensor = torch.special.ndtri(rank.clamp(_TAIL, 1 - _TAIL))
    return scores.T


def _fit_bins(column: Column) -> Statistics:
    tree = require("sklearn.tree", extra="train").DecisionTreeClassifier
    values, ranks = np.unique(column.observed, return_inverse=True)
    rarest = np.unique(np.asarray(column.labels), return_counts=True)[1].min()
    fitted = tree(
        max_leaf_nodes=column.num_bins, min_samples_leaf=int(np.clip(0.02 * rarest, 8, 64)), random_state=0
    ).fit(ranks[:, None], column.labels)
    cuts = fitted.tree_.threshold[fitted.tree_.children_left >= 0].astype(int)
    edges = np.unique([values[0], *((values[cuts] + values[cuts + 1]) / 2), values[-1]])
    return {"column": np.full(len(edges) - 1, column.position), "low": edges[:-1], "width": np.diff(edges)}


def _bins(x: Tensor, column: Tensor, low: Tensor, width: Tensor) -> Tensor:
    return ((x.index_select(1, column) - low) / width).clamp(0, 1)


def fit_column(
    values: np.ndarray, labels: np.ndarray | None, blocks: Sequence[str], num_bins: int, position: int
) -> Statistics:
    """Return statistics of a column (N,), NaN for missing: those that every block needs, and those of each block."""
    present = ~np.isnan(values)
    observed = values[present]
    low, high = observed.min(keepdims=True), observed.max(keepdims=True)
    whole = (observed == np.round(observed)).all(keepdims=True)
    unit = np.maximum(np.abs(low), np.abs(high))
    unit[unit == 0] = 1.0  # in units of the largest value no square overflows, and a constant is exactly 1 or -1
    observed = observed / unit
    median = np.median(observed)
    filled = np.full(len(values), median)
    filled[present] = observed
    column = Column(position, observed, filled, None if labels is None else labels[present], num_bins)
    with np.errstate(over="ignore"):
        spread = (high - low) / 2
        statistics = {"low": low - spread, "high": high + spread, "unit": unit, "fill": median * unit, "whole": whole}
    for block in blocks:
        statistics |= {f"{block}_{name}": value for name, value in BLOCKS[block].fit(column).items()}
    return statistics


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation; of equal values exactly the value and 1."""
    if values.min() == values.max():
        return values[:1], np.ones(1)
    return values.mean(keepdims=True), values.std(keepdims=True)


BLOCKS = {
    "standard": Block(_fit_standard, _standard, ("mean", "scale")),
    "robust": Block(_fit_robust, _standard, ("mean", "scale")),
    "log": Block(_fit_log, _log, ("signed", "center", "unit", "mean", "scale")),
    "quantile": Block(_fit_quantile, _quantile, ("edges",)),
    "bins": Block(_fit_bins, _bins, ("column", "low", "width")),
}
AFFINE = ("standard", "robust")
