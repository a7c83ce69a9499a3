"""SMOTE-N: synthetic rows of tables that hold categories alone."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState
from imbalance_torch.neighbors._geometry import full_precision
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._categories import CategoricalOverSampler, VotingGraph, exact
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import GraphBuilder, Plan
from imbalance_torch.resampling._over import Classes

_BYTES = 48  # of working memory per distance while the nearest rows are chosen


class SMOTEN(CategoricalOverSampler):
    r"""SMOTE for tables of categories: each column of a synthetic row is voted on by a row and its neighbours.

    .. math::
        \Delta(i, j) = \sum_f \Bigl( \sum_c \bigl| P(c \mid x_{if}) - P(c \mid x_{jf}) \bigr| \Bigr)^2

    the value difference metric over columns f and classes c; :math:`P(c \mid v)` is the share of class c among ALL
    rows with the value v in column f, so that values are near when they say the same about the class. A synthetic row
    starts from a row of the class (``base_index``, uniform) and takes in each column the most frequent value among that
    row and its ``k_neighbors`` nearest rows of the same class.

    Args:
        sampling_strategy: Which classes grow and to what count, as in ``SMOTE``.
        k_neighbors: Neighbours that vote beside the row itself, >= 1, fewer than the rows of the class.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search; ``"auto"`` is 128 MB on CPU and a quarter of
            the free memory on CUDA. The result does not depend on it; at least one row of distances is held.
        on_degenerate: What happens when all rows of a class equal their neighbours, or differ at distance 0:
            ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        categorical_features_: Positions of the columns: all.
        graph_: The voters of the rows of the classes that grow.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, a value of ``X`` is missing or infinite, ``y`` holds one class, or a
            class that grows has ``k_neighbors`` rows or fewer.

    Notes:
        ``X`` may be a tensor or a NumPy array of numbers (each distinct number is a category), a NumPy array of text
        or objects, or a DataFrame of pandas or polars; results have its kind, dtypes, categories and column names.
        Counts are exact. Of equally frequent values the smallest wins (that seen first, where values cannot be
        sorted); of equally distant rows the first. A synthetic row follows from its base alone: ``neighbor_index``
        equals ``base_index`` and ``gap`` is 0.

        A class has at most as many different synthetic rows as rows; where all equal their neighbours they are copies,
        and a UserWarning says so. Values that occur once tell the rows of a class apart by nothing (all distances are
        0), so encode numbers as ranges first; a UserWarning says when it is so for a whole class.

        Exact, without a table of n by n distances: time O(u^2 d C + u n) for u different rows among the n of a class,
        d columns and C classes; beside ``memory_budget`` ``fit`` takes 8 bytes per entry of ``X`` and 8 C per value
        and per row of the class. The graph holds the rows of the classes that grow and ``k_neighbors`` + 6 numbers of
        8 bytes per row. Each synthetic row takes (``k_neighbors`` + 1)^2 comparisons per column.

    NOTE[DIFF]: As in imbalanced-learn, P is taken over all rows and the row itself votes. There, the row can lose its
    vote where more than ``k_neighbors`` others are at distance 0, equally distant rows are ordered by chance, and the
    distances of all pairs of a class are held in memory.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002, section 6.2.
        Stanfill, Waltz. Toward Memory-Based Reasoning. Communications of the ACM 29(12), 1986.

    Example:
        >>> X = [["tea", "hot"], ["tea", "ice"], ["milk", "ice"], ["tea", "hot"], ["ale", "ice"], ["tea", "ice"]]
        >>> X_res, y_res = SMOTEN(k_neighbors=1, random_state=0).fit_resample(X, [0] * 4 + [1] * 2)
        >>> X_res[6:].tolist(), y_res.tolist()
        ([['ale', 'ice'], ['ale', 'ice']], [0, 0, 0, 0, 1, 1, 1, 1])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, k_neighbors, random_state, memory_budget, on_degenerate)

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan of this class into ``out``, new where it is None, and return it."""
        rows = self.graph_.rows
        out = rows.new_empty(len(plan.gap), rows.shape[1]) if out is None else out
        self.graph_.elect(plan, out)
        return out

    def _columns(self, X: Rows, width: int) -> list[int]:
        return list(range(width))

    def _graph(self, classes: Classes, growing: list[Any]) -> VotingGraph:
        codes = torch.stack([torch.unique(exact(column), return_inverse=True)[1] for column in classes.table.T], 1)
        shares = [_shares(column, classes.codes, len(classes.counts)) for column in codes.T]
        builder, near = GraphBuilder(classes.table), {}
        for label in growing:
            self._check_size(classes, label)
            members = classes.members[label]
            near[label] = self._neighbors(codes[members], shares, label)
            alone = torch.arange(len(members), device=members.device).unsqueeze(1)
            still = torch.zeros_like(alone, dtype=torch.float64)
            builder.add(label, classes.ranks[label], members, alone, low=still, width=still)
        graph = builder.graph()
        voters = [
            torch.cat((edges.bases.unsqueeze(1), near[label] + edges.bases[0]), 1)
            for label, edges in graph.edges.items()
        ]
        return VotingGraph.of(graph, voters, self.k_neighbors + 1, self._coding)

    def _neighbors(self, codes: Tensor, shares: list[Tensor], label: Any) -> Tensor:
        """Return the (n, k) nearest other rows of each row of a class; equally distant ones by position."""
        different, origin = torch.unique(codes, dim=0, return_inverse=True)
        step = max(1, self._budget(codes.device) // (_BYTES * len(codes)))
        with full_precision(codes.device):
            found = [
                _first(_distances(rows, different, shares)[:, origin], self.k_neighbors + 1)
                for rows in torch.split(different, step)
            ]
        squared, indices = (torch.cat(parts)[origin] for parts in zip(*found, strict=True))
        self_last = (indices == torch.arange(len(codes), device=codes.device).unsqueeze(1)).byte()
        indices = indices.gather(1, self_last.argsort(dim=1, stable=True)[:, : self.k_neighbors])
        if not squared.any():
            if (codes[indices] == codes.unsqueeze(1)).all():
                self._degenerate(
                    f"All {len(codes)} rows of class {label!r} equal their {self.k_neighbors} nearest neighbours, so "
                    "synthetic rows are copies. Raise `k_neighbors`, or use random over-sampling."
                )
            else:
                self._degenerate(
                    f"The value difference metric is 0 between rows of class {label!r} and their neighbours, though "
                    "they differ: their values occur in the same shares of the classes, as values that occur once do. "
                    "Neighbours are then the first rows. Encode numbers as ranges, and rare values as one."
                )
        return indices

    def _budget(self, device: torch.device) -> int:
        if self.memory_budget != "auto":
            return check_int("memory_budget", self.memory_budget, minimum=1)
        return 128 << 20 if device.type == "cpu" else int(torch.cuda.mem_get_info(device)[0]) // 4


def _shares(codes: Tensor, classes: Tensor, number: int) -> Tensor:
    """Return the (values, classes) shares of each class among the rows with each value."""
    pairs = torch.bincount(codes * number + classes, minlength=(int(codes.max()) + 1) * number)
    counts = pairs.view(-1, number).double()
    return counts / counts.sum(1, keepdim=True)


def _distances(query: Tensor, reference: Tensor, shares: list[Tensor]) -> Tensor:
    """Return the (q, u) value differences of rows of codes."""
    total = shares[0].new_zeros(len(query), len(reference))
    for j, share in enumerate(shares):
        total += torch.cdist(share[query[:, j]], share[reference[:, j]], p=1).square_()
    return total


def _first(distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` smallest entries of each row, ascending with ties by column, and their columns."""
    limit = distances.topk(count, largest=False).values[:, -1:]
    below, level = distances < limit, distances == limit
    room = count - below.sum(1, keepdim=True)
    columns = (below | (level & (level.cumsum(1, dtype=torch.int32) <= room))).nonzero()[:, 1].view(-1, count)
    values, order = distances.gather(1, columns).sort(dim=1, stable=True)
    return values, columns.gather(1, order)
