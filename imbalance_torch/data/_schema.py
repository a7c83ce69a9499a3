"""What each column of a table is for, and what the classes of its target are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from imbalance_torch._checks import require

if TYPE_CHECKING:
    import pandas as pd

    Label = str | int | bool


@dataclass(frozen=True)
class Schema:
    """Column roles and class names; a plain record that goes through JSON unchanged.

    Attributes:
        target: name of the target column.
        classes: class labels; class ``i`` of the model is ``classes[i]``. With two classes the second is the
            positive one.
        numeric: numeric feature columns.
        categorical: text, boolean and category feature columns.
        time: column that orders the rows, or None; never a feature.
        ignored: columns that are not features, with the reason.
    """

    target: str
    classes: list[Label]
    numeric: list[str]
    categorical: list[str]
    time: str | None = None
    ignored: dict[str, str] = field(default_factory=dict)

    @classmethod
    def infer(
        cls,
        frame: pd.DataFrame,
        target: str,
        *,
        time: str | None = None,
        drop: Sequence[str] = (),
        positive: Label | None = None,
    ) -> Schema:
        """Infer the roles from the column types, and the classes from the target.

        Args:
            frame: the table, (N, columns).
            target: name of the target column: 0..C-1, booleans or text.
            time: column that orders the rows.
            drop: columns that are not features (identifiers, leaks).
            positive: with two classes of text, the label of the positive one; by default the rarer.

        Raises:
            ValueError: an unknown column; a target that is constant, continuous, has missing values, labels outside
                0..C-1 or a class with a single row; or no feature column is left.
        """
        api = require("pandas.api.types", extra="train")
        for name in [target, *([time] if time else []), *drop]:
            _check_column(frame, name)
        classes = _classes(frame[target], positive)
        roles: dict[str, list[str]] = {"numeric": [], "categorical": []}
        ignored = dict.fromkeys(drop, "dropped by the user")
        for name in frame.columns:
            if name in (target, time) or name in ignored:
                continue
            column = frame[name]
            if column.isna().all():
                ignored[name] = "no value in any row"
            elif api.is_bool_dtype(column) or isinstance(
                column.dtype, require("pandas", extra="train").CategoricalDtype
            ):
                roles["categorical"].append(name)
            elif api.is_numeric_dtype(column):
                roles["numeric"].append(name)
            elif api.is_string_dtype(column) or column.dtype == object:
                roles["categorical"].append(name)
            else:
                ignored[name] = f"columns of type {column.dtype} are not supported"
        if not roles["numeric"] and not roles["categorical"]:
            raise ValueError(f"No feature column is left beside the target {target!r}.")
        return cls(target, classes, **roles, time=time, ignored=ignored)

    @property
    def features(self) -> list[str]:
        """All feature columns, numeric first."""
        return [*self.numeric, *self.categorical]

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.classes)

    def encode_target(self, frame: pd.DataFrame) -> np.ndarray:
        """Map the labels of ``frame`` to 0..C-1, (N,) int64.

        Raises:
            ValueError: the target column is missing, or has a missing or unknown label.
        """
        _check_column(frame, self.target)
        column = frame[self.target]
        if column.isna().any():
            raise ValueError(_missing_labels(column))
        pandas = require("pandas", extra="train")
        codes = pandas.Index(self.classes).get_indexer(column.astype(object))
        if (codes < 0).any():
            unknown = column.iloc[int(np.argmax(codes < 0))]
            raise ValueError(f"Target {self.target!r} has the label {unknown!r}; the classes are {self.classes}.")
        return np.asarray(codes, dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self)


def _check_column(frame: pd.DataFrame, name: str) -> None:
    if name not in frame.columns:
        known = ", ".join(map(str, frame.columns[:20]))
        raise ValueError(
            f"There is no column {name!r}. The columns are: {known}{', ...' if frame.shape[1] > 20 else ''}."
        )


def _missing_labels(column: pd.Series) -> str:
    missing = column.isna().to_numpy()
    return (
        f"Target {column.name!r} has no label in {int(missing.sum())} of {len(column)} rows "
        f"(first: row {int(np.argmax(missing))}). Remove these rows."
    )


def _classes(column: pd.Series, positive: Label | None) -> list[Label]:
    api = require("pandas.api.types", extra="train")
    name = column.name
    if column.isna().any():
        raise ValueError(_missing_labels(column))
    counts = column.astype(object).value_counts()
    if len(counts) == 1:
        raise ValueError(
            f"Target {name!r} is constant: every row is {counts.index[0]!r}. Nothing can be learnt from it."
        )
    if api.is_float_dtype(column) and (column != column.round()).any():
        raise ValueError(
            f"Target {name!r} is continuous ({len(counts)} different values, such as {column.iloc[0]!r}). "
            "A classifier needs class labels: choose another column or bin this one."
        )
    numeric = api.is_numeric_dtype(column) and not api.is_bool_dtype(column)
    labels: list[Label] = [int(label) for label in counts.index] if numeric else list(counts.index)
    labels.sort(key=str if not numeric else None)
    if numeric and labels != list(range(len(labels))):
        shown = ", ".join(map(str, labels[:6])) + (", ..." if len(labels) > 6 else "")
        raise ValueError(
            f"Target {name!r} has the labels {shown}: {len(labels)} classes must be numbered 0..{len(labels) - 1}. "
            "Renumber them, or write them as text."
        )
    if counts.iloc[-1] == 1:
        raise ValueError(
            f"Class {counts.index[-1]!r} of target {name!r} has 1 row, which cannot be in training, "
            "validation and test. Remove the row or merge the class with another."
        )
    if len(labels) == 2 and not numeric and column.dtype != bool:
        chosen = counts.index[-1] if positive is None else positive
        if chosen not in labels:
            raise ValueError(f"`positive` must be one of {labels}, got positive={positive!r}.")
        labels.sort(key=lambda label: label == chosen)
    elif positive is not None and positive not in (labels[-1], str(labels[-1])):
        raise ValueError(f"`positive` must be {labels[-1]!r}: only two classes of text can be reordered.")
    return labels
