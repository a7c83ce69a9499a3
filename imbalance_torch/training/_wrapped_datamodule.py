"""ImbalancedDataModule: existing data sets, with another sampler for training and nothing else changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import lightning as L
import numpy as np
from torch.utils.data import DataLoader, Dataset

from imbalance_torch._checks import check_int
from imbalance_torch.samplers import BalancedDataLoader, ShuffledSampler, labels_of, make_loader
from imbalance_torch.samplers._base import AbstractSampler

_SETTLED = {"shuffle", "batch_sampler", "drop_last"}


class ImbalancedDataModule(L.LightningDataModule):
    """Wrap existing map-style data sets (images too): training is sampled, validation and test never are.

    Args:
        train_dataset: its labels are found by :func:`imbalance_torch.samplers.labels_of`, without reading a sample.
        val_dataset: served in order.
        test_dataset: served in order.
        sampler: factory ``sampler(labels, batch_size=, seed=)`` of the training sampler, such as a class of
            :mod:`imbalance_torch.samplers`; default plain shuffling.
        labels: labels of the training samples, (N,), where ``labels_of`` cannot tell them.
        batch_size: samples in a batch.
        num_workers: processes that read ahead, for each loader.
        seed: of the sampler.
        **kwargs: anything else that ``DataLoader`` takes, for all loaders, such as ``pin_memory`` or ``collate_fn``.

    Attributes:
        class_counts: training samples of each class before any sampling, list of C.
        num_classes: C.

    Raises:
        TypeError: the labels cannot be told without reading the samples.
        ValueError: an argument of the loader that the sampler settles; at first use, classes that are not 0 to C-1.

    Notes:
        The training loader is a :class:`imbalance_torch.samplers.BalancedDataLoader`: a run resumes at the next batch,
        however far the workers have read ahead.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from imbalance_torch.samplers import ClassBalancedSampler
        >>> images = TensorDataset(torch.rand(40, 1, 8, 8), torch.arange(40) % 8 // 7)
        >>> data = ImbalancedDataModule(images, sampler=ClassBalancedSampler, batch_size=10)
        >>> data.class_counts, [int(y.sum()) for _, y in data.train_dataloader()]
        ([35, 5], [5, 5, 5, 5])
    """

    def __init__(
        self,
        train_dataset: Dataset,  # type: ignore[type-arg] # a YAML file cannot name subclasses of Dataset[Any]
        val_dataset: Dataset | None = None,  # type: ignore[type-arg]
        test_dataset: Dataset | None = None,  # type: ignore[type-arg]
        *,
        sampler: Callable[..., AbstractSampler] | None = None,
        labels: Any = None,
        batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        for name in _SETTLED & kwargs.keys():
            if kwargs.pop(name):  # a YAML file passes the defaults of DataLoader
                raise ValueError(
                    f"`{name}` is settled by the sampler. Give it to the sampler, as in "
                    "functools.partial(ClassBalancedSampler, drop_last=True)."
                )
        self.datasets = {"train": train_dataset, "val": val_dataset, "test": test_dataset}
        self.sampler = sampler or ShuffledSampler
        self.given_labels = labels
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.seed = check_int("seed", seed, minimum=0)
        self.num_workers = check_int("num_workers", num_workers, minimum=0)
        self.kwargs = kwargs

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        """Labels of the training samples, (N,)."""
        return labels_of(self.datasets["train"] if self.given_labels is None else self.given_labels)

    @cached_property
    def class_counts(self) -> list[int]:
        """Training samples of each class, before any sampling; sorted by name where the labels are text."""
        classes, counts = np.unique(self.labels, return_counts=True)
        if classes.dtype.kind in "iu" and classes.tolist() != list(range(len(classes))):
            raise ValueError(
                f"The training labels must be 0 to C-1 without gaps, got {', '.join(map(str, classes[:10]))}. Renumber "
                "them (`target_transform`)."
            )
        found: list[int] = counts.tolist()
        return found

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_counts)

    def train_dataloader(self) -> BalancedDataLoader:
        """Return the sampled training batches."""
        sampler: Any = self.sampler(self.labels, batch_size=self.batch_size, seed=self.seed)
        return make_loader(self._dataset("train"), sampler, num_workers=self.num_workers, **self.kwargs)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the validation samples, in order; nothing where there are none."""
        return [] if self.datasets["val"] is None else self._in_order("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test samples, in order."""
        return self._in_order("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """Return the test samples, in order."""
        return self.test_dataloader()

    def _in_order(self, part: str) -> DataLoader[Any]:
        return DataLoader(self._dataset(part), batch_size=self.batch_size, num_workers=self.num_workers, **self.kwargs)

    def _dataset(self, part: str) -> Dataset[Any]:
        dataset = self.datasets[part]
        if dataset is None:
            raise ValueError(f"There are no {part} samples. Pass `{part}_dataset`.")
        return dataset
