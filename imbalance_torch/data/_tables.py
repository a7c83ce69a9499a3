"""Tables on disk: pyarrow reads CSV and Parquet, whole or in chunks; writing is atomic."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imbalance_torch._checks import check_int, require

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".pq")


def read_table(path: str | Path) -> pd.DataFrame:
    r"""Read a CSV or Parquet file into a DataFrame.

    The types of a CSV are inferred from all of its rows; an empty field is a missing value. Decimals become float64,
    dates datetime64.

    Args:
        path: file that ends in ``.csv`` (UTF-8, comma separated, a header), ``.parquet`` or ``.pq``.

    Returns:
        The rows in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another suffix, an unreadable or empty file, no rows, text that is not UTF-8, or a column name
            that occurs twice.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cards.csv"
        >>> _ = file.write_text("amount,card\n1.5,a\n,b\n")
        >>> read_table(file)
           amount card
        0     1.5    a
        1     NaN    b
    """
    table = read_arrow(path)
    with _reading(Path(path)):
        return to_pandas(table)


def read_arrow(path: str | Path) -> Any:
    """Read a file as :func:`read_table` does, into the Arrow table that keeps every type and missing value."""
    file = _existing(path)
    with _reading(file):
        if suffix_of(file) == ".csv":
            # One block holds the whole file, so that a type is inferred from every row.
            table = _csv_reader(file, block_size=min(max(file.stat().st_size, 1 << 20), (1 << 31) - 1)).read_all()
        else:
            table = require("pyarrow.parquet", extra="train").ParquetFile(file).read()
        _check_columns(file, table.schema)
        if table.num_rows == 0:
            raise ValueError(f"{file} has a header but no rows.")
        return table


def iterate_table(
    path: str | Path,
    *,
    numbers: Sequence[str] = (),
    text: Sequence[str] = (),
    booleans: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    chunk_rows: int = 65_536,
) -> Iterator[pd.DataFrame]:
    r"""Read a CSV or Parquet file chunk by chunk, in constant memory.

    The type of a CSV column that is named nowhere is inferred from the first megabyte.

    Args:
        path: as for :func:`read_table`.
        numbers: columns of a CSV that are read as float64, whatever the first rows look like.
        text: columns of a CSV that are read as text.
        booleans: columns of a CSV that are read as true or false.
        columns: columns to read, those that the file has; all by default.
        chunk_rows: rows in a chunk at most.

    Yields:
        The next rows, numbered from 0 in each chunk.

    Raises:
        FileNotFoundError, ValueError: as :func:`read_table`, at the chunk where the fault lies.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cards.csv"
        >>> _ = file.write_text("amount,card\n1,007\n2,008\n3,009\n")
        >>> [chunk["card"].tolist() for chunk in iterate_table(file, text=["card"], chunk_rows=2)]
        [['007', '008'], ['009']]
    """
    check_int("chunk_rows", chunk_rows, minimum=1)
    file = _existing(path)
    arrow = require("pyarrow", extra="train")
    rows = 0
    with _reading(file):
        if suffix_of(file) == ".csv":
            header = _csv_reader(file).schema
            _check_columns(file, header)
            types = dict.fromkeys(numbers, arrow.float64()) | dict.fromkeys(text, arrow.string())
            types |= dict.fromkeys(booleans, arrow.bool_())
            reader = _csv_reader(file, types, _present(columns, header.names))
            _check_columns(file, reader.schema)
            batches = iter(reader)
        else:
            source = require("pyarrow.parquet", extra="train").ParquetFile(file)
            _check_columns(file, source.schema_arrow)
            batches = source.iter_batches(chunk_rows, columns=_present(columns, source.schema_arrow.names))
        for batch in batches:
            rows += batch.num_rows
            for start in range(0, batch.num_rows, chunk_rows):
                yield to_pandas(arrow.Table.from_batches([batch.slice(start, chunk_rows)])).reset_index(drop=True)
    if rows == 0:
        raise ValueError(f"{file} has a header but no rows.")


def write_table(chunks: Iterable[pd.DataFrame | pa.Table], path: str | Path) -> int:
    """Write DataFrames or Arrow tables one after the other into one CSV or Parquet file, and return the number of rows.

    The rows go to a temporary name beside ``path``, which is renamed at the end: a failure leaves no half-written
    file and keeps an older one.

    Args:
        chunks: tables with the same columns; the first one sets the types.
        path: file that ends in ``.csv``, ``.parquet`` or ``.pq``; missing folders are made.

    Raises:
        ValueError: another suffix, no chunk, or a chunk whose columns or types do not fit the first one's.

    Example:
        >>> import pandas as pd, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "scores.parquet"
        >>> write_table([pd.DataFrame({"score": [0.5, 0.25]}), pd.DataFrame({"score": [1.0]})], file)
        3
        >>> read_table(file)["score"].tolist()
        [0.5, 0.25, 1.0]
    """
    file = Path(path)
    suffix_of(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        rows = _write(iter(chunks), part, suffix_of(file))
        part.replace(file)
    except require("pyarrow", extra="train").ArrowException as error:
        raise ValueError(f"Cannot write {file}: {_first_line(error)}.") from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def _write(chunks: Iterator[pd.DataFrame | pa.Table], part: Path, suffix: str) -> int:
    arrow = require("pyarrow", extra="train")
    tables = (
        chunk if isinstance(chunk, arrow.Table) else arrow.Table.from_pandas(chunk, preserve_index=False)
        for chunk in chunks
    )
    first = next(tables, None)
    if first is None:
        raise ValueError("There are no rows to write.")
    rows = 0
    with _writer(part, first.schema, suffix) as writer:
        for table in chain([first], tables):
            writer.write_table(table.cast(first.schema))
            rows += table.num_rows
    return rows


def _writer(part: Path, schema: Any, suffix: str) -> Any:
    if suffix == ".csv":
        return require("pyarrow.csv", extra="train").CSVWriter(part, schema)
    return require("pyarrow.parquet", extra="train").ParquetWriter(part, schema, compression="zstd")


def _csv_reader(
    file: Path,
    types: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    block_size: int | None = None,
) -> Any:
    csv = require("pyarrow.csv", extra="train")
    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(block_size=block_size),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True, include_columns=columns),
    )


def to_pandas(table: Any) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame; decimals become float64, dates datetime64."""
    arrow = require("pyarrow", extra="train")
    fields = [f.with_type(arrow.float64()) if arrow.types.is_decimal(f.type) else f for f in table.schema]
    return table.cast(arrow.schema(fields, table.schema.metadata)).to_pandas(date_as_object=False)


def _present(columns: Sequence[str] | None, names: Sequence[str]) -> list[str] | None:
    return None if columns is None else [name for name in names if name in columns]


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (require("pyarrow", extra="train").ArrowException, OSError, UnicodeDecodeError) as error:
        column = re.search(r"CSV column #(\d+)", str(error))
        where = f" (column {_csv_reader(file).schema.names[int(column[1])]!r})" if column else ""
        kind = "a UTF-8 CSV" if suffix_of(file) == ".csv" else "a Parquet"
        raise ValueError(
            f"Cannot read {file}{where}: {_first_line(error)}. Is it complete, and {kind} file?"
        ) from error


def _first_line(error: Exception) -> str:
    line = "".join(character if character.isprintable() else " " for character in str(error).partition("\n")[0])
    return line[:300].rstrip(". ")


def _existing(path: str | Path) -> Path:
    file = Path(path)
    suffix_of(file)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    if file.stat().st_size == 0:
        raise ValueError(f"{file} is empty.")
    return file


def suffix_of(file: Path) -> str:
    """Return the suffix of a table's file, in lower case, or raise for one that is no table."""
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"A table must end in one of {', '.join(SUFFIXES)}, got {file.name!r}.")
    return file.suffix.lower()


def _check_columns(file: Path, schema: Any) -> None:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise ValueError(f"{file} has two columns named {twice[0]!r}. Rename one of them.")
    for field in schema:
        if suffix_of(file) == ".csv" and require("pyarrow.types", extra="train").is_binary(field.type):
            raise ValueError(f"Column {field.name!r} of {file} is not UTF-8 text. Save the file as UTF-8.")
