"""TensorLoader: every row once, sharded without padding, resumed at the next batch."""

import pickle

import pytest
import torch

from imbalance_torch.data import TensorLoader
from imbalance_torch.samplers import ClassBalancedSampler, ShuffledSampler

ROWS = 103


@pytest.fixture
def data():
    return torch.arange(ROWS), (torch.arange(ROWS) % 10 == 0).long()


def shuffled(data, batch_size=10, **options):
    return TensorLoader(*data, batch_size=batch_size, sampler=ShuffledSampler(data[1], **options))


def rows_of(loader):
    return torch.cat([x for x, _ in loader]).tolist()


def test_without_a_sampler_the_rows_come_in_order(data):
    loader = TensorLoader(*data, batch_size=10)
    batches = list(loader)
    assert len(loader) == len(batches) == 11
    assert [len(x) for x, _ in batches] == [10] * 10 + [3]
    assert rows_of(loader) == list(range(ROWS))
    assert torch.equal(torch.cat([y for _, y in loader]), data[1])
    assert loader.state_dict() == {}
    loader.load_state_dict({})


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11])
def test_length_of_short_data(rows):
    loader = TensorLoader(torch.arange(rows), batch_size=10)
    assert len(loader) == len(list(loader)) == -(-rows // 10)


@pytest.mark.parametrize("options", [{}, {"batch_size": 10}], ids=["any batch", "same batch"])
def test_each_row_once_per_epoch_and_epochs_differ(data, options):
    loader = shuffled(data, **options)
    first, second = rows_of(loader), rows_of(loader)
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second
    assert first != list(range(ROWS))
    assert rows_of(shuffled(data, **options)) == first


def test_rows_of_several_tensors_stay_together(data):
    for x, y in shuffled(data):
        assert torch.equal(y, (x % 10 == 0).long())


@pytest.mark.parametrize("stop", [1, 5, 10])
@pytest.mark.parametrize("options", [{}, {"batch_size": 10}], ids=["any batch", "same batch"])
def test_a_restored_loader_goes_on_with_the_remaining_batches(data, stop, options):
    loader = shuffled(data, **options)
    rows_of(loader)  # the second epoch is the one that is left in the middle
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    state = pickle.loads(pickle.dumps(loader.state_dict()))
    again = shuffled(data, **options)
    again.load_state_dict(state)
    rest = [x for x, _ in iterator]
    resumed = [x for x, _ in again]
    assert len(resumed) == 11 - stop
    assert all(torch.equal(a, b) for a, b in zip(rest, resumed, strict=True))
    assert rows_of(again) == rows_of(loader)


def test_length_with_a_sampler(data):
    sampler = ClassBalancedSampler(data[1], num_samples=55, batch_size=8)
    loader = TensorLoader(*data, batch_size=8, sampler=sampler)
    assert len(loader) == len(list(loader)) == 7


@pytest.mark.parametrize("rows", [103, 4, 3, 1])
@pytest.mark.parametrize("ranks", [2, 4])
def test_evaluation_rows_are_shared_out_without_padding(monkeypatch, rows, ranks):
    seen = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: ranks)
    for rank in range(ranks):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        loader = TensorLoader(torch.arange(rows), batch_size=10)
        batches = list(loader)
        assert len(loader) == len(batches)
        seen += [row for (x,) in batches for row in x.tolist()]
    assert sorted(seen) == list(range(rows))


@pytest.mark.parametrize("batch_size", [None, 10])
def test_training_ranks_take_different_rows(data, batch_size):
    parts = [rows_of(shuffled(data, batch_size=10, num_replicas=2, rank=rank)) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == 52
    assert set(parts[0]) | set(parts[1]) == set(range(ROWS))


def test_batches_are_on_the_device_of_the_tensors(data, device):
    loader = shuffled([tensor.to(device) for tensor in data])
    assert sorted(rows_of(loader)) == list(range(ROWS))
    assert {x.device.type for x, _ in loader} == {device.type}


def test_bad_arguments(data):
    x, y = data
    with pytest.raises(ValueError, match="batches of 10 rows, the loader of 8"):
        TensorLoader(x, y, batch_size=8, sampler=ShuffledSampler(y, batch_size=10))
    with pytest.raises(ValueError, match=r"len\(tensors\[0\]\)=103, len\(tensors\[1\]\)=102"):
        TensorLoader(x, y[1:], batch_size=8)
    with pytest.raises(ValueError, match=r"len\(sampler\.dataset\)=102"):
        TensorLoader(x, y, batch_size=8, sampler=ShuffledSampler(y[1:]))
    with pytest.raises(ValueError, match="`batch_size` must be >= 1"):
        TensorLoader(x, y, batch_size=0)
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorLoader(batch_size=8)
    with pytest.raises(TypeError, match=r"`tensors\[1\]` must be a torch.Tensor, got list"):
        TensorLoader(x, y.tolist(), batch_size=8)
    with pytest.raises(TypeError, match=r"must come from imbalance_torch\.samplers, got SequentialSampler"):
        TensorLoader(x, y, batch_size=8, sampler=torch.utils.data.SequentialSampler(x))
