"""Balanced batches from Parquet files that are larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import mix
from imbalance_torch.data._encoding import TableEncoder
from imbalance_torch.data._parts import to_pandas
from imbalance_torch.data._row_groups import RowGroups, numbers_of
from imbalance_torch.samplers._permutation import Permutation

if TYPE_CHECKING:
    import pyarrow as pa

_STATE_VERSION = 1
_GOLDEN = (5**0.5 - 1) / 2


class ParquetStream(IterableDataset[tuple[Tensor, Tensor]]):
    r"""Stream batches ``(x, y)`` out of Parquet files: by row group, shuffled in a window, thinned to class shares.

    .. math:: m_c = \min(n_c,\ \mathrm{round}(n_{min} / r))

    rows of class c in each epoch, with :math:`n_c` the rows of class c in the files and :math:`r` = ``ratio``; all
    rows without a ratio. The row groups come in an order drawn anew for each epoch. Of each one the rows of the epoch
    are kept, and the rest never leaves Arrow; kept rows fill a window, within which rows of a class are shuffled and
    the classes spread evenly over the batches.

    It is a data set as well as a loader: pass it to a trainer as it is. In a loop of your own workers can read ahead,
    ``DataLoader(stream, batch_size=None, num_workers=2)``, if ``stream.set_epoch(epoch)`` comes before each loop.

    Args:
        source: a Parquet file, a directory of them or a pattern such as ``"cards/*.parquet"``; as in
            :func:`read_table`, folders ``key=value`` become columns.
        target: name of the target column: integers, booleans or text without gaps.
        columns: feature columns, numbers and booleans; by default all columns but the target, which the files must
            then have in common.
        encoder: a fitted :class:`TableEncoder`, for tables with other columns; it settles ``columns``.
        classes: the labels in the order of their codes 0 to C-1; by default those found, sorted.
        ratio: rows of the smallest class per row of a larger class, in (0, 1]; None feeds every row.
        batch_size: rows in a batch.
        window_rows: kept rows that are shuffled together, about; a window holds whole row groups.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out a last batch of fewer rows.

    Attributes:
        classes: the labels, in the order of their codes.
        class_counts: rows of each class in the files, what ``ImbalancedClassifier(class_counts=)`` takes.
        effective_prior: class shares that are fed, float64, (C,).

    Raises:
        TypeError: an argument of the wrong kind.
        FileNotFoundError, ValueError: no such file or column, an unreadable file, files whose columns or types differ,
            a target with gaps or without classes, a column that is no number, a value out of range; while reading,
            fewer row groups than ranks times workers.

    Notes:
        Construction reads the target column once, so that counts, shares and ``len`` are known. Memory is two windows
        of encoded rows and one row group's chunk and class codes, whatever the size of the files: write them with row
        groups of 100,000 to 1,000,000 rows.
        The slices of a class follow one another through a shuffled deck of each row group, from which it takes its
        part of :math:`m_c`, rounded up in some epochs and down in others: every row gets its turn, in about
        :math:`n_c / m_c` epochs. One rank without workers feeds exactly the shares above, each row at most once an
        epoch. Several shards (ranks times workers) own different
        row groups but yield the same number of batches: one that runs out begins again, one that has more leaves
        rows out, so that the shares hold on average; the more row groups, the nearer.
        Missing numbers become NaN; an encoder fills them in.
        A loop left early goes on with the next batch, and ``state_dict`` holds epoch and batches: a restored stream
        skips row groups that were used up without reading them. Copies in workers keep their own place: call
        ``set_epoch`` before each loop, and let ``torchdata``'s ``StatefulDataLoader`` collect the states.
        Probabilities learned from these batches are those of ``effective_prior``, not of the data.

    Example:
        >>> import pandas as pd, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cards.parquet"
        >>> pd.DataFrame({"amount": range(1000), "fraud": [0] * 980 + [1] * 20}).to_parquet(file)
        >>> stream = ParquetStream(file, target="fraud", ratio=0.25, batch_size=10)
        >>> stream.class_counts, stream.effective_prior.tolist(), len(stream)
        ([980, 20], [0.8, 0.2], 10)
        >>> [int(y.sum()) for _, y in stream]
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """

    batch_sampler = None  # Lightning asks for both attributes when it looks for shuffling.

    def __init__(
        self,
        source: str | Path,
        *,
        target: str,
        columns: Sequence[str] | None = None,
        encoder: TableEncoder | None = None,
        classes: Sequence[Any] | None = None,
        ratio: float | None = None,
        batch_size: int = 1024,
        window_rows: int = 262_144,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if encoder is not None and columns is not None:
            raise ValueError("Pass `columns` or `encoder`, which names its own columns.")
        columns = columns if encoder is None else encoder.columns
        if target in (columns or ()):
            raise ValueError(f"The target {target!r} cannot be a feature column as well.")
        if (num_replicas is None) != (rank is None):
            raise ValueError(f"Pass both or none, got num_replicas={num_replicas}, rank={rank}.")
        if num_replicas is not None and not 0 <= check_int("rank", rank) < check_int("num_replicas", num_replicas):
            raise ValueError(f"`rank` must be in [0, num_replicas), got rank={rank}, num_replicas={num_replicas}.")
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.window_rows = check_int("window_rows", window_rows, minimum=1)
        self.seed = check_int("seed", seed, minimum=0)
        self.drop_last = drop_last
        self.encoder = encoder
        self._groups = RowGroups(source, target, columns, classes, numbers_only=encoder is None)
        self.columns = self._groups.columns
        self.classes = self._groups.classes
        counts = self._groups.counts.sum(axis=0)
        self.class_counts: list[int] = counts.tolist()
        self._fed = counts
        if ratio is not None:
            check_number("ratio", ratio, exclusive_minimum=0, maximum=1)
            if not counts.all():
                raise ValueError(f"Class {self.classes[int(counts.argmin())]!r} has no row, so `ratio` has no meaning.")
            self._fed = np.minimum(counts, round(int(counts.min()) / ratio))
        self.effective_prior = torch.from_numpy(self._fed / self._fed.sum())
        self._replica = None if num_replicas is None or rank is None else (num_replicas, rank)
        self._place = (0, 0)
        self._shards: int | None = None

    @property
    def sampler(self) -> ParquetStream:
        """The stream itself: where a trainer looks for ``set_epoch`` and ``effective_prior``."""
        return self

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.classes)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self._place[0]

    def __len__(self) -> int:
        return -(-self._rows_per_rank() // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, ranks, worker, workers = self._shard()
        shard, shards = rank * workers + worker, ranks * workers
        (epoch, done), place = self._place, self._place
        if done and self._shards not in (None, shards):
            raise ValueError(
                f"{done} batches of this epoch were fed with {self._shards} shard(s), and now there are {shards}. Keep "
                "the numbers of ranks and workers, or call `set_epoch` to begin another epoch."
            )
        rows = self._rows_per_rank()
        sizes = [min(self.batch_size, rows - start) for start in range(0, rows, self.batch_size)][worker::workers]
        blocks = self._blocks(epoch, shard, shards, skip=sum(sizes[:done]))
        order = torch.empty(0, dtype=torch.int64)
        for size in sizes[done:]:
            parts, missing = [], size
            while missing:
                if not len(order):
                    x, y, order = next(blocks)
                chosen, order = order[:missing], order[missing:]
                parts.append((x.index_select(0, chosen), y.index_select(0, chosen)))
                missing -= len(chosen)
            done += 1
            if self._place is place:  # otherwise set_epoch, load_state_dict or another loop has taken over
                place = self._place = (epoch, done) if done < len(sizes) else (epoch + 1, 0)
                self._shards = shards
            yield parts[0] if len(parts) == 1 else (torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts]))

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of ``epoch``; when already in it, stay at the place reached (or restored)."""
        if check_int("epoch", epoch, minimum=0) != self.epoch:
            self._place = (int(epoch), 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the place reached: small, valid for the same numbers of ranks and workers."""
        epoch, done = self._place
        return {
            "version": _STATE_VERSION,
            "epoch": epoch,
            "batches": done,
            "shards": self._shards,
            "seed": self.seed,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved place, with the seed it was saved under.

        Raises:
            ValueError: the state has another version, or belongs to other files or settings.
        """
        if state_dict.get("version") != _STATE_VERSION:
            raise ValueError(f"The state must have version {_STATE_VERSION}, got {state_dict.get('version')!r}.")
        if state_dict["fingerprint"] != self._fingerprint():
            raise ValueError(
                "The state is not of this stream: the files or the settings differ. Build the stream as it was built "
                "when the state was saved."
            )
        self.seed = check_int("seed", state_dict["seed"], minimum=0)
        self._shards = state_dict["shards"]
        self._place = (
            check_int("epoch", state_dict["epoch"], minimum=0),
            check_int("batches", state_dict["batches"], minimum=0),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle with the rank: a worker that is not forked cannot ask for it."""
        return {**self.__dict__, "_replica": self._ranks()}

    def _blocks(self, epoch: int, shard: int, shards: int, skip: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield features, classes and order of one window after another, without end."""
        kept = self._kept(epoch)
        before = sum(map(self._kept, range(epoch)), np.zeros_like(kept))
        for number, groups in enumerate(self._windows(kept.sum(axis=1), epoch, shard, shards)):
            rows = int(kept[groups].sum())
            if skip < rows:
                x, y = self._read(groups, kept, before)
                order = _spread(y, np.random.Generator(np.random.PCG64(mix(self.seed, epoch, shard, shards, number))))
                yield torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(order[skip:])
            skip = max(0, skip - rows)

    def _kept(self, epoch: int) -> NDArray[np.int64]:
        """Return how many rows of each row group and class an epoch feeds: shares rounded elsewhere in each epoch."""
        counts = self._groups.counts.cumsum(axis=0)
        total = np.maximum(counts[-1], 1)
        phase = (epoch * (total * _GOLDEN).astype(np.int64)) % total
        ends: NDArray[np.int64] = (counts * self._fed + phase) // total
        return np.diff(ends, axis=0, prepend=0)

    def _windows(self, rows: NDArray[np.int64], epoch: int, shard: int, shards: int) -> Iterator[list[int]]:
        groups = np.flatnonzero(rows)
        if len(groups) < shards:
            raise ValueError(
                f"There are {len(groups)} row groups with rows to feed for {shards} shards (ranks times workers). "
                "Write the files with smaller row groups (`row_group_size` in pyarrow), or use fewer workers."
            )
        random = np.random.Generator(np.random.PCG64(mix(self.seed, epoch)))
        own = random.permutation(groups)[shard::shards]
        cuts = np.flatnonzero(np.diff(rows[own].cumsum() // self.window_rows, prepend=0)) + 1
        windows = [window.tolist() for window in np.split(own, cuts) if len(window)]
        return chain.from_iterable(repeat(windows))

    def _read(
        self, groups: list[int], kept: NDArray[np.int64], before: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        parts = []
        for group in groups:
            codes = self._groups.codes(group)
            rows = self._chosen(group, codes, kept[group], before[group])
            parts.append((self._matrix(self._groups.read(group, rows)), codes[rows].astype(np.int64)))
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def _chosen(
        self, group: int, codes: NDArray[np.uint16], kept: NDArray[np.int64], before: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the rows of a row group that come next in the decks of its classes, ascending."""
        counts = self._groups.counts[group]
        if (counts == kept).all():
            return np.arange(len(codes))
        largest = int(counts.argmax())
        rest = np.flatnonzero(codes != largest)  # few under imbalance: sorting them by class is cheap
        sizes = np.where(np.arange(len(counts)) == largest, 0, counts)
        rows = np.split(rest[codes[rest].argsort(kind="stable")], sizes.cumsum()[:-1])
        rows[largest] = np.flatnonzero(codes == largest)
        for code in np.flatnonzero(kept < counts).tolist():
            own = rows[code]
            places = torch.from_numpy(np.arange(before[code], before[code] + kept[code]) % len(own))
            rows[code] = own[Permutation(len(own), self.seed, group, code)(places).numpy()]
        return np.sort(np.concatenate(rows))

    def _matrix(self, table: pa.Table) -> NDArray[np.float32]:
        if self.encoder is None:
            return numbers_of(table)
        with torch.no_grad():
            return self.encoder.encode(to_pandas(table)).numpy(force=True)

    def _rows_per_rank(self) -> int:
        rows, ranks, size = int(self._fed.sum()), self._ranks()[0], self.batch_size
        return rows // ranks // size * size if self.drop_last else -(-rows // ranks)

    def _shard(self) -> tuple[int, int, int, int]:
        worker = get_worker_info()
        ranks, rank = self._ranks()
        return (rank, ranks, 0, 1) if worker is None else (rank, ranks, worker.id, worker.num_workers)

    def _ranks(self) -> tuple[int, int]:
        if self._replica is None and torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_world_size(), torch.distributed.get_rank()
        return self._replica or (1, 0)

    def _fingerprint(self) -> str:
        files = [(file.name, rows) for file, rows in zip(self._groups.files, self._groups.num_rows, strict=True)]
        settings = (self.batch_size, self.window_rows, self.drop_last, self._fed.tolist())
        parts = (files, self.columns, self.classes, self.class_counts, settings)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _spread(y: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return an order in which the rows of a class are shuffled and the classes are spread evenly."""
    shuffled = generator.permutation(len(y))
    shuffled = shuffled[y[shuffled].astype(np.uint16).argsort(kind="stable")]
    counts = np.bincount(y)
    starts = counts.cumsum() - counts
    place = np.arange(len(y)) - np.repeat(starts - generator.random(len(counts)), counts)
    return shuffled[(place / np.repeat(counts, counts)).argsort(kind="stable")]  # a merge of sorted runs
