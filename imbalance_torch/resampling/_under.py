"""What all under-samplers share: labels and counts, the rows that stay, and the kind of container they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import warn
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._over import Classes


class Selected(NamedTuple):
    """The rows that an under-sampler keeps, their labels, and which rows of the given ``X`` they are (int64)."""

    X: Rows
    y: Rows
    index: Rows


class UnderSampler:
    """The base of all under-samplers; a method says in ``_kept`` which rows stay.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: What ``sampling_strategy`` means for these counts.
        sample_indices_: Rows of the given ``X`` that stay, in the order of the result.
    """

    class_counts_: dict[Any, int]
    sampling_strategy_: Any
    sample_indices_: Rows
    _resolve: Callable[..., Any]

    def __init__(self, sampling_strategy: Any) -> None:
        self.sampling_strategy = sampling_strategy

    def fit_resample(self, X: Rows, y: Rows, *, return_info: bool = False) -> tuple[Rows, ...]:
        """Return the rows that stay.

        Args:
            X: (N, d) finite numbers.
            y: (N,) labels of any kind that ``numpy.unique`` takes.
            return_info: Return a ``Selected`` in place of ``(X, y)``.

        Returns:
            ``(X_res, y_res)``, or a ``Selected`` with the rows of ``X`` that stayed.
        """
        table = self._table(X)
        names, codes = containers.labels(y, table)
        counts = dict(zip(names, torch.bincount(codes, minlength=len(names)).tolist(), strict=True))
        strategy = type(self)._resolve(counts, self.sampling_strategy, y=y)
        index = self._kept(Classes(table, codes, counts, {}, 0), strategy)
        self.class_counts_, self.sampling_strategy_ = counts, strategy
        self.sample_indices_ = containers.array_as(X, index)
        X_res, y_res = _taken(X, index), _taken(y, index)
        return Selected(X_res, y_res, self.sample_indices_) if return_info else (X_res, y_res)

    def _table(self, X: Rows) -> Tensor:
        """Return the rows that distances are measured between."""
        return containers.features(X)

    def _kept(self, classes: Classes, strategy: Any) -> Tensor:
        """Return the rows that stay, in the order of the result."""
        raise NotImplementedError


def warn_of_lost(classes: Classes, index: Tensor) -> None:
    """Warn when a cleaning method leaves no row of a class."""
    left = torch.bincount(classes.codes[index], minlength=len(classes.counts)).tolist()
    for (label, before), after in zip(classes.counts.items(), left, strict=True):
        if not after:
            warn(
                f"Cleaning removes all {before} rows of class {label!r}. "
                "Leave the class out of `sampling_strategy`, or use fewer neighbours."
            )


def _taken(rows: Rows, index: Tensor) -> Rows:
    """Return the rows ``index`` of any container, unchanged."""
    if isinstance(rows, Tensor):
        return rows.detach()[index]
    positions = index.numpy(force=True)
    if containers.is_pandas(rows):
        return rows.iloc[positions]
    return (rows if hasattr(rows, "shape") else np.asarray(rows))[positions]
