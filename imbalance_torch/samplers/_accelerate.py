"""A sampler for libraries that share out the batches themselves."""

from __future__ import annotations

import copy

from imbalance_torch.samplers._base import AbstractSampler


def for_accelerate(sampler: AbstractSampler) -> AbstractSampler:
    """Return a copy of ``sampler`` that feeds the batches of all ranks, for accelerate to share them out.

    ``Accelerator.prepare`` and the trainers built on it give batch b of the loader to rank b modulo the number of
    ranks. A sampler that has shared out the rows already would lose all but one part in that number.

    Args:
        sampler: a sampler of this package. The copy starts at its place; move, save and restore the copy from then on.

    Raises:
        TypeError: ``sampler`` is not one of this package.

    Notes:
        The order is that of the sampler on the ranks; only the last, incomplete step is filled up by accelerate's own
        rule. accelerate counts the loops over a prepared loader from 0 in every process and calls ``set_epoch`` with
        that count: after a resume call ``prepared.set_epoch(sampler.epoch)`` once.

    Example:
        >>> from imbalance_torch.samplers import ClassBalancedSampler
        >>> sampler = ClassBalancedSampler([0] * 90 + [1] * 10, batch_size=10, num_replicas=2, rank=1)
        >>> whole = for_accelerate(sampler)
        >>> len(sampler), len(whole), whole.num_replicas
        (50, 100, 1)
    """
    if not isinstance(sampler, AbstractSampler):
        raise TypeError(f"`sampler` must be a sampler of imbalance_torch, got {type(sampler).__name__}.")
    whole = copy.copy(sampler)
    whole._replica = (1, 0)
    return whole
