"""Square-root sampling."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks, quotas_for
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._mixing import deal_block


class SquareRootSampler(AbstractSampler):
    r"""Feed each class in proportion to the square root of its rows, half-way between the data and equal shares.

    .. math:: s_c = \sqrt{n_c} / \textstyle\sum_j \sqrt{n_j}

    with :math:`n_c` the rows of class c in ``labels``: :class:`ClassBalancedSampler` with ``power=0.5``, under the name
    that papers use.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        num_samples: rows per epoch over all ranks; None means N.
        batch_size: rows per batch and rank, or None for an order that suits any batch size. With it, each batch holds
            the class shares as evenly as rounding permits.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels; a value out of range; too few ``num_samples`` to feed every class.

    Notes:
        Each class is a shuffled deck, gone through completely, over epochs and ranks, before a row comes again. Beyond
        the labels it holds 4 bytes per row (8 from 2^31 rows). Probabilities learned from these batches are those of
        ``effective_prior``, not of the data.

    References:
        Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018.
        Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020.

    Example:
        >>> SquareRootSampler([0] * 90 + [1] * 10).effective_prior
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """

    mixed_batches: ClassVar[bool] = True
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        *,
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
        rows = int(counts.sum()) if num_samples is None else num_samples
        self._shares = quotas_for(counts.double().sqrt(), self.classes, rows)
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
