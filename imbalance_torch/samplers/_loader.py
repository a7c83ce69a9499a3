"""A DataLoader that agrees with its sampler and knows to the batch what it has handed out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from imbalance_torch._checks import warn
from imbalance_torch.samplers._base import AbstractSampler


class BalancedDataLoader(DataLoader[Any]):
    """A ``DataLoader`` whose sampler stands exactly at the next batch, however far its workers have read ahead.

    A loop that was left early, a saved state and another number of workers or ranks therefore all go on with the first
    batch that was not handed out. Trainers that look for ``state_dict`` on loaders (Lightning does) save the place
    inside an epoch by themselves. The last batch of an epoch moves the place to the beginning of the next one.

    Args:
        dataset: the map-style dataset whose labels the sampler was built on.
        sampler: a sampler of this package; it settles ``batch_size`` and ``drop_last`` if it was built with the former.
        **kwargs: anything else that ``DataLoader`` takes, ``batch_size`` where the sampler has none.

    Raises:
        TypeError: ``sampler`` is not one of this package.
        ValueError: an argument contradicts the sampler, or the dataset has another number of rows.

    Notes:
        Epoch and place are read when the first batch is asked for, so ``set_epoch`` may come after ``iter``. While a
        loop runs, ``set_epoch`` takes effect with the next loop. A restored loader does not go back to an earlier
        epoch than its own: Lightning Fabric counts its loops from 0 again after a resume. ``len`` is that of a whole
        epoch, also where the first loop after a resume is shorter.
        Loops over one loader share one place: nested loops take batches from one another. Like every ``DataLoader`` it
        draws the seed of its workers from torch's global generator, unless it is given a ``generator``.
        Workers that are forked beside the threads of gloo may hang, and a warning says so: pass
        ``multiprocessing_context="forkserver"`` (or "spawn").

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from imbalance_torch.samplers import ClassBalancedSampler
        >>> dataset = TensorDataset(torch.arange(6), torch.tensor([0, 0, 0, 0, 1, 1]))
        >>> loader = BalancedDataLoader(dataset, ClassBalancedSampler(dataset, batch_size=2))
        >>> iterator = iter(loader)
        >>> first = next(iterator)
        >>> restored = BalancedDataLoader(dataset, ClassBalancedSampler(dataset, batch_size=2))
        >>> restored.load_state_dict(loader.state_dict())
        >>> [rows.tolist() for rows, _ in restored] == [rows.tolist() for rows, _ in iterator]
        True
    """

    sampler: AbstractSampler

    def __init__(self, dataset: Dataset[Any], sampler: AbstractSampler, **kwargs: Any) -> None:
        if not isinstance(sampler, AbstractSampler):
            raise TypeError(
                f"`sampler` must be a sampler of imbalance_torch, got {type(sampler).__name__}. For any other one, for "
                "prediction and for `Trainer(overfit_batches=...)` build a plain DataLoader."
            )
        if isinstance(dataset, IterableDataset):
            raise TypeError(
                "`dataset` must be map-style, got an IterableDataset. Balance a stream with BalancedIterableDataset."
            )
        if len(dataset) != len(sampler.dataset):  # type: ignore[arg-type]
            raise ValueError(
                f"The sampler was built on {len(sampler.dataset)} labels, the dataset has {len(dataset)} rows."  # type: ignore[arg-type]
            )
        settled: dict[str, Any] = {"shuffle": False, "batch_sampler": None, "in_order": True}
        if sampler.batch_size is not None:
            settled |= {"batch_size": sampler.batch_size, "drop_last": sampler.drop_last}
        for name, value in settled.items():
            if (given := kwargs.get(name, value)) != value:
                raise ValueError(f"`{name}` is settled by the sampler, which needs {value!r}, got {name}={given!r}.")
        super().__init__(dataset, sampler=sampler, **{**kwargs, **settled})
        self._reached: tuple[int, int, int] | None = None  # place of a restored loader

    @property
    def _index_sampler(self) -> Any:
        rows = _Rest(self.sampler)
        return rows if self.batch_size is None else BatchSampler(rows, self.batch_size, self.drop_last)

    @property
    def batches_left(self) -> int:
        """Batches between the place reached and the end of its epoch; those of a whole epoch at its beginning."""
        _, start, taken = self.sampler._place
        rows, size = self.sampler._rows_per_rank(self.sampler._total - start) - taken, self.batch_size or 1
        return rows // size if self.drop_last else -(-rows // size)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        sampler = self.sampler
        if self._reached is not None and sampler.epoch < self._reached[0]:
            sampler._place = self._reached
        place, epoch, left = sampler._place, sampler.epoch, self.batches_left
        self._warn_of_forks()
        for batch in super().__iter__():
            left -= 1
            if sampler._place == place:  # otherwise set_epoch, load_state_dict or another loop has taken over
                if left:
                    sampler.advance(self.batch_size or 1)
                else:
                    sampler.set_epoch(epoch + 1)
                place = sampler._place
                if self._reached is not None:
                    self._reached = place
            yield batch
        if sampler._place == place:
            sampler.set_epoch(epoch + 1)

    def _warn_of_forks(self) -> None:
        if not self.num_workers or not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return
        context = self.multiprocessing_context or torch.multiprocessing
        if torch.distributed.get_backend() == "gloo" and context.get_start_method() == "fork":
            warn(
                "Workers that are forked beside the threads of gloo may hang. Pass "
                'multiprocessing_context="forkserver", and build the loader under `if __name__ == "__main__":`.'
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the sampler's place at the next batch: small, the same on all ranks, valid for any number of them."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved place; numbers of workers and ranks may differ.

        Raises:
            ValueError: the state has another version, or belongs to other labels or settings.
        """
        self.sampler.load_state_dict(state_dict)
        self._reached = self.sampler._place


class _Rest:
    """The rows that a sampler has left in its epoch; reading them does not move it."""

    def __init__(self, sampler: AbstractSampler) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(part.tolist() for part in self.sampler.iter_indices())

    def __len__(self) -> int:
        return len(self.sampler)


def make_loader(dataset: Dataset[Any], sampler: AbstractSampler, **kwargs: Any) -> BalancedDataLoader:
    """Return ``BalancedDataLoader(dataset, sampler, **kwargs)``, which takes its batch size from the sampler.

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
    return BalancedDataLoader(dataset, sampler, **kwargs)
