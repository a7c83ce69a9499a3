"""Class-balanced sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import generator_for
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import deal_epoch, largest_remainder, mix_draws

from imbalance_torch.samplers._labels import class_rows


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
        Beyond the labels it holds 4 bytes per row (8 from 2^31 rows); an epoch takes O(rows drawn + rows of the
        classes drawn from). Any number of rows: the class is settled first, then the row within it.
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
        self.classes, self._counts, self._rows, digest = class_rows(labels)
        super().__init__(
            int(self._counts.sum()),
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        shares = self._counts.double() ** check_number("power", power, minimum=0, maximum=1)
        if ratio is not None:
            if power:
                raise ValueError(f"Pass `power` or `ratio`, got power={power!r} and ratio={ratio!r}.")
            check_number("ratio", ratio, exclusive_minimum=0, maximum=1)
            shares = self._counts.double().clamp(min=ratio * int(self._counts.max()))
        total = len(self.dataset) if num_samples is None else check_int("num_samples", num_samples, minimum=1)  # type: ignore[arg-type]
        self._total, self._shares = total, largest_remainder(shares, total)
        if not self._shares.all():
            starved = self.classes[int(self._shares.argmin())]
            raise ValueError(f"`num_samples` is too small: class {starved!r} gets no row, got num_samples={total}.")
        self.replacement = replacement
        self._settings = (self._shares.tolist(), replacement)

    def _draw(self, epoch: int, block: int) -> Tensor:
        return self._whole(epoch)[block * self._block_rows : (block + 1) * self._block_rows]

    def _whole(self, epoch: int) -> Tensor:
        if not self.replacement:
            return deal_epoch(self._rows, self._shares, self.batch_size, seed=self.seed, epoch=epoch)
        generator = generator_for(self.seed, epoch)
        draws = [
            rows[torch.randint(len(rows), (quota,), generator=generator)].long()
            for rows, quota in zip(self._rows, self._shares.tolist(), strict=True)
        ]
        return mix_draws(draws, self.batch_size, generator)
