"""Batches straight from tensors in memory: one index_select per batch instead of one Python call per row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_length, check_tensor


class TensorLoader:
    """Iterate over tensors in batches, driven by one of the samplers; an iterable with length and state.

    Without a sampler the rows come in order, and a distributed run shares them out by rank without padding: no row
    is seen twice, which is what evaluation needs.

    Args:
        *tensors: of the same length N, such as ``X, y``.
        batch_size: rows in a batch.
        sampler: a sampler of :mod:`imbalance_torch.samplers` over the same N rows; its ``batch_size`` is this one's
            or None.

    Raises:
        TypeError: something that is not a tensor, or another kind of sampler.
        ValueError: no tensor, tensors or a sampler of different length, or two batch sizes.

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
        if not tensors:
            raise ValueError("TensorLoader needs at least one tensor, such as TensorLoader(X, y, batch_size=256).")
        check_same_length(**{f"tensors[{i}]": check_tensor(f"tensors[{i}]", t) for i, t in enumerate(tensors)})
        self.tensors = tensors
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.sampler = sampler
        if sampler is None:
            return
        if not hasattr(sampler, "indices"):
            raise TypeError(f"`sampler` must come from imbalance_torch.samplers, got {type(sampler).__name__}.")
        check_same_length(**{"tensors[0]": tensors[0], "sampler.dataset": sampler.dataset})
        if sampler.batch_size not in (None, batch_size):
            raise ValueError(
                f"The sampler makes batches of {sampler.batch_size} rows, the loader of {batch_size}. "
                "Pass one size to both."
            )

    def __len__(self) -> int:
        return -(-len(self._own_rows() if self.sampler is None else self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if self.sampler is None:
            own = self._own_rows()
            indices = torch.arange(own.start, own.stop, own.step)
        else:
            indices = self.sampler.indices()
        for start in range(0, len(indices), self.batch_size):
            rows = indices[start : start + self.batch_size]
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

    def _own_rows(self) -> range:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, ranks = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        return range(len(self.tensors[0]))[rank::ranks]
