"""Random under-sampling: a random subset of the rows of each class that shrinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.plan import SamplingStrategy, resolve_under_sampling
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._over import Classes
from imbalance_torch.resampling._under import UnderSampler


class RandomUnderSampler(UnderSampler):
    """Under-sampling by a random subset of the rows of each class that shrinks.

    Args:
        sampling_strategy: Which classes shrink and to what count, as in imbalanced-learn: ``"auto"`` (every class but
            the minority, down to it), ``"majority"``, ``"not minority"``, ``"not majority"``, ``"all"``; for two
            classes the ratio of minority to majority rows after it, in (0, 1]; a dict of final counts; or a callable
            that receives ``y`` and returns such a dict.
        random_state: Seed, ``torch.Generator`` (used once per call, for a seed) or None (fresh entropy).
        replacement: Whether a row can be drawn twice.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Label to rows that stay, of the classes that shrink.
        sample_indices_: Rows of the given ``X`` that stay, in the order of the result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, or ``y`` holds one class.

    Notes:
        ``X`` may be anything that rows can be indexed of: tensors of any shape (N, ...), arrays, sparse rows, frames
        with strings and missing values; lists are read as NumPy arrays. What stays is unchanged, the index of a pandas
        object included. Rows are grouped by sorted class: the drawn ones in the order of the draw, those of other
        classes in their own. Counts are exact. Each class has a stream of its own, drawn on the CPU, so that the same
        seed keeps the same rows on every device and in every container. Time and memory O(N) beside the rows.

    NOTE[DIFF]: imbalanced-learn draws all classes from one stream.

    Example:
        >>> X, y = torch.arange(12.0)[:, None], torch.tensor([0] * 9 + [1] * 3)
        >>> X_res, y_res = RandomUnderSampler(random_state=0).fit_resample(X, y)
        >>> y_res.bincount(), X_res[3:].flatten()
        (tensor([3, 3]), tensor([ 9., 10., 11.]))
    """

    _resolve = staticmethod(resolve_under_sampling)

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        random_state: RandomState = None,
        replacement: bool = False,
    ) -> None:
        super().__init__(sampling_strategy)
        if not isinstance(replacement, bool):
            raise TypeError(f"`replacement` must be True or False, got replacement={replacement!r}.")
        self.random_state = random_state
        self.replacement = replacement

    def _table(self, X: Rows) -> Tensor:
        shape = X.shape if hasattr(X, "shape") else np.shape(X)
        if not shape:
            raise ValueError(f"`X` must hold rows, got {type(X).__name__}.")
        return X.detach() if isinstance(X, Tensor) else torch.empty(shape[0], 0)

    def _kept(self, classes: Classes, strategy: dict[Any, int]) -> Tensor:
        seed = seed_from(self.random_state)
        parts = []
        for label, members in classes.members.items():
            if label in strategy:
                number, generator = len(members), generator_for(seed, classes.ranks[label])
                if self.replacement:
                    drawn = torch.randint(number, (strategy[label],), generator=generator, device="cpu")
                else:
                    drawn = torch.randperm(number, generator=generator, device="cpu")[: strategy[label]]
                members = members[drawn.to(members.device)]
            parts.append(members)
        return torch.cat(parts)
