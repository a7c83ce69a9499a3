"""Counts and sums over windows of the past, per entity, without a loop over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400
_WINDOWS = (1, 7, 30)
_DELAY = 7


def add_window_features(
    frame: pd.DataFrame,
    time: NDArray[Any],
    customer: NDArray[Any],
    terminal: NDArray[Any],
    cents: NDArray[Any],
    fraud: NDArray[Any],
) -> None:
    """Add the twelve columns that ``make_card_transactions`` describes; rows are in time order, times in seconds."""
    for days, count, total in trailing_sums(customer, time, cents, delay=0):
        frame[f"customer_count_{days}d"] = count
        frame[f"customer_mean_amount_{days}d"] = (total / count / 100).astype(np.float32)
    for days, count, total in trailing_sums(terminal, time, fraud, delay=_DELAY):
        frame[f"terminal_count_{days}d"] = count
        frame[f"terminal_risk_{days}d"] = (total / np.maximum(count, 1)).astype(np.float32)


def trailing_sums(
    entity: NDArray[Any], time: NDArray[Any], values: NDArray[Any], *, delay: int
) -> list[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Return (w, count, sum) of the rows of the same entity in (t - delay - w, t - delay] for each window of w days.

    Rows are sorted by entity and time and numbered by one integer in which entities lie further apart than the longest
    window reaches, so that one binary search per edge finds all windows.
    """
    order = np.argsort(entity, kind="stable")
    span = int(time.max(initial=0)) + (delay + max(_WINDOWS)) * _DAY + 1
    key = entity[order].astype(np.int64) * span + time[order]
    upto = np.concatenate([[0], values[order].cumsum()])
    end = np.searchsorted(key, key - delay * _DAY, side="right")
    result = []
    for days in _WINDOWS:
        start = np.searchsorted(key, key - (delay + days) * _DAY, side="right")
        count, total = np.empty(len(order), np.int32), np.empty(len(order), np.int64)
        count[order] = end - start
        total[order] = upto[end] - upto[start]
        result.append((days, count, total))
    return result
