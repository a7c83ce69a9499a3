"""One door to tables: files of any kind and objects of other libraries, whole or in chunks; writing is atomic."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from imbalance_torch._checks import check_int, require
from imbalance_torch.data._files import Types, first_line, reading
from imbalance_torch.data._parts import checked, iterate_files, present, read_files, to_pandas
from imbalance_torch.data._sources import Source, format_of, loaded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".pq")


def read_table(
    source: Source,
    *,
    numbers: Sequence[str] = (),
    text: Sequence[str] = (),
    booleans: Sequence[str] = (),
    datetimes: Sequence[str] = (),
) -> pd.DataFrame:
    r"""Read a table of any kind into a DataFrame.

    Paths: a file ``.csv`` (UTF-8, comma separated, a header; also ``.csv.gz``, ``.bz2``, ``.zst``), ``.parquet``,
    ``.pq``, ``.arrow``, ``.feather``, ``.ipc``, ``.npy`` or ``.npz``; a directory of CSV, Parquet or Arrow files, with
    those of its subdirectories, whose names ``key=value`` become columns, of integers unless a value such as 007 is
    not written as one; or a pattern: ``cards/2024*``.
    Objects: a 2-D or structured NumPy array, a dict of columns, a DataFrame of pandas or polars, an Arrow table or
    anything else that exports an Arrow stream, or a Hugging Face ``datasets.Dataset``.

    The types of a CSV are inferred from all of its rows. An empty field is a missing value, and so is the empty line
    of a file with one column, but above its header. In columns of numbers, booleans and datetimes NA, N/A, NaN, NULL,
    null and the like are missing as well; in a column of text they are text, since NA may be Namibia. A column of
    nothing else has no type, and is missing unless it is named in ``text``. Decimals become float64, dates
    datetime64, integers with gaps float64, or nullable where that would round them: above 2**53. A 2-D array has the
    columns x0, x1, ...; an array ``X`` of a dict or ``.npz`` X0, X1, ...

    Args:
        source: the path or object.
        numbers: columns of text that are read as float64.
        text: columns of a CSV that are read as text, so that ``007`` stays; numbers elsewhere that become text.
        booleans: columns of text, or of 0 and 1 in a CSV, that are read as true or false.
        datetimes: columns of text (ISO 8601) that are read as datetimes.

    Returns:
        The rows in the order of the source, of several files sorted by path. A DataFrame comes back as it is.

    Raises:
        FileNotFoundError: no such file, a directory without a table, or a pattern without a match.
        TypeError: an object that is no table.
        ValueError: another suffix, an unreadable or empty file, no rows, text that is not UTF-8, a column name that
            occurs twice, files whose columns differ, a value that is not of the type asked for, or one that the type
            of the other files does not hold: an integer above 2**53 where theirs is float64.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cards.csv"
        >>> _ = file.write_text("amount,card\n1.5,007\n,008\n")
        >>> read_table(file, text=["card"])
           amount card
        0     1.5  007
        1     NaN  008
    """
    types = _types(numbers, text, booleans, datetimes)
    if not _is_files(source):
        table = loaded(source)
        if len(table) == 0:
            raise ValueError("The table has no rows.")
        return table if hasattr(table, "iloc") else to_pandas(checked(table, types))
    table = read_files(source, types)
    with reading(Path(source)):
        return to_pandas(table).reset_index(drop=True)


def read_arrow(source: Source) -> pa.Table:
    """Read a table as :func:`read_table` does, into the Arrow table that keeps every type and missing value."""
    if _is_files(source):
        return read_files(source, {})
    table = loaded(source)
    if hasattr(table, "iloc"):
        table = require("pyarrow", extra="train").Table.from_pandas(table, preserve_index=False)
    if table.num_rows == 0:
        raise ValueError("The table has no rows.")
    return checked(table, {})


def iterate_table(
    source: Source,
    *,
    numbers: Sequence[str] = (),
    text: Sequence[str] = (),
    booleans: Sequence[str] = (),
    datetimes: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    chunk_rows: int = 65_536,
) -> Iterator[pd.DataFrame]:
    r"""Read a table chunk by chunk: CSV, Parquet and Arrow files, directories and patterns in constant memory.

    The type of a CSV column that is named nowhere is inferred from the first megabyte of each file; a later value
    that is not of this type, such as 1.5 among integers, is an error. Missing values are those of :func:`read_table`.

    Args:
        source: as for :func:`read_table`; files one after the other, sorted by path.
        numbers: columns of a CSV that are read as float64, whatever the first rows look like.
        text: columns that are read as text.
        booleans: columns of a CSV that are read as true or false.
        datetimes: columns of a CSV that are read as datetimes.
        columns: columns to read, those that the table has; all by default.
        chunk_rows: rows in a chunk at most.

    Yields:
        The next rows, numbered from 0 in each chunk.

    Raises:
        FileNotFoundError, TypeError, ValueError: as :func:`read_table`, at the chunk where the fault lies.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cards.csv"
        >>> _ = file.write_text("amount,card\n1,007\n2,008\n3,009\n")
        >>> [chunk["card"].tolist() for chunk in iterate_table(file, text=["card"], chunk_rows=2)]
        [['007', '008'], ['009']]
    """
    check_int("chunk_rows", chunk_rows, minimum=1)
    types = _types(numbers, text, booleans, datetimes)
    if _is_files(source):
        yield from iterate_files(source, types, columns, chunk_rows)
        return
    table = loaded(source)
    if len(table) == 0:
        raise ValueError("The table has no rows.")
    names = present(columns, [*table.columns] if hasattr(table, "iloc") else table.column_names)
    for start in range(0, len(table), chunk_rows):
        if hasattr(table, "iloc"):
            yield table.iloc[start : start + chunk_rows][names].reset_index(drop=True)
        else:
            yield to_pandas(checked(table.slice(start, chunk_rows), types).select(names)).reset_index(drop=True)


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
        raise ValueError(f"Cannot write {file}: {first_line(error)}.") from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def suffix_of(file: Path) -> str:
    """Return the suffix of a table to write, in lower case, or raise for one that is no table."""
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"A table must end in one of {', '.join(SUFFIXES)}, got {file.name!r}.")
    return file.suffix.lower()


def _is_files(source: Source) -> TypeGuard[str | Path]:
    return isinstance(source, str | Path) and format_of(Path(source)) != "NumPy"


def _types(numbers: Sequence[str], text: Sequence[str], booleans: Sequence[str], datetimes: Sequence[str]) -> Types:
    arrow = require("pyarrow", extra="train")
    for names in (numbers, text, booleans, datetimes):
        if isinstance(names, str):
            raise TypeError(f"Columns are named in a list, got {names!r}. Write [{names!r}].")
    types = dict.fromkeys(numbers, arrow.float64()) | dict.fromkeys(text, arrow.string())
    return types | dict.fromkeys(booleans, arrow.bool_()) | dict.fromkeys(datetimes, arrow.timestamp("ns"))


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
