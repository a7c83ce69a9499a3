"""Leaks that rows show: equal ones on both sides, groups on both sides, rows made from others before the split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from imbalance_torch._checks import require
from imbalance_torch._random import mix
from imbalance_torch.data._finding import Finding
from imbalance_torch.data._schema import Schema
from imbalance_torch.data._splitting import Split
from imbalance_torch.neighbors import knn

if TYPE_CHECKING:
    import pandas as pd

_LABEL_STEP = np.uint64(0x9E3779B97F4A7C15)
_MATCHES = 10_000  # equal rows whose chance is worked out
_HALVINGS = 4  # ways of cutting the columns in two
_CHANCE = 1e-4  # rows that chance may make where a repeat is taken for a copy
_TELLING = 0.9  # distinct values per distinct row of a measurement
_QUERIES = 256  # rows of a class that are tried for lying between two others
_NEIGHBORS = 20
_FEWEST = 10  # held-out rows of a class that is judged


def shared_groups(frame: pd.DataFrame, schema: Schema, split: Split) -> list[Finding]:
    """Find groups that have rows in training and in another part."""
    if schema.group is None:
        return []
    timed = schema.time is not None
    codes, names = require("pandas", extra="train").factorize(frame[schema.group])
    held = np.concatenate([split.val, split.test])
    inside = np.zeros(len(names) + 1, dtype=bool)
    inside[codes[split.train]] = True
    inside[-1] = False  # rows without a group
    rows = inside[codes[held]]
    if not rows.any():
        return []
    count = len(np.unique(codes[held][rows]))
    fix = "a split by time keeps groups on both sides" if timed else "split by group (`group`)"
    return [
        Finding(
            "shared_group",
            schema.group,
            f"{count} of {len(names)} groups of column {schema.group!r} are in training and in validation or test "
            f"({rows.mean():.1%} of the rows there): {fix}.",
            "warning" if timed else "error",
        )
    ]


def repeated_rows(
    features: pd.DataFrame, labels: np.ndarray, split: Split, classes: Sequence[Any], limit: int
) -> list[Finding]:
    """Find held-out rows that equal a training row, and classes that consist of them."""
    pandas = require("pandas", extra="train")
    hashes = pandas.util.hash_pandas_object(features, index=False).to_numpy()
    held = np.concatenate([split.val, split.test])
    labelled = hashes + labels.astype(np.uint64) * _LABEL_STEP
    matched = pandas.Series(hashes[held]).isin(hashes[split.train]).to_numpy()
    if not matched.any():
        return []
    same = pandas.Series(labelled[held]).isin(labelled[split.train]).to_numpy()
    generator = np.random.Generator(np.random.PCG64(mix(1)))
    tried = generator.permutation(np.flatnonzero(matched))[:_MATCHES]
    copied = tried
    if not _has_measurement(features, hashes, split.train[:limit]):
        chance = _chance(features, split.train, held[tried], limit, generator)
        finest = len(split.train) / min(len(split.train), limit) ** 2
        copied = tried[chance <= max(_CHANCE, 4 * finest)]
    share = matched.mean() * len(copied) / len(tried)
    findings = []
    if share >= 0.005:
        findings.append(
            Finding(
                "repeated_rows",
                None,
                f"{round(share * len(held))} of {len(held)} validation and test rows ({share:.1%}) equal a training "
                f"row in all {features.shape[1]} features, {same[copied].mean():.0%} of them with its label too. "
                "Remove the repeats, or keep equal rows together with a group column.",
                "warning",
            )
        )
    counts = np.bincount(labels[held], minlength=len(classes))
    shares = np.bincount(labels[held], same, minlength=len(classes)) / np.maximum(counts, 1)
    shares[counts < _FEWEST] = np.nan
    findings += [
        Finding(
            "resampled",
            None,
            f"{shares[label]:.0%} of the validation and test rows of class {classes[label]!r} are copies of training "
            f"rows, {rest:.1%} in a class as large: the class was oversampled before the split. Split first, and "
            "resample training rows only.",
            "error",
        )
        for label, rest in _standing_out(shares, counts, 0.5)
        if _is_even(hashes[labels == label])
    ]
    return findings


def segments(numbers: pd.DataFrame, labels: np.ndarray, classes: Sequence[Any], limit: int) -> list[Finding]:
    """Find classes whose rows lie on the segments between their neighbours, as those that SMOTE makes do."""
    generator = np.random.Generator(np.random.PCG64(mix(2)))
    numbers = numbers.select_dtypes("floating")
    shares = np.full(len(classes), np.nan)
    counts = np.bincount(labels, minlength=len(classes))
    for label, count in enumerate(counts):
        if count > 2 * _NEIGHBORS:
            rows = generator.permutation(np.flatnonzero(labels == label))[:limit]
            shares[label] = _share_on_segments(numbers.iloc[rows])
    return [
        Finding(
            "resampled",
            None,
            f"{shares[label]:.0%} of the rows of class {classes[label]!r} lie on the segment between two of their "
            f"neighbours, {rest:.1%} in a class as large: it holds synthetic rows of SMOTE, made before the split. "
            "Start from the original table, and resample training rows only.",
            "error",
        )
        for label, rest in _standing_out(shares, counts, 0.1)
    ]


def _standing_out(shares: np.ndarray, counts: np.ndarray, least: float) -> list[tuple[int, float]]:
    """Return classes of at least that share, five times that of a class half as large or larger, which comes along.

    The more rows a class has, the more of them are alike by nature; a share of NaN is not judged. Half as large, since
    over-sampling often goes beyond the largest class.
    """
    found = []
    for label in np.flatnonzero(shares >= least):
        others = shares[(2 * counts >= counts[label]) & (np.arange(len(shares)) != label)]
        others = others[~np.isnan(others)]
        if len(others) and shares[label] >= 5 * others.min():
            found.append((int(label), float(others.min())))
    return found


def _is_even(hashes: np.ndarray) -> bool:
    """Return whether rows repeat as draws with replacement do; by nature a few would repeat very often."""
    _, times = np.unique(hashes, return_counts=True)
    return bool(times.var() <= 2 * times.mean())


def _has_measurement(features: pd.DataFrame, hashes: np.ndarray, rows: np.ndarray) -> bool:
    """Return whether a column of fractions tells almost all distinct rows apart: then no two are equal by chance."""
    _, first = np.unique(hashes[rows], return_index=True)
    columns = features.select_dtypes("floating").iloc[rows[first]]
    return any(columns[name].nunique() >= _TELLING * len(first) for name in columns)


def _chance(
    features: pd.DataFrame, train: np.ndarray, rows: np.ndarray, limit: int, generator: np.random.Generator
) -> np.ndarray:
    """Return how many training rows equal each row by chance, if two halves of the columns had nothing in common."""
    hash_array = require("pandas.util", extra="train").hash_pandas_object
    sample = train if len(train) <= limit else generator.permutation(train)[:limit]
    both = features.iloc[np.concatenate([sample, rows])]
    hashes = np.stack([hash_array(both[name], index=False).to_numpy() for name in both])
    most = np.zeros(len(rows))
    for _ in range(_HALVINGS):
        side = generator.permutation(len(hashes)) % 2 == 0
        first, second = (_occurrences(half, len(sample)) / len(sample) for half in (hashes[side], hashes[~side]))
        most = np.maximum(most, first * second * len(train))
    return most


def _occurrences(hashes: np.ndarray, reference: int) -> np.ndarray:
    """Return how often each row after the first ``reference`` ones occurs among those, at least once."""
    _, codes = np.unique(hashes.sum(axis=0), return_inverse=True)
    return np.maximum(np.bincount(codes[:reference], minlength=codes.max() + 1)[codes[reference:]], 1)


def _share_on_segments(numbers: pd.DataFrame) -> float:
    values = numbers.to_numpy(dtype=np.float64)
    # SMOTE makes values that no other row has; columns of few values form a grid, where points in line are natural.
    fine = [len(np.unique(column)) >= 0.2 * len(column) for column in values.T]
    values = values[:, np.isfinite(values).all(axis=0) & np.array(fine, dtype=bool)]
    spread = values.std(axis=0)
    values = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1))[:, spread > 0]
    if values.shape[1] < 2:
        return float("nan")
    tolerance = 1e-6 if (numbers.dtypes == np.float64).all() else 1e-4
    points = torch.from_numpy(np.ascontiguousarray(values))
    queries = points[:_QUERIES]
    away = points[knn(queries, points, _NEIGHBORS + 1).indices] - queries[:, None]
    length = away.norm(dim=2, keepdim=True)
    direction = torch.where(length > 0, away / length, 0.0)
    # Two unit vectors that point in opposite directions have the sum 0.
    opposite = 2 + 2 * direction @ direction.mT < tolerance**2
    return float(opposite.flatten(1).any(dim=1).double().mean())
