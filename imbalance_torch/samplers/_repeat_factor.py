"""Repeat factor sampling."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._random import generator_for, mix
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._multi_label import label_rows
from imbalance_torch.samplers._permutation import Array, Permutation, random_bits, shuffled


class RepeatFactorSampler(AbstractSampler):
    r"""Feed every row at least once per epoch, and rows with a rare class several times.

    .. math:: r_c = \max\bigl(1, \sqrt{t / f_c}\bigr), \qquad r_i = \max_{c \in i} r_c

    with :math:`f_c` the share of rows that have class c, :math:`t` = ``threshold``. Row i comes :math:`r_i` times per
    epoch on average, in each epoch :math:`r_i` rounded down or up; with :math:`r_i = 1` exactly once. The epoch has
    :math:`T = \mathrm{round}(\sum_i r_i)` rows, always; for that t is moved by at most what makes the sum whole.

    Args:
        labels: N labels, one per row, as the other samplers take them; or several per row: a binary (N, L) tensor,
            array or data frame, or a list with one sequence of class names or numbers for each row (nested lists are
            names, never a table). Rows without a label come once.
        threshold: t in (0, 1]: a class in fewer rows than this share is repeated. LVIS uses 0.001.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels, or a value out of range.

    Notes:
        It holds 8 bytes per row (with several labels 4 for the row and 4 for each label of it); a draw takes
        O(log C), an epoch nothing beyond its draws. The extra turns of a class are rounded by one uniform shift per
        epoch over all classes (systematic sampling) and go to rows of that class at random, new ones in every epoch:
        beyond that sum, no two rows of a class depend on one another. Classes are mixed over the epoch, not batch by
        batch.
        Probabilities learned from these batches are those of ``effective_prior``, which epochs hold in expectation (a
        class is off by less than one row); with several labels it is the share of rows that have each label, shape
        (L,). ``repeat_factors`` holds :math:`r_c`.
        NOTE[DIFF] detectron2 rounds each row's factor on its own, so that its epochs differ in length; mmengine rounds
        up once, the same rows in every epoch. Here the length is constant and the rounding fair.

    References:
        Gupta, Dollár and Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019.

    Example:
        >>> sampler = RepeatFactorSampler([0] * 90 + [1] * 10, threshold=0.4)
        >>> sampler.repeat_factors, len(sampler)
        (tensor([1., 2.], dtype=torch.float64), 110)
        >>> images = [["cat", "sofa"], ["cat"], ["cat"], []]
        >>> RepeatFactorSampler(images, threshold=1.0).repeat_factors
        tensor([1.0718, 1.8564], dtype=torch.float64)
    """

    exact_shares: ClassVar[bool] = False
    bytes_per_row: ClassVar[int] = 8
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        *,
        threshold: float,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        num_rows, self.classes, self._rows, digest = label_rows("labels", labels) or _one_label(labels)
        super().__init__(
            num_rows,
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        check_number("threshold", threshold, exclusive_minimum=0, maximum=1)
        rows_of = [rows.numpy() for rows in self._rows[:]]
        counts = np.array([len(rows) for rows in rows_of])
        rarest = np.full(num_rows, -1)
        for label in (-counts).argsort(kind="stable"):
            rarest[rows_of[label]] = label
        members = np.bincount(rarest + 1, minlength=len(counts) + 1)[1:]
        frequencies = counts.clip(min=1) / num_rows
        factors = np.maximum(1, _whole_root(threshold, frequencies, members, num_rows) / np.sqrt(frequencies))
        self.repeat_factors = torch.from_numpy(factors)
        """How often a row comes whose rarest class this is, float64, shape (C,), in the order of ``classes``."""

        groups = np.concatenate([[0], np.where(factors > 1, np.arange(1, len(factors) + 1), 0)])[rarest + 1]
        self._order = (
            groups.astype(np.min_scalar_type(len(factors)))
            .argsort(kind="stable")
            .astype(np.int32 if num_rows < 2**31 else np.int64)
        )
        self._sizes = np.bincount(groups, minlength=len(factors) + 1)
        self._edges = np.cumsum(self._sizes * np.concatenate([[1.0], factors]))
        self._total = round(self._edges[-1])
        self._edges[-1] = self._total
        times = np.append(factors, 1.0)[rarest]
        self._shares = torch.tensor([times[rows].sum() for rows in rows_of], dtype=torch.float64)
        self._settings = (float(threshold),)

    @property
    def effective_prior(self) -> Tensor:
        """Share of the rows fed that have each class, in expectation, float64, in the order of ``classes``."""
        return self._shares / self._total

    def _draw(self, epoch: int, block: int) -> Tensor:
        start = block * self._block_rows
        places = torch.arange(start, min(start + self._block_rows, self._total))
        turns = Permutation(self._total, self.seed, epoch)(places).numpy()
        shift = float(torch.rand((), generator=generator_for(self.seed, epoch, 1), dtype=torch.float64))
        ends = np.ceil(self._edges - shift).astype(np.int64)
        group = ends.searchsorted(turns, side="right")
        turns -= np.concatenate([[0], ends])[group]
        cards = deal(group, turns, self._sizes, mix(self.seed, epoch, 2))
        cards += (np.cumsum(self._sizes) - self._sizes)[group]
        return torch.from_numpy(self._order[cards].astype(np.int64))


def deal(decks: Array, places: Array, sizes: Array, key: int) -> Array:
    """Return the card at ``places`` of ``decks``; a deck is its cards shuffled, shuffled again, and so on without end.

    Args:
        decks: number of the deck for each card asked for, int64.
        places: where in it, int64.
        sizes: cards of each deck, int64.
        key: selects the shuffles.
    """
    passes, cards = np.divmod(places, sizes[decks])
    order = np.lexsort((passes, decks))
    decks, passes = decks[order], passes[order]
    first = np.flatnonzero(np.diff(decks, prepend=-1) | np.diff(passes, prepend=-1))
    keys = random_bits(random_bits(np.array([key], dtype=np.uint64), decks[first]), passes[first])
    cards[order] = shuffled(cards[order], sizes[decks[first]], keys, np.diff(first, append=len(decks)))
    return cards


def _one_label(labels: Any) -> tuple[int, tuple[Any, ...], Decks, str]:
    classes, counts, rows, digest = class_rows(labels)
    return int(counts.sum()), classes, rows, digest


def _whole_root(threshold: float, frequencies: Array, members: Array, num_rows: int) -> float:
    """Return the root of the threshold that makes the repeat factors sum to the whole number next to theirs."""
    roots, root = np.sqrt(frequencies), float(np.sqrt(threshold))
    total = round(num_rows + (members * np.maximum(0, root / roots - 1)).sum())
    for _ in range(len(roots) + 1):  # Newton's method on a piecewise linear, convex function: each step drops a piece
        rare = (root > roots) & (members > 0)
        if not rare.any():
            break
        before, root = root, float((total - num_rows + members[rare].sum()) / (members[rare] / roots[rare]).sum())
        if root == before:
            break
    return root
