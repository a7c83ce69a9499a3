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


@pytest.mark.parametrize("sampler_batch", [None, 10])
@pytest.mark.parametrize("sampled", [False, True])
def test_drop_last_leaves_out_the_short_batch_and_moves_on(data, sampled, sampler_batch):
    sampler = ShuffledSampler(data[1], batch_size=sampler_batch) if sampled else None
    loader = TensorLoader(*data, batch_size=10, sampler=sampler, drop_last=True)
    for epoch in range(3):
        assert not sampled or sampler.epoch == epoch
        assert [len(y) for _, y in loader] == [10] * len(loader) == [10] * 10
    if sampled:
        for _, _batch in zip(range(10), loader, strict=False):
            state = loader.state_dict()
        assert (state["epoch"], state["consumed"]) == (4, 0)  # what is left after the last batch is no epoch


def test_a_loop_that_was_left_goes_on_with_the_next_batch(data):
    loader, whole = shuffled(data), rows_of(shuffled(data))
    begun = [x for (x, _), _ in zip(loader, range(4), strict=False)][:4]
    # zip has asked for a fifth batch before it stopped.
    assert torch.cat(begun).tolist() + rows_of(loader) == whole[:40] + whole[50:]


def test_a_batch_may_be_kept_and_changed(data):
    for loader in (TensorLoader(*data, batch_size=10), shuffled(data)):
        kept = [x for x, _ in loader]
        assert sorted(torch.cat(kept).tolist()) == list(range(ROWS))
        for x in kept:
            x.zero_()
        assert torch.equal(loader.tensors[0], torch.arange(ROWS))


def test_set_epoch_inside_a_loop_is_for_the_next_one(data):
    loader = shuffled(data)
    iterator = iter(loader)
    next(iterator)
    loader.sampler.set_epoch(5)
    assert len(list(iterator)) == 10
    assert loader.sampler.epoch == 5
    assert len(rows_of(loader)) == ROWS


def test_a_batch_comes_before_the_epoch_is_drawn():
    rows = 1 << 20
    y = torch.zeros(rows, dtype=torch.int8)
    sampler = ShuffledSampler(y, batch_size=256)
    drawn = []
    draw = sampler._draw
    sampler._draw = lambda epoch, block: drawn.append(block) or draw(epoch, block)
    next(iter(TensorLoader(y, batch_size=256, sampler=sampler)))
    assert drawn == [0]


@pytest.mark.parametrize("batch_size", [97, 65_537])
def test_batches_reach_over_the_blocks_of_the_sampler(batch_size):
    x = torch.arange(140_000)
    loader = TensorLoader(x, batch_size=batch_size, sampler=ShuffledSampler(x % 2, num_replicas=2, rank=1))
    batches = [rows for (rows,) in loader]
    assert {len(rows) for rows in batches[:-1]} == {batch_size}
    assert len(batches) == len(loader)
    assert torch.equal(torch.cat(batches), ShuffledSampler(x % 2, num_replicas=2, rank=1).indices())


def test_rows_of_any_shape_and_layout():
    images = torch.arange(4 * 6).view(6, 4).T.reshape(4, 2, 3)
    column_major = torch.arange(12.0).view(3, 4).T
    flags = torch.tensor([True, False, True, True])
    loader = TensorLoader(images, column_major, flags, batch_size=3)
    assert all(tensor.is_contiguous() for tensor in loader.tensors)
    parts = [torch.cat(column) for column in zip(*loader, strict=True)]
    assert all(map(torch.equal, parts, (images, column_major, flags)))


def test_one_row_and_no_column():
    x, y = torch.zeros(1, 0), torch.zeros(1, dtype=torch.long)
    ((one, label),) = TensorLoader(x, y, batch_size=4, sampler=ShuffledSampler(y))
    assert (one.shape, label.tolist()) == ((1, 0), [0])


def test_device_and_pinned_memory(data, device):
    loader = TensorLoader(*data, batch_size=10, device=device, pin_memory=True, sampler=ShuffledSampler(data[1]))
    pinned = torch.cuda.is_available() and device.type == "cpu"
    for batches in (list(loader), list(TensorLoader(*data, batch_size=10, device=device, pin_memory=True))):
        assert sorted(row for x, _ in batches for row in x.tolist()) == list(range(ROWS))
        assert {(x.device.type, x.is_pinned()) for x, _ in batches} == {(device.type, pinned)}


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
    with pytest.raises(ValueError, match=r"`tensors\[0\]` must have one row for each sample"):
        TensorLoader(torch.tensor(1.0), batch_size=8)
    with pytest.raises(ValueError, match="All tensors must be on one device"):
        TensorLoader(x, torch.empty(ROWS, device="meta"), batch_size=8)
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorLoader(batch_size=8)
    with pytest.raises(TypeError, match=r"`tensors\[1\]` must be a torch.Tensor, got list"):
        TensorLoader(x, y.tolist(), batch_size=8)
    with pytest.raises(TypeError, match=r"must come from imbalance_torch\.samplers, got SequentialSampler"):
        TensorLoader(x, y, batch_size=8, sampler=torch.utils.data.SequentialSampler(x))
