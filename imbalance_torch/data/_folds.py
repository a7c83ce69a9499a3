"""Prequential folds: train on a window, wait for the labels, test on the next window, move on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from imbalance_torch._checks import check_choice, check_int, check_number, require
from imbalance_torch.data._splitting import check_complete

_MICROSECONDS = {"D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}


class Fold(NamedTuple):
    """Row numbers of one fold, each (n,) int64 in time order.

    ``delay`` are the rows between training and test: their features are known when the model is trained, their labels
    are not, so they neither train nor test.
    """

    train: np.ndarray
    delay: np.ndarray
    test: np.ndarray


def prequential_folds(
    time: Any,
    *,
    num_folds: int,
    train: float,
    delay: float,
    test: float,
    unit: str | None = None,
    start: Any = None,
) -> list[Fold]:
    """Cut folds of a rolling training window, a gap for labels that arrive late, and a test window.

    Fold i trains on ``[b, b + train)`` with ``b = start + i test``, leaves out ``[b + train, b + train + delay)`` and
    tests on ``[b + train + delay, b + train + delay + test)``: the test windows follow each other without overlap, and
    every fold trains on a window of the same length. A label needs ``delay`` to become known (a fraud, when the bank
    statement is read), so labels inside the gap count as unknown, those of known frauds too.

    Args:
        time: numbers or datetimes, (N,), in any order; missing values are an error. Times with a zone are taken in
            UTC.
        num_folds: number of folds.
        train: length of a training window: in the unit of ``time`` for numbers, in ``unit`` for datetimes.
        delay: length of the gap; 0 leaves none.
        test: length of a test window, and the step from one fold to the next.
        unit: of the three lengths for datetimes: "D" (the default), "h", "m" or "s"; None for numbers.
        start: where the first training window begins. By default the last test window ends with the newest row:
            right behind it for numbers, at the end of its ``unit`` (its day, its hour) for datetimes.

    Returns:
        The folds, the oldest first.

    Raises:
        TypeError: a length that is not a number.
        ValueError: times that are text or missing, a length out of range, a window without rows, or more folds than
            the times have room for.

    References:
        Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi: Reproducible Machine Learning for Credit Card Fraud
        Detection - Practical Handbook, 2022, chapter 5 (train, delay and test of 7 days each, 4 folds).

    Example:
        >>> folds = prequential_folds(np.arange(10), num_folds=2, train=3, delay=2, test=2)
        >>> [(fold.train.tolist(), fold.test.tolist()) for fold in folds]
        [([1, 2, 3], [6, 7]), ([3, 4, 5], [8, 9])]
    """
    check_int("num_folds", num_folds, minimum=1)
    check_number("train", train, exclusive_minimum=0.0)
    check_number("delay", delay, minimum=0.0)
    check_number("test", test, exclusive_minimum=0.0)
    values, grain, scale, first = _numbers(time, unit, start)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    lengths = [length * scale for length in (train, delay, test)]
    if first is None:
        end = ordered[-1] + 1 if values.dtype.kind == "i" else np.nextafter(ordered[-1], np.inf)
        end, oldest = -(-end // grain) * grain if grain else end, ordered[0] // grain * grain if grain else ordered[0]
        first = end - sum(lengths) - (num_folds - 1) * lengths[2]
        if first < oldest:
            raise ValueError(
                f"{num_folds} folds of {train} + {delay} + {test} need {(end - first) / scale:g} "
                f"{unit or 'units'} of time, the rows span {(end - oldest) / scale:g}. Use fewer folds or shorter "
                "windows, or set `start`."
            )
    folds = []
    for index in range(num_folds):
        begin = first + index * lengths[2]
        edges = [begin, begin + lengths[0], begin + lengths[0] + lengths[1], begin + sum(lengths)]
        cuts = np.searchsorted(ordered, edges)
        fold = Fold(*(order[low:high] for low, high in pairwise(cuts)))
        for name in ("train", "test"):
            if len(getattr(fold, name)) == 0:
                raise ValueError(
                    f"The {name} window of fold {index} has no rows. Use fewer folds, longer windows, or another "
                    "`start`."
                )
        folds.append(fold)
    return folds


def _numbers(time: Any, unit: str | None, start: Any) -> tuple[np.ndarray, int, int, Any]:
    """Return times that subtract, the grain that a default window ends on, a unit's size, and the start."""
    pandas = require("pandas", extra="train")
    series = pandas.Series(time).reset_index(drop=True).infer_objects()
    if len(series) == 0:
        raise ValueError("There are no rows to split.")
    check_complete("time", series.to_numpy())
    if pandas.api.types.is_datetime64_any_dtype(series):
        scale = _MICROSECONDS[check_choice("unit", "D" if unit is None else unit, _MICROSECONDS)]
        first = None if start is None else int(_microseconds(pandas.Series([pandas.Timestamp(start)]))[0])
        return _microseconds(series), scale, scale, first
    if not pandas.api.types.is_numeric_dtype(series) or pandas.api.types.is_bool_dtype(series):
        raise ValueError(f"`time` must hold numbers or datetimes, got {series.dtype} (such as {series.iloc[0]!r}).")
    if unit is not None:
        raise ValueError(f"`unit` is for datetimes, `time` holds numbers, got unit={unit!r}. Leave it out.")
    kind = np.int64 if pandas.api.types.is_integer_dtype(series) else np.float64
    return series.to_numpy(dtype=kind), 0, 1, None if start is None else check_number("start", start)


def _microseconds(series: Any) -> np.ndarray:
    zone = getattr(series.dtype, "tz", None)
    naive = series if zone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
    return naive.to_numpy().astype("datetime64[us]").astype(np.int64)  # type: ignore[no-any-return]
