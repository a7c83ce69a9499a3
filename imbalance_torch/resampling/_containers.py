"""Tensors, NumPy arrays and pandas objects: read as tensors, given back as what they were."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_same_device, check_same_length, require

Rows: TypeAlias = Any  # a tensor, a NumPy array, or a pandas DataFrame or Series


def features(X: Rows) -> Tensor:
    """Read ``X`` as an (N, d) tensor of finite numbers, without a copy where the container allows it."""
    if isinstance(X, Tensor):
        table = X.detach()
    elif is_pandas(X):
        table = _shared(_frame_values(X))
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
        y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"`y` must have shape (N,), got {tuple(y.shape)}.")
    check_same_length(X=X, y=y)
    if isinstance(y, Tensor):
        distinct, codes = torch.unique(y, return_inverse=True)
    else:
        distinct, positions = np.unique(y, return_inverse=True)
        codes = torch.from_numpy(positions).to(X.device)
    names = distinct.tolist()
    if any(name != name for name in names):
        raise ValueError("`y` must not hold NaN. Drop the rows without a label first.")
    return names, codes


def template(value: Rows) -> Rows:
    """Return an empty container of the same kind, dtype and names, that keeps none of the rows alive."""
    if isinstance(value, Tensor):
        return value.new_empty((0, *value.shape[1:]))
    if is_pandas(value):
        return value.iloc[:0].copy()
    array = np.asarray(value)
    return np.empty((0, *array.shape[1:]), array.dtype)


def rows_as(like: Rows, rows: Tensor) -> Rows:
    """Return feature rows in the kind of ``like``; integer columns of a frame are rounded."""
    if isinstance(like, Tensor):
        return rows
    array = rows.numpy(force=True)
    if not is_pandas(like):
        return array
    whole = [j for j, dtype in enumerate(like.dtypes) if dtype.kind in "iub"]
    array[:, whole] = np.rint(array[:, whole])
    frame = require("pandas", extra="train").DataFrame(array).astype(dict(enumerate(like.dtypes)))
    frame.columns = like.columns
    return frame


def labels_as(like: Rows, counts: dict[Any, int], device: torch.device) -> Rows:
    """Return each label as often as ``counts`` says, in the kind of ``like``."""
    times = list(counts.values())
    if isinstance(like, Tensor):
        distinct = torch.tensor(list(counts), dtype=like.dtype)
        return distinct.repeat_interleave(torch.tensor(times, dtype=torch.int64)).to(device)
    if is_pandas(like):
        series = require("pandas", extra="train").Series(list(counts), dtype=like.dtype, name=like.name)
        return series.repeat(times).reset_index(drop=True)
    return np.repeat(np.array(list(counts), dtype=object).astype(like.dtype), times)


def buffer(out: Rows, shape: tuple[int, int], like: Tensor) -> Tensor:
    """Return a tensor to write ``shape`` rows into: over the memory of ``out``, or new on the device of ``like``."""
    if out is None:
        return like.new_empty(shape)
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
    if is_pandas(first):
        return require("pandas", extra="train").concat([first, second], ignore_index=True)
    return np.concatenate((np.asarray(first), second))


def array_as(like: Rows, values: Tensor) -> Tensor | np.ndarray[Any, Any]:
    """Return provenance as a tensor beside tensors, as a NumPy array beside anything else."""
    return values if isinstance(like, Tensor) else values.numpy(force=True)


def is_pandas(value: Any) -> bool:
    """Tell a DataFrame or Series by what it can do, so that pandas need not be there."""
    return hasattr(value, "iloc")


def _shared(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor over the memory of ``array``, which nothing here writes to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def _frame_values(X: Any) -> np.ndarray[Any, Any]:
    bad = [name for name, dtype in X.dtypes.items() if dtype.kind not in "fiub"]
    if bad:
        raise TypeError(f"`X` must hold numbers, got other columns: {bad}. Encode them as numbers first.")
    floats = {str(dtype) for dtype in X.dtypes} <= {"float32", "float16"}
    return np.ascontiguousarray(X.to_numpy(dtype=np.float32 if floats else np.float64, na_value=np.nan))


def _raise_unless_finite(table: Tensor, names: Any) -> None:
    low, high = (end.to(torch.promote_types(table.dtype, torch.float32)) for end in table.aminmax(dim=0))
    bad = (~(high - low).isfinite()).nonzero().flatten().tolist()
    if bad:
        some = ", ".join(f"{names[j]!r} ({int((~table[:, j].isfinite()).sum())} values)" for j in bad[:5])
        raise ValueError(
            f"`X` must be finite, got NaN, infinite or overflowing values in {len(bad)} of {table.shape[1]} columns: "
            f"{some}{', ...' if len(bad) > 5 else ''}. Impute or drop them first."
        )
