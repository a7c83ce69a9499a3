"""pandas and polars objects, told apart by what they can do, so that neither package need be there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from imbalance_torch._checks import require


def is_pandas(value: Any) -> bool:
    """Tell a pandas DataFrame or Series."""
    return hasattr(type(value), "iloc")


def is_polars(value: Any) -> bool:
    """Tell a polars DataFrame, LazyFrame or Series."""
    return hasattr(type(value), "gather_every")


def is_frame(value: Any) -> bool:
    """Tell a DataFrame of either package; a LazyFrame is refused, since it holds no rows yet."""
    if is_polars(value) and hasattr(type(value), "collect"):
        raise TypeError("`X` must be a DataFrame, got a LazyFrame. Collect it first: `X.collect()`.")
    return (is_pandas(value) or is_polars(value)) and hasattr(type(value), "columns")


def is_series(value: Any) -> bool:
    """Tell a Series of either package."""
    return (is_pandas(value) or is_polars(value)) and hasattr(type(value), "to_frame")


def frame_values(frame: Any) -> np.ndarray[Any, Any]:
    """Return the numbers of a DataFrame: float32 where that holds every column exactly, float64 otherwise."""
    dtypes = [_numpy_dtype(dtype) for dtype in frame.dtypes]
    bad = [name for name, dtype in zip(frame.columns, dtypes, strict=True) if dtype is None]
    if bad:
        raise TypeError(f"`X` must hold numbers, got other columns: {bad}. Encode them as numbers first.")
    dtype = np.float32 if {*dtypes} <= {np.dtype("float32"), np.dtype("float16")} else np.float64
    if is_pandas(frame):
        return np.ascontiguousarray(frame.to_numpy(dtype=dtype, na_value=np.nan))
    values = np.empty(frame.shape, dtype)
    for j, column in enumerate(frame.get_columns()):
        values[:, j] = column.to_numpy()
    return values


def is_missing(series: Any) -> bool:
    """Tell whether a Series holds a missing value."""
    return bool(series.isna().any() if is_pandas(series) else series.null_count())


def without_rows(value: Any) -> Any:
    """Return a DataFrame or Series of no rows, with the names and dtypes of ``value`` and none of its memory."""
    return value.iloc[:0].copy() if is_pandas(value) else value.clear()


def frame_of(like: Any, values: np.ndarray[Any, Any]) -> Any:
    """Return ``values`` as a DataFrame with the names and dtypes of ``like``; whole-number columns are rounded."""
    for dtype, column in zip(like.dtypes, values.T, strict=True):
        _fit_in(column, _numpy_dtype(dtype))
    if is_polars(like):
        columns = zip(like.get_columns(), values.T, strict=True)
        return type(like)([type(empty)(empty.name, column).cast(empty.dtype) for empty, column in columns])
    frame = require("pandas", extra="train").DataFrame(values).astype(dict(enumerate(like.dtypes)))
    frame.columns = like.columns
    return frame


def series_of(like: Any, labels: Sequence[Any], times: Sequence[int]) -> Any:
    """Return each label as often as ``times`` says, as a Series with the name and dtype of ``like``."""
    if is_polars(like):
        return type(like)(like.name, labels, dtype=like.dtype).gather(np.repeat(np.arange(len(labels)), times))
    series = require("pandas", extra="train").Series(labels, dtype=like.dtype, name=like.name)
    return series.repeat(times).reset_index(drop=True)


def stacked(first: Any, second: Any) -> Any:
    """Return the rows of ``first``, unchanged, followed by those of ``second``."""
    if is_pandas(first):
        return require("pandas", extra="train").concat([first, second], ignore_index=True)
    return first.vstack(second) if is_frame(first) else first.clone().append(second)


def _numpy_dtype(dtype: Any) -> np.dtype[Any] | None:
    """Return the NumPy dtype of a column of numbers, None for any other column."""
    if hasattr(dtype, "kind"):
        return np.dtype(getattr(dtype, "numpy_dtype", dtype)) if dtype.kind in "fiub" else None
    name = str(dtype).lower().replace("boolean", "bool")
    return np.dtype(name) if re.fullmatch("bool|u?int(8|16|32|64)|float(16|32|64)", name) else None


def _fit_in(column: np.ndarray[Any, Any], dtype: np.dtype[Any] | None) -> None:
    """Round the numbers, in place, to those that a whole-number dtype holds; leave others alone."""
    if dtype is not None and dtype.kind in "iub":
        np.rint(column, out=column)
    if dtype is not None and dtype.kind == "b":
        np.clip(column, 0, 1, out=column)
    if dtype is not None and dtype.kind in "iu":
        low, high = (float(end) for end in (np.iinfo(dtype).min, np.iinfo(dtype).max))
        # The float64 next to the largest 64-bit number lies above it.
        np.clip(column, low, high if int(high) <= np.iinfo(dtype).max else np.nextafter(high, 0), out=column)
