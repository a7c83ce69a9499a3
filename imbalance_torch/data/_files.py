"""One CSV, Parquet or Arrow file: its columns, all of its rows, or batch after batch; faults name file and column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imbalance_torch._checks import require
from imbalance_torch.data._sources import check_names, format_of

if TYPE_CHECKING:
    import pyarrow as pa

Types = Mapping[str, Any]
_Table = TypeVar("_Table", bound="pa.Table | pa.RecordBatch")


def read_schema(file: Path, types: Types) -> pa.Schema:
    """Return names and types of the columns; those of a CSV by its first megabyte."""
    with reading(file):
        if format_of(file) == "CSV":
            schema = _csv_reader(file, types).schema
        elif format_of(file) == "Parquet":
            schema = require("pyarrow.parquet", extra="train").ParquetFile(file).schema_arrow
        else:
            with _ipc(file) as reader:
                schema = reader.schema
        _check(file, schema)
        return schema


def read_file(file: Path, types: Types) -> pa.Table:
    """Read one file whole; the types of a CSV are inferred from all of its rows."""
    with reading(file):
        if format_of(file) == "CSV":
            table = _whole_csv(file, types)
        elif format_of(file) == "Parquet":
            table = require("pyarrow.parquet", extra="train").ParquetFile(file).read()
        else:
            with _ipc(file) as reader:
                table = reader.read_all()
        _check(file, table.schema)
        return _without_empty(table) if format_of(file) == "CSV" else table


def read_batches(file: Path, types: Types, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Read one file batch by batch, in its order: columns that it has, ``rows`` of a Parquet file at once."""
    if format_of(file) == "CSV":
        reader = _csv_reader(file, types, columns)
        _check(file, reader.schema)
        yield from map(_without_empty, reader)
    elif format_of(file) == "Parquet":
        source = require("pyarrow.parquet", extra="train").ParquetFile(file)
        yield from source.iter_batches(rows, columns=columns)
    else:
        with _ipc(file) as reader:
            batches = (
                map(reader.get_batch, range(reader.num_record_batches))
                if hasattr(reader, "num_record_batches")
                else reader
            )
            yield from (batch.select(columns) for batch in batches)


def fitted(table: pa.Table, types: Types, file: Path) -> pa.Table:
    """Cast the columns of a file to the types that all files share, or name the one whose values do not fit."""
    for position, field in enumerate(table.schema):
        kind = types.get(field.name, field.type)
        if kind == field.type:
            continue
        try:
            column = table.column(position).cast(kind)
        except require("pyarrow", extra="train").ArrowException as error:
            raise ValueError(
                f"Column {field.name!r} of {file} does not fit {kind}, which holds the values of the other files: "
                f"{first_line(error)}. Write it with one type in all files, integers above 2**53 as text; of a CSV, "
                "name it in `text` or `numbers`."
            ) from error
        table = table.set_column(position, field.with_type(kind), column)
    return table


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn what pyarrow says of a file into one line that names file, column and fix."""
    try:
        yield
    except (require("pyarrow", extra="train").ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        _, names = _header(file) if format_of(file) == "CSV" else (0, [])
        _check_separator(file, names)
        if names and "Empty CSV" in str(error):
            raise ValueError(f"{file} has a header but no rows.") from error
        column = re.search(r"CSV column #(\d+)", str(error))
        where = f" (column {names[int(column[1])]!r})" if column and int(column[1]) < len(names) else ""
        kind = {"CSV": "a UTF-8 CSV", "Parquet": "a Parquet", "Arrow": "an Arrow"}.get(format_of(file) or "", "every")
        hint = f"Is it complete, and {kind} file?"
        if "CSV conversion error" in str(error):
            hint = (
                "Correct the value, or name the column in `numbers` or `text` (role numeric or categorical): the type "
                "of a column that is named nowhere is that of the first megabyte."
            )
        raise ValueError(f"Cannot read {file}{where}: {first_line(error)}. {hint}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error, printable and short."""
    line = "".join(character if character.isprintable() else " " for character in str(error).partition("\n")[0])
    return line[:300].rstrip(". ")


def _csv_reader(
    file: Path, types: Types, columns: Sequence[str] | None = None, *, data: Any = None, block_size: int = 1 << 20
) -> Any:
    arrow_csv = require("pyarrow.csv", extra="train")
    empty_lines, names = _header(file)
    one_column = len(names) == 1  # of which an empty line is a row
    return arrow_csv.open_csv(
        file if data is None else data,
        read_options=arrow_csv.ReadOptions(block_size=block_size, skip_rows=empty_lines if one_column else 0),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not one_column),
        convert_options=arrow_csv.ConvertOptions(column_types=dict(types), include_columns=columns),
    )


def _whole_csv(file: Path, types: Types) -> pa.Table:
    arrow = require("pyarrow", extra="train")
    packed = file.suffix.lower() != ".csv"
    data: Any = arrow.BufferReader(arrow.input_stream(str(file)).read()) if packed else file
    size = data.size() if packed else file.stat().st_size
    # One block holds the whole file, so that a type is inferred from every row.
    return _csv_reader(file, types, data=data, block_size=min(max(size, 1 << 20), (1 << 31) - 1)).read_all()


def _without_empty(table: _Table) -> _Table:
    """Make empty text missing; NA, null and the like, which are missing numbers, may be categories."""
    types, compute = require("pyarrow.types", extra="train"), require("pyarrow.compute", extra="train")
    columns = [
        compute.if_else(compute.equal(column, ""), None, column) if types.is_string(column.type) else column
        for column in table.columns
    ]
    filled: _Table = type(table).from_arrays(columns, schema=table.schema)
    return filled


def _header(file: Path) -> tuple[int, list[str]]:
    """Return the number of empty lines above the names, and the names, whatever the lines below look like."""
    arrow = require("pyarrow", extra="train")
    try:
        start = io.BytesIO(arrow.input_stream(str(file)).read(1 << 20))
        lines = csv.reader(io.TextIOWrapper(start, "utf-8-sig", errors="replace", newline=""))
        return next(((number, names) for number, names in enumerate(lines) if names), (0, []))
    except (arrow.ArrowException, OSError, EOFError, csv.Error):
        return 0, []


@contextmanager
def _ipc(file: Path) -> Iterator[Any]:
    arrow, ipc = require("pyarrow", extra="train"), require("pyarrow.ipc", extra="train")
    with arrow.OSFile(str(file)) as source:
        try:
            reader = ipc.open_file(source)
        except arrow.ArrowInvalid:  # the format of streams, which has no footer
            source.seek(0)
            reader = ipc.open_stream(source)
        yield reader


def _check(file: Path, schema: Any) -> None:
    check_names(schema.names, str(file))
    if format_of(file) != "CSV":
        return
    _check_separator(file, schema.names)
    for field in schema:
        if require("pyarrow.types", extra="train").is_binary(field.type):
            raise ValueError(f"Column {field.name!r} of {file} is not UTF-8 text. Save the file as UTF-8.")


def _check_separator(file: Path, names: Sequence[str]) -> None:
    for separator in ";\t|" if len(names) == 1 else "":
        if separator in names[0]:
            raise ValueError(
                f"{file} has one column, {names[0]!r}: its fields are separated by {separator!r}. Write it with "
                f"commas: pandas.read_csv(FILE, sep={separator!r}).to_csv(NEW, index=False); with decimal commas also "
                "decimal=','."
            )
