"""A DataLoader that agrees with its sampler."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, Dataset

from imbalance_torch.samplers._base import AbstractSampler


def make_loader(dataset: Dataset[Any], sampler: AbstractSampler, **kwargs: Any) -> DataLoader[Any]:
    """Return ``DataLoader(dataset, sampler=sampler, batch_size=sampler.batch_size, **kwargs)``.

    Args:
        dataset: the map-style dataset whose labels the sampler was built on.
        sampler: a sampler of this package.
        **kwargs: anything else that ``DataLoader`` takes; ``batch_size`` where the sampler has none.

    Raises:
        TypeError: ``sampler`` is not one of this package.
        ValueError: an argument contradicts the sampler, or the dataset has another number of rows.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from imbalance_torch.samplers import ClassBalancedSampler
        >>> y = torch.tensor([0, 0, 0, 1])
        >>> loader = make_loader(TensorDataset(y), ClassBalancedSampler(y, batch_size=2))
        >>> [batch.tolist() for (batch,) in loader]
        [[1, 0], [0, 1]]
    """
    if not isinstance(sampler, AbstractSampler):
        raise TypeError(f"`sampler` must be a sampler of imbalance_torch, got {type(sampler).__name__}.")
    if len(dataset) != len(sampler.dataset):  # type: ignore[arg-type]
        raise ValueError(
            f"The sampler was built on {len(sampler.dataset)} labels, the dataset has {len(dataset)} rows."  # type: ignore[arg-type]
        )
    settled: dict[str, Any] = {"shuffle": False, "batch_sampler": None}
    if sampler.batch_size is not None:
        settled |= {"batch_size": sampler.batch_size, "drop_last": sampler.drop_last}
    for name, value in settled.items():
        if (given := kwargs.get(name, value)) != value:
            raise ValueError(f"`{name}` is settled by the sampler, which needs {value!r}, got {name}={given!r}.")
    return DataLoader(dataset, sampler=sampler, **{**kwargs, **settled})
