"""Tomek links: pairs of rows of different classes that are each other's nearest neighbour."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import CleaningStrategy, resolve_cleaning
from imbalance_torch.resampling._over import Classes, warn_of_scales
from imbalance_torch.resampling._under import UnderSampler, warn_of_lost


class TomekLinks(UnderSampler):
    """Cleaning that removes rows whose nearest neighbour is of another class and has them as its nearest in turn.

    Args:
        sampling_strategy: Which classes lose rows, as in imbalanced-learn: ``"auto"`` (every class but the minority),
            ``"majority"``, ``"not minority"``, ``"not majority"``, ``"all"``; a list of classes; or a callable that
            receives ``y`` and returns one of these.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Labels of the classes that lose rows.
        sample_indices_: Rows of the given ``X`` that stay, ascending.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, or ``y`` holds one class.

    Warns:
        UserWarning: If no row of a class is left, or column widths differ by more than 1000.

    Notes:
        Of each link the rows of the classes in ``sampling_strategy`` go, both with ``"all"``. Rows stay in their order;
        containers are as in ``RandomUnderSampler``. Of equally near rows the first is the nearest neighbour, so that
        of several duplicates at most one pair is a link. Time O(N^2 d), memory O(N). Deterministic.

    NOTE[DIFF]: A row is left out of its own neighbours by its number; imbalanced-learn drops the first neighbour found,
    which among duplicates may be another row.

    References:
        Tomek. Two modifications of CNN. IEEE Transactions on Systems, Man, and Cybernetics 6, 1976.

    Example:
        >>> X, y = torch.tensor([[0.0], [1.0], [4.0], [4.5], [9.0]]), torch.tensor([0, 0, 0, 1, 1])
        >>> TomekLinks().fit_resample(X, y)[0].flatten().tolist()
        [0.0, 1.0, 4.5, 9.0]
    """

    _resolve = staticmethod(resolve_cleaning)

    def __init__(
        self, sampling_strategy: CleaningStrategy = "auto", *, memory_budget: int | Literal["auto"] = "auto"
    ) -> None:
        super().__init__(sampling_strategy)
        self.memory_budget = memory_budget

    def _kept(self, classes: Classes, strategy: list[Any]) -> Tensor:
        warn_of_scales(classes.table)
        table, codes = classes.searchable(classes.table), classes.codes
        first = nearest(table, table, 1, exclude_self=True, memory_budget=self.memory_budget).indices.flatten()
        mutual = first[first] == torch.arange(len(codes), device=codes.device)
        targeted = torch.tensor([label in strategy for label in classes.counts], device=codes.device)
        index = (~(mutual & (codes[first] != codes) & targeted[codes])).nonzero().flatten()
        warn_of_lost(classes, index)
        return index
