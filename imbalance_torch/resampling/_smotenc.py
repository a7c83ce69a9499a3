"""SMOTE-NC: synthetic rows of tables with numbers and categories side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState, mix, seed_from
from imbalance_torch.neighbors._geometry import Geometry, full_precision
from imbalance_torch.neighbors._search import Search
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._categories import CategoricalOverSampler, VotingGraph, exact
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import GraphBuilder, Plan, interpolate
from imbalance_torch.resampling._over import Classes, warn_of_scales


class SMOTENC(CategoricalOverSampler):
    r"""SMOTE for tables with numbers and categories: numbers are interpolated, categories are voted on.

    .. math:: d(i, j)^2 = \sum_{q} (x_{iq} - x_{jq})^2 + m^2 \, |\{c : x_{ic} \neq x_{jc}\}|

    with q the continuous and c the categorical columns and m the median, over the continuous columns, of their standard
    deviation (divisor n) within the class: one category that differs costs as much as a typical difference of numbers.
    A synthetic row has the numbers :math:`x_i + \lambda (x_j - x_i)`, :math:`\lambda \sim U[0, 1)`, of a row x_i
    (``base_index``) and one of its ``k_neighbors`` nearest rows of the same class x_j (``neighbor_index``), and in each
    categorical column the most frequent value among all ``k_neighbors`` neighbours of x_i, x_i itself left out.

    Args:
        categorical_features: Which columns hold categories: positions, names (of a DataFrame), a boolean mask of length
            d, or ``"auto"``: the columns of a DataFrame of category, object, string and boolean dtype.
        sampling_strategy: Which classes grow and to what count, as in ``SMOTE``.
        k_neighbors: Neighbours that a row can be joined with and that vote, >= 1, fewer than the rows of the class.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when categories do not count, or when all rows of a class equal their neighbours:
            ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        categorical_features_: Positions of the categorical columns, ascending.
        median_std_: Label of each class that grows to m.
        graph_: The neighbour graph of the classes that grow.

    Raises:
        TypeError: If an argument is of the wrong kind, or a continuous column holds no numbers.
        ValueError: If a value is out of range, a column is unknown, all columns or none are categorical, a value of
            ``X`` is missing or infinite, ``y`` holds one class, or a class that grows has ``k_neighbors`` rows or
            fewer.

    Notes:
        ``X`` may be a tensor or a NumPy array of numbers (any numbers stand for categories), a NumPy array of objects
        or a DataFrame of pandas or polars; results have its kind, dtypes, categories and column names. Whole-number
        columns that are continuous are rounded to the nearest integer. Counts are exact. Equally frequent categories
        are drawn at random, per row and column, from the stream of the class.

        Where m is 0 (more than half of the continuous columns are constant in the class), categories do not count in
        distances; a UserWarning says so. Rows are not scaled: a UserWarning says when widths of continuous columns
        differ by more than 1000.

        Neighbours are exact, as of ``knn``; categories are compared, never one-hot encoded, so that neither time nor
        memory depends on how many there are: O(n^2 d) for a class of n rows, three float64 copies of them beside
        ``memory_budget``; a frame or an array of objects is coded as numbers first, column by column. The graph holds
        the rows of the classes that grow and 2 ``k_neighbors`` int64 per row. Each synthetic row takes
        ``k_neighbors``^2 comparisons per categorical column.

    NOTE[DIFF]: Chawla et al. draw a gap per column; here, as in imbalanced-learn, it is one per row. Unlike
    imbalanced-learn, each class has its own random stream, a row is never its own neighbour, whole numbers are rounded
    and have the m of their real values (there m and the distances are truncated to integers where all continuous
    columns are), ``"auto"`` finds text and booleans too, and missing categories are refused.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002, section 6.1.

    Example:
        >>> X = torch.tensor([[0.0, 7], [1.0, 7], [2.0, 5], [3.0, 5], [8.0, 6], [9.0, 6]])
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> X_res, y_res = SMOTENC([1], k_neighbors=1, random_state=0).fit_resample(X, y)
        >>> X_res[6:, 1], bool(((X_res[6:, 0] >= 8) & (X_res[6:, 0] <= 9)).all())
        (tensor([6., 6.]), True)
    """

    median_std_: dict[Any, float]

    def __init__(
        self,
        categorical_features: Any,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, k_neighbors, random_state, memory_budget, on_degenerate)
        self.categorical_features = _checked(categorical_features)

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw the plan of ``counts[label]`` rows of each class, and the seed of the votes that are tied."""
        stream = cache(self.stream(generator))
        plan = self.graph_.draw(counts, stream)
        return plan._replace(noise_seed=mix(*(seed_from(stream(self.graph_.edges[label].rank)) for label in counts)))

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan of this class into ``out``, new where it is None, and return it."""
        rows = self.graph_.rows
        out = interpolate(rows, plan, rows.new_empty(len(plan.gap), rows.shape[1]) if out is None else out)
        self.graph_.elect(plan, out)
        return out

    def _columns(self, X: Rows, width: int) -> list[int]:
        chosen = self.categorical_features
        if chosen == "auto":
            if not containers.is_frame(X):
                raise ValueError(
                    f"`categorical_features` must name columns of {type(X).__name__}, got 'auto', which reads the "
                    "dtypes of a DataFrame. Pass the positions of the columns."
                )
            positions = [j for j, dtype in enumerate(X.dtypes) if _is_category(dtype)]
        elif isinstance(chosen[0], bool):
            if len(chosen) != width:
                raise ValueError(f"`categorical_features` must be a mask of {width} columns, got {len(chosen)} values.")
            positions = [j for j in range(width) if chosen[j]]
        else:
            names = list(X.columns) if isinstance(chosen[0], str) and containers.is_frame(X) else []
            known = {**{j: j % width for j in range(-width, width)}, **{name: j for j, name in enumerate(names)}}
            unknown = [column for column in chosen if column not in known]
            if unknown:
                have = f"the columns {names[:10]}" if names else f"{width} columns without names"
                raise ValueError(f"`categorical_features` must be columns of `X`, got {unknown}. `X` has {have}.")
            positions = sorted({known[column] for column in chosen})
        if not positions:
            raise ValueError("`X` has no categorical column for SMOTENC. Use SMOTE for tables of numbers.")
        if len(positions) == width:
            raise ValueError(f"All {width} columns of `X` are categorical. Use SMOTEN for tables of categories.")
        return positions

    def _graph(self, classes: Classes, growing: list[Any]) -> VotingGraph:
        columns = self._coding.columns
        numeric = [j for j in range(classes.table.shape[1]) if j not in set(columns)]
        builder, medians = GraphBuilder(classes.table), {}
        for label in growing:
            self._check_size(classes, label)
            rows = classes.table[classes.members[label]]
            codes = [torch.unique(exact(rows[:, j]), return_inverse=True)[1] for j in columns]
            neighbors, medians[label] = self._neighbors(rows[:, numeric].double(), torch.stack(codes, 1), label)
            builder.add(label, classes.ranks[label], classes.members[label], neighbors)
        graph = builder.graph()
        voters = [edges.neighbors for edges in graph.edges.values()]
        voting = VotingGraph.of(graph, voters, self.k_neighbors, self._coding)
        warn_of_scales(classes.searchable(graph.rows).index_fill(1, voting.columns, 0))
        self.median_std_ = medians
        return voting

    def _neighbors(self, numbers: Tensor, codes: Tensor, label: Any) -> tuple[Tensor, float]:
        """Return the (n, k) nearest rows of each row of a class, and the root of what a mismatch costs."""
        with full_precision(numbers.device):
            geometry = Geometry.of(numbers, numbers, standardize=False)
            widths = replace(geometry, dtype=torch.float64).project(numbers).std(0, correction=0)
            median = widths.quantile(0.5)
            mixed = _Mixed(**vars(geometry), cost=float(median.square()), categories=codes.shape[1])
            squared, indices = _MixedSearch(numbers, codes, mixed, self.memory_budget).nearest(self.k_neighbors)
        if not median:
            self._degenerate(
                f"More than half of the continuous columns are constant in class {label!r}, so their median standard "
                "deviation is 0 and categories do not count in its distances. Drop constant columns."
            )
        elif not squared.any():
            self._degenerate(
                f"All {len(numbers)} rows of class {label!r} equal their {self.k_neighbors} nearest neighbours, so "
                "synthetic rows are copies. Use random over-sampling, or drop duplicates."
            )
        return indices, float(median * geometry.unit)


@dataclass(frozen=True)
class _Mixed(Geometry):
    """Coordinates of the continuous columns, which come first; the rest are codes, of which each mismatch costs."""

    cost: float
    categories: int

    def project(self, rows: Tensor) -> Tensor:
        """Return the continuous columns of ``rows`` in search coordinates."""
        return super().project(rows[:, : len(self.centre)])

    def squared_distances(self, query: Tensor, candidates: Tensor) -> Tensor:
        """Return (q, m) squared distances, of (q, d) to (q, m, d)."""
        width = len(self.centre)
        mismatches = (candidates[..., width:] != query[:, None, width:]).sum(-1)
        return super().squared_distances(query[:, :width], candidates[..., :width]).add_(mismatches, alpha=self.cost)

    def reach(self, query: Tensor, squared_distance: Tensor) -> Tensor:
        """Return the largest value that the expanded form can give: one more rounding per code, as per column."""
        return super().reach(pad(query, (0, self.categories)), squared_distance)


class _MixedSearch(Search):
    """The nearest other rows among the rows themselves, where codes that differ cost."""

    def __init__(self, numbers: Tensor, codes: Tensor, geometry: _Mixed, budget: int | Literal["auto"]) -> None:
        rows = torch.cat((numbers, codes.double()), 1)
        stated = None if budget == "auto" else check_int("memory_budget", budget, minimum=1)
        super().__init__(rows, rows, torch.arange(len(rows), device=rows.device), geometry, stated)
        self._stated, self._distinct = 0, True  # rules out the tree, mutual and distinct rows, which know no codes
        self._codes, self._cost = codes.int().T.contiguous(), geometry.cost

    def _tiles(
        self, geometry: Geometry, rows: Tensor, width: int, whole: Tensor | None
    ) -> Iterator[tuple[int, slice, Tensor]]:
        for first, block, tile in super()._tiles(geometry, rows, width, whole):
            for codes in self._codes:
                right = codes[first : first + tile.shape[1]]
                tile.add_(codes[rows[block]].unsqueeze(1) != right, alpha=self._cost)
            yield first, block, tile


def _checked(chosen: Any) -> Any:
    """Return "auto", or columns as a list of positions, of names or of booleans."""
    if isinstance(chosen, str) and chosen == "auto":
        return chosen
    several = isinstance(chosen, Iterable) and not isinstance(chosen, str)
    columns = [column.item() if hasattr(column, "item") else column for column in (chosen if several else ())]
    if not several or not any(all(type(column) is kind for column in columns) for kind in (bool, int, str)):
        raise TypeError(
            '`categorical_features` must be "auto" or a list of positions, of names or of booleans, got '
            f"categorical_features={chosen!r}."
        )
    if not columns:
        raise ValueError("`categorical_features` must name a column, got none. Use SMOTE for tables of numbers.")
    return columns


def _is_category(dtype: Any) -> bool:
    """Tell a column of text, categories, objects or booleans."""
    if hasattr(dtype, "kind"):
        return dtype.kind in "OUSb"
    return str(dtype).partition("(")[0] in ("String", "Categorical", "Enum", "Boolean")
