"""The splits of a comparison: the same for every technique, random, moving on in time, or one that stays."""

from __future__ import annotations

import copy

import numpy as np

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch.data import Split, check_split_classes, group_split, prequential_folds, stratified_split
from imbalance_torch.training import TabularDataModule

SPLITS = ("auto", "random", "prequential", "fixed")


def kind_of_splits(data: TabularDataModule, splits: str) -> str:
    """Return "random", "prequential" or "fixed": what was asked for, by default what the columns call for."""
    check_choice("splits", splits, SPLITS)
    by_time = data.schema.time is not None
    if splits == "prequential" and not by_time:
        raise ValueError("`splits` 'prequential' needs the time of each row: name a time column.")
    return splits if splits != "auto" else "prequential" if by_time else "random"


def cut(data: TabularDataModule, kind: str, num_repeats: int) -> list[Split]:
    """Return one split for each repeat.

    ``random``: stratified by class, or whole groups where there is a group column. ``prequential``: windows of equal
    length that move on by one test window; the newest rows of the training window validate. ``fixed``: the split of
    the data module, again and again.

    Raises:
        ValueError: a class is absent from a part of a split.
    """
    check_int("num_repeats", num_repeats, minimum=1)
    if kind == "fixed":
        return [data.split] * num_repeats
    labels = data.y.numpy()
    if kind == "prequential":
        found = _windows(data, num_repeats)
    else:
        seeds = range(data.seed, data.seed + num_repeats)
        groups = None if data.schema.group is None else data.frame[data.schema.group].to_numpy()
        found = [
            stratified_split(labels, data.split_shares, seed=seed)
            if groups is None
            else group_split(labels, groups, data.split_shares, seed=seed)
            for seed in seeds
        ]
    for number, split in enumerate(found):
        inside = Split(*np.split(np.arange(sum(map(len, split))), np.cumsum([len(split.train), len(split.val)])))
        try:
            check_split_classes(inside, labels[np.concatenate(split)], data.schema.classes)
        except ValueError as error:
            raise ValueError(f"Repeat {number}: {error} Or use fewer repeats, or splits='fixed'.") from error
    return found


def with_split(data: TabularDataModule, split: Split) -> TabularDataModule:
    """Return the same table with another split, and an encoder fitted on its training rows."""
    other = copy.copy(data)
    for name in ("x", "encoder", "class_counts", "findings"):
        other.__dict__.pop(name, None)
    other.__dict__["split"] = split
    return other


def of_rows(data: TabularDataModule, rows: np.ndarray) -> TabularDataModule:
    """Return a table of some rows alone; its own split is not cut yet."""
    other = copy.copy(data)
    for name in ("x", "encoder", "class_counts", "findings", "split"):
        other.__dict__.pop(name, None)
    other.__dict__["frame"] = data.frame.iloc[rows].reset_index(drop=True)
    other.__dict__["y"] = data.y[rows]
    other.audit = False
    return other


def ratio_of_test_to_train(splits: list[Split]) -> float:
    """Return the mean ratio of test rows to training rows; validation rows have no part in the ranking."""
    return float(np.mean([len(split.test) / len(split.train) for split in splits]))


def _windows(data: TabularDataModule, num_repeats: int) -> list[Split]:
    """Cut windows by rank, so that each has about the same rows; rows of one time have one rank."""
    time = data.frame[data.schema.time].to_numpy()
    _, code, counts = np.unique(time, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts)[code]
    train, val, test = data.split_shares
    width = len(rank) / ((train + val) / test + num_repeats)  # of a test window
    folds = prequential_folds(
        rank, num_folds=num_repeats, train=(train + val) / test * width, delay=0, test=width, start=0
    )
    found = []
    for fold in folds:
        known = np.searchsorted(rank[fold.train], rank[fold.train[0]] + train / test * width)
        found.append(Split(fold.train[:known], fold.train[known:], fold.test))
    return found
