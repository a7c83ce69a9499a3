"""SMOTE: synthetic minority rows on the segments between a row and its neighbours of the same class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_generator, check_int
from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.neighbors import knn
from imbalance_torch.plan import SamplingStrategy, largest_remainder, resolve_over_sampling
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Graph, Plan, computing_dtype, interpolate


class Resampled(NamedTuple):
    """Rows, labels, and where each synthetic row came from.

    ``X`` and ``y`` are in the kind of the fitted ones; the rest are tensors beside a tensor ``X``, NumPy arrays beside
    any other. ``is_synthetic`` has an entry per row of ``X``; ``base_index`` and ``neighbor_index`` (int64 rows of the
    ``X`` given to ``fit``) and ``gap`` one per synthetic row: ``X_new = X[base] + gap (X[neighbor] - X[base])``.
    """

    X: Rows
    y: Rows
    is_synthetic: Rows
    base_index: Rows
    neighbor_index: Rows
    gap: Rows


class SMOTE:
    r"""Synthetic minority over-sampling: fit the neighbour graph once, draw synthetic rows as often as wanted.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad \lambda \sim U[0, 1)

    with x_i a row of the class (``base_index``), x_j one of its ``k_neighbors`` nearest rows of the same class
    (``neighbor_index``), both uniform, and :math:`\lambda` the ``gap``, one number per synthetic row.

    Args:
        sampling_strategy: Which classes grow and to what count, as in imbalanced-learn: ``"auto"`` (every class but
            the majority, up to it), ``"minority"``, ``"not minority"``, ``"not majority"``, ``"all"``; for two classes
            the ratio of minority to majority rows after it, in (0, 1]; a dict of final counts; or a callable that
            receives ``y`` and returns such a dict.
        k_neighbors: Neighbours that a row can be joined with, >= 1, fewer than the rows of the class.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when all rows of a class equal their neighbours, so that synthetic rows are
            copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The neighbour graph of the classes that grow.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has ``k_neighbors`` rows or fewer.

    Notes:
        ``X`` may be a tensor, a NumPy array or a pandas DataFrame (anything else that NumPy can read comes back as
        NumPy); results have its kind, dtype, device and column names. Half precision is interpolated in float32;
        integer columns are rounded to the nearest integer. Counts are exact. Rows are not scaled: a UserWarning says
        when column widths differ by more than 1000. Memory: the rows of the classes that grow and ``k_neighbors``
        int64 per such row. The same seed draws the same plan on CPU and CUDA.

    NOTE[DIFF]: Chawla et al. draw a gap per column and visit base rows in turn; here, as in imbalanced-learn, both are
    drawn per synthetic row. Unlike imbalanced-learn, each class has its own random stream, and a row is never its own
    neighbour, also among duplicates.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]])
        >>> y = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> X_res, y_res = SMOTE(k_neighbors=1, random_state=0).fit_resample(X, y)
        >>> y_res.bincount(), bool(((X_res[6:] >= 8) & (X_res[6:] <= 9)).all())
        (tensor([4, 4]), True)
    """

    class_counts_: dict[Any, int]
    sampling_strategy_: dict[Any, int]
    graph_: Graph

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.on_degenerate = check_choice("on_degenerate", on_degenerate, ("warn", "error"))

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` has been called."""
        return hasattr(self, "graph_")

    def fit(self, X: Rows, y: Rows) -> SMOTE:
        """Build the neighbour graph of the classes that grow.

        Args:
            X: (N, d) finite numbers.
            y: (N,) labels of any kind that ``numpy.unique`` takes.

        Returns:
            The fitted resampler.
        """
        self._fit(containers.features(X), X, y)
        return self

    def fit_resample(self, X: Rows, y: Rows, *, return_info: bool = False, out: Rows = None) -> tuple[Rows, ...]:
        """Fit, and return the original rows, unchanged, followed by synthetic rows grouped by sorted class.

        Args:
            X: (N, d) finite numbers.
            y: (N,) labels of any kind that ``numpy.unique`` takes.
            return_info: Return a ``Resampled`` of all rows in place of ``(X, y)``.
            out: Tensor or NumPy array (a memory map too) of the final shape and the dtype of ``X``, written to and
                returned as the rows; not for a DataFrame.

        Returns:
            ``(X_res, y_res)``, or a ``Resampled``. Rows are not shuffled.
        """
        table = containers.features(X)
        self._fit(table, X, y)
        counts = {label: number for label, number in self.sampling_strategy_.items() if number}
        plan = self.graph_.draw(counts, self.stream(None))
        total = len(table) + len(plan.gap)
        if containers.is_pandas(X):
            if out is not None:
                raise TypeError("`out` cannot hold a DataFrame. Pass `X.to_numpy()` with it.")
            new = interpolate(self.graph_.rows, plan, table.new_empty((len(plan.gap), table.shape[1])))
            X_res = containers.joined(X, containers.rows_as(self._like_X, new))
        else:
            rows = containers.buffer(out, (total, table.shape[1]), table)
            rows[: len(table)] = table
            interpolate(self.graph_.rows, plan, rows[len(table) :])
            X_res = containers.rows_as(self._like_X, rows) if out is None else out
        y_res = containers.joined(y, containers.labels_as(self._like_y, counts, table.device))
        if not return_info:
            return X_res, y_res
        return self._resampled(X_res, y_res, torch.arange(total, device=table.device) >= len(table), plan)

    def sample(
        self, n: int | Mapping[Any, int], *, generator: torch.Generator | None = None, out: Rows = None
    ) -> Resampled:
        """Draw synthetic rows from the fitted graph; no neighbour is searched and nothing of size N is touched.

        Args:
            n: Rows to draw: per class, or in total, split over the classes that grow in proportion to the rows that
                ``fit_resample`` adds to each (largest remainder, so that the total is exact).
            generator: Where the plan is drawn from, on its own device. None draws from ``random_state``: call for
                call the same rows after ``fit``, new rows at every call.
            out: Tensor or NumPy array of shape (n, d) and the dtype of ``X``, written to and returned as the rows.

        Returns:
            The synthetic rows, grouped by sorted class.

        Raises:
            RuntimeError: Before ``fit``.
            ValueError: If a class is asked for that ``fit`` built no graph for.
        """
        if not self.is_fitted:
            raise RuntimeError("SMOTE has no neighbour graph yet. Call `fit(X, y)` before `sample`.")
        counts = self._counts(n)
        plan = self.graph_.draw(counts, self.stream(check_generator("generator", generator)))
        shape = (len(plan.gap), self.graph_.rows.shape[1])
        rows = interpolate(self.graph_.rows, plan, containers.buffer(out, shape, self.graph_.rows))
        return self._resampled(
            containers.rows_as(self._like_X, rows) if out is None else out,
            containers.labels_as(self._like_y, counts, rows.device),
            torch.ones(len(rows), dtype=torch.bool, device=rows.device),
            plan,
        )

    def stream(self, generator: torch.Generator | None) -> Callable[[int], torch.Generator]:
        """Return the generator of each class rank for one draw: ``generator``, or this call's own streams."""
        if generator is not None:
            return lambda rank: generator
        call = self._calls
        self._calls += 1
        return lambda rank: generator_for(self._seed, rank, call)

    def to(self, device: torch.device | str) -> SMOTE:
        """Move the fitted graph to ``device``, where ``sample`` then works and, for tensors, returns its rows."""
        self.graph_ = self.graph_.to(torch.device(device))
        return self

    def _fit(self, table: Tensor, X: Rows, y: Rows) -> None:
        names, codes = containers.labels(y, table)
        sizes = torch.bincount(codes, minlength=len(names)).tolist()
        counts = dict(zip(names, sizes, strict=True))
        strategy = resolve_over_sampling(counts, self.sampling_strategy, y=y)
        graph = self._graph(table, codes, counts, [label for label, number in strategy.items() if number])
        self.class_counts_, self.sampling_strategy_, self.graph_ = counts, strategy, graph
        self._like_X, self._like_y = containers.template(X), containers.template(y)
        self._seed, self._calls = seed_from(self.random_state), 0

    def _graph(self, table: Tensor, codes: Tensor, counts: dict[Any, int], growing: list[Any]) -> Graph:
        k = self.k_neighbors
        members = dict(zip(counts, torch.split(codes.argsort(stable=True), list(counts.values())), strict=True))
        ranks = {label: rank for rank, label in enumerate(counts)}
        row_index = [codes.new_empty(0)]
        neighbors = [codes.new_empty(0)]
        edges: dict[Any, tuple[int, int, int]] = {}
        total = 0
        for label in growing:
            size = counts[label]
            if size <= k:
                less = f"k_neighbors={size - 1} or " if size > 1 else ""
                raise ValueError(
                    f"`k_neighbors` must be smaller than the rows of each class that grows, got k_neighbors={k} and "
                    f"{size} row{'s' * (size > 1)} of class {label!r}. Use {less}random over-sampling."
                )
            rows = table[members[label]]
            if not rows.is_floating_point():
                rows = rows.double()
            distances, indices = knn(rows, rows, k, exclude_self=True, memory_budget=self.memory_budget)
            if not distances.any():
                self._degenerate(f"All {size} rows of class {label!r} equal their {k} nearest neighbours")
            edges[label] = (ranks[label], total * k, (total + size) * k)
            row_index.append(members[label])
            neighbors.append(indices.flatten() + total)
            total += size
        index = torch.cat(row_index)
        graph = Graph(table[index], index, torch.cat(neighbors), k, edges)
        _warn_of_scales(graph.rows)
        return graph

    def _degenerate(self, what: str) -> None:
        message = f"{what}, so synthetic rows are copies. Use random over-sampling, or drop duplicates."
        if self.on_degenerate == "error":
            raise ValueError(message)
        warnings.warn(message, UserWarning, stacklevel=5)

    def _counts(self, n: int | Mapping[Any, int]) -> dict[Any, int]:
        edges = self.graph_.edges
        if isinstance(n, Mapping):
            unknown = [label for label in n if label not in edges]
            if unknown:
                raise ValueError(
                    f"`n` must name classes that grow ({', '.join(map(repr, edges)) or 'none do'}), got {unknown!r}. "
                    "Name them in `sampling_strategy` before `fit`."
                )
            asked = {label: check_int(f"n[{label!r}]", n[label], minimum=0) for label in edges if label in n}
        else:
            n = check_int("n", n, minimum=0)
            if n and not edges:
                raise ValueError("`n` cannot be split: `sampling_strategy` adds no rows to this data.")
            asked = largest_remainder(n, {label: self.sampling_strategy_[label] for label in edges}) if n else {}
        return {label: number for label, number in asked.items() if number}

    def _resampled(self, X: Rows, y: Rows, is_synthetic: Tensor, plan: Plan) -> Resampled:
        index = self.graph_.row_index
        info = (is_synthetic, index[plan.base], index[plan.neighbor], plan.gap)
        return Resampled(X, y, *(containers.array_as(self._like_X, values) for values in info))


def smote_from_plan(X: Rows, base_index: Rows, neighbor_index: Rows, gap: Rows) -> Rows:
    """Interpolate the rows that a plan names.

    ``X[base_index] + gap (X[neighbor_index] - X[base_index])``, evaluated in this order.

    Args:
        X: (N, d) tensor or NumPy array of finite numbers.
        base_index: (G,) integer rows of ``X``, from 0 to N - 1.
        neighbor_index: (G,) integer rows of ``X``, from 0 to N - 1.
        gap: (G,) numbers in [0, 1]; used in the dtype of ``X`` (float32 for halves, float64 for integers).

    Returns:
        (G, d) rows in the kind, dtype and device of ``X``; rounded to the nearest integer where ``X`` holds integers.

    Raises:
        ValueError: If the three parts of the plan differ in length, or ``X`` is not a finite table.

    Notes:
        With the draws of another implementation as the plan, this gives its rows bit for bit in float64.

    Example:
        >>> smote_from_plan(torch.tensor([[0.0, 0.0], [4.0, 8.0]]), [0], [1], [0.25])
        tensor([[1., 2.]])
    """
    table = containers.features(X)
    base, neighbor = (
        torch.as_tensor(part, dtype=torch.int64).to(table.device) for part in (base_index, neighbor_index)
    )
    gaps = torch.as_tensor(gap).to(table.device, computing_dtype(table))
    if not base.shape == neighbor.shape == gaps.shape or base.ndim != 1:
        raise ValueError(
            "`base_index`, `neighbor_index` and `gap` must be 1-D and of one length, "
            f"got shapes {tuple(base.shape)}, {tuple(neighbor.shape)} and {tuple(gaps.shape)}."
        )
    rows = interpolate(table, Plan(base, neighbor, gaps), table.new_empty((len(gaps), table.shape[1])))
    return containers.rows_as(containers.template(X), rows)


def _warn_of_scales(rows: Tensor) -> None:
    if len(rows) < 2:
        return
    width = rows.to(computing_dtype(rows)).std(0)
    width = torch.where(width > 0, width, torch.nan)
    wide, narrow = width.nan_to_num(-torch.inf).argmax(), width.nan_to_num(torch.inf).argmin()
    factor = float(width[wide] / width[narrow])
    if factor > 1e3:
        warnings.warn(
            f"Column {int(wide)} of `X` is {factor:.2g} times as wide as column {int(narrow)}: neighbours depend on "
            "the wide columns alone. Standardise `X` first.",
            UserWarning,
            stacklevel=5,
        )
