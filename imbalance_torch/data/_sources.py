"""What a table is read from: the files behind a path, or an object of NumPy, pandas, Arrow and their kin."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from torch import Tensor

from imbalance_torch._checks import require

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FORMATS = {
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
    ".npy": "NumPy",
    ".npz": "NumPy",
}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
Source: TypeAlias = "str | Path | np.ndarray[Any, Any] | Mapping[str, Any] | Any"


def format_of(file: Path) -> str | None:
    """Return "CSV" (compressed or not), "Parquet", "Arrow" or "NumPy" by the suffix; None for any other file."""
    suffixes = [suffix.lower() for suffix in file.suffixes[-2:]]
    if suffixes[-1:] and suffixes[-1] in _COMPRESSED:
        return "CSV" if suffixes[:-1] == [".csv"] else None
    return FORMATS.get(suffixes[-1]) if suffixes else None


def files_of(source: str | Path) -> list[Path]:
    """Return the files of one table, of one format and sorted by path.

    Args:
        source: a file; a directory, read with all that is below it but names that begin with ``.`` or ``_``; or a
            pattern with ``*``, ``?``, ``[...]`` or ``**``.

    Raises:
        FileNotFoundError: no such file, an empty directory or a pattern without a match.
        ValueError: a file that is no table or is empty, or files of several formats.
    """
    path = Path(source).expanduser()
    if path.is_file() or not (path.is_dir() or glob.has_magic(str(path))):
        files = [path]
        if format_of(path) is None:
            raise ValueError(f"A table must end in one of {', '.join(FORMATS)} or .csv.gz, got {path.name!r}.")
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}.")
    else:
        matches = [path] if path.is_dir() else [Path(match) for match in glob.glob(str(path), recursive=True)]
        found = {file for match in matches for file in (_inside(match) if match.is_dir() else [match])}
        files = sorted(file for file in found if format_of(file) not in (None, "NumPy"))
    if not files:
        what = f"{path} holds no table:" if path.is_dir() else f"Nothing matches {path}:"
        raise FileNotFoundError(f"{what} there is no file that ends in {', '.join(list(FORMATS)[:-2])} or .csv.gz.")
    formats = {format_of(file): file.name for file in files}
    if len(formats) > 1:
        raise ValueError(
            f"{path} mixes {' and '.join(map(str, formats))} files ({', '.join(formats.values())}). Name those of one "
            f"kind by a pattern such as {(path if path.is_dir() else path.parent) / f'*{files[0].suffix}'}."
        )
    for file in files:
        if file.stat().st_size == 0:
            raise ValueError(f"{file} is empty.")
    return files


def fingerprint(source: str | Path) -> str:
    """Return the sha256 of a file; of several files, that of their paths below the common folder and their sha256."""
    files, digests = files_of(source), []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    if Path(source).expanduser().is_file():
        return digests[0]
    root = os.path.commonpath([file.parent for file in files])
    lines = [f"{os.path.relpath(file, root)} {digest}" for file, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def partitions_of(source: str | Path, files: Sequence[Path]) -> list[dict[str, pa.Scalar[Any]]]:
    """Return the values that the folders of each file stand for, as in ``year=2024/part.parquet``.

    Integers where all of a column are, unless two texts stand for one number: 007 beside 7 stays text.
    """
    path = Path(source).expanduser()
    fixed = next((i for i, part in enumerate(path.parts) if glob.has_magic(part)), len(path.parts))
    root = path.parent if path.is_file() else Path(*path.parts[:fixed])
    folders = [file.relative_to(root).parent for file in files]
    names = {part.partition("=")[0]: None for folder in folders for part in folder.parts if "=" in part}
    if not names:
        return [{} for _ in files]
    arrow, dataset = require("pyarrow", extra="train"), require("pyarrow.dataset", extra="train")
    hive = dataset.HivePartitioning(arrow.schema([(name, arrow.string()) for name in names]))
    found = [dataset.get_partition_keys(hive.parse(f"{folder.as_posix()}/")) for folder in folders]
    columns = {}
    for name in names:
        columns[name] = arrow.array([keys.get(name) for keys in found], arrow.string())
        with suppress(arrow.ArrowInvalid):
            whole = columns[name].cast(arrow.int64())
            same = len(whole.unique()) == len(columns[name].unique())
            columns[name] = whole if same else columns[name]
    return [{name: columns[name][number] for name in names if name in keys} for number, keys in enumerate(found)]


def loaded(source: Source) -> pd.DataFrame | pa.Table:
    """Return the table in memory that an object, or a ``.npy`` or ``.npz`` file, holds.

    Raises:
        TypeError: the object is no table.
        ValueError: a NumPy file that is damaged or would have to be unpickled, or columns of different lengths.
    """
    pandas, arrow = require("pandas", extra="train"), require("pyarrow", extra="train")
    if isinstance(source, str | Path):
        source = _numpy_file(files_of(source)[0])
    if isinstance(source, pandas.DataFrame | arrow.Table):
        return source
    if isinstance(source, np.ndarray):
        if source.dtype.names:
            source = {name: source[name] for name in source.dtype.names}
        elif source.ndim == 2:
            source = {"x": source}
        else:
            raise ValueError(f"An array must be 2-D (rows, columns) or structured, got shape {source.shape}.")
    if isinstance(source, Mapping):
        return _frame(source)
    if hasattr(source, "collect") and hasattr(source, "lazy"):
        source = source.collect()
    if hasattr(source, "with_format"):
        return source.with_format("arrow")[:]
    if hasattr(source, "to_arrow"):
        return source.to_arrow()
    if hasattr(source, "__arrow_c_stream__"):
        return arrow.table(source)
    raise TypeError(
        f"A table is a path, an array, a dict of columns, a pandas, polars or Arrow table or a Hugging Face data set, "
        f"got {type(source).__name__}."
    )


def check_names(names: Sequence[Any], where: str) -> None:
    """Raise when a column name occurs twice."""
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{where} has two columns named {name!r}. Rename one of them.")


def _inside(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]


def _numpy_file(file: Path) -> Any:
    try:
        content = np.load(file, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        if "pickle" in str(error):
            raise ValueError(
                f"{file} holds Python objects, which are not loaded because they can run code. Save plain arrays, or "
                "the table as Parquet."
            ) from error
        raise ValueError(f"Cannot read {file}: {error}. Is it complete, and a NumPy file?") from error


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    pandas = require("pandas", extra="train")
    flat: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, Tensor):
            values = values.numpy(force=True)
        if isinstance(values, np.ndarray) and values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
        if getattr(values, "ndim", 1) == 2:
            flat |= {f"{name}{i}": values[:, i] for i in range(values.shape[1])}
        elif getattr(values, "ndim", 1) == 1:
            flat[name] = values
        else:
            raise ValueError(f"Column {name!r} has shape {values.shape}; a column is 1-D, or 2-D for several at once.")
    lengths = {name: len(values) for name, values in flat.items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise ValueError(
            f"The columns differ in length: {short!r} has {lengths[short]} rows, {long!r} {lengths[long]}. Cut or fill "
            "them."
        )
    return pandas.DataFrame(flat)
