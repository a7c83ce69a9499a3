"""MLSMOTE: synthetic rows for data in which a row can carry several labels."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int, check_same_device, check_same_length, warn
from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.neighbors._knn import Neighbors, nearest
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Plan, computing_dtype, interpolate
from imbalance_torch.resampling._over import Classes, Resampled, warn_of_scales

_Part: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]  # base, neighbour, gap and labels of new rows


class MLSMOTE:
    r"""Multi-label SMOTE: one synthetic row for every row that carries a rare label, with the labels of the majority.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad \lambda \sim U[0, 1), \quad
        y_{new,l} = \Big[ y_{i,l} + \sum_{n \in N(i)} y_{n,l} > \frac{k + 1}{2} \Big]

    A label l is rare where its imbalance ratio :math:`IR_l = \max_m c_m / c_l` is above the mean ratio of the labels
    that occur, with :math:`c_l` the rows that carry it. The rows that carry a rare label are its bag. Each row x_i of
    the bag (``base_index``) is the seed of one synthetic row: N(i) are its ``k_neighbors`` = k nearest rows of the bag,
    x_j (``neighbor_index``) is one of them, uniform, and :math:`\lambda` is the ``gap``. A new row carries the labels
    that more than half of its seed and N(i) carry, so always the label of the bag.

    Args:
        k_neighbors: Neighbours in the bag, >= 1.
        random_state: Seed, ``torch.Generator`` (used once per call, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when a bag has ``k_neighbors`` rows or fewer, or equal rows only: ``"warn"`` or
            ``"error"``.

    Attributes:
        label_counts_: Label to rows that carry it. Labels are column names of a DataFrame, else column numbers.
        imbalance_ratios_: Label to imbalance ratio; infinite for a label that no row carries.
        mean_imbalance_ratio_: Mean of the finite ratios.
        added_: Rare label to synthetic rows with a seed in its bag.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, or ``Y`` is no matrix of 0 and 1 that
            holds a 1.

    Notes:
        A bag of ``k_neighbors`` rows or fewer uses all its other rows as neighbours (k is then their number), and a bag
        of one row gets no new row; one warning names all such labels, and those whose bag holds equal rows only, so
        that new rows are copies. A row with several rare labels is a seed for each. Where all ratios are equal, and
        with a single label, nothing is rare and nothing is added. Common labels grow along, so that ratios fall but do
        not become 1. Each label has its own random stream. ``X`` and ``Y`` may be tensors, NumPy arrays or DataFrames,
        and come back as what they were; halves and integers are treated as in ``SMOTE``. Time O(sum of n^2 d) for bags
        of n rows; memory: the result, and k int64 per row of a bag.

    NOTE[DIFF]: Charte et al. draw a gap per column, append synthetic rows to the data while labels are visited, and
    take the most frequent value of nominal columns; here the gap is one number per row, bags hold original rows alone
    (so that the order of labels does not matter), and all columns are numbers. imbalanced-learn has no such method.

    References:
        Charte, Rivera, del Jesus, Herrera. MLSMOTE: Approaching imbalanced multilabel learning through synthetic
        instance generation. Knowledge-Based Systems 89, 2015.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0], [10.0]])
        >>> Y = torch.tensor([[1, 0], [1, 0], [1, 0], [1, 0], [1, 1], [1, 1], [0, 1]])
        >>> mlsmote = MLSMOTE(k_neighbors=2, random_state=0)
        >>> X_res, Y_res = mlsmote.fit_resample(X, Y)
        >>> mlsmote.added_, Y_res[7:].tolist(), bool((X_res[7:] >= 8).all())
        ({1: 3}, [[1, 1], [1, 1], [1, 1]], True)
    """

    label_counts_: dict[Any, int]
    imbalance_ratios_: dict[Any, float]
    mean_imbalance_ratio_: float
    added_: dict[Any, int]

    def __init__(
        self,
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.on_degenerate = check_choice("on_degenerate", on_degenerate, ("warn", "error"))

    def fit_resample(self, X: Rows, Y: Rows, *, return_info: bool = False) -> tuple[Rows, ...]:
        """Return the original rows, unchanged, followed by the synthetic rows, label by label in column order.

        Args:
            X: (N, d) finite numbers.
            Y: (N, L) matrix of 0 and 1 (numbers or booleans).
            return_info: Return a ``Resampled``, whose ``y`` is the label matrix, in place of ``(X, Y)``.

        Returns:
            ``(X_res, Y_res)``, or a ``Resampled``. Rows are not shuffled.
        """
        table = containers.features(X)
        carried = _label_matrix(Y, table)
        names = list(Y.columns) if containers.is_frame(Y) else list(range(carried.shape[1]))
        counts = carried.sum(0).double()
        ratios = counts.max() / counts
        mean = float(ratios[counts > 0].mean())
        rare = (ratios.isfinite() & (ratios > mean * (1 + 1e-12))).nonzero().flatten().tolist()
        warn_of_scales(table)
        seed = seed_from(self.random_state)
        bags = {column: carried[:, column].nonzero().flatten() for column in rare}
        problems = [f"label {names[j]!r} has {len(bag)}" for j, bag in bags.items() if len(bag) <= self.k_neighbors]
        bags = {column: bag for column, bag in bags.items() if len(bag) > 1}
        near = {column: self._near(table[bag]) for column, bag in bags.items()}
        problems += [f"all rows of label {names[j]!r} are equal" for j in near if not near[j].distances.any()]
        if problems:
            self._degenerate(problems)
        nothing = carried.new_empty(0, dtype=torch.int64)
        parts: list[_Part] = [(nothing, nothing, nothing.double(), carried[:0])]
        parts += [self._drawn(carried, bag, near[j].indices, generator_for(seed, j)) for j, bag in bags.items()]
        base, neighbor, gap, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        plan = Plan(base, neighbor, gap.to(computing_dtype(table)))
        self.label_counts_ = dict(zip(names, counts.long().tolist(), strict=True))
        self.imbalance_ratios_ = dict(zip(names, ratios.tolist(), strict=True))
        self.mean_imbalance_ratio_ = mean
        self.added_ = {names[column]: len(bags.get(column, ())) for column in rare}
        rows = interpolate(table, plan, table.new_empty(len(base), table.shape[1]))
        X_res = containers.joined(X, containers.rows_as(containers.template(X), rows))
        Y_res = containers.joined(Y, _labels_as(Y, labels))
        if not return_info:
            return X_res, Y_res
        is_synthetic = torch.arange(len(table) + len(base), device=table.device) >= len(table)
        info = (is_synthetic, plan.base, plan.neighbor, plan.gap)
        return Resampled(X_res, Y_res, *(containers.array_as(X, part) for part in info))

    def _near(self, rows: Tensor) -> Neighbors:
        """Return the neighbours of each row of a bag in it: ``k_neighbors``, or all others."""
        rows = Classes.searchable(rows)
        k = min(self.k_neighbors, len(rows) - 1)
        return nearest(rows, rows, k, exclude_self=True, memory_budget=self.memory_budget)

    def _drawn(self, carried: Tensor, bag: Tensor, near: Tensor, generator: torch.Generator) -> _Part:
        """Return base, neighbour, gap and labels of one new row for each row of a bag."""
        size, k = near.shape
        column = torch.randint(k, (size, 1), generator=generator).to(bag.device)
        gap = torch.rand(size, generator=generator, dtype=torch.float64).to(bag.device)
        votes = carried[bag].int()
        for other in near.T:
            votes += carried[bag[other]]
        return bag, bag[near.gather(1, column).flatten()], gap, 2 * votes > k + 1

    def _degenerate(self, problems: list[str]) -> None:
        message = (
            f"Rare labels with few different rows for k_neighbors={self.k_neighbors}: {', '.join(problems)}. Fewer "
            "neighbours are used, one row gets no new row, equal rows get copies; lower `k_neighbors` or drop the "
            "labels."
        )
        if self.on_degenerate == "error":
            raise ValueError(message)
        warn(message)


def _label_matrix(Y: Rows, X: Tensor) -> Tensor:
    """Return which labels each row carries, as (N, L) booleans on the device of ``X``."""
    if isinstance(Y, Tensor):
        check_same_device(X=X, Y=Y)
        values = Y.detach()
    else:
        array = np.asarray(Y)
        try:
            array = array.astype(np.float64, casting="unsafe" if array.dtype.kind == "O" else "same_kind")
        except (TypeError, ValueError):
            raise TypeError(f"`Y` must hold numbers or booleans, got dtype={array.dtype}.") from None
        values = torch.as_tensor(array).to(X.device)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(
            f"`Y` must have shape (N, L) with L >= 1, got {tuple(values.shape)}. Use SMOTE for (N,) labels."
        )
    check_same_length(X=X, Y=values)
    if not ((values == 0) | (values == 1)).all():
        raise ValueError("`Y` must hold 0 and 1 only. Give each label a column of its own, and drop missing values.")
    carried = values == 1
    if not carried.any():
        raise ValueError("`Y` must hold a 1, got no row with a label.")
    return carried


def _labels_as(Y: Rows, carried: Tensor) -> Rows:
    """Return new label rows in the kind and dtype of ``Y``."""
    if isinstance(Y, Tensor):
        return carried.to(Y.dtype)
    if containers.is_frame(Y):
        return containers.rows_as(containers.template(Y), carried.double())
    return carried.numpy(force=True).astype(np.asarray(Y).dtype)
