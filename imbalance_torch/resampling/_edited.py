"""Edited nearest neighbours: rows go when their neighbours disagree with their label."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch.plan import CleaningStrategy, resolve_cleaning
from imbalance_torch.resampling._over import Classes, warn_of_scales
from imbalance_torch.resampling._surroundings import nearest_of_all
from imbalance_torch.resampling._under import UnderSampler, warn_of_lost


class EditedNearestNeighbours(UnderSampler):
    """Cleaning that removes rows whose nearest neighbours, among all rows, are of other classes.

    Args:
        sampling_strategy: Which classes lose rows; see ``TomekLinks``.
        n_neighbors: Neighbours that decide, >= 1, fewer than the rows of ``X``.
        kind_sel: ``"all"`` keeps a row when all its neighbours are of its class; ``"mode"`` when its class is the most
            frequent among them, of equally frequent ones the first in sorted order.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Labels of the classes that lose rows.
        sample_indices_: Rows of the given ``X`` that stay, in the order of the result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or ``X`` has
            ``n_neighbors`` rows or fewer.

    Warns:
        UserWarning: If no row of a class is left, or column widths differ by more than 1000.

    Notes:
        All rows are judged by the given ones: one that goes still votes on others. Rows are grouped by sorted class and
        in their order within it; containers are as in ``RandomUnderSampler``. Of equally near rows the first ones are
        the neighbours. Time O(M N d) for the M rows of the classes that lose rows, memory O(M ``n_neighbors``).
        Deterministic.

    NOTE[DIFF]: Wilson keeps a row when the majority of its neighbours agrees (``"mode"``); the default ``"all"`` is
    imbalanced-learn's. A row is left out of its own neighbours by its number; imbalanced-learn drops the first
    neighbour found, which among duplicates may be another row. ``"mode"`` takes labels of any kind.

    References:
        Wilson. Asymptotic properties of nearest neighbor rules using edited data. IEEE Transactions on Systems, Man,
        and Cybernetics 2, 1972.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [8.1], [8.0], [9.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> EditedNearestNeighbours(n_neighbors=1).fit_resample(X, y)[0].flatten().tolist()
        [0.0, 1.0, 2.0, 8.0, 9.0]
    """

    _resolve = staticmethod(resolve_cleaning)

    def __init__(
        self,
        sampling_strategy: CleaningStrategy = "auto",
        *,
        n_neighbors: int = 3,
        kind_sel: str = "all",
        memory_budget: int | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(sampling_strategy)
        self.n_neighbors = check_int("n_neighbors", n_neighbors, minimum=1)
        self.kind_sel = check_choice("kind_sel", kind_sel, ("all", "mode"))
        self.memory_budget = memory_budget

    def _kept(self, classes: Classes, strategy: list[Any]) -> Tensor:
        by_class = torch.cat(list(classes.members.values()))
        targeted = torch.tensor([label in strategy for label in classes.counts], device=by_class.device)
        judged = targeted[classes.codes[by_class]]
        rows = by_class[judged]
        warn_of_scales(classes.table)
        near = nearest_of_all(classes, rows, self.n_neighbors, "n_neighbors", self.memory_budget).indices
        stays = torch.ones_like(judged)
        stays[judged] = self._agree(classes.codes[near], classes.codes[rows, None])
        index = by_class[stays]
        warn_of_lost(classes, index)
        return index

    def _agree(self, near: Tensor, own: Tensor) -> Tensor:
        """Tell for each row whether the labels of its neighbours, (M, k), speak for its own, (M, 1)."""
        if self.kind_sel == "all":
            return (near == own).all(1)
        near = near.sort(dim=1).values
        votes = torch.stack([(near == column[:, None]).sum(1) for column in near.T], dim=1)
        return (near.gather(1, votes.argmax(1, keepdim=True)) == own).flatten()
