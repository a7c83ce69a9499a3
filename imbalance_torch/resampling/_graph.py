"""The neighbour graph that is fitted once, and the plan and rows that are drawn from it as often as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Plan(NamedTuple):
    """One base row, neighbour and gap for each synthetic row; rows are positions in ``Graph.rows``."""

    base: Tensor
    neighbor: Tensor
    gap: Tensor


@dataclass(frozen=True)
class Graph:
    """Rows that can be parents and, flattened, the ``k`` neighbours of each.

    ``edges`` gives for each label the rank of its class and the range of its entries in ``neighbors``; ``row_index``
    the row of the fitted data that each row is.
    """

    rows: Tensor
    row_index: Tensor
    neighbors: Tensor
    k: int
    edges: dict[Any, tuple[int, int, int]]

    def to(self, device: torch.device) -> Graph:
        """Return the graph on ``device``."""
        moved = {name: getattr(self, name).to(device) for name in ("rows", "row_index", "neighbors")}
        return replace(self, **moved)

    def draw(self, counts: Mapping[Any, int], stream: Callable[[int], torch.Generator]) -> Plan:
        """Draw ``counts[label]`` pairs of a row and one of its neighbours, uniformly, and a gap in [0, 1).

        ``stream`` maps the rank of a class to the generator that its draws come from.
        """
        picks, gaps = [torch.empty(0, dtype=torch.int64)], [torch.empty(0, dtype=torch.float64)]
        for label, number in counts.items():
            rank, low, high = self.edges[label]
            generator = stream(rank)
            device = generator.device
            picks.append(torch.randint(low, high, (number,), generator=generator, device=device))
            gaps.append(torch.rand(number, generator=generator, device=device, dtype=torch.float64))
        edge = _on(self.rows.device, picks)
        gap = _on(self.rows.device, gaps).to(computing_dtype(self.rows))
        return Plan(edge // self.k, self.neighbors[edge], gap)


def _on(device: torch.device, parts: list[Tensor]) -> Tensor:
    return torch.cat(parts[1:] or parts).to(device)


def computing_dtype(rows: Tensor) -> torch.dtype:
    """Return the dtype in which rows are interpolated: float32 for halves, float64 for integers."""
    if not rows.is_floating_point():
        return torch.float64
    return torch.promote_types(rows.dtype, torch.float32)


def interpolate(rows: Tensor, plan: Plan, out: Tensor) -> Tensor:
    """Write ``rows[base] + gap (rows[neighbor] - rows[base])`` into ``out``, in blocks of a few megabytes."""
    step = max(1, (1 << 20) // rows.shape[1]) if rows.device.type == "cpu" else max(1, (1 << 26) // rows.shape[1])
    for start in range(0, len(out), step):
        block = slice(start, start + step)
        base = rows[plan.base[block]].to(plan.gap.dtype)
        new = rows[plan.neighbor[block]].to(plan.gap.dtype).sub_(base).mul_(plan.gap[block, None]).add_(base)
        out[block] = new if rows.is_floating_point() else new.round_()
    return out
