"""Under-sampling that loses no row: the larger classes rotate through the epochs."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._mixing import deal_block


class RotatingUnderSampler(AbstractSampler):
    r"""Feed all rows of the smallest class and a fresh slice of every larger one, so that epochs are short.

    .. math:: m_c = \min(n_c,\ \mathrm{round}(n_{min} / r))

    rows of class c in each epoch, with :math:`n_c` the rows of class c in ``labels`` and :math:`r` = ``ratio``. The
    slices of a class follow one another through a shuffled deck: every row comes exactly once in :math:`n_c` draws,
    that is, within :math:`\lceil n_c / m_c \rceil` epochs; then the deck is shuffled anew, in the middle of an epoch
    where the numbers do not divide.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        ratio: rows of the smallest class per row of a larger class, in (0, 1]; a class below that is fed whole.
        batch_size: rows per batch and rank, or None for an order that suits any batch size. With it, each batch holds
            the class shares as evenly as rounding permits.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch; the rows left out miss their turn.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels, or a value out of range.

    Notes:
        Beyond the labels it holds 4 bytes per row (8 from 2^31 rows); an epoch takes O(rows drawn) time, whatever N
        is. Probabilities learned from these batches are those of ``effective_prior``, not of the data.
        NOTE[DIFF] ``imblearn.under_sampling.RandomUnderSampler`` picks one subset and drops the other rows for good.

    Example:
        >>> sampler = RotatingUnderSampler([0] * 12 + [1], ratio=0.25)
        >>> epochs = [list(sampler) for _ in range(3)]
        >>> [len(rows) for rows in epochs], sorted(sum(epochs, []))
        ([5, 5, 5], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 12])
    """

    mixed_batches: ClassVar[bool] = True
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        *,
        ratio: float = 0.25,
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
        check_number("ratio", ratio, exclusive_minimum=0, maximum=1)
        self._shares = counts.clamp(max=round(int(counts.min()) / ratio))
        self._total = int(self._shares.sum())
        self._settings = tuple(self._shares.tolist())

    def _draw(self, epoch: int, block: int) -> Tensor:
        return deal_block(
            self._rows,
            self._shares,
            epoch * self._shares,
            batch_size=self.batch_size,
            block_rows=self._block_rows,
            block=block,
            seed=self.seed,
            epoch=epoch,
        )
