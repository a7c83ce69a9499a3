"""The results of a comparison on disk: a small file per fit while it runs, one Parquet file in the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from imbalance_torch.training import TabularModel
from imbalance_torch.training._run import write_json

KEY = ["technique", "budget", "repeat"]
PROTOCOL_FILE = "comparison.json"
_FILE, _PARTS, _MODELS, _LOCK = "results.parquet", "fits", "models", ".lock"
_MAY_CHANGE = ("techniques", "repeats", "test to train", "metric", "facts", "versions")


class Results:
    """The rows of a comparison in a directory; what is there already is not computed again.

    Args:
        directory: created if need be.
        protocol: what the rows have in common, ready for JSON. What is asked of them may differ from an earlier call's
            ("techniques", "repeats", "metric" and what follows from them), the rest may not.
        definitions: what each technique is, as text; one that an earlier call had is the same as then.

    Raises:
        FileExistsError: the path is a file, or a directory that holds something else.
        BlockingIOError: another process works there.
        ValueError: it holds a comparison of other data or with other settings, or is damaged.
    """

    def __init__(self, directory: Path, protocol: Mapping[str, Any], definitions: Mapping[str, str]) -> None:
        self.directory = directory
        if directory.exists() and not directory.is_dir():
            raise FileExistsError(f"{directory} is a file. Choose another output directory.")
        file = directory / PROTOCOL_FILE
        if not file.is_file() and directory.is_dir() and {*os.listdir(directory)} - {_LOCK}:
            raise FileExistsError(f"{directory} is not empty and holds no comparison. Choose another directory.")
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(directory / _LOCK, timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise BlockingIOError(f"Another process works in {directory}. Wait for it, or choose another.") from error
        try:
            self._open(file, json.loads(json.dumps(protocol)), definitions)
        except BaseException:
            self.close()
            raise

    def _open(self, file: Path, record: dict[str, Any], definitions: Mapping[str, str]) -> None:
        earlier = read_protocol(self.directory) if file.is_file() else {**record, "definitions": {}}
        then, now = _fixed(earlier), _fixed(record | {"definitions": definitions})
        changed = [name for name in now if name in then and then[name] != now[name]]
        if changed:
            raise ValueError(
                f"{self.directory} holds a comparison with another {changed[0]!r}: {then[changed[0]]!r}, now "
                f"{now[changed[0]]!r}. Choose another directory."
            )
        record["versions"] = {name: _joined(earlier["versions"].get(name), v) for name, v in record["versions"].items()}
        write_json(file, {**record, "definitions": {**earlier["definitions"], **definitions}})
        rows = read_rows(self.directory)
        self._done = set() if rows.empty else set(rows[KEY].itertuples(index=False, name=None))

    def close(self) -> None:
        """Let other processes work in the directory."""
        self._lock.release()

    def __contains__(self, key: tuple[str, int, int]) -> bool:
        return key in self._done

    def model_directory(self, technique: str, budget: int) -> Path:
        """Return where the model of the first repeat of a technique lies."""
        return self.directory / _MODELS / f"{slug(technique)}-{budget}"

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one fit's row; it is there whole or not at all."""
        technique, budget, repeat = key = tuple(row[name] for name in KEY)
        (self.directory / _PARTS).mkdir(exist_ok=True)
        _write(pd.DataFrame([dict(row)]), self.directory / _PARTS / f"{slug(technique)}-{budget}-{repeat}.parquet")
        self._done.add(key)

    def finish(self) -> pd.DataFrame:
        """Write all rows as one file, remove the small ones, and return the rows."""
        rows = read_rows(self.directory)
        _write(rows, self.directory / _FILE)
        shutil.rmtree(self.directory / _PARTS, ignore_errors=True)
        return rows


def read_protocol(directory: Path) -> dict[str, Any]:
    """Return what the rows of a comparison have in common."""
    file = directory / PROTOCOL_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{directory} holds no comparison: {PROTOCOL_FILE} is missing.")
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        missing = {"techniques", "repeats", "target", "settings", "versions", "definitions"} - {*record}
    except (TypeError, ValueError) as error:
        missing = {str(error)}
    if missing:
        raise ValueError(f"{file} is damaged ({', '.join(missing)}). Choose another directory and compare again.")
    return record


def read_rows(directory: Path) -> pd.DataFrame:
    """Return the rows that are there, a row per fit, those of an unfinished comparison included."""
    files = [directory / _FILE, *sorted((directory / _PARTS).glob("[!.]*.parquet"))]
    tables = []
    for file in filter(Path.is_file, files):
        try:
            tables.append(pq.read_table(file))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{file} is damaged ({error}). Delete it; the same command computes it again.") from error
    if not tables:
        return pd.DataFrame()
    rows = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return rows.drop_duplicates(KEY).sort_values(KEY, ignore_index=True)


def is_complete(rows: pd.DataFrame, protocol: Mapping[str, Any]) -> bool:
    """Return whether there is a row for every technique, budget and repeat."""
    found = set() if rows.empty else set(rows[KEY].itertuples(index=False, name=None))
    counts = {int(budget): count for budget, count in protocol["repeats"].items()}
    wanted = {(name, budget, i) for name in protocol["techniques"] for budget, n in counts.items() for i in range(n)}
    return wanted <= found


def read_models(directory: Path, budget: int) -> dict[str, TabularModel]:
    """Return the models of the first repeat at a budget, by technique."""
    names = read_protocol(directory)["techniques"]
    folders = {name: directory / _MODELS / f"{slug(name)}-{budget}" for name in names}
    models = {}
    for name, folder in folders.items():
        try:
            if folder.is_dir():
                models[name] = TabularModel.load(folder)
        except (OSError, ValueError) as error:
            raise ValueError(f"{error} Or delete {folder}: the comparison does without.") from error
    return models


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
    """Return a technique's name as the name of a file, different for different names."""
    return quote(technique, safe="+=").replace(".", "%2E")


def _fixed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may not change, by name, the entries of a record one by one."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if name not in _MAY_CHANGE:
            found |= {f"{name}: {key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _joined(then: str | None, now: str) -> str:
    return now if then in (None, now) else then if now in str(then) else f"{then}, {now}"


def _write(rows: pd.DataFrame, file: Path) -> None:
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), part)
    part.replace(file)
