"""Leaks that one column shows: it knows the target, it is missing with the target, it numbers the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imbalance_torch._checks import require
from imbalance_torch._random import mix
from imbalance_torch.data._finding import Finding
from imbalance_torch.data._schema import Schema

if TYPE_CHECKING:
    import pandas as pd

_TOO_GOOD = 0.98
_MOST_CELLS = 5_000_000
_FOLDS = 10
_FAR, _TRIED = 0.6, 1000  # share of a class around its own rows from which it is scored; rows that this is tried on
_FEWEST = 10  # rows of a class that is judged
_FEW, _MANY = 50, 1000  # rows from which identifiers are recognised


def single_predictors(features: pd.DataFrame, labels: np.ndarray, rows: np.ndarray, limit: int) -> list[Finding]:
    """Find columns that alone rank the rarer classes almost perfectly."""
    rows, weights = _per_class_sample(labels, rows, limit)
    if len(rows) == 0 or len(np.unique(labels[rows])) < 2:
        return []
    precisions = {name: _precision_alone(features[name].iloc[rows], labels[rows], weights) for name in features}
    return [
        Finding(
            "single_predictor",
            name,
            f"Column {name!r} alone predicts the target (average precision {precision:.3f}). If it is known only with "
            "the outcome, leave it out (`drop`).",
            "error",
        )
        for name, precision in precisions.items()
        if precision > _TOO_GOOD
    ]


def missing_by_class(features: pd.DataFrame, labels: np.ndarray, classes: Sequence[Any]) -> list[Finding]:
    """Find columns that have a value in all rows of some classes and in none of the others."""
    count = np.bincount(labels, minlength=len(classes))
    findings = []
    for name in features:
        missing = features[name].isna().to_numpy()
        without = np.bincount(labels[missing], minlength=len(classes))
        if 0 < without.sum() < len(labels) and ((without == 0) | (without == count)).all():
            gone = ", ".join(repr(label) for label, none in zip(classes, (without > 0), strict=True) if none)
            findings.append(
                Finding(
                    "missing_by_class",
                    name,
                    f"Column {name!r} is missing in every row of class {gone} and in no other row. It was filled in "
                    "with the outcome: leave it out (`drop`).",
                    "error",
                )
            )
    return findings


def identifiers(features: pd.DataFrame, limit: int) -> list[Finding]:
    """Find columns that name the row instead of describing it."""
    findings = []
    for name in features:
        column = features[name]
        if len(column) < _FEW:
            continue
        how = _numbering(column, limit) if _is_ordered(column) else _naming(column, limit)
        if how is not None:
            findings.append(
                Finding(
                    "identifier",
                    name,
                    f"Column {name!r} {how}: an identifier says nothing about new rows. Leave it out (`drop`), or "
                    "name it as the time if it orders the rows.",
                    "warning",
                )
            )
    return findings


def unused_times(frame: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Find datetimes that order the rows of a split that is not by time."""
    if schema.time is not None:
        return []
    return [
        Finding(
            "unused_time",
            name,
            f"The rows are in the order of column {name!r}, but the split is not by time: the model is tested on the "
            f"past of what it has seen. Name the column as the time (`time={name!r}`).",
            "warning",
        )
        for name in frame.select_dtypes(["datetime", "datetimetz"]).columns.drop(schema.target, errors="ignore")
        if frame[name].is_monotonic_increasing and frame[name].nunique() >= _FEW
    ]


def _naming(column: pd.Series, limit: int) -> str | None:
    """Say in how many rows text or a category differs, or None where it repeats."""
    if column.iloc[:limit].nunique() < 0.99 * min(limit, len(column)):
        return None
    distinct = column.nunique() / len(column)
    return f"differs in {distinct:.0%} of the rows" if distinct >= 0.99 else None


def _numbering(column: pd.Series, limit: int) -> str | None:
    """Say how whole numbers number the rows, or None where they do not."""
    if column.isna().any():
        return None
    head = column.iloc[:limit].to_numpy()
    if head.dtype.kind not in "iuf" or (head.dtype.kind == "f" and (head % 1 != 0).any()):
        return None
    steps = np.diff(head)
    if ((steps > 0).all() and column.is_monotonic_increasing) or ((steps < 0).all() and column.is_monotonic_decreasing):
        return "grows or falls from row to row" if column.is_unique else None
    if head.dtype.kind == "f" or len(column) < _MANY or len(np.unique(head)) < len(head) or not column.is_unique:
        return None
    return "has another whole number in every row"


def _is_ordered(column: pd.Series) -> bool:
    types = require("pandas.api.types", extra="train")
    return bool(types.is_numeric_dtype(column) or types.is_datetime64_any_dtype(column))


def _codes(column: pd.Series) -> tuple[np.ndarray, int]:
    """Return a code for each value (ascending where they have an order), missing ones last, and how many there are."""
    codes, values = require("pandas", extra="train").factorize(column, sort=_is_ordered(column))
    return np.where(codes < 0, len(values), codes), len(values) + int((codes < 0).any())


def _per_class_sample(labels: np.ndarray, rows: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of each class in random order, class after class, and how many rows each stands for."""
    generator = np.random.Generator(np.random.PCG64(mix(0)))
    count = np.bincount(labels[rows])
    share = -(-limit // max(int(np.count_nonzero(count)), 1))
    chosen = [generator.permutation(rows[labels[rows] == label])[:share] for label in np.flatnonzero(count >= _FEWEST)]
    weights = [np.full(len(part), count[labels[part[0]]] / len(part)) for part in chosen]
    return np.concatenate([rows[:0], *chosen]), np.concatenate([np.empty(0), *weights])


def _precision_alone(column: pd.Series, target: np.ndarray, weights: np.ndarray) -> float:
    """Return the average precision of one column, mean over all classes but the largest; 0 for those far from it.

    Rows come class after class, in random order within each.
    """
    (codes, values), ordered, judged = _codes(column), _is_ordered(column), np.unique(target)
    if values > (most := _MOST_CELLS // len(judged)):
        if not ordered:
            return 0.0
        codes = codes * most // values
    fold = np.arange(len(codes)) % _FOLDS
    total = np.bincount(codes)
    ranking = np.where(column.isna(), -1, codes)
    precisions = []
    for label in judged[judged != np.bincount(target, weights).argmax()]:
        rows = slice(*np.searchsorted(target, [label, label + 1]))
        count = rows.stop - rows.start
        width = int(np.clip(count // 20, 2, 100)) if ordered else 0
        hits = np.bincount(codes[rows], minlength=len(total))
        if _shares(hits, total, codes[rows][:_TRIED], width).mean() < _FAR:
            precisions.append(0.0)
            continue
        scores = np.empty(len(codes))
        for number in range(_FOLDS):
            held = fold == number
            own, every = (np.bincount(part, minlength=len(total)) for part in (codes[rows][held[rows]], codes[held]))
            scores[held] = _shares(hits - own, total - every, codes[held], width)
        rankings = [scores, ranking, -codes] if ordered and len(judged) == 2 else [scores]
        weighted = np.where(target == label, weights, 0)
        precisions.append(max(_average_precision(score, weighted, weights) for score in rankings))
    return float(np.mean(precisions))


def _shares(hits: np.ndarray, total: np.ndarray, at: np.ndarray, width: int) -> np.ndarray:
    """Return the share of hits among the rows of each value, or ``width`` rows to either side of their middle."""
    prior = hits.sum() / total.sum()
    if width == 0:
        return np.asarray((hits[at] + prior) / (total[at] + 1))
    ends, found = (np.append(0, np.cumsum(counts)) for counts in (total, hits))
    middle = (ends[at] + ends[at + 1]) / 2
    low, high = np.maximum(middle - width, 0), np.minimum(middle + width, ends[-1])
    return np.asarray((np.interp(high, ends, found) - np.interp(low, ends, found) + prior) / (high - low + 1))


def _average_precision(score: np.ndarray, hits: np.ndarray, total: np.ndarray) -> float:
    """Average precision of values with ``hits`` positives among ``total`` rows each, ranked by ``score``."""
    _, block = np.unique(score[total > 0], return_inverse=True)
    found = np.cumsum(np.bincount(block, hits[total > 0])[::-1])
    seen = np.cumsum(np.bincount(block, total[total > 0])[::-1])
    return float(np.diff(found, prepend=0) @ (found / seen) / found[-1])
