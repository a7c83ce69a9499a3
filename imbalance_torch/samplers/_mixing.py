"""Which class every row of an epoch has: the same in each batch up to rounding, had block by block."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._random import mix
from imbalance_torch.samplers._deck import Decks
from imbalance_torch.samplers._permutation import Array, random_bits, shuffled

_VIRTUAL_BATCH = 64
_SORTED_WIDTH = 512


class Mixing:
    """An epoch that feeds ``quotas`` rows of each class in batches alike, cut into blocks of whole batches.

    The K full batches are the columns of the class-sorted epoch written row by row into a matrix of K columns: each
    column then holds floor or ceil of (class rows / K). A block takes columns at even distances, so it holds its share
    of every class too, and how many rows of a class come before it is a closed form. The rows of the shorter last
    batch are taken out before, at even distances.

    Args:
        quotas: rows of each class in the epoch, int64.
        batch: rows of a batch; None mixes by 64 rows.
        block_rows: rows of a block, a multiple of ``batch``.
    """

    def __init__(self, quotas: Array, batch: int | None, block_rows: int) -> None:
        self._batch = batch or _VIRTUAL_BATCH
        self._edges = np.concatenate([[0], np.cumsum(quotas)])
        self._total = int(self._edges[-1])
        self._batches, self._tail = divmod(self._total, self._batch)
        self._per_block = block_rows // self._batch
        self._blocks = -(-self._batches // self._per_block)
        self._last = -(-self._total // block_rows) - 1
        tail_before = _evenly(self._tail, self._total, self._edges)
        self._full, self._in_tail = self._edges - tail_before, np.diff(tail_before)

    def before(self, block: int) -> Array:
        """Return how many rows of each class the full batches before ``block`` hold, int64."""
        if not self._batches:
            return np.zeros(len(self._edges) - 1, dtype=np.int64)
        rounds, columns = np.divmod(self._full, self._batches)
        if 0 < block < self._blocks:
            in_last = self._batches - (self._blocks - 1) * self._per_block
            columns = columns - _evenly(in_last, self._batches, columns)
            turns, phase = np.divmod(columns, self._blocks - 1)
            columns = turns * block + np.minimum(phase, block)
        elif block == 0:
            columns = np.zeros_like(columns)
        before: Array = np.diff(rounds * min(block * self._per_block, self._batches) + columns)
        return before

    def classes(self, block: int, key: int) -> Array:
        """Return the class of each row of ``block``, batches and the rows within them in random order."""
        every = np.arange(len(self._edges) - 1, dtype=np.min_scalar_type(len(self._edges)))
        columns = np.repeat(every, self.before(block + 1) - self.before(block)).reshape(self._batch, -1).T
        if len(columns):
            columns = _shuffled_rows(columns[_shuffle(len(columns), mix(key, 0))], mix(key, 1))
        if block < self._last or not self._tail:
            return columns.ravel()
        tail = np.repeat(every, self._in_tail)
        return np.concatenate([columns.ravel(), tail[_shuffle(self._tail, mix(key, 2))]])

    def numbers(self, block: int) -> Array:
        """Return how many rows of each class ``block`` holds, int64."""
        full = self.before(block + 1) - self.before(block)
        return full if block < self._last else full + self._in_tail


def _evenly(number: int, total: int, positions: Array) -> Array:
    """Return how many of the ``number`` places (2i + 1) total // (2 number) lie before ``positions``."""
    before: Array = np.clip(-((total - 2 * number * positions) // (2 * total)), 0, number)
    return before


def _shuffle(size: int, key: int) -> Array:
    lengths = np.array([size])
    return shuffled(np.arange(size), lengths, np.array([key], dtype=np.uint64), lengths)


def _shuffled_rows(table: Array, key: int) -> Array:
    """Shuffle every row on its own."""
    rows, width = table.shape
    if width > _SORTED_WIDTH:
        lengths, keys = np.full(rows, width), random_bits(np.array([key], dtype=np.uint64), np.arange(rows))
        places = shuffled(np.tile(np.arange(width), rows), lengths, keys, lengths)
        return np.take_along_axis(table, places.reshape(rows, width), axis=1)
    bits = random_bits(
        np.array([key], dtype=np.uint64), np.arange(table.size if table.itemsize > 1 else (table.size + 1) // 2)
    )
    if table.itemsize == 1:  # half as many bits do
        bits = np.concatenate([bits.astype(np.uint32), (bits >> np.uint64(32)).astype(np.uint32)])[: table.size]
    bits &= ~bits.dtype.type(np.iinfo(table.dtype).max)
    shuffled_rows = bits.reshape(rows, width) | table
    shuffled_rows.sort(axis=1)
    return shuffled_rows.astype(table.dtype)


def deal_block(
    decks: Decks,
    quotas: Tensor,
    starts: Tensor | None,
    *,
    batch_size: int | None,
    block_rows: int,
    block: int,
    seed: int,
    epoch: int,
    owner: Tensor | None = None,
) -> Tensor:
    """Return one block of an epoch that deals ``quotas`` cards of each deck from place ``starts``.

    With ``starts=None`` the rows are drawn with replacement. Which decks meet in a batch, and which have a row in the
    shorter last one, is left to chance in every epoch: they are mixed in random order. Decks of one ``owner`` stay
    together, so that its rows are shared out evenly too; by default each deck is its own.
    """
    every = np.arange(len(quotas)) if owner is None else owner.numpy()
    key = np.array([mix(seed, 4, epoch)], dtype=np.uint64)
    order = np.lexsort((random_bits(key + np.uint64(1), np.arange(len(quotas))), random_bits(key, every)))
    place = order.argsort()
    mixing = Mixing(quotas.numpy()[order], batch_size, block_rows)
    classes = mixing.classes(block, mix(seed, 2, epoch, block))
    classes = order.astype(classes.dtype)[classes]
    numbers = mixing.numbers(block)[place]
    if starts is None:
        rows = decks.draw(numbers, mix(seed, 3, epoch, block))
    else:
        rows = decks.deal(starts.numpy() + mixing.before(block)[place], numbers, seed)
    stream = np.empty_like(rows)
    stream[classes.argsort(kind="stable")] = rows
    return torch.from_numpy(stream)
