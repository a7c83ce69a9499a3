"""What all over-samplers share: fit a graph once, draw plans from it, write rows, keep containers and counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_generator, check_int, warn
from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.neighbors._knn import warn_of_scales as warn_of_column_scales
from imbalance_torch.plan import SamplingStrategy, largest_remainder, resolve_over_sampling
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Graph, Plan, interpolate

_CHUNK = 1 << 18  # synthetic rows that are planned at a time, so that memory does not grow with them
_FEW = 8  # classes up to which a pass over the codes for each is faster than sorting them


class Resampled(NamedTuple):
    """Rows, labels, and where each synthetic row came from.

    ``X`` and ``y`` are in the kind of the fitted ones; the rest are tensors beside a tensor ``X``, NumPy arrays beside
    any other. ``is_synthetic`` has an entry per row of ``X``; ``base_index`` and ``neighbor_index`` (int64 rows of the
    ``X`` given to ``fit``) and ``gap`` one per synthetic row: ``X_new = X[base] + gap (X[neighbor] - X[base])``, but
    for methods that say otherwise (``GeometricSMOTE``, ``PolynomFitSMOTE`` "star", categories, and noise).
    """

    X: Rows
    y: Rows
    is_synthetic: Rows
    base_index: Rows
    neighbor_index: Rows
    gap: Rows


class Classes:
    """The fitted rows by class: ``members[label]`` are its rows of ``table``, ascending; labels are sorted.

    ``added`` maps a label to the rows that ``fit_resample`` adds, which a method may correct; ``seed`` is this fit's.
    """

    def __init__(self, table: Tensor, codes: Tensor, counts: dict[Any, int], added: dict[Any, int], seed: int) -> None:
        self.table, self.codes, self.counts, self.added, self.seed = table, codes, counts, added, seed
        if len(counts) <= _FEW:
            parts = [(codes == rank).nonzero().flatten() for rank in range(len(counts))]
        else:
            parts = list(torch.split(codes.argsort(stable=True), list(counts.values())))
        self.members = dict(zip(counts, parts, strict=True))
        self.ranks = {label: rank for rank, label in enumerate(counts)}

    def rows(self, label: Any) -> Tensor:
        """Return the rows of a class, in a dtype in which neighbours can be searched."""
        return self.searchable(self.table[self.members[label]])

    @staticmethod
    def searchable(rows: Tensor) -> Tensor:
        """Return ``rows`` as floating-point numbers."""
        return rows if rows.is_floating_point() else rows.double()


class OverSampler:
    """The base of all over-samplers; a method says in ``_graph`` which pairs of rows its synthetic rows come from.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.
    """

    class_counts_: dict[Any, int]
    sampling_strategy_: dict[Any, int]
    graph_: Graph

    def __init__(
        self,
        sampling_strategy: SamplingStrategy,
        random_state: RandomState,
        memory_budget: int | Literal["auto"],
        on_degenerate: str,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.on_degenerate = check_choice("on_degenerate", on_degenerate, ("warn", "error"))

    @property
    def is_fitted(self) -> bool:
        """Whether ``fit`` has been called."""
        return hasattr(self, "graph_")

    def fit(self, X: Rows, y: Rows) -> Self:
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
        total = len(table) + sum(counts.values())
        if containers.is_frame(X):
            if out is not None:
                raise TypeError("`out` cannot hold a DataFrame. Pass `X.to_numpy()` with it.")
            new = containers.buffer(None, (total - len(table), table.shape[1]), table)
            plan = self._write(counts, new, keep=return_info)
            X_res = containers.joined(X, containers.rows_as(self._like_X, new))
        else:
            rows = containers.buffer(out, (total, table.shape[1]), table)
            rows[: len(table)] = table
            plan = self._write(counts, rows[len(table) :], keep=return_info)
            X_res = containers.rows_as(self._like_X, rows) if out is None else out
        y_res = containers.joined(y, containers.labels_as(self._like_y, counts, table.device))
        if not return_info:
            return X_res, y_res
        return self._resampled(X_res, y_res, torch.arange(total, device=table.device) >= len(table), plan)

    def sample(
        self, n: int | Mapping[Any, int], *, generator: torch.Generator | None = None, out: Rows = None
    ) -> Resampled:
        """Draw synthetic rows from the fitted graph; no neighbour is searched (but by ``LeeSMOTE``).

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
            raise RuntimeError(f"{type(self).__name__} has no graph yet. Call `fit(X, y)` before `sample`.")
        counts = self._counts(n)
        check_generator("generator", generator)
        rows = containers.buffer(out, (sum(counts.values()), self.graph_.rows.shape[1]), self.graph_.rows)
        plan = self._write(counts, rows, generator, keep=True)
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
        return lambda rank: generator_for(self._seed, rank, call, 0)

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw the plan of ``counts[label]`` rows of each class, from ``generator`` or the next of the own streams."""
        return self.graph_.draw(counts, self.stream(generator))

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan into ``out``, new where it is None, and return it."""
        rows = self.graph_.rows
        return interpolate(rows, plan, rows.new_empty(len(plan.gap), rows.shape[1]) if out is None else out)

    def _write(
        self, counts: Mapping[Any, int], out: Tensor, generator: torch.Generator | None = None, *, keep: bool
    ) -> Plan:
        """Draw and write the rows of each class chunk by chunk, each from a stream of its own; return what is kept."""
        call, start, kept = self._calls, 0, [self.graph_.draw({}, self.stream(generator))]
        for label, number in counts.items():
            for chunk, first in enumerate(range(0, number, _CHUNK)):
                stream = generator or generator_for(self._seed, self.graph_.edges[label].rank, call, chunk)
                plan = self.draw({label: min(_CHUNK, number - first)}, stream)
                self.generate(plan, out[start : start + len(plan.gap)])
                start += len(plan.gap)
                kept += [plan] * keep
        base, neighbor, gap = (torch.cat(parts) for parts in zip(*(plan[:3] for plan in kept), strict=True))
        return Plan(base, neighbor, gap)

    def to(self, device: torch.device | str) -> Self:
        """Move the fitted graph to ``device``, where ``sample`` then works and, for tensors, returns its rows."""
        self.graph_ = self.graph_.to(torch.device(device))
        return self

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        """Return the graph of the labels that grow."""
        raise NotImplementedError

    def _fit(self, table: Tensor, X: Rows, y: Rows) -> None:
        names, codes = containers.labels(y, table)
        sizes = torch.bincount(codes, minlength=len(names)).tolist()
        counts = dict(zip(names, sizes, strict=True))
        strategy = resolve_over_sampling(counts, self.sampling_strategy, y=y)
        seed = seed_from(self.random_state)
        classes = Classes(table, codes, counts, strategy, seed)
        graph = self._graph(classes, [label for label, number in strategy.items() if number])
        self.class_counts_, self.sampling_strategy_, self.graph_ = counts, strategy, graph
        self._like_X, self._like_y = containers.template(X), containers.template(y)
        self._seed, self._calls = seed, 0

    def _neighbors_in_class(self, classes: Classes, label: Any, k: int, name: str = "k_neighbors") -> Tensor:
        """Return the (n, k) nearest rows of the same class for each row of a class, as positions in its members."""
        size = classes.counts[label]
        if size <= k:
            less = f"{name}={size - 1} or " if size > 1 else ""
            raise ValueError(
                f"`{name}` must be smaller than the rows of each class that grows, got {name}={k} and "
                f"{size} row{'s' * (size > 1)} of class {label!r}. Use {less}random over-sampling."
            )
        rows = classes.rows(label)
        distances, indices = nearest(rows, rows, k, exclude_self=True, memory_budget=self.memory_budget)
        if not distances.any():
            self._degenerate(
                f"All {size} rows of class {label!r} equal their {k} nearest neighbours, so synthetic rows are copies. "
                "Use random over-sampling, or drop duplicates."
            )
        return indices

    def _degenerate(self, message: str) -> None:
        """Raise or warn, as ``on_degenerate`` says."""
        if self.on_degenerate == "error":
            raise ValueError(message)
        warn(message)

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


def warn_of_scales(rows: Tensor) -> None:
    """Warn when the columns of ``X`` differ in width by more than 1000."""
    warn_of_column_scales("X", rows if rows.is_floating_point() else rows.double())
