"""TabularDataModule: from a file to encoded batches, split before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler

from imbalance_torch.class_stats import class_counts
from imbalance_torch.data import (
    Schema,
    Split,
    TableEncoder,
    TensorLoader,
    check_split_classes,
    read_table,
    stratified_split,
    time_split,
)
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.samplers import ShuffledSampler

if TYPE_CHECKING:
    import pandas as pd

EMBEDDED = "nyc_flights"


class TabularDataModule(L.LightningDataModule):
    """Read a table, split it, fit the encoder on the training rows, and serve batches ``(x, y)``.

    With a time column the split is in time order (the oldest rows train, the newest test), otherwise stratified.
    Only the training loader is sampled; validation and test rows are served once each, in order.

    Args:
        source: path of a CSV or Parquet file, a DataFrame, or "nyc_flights" for the embedded data.
        target: name of the target column; the embedded data knows its own.
        time: name of the column that orders the rows; never a feature.
        drop: columns that are not features.
        positive: label of the positive class, for two classes of text; by default the rarer one.
        split: shares of training, validation and test rows.
        batch_size: rows in a batch.
        sampler: factory ``sampler(labels, batch_size=, seed=)`` of the training sampler, such as a class of
            :mod:`imbalance_torch.samplers`; default plain shuffling.
        seed: of the split (if stratified) and of the sampler.

    Attributes:
        x: all rows encoded, (N, D) float32: numeric columns, missing indicators, category codes.
        y: class indices, (N,) int64.

    Raises:
        ValueError, FileNotFoundError: at first use, for whatever the table, the target or the split lack.
    """

    def __init__(
        self,
        source: str | Path | pd.DataFrame = EMBEDDED,
        target: str | None = None,
        *,
        time: str | None = None,
        drop: Sequence[str] = (),
        positive: str | int | None = None,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        batch_size: int = 512,
        sampler: Callable[..., DistributedSampler[Any]] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self.target = target
        self.time = time
        self.drop = list(drop)
        self.positive = positive
        self.split_shares = tuple(split)
        self.batch_size = batch_size
        self.sampler = sampler or ShuffledSampler
        self.seed = seed

    def setup(self, stage: str | None = None) -> None:
        """Read, split and encode, once."""
        _ = self.x

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The raw table."""
        if isinstance(self.source, str) and self.source == EMBEDDED:
            flights = load_nyc_flights()
            self.target, self.time = self.target or flights.target, self.time or flights.time
            return flights.frame
        return read_table(self.source) if isinstance(self.source, str | Path) else self.source

    @cached_property
    def schema(self) -> Schema:
        """Column roles and class names."""
        frame = self.frame
        if self.target is None:
            raise ValueError(f"`target` is missing: name one of the columns {', '.join(map(str, frame.columns[:20]))}.")
        return Schema.infer(frame, self.target, time=self.time, drop=self.drop, positive=self.positive)

    @cached_property
    def y(self) -> Tensor:
        """Class indices of all rows, (N,) int64."""
        return torch.from_numpy(self.schema.encode_target(self.frame))

    @cached_property
    def split(self) -> Split:
        """Row numbers of the training, validation and test part."""
        labels = self.y.numpy()
        if self.schema.time is None:
            split = stratified_split(labels, self.split_shares, seed=self.seed)
        else:
            split = time_split(self.frame[self.schema.time].to_numpy(), self.split_shares)
        check_split_classes(split, labels, self.schema.classes)
        return split

    @cached_property
    def encoder(self) -> TableEncoder:
        """The encoder, fitted on the training rows."""
        return TableEncoder(self.schema.numeric, self.schema.categorical).fit(self.frame.iloc[self.split.train])

    @cached_property
    def x(self) -> Tensor:
        """All rows encoded, (N, D) float32."""
        return self.encoder.encode(self.frame)

    @cached_property
    def class_counts(self) -> list[int]:
        """Training rows of each class, before any sampling."""
        counts: list[int] = class_counts(self.y[self.split.train], self.num_classes).tolist()
        return counts

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return self.schema.num_classes

    @property
    def num_dense(self) -> int:
        """Leading columns of ``x`` that are numbers: what a network takes as ``num_dense``."""
        return self.encoder.num_dense

    @property
    def cardinalities(self) -> list[int]:
        """Number of codes of each categorical column of ``x``."""
        return self.encoder.cardinalities

    @property
    def interpolated_columns(self) -> list[int]:
        """Columns of ``x`` that SMOTE may interpolate: the numeric ones, without indicators and codes."""
        return list(range(self.encoder.num_numeric))

    def rows(self, part: str) -> tuple[Tensor, Tensor]:
        """Return ``(x, y)`` of the part "train", "val" or "test"."""
        rows = torch.from_numpy(np.ascontiguousarray(getattr(self.split, part)))
        return self.x[rows], self.y[rows]

    def train_dataloader(self) -> TensorLoader:
        """Return the sampled training batches."""
        x, y = self.rows("train")
        return TensorLoader(
            x, y, batch_size=self.batch_size, sampler=self.sampler(y, batch_size=self.batch_size, seed=self.seed)
        )

    def val_dataloader(self) -> TensorLoader:
        """Return the validation rows, in order."""
        return TensorLoader(*self.rows("val"), batch_size=8192)

    def test_dataloader(self) -> TensorLoader:
        """Return the test rows, in order."""
        return TensorLoader(*self.rows("test"), batch_size=8192)

    def predict_dataloader(self) -> TensorLoader:
        """Return the test rows, in order."""
        return self.test_dataloader()
