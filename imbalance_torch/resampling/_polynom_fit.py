"""Polynom-fit SMOTE: synthetic rows spread evenly over straight lines through the whole class, without neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Edges, Graph, GraphBuilder, Plan, blocks
from imbalance_torch.resampling._over import Classes, OverSampler


class PolynomFitSMOTE(OverSampler):
    r"""Over-sampling along the lines of a topology over all rows of a class; no neighbour is searched.

    .. math:: x_{new} = x_i + \lambda (z - x_i), \quad \lambda = (r + u) / m, \quad u \sim U[0, 1)

    with x_i a row of the class (``base_index``) and, by ``topology``,

    - ``"star"``: z the mean of the class, one line per row;
    - ``"bus"``: z the row of the class that follows x_i in ``X``, one line per row but the last;
    - ``"mesh"``: z another row of the class, one line per pair.

    Rows are spread evenly: every line gets the same number m of rows, or one more (which lines do is drawn, each as
    likely), and row r = 0 .. m - 1 of a line has its own m-th part of it. :math:`\lambda` is the ``gap``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        topology: ``"star"``, ``"bus"`` or ``"mesh"``.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Not used; here so that over-samplers can be exchanged.
        on_degenerate: What happens when all rows of a class are equal, so that synthetic rows are copies: ``"warn"``
            or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The rows of the classes that grow.
        means_: Label to the (d,) float64 mean of each class that grows; the z of ``"star"``.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has one row.

    Notes:
        For ``"bus"`` and ``"mesh"`` z is the row ``neighbor_index``. The mean of ``"star"`` is no row of ``X``:
        ``neighbor_index`` then repeats ``base_index``, and ``X_new = X[base] + gap (means_[label] - X[base])``; every
        row of the class has a part in it, so that no split by parents keeps rows apart. The result of ``"bus"`` depends
        on the order of the rows. Rows come out line by line, even within each 2^18. Containers, dtypes, rounding and
        seeds are as in ``SMOTE``. Time O(n d) for n rows of the classes that grow, and O(G (d + log G)) per draw of G
        rows; memory: those n rows.

    NOTE[DIFF]: Gazzah and Essoukri Ben Amara, and smote-variants, put m rows at the fixed places k / (m + 1) of every
    line, so that counts are multiples of the number of lines and a second draw would be the first; here each row is
    drawn from a part of its own. The curves that the paper fits as a fourth topology are left out. imbalanced-learn has
    no such method.

    References:
        Gazzah, Essoukri Ben Amara. New Oversampling Approaches Based on Polynomial Fitting for Imbalanced Data Sets.
        DAS 2008.

    Example:
        >>> X = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [8.0, 0.0], [8.0, 4.0]])
        >>> y = torch.tensor([0, 0, 0, 1, 1])
        >>> new = PolynomFitSMOTE({1: 6}, topology="star", random_state=0).fit(X, y).sample(4)
        >>> new.base_index, bool((new.X[:2, 1] <= 2).all()), bool((new.X[2:, 1] >= 2).all())
        (tensor([3, 3, 4, 4]), True, True)
    """

    means_: dict[Any, Tensor]

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        topology: str = "star",
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.topology = check_choice("topology", topology, ("star", "bus", "mesh"))

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan of this class into ``out``, new where it is None, and return it."""
        if self.topology != "star":
            return super().generate(plan, out)
        rows = self.graph_.rows
        out = rows.new_empty(len(plan.gap), rows.shape[1]) if out is None else out
        ends, means = self._ends.to(rows.device), self._means.to(rows.device, plan.gap.dtype)
        for part in blocks(len(out), rows):
            base = rows.index_select(0, plan.base[part]).to(plan.gap.dtype)
            new = means.index_select(0, torch.searchsorted(ends, plan.base[part], right=True))
            new.sub_(base).mul_(plan.gap[part, None]).add_(base)
            out[part] = new if rows.is_floating_point() else new.round_()
        return out

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder, means = GraphBuilder(classes.table), {}
        for label in growing:
            members, rows = classes.members[label], classes.rows(label).double()
            if len(rows) == 1:
                raise ValueError(
                    f"Synthetic rows join two rows of a class, got 1 row of class {label!r}. Use random over-sampling."
                )
            offsets = rows - rows[0]
            if not offsets.any():
                self._degenerate(
                    f"All {len(rows)} rows of class {label!r} are equal, so synthetic rows are copies. Use random "
                    "over-sampling, or drop duplicates."
                )
            means[label] = rows[0] + (offsets / len(rows)).sum(0)
            builder.add(label, classes.ranks[label], members, members[:, None])
        graph = builder.graph()
        self.means_, self._means = means, torch.stack([*means.values()]) if means else graph.rows.double()
        self._ends = torch.tensor([len(pairs.bases) for pairs in graph.edges.values()]).cumsum(0)
        edges: dict[Any, Edges] = {}
        for label, pairs in graph.edges.items():
            n = len(pairs.bases)
            lines = {"star": n, "bus": n - 1, "mesh": n * (n - 1) // 2}[self.topology]
            edges[label] = _Lines(**vars(pairs), lines=lines, step=int(self.topology != "star"))
        return replace(graph, edges=edges)


@dataclass(frozen=True)
class _Lines(Edges):
    """``lines`` pairs of bases, line s from base i = s mod n to i + ``step`` (1 + s // n), in a ring of n bases.

    So the first n - 1 join each base with the next, and n (n - 1) / 2 every pair once; ``neighbors`` is not read.
    """

    lines: int = 0
    step: int = 0

    def draw(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw ``number`` pairs, line by line, and float64 gaps; the random numbers come from ``generator``."""
        draws = torch.rand((2, number), generator=generator, device=generator.device, dtype=torch.float64).cpu()
        shift = int(torch.randint(self.lines, (), generator=generator, device=generator.device))
        each, extra = divmod(number, self.lines)
        whole, part = divmod(self.lines, max(extra, 1))
        place = torch.arange(extra + 1)
        bounds = place * whole + place * part // max(extra, 1)  # place * lines // extra would overflow
        more = (bounds[:-1] + (draws[0, :extra] * bounds.diff()).long() + shift) % self.lines
        line = torch.cat((torch.arange(self.lines * bool(each)).repeat_interleave(each), more)).sort().values
        first = torch.searchsorted(line, line)
        gap = (torch.arange(number) - first + draws[1]) / (torch.searchsorted(line, line, right=True) - first)
        base, device = line % len(self.bases), self.bases.device
        other = (base + self.step * (1 + line // len(self.bases))) % len(self.bases)
        return self.bases[base.to(device)], self.bases[other.to(device)], gap.to(device)
