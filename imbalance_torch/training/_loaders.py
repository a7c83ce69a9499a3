"""What a loader and its batches tell the classifier: rows, class shares, tensors, and which rows are padding."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler, RandomSampler, SequentialSampler

from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.samplers._base import AbstractSampler

_UNIFORM = (RandomSampler, SequentialSampler, DistributedSampler)


class Batch(NamedTuple):
    """Inputs, targets and, if given, one weight per row."""

    x: Any
    y: Tensor
    sample_weight: Tensor | None = None


def unpack(batch: Any) -> Batch:
    """Read a batch ``(x, y)``, ``(x, y, index)`` or a dictionary with "x", "y" and perhaps "sample_weight"."""
    if isinstance(batch, Mapping):
        return Batch(batch["x"], batch["y"], batch.get("sample_weight"))
    return Batch(batch[0], batch[1])


def feeder_of(loader: Any) -> Any:
    """Return the sampler or data set that states class shares of its own, or None where they are those of the data."""
    stating = (sampler for sampler in _samplers(loader) if hasattr(sampler, "effective_prior"))
    return next((sampler for sampler in stating if not isinstance(sampler, ShuffledSampler)), None)


def fed_shares(loader: Any) -> Tensor | None:
    """Return the class shares that the loader feeds, or None for those of the data; warn where nobody knows."""
    feeder = feeder_of(loader)
    if feeder is not None:
        return feeder.effective_prior  # type: ignore[no-any-return]
    samplers = _samplers(loader)[:2]
    unknown = [sampler for sampler in samplers if sampler is not None and not isinstance(sampler, _UNIFORM)]
    if unknown:
        warnings.warn(
            f"{type(unknown[0]).__name__} does not say which class shares it feeds: probabilities are corrected as if "
            "it fed those of the data. Use a sampler of imbalance_torch.samplers, or give it an `effective_prior`.",
            stacklevel=1,
        )
    return None


def tensors_of(loader: Any) -> Sequence[Tensor] | None:
    """Return the tensors behind a loader, inputs first and labels second, or None where they are not in memory."""
    found: Sequence[Tensor] | None = getattr(loader, "tensors", None)
    return found or getattr(getattr(loader, "dataset", None), "tensors", None)


def training_tensors(loader: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels for a resampler to fit on."""
    tensors = tensors_of(loader)
    if tensors is None:
        raise ValueError(
            "The resampler is not fitted and the training data are not tensors. Call `resampler.fit(X, y)` first."
        )
    return tensors[0], tensors[1]


def own_rows_of_batch(loaders: Any, batch_idx: int) -> int | None:
    """Return how many rows of a batch, counted from its first, are not padding, or None if all of them count.

    A ``DistributedSampler`` fills up the last ranks with the first rows again, at the end of their share. Where that
    end falls is known for batches of ``batch_size`` rows in the order of the sampler. A batch sampler with an
    ``__iter__`` of its own may group rows otherwise: None then, and a row that was repeated counts twice.

    Args:
        loaders: the loader, or a collection that holds it, such as a trainer's ``val_dataloaders``; of several None.
        batch_idx: number of the batch.
    """
    loader, *others = CombinedLoader(loaders).flattened
    batches = getattr(loader, "batch_sampler", None)
    sampler = getattr(loader if batches is None else batches, "sampler", None)
    if others or not isinstance(sampler, DistributedSampler) or isinstance(sampler, AbstractSampler):
        return None
    own = len(range(sampler.rank, len(sampler.dataset), sampler.num_replicas))  # type: ignore[arg-type]
    if batches is None:  # an item of the data set is a whole batch
        return None if batch_idx < own else 0
    if sampler.drop_last or type(batches).__iter__ is not BatchSampler.__iter__:
        return None
    size: int = batches.batch_size
    return min(max(own - batch_idx * size, 0), size)


def _samplers(loader: Any) -> list[Any]:
    batch_sampler = getattr(loader, "batch_sampler", None)
    return [getattr(loader, "sampler", None), getattr(batch_sampler, "sampler", None), getattr(loader, "dataset", None)]
