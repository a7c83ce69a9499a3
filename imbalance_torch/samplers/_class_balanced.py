"""Class-balanced sampling."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks, quotas_for
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._mixing import deal_block


class ClassBalancedSampler(AbstractSampler):
    r"""Feed the classes in chosen shares, equal ones by default.

    .. math:: s_c = n_c^q / \textstyle\sum_j n_j^q
        \qquad\text{or}\qquad s_c \propto \max(r\, n_{max},\ n_c)

    with :math:`n_c` the rows of class c in ``labels``, :math:`q` = ``power`` and :math:`r` = ``ratio``. The shares
    become whole numbers of rows by largest remainder, the same in every epoch; with ``batch_size`` each batch holds
    the shares as evenly as rounding permits.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        power: q in [0, 1]: 0 equal shares, 0.5 square-root sampling, 1 the shares of the data.
        ratio: rows of each smaller class per row of the largest class, in (0, 1], instead of ``power``; a class that
            has more than that already keeps its own proportion to the largest class.
        num_samples: rows per epoch over all ranks; None means N.
        replacement: False: each class is a shuffled deck, gone through completely, over epochs and ranks, before a
            row comes again. True: every row is drawn independently.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels; a value out of range; ``power`` and ``ratio`` together; too few ``num_samples`` to feed
            every class.

    Notes:
        Beyond the labels it holds 4 bytes per row (8 from 2^31 rows). Any number of rows: the class is settled first,
        then the row within it. Any part of an epoch is drawn in O(rows of the part + C), whatever N is; classes of more
        than 256 rows are shuffled by keyed pseudo-random permutations, which need no memory.
        Probabilities learned from these batches are those of ``effective_prior``, not of the data; undo it with
        :func:`imbalance_torch.adjust_logits`.
        NOTE[DIFF] ``torch.utils.data.WeightedRandomSampler`` meets the shares in expectation only, refuses more than
        2^24 rows and knows neither ranks nor state.

    References:
        Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020.

    Example:
        >>> labels = [0] * 90 + [1] * 10
        >>> sampler = ClassBalancedSampler(labels, ratio=0.25, batch_size=10)
        >>> sampler.effective_prior
        tensor([0.8000, 0.2000], dtype=torch.float64)
        >>> [sum(labels[row] for row in batch) for batch in sampler.as_batch_sampler()]
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """

    mixed_batches: ClassVar[bool] = True
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        *,
        power: float = 0.0,
        ratio: float | None = None,
        num_samples: int | None = None,
        replacement: bool = False,
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
        shares = counts.double() ** check_number("power", power, minimum=0, maximum=1)
        if ratio is not None:
            if power:
                raise ValueError(f"Pass `power` or `ratio`, got power={power!r} and ratio={ratio!r}.")
            check_number("ratio", ratio, exclusive_minimum=0, maximum=1)
            shares = counts.double().clamp(min=ratio * int(counts.max()))
        rows = int(counts.sum()) if num_samples is None else num_samples
        self._shares = quotas_for(shares, self.classes, rows)
        self._total = int(self._shares.sum())
        if not isinstance(replacement, bool):
            raise TypeError(f"`replacement` must be a bool, got replacement={replacement!r}.")
        self.replacement = replacement
        self._settings = (self._shares.tolist(), replacement)

    def _draw(self, epoch: int, block: int) -> Tensor:
        return deal_block(
            self._rows,
            self._shares,
            None if self.replacement else epoch * self._shares,
            batch_size=self.batch_size,
            block_rows=self._block_rows,
            block=block,
            seed=self.seed,
            epoch=epoch,
        )
