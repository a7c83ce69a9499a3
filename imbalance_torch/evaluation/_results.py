"""The results of a comparison on disk: a small file per fit while it runs, one Parquet file in the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imbalance_torch.training import TabularModel
from imbalance_torch.training._run import write_json

KEY = ["technique", "budget", "repeat"]
PROTOCOL_FILE = "comparison.json"
_FILE, _PARTS, _MODELS = "results.parquet", "fits", "models"
_MAY_GROW = ("techniques", "repeats", "test to train", "metric", "versions")


class Results:
    """The rows of a comparison in a directory; what is there already is not computed again.

    Args:
        directory: created if need be.
        protocol: what the rows have in common, ready for JSON. "techniques", "repeats", "metric",
            "test to train" and "versions" may differ from an earlier call's, the rest may not.
        definitions: what each technique is, as text; one that an earlier call had is the same as then.

    Raises:
        FileExistsError: the path is a file, or a directory that holds something else.
        ValueError: it holds a comparison of other data or with other settings.
    """

    def __init__(self, directory: Path, protocol: Mapping[str, Any], definitions: Mapping[str, str]) -> None:
        self.directory = directory
        if directory.exists() and not directory.is_dir():
            raise FileExistsError(f"{directory} is a file. Choose another output directory.")
        file = directory / PROTOCOL_FILE
        if not file.is_file() and directory.is_dir() and any(directory.iterdir()):
            raise FileExistsError(f"{directory} is not empty and holds no comparison. Choose another directory.")
        record = json.loads(json.dumps(protocol))
        earlier = read_protocol(directory) if file.is_file() else {**record, "definitions": {}}
        known = earlier["definitions"]
        pairs = {name: (earlier.get(name), value) for name, value in record.items() if name not in _MAY_GROW}
        pairs |= {name: (known.get(name, text), text) for name, text in definitions.items()}
        for name, (then, now) in pairs.items():
            if then != now:
                raise ValueError(
                    f"{directory} holds a comparison with another {name!r}: {then}; now {now}. "
                    "Choose another directory."
                )
        (directory / _PARTS).mkdir(parents=True, exist_ok=True)
        write_json(file, {**record, "definitions": {**known, **definitions}})
        rows = read_rows(directory)
        self._done = set() if rows.empty else set(rows[KEY].itertuples(index=False, name=None))

    def __contains__(self, key: tuple[str, int, int]) -> bool:
        return key in self._done

    def model_directory(self, technique: str, budget: int) -> Path:
        """Return where the model of the first repeat of a technique lies."""
        return self.directory / _MODELS / f"{slug(technique)}-{budget}"

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one fit's row; it is there whole or not at all."""
        technique, budget, repeat = key = tuple(row[name] for name in KEY)
        _write(pd.DataFrame([dict(row)]), self.directory / _PARTS / f"{slug(technique)}-{budget}-{repeat}.parquet")
        self._done.add(key)

    def finish(self) -> pd.DataFrame:
        """Write all rows as one file, remove the small ones, and return the rows."""
        rows = read_rows(self.directory)
        _write(rows, self.directory / _FILE)
        shutil.rmtree(self.directory / _PARTS)
        return rows


def read_protocol(directory: Path) -> dict[str, Any]:
    """Return what the rows of a comparison have in common."""
    file = directory / PROTOCOL_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{directory} holds no comparison: {PROTOCOL_FILE} is missing.")
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}). Choose another directory and compare again.") from error
    return record


def read_rows(directory: Path) -> pd.DataFrame:
    """Return the rows that are there, a row per fit, those of an unfinished comparison included."""
    files = [directory / _FILE, *sorted((directory / _PARTS).glob("[!.]*.parquet"))]
    tables = []
    for file in filter(Path.is_file, files):
        try:
            tables.append(pq.read_table(file))
        except pa.ArrowInvalid as error:
            raise ValueError(f"{file} is damaged ({error}). Delete it; the same command computes it again.") from error
    if not tables:
        return pd.DataFrame()
    rows = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return rows.drop_duplicates(KEY).sort_values(KEY, ignore_index=True)


def read_models(directory: Path, budget: int) -> dict[str, TabularModel]:
    """Return the models of the first repeat at a budget, by technique."""
    names = read_protocol(directory)["techniques"]
    folders = {name: directory / _MODELS / f"{slug(name)}-{budget}" for name in names}
    return {name: TabularModel.load(folder) for name, folder in folders.items() if folder.is_dir()}


def content_hash(frame: pd.DataFrame) -> str:
    """Return the sha256 of the names, types and values of a table."""
    nested = [
        name for name, kind in frame.dtypes.items() if kind == np.dtype(object) and frame[name].map(_is_nested).any()
    ]
    values = pd.util.hash_pandas_object(frame.astype(dict.fromkeys(nested, str)), index=False).to_numpy()
    return hashlib.sha256(f"{frame.dtypes.to_dict()}".encode() + values.tobytes()).hexdigest()


def _is_nested(value: object) -> bool:
    return isinstance(value, list | dict | set | np.ndarray)


def slug(technique: str) -> str:
    """Return a technique's name as the name of a file."""
    return technique.translate(str.maketrans(":/\\", "=__"))


def _write(rows: pd.DataFrame, file: Path) -> None:
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), part)
    part.replace(file)
