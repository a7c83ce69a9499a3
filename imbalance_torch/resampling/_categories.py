"""Tables with categories: coded as numbers for the search and the draw, given back as what they were; and the vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, require
from imbalance_torch._random import RandomState, generator_for
from imbalance_torch._threads import in_threads
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling import _frames as frames
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Graph, Plan
from imbalance_torch.resampling._over import Classes, OverSampler, Resampled

_BLOCK = 1 << 20  # comparisons of votes at a time and thread
_EXACT_IN_FLOAT32 = 1 << 24


@dataclass(frozen=True)
class Coding:
    """The columns that hold categories, and how rows of codes become rows in the container of the user.

    ``lexicons`` are the distinct values of those columns in the order of their codes; None for tables of numbers,
    which are their own codes. ``like`` is an empty container of the kind of the table; ``kinds`` are the dtypes of the
    numbers in an array of objects by column.
    """

    columns: list[int]
    like: Rows = None
    lexicons: list[Any] | None = None
    kinds: dict[int, np.dtype[Any]] | None = None

    @classmethod
    def of(cls, X: Rows, columns: list[int]) -> tuple[Coding, np.ndarray[Any, Any]]:
        """Return the coding of a frame or an array of objects, and its rows with codes in place of categories."""
        every = _columns(X)
        values = {j: every[j].to_list() if containers.is_series(every[j]) else every[j].tolist() for j in columns}
        _raise_if_missing(X, every, values)
        parts: dict[int, np.ndarray[Any, Any]] = {}
        lexicons = []
        for j in columns:
            parts[j], first = _coded(values[j])
            lexicons.append(_taken(every[j], first))
        dtype: Any = np.int64
        kinds = None
        numbers = [j for j in range(len(every)) if j not in parts]
        if numbers and containers.is_frame(X):
            found = containers.features(_part(X, numbers)).numpy()
            parts |= dict(zip(numbers, found.T, strict=True))
            dtype = found.dtype if max(map(len, lexicons)) <= _EXACT_IN_FLOAT32 else np.dtype(np.float64)
        elif numbers:
            parts |= {j: _numbers(every[j], j) for j in numbers}
            kinds = {j: parts[j].dtype for j in numbers}
            dtype = np.float64
        table = np.empty((len(X), len(every)), dtype)
        for j, part in parts.items():
            table[:, j] = part
        return cls(columns, containers.template(X), lexicons, kinds), table

    def decode(self, rows: Rows) -> Rows:
        """Return rows of codes as rows in the container that was coded."""
        if self.lexicons is None:
            return rows
        columns = {
            j: _taken(lexicon, rows[:, j].astype(np.int64))
            for j, lexicon in zip(self.columns, self.lexicons, strict=True)
        }
        numbers = [j for j in range(rows.shape[1]) if j not in columns]
        if not containers.is_frame(self.like):
            for j, kind in (self.kinds or {}).items():
                columns[j] = (rows[:, j] if kind.kind == "f" else np.rint(rows[:, j])).astype(kind)
            result = np.empty(rows.shape, self.like.dtype)
            for j, column in columns.items():
                result[:, j] = column
            return result
        if numbers:
            frame = frames.frame_of(_part(self.like, numbers), rows[:, numbers])
            columns |= dict(zip(numbers, _columns(frame), strict=True))
        ordered = [columns[j] for j in range(rows.shape[1])]
        if containers.is_polars(self.like):
            return type(self.like)(ordered)
        return require("pandas", extra="train").concat(ordered, axis=1).set_axis(self.like.columns, axis=1)


@dataclass(frozen=True)
class VotingGraph(Graph):
    """A graph whose rows take their categories by vote.

    ``voters`` (R, v) are the positions in ``rows`` that vote where the base is the row at each position, ``columns``
    those that are voted on.
    """

    voters: Tensor
    columns: Tensor
    coding: Coding

    @classmethod
    def of(cls, graph: Graph, voters: list[Tensor], number: int, coding: Coding) -> VotingGraph:
        """Add ``number`` voters for each row to a graph: one (n, number) tensor per class, in the order of rows."""
        index = graph.row_index
        every = torch.cat([index.new_empty(0, number), *voters])
        return cls(graph.rows, index, graph.edges, every, torch.tensor(coding.columns, device=index.device), coding)

    def to(self, device: torch.device) -> VotingGraph:
        """Return the graph on ``device``."""
        graph, voters = super().to(device), self.voters.to(device)
        return VotingGraph(graph.rows, graph.row_index, graph.edges, voters, self.columns.to(device), self.coding)

    def elect(self, plan: Plan, out: Tensor) -> None:
        """Write the most frequent value among the voters of each base into the columns of ``out`` voted on.

        One of several equally frequent values is drawn from the ``noise_seed`` of the plan; None takes the smallest.
        """
        step = max(1, _BLOCK // (self.voters.shape[1] ** 2 * len(self.columns)))

        def write(start: int) -> None:
            voters = self.voters.index_select(0, plan.base[start : start + step])
            ballots = exact(self.rows[voters.unsqueeze(2), self.columns]).sort(1).values
            votes = (ballots.unsqueeze(1) == ballots.unsqueeze(2)).sum(2)
            tied = votes == votes.amax(1, keepdim=True)
            chance = torch.zeros(len(ballots), len(self.columns), dtype=torch.float32, device="cpu")
            if plan.noise_seed is not None:
                chance.uniform_(generator=generator_for(plan.noise_seed, start))
            rank = (chance.to(tied.device) * tied.sum(1)).long().unsqueeze(1)
            winner = (tied.cumsum(1) > rank).int().argmax(1, keepdim=True)
            elected = ballots.gather(1, winner).squeeze(1)
            for j, values in zip(self.coding.columns, elected.T, strict=True):
                out[start : start + step, j] = values

        in_threads(write, range(0, len(out), step))


class CategoricalOverSampler(OverSampler):
    """The base of the over-samplers for tables with categories, which may hold text and other objects."""

    graph_: VotingGraph

    def __init__(
        self,
        sampling_strategy: SamplingStrategy,
        k_neighbors: int,
        random_state: RandomState,
        memory_budget: int | Literal["auto"],
        on_degenerate: str,
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)

    @property
    def categorical_features_(self) -> list[int]:
        """The positions of the columns that hold categories, ascending."""
        return self.graph_.coding.columns

    def fit(self, X: Rows, y: Rows) -> Self:
        """Build the neighbour graph of the classes that grow.

        Args:
            X: (N, d) table: tensor or NumPy array of finite numbers, NumPy array of objects, or DataFrame; no value is
                missing.
            y: (N,) labels of any kind that ``numpy.unique`` takes.

        Returns:
            The fitted resampler.
        """
        return super().fit(self._coded(_tabular(X)), y)

    def fit_resample(self, X: Rows, y: Rows, *, return_info: bool = False, out: Rows = None) -> tuple[Rows, ...]:
        """Fit, and return the original rows, unchanged, followed by synthetic rows grouped by sorted class.

        Args:
            X: (N, d) table, as for ``fit``.
            y: (N,) labels of any kind that ``numpy.unique`` takes.
            return_info: Return a ``Resampled`` of all rows in place of ``(X, y)``.
            out: Tensor or NumPy array of the final shape and the dtype of ``X``, written to and returned as the rows;
                for tables of numbers that are no DataFrame.

        Returns:
            ``(X_res, y_res)``, or a ``Resampled``. Rows are not shuffled.
        """
        X = _tabular(X)
        coded = self._coded(X)
        if self._coding.lexicons is None:
            return super().fit_resample(coded, y, return_info=return_info, out=out)
        _refuse(out)
        drawn = super().fit(coded, y).sample({label: n for label, n in self.sampling_strategy_.items() if n})
        X_res, y_res = containers.joined(X, drawn.X), containers.joined(y, drawn.y)
        if not return_info:
            return X_res, y_res
        return drawn._replace(X=X_res, y=y_res, is_synthetic=np.arange(len(X_res)) >= len(X))

    def sample(
        self, n: int | Mapping[Any, int], *, generator: torch.Generator | None = None, out: Rows = None
    ) -> Resampled:
        """Draw synthetic rows from the fitted graph; no neighbour is searched and nothing of size N is touched.

        Args:
            n: Rows to draw: per class, or in total, split over the classes that grow in proportion to the rows that
                ``fit_resample`` adds to each (largest remainder, so that the total is exact).
            generator: Where the plan is drawn from, on its own device. None draws from ``random_state``: call for
                call the same rows after ``fit``, new rows at every call.
            out: Tensor or NumPy array of shape (n, d) and the dtype of ``X``, written to and returned as the rows;
                for tables of numbers that are no DataFrame.

        Returns:
            The synthetic rows, grouped by sorted class.

        Raises:
            RuntimeError: Before ``fit``.
            ValueError: If a class is asked for that ``fit`` built no graph for.
        """
        if self.is_fitted and self.graph_.coding.lexicons is not None:
            _refuse(out)
        drawn = super().sample(n, generator=generator, out=out)
        return drawn._replace(X=self.graph_.coding.decode(drawn.X))

    def _columns(self, X: Rows, width: int) -> list[int]:
        """Return the ascending positions of the columns of ``X``, of ``width`` columns, that hold categories."""
        raise NotImplementedError

    def _coded(self, X: Rows) -> Rows:
        """Return ``X`` as numbers, and keep its coding for the graph."""
        if containers.is_frame(X) or not _is_numeric(X):
            self._coding, coded = Coding.of(X, self._columns(X, X.shape[1]))
            return coded
        self._coding = Coding(self._columns(X, containers.features(X).shape[1]))
        return X

    def _check_size(self, classes: Classes, label: Any) -> None:
        size = classes.counts[label]
        if size <= self.k_neighbors:
            less = f"k_neighbors={size - 1} or " if size > 1 else ""
            raise ValueError(
                "`k_neighbors` must be smaller than the rows of each class that grows, got "
                f"k_neighbors={self.k_neighbors} and {size} row{'s' * (size > 1)} of class {label!r}. "
                f"Use {less}random over-sampling."
            )


def exact(values: Tensor) -> Tensor:
    """Return numbers in a dtype in which they can be sorted and compared without a change."""
    return values if values.is_floating_point() else values.long()


def _tabular(X: Rows) -> Rows:
    """Return ``X`` as a tensor, an array or a DataFrame; what is no table of numbers becomes an array of objects."""
    if isinstance(X, Tensor | np.ndarray) or containers.is_frame(X):
        array = X
    else:
        array = np.asarray(X)
        if not _is_numeric(array):
            array = np.array(X, dtype=object)
    shape = tuple(array.shape)
    if not shape:
        raise TypeError(f"`X` must be a table of numbers, text or other objects, got {type(X).__name__}.")
    if not _is_numeric(array) and (len(shape) != 2 or not shape[1]):
        raise ValueError(f"`X` must have shape (N, d) with d >= 1, got {shape}.")
    return array


def _is_numeric(X: Rows) -> bool:
    """Tell a table that is no frame and holds numbers, which are their own codes."""
    return isinstance(X, Tensor) or (isinstance(X, np.ndarray) and X.dtype.kind in "fiubc")


def _refuse(out: Rows) -> None:
    if out is not None:
        raise TypeError("`out` cannot hold a DataFrame or objects. Encode categories as numbers to use it.")


def _columns(X: Rows) -> list[Any]:
    """Return the columns of a frame or an array."""
    if containers.is_polars(X):
        return list(X.get_columns())
    return [X.iloc[:, j] for j in range(X.shape[1])] if containers.is_frame(X) else list(X.T)


def _part(X: Rows, columns: list[int]) -> Rows:
    """Return some columns of a frame."""
    return X[:, columns] if containers.is_polars(X) else X.iloc[:, columns]


def _taken(column: Rows, rows: np.ndarray[Any, Any]) -> Rows:
    """Return some entries of a column, of its dtype."""
    if containers.is_polars(column):
        return column.gather(rows)
    return column.iloc[rows].reset_index(drop=True) if containers.is_series(column) else column[rows]


def _coded(values: list[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the code of each value and where each value first stands; codes ascend where values can be sorted."""
    first: dict[Any, int] = {}
    for position, value in enumerate(values):
        first.setdefault(value, position)
    try:
        names = sorted(first)
    except TypeError:  # of several types
        names = list(first)
    codes = {name: code for code, name in enumerate(names)}
    return np.array([codes[value] for value in values], np.int64), np.array([first[name] for name in names], np.int64)


def _numbers(column: np.ndarray[Any, Any], position: int) -> np.ndarray[Any, Any]:
    """Return a column of objects as numbers."""
    found = np.asarray(column.tolist())
    if found.dtype.kind not in "fiub":
        raise TypeError(
            f"`X` must hold numbers where it holds no categories, got {found.dtype} in column {position}. "
            "Name the column in `categorical_features`, or encode it as numbers."
        )
    return found


def _raise_if_missing(X: Rows, every: list[Any], values: dict[int, list[Any]]) -> None:
    names = list(X.columns) if containers.is_frame(X) else range(len(every))
    bad = []
    for j, column in values.items():
        if containers.is_pandas(every[j]):
            number = int(every[j].isna().sum())
        else:
            number = sum(value is None or value != value for value in column)
        if number:
            bad.append(f"{names[j]!r} ({number} values)")
    if bad:
        raise ValueError(
            f"`X` must not lack categories, got missing values in {len(bad)} of {len(every)} columns: "
            f"{', '.join(bad[:5])}{', ...' if len(bad) > 5 else ''}. Fill them, with a category of their own, say."
        )
