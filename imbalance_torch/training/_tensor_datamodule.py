"""TensorDataModule: arrays in memory to batches, by one index_select each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import lightning as L
import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_length
from imbalance_torch.class_stats import class_counts
from imbalance_torch.data import TensorLoader, multilabel_stratified_split, stratified_split
from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.samplers._base import AbstractSampler

_EVALUATION_ROWS = 8192
_PARTS = ("train", "val", "test")
Array: TypeAlias = "Tensor | np.ndarray[Any, Any] | str | Path"


class TensorDataModule(L.LightningDataModule):
    """Serve batches ``(x, y)`` of tensors that are in memory already, or on the GPU; only training is sampled.

    Args:
        X: features of the training rows, (N, ...): a tensor, a NumPy array, or the path of a ``.npy`` file.
        y: their classes 0 to C-1, (N,); or 0 and 1 for each of L labels, (N, L).
        X_val: features of the validation rows. Without them ``X`` is split into the three parts, stratified by class.
        y_val: classes of the validation rows.
        X_test: features of the test rows; only beside validation rows.
        y_test: classes of the test rows.
        split: shares of training, validation and test rows, where ``X`` is split.
        batch_size: rows in a training batch.
        sampler: factory ``sampler(labels, batch_size=, seed=)`` of the training sampler, such as a class of
            :mod:`imbalance_torch.samplers` (``MultiLabelBalancedSampler`` for labels); default plain shuffling.
        seed: of the split and of the sampler.
        device: where the rows are kept; by default where they are. On the training device no batch is ever copied.

    Attributes:
        class_counts: training rows of each class before any sampling, list of C; for L labels pairs [without, with].
        num_classes: C, or L.

    Raises:
        ValueError: half a pair; at first use, arrays of different length, labels that are no classes 0 to C-1, parts
            whose rows or labels have different shapes, and a class or label without a positive training row.

    Notes:
        Memory is the arrays and, where ``X`` is split, one copy of them. float64 features become float32.

    Example:
        >>> from imbalance_torch.samplers import ClassBalancedSampler
        >>> data = TensorDataModule(
        ...     torch.rand(100, 3), torch.arange(100) % 10 == 0, batch_size=10, sampler=ClassBalancedSampler
        ... )
        >>> data.class_counts
        [54, 6]
        >>> x, y = next(iter(data.train_dataloader()))
        >>> x.shape, int(y.sum())
        (torch.Size([10, 3]), 5)
    """

    def __init__(
        self,
        X: Array,
        y: Array,
        *,
        X_val: Array | None = None,
        y_val: Array | None = None,
        X_test: Array | None = None,
        y_test: Array | None = None,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        batch_size: int = 512,
        sampler: Callable[..., AbstractSampler] | None = None,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.arrays = {"train": (X, y), "val": (X_val, y_val), "test": (X_test, y_test)}
        self.split_shares = tuple(split)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.sampler = sampler or _shuffled
        self.seed = check_int("seed", seed, minimum=0)
        self.device = device
        for part, (features, labels) in list(self.arrays.items())[1:]:
            if (features is None) != (labels is None):
                raise ValueError(f"Pass `X_{part}` and `y_{part}` together.")
        if X_val is None and X_test is not None:
            raise ValueError("`X_test` needs `X_val` beside it: without validation rows `X` is split into three parts.")

    def setup(self, stage: str | None = None) -> None:
        """Read, check and split, once."""
        _ = self.parts

    @cached_property
    def parts(self) -> dict[str, tuple[Tensor, Tensor]]:
        """``(x, y)`` of each part that there is."""
        found = {}
        for part, (features, labels) in self.arrays.items():
            if features is None or labels is None:
                continue
            names = ("X", "y") if part == "train" else (f"X_{part}", f"y_{part}")
            own = _features(names[0], features), _labels(names[1], labels)
            check_same_length(**dict(zip(names, own, strict=True)))
            found[part] = own
            for name, given, trained in zip(names, own, found["train"], strict=True):
                if given.shape[1:] != trained.shape[1:]:
                    raise ValueError(
                        f"`{name}` has shape {tuple(given.shape)}, but `{name[0]}` has {tuple(trained.shape)}. All "
                        "parts have the same columns and the same labels."
                    )
        if len(found) == 1:
            x, y = found["train"]
            split = stratified_split if y.ndim == 1 else multilabel_stratified_split
            rows = map(torch.from_numpy, split(y.numpy(force=True), self.split_shares, seed=self.seed))
            found = {part: (x[own.to(x.device)], y[own.to(y.device)]) for part, own in zip(_PARTS, rows, strict=True)}
        return {part: (x.to(self.device), y.to(self.device or x.device)) for part, (x, y) in found.items()}

    @cached_property
    def class_counts(self) -> list[int] | list[list[int]]:
        """Training rows of each class, before any sampling; pairs [without, with] for labels."""
        y = self.parts["train"][1]
        if y.ndim == 2:
            positives: list[int] = y.sum(0).tolist()
            if 0 in positives:
                raise ValueError(f"Label {positives.index(0)} has no positive training row. Leave it out of all parts.")
            return [[len(y) - count, count] for count in positives]
        highest = max(int(y.max()) for _, y in self.parts.values())
        counts: list[int] = class_counts(y, highest + 1).tolist()
        if 0 in counts:
            raise ValueError(f"Class {counts.index(0)} has no training row. Number the classes 0 to C-1 without gaps.")
        return counts

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_counts)

    @property
    def num_dense(self) -> int:
        """Columns of a row: what a network takes as ``num_dense``."""
        return self.parts["train"][0].shape[1]

    @property
    def cardinalities(self) -> list[int]:
        """No column holds category codes."""
        return []

    def rows(self, part: str) -> tuple[Tensor, Tensor]:
        """Return ``(x, y)`` of the part "train", "val" or "test"."""
        if part not in self.parts:
            raise ValueError(f"There are no {part} rows. Pass `X_{part}` and `y_{part}`.")
        return self.parts[part]

    def train_dataloader(self) -> TensorLoader:
        """Return the sampled training batches."""
        x, y = self.rows("train")
        sampler: Any = self.sampler(y.cpu(), batch_size=self.batch_size, seed=self.seed)
        return TensorLoader(x, y, batch_size=self.batch_size, sampler=sampler)

    def val_dataloader(self) -> TensorLoader:
        """Return the validation rows, in order."""
        return TensorLoader(*self.rows("val"), batch_size=_EVALUATION_ROWS)

    def test_dataloader(self) -> TensorLoader:
        """Return the test rows, in order."""
        return TensorLoader(*self.rows("test"), batch_size=_EVALUATION_ROWS)

    def predict_dataloader(self) -> TensorLoader:
        """Return the test rows, in order."""
        return self.test_dataloader()


def _shuffled(labels: Tensor, **kwargs: Any) -> ShuffledSampler:
    """Shuffle rows, whose label combinations are classes to the sampler."""
    return ShuffledSampler(
        labels if labels.ndim == 1 else torch.unique(labels, dim=0, return_inverse=True)[1], **kwargs
    )


def _tensor(value: Array) -> Tensor:
    if isinstance(value, str | Path):
        value = np.load(value, allow_pickle=False)
    return torch.as_tensor(value)


def _features(name: str, value: Array) -> Tensor:
    x = _tensor(value)
    if x.ndim < 2:
        raise ValueError(f"`{name}` must have shape (N, ...), got {tuple(x.shape)}. Use `.reshape(-1, 1)`.")
    return x.float() if x.dtype == torch.float64 else x


def _labels(name: str, value: Array) -> Tensor:
    y = _tensor(value)
    if y.ndim == 2 and y.numel() and bool(((y == 0) | (y == 1)).all()):
        return y.long()
    if y.ndim != 1 or not len(y) or y.is_floating_point() or y.is_complex() or int(y.min()) < 0:
        raise ValueError(
            f"`{name}` must hold classes 0 to C-1, shape (N,), whole numbers, or 0 and 1 for one or more labels, shape "
            f"(N, L); got {y.dtype} of shape {tuple(y.shape)}."
        )
    return y.long()
