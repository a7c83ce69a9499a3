"""What each column of a table is for, and what the classes of its target are called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from imbalance_torch._checks import require
from imbalance_torch.data._roles import check_role, check_roles, infer_role, kind_of

if TYPE_CHECKING:
    import pandas as pd

Label: TypeAlias = "str | int | bool"

_FEATURES = ("numeric", "boolean", "datetime", "categorical")


@dataclass(frozen=True)
class Schema:
    """Column roles and class names; a plain record that goes through JSON unchanged.

    Attributes:
        target: name of the target column.
        classes: class labels; class ``i`` of the model is ``classes[i]``. With two classes the second is the
            positive one.
        numeric: numeric feature columns.
        categorical: text and category feature columns.
        time: column that orders the rows, or None; never a feature.
        ignored: columns that are not features, with the reason.
        boolean: feature columns of true and false.
        datetime: feature columns of dates and times.
        group: column whose rows stay on one side of a split (card, patient), or None; never a feature.

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
    boolean: list[str] = field(default_factory=list)
    datetime: list[str] = field(default_factory=list)
    group: str | None = None

    @classmethod
    def infer(
        cls,
        frame: pd.DataFrame,
        target: str,
        *,
        time: str | None = None,
        group: str | None = None,
        drop: Sequence[str] = (),
        positive: Label | None = None,
        roles: Mapping[str, str] | None = None,
    ) -> Schema:
        """Infer the roles from the column types, and the classes from the target.

        Text of which no value occurs twice is taken for an identifier and ignored.

        Args:
            frame: the table, (N, columns).
            target: name of the target column: whole numbers, booleans or text.
            time: column that orders the rows.
            group: column whose rows belong together, such as a card or a patient.
            drop: columns that are not features (identifiers, leaks).
            positive: with two classes, the label of the positive one; by default the larger number or True, of text
                the rarer.
            roles: column -> "numeric", "categorical", "boolean", "datetime", "time", "group" or "ignored", where the
                inferred role is not the right one.

        Raises:
            TypeError: ``roles`` is no mapping.
            ValueError: an unknown column or role, a column with two roles or one that its values do not fit, or a name
                that occurs twice; a target that is constant, continuous, has missing values or a class with a single
                row; a time of text; or no feature column is left.
        """
        _check_names(frame)
        wanted = check_roles(roles)
        time, group = _single(wanted, "time", time), _single(wanted, "group", group)
        for name in [target, *(name for name in (time, group) if name), *drop, *wanted]:
            check_column(frame, name)
        drop = [name for name in drop if name not in (time, group)]
        _check_once(target, time, group, drop, wanted)
        if time and kind_of(frame[time]) == "string":
            raise ValueError(
                f"Time column {time!r} is text (such as {frame[time].dropna().iloc[0]!r}), which does not sort by "
                "time. Write it as YYYY-MM-DD hh:mm:ss or as a number."
            )
        classes = _classes(frame[target], positive)
        found: dict[str, list[str]] = {role: [] for role in _FEATURES}
        ignored = dict.fromkeys(drop, "dropped by the user")
        for name in frame.columns:
            if name in (target, time, group) or name in ignored:
                continue
            role, reason = wanted.get(name, ""), "ignored by its role"
            if role:
                check_role(frame[name], role)
            else:
                role, reason = infer_role(frame[name])
            if role == "ignored":
                ignored[name] = reason
            else:
                found[role].append(name)
        if not any(found.values()):
            reasons = "".join(f" {name!r} is ignored: {reason}." for name, reason in [*ignored.items()][:3])
            raise ValueError(f"No feature column is left beside the target {target!r}.{reasons}")
        return cls(target, classes, **found, time=time, group=group, ignored=ignored)

    @property
    def features(self) -> list[str]:
        """All feature columns: numeric, boolean, datetime, categorical."""
        return [name for role in _FEATURES for name in getattr(self, role)]

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
        labels, pandas = frame[self.target], require("pandas", extra="train")
        rows, values = pandas.factorize(labels)
        if (rows < 0).any():
            raise ValueError(missing_labels(labels))
        codes = pandas.Index(self.classes, dtype=object).get_indexer(values.astype(object))[rows]
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


def _single(roles: Mapping[str, str], role: str, name: str | None) -> str | None:
    """Return the one column of a role that is given by an argument or in ``roles``."""
    names = list(dict.fromkeys([*([name] if name else []), *(column for column, own in roles.items() if own == role)]))
    if len(names) > 1:
        raise ValueError(f"One column at most has the role {role!r}, got {', '.join(map(repr, names))}.")
    return names[0] if names else None


def _check_once(
    target: str, time: str | None, group: str | None, drop: Sequence[str], roles: Mapping[str, str]
) -> None:
    """Raise when a column has two roles."""
    uses: dict[str, Sequence[str | None]] = {
        "target": [target],
        "time column": [time],
        "group column": [group],
        "dropped column": drop,
        "column of `roles`": [name for name, role in roles.items() if role not in ("time", "group")],
    }
    seen: dict[str, str] = {}
    for use, names in uses.items():
        for name in names:
            if name is not None and seen.setdefault(name, use) != use:
                raise ValueError(f"{name!r} cannot be the {seen[name]} and a {use} as well. Give it one role.")


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
    if column.isna().any():
        raise ValueError(missing_labels(column))
    few = column if column.dtype == object else column.drop_duplicates()
    kind = kind_of(few.astype(object))
    if kind not in {"integer", "floating", "mixed-integer-float", "boolean", "string"}:
        raise ValueError(f"Target {name!r} holds {kind} values. A class label is a whole number, a boolean or text.")
    counts = column.value_counts()
    counts = counts[counts > 0].set_axis(counts.index[counts > 0].astype(object))  # a category may have no row
    if len(counts) == 1:
        raise ValueError(
            f"Target {name!r} is constant: every row is {counts.index[0]!r}. Nothing can be learnt from it."
        )
    numeric = kind not in {"boolean", "string"}
    if numeric and (len(counts) > max(2, len(column) / 2) or any(label % 1 != 0 for label in counts.index)):
        raise ValueError(
            f"Target {name!r} is continuous ({len(counts)} different values, such as {counts.index[0]!r}). "
            "A classifier needs class labels: choose another column or bin this one."
        )
    labels: list[Label] = sorted(int(label) if numeric else label for label in counts.index)
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
