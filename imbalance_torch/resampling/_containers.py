"""Tensors, NumPy arrays, pandas and polars objects: read as tensors, given back as what they were."""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_same_device, check_same_length
from imbalance_torch.resampling import _frames as frames
from imbalance_torch.resampling._frames import is_frame, is_pandas, is_polars, is_series

__all__ = [
    "Rows",
    "array_as",
    "buffer",
    "features",
    "is_frame",
    "is_pandas",
    "is_polars",
    "is_series",
    "joined",
    "labels",
    "labels_as",
    "rows_as",
    "template",
]

Rows: TypeAlias = Any  # a tensor, a NumPy array, or a DataFrame or Series of pandas or polars

_NO_LABEL = "`y` must not hold NaN or other missing values. Drop the rows without a label first."


def features(X: Rows) -> Tensor:
    """Read ``X`` as an (N, d) tensor of finite numbers, without a copy where the container allows it."""
    if isinstance(X, Tensor):
        table = X.detach()
    elif is_frame(X):
        table = _shared(frames.frame_values(X))
    else:
        array = np.asarray(X)
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise TypeError(f"`X` must hold numbers, got dtype={array.dtype}. Encode categories as numbers first.")
        table = _shared(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
    if table.is_complex():
        raise TypeError(f"`X` must hold real numbers, got dtype={table.dtype}.")
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"`X` must have shape (N, d) with d >= 1, got {tuple(table.shape)}.")
    if table.is_floating_point() and len(table):
        _raise_unless_finite(table, getattr(X, "columns", range(table.shape[1])))
    return table


def labels(y: Rows, X: Tensor) -> tuple[list[Any], Tensor]:
    """Read ``y`` as its sorted distinct labels and an (N,) tensor of their positions, on the device of ``X``."""
    if isinstance(y, Tensor):
        check_same_device(X=X, y=y)
    else:
        if is_series(y) and frames.is_missing(y):
            raise ValueError(_NO_LABEL)
        y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"`y` must have shape (N,), got {tuple(y.shape)}.")
    check_same_length(X=X, y=y)
    if isinstance(y, Tensor) or y.dtype.kind in "ib":
        whole = y if isinstance(y, Tensor) else _shared(np.ascontiguousarray(y, y.dtype.newbyteorder("=")))
        distinct, codes = _distinct(whole)
        names = distinct.tolist()
    else:
        found, positions = np.unique(y, return_inverse=True)
        names, codes = found.tolist(), torch.from_numpy(positions)
    codes = codes.to(X.device)
    if any(name != name for name in names):
        raise ValueError(_NO_LABEL)
    return names, codes


def _distinct(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sorted distinct values and the position of each entry in them: by counting where values are dense."""
    if len(y) and not y.is_floating_point():
        whole = y.long()
        low, high = (int(end) for end in whole.aminmax())
        if high - low < len(y):
            counts = torch.bincount(whole - low)
            codes = (counts > 0).cumsum(0).sub_(1)[whole - low]
            return (counts.nonzero().flatten() + low).to(y.dtype), codes
    return torch.unique(y, return_inverse=True)  # type: ignore[no-any-return]


def template(value: Rows) -> Rows:
    """Return an empty container of the same kind, dtype and names, that keeps none of the rows alive."""
    if isinstance(value, Tensor):
        return value.new_empty((0, *value.shape[1:]))
    if is_pandas(value) or is_polars(value):
        return frames.without_rows(value)
    array = np.asarray(value)
    return np.empty((0, *array.shape[1:]), array.dtype)


def rows_as(like: Rows, rows: Tensor) -> Rows:
    """Return feature rows in the kind of ``like``; integer columns of a frame are rounded."""
    if isinstance(like, Tensor):
        return rows
    array = rows.numpy(force=True)
    return frames.frame_of(like, array) if is_frame(like) else array


def labels_as(like: Rows, counts: dict[Any, int], device: torch.device) -> Rows:
    """Return each label as often as ``counts`` says, in the kind of ``like``."""
    times = list(counts.values())
    if isinstance(like, Tensor):
        distinct = torch.tensor(list(counts), dtype=like.dtype)
        return distinct.repeat_interleave(torch.tensor(times, dtype=torch.int64)).to(device)
    if is_series(like):
        return frames.series_of(like, list(counts), times)
    return np.repeat(np.array(list(counts), dtype=object).astype(like.dtype), times)


def buffer(out: Rows, shape: tuple[int, int], like: Tensor) -> Tensor:
    """Return a tensor to write ``shape`` rows into: over the memory of ``out``, or new on the device of ``like``."""
    if out is None:
        if like.device.type != "cpu" or not shape[0]:
            return like.new_empty(shape)
        # NumPy asks for large pages, which are filled several times faster.
        memory = np.empty(math.prod(shape) * like.element_size(), np.uint8)
        return torch.from_numpy(memory).view(like.dtype).view(shape)
    if not isinstance(out, Tensor | np.ndarray):
        raise TypeError(f"`out` must be a tensor or a NumPy array, got {type(out).__name__}.")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("`out` must be writeable. Open a memory map with mode 'r+' or 'w+'.")
    target = torch.as_tensor(out)
    if target.shape != shape or target.dtype != like.dtype:
        raise ValueError(
            f"`out` must have shape {shape} and dtype {like.dtype}, got {tuple(target.shape)} and {target.dtype}."
        )
    return target


def joined(first: Rows, second: Rows) -> Rows:
    """Return the rows of ``first``, unchanged, followed by those of ``second``."""
    if isinstance(first, Tensor):
        return torch.cat((first.detach(), second))
    if is_pandas(first) or is_polars(first):
        return frames.stacked(first, second)
    return np.concatenate((np.asarray(first), second))


def array_as(like: Rows, values: Tensor) -> Tensor | np.ndarray[Any, Any]:
    """Return provenance as a tensor beside tensors, as a NumPy array beside anything else."""
    return values if isinstance(like, Tensor) else values.numpy(force=True)


def _shared(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor over the memory of ``array``, which nothing here writes to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def _raise_unless_finite(table: Tensor, names: Any) -> None:
    wide = torch.promote_types(table.dtype, torch.float32)
    low, high = (end.to(wide) for end in table.aminmax())
    if (high - low).isfinite():
        return
    low, high = (end.to(wide) for end in table.aminmax(dim=0))
    bad = (~(high - low).isfinite()).nonzero().flatten().tolist()
    if bad:
        some = ", ".join(f"{names[j]!r} ({int((~table[:, j].isfinite()).sum())} values)" for j in bad[:5])
        raise ValueError(
            f"`X` must be finite, got NaN, infinite or overflowing values in {len(bad)} of {table.shape[1]} columns: "
            f"{some}{', ...' if len(bad) > 5 else ''}. Impute or drop them first."
        )
