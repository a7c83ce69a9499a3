"""Splits into training, validation and test rows: in time order, or stratified by class; what every split checks."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import NamedTuple

import numpy as np

from imbalance_torch._checks import check_same_length, require
from imbalance_torch._random import mix


class Split(NamedTuple):
    """Row numbers of the three parts, each (n,) int64 and without overlap."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def time_split(time: np.ndarray, shares: Sequence[float] = (0.6, 0.2, 0.2)) -> Split:
    """Split in time order: the oldest rows train, the newest test.

    Rows of the same time stay on one side of a cut, so that no part knows the present of the next; the cuts lie where
    the time changes, as near to their shares as that and three parts with rows allow. Groups (cards, patients) are
    not looked at: one that goes on over a cut is on both sides, as it will be in use; :func:`audit` counts them.

    Args:
        time: numbers, datetimes or anything else that sorts, (N,); missing values are an error.
        shares: of training, validation and test rows; they sum to 1.

    Returns:
        The three parts, each in time order (stable for equal times).

    Raises:
        ValueError: bad shares, missing times, or fewer than three different times.

    Example:
        >>> time_split(np.array([3, 1, 2, 2, 5, 4]), (0.5, 0.25, 0.25)).train
        array([1, 2, 3])
    """
    check_shares(shares)
    time = np.asarray(time)
    check_complete("time", time)
    try:
        order = np.argsort(time, kind="stable")
    except TypeError as error:
        raise ValueError(f"The time column mixes types that do not sort: {error}.") from error
    ordered = time[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(changes) < 2:
        raise ValueError(
            f"A part of the time split is empty: the time column has {len(changes) + min(len(time), 1)} different "
            "value(s), and rows of the same time stay together. Three parts need 3; use a finer time."
        )
    places = len(time) * np.cumsum(shares[:2])
    off = np.abs(changes - places[:, None])
    first, second = off.argmin(axis=1)
    if first == second:
        first = (off[0, :-1] + off[1, 1:]).argmin()
        second = first + 1
    return Split(*np.split(order, changes[[first, second]]))


def stratified_split(labels: np.ndarray, shares: Sequence[float] = (0.6, 0.2, 0.2), *, seed: int = 0) -> Split:
    """Split at random, each class in the same shares.

    Args:
        labels: class indices, (N,).
        shares: of training, validation and test rows; they sum to 1.
        seed: the same seed gives the same split.

    Returns:
        The three parts, each in the order of the table.

    Raises:
        ValueError: bad shares, or a class with fewer than three rows.

    Example:
        >>> labels = np.array([0] * 10 + [1] * 5)
        >>> [np.bincount(labels[rows]).tolist() for rows in stratified_split(labels)]
        [[6, 3], [2, 1], [2, 1]]
    """
    check_shares(shares)
    check_rows(labels)
    generator = np.random.Generator(np.random.PCG64(mix(seed)))
    pieces: list[list[np.ndarray]] = [[], [], []]
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < 3:
            raise ValueError(
                f"Class {label} has {count} rows; a split into three parts needs at least 3. "
                "Add rows, merge the class with another, or leave it out."
            )
        rows = generator.permutation(np.flatnonzero(labels == label))
        first = min(max(round(count * shares[0]), 1), count - 2)
        second = min(max(round(count * (shares[0] + shares[1])), first + 1), count - 1)
        for piece, part in zip(pieces, np.split(rows, [first, second]), strict=True):
            piece.append(part)
    return Split(*(np.sort(np.concatenate(piece)) for piece in pieces))


def check_split_classes(split: Split, labels: np.ndarray, classes: Sequence[object]) -> None:
    """Raise when a class is absent from a part, with the counts of each part.

    Args:
        split: the three parts.
        labels: class indices of all rows, (N,) int64.
        classes: the names of the classes.

    Raises:
        ValueError: a class has no row in a part.

    Example:
        >>> split = Split(np.array([0, 1]), np.array([2]), np.array([3]))
        >>> check_split_classes(split, np.array([0, 1, 0, 1]), ["no", "yes"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: Class 'yes' has no row in the val part (train: [1, 1], val: [1, 0], test: [0, 1]). Use ...
    """
    check_same_length(labels=labels, rows=np.concatenate(split))
    counts = {
        name: np.bincount(labels[rows], minlength=len(classes)) for name, rows in zip(Split._fields, split, strict=True)
    }
    for name, count in counts.items():
        if (count == 0).any():
            missing = classes[int(np.argmin(count))]
            raise ValueError(
                f"Class {missing!r} has no row in the {name} part "
                f"({', '.join(f'{part}: {c.tolist()}' for part, c in counts.items())}). "
                "Use other split shares, or a stratified split (no time column)."
            )


def check_shares(shares: Sequence[float]) -> None:
    """Raise unless the shares are three positive numbers that sum to 1."""
    if len(shares) != 3 or not all(share > 0 for share in shares) or not abs(sum(shares) - 1) <= 1e-6:
        raise ValueError(f"The split shares must be three positive numbers that sum to 1, got {tuple(shares)}.")


def check_rows(rows: Sized) -> None:
    """Raise when there is nothing to split."""
    if len(rows) == 0:
        raise ValueError("There are no rows to split.")


def check_complete(role: str, values: np.ndarray) -> None:
    """Raise when a value of the "time" or "group" column is missing."""
    missing = require("pandas", extra="train").isna(values)
    if missing.any():
        raise ValueError(
            f"The {role} column has {int(missing.sum())} missing values (first: row {int(np.argmax(missing))}). "
            "Fill them or remove these rows."
        )
