"""The neighbour graph that is fitted once, and the plan and rows that are drawn from it as often as wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Plan(NamedTuple):
    """One base row, neighbour and gap for each synthetic row; rows are positions in ``Graph.rows``.

    ``noise_seed`` starts the random numbers of methods that need some per column, drawn while rows are written.
    """

    base: Tensor
    neighbor: Tensor
    gap: Tensor
    noise_seed: int | None = None


@dataclass(frozen=True)
class Edges:
    """The pairs that one class draws from: ``bases`` (B,) and their ``neighbors`` (B, k), positions in ``Graph.rows``.

    Bases stand in groups of consecutive ones: group g ends before base ``ends[g]`` and gets the share ``shares[g]`` of
    the rows (see ``allot``), within it pairs are uniform; None is one group. Gaps are uniform in
    ``low + [0, 1) * width`` of their pair, both (B, k); None is [0, 1). ``rank`` is that of the class in sorted order.
    """

    rank: int
    bases: Tensor
    neighbors: Tensor
    ends: Tensor | None = None
    shares: Tensor | None = None
    low: Tensor | None = None
    width: Tensor | None = None

    def to(self, device: torch.device) -> Edges:
        """Return the pairs on ``device``; what the draw of a plan reads stays on the CPU."""
        low, width = (None if part is None else part.to(device) for part in (self.low, self.width))
        return replace(self, bases=self.bases.to(device), neighbors=self.neighbors.to(device), low=low, width=width)

    def draw(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw ``number`` pairs and float64 gaps; the random numbers come from ``generator``, on its device."""
        pairs, device, k = self.neighbors.numel(), self.bases.device, self.neighbors.shape[1]
        if self.shares is None or self.ends is None:
            pair = torch.randint(pairs, (number,), generator=generator, device=generator.device).to(device)
        else:
            ends = self.ends * k
            group = torch.repeat_interleave(allot(number, self.shares, generator))
            start = (ends - ends.diff(prepend=ends.new_zeros(1)))[group]
            part = torch.rand(number, generator=generator, device=generator.device, dtype=torch.float64).cpu()
            pair = (start + (part * (ends[group] - start)).long()).to(device)
        gap = torch.rand(number, generator=generator, device=generator.device, dtype=torch.float64).to(device)
        if self.low is not None and self.width is not None:
            gap = self.low.view(-1)[pair] + gap * self.width.view(-1)[pair]
        return self.bases[pair // k], self.neighbors.view(-1)[pair], gap


@dataclass(frozen=True)
class Graph:
    """Rows that can be parents, the row of the fitted data that each of them is, and the pairs of each class."""

    rows: Tensor
    row_index: Tensor
    edges: dict[Any, Edges]

    def to(self, device: torch.device) -> Graph:
        """Return the graph on ``device``."""
        edges = {label: pairs.to(device) for label, pairs in self.edges.items()}
        return Graph(self.rows.to(device), self.row_index.to(device), edges)

    def draw(self, counts: Mapping[Any, int], stream: Callable[[int], torch.Generator]) -> Plan:
        """Draw ``counts[label]`` pairs of a row and a neighbour, and their gaps.

        ``stream`` maps the rank of a class to the generator that its draws come from.
        """
        drawn = [self.edges[label].draw(number, stream(self.edges[label].rank)) for label, number in counts.items()]
        if not drawn:
            nothing = self.row_index.new_empty(0)
            return Plan(nothing, nothing, nothing.to(computing_dtype(self.rows)))
        base, neighbor, gap = (parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*drawn, strict=True))
        return Plan(base, neighbor, gap.to(computing_dtype(self.rows)))


class GraphBuilder:
    """Collects the pairs of one class after the other, in rows of the fitted table."""

    def __init__(self, table: Tensor) -> None:
        self._table = table
        self._rows = [torch.empty(0, dtype=torch.int64, device=table.device)]
        self._edges: dict[Any, Edges] = {}
        self._total = 0

    def add(
        self,
        label: Any,
        rank: int,
        parents: Tensor,
        neighbors: Tensor,
        *,
        bases: Tensor | None = None,
        ends: Tensor | None = None,
        shares: Tensor | None = None,
        low: Tensor | None = None,
        width: Tensor | None = None,
    ) -> None:
        """Add a class: ``parents`` are rows of the table, ``bases`` and ``neighbors`` positions in them.

        None for ``bases`` makes every parent a base; see ``Edges`` for the rest.
        """
        if bases is None:
            bases = torch.arange(len(parents), device=parents.device)
        pairs = Edges(rank, bases + self._total, neighbors + self._total, ends, shares, low, width)
        self._edges[label] = pairs
        self._rows.append(parents)
        self._total += len(parents)

    def graph(self) -> Graph:
        """Return the graph, which holds copies of the parents alone."""
        index = torch.cat(self._rows)
        return Graph(self._table[index], index, self._edges)


def apportion(total: int, shares: Tensor) -> Tensor:
    """Split ``total`` into whole numbers proportional to ``shares`` that sum to it; ties to the first.

    Example:
        >>> apportion(10, torch.tensor([1.0, 1.0, 1.0]))
        tensor([4, 3, 3])
    """
    quota = total * (shares.double() / shares.double().sum())
    parts = quota.floor().long()
    order = (parts - quota).argsort(stable=True)
    parts[order[: total - int(parts.sum())]] += 1
    return parts


def allot(total: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Split ``total`` by largest remainder; with fewer rows than groups by systematic sampling in place of remainders.

    Small draws, as for one batch, would otherwise go to the groups of the largest shares every time. Each group gets
    its quota rounded down or up either way.

    Example:
        >>> allot(2, torch.tensor([3.0, 1.0, 1.0, 1.0]), torch.Generator().manual_seed(1)).sum()
        tensor(2)
    """
    if total >= len(shares):
        return apportion(total, shares)
    quota = total * (shares.double() / shares.double().sum())
    parts = (quota + 1e-9).floor()
    steps = (quota - parts).clamp(min=0).cumsum(0)
    offset = torch.rand((), generator=generator, device=generator.device, dtype=torch.float64).cpu()
    parts += (steps + offset).floor().diff(prepend=steps.new_zeros(1))
    return parts.long() if parts.sum() == total else apportion(total, shares)


def computing_dtype(rows: Tensor) -> torch.dtype:
    """Return the dtype in which rows are interpolated: float32 for halves, float64 for integers."""
    if not rows.is_floating_point():
        return torch.float64
    return torch.promote_types(rows.dtype, torch.float32)


def limits(dtype: torch.dtype) -> tuple[float, float]:
    """Return the smallest and largest floating-point number that a dtype holds."""
    if dtype == torch.bool:
        return 0, 1
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return info.min, info.max if float(info.max) <= info.max else math.nextafter(info.max, 0)


def blocks(total: int, rows: Tensor) -> Iterator[slice]:
    """Yield the parts of ``total`` rows like ``rows`` that are written at a time."""
    step = max(1, (1 << (18 if rows.device.type == "cpu" else 26)) // rows.shape[1])
    return (slice(start, start + step) for start in range(0, total, step))


def interpolate(rows: Tensor, plan: Plan, out: Tensor) -> Tensor:
    """Write ``rows[base] + gap (rows[neighbor] - rows[base])`` into ``out``, in blocks that fit a cache."""
    low, high = limits(rows.dtype)
    for part in blocks(len(out), rows):
        base = rows.index_select(0, plan.base[part]).to(plan.gap.dtype)
        new = rows.index_select(0, plan.neighbor[part]).to(plan.gap.dtype)
        new.sub_(base).mul_(plan.gap[part, None])
        if rows.dtype == new.dtype:
            torch.add(new, base, out=out[part])
        else:
            new.add_(base)
            out[part] = new if rows.is_floating_point() else new.round_().clamp_(low, high)
    return out
