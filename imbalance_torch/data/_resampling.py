"""Over- and under-sampling of a table on disk: every column keeps its name, place and type."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_device, check_int, require
from imbalance_torch.data._parts import to_pandas
from imbalance_torch.data._schema import check_column, missing_labels
from imbalance_torch.data._tables import read_arrow, suffix_of, write_table
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import ADASYN, SMOTE, SMOTENC, BorderlineSMOTE, RandomOverSampler, RandomUnderSampler
from imbalance_torch.resampling._containers import features, rows_as, template

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class _Method(NamedTuple):
    build: Callable[..., Any]
    neighbors: str | None  # the argument that `k_neighbors` sets; None: rows are copied, whatever they hold
    kinds: str = "fiub"  # the kinds of columns, as NumPy calls them, that new rows can be made of


class _Drawn(NamedTuple):
    """The rows of the file that stay, and the rows that new ones are made from, as they are made, with the gap."""

    kept: np.ndarray[Any, Any]
    base: np.ndarray[Any, Any]
    neighbor: np.ndarray[Any, Any]
    gap: np.ndarray[Any, Any]
    new: pa.Table


METHODS = {
    "smote": _Method(SMOTE, "k_neighbors"),
    "borderline_smote": _Method(BorderlineSMOTE, "k_neighbors"),
    "adasyn": _Method(ADASYN, "n_neighbors"),
    "smotenc": _Method(partial(SMOTENC, "auto"), "k_neighbors", "fiubOUS"),
    "random_oversampling": _Method(RandomOverSampler, None),
    "random_undersampling": _Method(RandomUnderSampler, None),
}
PROVENANCE = ("is_synthetic", "base_row", "neighbor_row", "gap")


def resample_table(
    file: str | Path,
    output: str | Path,
    target: str,
    *,
    method: str = "smote",
    sampling_strategy: SamplingStrategy = "auto",
    k_neighbors: int | None = None,
    provenance: bool = False,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """Resample a CSV or Parquet file into another one.

    The rows of ``file`` come first, unchanged, then the new ones by sorted class; under-sampling writes the rows that
    it keeps, in the order of ``file``. Columns keep their names, order and types; whole-number columns hold whole
    numbers.

    Args:
        file: CSV or Parquet; every column but the target is a feature.
        output: CSV or Parquet; appears whole or not at all, in place of an older file.
        target: name of the column of class labels.
        method: ``"smote"``, ``"borderline_smote"``, ``"adasyn"``; ``"smotenc"`` for numbers beside text,
            categories and booleans; or, for columns of any type and with missing values, ``"random_oversampling"`` or
            ``"random_undersampling"``.
        sampling_strategy: which classes grow or shrink, and to what count, as in ``SMOTE``.
        k_neighbors: neighbours that a row can be joined with; None is the default of the method.
        provenance: add the columns ``is_synthetic``, ``base_row`` (the row of ``file``, from 0, that a row is or was
            made from), ``neighbor_row`` and ``gap`` (missing for rows of ``file``).
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``: where neighbours are searched; ``"smotenc"`` takes the CPU.
        seed: of the draws.

    Returns:
        ``rows`` written, ``output``, ``method``, and the rows of each class ``before`` and ``after``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an unknown column or method; a target that is continuous or has missing labels; a feature that is
            no number or has missing values, which no method that interpolates can take; ``output`` is ``file``; or
            what the method itself raises.

    Notes:
        Memory: the table three times over, plus that of the method. A CSV is read by the type of its values: 007 is 7.

    Example:
        >>> import pandas as pd, tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> table = pd.DataFrame({"amount": range(30), "fraud": ["no"] * 22 + ["yes"] * 8})
        >>> table.to_csv(folder / "cards.csv", index=False)
        >>> resample_table(folder / "cards.csv", folder / "more.csv", "fraud", k_neighbors=3)["after"]
        {'no': 22, 'yes': 22}
    """
    chosen = METHODS[check_choice("method", method, METHODS)]
    place = check_device(device)
    if k_neighbors is not None and chosen.neighbors is None:
        raise ValueError(f"{method} copies rows and looks for no neighbours. Leave out `k_neighbors`.")
    suffix_of(Path(output))
    table = _without_index(read_arrow(file))
    if Path(output).exists() and Path(output).samefile(file):
        raise ValueError(f"`output` is the file that is read, {file}. Choose another name.")
    if provenance and (clash := sorted({*PROVENANCE} & {*table.column_names})):
        raise ValueError(f"{file} has a column {clash[0]!r}, which the provenance needs. Rename it.")
    frame = to_pandas(table).set_axis(table.column_names, axis=1)
    y = _labels(frame, target)
    neighbors = {chosen.neighbors: k_neighbors} if chosen.neighbors and k_neighbors is not None else {}
    check_int("seed", seed, minimum=0)
    resampler = chosen.build(sampling_strategy=sampling_strategy, random_state=seed, **neighbors)
    if chosen.neighbors is None:
        drawn = _copied(resampler, table, y)
    else:
        X = frame.drop(columns=[target])
        _check_features(X, file, method)
        read = X if method == "smotenc" else features(X).to(place)
        drawn = _interpolated(resampler, table, X, read, y)
    stay = table if len(drawn.kept) == len(table) else table.take(drawn.kept)
    result = require("pyarrow", extra="train").concat_tables([stay, drawn.new])
    if provenance:
        result = _with_provenance(result, drawn)
    after = y.take(np.concatenate((drawn.kept, drawn.base))).value_counts()
    counts = {str(label): int(number) for label, number in after.items()}
    before = {str(label): number for label, number in resampler.class_counts_.items()}
    return {
        "rows": write_table([result], output),
        "output": str(output),
        "method": method,
        "before": before,
        "after": {label: counts[label] for label in before},
    }


def _without_index(table: pa.Table) -> pa.Table:
    """Drop what pandas stored as the index of a frame: it is no column of the table."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return table.drop_columns([name for name in index if name in table.column_names])


def _labels(frame: pd.DataFrame, target: str) -> pd.Series:
    check_column(frame, target)
    y = frame[target]
    if y.isna().any():
        raise ValueError(missing_labels(y))
    kind = require("pandas.api.types", extra="train").infer_dtype(y.astype(object))
    if kind not in ("integer", "floating", "boolean", "string") or (kind == "floating" and (y.astype(float) % 1).any()):
        raise ValueError(
            f"Target {target!r} holds values such as {y.iloc[0]}. A class label is a whole number, a boolean or text."
        )
    return y


def _check_features(X: pd.DataFrame, file: str | Path, method: str) -> None:
    """Raise, with the columns and the way out, when the method cannot make new rows of the features."""
    if not X.shape[1]:
        raise ValueError(f"{file} has no column beside the target.")
    other = [name for name, dtype in X.dtypes.items() if dtype.kind not in METHODS[method].kinds]
    if other:
        way = "" if method == "smotenc" else "smotenc for text and categories, or "
        raise ValueError(
            f"{method} cannot make new values of the columns {_some(other)} of {file}. Drop or encode them, or use "
            f"{way}random_oversampling for any column."
        )
    missing = X.isna().sum()
    if missing.any():
        shown = [f"{name!r} ({number} values)" for name, number in missing[missing > 0].items()]
        raise ValueError(
            f"{file} has missing values in {_some(shown)}. Fill or drop them first, or use random_oversampling."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _copied(resampler: Any, table: pa.Table, y: pd.Series) -> _Drawn:
    """Draw rows of the table by their number, so that it does not matter what they hold."""
    rows = torch.arange(len(table), dtype=torch.float64)[:, None]
    nothing = np.zeros(0, np.int64)
    if isinstance(resampler, RandomUnderSampler):
        resampler.fit_resample(rows, y)
        kept = np.sort(np.asarray(resampler.sample_indices_))
        return _Drawn(kept, nothing, nothing, nothing, table.slice(0, 0))
    drawn = _sample(resampler.fit(rows, y))
    base, neighbor, gap = (part.numpy() for part in drawn[3:])
    return _Drawn(np.arange(len(table)), base, neighbor, gap, table.take(base))


def _interpolated(resampler: Any, table: pa.Table, X: pd.DataFrame, read: Any, y: pd.Series) -> _Drawn:
    """Draw new rows, with the columns and types of the table, each with the label of its base row."""
    arrow = require("pyarrow", extra="train")
    drawn = _sample(resampler.fit(read, y))
    base, neighbor, gap = (part.numpy(force=True) if isinstance(part, Tensor) else part for part in drawn[3:])
    rows = drawn.X if read is X else rows_as(template(X), drawn.X.cpu())
    columns = [
        arrow.array(rows[name], from_pandas=True).cast(table[name].type) if name in X else table[name].take(base)
        for name in table.column_names
    ]
    new = arrow.Table.from_arrays(columns, schema=table.schema)
    return _Drawn(np.arange(len(table)), base, neighbor, gap, new)


def _sample(fitted: Any) -> Any:
    """Draw what ``fit_resample`` would add."""
    return fitted.sample({label: number for label, number in fitted.sampling_strategy_.items() if number})


def _with_provenance(table: pa.Table, drawn: _Drawn) -> pa.Table:
    arrow = require("pyarrow", extra="train")
    kept = len(drawn.kept)
    values = (
        arrow.array(np.arange(len(table)) >= kept),
        arrow.array(np.concatenate((drawn.kept, drawn.base))),
        arrow.concat_arrays([arrow.nulls(kept, arrow.int64()), arrow.array(drawn.neighbor)]),
        arrow.concat_arrays([arrow.nulls(kept, arrow.float64()), arrow.array(drawn.gap, arrow.float64())]),
    )
    for name, column in zip(PROVENANCE, values, strict=True):
        table = table.append_column(name, column)
    return table
