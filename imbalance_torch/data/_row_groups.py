"""The row groups of Parquet files: how many rows of each class each one holds, and a chosen part of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imbalance_torch._checks import require
from imbalance_torch.data._files import fitted, reading
from imbalance_torch.data._parts import common, present, with_constants
from imbalance_torch.data._sources import files_of, format_of, partitions_of

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_ROWS = 1 << 16
_MOST_CLASSES = 10_000


class RowGroups:
    """Read the target of some Parquet files once, and then any rows of any row group.

    Args:
        source: a Parquet file, a directory or a pattern.
        target: name of the target column.
        columns: columns to read; None means all but the target, and the files must then have the same ones.
        classes: the class labels in the order of their codes; None means those found, sorted.
        numbers_only: refuse columns that are neither numbers nor booleans.

    Raises:
        FileNotFoundError, ValueError: no such file or column, an unreadable file, or a target that is no class label.
    """

    def __init__(
        self,
        source: str | Path,
        target: str,
        columns: Sequence[str] | None,
        classes: Sequence[Any] | None,
        *,
        numbers_only: bool,
    ) -> None:
        self.target, self.files = target, files_of(source)
        if format_of(self.files[0]) != "Parquet":
            raise ValueError(f"A stream is read from Parquet files, got {self.files[0].name!r}. Convert it first.")
        arrow, parquet = require("pyarrow", extra="train"), require("pyarrow.parquet", extra="train")
        with reading(self.files[0]):
            self._constants = partitions_of(source, self.files)
        self._metadata, schemas = [], []
        for file, constants in zip(self.files, self._constants, strict=True):
            with reading(file):
                source_file = parquet.ParquetFile(file)
            self._metadata.append(source_file.metadata)
            schema = with_constants(source_file.schema_arrow.empty_table(), constants).schema
            index = (schema.pandas_metadata or {}).get("index_columns", [])
            names = [name for name in schema.names if name not in index] if columns is None else columns
            for name in (target, *names):
                if schema.names.count(name) != 1:
                    times = "two columns named" if name in schema.names else "no column"
                    raise ValueError(f"{file} has {times} {name!r}; its columns are {', '.join(schema.names[:20])}.")
            wanted = dict.fromkeys([target, *names])
            schemas.append(arrow.schema([schema.field(name) for name in wanted], schema.metadata))
        schema = common(self.files, schemas)
        types, label = require("pyarrow.types", extra="train"), schema.field(target).type
        if types.is_nested(label) or types.is_temporal(label):
            raise ValueError(
                f"Target {target!r} of {source} is {label}. A class label is a whole number, a boolean or text."
            )
        self.columns = [name for name in schema.names if name != target] if columns is None else list(columns)
        if not self.columns:
            raise ValueError(f"{source} has no feature column beside the target {target!r}. Name one in `columns`.")
        self._types = {name: schema.field(name).type for name in self.columns}
        self._stored = schema.metadata
        for name, kind in self._types.items():
            if numbers_only and not _is_number(kind):
                raise ValueError(
                    f"Column {name!r} of {source} is {kind}, no number. Pass a fitted `encoder`, or leave it out of "
                    "`columns`."
                )
        self.places = [
            (number, group) for number, own in enumerate(self._metadata) for group in range(own.num_row_groups)
        ]
        found = []
        for place in range(len(self.places)):
            labels, codes = self._labels(place)
            found.append(Counter[Any]())
            for label, rows in zip(labels, np.bincount(codes, minlength=len(labels)).tolist(), strict=True):
                found[-1][label] += rows  # two values may be one label: 0.0 and -0.0
        if not sum(self.num_rows):
            raise ValueError(f"{source} has no rows.")
        known = {label for counts in found for label in counts}
        self.classes = tuple(sorted(known) if classes is None else classes)
        self._code = {label: code for code, label in enumerate(self.classes)}
        if len(self._code) < len(self.classes):
            raise ValueError(f"`classes` must differ, got classes={list(self.classes)}.")
        if not known <= set(self._code):
            strange = sorted(known - set(self._code), key=str)[0]
            raise ValueError(f"Target {target!r} has the label {strange!r}; the classes are {list(self.classes)}.")
        self.counts: NDArray[np.int64] = np.zeros((len(found), len(self.classes)), dtype=np.int64)
        for row, counts in zip(self.counts, found, strict=True):
            row[[self._code[label] for label in counts]] = list(counts.values())

    @property
    def num_rows(self) -> list[int]:
        """Rows of each file."""
        return [metadata.num_rows for metadata in self._metadata]

    def codes(self, group: int) -> NDArray[np.uint16]:
        """Return the class codes of a row group."""
        labels, codes = self._labels(group)
        return np.array([self._code[label] for label in labels], dtype=np.uint16).take(codes)

    def read(self, group: int, rows: NDArray[np.int64]) -> pa.Table:
        """Return the columns of the given rows (ascending) of a row group; holds a chunk beside them."""
        arrow = require("pyarrow", extra="train")
        number, place = self.places[group]
        file, kept, start = self.files[number], [], 0
        with reading(file):
            source = self._open(number)
            for batch in source.iter_batches(_CHUNK_ROWS, row_groups=[place], columns=self.columns):
                end = start + batch.num_rows
                chosen = rows[slice(*np.searchsorted(rows, [start, end]))] - start
                kept.append(batch if len(chosen) == batch.num_rows else batch.take(arrow.array(chosen)))
                start = end
            table = with_constants(arrow.Table.from_batches(kept), self._constants[number]).select(self.columns)
            return fitted(table, self._types, file).replace_schema_metadata(self._stored)

    def _labels(self, group: int) -> tuple[list[Any], NDArray[np.int32]]:
        """Return the labels that a row group holds, and for each of its rows which of them it has."""
        number, place = self.places[group]
        file = self.files[number]
        with reading(file):
            table = self._open(number).read_row_group(place, columns=[self.target])
            column = with_constants(table, self._constants[number]).column(self.target).combine_chunks()
        if column.null_count:
            raise ValueError(
                f"Target {self.target!r} of {file} has no label in {column.null_count} rows. Remove these rows."
            )
        encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
        labels = encoded.dictionary.to_pylist()
        if len(labels) > _MOST_CLASSES or any(isinstance(label, float | Decimal) and label % 1 for label in labels):
            raise ValueError(
                f"Target {self.target!r} of {file} is continuous ({len(labels)} different values, such as "
                f"{labels[0]!r}). A classifier needs class labels."
            )
        whole = [int(label) if isinstance(label, float | Decimal) else label for label in labels]
        return whole, encoded.indices.to_numpy()

    def _open(self, number: int) -> Any:
        parquet = require("pyarrow.parquet", extra="train")
        metadata = self._metadata[number]
        encoded = present([self.target], metadata.schema.names)
        return parquet.ParquetFile(self.files[number], metadata=metadata, read_dictionary=encoded, pre_buffer=False)


def numbers_of(table: pa.Table) -> NDArray[np.float32]:
    """Return numbers and booleans as float32, (rows, columns), NaN for missing."""
    arrow = require("pyarrow", extra="train")
    matrix = np.empty(table.shape, dtype=np.float32)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if arrow.types.is_boolean(column.type):
            column = column.cast(arrow.uint8())
        elif arrow.types.is_decimal(column.type):
            column = column.cast(arrow.float64())
        try:
            with np.errstate(over="raise"):
                matrix[:, place] = column.to_numpy()
        except FloatingPointError as error:
            raise ValueError(
                f"Column {name!r} has a value beyond float32 (3.4e38). Clip it, or pass a fitted `encoder`."
            ) from error
    return matrix


def _is_number(kind: pa.DataType) -> bool:
    types = require("pyarrow.types", extra="train")
    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(check(kind) for check in checks)
