"""SMOTE: synthetic minority rows on the segments between a row and its neighbours of the same class."""

from __future__ import annotations

from typing import Any, Literal

import torch

from imbalance_torch._checks import check_int
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan, computing_dtype, interpolate
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales


class SMOTE(OverSampler):
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

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            neighbors = self._neighbors_in_class(classes, label, self.k_neighbors)
            builder.add(label, classes.ranks[label], classes.members[label], neighbors)
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph


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
