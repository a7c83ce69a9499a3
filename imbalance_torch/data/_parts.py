"""The files of one table, put together: one set of columns and types, in the order of their paths."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imbalance_torch._checks import require
from imbalance_torch.data._files import Types, first_line, fitted, read_batches, read_file, read_schema, reading
from imbalance_torch.data._sources import check_names, files_of, format_of, partitions_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def read_files(source: str | Path, types: Types) -> pa.Table:
    """Read all files behind a path into one Arrow table."""
    arrow = require("pyarrow", extra="train")
    files, partitions = _located(source)
    tables = [
        with_constants(read_file(file, _csv_types(file, types)), constants)
        for file, constants in zip(files, partitions, strict=True)
    ]
    schema = common(files, [table.schema for table in tables])
    shared = dict(zip(schema.names, schema.types, strict=True))
    for number, (file, constants) in enumerate(zip(files, partitions, strict=True)):
        table, text = tables[number], {name for name, kind in shared.items() if arrow.types.is_string(kind)}
        if format_of(file) == "CSV" and any(arrow.types.is_null(table.schema.field(name).type) for name in text):
            exact = {field.name: shared[field.name] if field.name in text else field.type for field in table.schema}
            table = with_constants(read_file(file, exact), constants)  # a column of NA alone, which is text elsewhere
        tables[number] = fitted(table, shared, file).select(schema.names).cast(schema)
    whole = arrow.concat_tables(tables)
    if whole.num_rows == 0:
        raise ValueError(f"{source} has a header but no rows.")
    return _forced(whole, types, str(source))


def iterate_files(
    source: str | Path, types: Types, columns: Sequence[str] | None, chunk_rows: int
) -> Iterator[pd.DataFrame]:
    """Read the files behind a path chunk by chunk; all of them are looked into before the first chunk."""
    arrow = require("pyarrow", extra="train")
    files, partitions = _located(source)
    forced = [_csv_types(file, types) for file in files]
    schemas = [read_schema(file, own) for file, own in zip(files, forced, strict=True)]
    schema = common(
        files, [with_constants(s.empty_table(), own).schema for s, own in zip(schemas, partitions, strict=True)]
    )
    names = present(columns, schema.names)
    wanted = arrow.schema([schema.field(name) for name in names], schema.metadata)
    shared = dict(zip(wanted.names, wanted.types, strict=True))
    rows = 0
    for file, own, inferred, constants in zip(files, forced, schemas, partitions, strict=True):
        # Integers are read as such: as float64 those above 2**53 would be rounded in silence.
        exact = dict(own) | {
            f.name: f.type if arrow.types.is_integer(f.type) else shared.get(f.name, f.type) for f in inferred
        }
        with reading(file):
            for batch in read_batches(file, exact, present(columns, inferred.names), chunk_rows):
                rows += batch.num_rows
                for start in range(0, batch.num_rows, chunk_rows):
                    table = arrow.Table.from_batches([batch.slice(start, chunk_rows)])
                    table = fitted(with_constants(table, constants), shared, file).select(names).cast(wanted)
                    yield to_pandas(_forced(table, types, str(file))).reset_index(drop=True)
    if rows == 0:
        raise ValueError(f"{source} has a header but no rows.")


def _located(source: str | Path) -> tuple[list[Path], list[dict[str, pa.Scalar[Any]]]]:
    files = files_of(source)
    with reading(files[0]):
        return files, partitions_of(source, files)


def _csv_types(file: Path, types: Types) -> Types:
    """Give the datetimes that a CSV spells with a zone that zone."""
    arrow = require("pyarrow", extra="train")
    datetimes = [name for name, kind in types.items() if kind == arrow.timestamp("ns")]
    if not datetimes or format_of(file) != "CSV":
        return types
    plain = {name: kind for name, kind in types.items() if name not in datetimes}
    zones = {field.name: getattr(field.type, "tz", None) for field in read_schema(file, plain)}
    return {**types, **{name: arrow.timestamp("ns", zones.get(name)) for name in datetimes}}


def common(files: Sequence[Path], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the schema that holds the values of all files, or raise for columns that differ."""
    merged = schemas[0]
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        if lacking := sorted({*merged.names} ^ {*schema.names}):
            has, lacks = (files[0], file) if lacking[0] in merged.names else (file, files[0])
            raise ValueError(
                f"{lacks} has no column {lacking[0]!r}, which {has} has. The files of one table have the same columns: "
                "add it, or read the files that have it by a pattern."
            )
        if not schema.equals(merged):
            merged = _unified(files[0], merged, file, schema)
    return merged


def _unified(first: Path, merged: pa.Schema, file: Path, schema: pa.Schema) -> pa.Schema:
    arrow = require("pyarrow", extra="train")
    for name in merged.names:
        pair = [arrow.schema([part.field(name)]) for part in (merged, schema)]
        one, other = (part.field(0).type for part in pair)
        try:
            field = arrow.unify_schemas(pair, promote_options="permissive").field(0)
        except arrow.ArrowException as error:
            temporal = all(arrow.types.is_date(kind) or arrow.types.is_timestamp(kind) for kind in (one, other))
            role = "datetime, which reads both" if temporal else "categorical, which reads text"
            hint = f"Write it with one type; of a CSV, give it a role, such as --role {name}={role}."
            if temporal and getattr(one, "tz", None) != getattr(other, "tz", None):
                hint = "Write it with one time zone in all files, or without one in all."
            raise ValueError(f"Column {name!r} is {one} in {first} but {other} in {file}. {hint}") from error
        if field.type != merged.field(name).type:
            merged = _as_read(merged.set(merged.get_field_index(name), field), name)
    return merged


def with_constants(table: pa.Table, constants: Mapping[str, pa.Scalar[Any]]) -> pa.Table:
    """Append the columns that the folders of a file stand for, but those that the file has itself."""
    for name, value in constants.items():
        if name not in table.column_names:
            column = require("pyarrow", extra="train").repeat(value, table.num_rows)
            table = table.append_column(name, column)
    return table


def checked(table: pa.Table, types: Types) -> pa.Table:
    """Check the names of a table in memory, and cast its columns to the types asked for."""
    check_names(table.column_names, "The table")
    return _forced(table, types, "the table")


def _forced(table: pa.Table, types: Types, where: str) -> pa.Table:
    """Cast text to the type asked for, and numbers to text where that is asked for."""
    arrow = require("pyarrow", extra="train")
    for position, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        kind, old = types.get(name), column.type
        to_text = kind == arrow.string()
        number = arrow.types.is_integer(old) or arrow.types.is_floating(old) or arrow.types.is_decimal(old)
        if kind is None or not (number if to_text else arrow.types.is_string(old) or arrow.types.is_large_string(old)):
            continue
        try:
            table = table.set_column(position, name, column.cast(kind))
        except arrow.ArrowException as error:
            raise ValueError(
                f"Column {name!r} of {where} cannot be read as {kind}: {first_line(error)}. Correct the value, or give "
                "the column another role."
            ) from error
        table = table.replace_schema_metadata(_as_read(table.schema, name).metadata)
    return table


def _as_read(schema: pa.Schema, name: str) -> pa.Schema:
    """Forget the type that pandas had for a column, which is another one now."""
    stored = schema.pandas_metadata
    if stored is None:
        return schema
    stored["columns"] = [column for column in stored["columns"] if column.get("field_name") != name]
    return schema.with_metadata({**schema.metadata, b"pandas": json.dumps(stored).encode()})


def present(columns: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """Return those of ``names`` that are asked for, all of them by default."""
    wanted = None if columns is None else {*columns}
    return [name for name in names if wanted is None or name in wanted]


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame; decimals become float64, dates datetime64, no integer is rounded."""
    arrow, pandas = require("pyarrow", extra="train"), require("pandas", extra="train")
    fields = [f.with_type(arrow.float64()) if arrow.types.is_decimal(f.type) else f for f in table.schema]
    plain = table.cast(arrow.schema(fields, table.schema.metadata)).unify_dictionaries()
    frame = plain.to_pandas(date_as_object=False)
    nullable = {arrow.int64(): pandas.Int64Dtype(), arrow.uint64(): pandas.UInt64Dtype()}
    for name, column in zip(plain.column_names, plain.columns, strict=True):
        if name in frame and column.type in nullable and column.null_count and not _fits_float(column):
            frame[name] = column.to_pandas(types_mapper=nullable.get).array
    return frame


def _fits_float(column: pa.ChunkedArray) -> bool:
    try:
        column.cast("float64")
    except require("pyarrow", extra="train").ArrowInvalid:
        return False
    return True
