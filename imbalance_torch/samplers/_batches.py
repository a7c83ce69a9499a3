"""The batch-sampler form of a sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch.utils.data import BatchSampler


class QuotaBatchSampler(BatchSampler):
    """Batches of one sampler, whatever sampler it is rebuilt with.

    Under DDP a trainer calls ``type(batch_sampler)(its_own_sampler, batch_size=..., drop_last=...)``, which would lose
    the quota. Each class made by :meth:`around` therefore carries its sampler; ``.sampler`` is always that one.
    """

    source: ClassVar[Any]

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if batch_size != self.source.batch_size:
            raise ValueError(f"`batch_size` must be the sampler's {self.source.batch_size}, got {batch_size}.")
        super().__init__(self.source, batch_size, drop_last)

    @staticmethod
    def around(sampler: Any) -> QuotaBatchSampler:
        """Return the batches of ``sampler``."""
        bound: type[QuotaBatchSampler] = type("QuotaBatchSampler", (QuotaBatchSampler,), {"source": sampler})
        return bound(sampler, sampler.batch_size, sampler.drop_last)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return QuotaBatchSampler.around, (self.source,)
