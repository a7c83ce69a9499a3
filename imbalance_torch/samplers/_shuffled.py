"""Plain shuffling under the contract of the other samplers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._permutation import Permutation


class ShuffledSampler(AbstractSampler):
    """Feed every row once per epoch in uniformly random order: no balancing, but sharded and resumable.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels, or a value out of range.

    Example:
        >>> sampler = ShuffledSampler(["ok", "ok", "ok", "fraud"])
        >>> sorted(sampler), sampler.epoch, sampler.classes
        ([0, 1, 2, 3], 1, ('fraud', 'ok'))
    """

    def __init__(
        self,
        labels: Any,
        *,
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
        self._total, self._shares = len(self.dataset), counts  # type: ignore[arg-type]

    def _draw(self, epoch: int, block: int) -> Tensor:
        start = block * self._block_rows
        places = torch.from_numpy(np.arange(start, min(start + self._block_rows, self._total)))
        return Permutation(self._total, self.seed, epoch)(places)
