"""Batches straight from tensors in memory: one index_select per batch instead of one Python call per row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_device, check_same_length, check_tensor
from imbalance_torch.samplers._base import AbstractSampler


class TensorLoader:
    """Iterate over tensors in batches, driven by one of the samplers; an iterable with length and state.

    Without a sampler the rows come in order, and a distributed run shares them out by rank without padding: no row
    is seen twice, which is what evaluation needs.

    Args:
        *tensors: of the same length N, such as ``X, y``.
        batch_size: rows in a batch.
        sampler: a sampler of :mod:`imbalance_torch.samplers` over the same N rows; its ``batch_size`` is this one's
            or None.
        drop_last: leave out a last batch of fewer rows.
        device: where the tensors go, once; by default they stay where they are. Batches are gathered there.
        pin_memory: gather batches of CPU tensors into page-locked memory, from which they go to a GPU without waiting;
            without CUDA it does nothing.

    Raises:
        TypeError: something that is not a tensor, or another kind of sampler.
        ValueError: no tensor, tensors or a sampler of different length or device, or two batch sizes.

    Notes:
        Every batch has memory of its own: it may be kept, and changed in place. Memory beyond the tensors is one batch
        and one block of the sampler (about 65,536 row numbers), whatever N is, and the first batch waits for one block
        only. A tensor that is not contiguous is copied once, so that a row is one piece of memory.
        ``state_dict`` holds the sampler's place, counted in batches handed out: a loader restored in the middle of an
        epoch, like a loop that was left early, goes on with the next batch. Without a sampler there is no state, and
        each loop starts with the first row. ``len`` is that of a whole epoch. A trainer takes the loader as it is,
        under DDP as well: it is no ``DataLoader`` to be rebuilt, and its sampler knows the ranks.
        NOTE[DIFF] ``DataLoader(TensorDataset(...))`` fetches row by row and stacks the rows to a batch; the larger
        the batch, the slower a row.

    Example:
        >>> loader = TensorLoader(torch.arange(5.0), torch.tensor([0, 0, 0, 0, 1]), batch_size=2)
        >>> len(loader), next(iter(loader))
        (3, (tensor([0., 1.]), tensor([0, 0])))
    """

    batch_sampler = None  # Lightning asks for both attributes when it looks for shuffling.

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int,
        sampler: AbstractSampler | None = None,
        drop_last: bool = False,
        device: torch.device | str | None = None,
        pin_memory: bool = False,
    ) -> None:
        if not tensors:
            raise ValueError("TensorLoader needs at least one tensor, such as TensorLoader(X, y, batch_size=256).")
        for i, tensor in enumerate(tensors):
            if check_tensor(f"tensors[{i}]", tensor).ndim == 0:
                raise ValueError(f"`tensors[{i}]` must have one row for each sample, got a single number.")
        self.tensors = tuple(tensor.to(device or tensor.device).contiguous() for tensor in tensors)
        named = {f"tensors[{i}]": tensor for i, tensor in enumerate(self.tensors)}
        check_same_length(**named)
        check_same_device(**named)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.sampler = sampler
        self.drop_last = drop_last
        self._pinned = pin_memory and torch.cuda.is_available() and self.tensors[0].device.type == "cpu"
        if sampler is None:
            return
        if not isinstance(sampler, AbstractSampler):
            raise TypeError(f"`sampler` must come from imbalance_torch.samplers, got {type(sampler).__name__}.")
        check_same_length(**{"tensors[0]": tensors[0], "sampler.dataset": sampler.dataset})  # type: ignore[arg-type]
        if sampler.batch_size not in (None, batch_size):
            raise ValueError(
                f"The sampler makes batches of {sampler.batch_size} rows, the loader of {batch_size}. "
                "Pass one size to both."
            )

    def __len__(self) -> int:
        return self._batches(len(self._rows_in_order(self.tensors[0]) if self.sampler is None else self.sampler))

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self._in_order() if self.sampler is None else self._sampled(self.sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return where the sampler stands, or an empty state without one."""
        return {} if self.sampler is None else self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        if self.sampler is not None:
            self.sampler.load_state_dict(state)

    def _in_order(self) -> Iterator[tuple[Tensor, ...]]:
        own, size = [self._rows_in_order(tensor) for tensor in self.tensors], self.batch_size
        for start in range(0, len(self) * size, size):
            rows = [tensor[start : start + size] for tensor in own]
            yield tuple(self._empty(part, part.shape).copy_(part) for part in rows)

    def _sampled(self, sampler: AbstractSampler) -> Iterator[tuple[Tensor, ...]]:
        epoch, start, taken = place = sampler._place
        left = self._batches(sampler._rows_per_rank(sampler._total - start) - taken)
        for rows in self._batches_of_rows(sampler.iter_indices()):
            left -= 1
            if sampler._place is place:  # otherwise set_epoch, load_state_dict or another loop has taken over
                if left:
                    sampler.advance(self.batch_size)
                else:
                    sampler.set_epoch(epoch + 1)
                place = sampler._place
            yield tuple(self._select(tensor, rows) for tensor in self.tensors)

    def _batches_of_rows(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        size, device = self.batch_size, self.tensors[0].device
        left = torch.empty(0, dtype=torch.int64)
        for part in parts:
            rows = torch.cat([left, part]) if len(left) else part
            whole = len(rows) // size * size
            left = rows[whole:]
            if whole:
                yield from torch.split(rows[:whole].to(device), size)
        if len(left) and not self.drop_last:
            yield left.to(device)

    def _select(self, tensor: Tensor, rows: Tensor) -> Tensor:
        if not self._pinned:
            return tensor.index_select(0, rows)
        return torch.index_select(tensor, 0, rows, out=self._empty(tensor, (len(rows), *tensor.shape[1:])))

    def _empty(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.empty(shape, dtype=like.dtype, device=like.device, pin_memory=self._pinned)

    def _rows_in_order(self, tensor: Tensor) -> Tensor:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, ranks = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        return tensor[rank::ranks]

    def _batches(self, rows: int) -> int:
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)
