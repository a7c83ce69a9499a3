"""Grouped split: all rows of a card, a patient or a machine on one side, class shares as even as that allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imbalance_torch._checks import check_same_length, require
from imbalance_torch._random import mix
from imbalance_torch.data._splitting import Split, check_complete, check_rows, check_shares


def group_split(
    labels: np.ndarray, groups: np.ndarray, shares: Sequence[float] = (0.6, 0.2, 0.2), *, seed: int = 0
) -> Split:
    r"""Split at random so that no group is on two sides.

    The group with the largest share of any class comes first; each goes to the part p with the largest

    .. math:: \sum_c \frac{v_c}{s_p n_c^2} \left(2 (s_p n_c - a_{pc}) - v_c\right)

    with :math:`v_c` the rows of class c in the group, :math:`n_c` in the table and :math:`a_{pc}` in the part so far,
    :math:`s_p` the part's entry of ``shares``: the choice that leaves the least chi-square distance to the wanted
    counts, every class in units of its size. When a class has no more groups left than parts without it, those parts
    come first. Groups of equal class counts are shared out together; ``seed`` says which of them goes where.

    Args:
        labels: class indices, (N,).
        groups: group of each row, (N,): whole numbers, text or anything else that hashes; missing ones are an error.
        shares: of training, validation and test rows; they sum to 1.
        seed: the same seed gives the same split.

    Returns:
        The three parts, each in the order of the table.

    Raises:
        ValueError: bad shares, a missing group, a class that is in fewer than three groups, or groups that share
            their classes so that a part stays without one.

    Notes:
        A group larger than its part's share cannot be divided: the shares are then as uneven as it makes them. Time
        is O(N + distinct class counts of a group), memory O(groups x classes).

    Example:
        >>> cards = np.repeat(np.arange(10), 4)
        >>> labels = np.tile([0, 0, 0, 1], 10)
        >>> [sorted({*cards[rows].tolist()}) for rows in group_split(labels, cards)]
        [[0, 1, 2, 3, 7, 9], [4, 6], [5, 8]]
    """
    check_shares(shares)
    check_same_length(labels=labels, groups=groups)
    check_rows(labels)
    groups = np.asarray(groups)
    check_complete("group", groups)
    codes, names = require("pandas", extra="train").factorize(groups)
    classes, labels = np.unique(labels, return_inverse=True)
    size = len(names), len(classes)
    counts = np.bincount(codes * len(classes) + labels, minlength=size[0] * size[1]).reshape(size)
    spread = (counts > 0).sum(axis=0)
    if spread.min() < len(shares):
        raise ValueError(
            f"Class {classes[spread.argmin()]} is in {spread.min()} group(s); a grouped split into three parts needs "
            "at least 3. Merge the class with another, or split by rows (no group column)."
        )
    part = _place(counts, np.asarray(shares), np.random.Generator(np.random.PCG64(mix(seed))))[codes]
    split = Split(*(np.flatnonzero(part == index) for index in range(len(shares))))
    for name, rows in zip(Split._fields, split, strict=True):
        absent = np.setdiff1d(np.arange(len(classes)), labels[rows])
        if len(absent):
            raise ValueError(
                f"Class {classes[absent[0]]} has no row in the {name} part: it is in {spread[absent[0]]} groups, which "
                "it shares with other rare classes. Merge the class with another, or use another seed."
            )
    return split


def _place(counts: np.ndarray, shares: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the part of each group from its class counts, (groups, classes)."""
    total = counts.sum(axis=0)
    wanted, placed = np.outer(shares, total), np.zeros((len(shares), len(total)), dtype=np.int64)
    unplaced = (counts > 0).sum(axis=0)
    part = np.empty(len(counts), dtype=np.int64)
    kinds, kind_of = np.unique(counts, axis=0, return_inverse=True)
    shuffled = generator.permutation(len(counts))
    members = np.split(shuffled[np.argsort(kind_of[shuffled], kind="stable")], np.cumsum(np.bincount(kind_of))[:-1])
    for kind in np.argsort(-(kinds / total).max(axis=1), kind="stable"):
        rows, inside, pull = kinds[kind], kinds[kind] > 0, kinds[kind] / total**2
        # All but three of the groups of a kind go in proportion to what the parts lack, the last ones one by one.
        lacking = np.maximum((wanted - placed) @ pull, 0)
        many = max(len(members[kind]) - len(shares), 0)
        bulk = np.floor(many * lacking / max(lacking.sum(), np.finfo(float).tiny)).astype(np.int64)
        placed += np.outer(bulk, rows)
        unplaced -= bulk.sum() * inside
        chosen = np.repeat(np.arange(len(shares)), bulk).tolist()
        for _ in range(len(members[kind]) - len(chosen)):
            without = (placed == 0) & inside
            last = (without & (unplaced <= without.sum(axis=0))).sum(axis=1)
            gain = (2 * (wanted - placed) - rows) @ pull / shares
            best = int(np.lexsort((shares, gain, last))[-1])
            placed[best] += rows
            unplaced -= inside
            chosen.append(best)
        part[members[kind]] = chosen
    return part
