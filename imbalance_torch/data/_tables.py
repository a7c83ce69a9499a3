"""Tables on disk: pyarrow reads CSV and Parquet, whole or in chunks; writing is atomic."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imbalance_torch._checks import require

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet", ".pq")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a CSV or Parquet file into a DataFrame.

    Args:
        path: file that ends in ``.csv``, ``.parquet`` or ``.pq``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another suffix, an unreadable or empty file, no rows, or a column name that occurs twice.
    """
    file = _existing(path)
    try:
        if file.suffix == ".csv":
            table = _csv_reader(file).read_all()
        else:
            table = require("pyarrow.parquet", extra="train").read_table(file)
    except require("pyarrow", extra="train").ArrowInvalid as error:
        raise ValueError(f"Cannot read {file}: {error}. Is it complete, and a {file.suffix[1:]} file?") from error
    _check_columns(file, table.column_names)
    if table.num_rows == 0:
        raise ValueError(f"{file} has a header but no rows.")
    return table.to_pandas()


def iterate_table(
    path: str | Path, *, numbers: Sequence[str] = (), text: Sequence[str] = (), chunk_rows: int = 65_536
) -> Iterator[pd.DataFrame]:
    """Read a CSV or Parquet file chunk by chunk, in constant memory.

    Args:
        path: as for :func:`read_table`.
        numbers: columns of a CSV that are read as float64, whatever the first rows look like.
        text: columns of a CSV that are read as text.
        chunk_rows: rows in a chunk at most.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_table`, at the chunk where the fault lies.
    """
    file = _existing(path)
    arrow = require("pyarrow", extra="train")
    try:
        if file.suffix == ".csv":
            types = dict.fromkeys(numbers, arrow.float64()) | dict.fromkeys(text, arrow.string())
            reader = _csv_reader(file, types)
            names, batches = reader.schema.names, iter(reader)
        else:
            source = require("pyarrow.parquet", extra="train").ParquetFile(file)
            names, batches = source.schema_arrow.names, source.iter_batches(chunk_rows)
        _check_columns(file, names)
        for batch in batches:
            for start in range(0, batch.num_rows, chunk_rows):
                yield batch.slice(start, chunk_rows).to_pandas()
    except arrow.ArrowInvalid as error:
        raise ValueError(f"Cannot read {file}: {error}. Is it complete, and a {file.suffix[1:]} file?") from error


def write_table(chunks: Iterator[pd.DataFrame], path: str | Path) -> int:
    """Write DataFrames one after the other into one CSV or Parquet file, and return the number of rows.

    The rows go to a temporary name beside ``path``, which is renamed at the end: a failure leaves no half-written
    file and keeps an older one.
    """
    file = Path(path)
    _check_suffix(file)
    arrow = require("pyarrow", extra="train")
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    writer: Any = None
    rows = 0
    try:
        for chunk in chunks:
            table = arrow.Table.from_pandas(chunk, preserve_index=False)
            if writer is None:
                writer = _writer(temporary, table.schema, file.suffix)
            writer.write_table(table.cast(writer.schema if file.suffix != ".csv" else table.schema))
            rows += len(chunk)
        if writer is None:
            raise ValueError("There are no rows to write.")
        writer.close()
        writer = None
        temporary.replace(file)
    finally:
        if writer is not None:
            writer.close()
        temporary.unlink(missing_ok=True)
    return rows


def _writer(file: Path, schema: Any, suffix: str) -> Any:
    if suffix == ".csv":
        return require("pyarrow.csv", extra="train").CSVWriter(file, schema)
    return require("pyarrow.parquet", extra="train").ParquetWriter(file, schema, compression="zstd")


def _csv_reader(file: Path, types: Mapping[str, Any] | None = None) -> Any:
    csv = require("pyarrow.csv", extra="train")
    # One block holds the whole file when it is read at once, so that a type is inferred from every row.
    block = None if types is not None else min(max(file.stat().st_size, 1 << 20), (1 << 31) - 1)
    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(block_size=block),
        convert_options=csv.ConvertOptions(column_types=types or {}, strings_can_be_null=True),
    )


def _existing(path: str | Path) -> Path:
    file = Path(path)
    _check_suffix(file)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty.")
    return file


def _check_suffix(file: Path) -> None:
    if file.suffix not in SUFFIXES:
        raise ValueError(f"A table must end in one of {', '.join(SUFFIXES)}, got {file.name!r}.")


def _check_columns(file: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"{file} has two columns named {twice[0]!r}. Rename one of them.")
