"""Raw columns of a table as numbers, NaN for missing; every error names its column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imbalance_torch._checks import require
from imbalance_torch.data._categories import factorize

if TYPE_CHECKING:
    import pandas as pd

_TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


def numbers(column: pd.Series) -> np.ndarray:
    """Return finite values as float64, (N,)."""
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Column {column.name!r} must be numeric, got {column.dtype}: {error}.") from error
    infinite = np.isinf(values)
    if infinite.any():
        row = column.index[int(np.argmax(infinite))]
        raise ValueError(
            f"Column {column.name!r} has an infinite value (first: row {row}). Replace it or leave it empty."
        )
    return np.asarray(values)


def truth(column: pd.Series) -> np.ndarray:
    """Return booleans, 0 and 1, and their text as float64, (N,)."""
    codes, texts = factorize(column)
    unknown = [text for text in texts if text is not None and text.lower() not in _TRUTH]
    if unknown:
        raise ValueError(
            f"Column {column.name!r} must be true or false, got {unknown[0]!r}. Name it in `categorical` instead."
        )
    lookup = np.array([np.nan if text is None else _TRUTH[text.lower()] for text in texts])
    return np.asarray(lookup[codes])


def zone(column: pd.Series) -> str | None:
    """Return the name of the time zone of a datetime column, None where its times carry none."""
    times = _datetimes(column)
    if times.dt.tz is None:
        return None
    try:
        name: str = require("pyarrow", extra="train").timestamp("us", times.dt.tz).tz
        times.iloc[:0].dt.tz_convert(name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"Column {column.name!r} has the time zone {times.dt.tz!r}, which cannot be saved by name. Convert it to "
            "a named one, such as with `.dt.tz_convert('Europe/Berlin')`."
        ) from error
    return name


def wall_seconds(column: pd.Series, zone: str | None) -> np.ndarray:
    """Return what the clocks of ``zone`` show, in seconds since 1970-01-01, float64 (N,)."""
    times = _datetimes(column, utc=zone is not None)
    if times.notna().any() and (times.dt.tz is None) != (zone is None):
        here, there = ("no time zone", zone) if times.dt.tz is None else (str(times.dt.tz), "no time zone")
        raise ValueError(
            f"Column {column.name!r} has {here}, the training rows had {there}. Convert it with "
            f"`.dt.tz_localize({zone!r})`."
        )
    if times.dt.tz is not None:
        times = times.dt.tz_convert(zone).dt.tz_localize(None)
    seconds = times.to_numpy("datetime64[us]").astype(np.int64) / 1e6
    return np.where(times.isna(), np.nan, seconds)


def _datetimes(column: pd.Series, *, utc: bool = False) -> Any:
    pandas = require("pandas", extra="train")
    if pandas.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    if pandas.api.types.is_numeric_dtype(column.dtype):
        raise ValueError(f"Column {column.name!r} must hold dates, got {column.dtype}. Convert it with pd.to_datetime.")
    missing = require("pyarrow.csv", extra="train").ConvertOptions().null_values  # text to the reader, no date here
    try:
        return pandas.to_datetime(column.mask(column.isin(missing)), format="ISO8601", utc=utc)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {column.name!r} must hold dates such as 2026-05-31 or 2026-05-31T17:00:00: {error}."
        ) from error
