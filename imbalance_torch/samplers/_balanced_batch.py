"""Batches of one exact composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._mixing import deal_block


class BalancedBatchSampler(AbstractSampler):
    """Feed batches that all hold exactly the same number of rows of each class, on every rank.

    A sampler, not a batch sampler: it yields single rows in the order of the batches, so pass it as ``sampler=`` with
    the same ``batch_size``, or let :func:`make_loader` do it.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        batch_size: rows per batch and rank.
        per_class: rows of each class in a batch, one number for all classes or a number for each, ``{class: rows}``;
            they must add up to ``batch_size``. None, without ``positive_fraction``, means equal numbers.
        positive_fraction: with two classes, the share of the second one in sorted order (1, True) in a batch, in
            (0, 1), instead of ``per_class``: ``round(positive_fraction * batch_size)`` rows.
        num_samples: rows per epoch over all ranks, rounded up to whole batches; None means N.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last step of an epoch where there is no batch left for every rank.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind; passed to a loader as ``batch_sampler=``.
        ValueError: no labels; a value out of range; numbers that do not make up a batch, or leave out a class.

    Notes:
        Each class is a shuffled deck over all ranks together, gone through completely, over batches and epochs, before
        a row comes again. Where fewer batches than ranks are left for the last step, the first batches of the epoch
        fill it up, so that every rank has as many batches and every batch is exact.
        Beyond the labels it holds 4 bytes per row (8 from 2^31 rows). Probabilities learned from these batches are
        those of ``effective_prior``, not of the data.

    Example:
        >>> labels = [0] * 96 + [1] * 4
        >>> sampler = BalancedBatchSampler(labels, 8, positive_fraction=0.25, num_samples=40)
        >>> rows = list(sampler)
        >>> [sum(labels[row] for row in rows[i : i + 8]) for i in range(0, 40, 8)]
        [2, 2, 2, 2, 2]
    """

    mixed_batches: ClassVar[bool] = True
    whole_batches: ClassVar[bool] = True
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        batch_size: int,
        *,
        per_class: int | Mapping[Any, int] | None = None,
        positive_fraction: float | None = None,
        num_samples: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.classes, counts, self._rows, digest = class_rows(labels)
        super().__init__(
            int(counts.sum()),
            digest,
            batch_size=check_int("batch_size", batch_size, minimum=1),
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        if per_class is not None and positive_fraction is not None:
            raise ValueError(f"Pass `per_class` or `positive_fraction`, got {per_class=} and {positive_fraction=}.")
        if positive_fraction is not None:
            composition = _by_fraction(positive_fraction, self.classes, batch_size)
        else:
            composition = _by_class(per_class, self.classes, batch_size)
        rows = len(self.dataset) if num_samples is None else check_int("num_samples", num_samples, minimum=1)  # type: ignore[arg-type]
        self._shares = torch.tensor(composition) * -(-rows // batch_size)
        self._total = int(self._shares.sum())
        self._settings = tuple(composition)

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


def _by_fraction(fraction: float, classes: Sequence[Any], batch_size: int) -> list[int]:
    if len(classes) != 2:
        raise ValueError(f"`positive_fraction` needs two classes, got {len(classes)}. Pass `per_class`.")
    positives = round(check_number("positive_fraction", fraction, exclusive_minimum=0, maximum=1) * batch_size)
    if not 0 < positives < batch_size:
        raise ValueError(
            f"`positive_fraction` must leave rows of both classes in a batch of {batch_size}, "
            f"got positive_fraction={fraction!r}, which makes {positives} positives."
        )
    return [batch_size - positives, positives]


def _by_class(per_class: int | Mapping[Any, int] | None, classes: Sequence[Any], batch_size: int) -> list[int]:
    if per_class is None:
        if batch_size % len(classes):
            raise ValueError(
                f"`batch_size` must be a multiple of the {len(classes)} classes, got batch_size={batch_size}. "
                "Pass `per_class`, the rows of each class in a batch."
            )
        return [batch_size // len(classes)] * len(classes)
    if isinstance(per_class, Mapping):
        if set(per_class) != set(classes):
            raise ValueError(f"`per_class` must name the classes {list(classes)}, got per_class={dict(per_class)}.")
        numbers = [check_int(f"per_class[{label!r}]", per_class[label], minimum=1) for label in classes]
    else:
        numbers = [check_int("per_class", per_class, minimum=1)] * len(classes)
    if sum(numbers) != batch_size:
        raise ValueError(
            f"`per_class` must add up to batch_size={batch_size}, got {sum(numbers)} rows of {len(classes)} classes."
        )
    return numbers
