"""What every sampler shares: one global stream per epoch, its shard for this rank, and the place reached in it."""

from __future__ import annotations

import hashlib
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler

from imbalance_torch._checks import check_int
from imbalance_torch.samplers._batches import QuotaBatchSampler
from imbalance_torch.samplers._description import SamplerDescription, describe_streams

_STATE_VERSION = 1
_LIST_ROWS = 1 << 12


class _Running(NamedTuple):
    """An iterator that carries the place: how far its list has been read is how far the epoch has come."""

    rows: Iterator[int]
    epoch: int
    start: int
    taken: int
    """Rows of this rank when the list will have been read."""
    end: int


class AbstractSampler(DistributedSampler[int], ABC):
    """Base of the samplers: a ``DistributedSampler`` (so that trainers leave its order alone) without a process group.

    The stream of an epoch depends on (seed, epoch) only and is the same on all ranks. It is dealt out by batch: rank
    r of W owns batches r, r + W, r + 2W, ...; with ``batch_size=None`` it owns rows r, r + W, ..., which suits any
    batch size of the loader. What is left for the last step is split evenly; up to W - 1 rows (batches, where they
    must stay whole) from the beginning of the epoch fill it up, or, with ``drop_last``, the incomplete step is left
    out.

    The stream is drawn in blocks of about 65,536 rows (whole batches), when they are asked for: the first index comes
    after one block. A subclass sets ``_total`` and ``_shares`` and draws one block in ``_draw``; whatever else decides
    the stream goes into ``_settings``.

    Args:
        num_rows: N, the rows of the dataset.
        digest: identifies the data that the stream depends on (labels, weights).
        batch_size: rows per batch and rank, or None.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks W; None asks ``torch.distributed``, else 1.
        rank: this rank, 0 to W - 1; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.
    """

    exact_shares: ClassVar[bool] = True
    """Whether every epoch feeds exactly ``effective_prior``; otherwise it does in expectation."""
    small_state: ClassVar[bool] = True
    """Whether the state takes less than 1 KB whatever the number of rows."""
    mixed_batches: ClassVar[bool] = False
    """Whether each full batch holds the class shares as evenly as rounding permits."""
    whole_batches: ClassVar[bool] = False
    """Whether what is left for the last step is shared out, and filled up, by whole batches instead of rows."""
    bytes_per_row: ClassVar[int] = 4
    """Memory kept for each row beyond the labels, below 2^31 rows."""

    _rows_per_block: ClassVar[int] = 1 << 16
    """About how many rows are drawn at once."""
    classes: tuple[Any, ...]
    """The classes in sorted order, which is the order of every per-class result; empty where no labels are given."""
    _rows: Sequence[Tensor]
    """The rows of each class, for the description."""
    _total: int
    """Rows that all ranks together have in an epoch, the same in every epoch."""
    _shares: Tensor
    """What each class has of an epoch, up to a factor, in the order of ``classes``."""
    _settings: tuple[Any, ...] = ()
    """What decides the stream beside the data, the number of rows, the batch size and the seed."""
    _reached: tuple[int, int, int]
    _running: _Running | None

    def __init__(
        self,
        num_rows: int,
        digest: str,
        *,
        batch_size: int | None,
        seed: int,
        num_replicas: int | None,
        rank: int | None,
        drop_last: bool,
    ) -> None:
        self.dataset = range(num_rows)  # type: ignore[assignment]
        self._digest = digest
        self.batch_size = None if batch_size is None else check_int("batch_size", batch_size, minimum=1)
        self.seed = check_int("seed", seed, minimum=0)
        self.shuffle = True
        if not isinstance(drop_last, bool):
            raise TypeError(f"`drop_last` must be a bool, got drop_last={drop_last!r}.")
        self.drop_last = drop_last
        if (num_replicas is None) != (rank is None):
            raise ValueError(f"Pass both or none, got num_replicas={num_replicas}, rank={rank}.")
        if num_replicas is not None and not 0 <= check_int("rank", rank) < check_int("num_replicas", num_replicas):
            raise ValueError(f"`rank` must be in [0, num_replicas), got rank={rank}, num_replicas={num_replicas}.")
        self._replica = None if num_replicas is None or rank is None else (num_replicas, rank)
        self._place = (0, 0, 0)

    @property
    def _place(self) -> tuple[int, int, int]:
        """Epoch, rows of it that all ranks had consumed at the restart, rows of this rank since."""
        if self._running is None:
            return self._reached
        rows, epoch, start, taken, end = self._running
        taken -= operator.length_hint(rows)
        return (epoch, start, taken) if taken < end else (epoch + 1, 0, 0)

    @_place.setter
    def _place(self, place: tuple[int, int, int]) -> None:
        self._reached, self._running = place, None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reached": self._place, "_running": None}

    @abstractmethod
    def _draw(self, epoch: int, block: int) -> Tensor:
        """Return rows ``[block * _block_rows, (block + 1) * _block_rows)`` of an epoch's stream, int64 on the CPU.

        The last block ends with row ``_total``. Blocks are asked for in any order, and give the same rows each time.
        """

    @property
    def num_replicas(self) -> int:  # type: ignore[override]
        """Number of ranks that share the stream."""
        return self._ranks()[0]

    @property
    def rank(self) -> int:  # type: ignore[override]
        """This rank."""
        return self._ranks()[1]

    @property
    def epoch(self) -> int:  # type: ignore[override]
        """The epoch that the next row belongs to."""
        return self._place[0]

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """Rows that this rank yields per epoch."""
        return self._rows_per_rank(self._total)

    @property
    def total_size(self) -> int:  # type: ignore[override]
        """Rows that all ranks together yield per epoch."""
        return self.num_samples * self.num_replicas

    @property
    def effective_prior(self) -> Tensor:
        """Class shares that the sampler feeds, float64, shape (C,), in the order of ``classes``."""
        return self._shares.double() / self._shares.sum()

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        caller = sys._getframe(1)
        loader = caller.f_locals.get("loader") if caller.f_globals.get("__name__", "").startswith("torch") else None
        return chain.from_iterable(self._lists(as_batches=getattr(loader, "batch_sampler", None) is self))

    def _lists(self, *, as_batches: bool) -> Iterator[Iterator[int]]:
        if as_batches:
            raise TypeError(
                f"`batch_sampler` must yield batches, got {type(self).__name__}, which yields single rows. "
                "Pass `sampler=` and the same `batch_size`, or `batch_sampler=sampler.as_batch_sampler()`."
            )
        epoch, start, taken = self._place
        end = self._rows_per_rank(self._total - start)
        running = self._running
        for part in self.iter_indices():
            for rows in torch.split(part, _LIST_ROWS):
                taken += len(rows)
                iterator = iter(rows.numpy().tolist())
                if self._running is running:  # otherwise set_epoch or another iterator has taken over
                    running = self._running = _Running(iterator, epoch, start, taken, end)
                yield iterator

    def iter_indices(self) -> Iterator[Tensor]:
        """Yield the rest of this rank's epoch in parts, int64 on the CPU, without moving on."""
        epoch, start, taken = self._place
        ranks, rank = self._ranks()
        batch, step = self._batch, self._batch * ranks
        if not self._rows_per_rank(self._total - start):
            raise ValueError(
                f"An epoch has no complete step: {self._total} rows, batch_size={self.batch_size}, "
                f"num_replicas={ranks}. Pass drop_last=False."
            )
        steps_done = min(taken // batch, (self._total - start) // step)
        position, skip = start + steps_done * step, taken - steps_done * batch
        left = np.empty(0, dtype=np.int64)  # copied by NumPy: torch would wake its threads for each block
        while position < self._total:
            block, offset = divmod(position, self._block_rows)
            rows = np.concatenate((left, self._draw(epoch, block)[offset:].numpy()))
            position = min((block + 1) * self._block_rows, self._total)
            whole, left = np.split(rows, [len(rows) // step * step])
            part = whole.reshape(-1, ranks, batch)[:, rank].reshape(-1)[skip:]
            skip = max(0, skip - len(whole) // ranks)
            if len(part):
                yield torch.from_numpy(part)
        if len(left) and not self.drop_last:
            share = self._share_of_rest(len(left))
            beginning = self._draw(epoch, 0)
            padding = beginning[torch.arange(share * ranks - len(left)) % len(beginning)]
            yield torch.cat([torch.from_numpy(left), padding])[rank * share : (rank + 1) * share][skip:]

    def indices(self) -> Tensor:
        """Return the rest of this rank's epoch, int64 on the CPU, without moving on."""
        return torch.cat(list(self.iter_indices()))

    def advance(self, num_rows: int) -> None:
        """Record that this rank, like every other, has consumed ``num_rows`` more rows.

        At the end of the epoch the sampler moves to the beginning of the next one.
        """
        epoch, start, taken = self._place
        left = self._rows_per_rank(self._total - start) - taken
        if check_int("num_rows", num_rows, minimum=0) > left:
            raise ValueError(f"`num_rows` must be <= {left}, the rest of the epoch, got num_rows={num_rows}.")
        self._place = (epoch, start, taken + num_rows) if num_rows < left else (epoch + 1, 0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of ``epoch``; when already in it, stay at the place reached (or restored)."""
        if check_int("epoch", epoch, minimum=0) != self.epoch:
            self._place = (int(epoch), 0, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the place reached: small, the same on all ranks, valid for any number of ranks.

        ``consumed`` counts the rows of whole batches over all ranks; a batch left in the middle is fed again.
        """
        epoch, start, taken = self._place
        return {
            "version": _STATE_VERSION,
            "epoch": epoch,
            "consumed": start + taken // self._batch * self._batch * self.num_replicas,
            "seed": self.seed,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved place, with the seed it was saved under; the number of ranks may differ.

        Raises:
            ValueError: the state has another version, or belongs to other labels or settings.
        """
        if state_dict.get("version") != _STATE_VERSION:
            raise ValueError(f"The state must have version {_STATE_VERSION}, got {state_dict.get('version')!r}.")
        if lacking := sorted({"epoch", "consumed", "seed", "fingerprint"} - set(state_dict)):
            raise ValueError(f"The state lacks {', '.join(lacking)}. Pass what `state_dict` returned.")
        if state_dict["fingerprint"] != self._fingerprint():
            raise ValueError(
                f"The state is not of this {type(self).__name__}: the labels, their order or the settings differ. "
                "Build the sampler as it was built when the state was saved."
            )
        epoch, start = (
            check_int("epoch", state_dict["epoch"], minimum=0),
            check_int("consumed", state_dict["consumed"], minimum=0),
        )
        if start > self._total:
            raise ValueError(f"The state has consumed {start} rows of an epoch of {self._total}: it is damaged.")
        self.seed = check_int("seed", state_dict["seed"], minimum=0)
        self._place = (epoch, start, 0) if self._rows_per_rank(self._total - start) else (epoch + 1, 0, 0)

    def describe(self, num_epochs: int = 1) -> SamplerDescription:
        """Draw the next ``num_epochs`` epochs and say what they hold: O(rows drawn) time; prints as a table."""
        streams = self._epochs(num_epochs)
        return describe_streams(streams, len(self.dataset), self.classes, self._rows, self.batch_size)  # type: ignore[arg-type]

    def _epochs(self, number: int) -> list[Tensor]:
        epochs = range(self.epoch, self.epoch + check_int("num_epochs", number, minimum=1))
        blocks = range(-(-self._total // self._block_rows))
        return [torch.cat([self._draw(epoch, block) for block in blocks]) for epoch in epochs]

    def as_batch_sampler(self) -> BatchSampler:
        """Return this sampler for ``DataLoader(batch_sampler=)``.

        A trainer that rebuilds it around a sampler of its own gets this sampler's order all the same.
        """
        if self.batch_size is None:
            raise ValueError("`batch_size` must be given to the sampler, got batch_size=None.")
        return QuotaBatchSampler.around(self)

    @property
    def _batch(self) -> int:
        return self.batch_size or 1

    @property
    def _block_rows(self) -> int:
        return max(1, self._rows_per_block // self._batch) * self._batch

    def _ranks(self) -> tuple[int, int]:
        if self._replica is not None:
            return self._replica
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_world_size(), torch.distributed.get_rank()
        return 1, 0

    def _rows_per_rank(self, rows: int) -> int:
        steps, tail = divmod(rows, self._batch * self.num_replicas)
        return steps * self._batch + (0 if self.drop_last else self._share_of_rest(tail))

    def _share_of_rest(self, rows: int) -> int:
        unit = self._batch if self.whole_batches else 1
        return -(-rows // (unit * self.num_replicas)) * unit

    def _fingerprint(self) -> str:
        parts = (type(self).__name__, self._digest, self._total, self.batch_size, self._settings)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
