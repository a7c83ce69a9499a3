"""What surrounds a row among ALL rows: its nearest ones, and how many of them are of another class."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from imbalance_torch.neighbors._knn import Neighbors, nearest
from imbalance_torch.resampling._over import Classes


def nearest_of_all(
    classes: Classes, rows: Tensor, k: int, name: str, memory_budget: int | Literal["auto"]
) -> Neighbors:
    """Return the ``k`` nearest of all other rows of the table for the table's ``rows``; ``name`` is that of ``k``."""
    total = len(classes.table)
    if total <= k:
        raise ValueError(
            f"`{name}` must be smaller than the rows of `X`, got {name}={k} and {total} rows. Use {name}={total - 1}."
        )
    table = classes.searchable(classes.table)
    distances, indices = nearest(table[rows], table, k + 1, memory_budget=memory_budget)
    others_first = (indices == rows[:, None]).byte().argsort(dim=1, stable=True)[:, :k]
    return Neighbors(distances.gather(1, others_first), indices.gather(1, others_first))


def strangers(classes: Classes, label: Any, k: int, name: str, memory_budget: int | Literal["auto"]) -> Tensor:
    """Count the rows of other classes among the ``k`` nearest of all rows, for each row of a class."""
    near = nearest_of_all(classes, classes.members[label], k, name, memory_budget).indices
    return (classes.codes[near] != classes.ranks[label]).sum(1)
