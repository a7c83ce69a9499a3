"""Progressively balanced sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int, check_number
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks, quotas_for
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._mixing import deal_block

_SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: done,
    "cosine": lambda done: (1 - math.cos(math.pi * done)) / 2,
    "parabolic": lambda done: done**2,
}


class ProgressiveSampler(AbstractSampler):
    r"""Go from the class shares of the data to equal ones over the epochs, in epochs of equal length.

    .. math:: s_c(t) = (1 - w_t) \frac{n_c^{q_0}}{\sum_j n_j^{q_0}} + w_t \frac{n_c^{q_1}}{\sum_j n_j^{q_1}}
        \qquad w_t = w\big(t / (T - 1)\big)

    with :math:`n_c` the rows of class c in ``labels``, :math:`q_0` = ``start``, :math:`q_1` = ``end``, t the epoch and
    T = ``num_epochs``: the first epoch feeds the shares of ``start``, the last one, and every later one, those of
    ``end``. :math:`w(x)` is x (linear), :math:`(1 - \cos \pi x) / 2` (cosine) or :math:`x^2` (parabolic).

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        num_epochs: T, epochs from ``start`` to ``end``; >= 1.
        start: q_0 in [0, 1]: 1 the shares of the data, 0 equal shares.
        end: q_1 in [0, 1].
        schedule: "linear", "cosine" (slow at both ends) or "parabolic" (slow at the beginning).
        num_samples: rows per epoch over all ranks; None means N.
        batch_size: rows per batch and rank, or None for an order that suits any batch size. With it, each batch holds
            the epoch's class shares as evenly as rounding permits.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels; a value out of range; too few ``num_samples`` to feed every class in every epoch.

    Notes:
        Each class is a shuffled deck, gone through completely, over epochs and ranks, before a row comes again. Beyond
        the labels it holds 4 bytes per row (8 from 2^31 rows) and 16 bytes per class and epoch of the schedule.
        ``effective_prior`` is that of the current epoch and moves with it, at the last row of an epoch to the next
        one: read it before the loop. Probabilities learned are those of the epochs fed last, so undo the prior of the
        epoch that a model was saved in.
        NOTE[DIFF] Kang et al. write w_t = t / T, which reaches equal shares one epoch after the last, or leaves out
        the shares of the data; here both ends are fed.

    References:
        Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020 (linear).
        Wang et al., "Dynamic Curriculum Learning for Imbalanced Data Classification", ICCV 2019 (cosine).
        Zhou et al., "BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual Recognition",
        CVPR 2020 (parabolic).

    Example:
        >>> labels = [0] * 90 + [1] * 10
        >>> sampler = ProgressiveSampler(labels, num_epochs=3)
        >>> [sum(labels[row] for row in sampler) for _ in range(4)]
        [10, 30, 50, 50]
    """

    mixed_batches: ClassVar[bool] = True
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        num_epochs: int,
        *,
        start: float = 1.0,
        end: float = 0.0,
        schedule: str = "linear",
        num_samples: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.classes, counts, self._rows, digest = class_rows(labels)
        super().__init__(
            int(counts.sum()),
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        powers = [check_number(name, value, minimum=0, maximum=1) for name, value in (("start", start), ("end", end))]
        first, last = (counts.double() ** power / (counts.double() ** power).sum() for power in powers)
        epochs = check_int("num_epochs", num_epochs, minimum=1)
        weigh = _SCHEDULES[check_choice("schedule", schedule, _SCHEDULES)]
        weights = [weigh(epoch / max(epochs - 1, 1)) for epoch in range(max(epochs, 2))]
        rows = int(counts.sum()) if num_samples is None else num_samples
        quotas = [quotas_for((1 - w) * first + w * last, self.classes, rows) for w in weights]
        self._quotas = torch.stack(quotas)
        self._starts = self._quotas.cumsum(0) - self._quotas
        self._total = int(quotas[0].sum())
        self._settings = (epochs, *map(float, powers), schedule)

    @property
    def effective_prior(self) -> Tensor:
        """Class shares that the current epoch feeds, float64, shape (C,), in the order of ``classes``."""
        return self._quotas[min(self.epoch, len(self._quotas) - 1)].double() / self._total

    def _draw(self, epoch: int, block: int) -> Tensor:
        known = min(epoch, len(self._quotas) - 1)
        return deal_block(
            self._rows,
            self._quotas[known],
            self._starts[known] + (epoch - known) * self._quotas[known],
            batch_size=self.batch_size,
            block_rows=self._block_rows,
            block=block,
            seed=self.seed,
            epoch=epoch,
        )
