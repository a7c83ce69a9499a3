"""Labels: where a dataset keeps them, and the rows of each class."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from imbalance_torch.samplers._deck import Decks


def labels_of(dataset: Any) -> NDArray[Any]:
    """Return the labels that a dataset already holds, without reading one of its samples.

    Understood are label arrays themselves (tensor, NumPy array, pandas or polars Series, list), ``TensorDataset`` (its
    last tensor), ``Subset``, ``ConcatDataset``, objects with an attribute ``targets`` or ``labels``, image folders
    (``samples`` of path and label), and Hugging Face datasets with a column ``label`` or ``labels``, the only one read.

    Args:
        dataset: one of the above, nested as you like; N labels.

    Returns:
        The labels, shape (N,), as a NumPy array.

    Raises:
        TypeError: the labels cannot be had without reading the samples, or are not integers, booleans or strings.
        ValueError: the labels are not one-dimensional.

    Example:
        >>> from torch.utils.data import Subset, TensorDataset
        >>> dataset = TensorDataset(torch.zeros(4, 2), torch.tensor([0, 0, 1, 0]))
        >>> labels_of(Subset(dataset, [2, 3]))
        array([1, 0])
    """
    match dataset:
        case TensorDataset():
            return labels_of(dataset.tensors[-1])
        case Subset():
            return labels_of(dataset.dataset)[np.asarray(dataset.indices, dtype=np.int64)]
        case ConcatDataset():
            return np.concatenate([labels_of(part) for part in dataset.datasets])
        case list() | tuple() | Tensor():
            return _label_array(dataset)
    if hasattr(dataset, "__array__"):
        return _label_array(dataset)
    for name in ("targets", "labels"):
        if (found := getattr(dataset, name, None)) is not None:
            return _label_array(found)
    if isinstance(samples := getattr(dataset, "samples", None), list):
        return _label_array([label for _, label in samples])
    if isinstance(columns := getattr(dataset, "column_names", None), list) and hasattr(dataset, "__getitem__"):
        for name in ("label", "labels"):
            if name in columns:
                return _label_array(dataset[name][:])
        raise TypeError(f"The dataset has no column 'label' or 'labels' among {columns}. Pass `dataset[column][:]`.")
    raise TypeError(
        f"Cannot tell the labels of a {type(dataset).__name__} without reading its samples. "
        "Pass the labels themselves: a 1-D tensor, array, Series or list, one label per row."
    )


def off_device(values: Any) -> Any:
    """Return a tensor as a NumPy array, which has no bfloat16, and anything else as it is."""
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def _label_array(values: Any) -> NDArray[Any]:
    array = np.asarray(off_device(values))
    if array.ndim != 1:
        hint = " Pass one column of the table." if hasattr(values, "columns") else ""
        raise ValueError(f"`labels` must have shape (N,), got labels.shape={array.shape}.{hint}")
    if array.dtype == object:
        for kind, dtype in ((str, np.str_), (bool, np.bool_), (int, np.int64)):
            if all(isinstance(value, kind) for value in array):
                return array.astype(dtype)
    if array.dtype.kind not in "iubUST" and len(array):
        raise TypeError(
            f"`labels` must be integers, booleans or strings without gaps, got labels.dtype={array.dtype}. "
            "Cast them, as in `labels.long()` or `labels.astype(str)`."
        )
    return array


class ClassRows(NamedTuple):
    """The classes in sorted order, how many rows each has (int64), and which, and a digest of it all."""

    classes: tuple[Any, ...]
    counts: Tensor
    rows: Decks
    digest: str


def class_rows(labels: Any) -> ClassRows:
    """Sort the row numbers by class, once: O(N) time for integers of a small range; 4 bytes a row below 2^31 rows."""
    array = labels_of(labels)
    if not len(array):
        raise ValueError("`labels` must have at least one row, got len(labels)=0.")
    keys = _narrow(array)
    order = keys.argsort(kind="stable")
    ordered = keys[order]
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    counts = np.diff(starts, append=len(array))
    rows = torch.from_numpy(order.astype(np.int32 if len(array) < 2**31 else np.int64, copy=False))
    classes = tuple(array[order[starts]].tolist())
    digest = hashlib.sha256(repr((classes, counts.tolist())).encode())
    digest.update(rows.numpy().data)
    decks = Decks(rows, torch.from_numpy(counts))
    return ClassRows(classes, decks.counts, decks, digest.hexdigest())


def _narrow(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of 8 or 16 bits in the same order where that is possible: NumPy sorts them by radix."""
    span = int(labels.max()) - int(labels.min()) if labels.dtype.kind in "iu" else 1 << 16
    if span >= 1 << 16:
        return labels
    above: NDArray[Any] = np.subtract(labels, labels.min()).view(f"u{labels.itemsize}")
    return above.astype(np.uint8 if span < 1 << 8 else np.uint16)
