"""What a column is for, by its values, and whether they fit the role that a user gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from imbalance_torch._checks import check_choice, require
from imbalance_torch.data._columns import numbers, truth, wall_seconds, zone

if TYPE_CHECKING:
    import pandas as pd

ROLES = ("numeric", "categorical", "boolean", "datetime", "time", "group", "ignored")

# What pandas.api.types.infer_dtype says of the values of a column.
_KINDS = {
    "numeric": {"integer", "floating", "mixed-integer-float", "decimal"},
    "boolean": {"boolean"},
    "datetime": {"datetime64", "datetime", "date"},
    "categorical": {"string", "categorical", "mixed-integer", "mixed"},
}
_UNUSED = {
    "timedelta64": "durations; store them as numbers, such as seconds",
    "timedelta": "durations; store them as numbers, such as seconds",
    "time": "times of day without a date; store them as numbers, such as the hour",
    "bytes": "binary values; decode them to text or numbers",
}
_NESTED = "nested values (lists or records); unpack them into columns of their own"


def kind_of(column: pd.Series) -> str:
    """Return what the values of a column are, missing ones apart, as pandas calls it."""
    return str(require("pandas.api.types", extra="train").infer_dtype(column, skipna=True))


def infer_role(column: pd.Series) -> tuple[str, str]:
    """Return the role that the values suggest, with the reason where it is "ignored"."""
    if column.isna().all():
        return "ignored", "no value in any row"
    kind = kind_of(column)
    role = next((role for role, kinds in _KINDS.items() if kind in kinds), "ignored")
    if kind == "mixed" and is_nested(column):
        return "ignored", _NESTED
    if role == "ignored":
        return role, _UNUSED.get(kind, f"columns of {kind} values are not supported")
    if kind in ("string", "mixed-integer", "mixed") and _is_identifier(column):
        return "ignored", "looks like an identifier: no value occurs twice"
    return role, ""


def is_nested(column: pd.Series) -> bool:
    """Return whether a value is a list, an array or a record."""
    return any(isinstance(value, list | tuple | set | dict | np.ndarray) for value in column)


def check_role(column: pd.Series, role: str) -> None:
    """Raise, with the value at fault, when the values of a column do not fit a role."""
    kind = kind_of(column)
    try:
        if role in ("numeric", "boolean", "datetime") and column.isna().all():
            raise ValueError("It has no value in any row.")
        if role != "ignored" and kind == "mixed" and is_nested(column):
            raise ValueError(f"It holds {_NESTED}.")
        if role == "numeric":
            if kind in _KINDS["datetime"] or kind in _UNUSED:
                raise ValueError(f"It holds {_UNUSED.get(kind, 'dates')}.")
            numbers(column)
        elif role == "boolean":
            truth(column)
        elif role == "datetime":
            wall_seconds(column, zone(column))
    except ValueError as error:
        fault = str(error).splitlines()[0]
        raise ValueError(f"Column {column.name!r} cannot have the role {role!r}. {fault}") from error


def check_roles(roles: Mapping[str, str] | None) -> dict[str, str]:
    """Return the roles as a dict, after a look at their names."""
    if roles is not None and not isinstance(roles, Mapping):
        raise TypeError(f"`roles` must map columns to roles, got roles={roles!r}.")
    return {name: check_choice("roles", role, ROLES) for name, role in (roles or {}).items()}


def read_options(roles: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments that make :func:`read_table` read each column as its role needs it."""
    arguments = {"numeric": "numbers", "categorical": "text", "boolean": "booleans", "datetime": "datetimes"}
    return {argument: [name for name, own in roles.items() if own == role] for role, argument in arguments.items()}


def remarks(frame: pd.DataFrame, features: list[str]) -> list[str]:
    """Return what is odd about feature columns that work nevertheless: constants, and numbers that are read as text."""
    to_numeric = require("pandas", extra="train").to_numeric
    found = []
    for name in features:
        column = frame[name].dropna()
        if column.iloc[:1000].nunique() == 1 and column.nunique() == 1:
            found.append(f"Column {name!r} is constant: {column.iloc[0]}. Drop it.")
        elif kind_of(column) in ("string", "mixed", "mixed-integer"):
            others = to_numeric(column, errors="coerce").isna().to_numpy()
            if 0 < others.sum() < len(others) / 2:
                first = int(np.argmax(others))
                other = f"{column.iloc[first]!r} (row {column.index[first]})"
                found.append(
                    f"Column {name!r} is read as text, but {len(others) - others.sum()} of {len(others)} values are "
                    f"numbers; the first other one is {other}. Empty such fields to make it numeric."
                )
    return found


def _is_identifier(column: pd.Series) -> bool:
    present = column.dropna()
    return 2 * len(present) > len(column) and present.iloc[:1000].is_unique and bool(present.is_unique)
