"""What a sampler feeds, counted on the rows it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplerDescription:
    """What some epochs of a sampler hold; minority means every class but the largest one."""

    num_epochs: int
    rows_per_epoch: int
    duplicates: int
    """Rows fed again, over all the epochs."""
    coverage: dict[Any, float]
    """For each class, the share of its rows that was fed at least once."""
    minority_rows_per_batch: float | None
    """Mean over the batches; None without a batch size."""
    batches: int | None
    batches_without_minority: int | None
    cells: dict[Any, float] = field(default_factory=dict)
    """Like ``coverage``, for each (class, group), where groups are given."""
    empty_cells: tuple[Any, ...] = ()
    """The (class, group) pairs that no row belongs to."""

    def __str__(self) -> str:
        lines = [
            f"{self.num_epochs} epoch(s) of {self.rows_per_epoch:,} rows, {self.duplicates:,} of them fed again",
            *(f"class {label}: {share:.1%} of its rows fed" for label, share in self.coverage.items()),
            *(f"class {label}, group {group}: {share:.1%}" for (label, group), share in self.cells.items()),
            *(f"class {label}, group {group}: no rows" for label, group in self.empty_cells),
        ]
        if self.batches is not None:
            lines += [
                f"minority rows per batch: {self.minority_rows_per_batch:.2f} on average",
                f"batches without a minority row: {self.batches_without_minority:,} of {self.batches:,}",
            ]
        return "\n".join(lines)


def coverage_of(fed: Tensor, num_rows: int, names: Sequence[Any], rows: Sequence[Tensor]) -> dict[Any, float]:
    """Return which share of the rows of each class is among the rows ``fed``."""
    seen = torch.zeros(num_rows, dtype=torch.bool)
    seen[fed] = True
    return {name: float(seen[members.long()].double().mean()) for name, members in zip(names, rows, strict=True)}


def describe_streams(
    streams: Sequence[Tensor],
    num_rows: int,
    classes: Sequence[Any],
    rows: Sequence[Tensor],
    batch_size: int | None,
) -> SamplerDescription:
    """Count what the epochs ``streams`` hold of ``num_rows`` rows, given those of each class, which may overlap."""
    times_fed = torch.bincount(torch.cat(list(streams)), minlength=num_rows)
    per_batch = None
    if batch_size is not None:
        minority = torch.zeros(len(times_fed), dtype=torch.int64)
        for members in sorted(rows, key=len)[:-1]:
            minority[members.long()] = 1
        per_batch = torch.stack(
            [batch.sum() for stream in streams for batch in torch.split(minority[stream], batch_size)]
        )
    return SamplerDescription(
        num_epochs=len(streams),
        rows_per_epoch=len(streams[0]),
        duplicates=int((times_fed - 1).clamp(min=0).sum()),
        coverage=coverage_of(torch.cat(list(streams)), num_rows, classes, rows),
        minority_rows_per_batch=None if per_batch is None else float(per_batch.double().mean()),
        batches=None if per_batch is None else len(per_batch),
        batches_without_minority=None if per_batch is None else int((per_batch == 0).sum()),
    )
