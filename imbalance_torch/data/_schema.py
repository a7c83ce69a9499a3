"""What each column of a table is for, and what the classes of its target are called."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from imbalance_torch._checks import require

if TYPE_CHECKING:
    import pandas as pd

Label: TypeAlias = "str | int | bool"

# What pandas.api.types.infer_dtype says of the values of a column.
_NUMERIC = {"integer", "floating", "mixed-integer-float", "decimal"}
_CATEGORICAL = {"string", "boolean", "categorical", "mixed-integer"}


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

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"amount": [1.5, 2, 3, 4], "card": list("abab"), "fraud": ["no", "no", "no", "yes"]})
        >>> schema = Schema.infer(pd.concat([table, table]), "fraud")
        >>> schema.numeric, schema.categorical, schema.classes, schema.encode_target(table)
        (['amount'], ['card'], ['no', 'yes'], array([0, 0, 0, 1]))
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
            positive: with two classes, the label of the positive one; by default 1 or True, of text the rarer.

        Raises:
            ValueError: an unknown column, or a name that occurs twice; a target that is constant, continuous, has
                missing values, labels outside 0..C-1 or a class with a single row; a time of text; or no feature
                column is left.
        """
        kind_of = require("pandas.api.types", extra="train").infer_dtype
        _check_names(frame)
        for name in [target, *([time] if time else []), *drop]:
            check_column(frame, name)
        if target == time or target in drop:
            raise ValueError(f"The target {target!r} cannot be the time column or be dropped as well.")
        if time and kind_of(frame[time]) == "string":
            raise ValueError(
                f"Time column {time!r} is text (such as {frame[time].dropna().iloc[0]!r}), which does not sort by "
                "time. Write it as YYYY-MM-DD hh:mm:ss or as a number."
            )
        classes = _classes(frame[target], positive)
        roles: dict[str, list[str]] = {"numeric": [], "categorical": []}
        ignored = dict.fromkeys(drop, "dropped by the user")
        for name in frame.columns:
            if name in (target, time) or name in ignored:
                continue
            kind = kind_of(frame[name], skipna=True)
            if frame[name].isna().all():
                ignored[name] = "no value in any row"
            elif kind in _NUMERIC:
                roles["numeric"].append(name)
            elif kind in _CATEGORICAL:
                roles["categorical"].append(name)
            else:
                ignored[name] = f"columns of {kind} values are not supported"
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
        check_column(frame, self.target)
        labels = frame[self.target].astype(object)
        if labels.isna().any():
            raise ValueError(missing_labels(labels))
        codes = require("pandas", extra="train").Index(self.classes, dtype=object).get_indexer(labels)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise ValueError(
                f"Target {self.target!r} has the label {labels.iloc[row]!r} (row {row}); the classes are "
                f"{self.classes}."
            )
        return np.asarray(codes, dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self)


def _check_names(frame: pd.DataFrame) -> None:
    for name, twice in zip(frame.columns, frame.columns.duplicated(), strict=True):
        if not isinstance(name, str):
            raise ValueError(f"Column names must be text, got {name!r}. Rename it: frame.columns.map(str).")
        if twice:
            raise ValueError(f"The table has two columns named {name!r}. Rename one of them.")


def check_column(frame: pd.DataFrame, name: str) -> None:
    """Raise, with the nearest name, when the table has no such column."""
    if name not in frame.columns:
        known = [str(column) for column in frame.columns]
        hint = "".join(f" Did you mean {near!r}?" for near in difflib.get_close_matches(str(name), known, n=1))
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise ValueError(f"There is no column {name!r}.{hint} The columns are: {shown}.")


def missing_labels(column: pd.Series) -> str:
    """Say how many labels are missing, and where the first one is."""
    missing = column.isna().to_numpy()
    return (
        f"Target {column.name!r} has no label in {int(missing.sum())} of {len(column)} rows "
        f"(first: row {int(np.argmax(missing))}). Remove these rows, or choose another target."
    )


def _classes(column: pd.Series, positive: Label | None) -> list[Label]:
    name = column.name
    column = column.astype(object)
    if column.isna().any():
        raise ValueError(missing_labels(column))
    kind = require("pandas.api.types", extra="train").infer_dtype(column)
    if kind not in {"integer", "floating", "mixed-integer-float", "boolean", "string"}:
        raise ValueError(f"Target {name!r} holds {kind} values. A class label is a whole number, a boolean or text.")
    counts = column.value_counts()
    if len(counts) == 1:
        raise ValueError(
            f"Target {name!r} is constant: every row is {counts.index[0]!r}. Nothing can be learnt from it."
        )
    numeric = kind not in {"boolean", "string"}
    if numeric and any(label % 1 != 0 for label in counts.index):
        raise ValueError(
            f"Target {name!r} is continuous ({len(counts)} different values, such as {column.iloc[0]!r}). "
            "A classifier needs class labels: choose another column or bin this one."
        )
    labels: list[Label] = sorted(int(label) if numeric else label for label in counts.index)
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
    if positive is None and len(labels) == 2 and kind == "string":
        positive = min(reversed(labels), key=counts.__getitem__)
    if positive is None:
        return labels
    if len(labels) != 2:
        raise ValueError(f"`positive` needs a target of two classes; {name!r} has {len(labels)}.")
    if str(positive) not in map(str, labels):
        raise ValueError(f"`positive` must be one of {labels}, got positive={positive!r}.")
    return sorted(labels, key=lambda label: str(label) == str(positive))
