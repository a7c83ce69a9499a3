"""Weighted sampling."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_length
from imbalance_torch._random import generator_for
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._permutation import Array, Permutation

_NEGLIGIBLE = 1e-300
_STEPS = 100


class WeightedSampler(AbstractSampler):
    r"""Draw rows with given weights: ``torch.utils.data.WeightedRandomSampler`` without its limits.

    .. math:: P(i) = w_i / \textstyle\sum_j w_j

    for every draw with replacement, :math:`w` = ``weights``. Without replacement the draws follow one another, each
    among the rows that are left: the law of ``torch.multinomial``, as the order in which exponential clocks of rates
    :math:`w_i` ring.

    Args:
        weights: N weights >= 0 of any scale, as a list, array, Series or tensor.
        num_samples: rows per epoch over all ranks; None means N.
        replacement: False: no row comes twice in an epoch.
        labels: N labels, or a dataset that :func:`labels_of` understands, for ``classes``, ``effective_prior`` and
            ``describe``; they do not change the draws.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: weights that are negative, not finite or all zero; more rows asked for without replacement than
            have a weight above zero; labels and weights of different length; a value out of range.

    Notes:
        It holds 8 bytes per row, 4 more with ``labels`` and, without replacement, 8 for each row of an epoch. A draw
        with replacement takes O(log N); an epoch without takes O(N + n log n) time for n rows, at its first block. A
        weight below 1e-300 of the largest one counts as zero.
        Probabilities learned from these batches are those of ``effective_prior``. It needs ``labels``; without them
        the attribute is missing, which the trainer takes as unknown. With replacement it is what an epoch holds in
        expectation. Without, it rests on inclusion probabilities :math:`1 - e^{-w_i t}` that sum to ``num_samples``:
        exact when every row of a weight above zero is drawn, otherwise up to O(1 / N).
        NOTE[DIFF] ``WeightedRandomSampler`` refuses more than 2^24 rows, knows neither ranks nor state nor epochs, and
        requires ``num_samples``; its draws come from a ``generator`` or the global one, here from ``seed``.

    References:
        Efraimidis and Spirakis, "Weighted random sampling with a reservoir", Inf. Process. Lett. 2006.
        Rosén, "Asymptotic Theory for Successive Sampling with Varying Probabilities Without Replacement", Ann. Math.
        Statist. 1972.

    Example:
        >>> labels = torch.tensor([0] * 900 + [1] * 100)
        >>> weights = torch.where(labels == 1, 4.0, 1.0)
        >>> sampler = WeightedSampler(weights, labels=labels)
        >>> sampler.effective_prior
        tensor([0.6923, 0.3077], dtype=torch.float64)
        >>> len(list(sampler)), len(set(WeightedSampler(weights, 500, replacement=False)))
        (1000, 500)
    """

    exact_shares: ClassVar[bool] = False
    bytes_per_row: ClassVar[int] = 12
    _rows_per_block: ClassVar[int] = 1 << 14  # each row is searched for in memory far beyond the cache

    def __init__(
        self,
        weights: Any,
        num_samples: int | None = None,
        replacement: bool = True,
        *,
        labels: Any = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        scaled = _scaled_weights(weights)
        self.classes, self._rows, digest = (), (), ""
        if labels is not None:
            self.classes, counts, self._rows, digest = class_rows(labels)
            check_same_length(weights=scaled, labels=range(int(counts.sum())))
        super().__init__(
            len(scaled),
            hashlib.sha256(scaled.data).hexdigest() + digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        if not isinstance(replacement, bool):
            raise TypeError(f"`replacement` must be a bool, got replacement={replacement!r}.")
        self._total = len(scaled) if num_samples is None else check_int("num_samples", num_samples, minimum=1)
        self.replacement, self._settings = replacement, (replacement,)
        if not replacement and self._total > (most := int(np.count_nonzero(scaled))):
            raise ValueError(
                f"`num_samples` must be <= {most}, the rows of a weight above zero, got num_samples={self._total}. "
                "Pass replacement=True to draw rows more than once."
            )
        if self.classes:
            chances = torch.from_numpy(scaled if replacement else _inclusion(scaled, self._total))
            self._shares = torch.stack([chances[rows.long()].sum() for rows in self._rows[:]])
        self._weights = np.cumsum(scaled, out=scaled) if replacement else scaled
        self._order: tuple[tuple[int, int], Tensor] | None = None

    @property
    def effective_prior(self) -> Tensor:
        """Class shares that the sampler feeds in expectation, float64, shape (C,); missing without ``labels``."""
        if not self.classes:
            raise AttributeError("`effective_prior` needs the labels. Pass `labels` to WeightedSampler.")
        return super().effective_prior

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_order": None}

    def _draw(self, epoch: int, block: int) -> Tensor:
        start = block * self._block_rows
        stop = min(start + self._block_rows, self._total)
        if not self.replacement:
            return self._drawn_order(epoch)[start:stop]
        generator = generator_for(self.seed, epoch, block)
        drawn = np.sort(torch.rand(stop - start, generator=generator, dtype=torch.float64).numpy())
        drawn *= self._weights[-1]
        rows = torch.from_numpy(self._weights.searchsorted(drawn, side="right"))
        return rows[Permutation(len(rows), self.seed, epoch, block, 1)(torch.arange(len(rows)))]

    def _drawn_order(self, epoch: int) -> Tensor:
        """Return the rows of an epoch without replacement, in order of their clocks."""
        if self._order is None or self._order[0] != (self.seed, epoch):
            uniform = torch.rand(len(self._weights), generator=generator_for(self.seed, epoch), dtype=torch.float64)
            rings = np.full(len(self._weights), np.inf)
            np.divide(-np.log1p(-uniform.numpy()), self._weights, out=rings, where=self._weights > 0)
            first = rings.argpartition(self._total - 1)[: self._total]
            self._order = (self.seed, epoch), torch.from_numpy(first[rings[first].argsort(kind="stable")])
        return self._order[1]


def _scaled_weights(weights: Any) -> Array:
    """Return the weights over the largest one, float64: their sum neither overflows nor vanishes."""
    given = np.asarray(weights.detach().cpu().double() if isinstance(weights, Tensor) else weights)
    if given.dtype.kind not in "biuf" and given.size:
        raise TypeError(f"`weights` must be numbers, got weights.dtype={given.dtype}.")
    if given.ndim != 1 or not len(given):
        raise ValueError(f"`weights` must have shape (N,) with N >= 1, got weights.shape={given.shape}.")
    scaled: Array = given.astype(np.float64)
    bad = np.flatnonzero(~((scaled >= 0) & (scaled < np.inf)))
    if len(bad):
        raise ValueError(f"`weights` must be finite and >= 0, got weights[{bad[0]}]={scaled[bad[0]]}.")
    if not (largest := scaled.max()):
        raise ValueError("`weights` must have an entry above zero, got only zeros.")
    scaled /= largest
    scaled[scaled < _NEGLIGIBLE] = 0
    return scaled


def _inclusion(weights: Array, number: int) -> Array:
    """Return how likely each row is among ``number`` successive draws: 1 - exp(-w t) with t from Newton's method."""
    if number == np.count_nonzero(weights):
        return (weights > 0).astype(np.float64)
    time = number / weights.sum()
    for _ in range(_STEPS):
        left = np.exp(-weights * time)
        missing = number - (1 - left).sum()
        if missing <= 1e-9 * number:
            break
        time += missing / (weights * left).sum()
    chances: Array = -np.expm1(-weights * time)
    return chances
