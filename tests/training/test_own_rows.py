"""The rows that a trainer's distributed sampler repeats are told apart, whatever the loader batches with."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch.utilities.data import _update_dataloader
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler, TensorDataset

from imbalance_torch.data import TensorLoader
from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.training._loaders import own_rows_of_batch


class OwnBatchSampler(BatchSampler):
    """Batches as they are."""


class LongestFirst(BatchSampler):
    def __iter__(self) -> Iterator[list[int]]:
        return iter(sorted(super().__iter__(), key=len, reverse=True))


def dataset(rows: int) -> TensorDataset:
    return TensorDataset(torch.arange(rows))


LOADERS = {
    "plain": lambda data: DataLoader(data, batch_size=4),
    "batch sampler": lambda data: DataLoader(data, batch_sampler=OwnBatchSampler(SequentialSampler(data), 4, False)),
}
SAMPLERS: dict[str, Any] = {
    "of the rows": DistributedSampler,
    "around a sampler": lambda data, **keywords: DistributedSamplerWrapper(SequentialSampler(data), **keywords),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(("rows", "ranks"), [(8, 2), (17, 2), (9, 4), (10, 4), (3, 4), (13, 3)])
def test_all_ranks_together_own_each_row_once(rows, ranks, loader, sampler):
    data, seen, served = dataset(rows), [], 0
    for rank in range(ranks):
        own = SAMPLERS[sampler](data, num_replicas=ranks, rank=rank, shuffle=False)
        distributed = _update_dataloader(LOADERS[loader](data), own)  # what the trainer does
        for i, (values,) in enumerate(distributed):
            number = own_rows_of_batch([distributed], i)
            assert number == own_rows_of_batch(distributed, i)
            assert 0 <= number <= 4
            seen += values[:number].tolist()
            served += len(values)
    assert sorted(seen) == list(range(rows))
    assert served == -(-rows // ranks) * ranks  # so that there was something to leave out


def test_a_data_set_of_batches_owns_each_once():
    data, counted = dataset(3), []
    for rank in range(2):
        loader = DataLoader(data, batch_size=None, sampler=DistributedSampler(data, 2, rank, shuffle=False))
        counted += [own_rows_of_batch(loader, i) for i in range(2)]
    assert counted == [None, None, None, 0]


def test_no_row_is_left_out_where_none_repeats_or_nobody_knows():
    data = dataset(9)
    repeating = DistributedSampler(data, 2, 1, shuffle=False)
    labels = torch.tensor([0, 1] * 5)
    for loader in (
        DataLoader(data, batch_size=4),
        DataLoader(data, batch_sampler=[[0, 1], [2]]),
        DataLoader(data, batch_size=4, sampler=DistributedSampler(data, 2, 1, drop_last=True)),
        DataLoader(data, batch_sampler=LongestFirst(repeating, 4, False)),
        DataLoader(TensorDataset(labels), batch_size=4, sampler=ShuffledSampler(labels, num_replicas=2, rank=1)),
        TensorLoader(labels, batch_size=4),
        [DataLoader(data, batch_size=4, sampler=repeating)] * 2,
        [torch.zeros(4)],
    ):
        assert own_rows_of_batch(loader, 1) is None
