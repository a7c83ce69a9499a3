"""TabularDataModule: from a file to encoded batches, split before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import warn
from imbalance_torch.class_stats import class_counts
from imbalance_torch.data import (
    Finding,
    Schema,
    Split,
    TableEncoder,
    TensorLoader,
    audit,
    check_split_classes,
    group_split,
    read_table,
    stratified_split,
    time_split,
)
from imbalance_torch.data._roles import check_roles, read_options
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.samplers._base import AbstractSampler

if TYPE_CHECKING:
    import pandas as pd

EMBEDDED = "nyc_flights"
DEFAULT_BLOCKS = ("standard", "log", "bins")


class TabularDataModule(L.LightningDataModule):
    """Read a table, split it, fit the encoder on the training rows, and serve batches ``(x, y)``.

    With a time column the split is in time order (the oldest rows train, the newest test); with a group column no
    group is on two sides; otherwise it is stratified.
    Only the training loader is sampled; validation and test rows are served once each, in order.

    Args:
        source: what :func:`read_table` takes: a file, a directory or a pattern, or an object such as a DataFrame;
            "nyc_flights" for the embedded data.
        target: name of the target column; the embedded data knows its own.
        time: name of the column that orders the rows; never a feature.
        drop: columns that are not features.
        positive: label of the positive class, for two classes; by default the larger number or True, of text the
            rarer.
        split: shares of training, validation and test rows.
        blocks: what the network sees of a numeric column, out of "standard", "robust", "log", "quantile" and "bins";
            see :class:`imbalance_torch.data.TableEncoder`.
        num_bins: most bins of a column in the block "bins".
        max_categories: most frequent values of a categorical column that keep a code of their own.
        min_category_rows: training rows that a value needs for a code of its own.
        batch_size: rows in a batch.
        sampler: factory ``sampler(labels, batch_size=, seed=)`` of the training sampler, such as a class of
            :mod:`imbalance_torch.samplers`; default plain shuffling.
        seed: of the split (if not by time) and of the sampler.
        group: column whose rows stay on one side of the split, such as a card or a patient; never a feature. A split
            by time does not look at it.
        roles: column -> role ("numeric", "categorical", "boolean", "datetime", "time", "group" or "ignored"), where
            the inferred one is not right; a "categorical" column of a file is read as text.
        audit: look for leaks with :func:`imbalance_torch.data.audit` and warn of what it finds.

    Attributes:
        x: all rows encoded, (N, D) float32: numeric blocks, missing indicators, booleans, calendar features, category
            codes.
        y: class indices, (N,) int64.

    Raises:
        ValueError, FileNotFoundError: at first use, for whatever the table, the target or the split lack.
    """

    def __init__(
        self,
        source: str | Any = EMBEDDED,
        target: str | None = None,
        *,
        time: str | None = None,
        drop: Sequence[str] = (),
        positive: str | int | None = None,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        blocks: Sequence[str] = DEFAULT_BLOCKS,
        num_bins: int = 8,
        max_categories: int = 254,
        min_category_rows: int = 1,
        batch_size: int = 512,
        sampler: Callable[..., AbstractSampler] | None = None,
        seed: int = 0,
        group: str | None = None,
        roles: Mapping[str, str] | None = None,
        audit: bool = True,
    ) -> None:
        super().__init__()
        self.source = source
        self.target = target
        self.time = time
        self.drop = list(drop)
        self.positive = positive
        self.split_shares = tuple(split)
        self.blocks = blocks
        self.num_bins = num_bins
        self.max_categories = max_categories
        self.min_category_rows = min_category_rows
        self.batch_size = batch_size
        self.sampler = sampler or ShuffledSampler
        self.seed = seed
        self.group = group
        self.roles = check_roles(roles)
        self.audit = audit

    def setup(self, stage: str | None = None) -> None:
        """Read, split and encode, once, and warn of what the leak audit finds."""
        _ = self.x
        if "findings" not in self.__dict__ and (self.trainer is None or self.trainer.is_global_zero):
            for finding in self.findings:
                warn(f"Leak audit: {finding}")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The raw table."""
        if isinstance(self.source, str) and self.source == EMBEDDED:
            flights = load_nyc_flights()
            self.target, self.time = self.target or flights.target, self.time or flights.time
            return flights.frame
        return read_table(self.source, **read_options(self.roles))

    @cached_property
    def schema(self) -> Schema:
        """Column roles and class names."""
        frame = self.frame
        if self.target is None:
            raise ValueError(f"`target` is missing: name one of the columns {', '.join(map(str, frame.columns[:20]))}.")
        return Schema.infer(
            frame,
            self.target,
            time=self.time,
            group=self.group,
            drop=self.drop,
            positive=self.positive,
            roles=self.roles,
        )

    @cached_property
    def y(self) -> Tensor:
        """Class indices of all rows, (N,) int64."""
        return torch.from_numpy(self.schema.encode_target(self.frame))

    @cached_property
    def split(self) -> Split:
        """Row numbers of the training, validation and test part."""
        labels = self.y.numpy()
        if self.schema.time is not None:
            split = time_split(self.frame[self.schema.time].to_numpy(), self.split_shares)
        elif self.schema.group is not None:
            split = group_split(labels, self.frame[self.schema.group].to_numpy(), self.split_shares, seed=self.seed)
        else:
            split = stratified_split(labels, self.split_shares, seed=self.seed)
        check_split_classes(split, labels, self.schema.classes)
        return split

    @cached_property
    def findings(self) -> list[Finding]:
        """What the leak audit finds; nothing with ``audit=False``."""
        return audit(self.frame, self.schema, self.split) if self.audit else []

    @cached_property
    def encoder(self) -> TableEncoder:
        """The encoder, fitted on the training rows."""
        schema, train = self.schema, self.split.train
        return TableEncoder(
            schema.numeric,
            schema.categorical,
            boolean=schema.boolean,
            datetime=schema.datetime,
            blocks=self.blocks,
            num_bins=self.num_bins,
            max_categories=self.max_categories,
            min_category_rows=self.min_category_rows,
        ).fit(self.frame.iloc[train], self.y[train].numpy())

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
        """Columns of ``x`` that SMOTE may interpolate, never indicators, booleans, calendar features, bins or codes."""
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
