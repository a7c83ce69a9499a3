"""Batches straight from tensors in memory: one index_select per batch instead of one Python call per row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_length


class TensorLoader:
    """Iterate over tensors in batches, driven by one of the samplers; an iterable with length and state.

    Without a sampler the rows come in order, and a distributed run shares them out by rank without padding: no row
    is seen twice, which is what evaluation needs.

    Args:
        *tensors: of the same length N, such as ``X, y``.
        batch_size: rows in a batch.
        sampler: a sampler of :mod:`imbalance_torch.samplers`; its ``batch_size`` is this one's.

    Notes:
        ``state_dict`` holds the sampler's state: a loader restored in the middle of an epoch goes on with the next
        batch. Memory beyond the tensors is one index per row of the epoch (8 bytes).

    Example:
        >>> loader = TensorLoader(torch.arange(5.0), torch.tensor([0, 0, 0, 0, 1]), batch_size=2)
        >>> len(loader), next(iter(loader))
        (3, (tensor([0., 1.]), tensor([0, 0])))
    """

    batch_sampler = None  # Lightning asks for both attributes when it looks for shuffling.

    def __init__(self, *tensors: Tensor, batch_size: int, sampler: Any = None) -> None:
        check_same_length(**{f"tensors[{i}]": tensor for i, tensor in enumerate(tensors)})
        self.tensors = tensors
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.sampler = sampler
        if sampler is not None and sampler.batch_size not in (None, batch_size):
            raise ValueError(
                f"The sampler makes batches of {sampler.batch_size} rows, the loader of {batch_size}. "
                "Pass one size to both."
            )

    def __len__(self) -> int:
        rows = len(self.sampler) if self.sampler is not None else len(self._shard())
        return -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        indices = self.sampler.indices() if self.sampler is not None else self._shard()
        for rows in indices.split(self.batch_size):
            batch = tuple(tensor[rows.to(tensor.device)] for tensor in self.tensors)
            if self.sampler is not None:
                self.sampler.advance(len(rows))
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the sampler stands, or an empty state without one."""
        return {} if self.sampler is None else self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        if self.sampler is not None:
            self.sampler.load_state_dict(state)

    def _shard(self) -> Tensor:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, ranks = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        return torch.arange(rank, len(self.tensors[0]), ranks)
