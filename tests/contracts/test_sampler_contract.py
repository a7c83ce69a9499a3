"""What every sampler promises; the classes come from ``samplers.__all__``, so that none can dodge it."""

import copy
import inspect
import pickle
import random
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, IterableDataset, TensorDataset

from imbalance_torch import samplers
from imbalance_torch.samplers import make_loader
from tests.contracts.sampler_cases import BUILDERS

CLASSES = [value for name in samplers.__all__ if inspect.isclass(value := getattr(samplers, name))]
CLASSES = [value for value in CLASSES if not issubclass(value, (DataLoader, IterableDataset))]
LABELS = torch.tensor(([0] * 9 + [1] + [0] * 6 + [2] * 3) * 7)  # 105 + 7 + 21 rows
pytestmark = pytest.mark.parametrize("cls", CLASSES)
ORDERS = {  # frozen from version 0.1.0, torch 2.13, x86-64; a change makes saved states resume in another order
    "BalancedBatchSampler": [9, 48, 85, 45, 83, 18, 56, 28, 48, 104],
    "ClassBalancedSampler": [104, 52, 9, 33, 99, 113, 74, 123, 7, 47],
    "GroupBalancedSampler": [123, 65, 66, 14, 8, 131, 56, 28, 0, 66],
    "HardExampleSampler": [57, 0, 125, 4, 108, 126, 32, 113, 30, 9],
    "MultiLabelBalancedSampler": [36, 47, 74, 70, 66, 9, 104, 129, 51, 111],
    "ProgressiveSampler": [85, 11, 28, 5, 96, 111, 93, 9, 84, 66],
    "RepeatFactorSampler": [34, 112, 73, 52, 55, 9, 104, 37, 104, 5],
    "RotatingUnderSampler": [44, 6, 8, 54, 68, 17, 56, 47, 55, 91],
    "ShuffledSampler": [35, 47, 72, 68, 61, 3, 104, 126, 49, 108],
    "SquareRootSampler": [39, 63, 81, 89, 125, 54, 132, 47, 43, 9],
    "WeightedSampler": [113, 14, 109, 17, 105, 36, 20, 89, 20, 113],
}
both_sizes = pytest.mark.parametrize("batch_size", [None, 8])


def make(cls, batch_size=8, world=1, rank=0, labels=LABELS, **kwargs):
    if batch_size is None and inspect.signature(cls).parameters["batch_size"].default is inspect.Parameter.empty:
        pytest.skip("it cannot do without a batch size")
    build = BUILDERS.get(cls.__name__, cls)
    return build(labels, batch_size=batch_size, **{"num_replicas": world, "rank": rank} | kwargs)


def unit_of(cls, batch_size):
    """What the last step is shared out and filled up by."""
    return (batch_size or 1) if cls.whole_batches else 1


def plain(state):
    """Return a state that ``==`` compares: tensors, which may hold NaN, as text."""
    return {name: str(value.tolist()) if torch.is_tensor(value) else value for name, value in state.items()}


def loader_of(sampler, batch_size=8, **kwargs):
    return DataLoader(TensorDataset(torch.arange(len(LABELS))), batch_size, sampler=sampler, **kwargs)


def batches_of(loader):
    return [batch[0].tolist() for batch in loader]


def test_registry_is_complete(cls):
    assert issubclass(cls, DistributedSampler)
    assert "generator" not in dir(make(cls))
    parameters = list(inspect.signature(cls).parameters)
    assert parameters[-4:] == ["seed", "num_replicas", "rank", "drop_last"]
    assert parameters[-5] == "batch_size" or parameters[1] == "batch_size"


def test_the_order_is_the_same_on_every_platform(cls):
    sampler = make(cls, seed=1)
    sampler.set_epoch(2)
    assert sampler.indices()[:10].tolist() == ORDERS[cls.__name__]


@both_sizes
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_length_equals_yield_on_every_rank_and_epoch(cls, batch_size, drop_last, world):
    ranks = [make(cls, batch_size, world, rank, drop_last=drop_last) for rank in range(world)]
    lengths = {len(sampler) for sampler in ranks}
    assert len(lengths) == 1
    for _ in range(3):
        assert {len(list(sampler)) for sampler in ranks} == lengths
    if drop_last:
        assert lengths.pop() % (batch_size or 1) == 0
    assert ranks[0].total_size == world * len(ranks[0]) == world * ranks[0].num_samples


@both_sizes
def test_a_plain_loop_sees_other_orders_and_the_epoch_decides_them(cls, batch_size):
    sampler = make(cls, batch_size)
    epochs = [list(sampler) for _ in range(3)]
    assert sampler.epoch == 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    again = make(cls, batch_size)
    for epoch in (2, 0, 1):
        again.set_epoch(epoch)
        assert list(again) == epochs[epoch]
    assert list(make(cls, batch_size, seed=1)) != epochs[0]


@both_sizes
@pytest.mark.parametrize("world", [2, 3, 5])
def test_ranks_share_the_stream_by_batch(cls, batch_size, world):
    stream = list(make(cls, batch_size))
    size = batch_size or 1
    shards = [list(make(cls, batch_size, world, rank)) for rank in range(world)]
    steps = len(stream) // (size * world)
    for step in range(steps):
        for rank in range(world):
            start = (step * world + rank) * size
            assert shards[rank][step * size : (step + 1) * size] == stream[start : start + size]
    tail = list(chain(*(shard[steps * size :] for shard in shards)))
    rest = stream[steps * size * world :]
    assert tail[: len(rest)] == rest
    assert tail[len(rest) :] == stream[: len(tail) - len(rest)]
    assert len(tail) - len(rest) < world * unit_of(cls, batch_size)


def test_more_ranks_than_rows(cls):
    shards = [list(make(cls, 2, 7, rank, labels=[0, 1])) for rank in range(7)]
    assert list(chain(*shards))[:2] == list(make(cls, 2, labels=[0, 1]))
    assert {len(shard) for shard in shards} == {unit_of(cls, 2)}


def test_no_complete_step_is_an_error(cls):
    sampler = make(cls, 1000, 2, drop_last=True)
    assert len(sampler) == 0
    with pytest.raises(ValueError, match="no complete step"):
        next(iter(sampler))


@both_sizes
def test_indices_and_advance_walk_the_epoch(cls, batch_size):
    sampler = make(cls, batch_size, 2, 1)
    rows = sampler.indices()
    assert rows.dtype == torch.int64
    assert rows.device.type == "cpu"
    assert sampler.indices().equal(rows)
    assert rows.tolist() == list(make(cls, batch_size, 2, 1))
    sampler.advance(5)
    assert sampler.indices().equal(rows[5:])
    sampler.advance(len(rows) - 6)
    assert sampler.indices().equal(rows[-1:])
    with pytest.raises(ValueError, match="num_rows"):
        sampler.advance(2)
    sampler.advance(1)
    assert (sampler.epoch, sampler.state_dict()["consumed"]) == (1, 0)
    other = make(cls, batch_size, 2, 1)
    other.set_epoch(1)
    assert sampler.indices().equal(other.indices())


@both_sizes
def test_a_loop_left_early_goes_on_where_it_stopped(cls, batch_size):
    sampler, whole = make(cls, batch_size), list(make(cls, batch_size))
    iterator = iter(sampler)
    head = [next(iterator) for _ in range(11)]
    assert head + list(sampler) == whole
    assert sampler.epoch == 1
    place = plain(sampler.state_dict())
    assert list(iterator) == whole[11:]  # the iterator left behind no longer counts
    assert plain(sampler.state_dict()) == place


@both_sizes
@pytest.mark.parametrize("steps", [0, 1, 2, -1])
def test_resume_is_exact(cls, batch_size, steps):
    sampler, world = make(cls, batch_size, 2, 0), 2
    whole = [sampler.indices().tolist()]
    size, rows = 8, len(sampler)
    consumed = (steps if steps >= 0 else (rows - 1) // size) * size
    sampler.advance(consumed)
    state = sampler.state_dict()
    assert {"version", "epoch", "consumed", "seed", "fingerprint"} <= set(state)
    assert (state["version"], state["epoch"], state["consumed"]) == (1, 0, consumed * world)
    assert len(pickle.dumps(state)) < 1000 or not cls.small_state
    for rank in range(world):
        restored = make(cls, batch_size, world, rank, seed=5)  # the state brings its seed
        restored.load_state_dict(copy.deepcopy(state))
        assert plain(restored.state_dict()) == plain(state)
        whole = list(make(cls, batch_size, world, rank))
        assert list(restored) == whole[consumed:]
        following = make(cls, batch_size, world, rank)
        following.set_epoch(1)
        assert list(restored) == list(following)


def test_three_resumes_in_one_epoch(cls):
    whole = make(cls, None, 2, 1).indices().tolist()
    seen, state = [], None
    for rows in (3, 5, 1, None):
        sampler = make(cls, None, 2, 1)
        if state is not None:
            sampler.load_state_dict(state)
        part = sampler.indices()[:rows]
        sampler.advance(len(part))
        seen, state = seen + part.tolist(), sampler.state_dict()
    assert seen == whole
    assert (state["epoch"], state["consumed"]) == (1, 0)


def test_a_batch_left_in_the_middle_is_fed_again(cls):
    sampler = make(cls, 8, 2, 0)
    sampler.advance(11)
    restored = make(cls, 8, 2, 0)
    restored.load_state_dict(sampler.state_dict())
    assert restored.indices().equal(make(cls, 8, 2, 0).indices()[8:])


@both_sizes
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3), (3, 2)])
def test_the_number_of_ranks_may_change(cls, batch_size, before, after):
    stream = list(make(cls, batch_size))
    ranks = [make(cls, batch_size, before, rank) for rank in range(before)]
    fed = []
    for sampler in ranks:
        fed += sampler.indices()[:8].tolist()
        sampler.advance(8)
    states = [sampler.state_dict() for sampler in ranks]
    assert all(plain(state) == plain(states[0]) for state in states)
    shards = []
    for rank in range(after):
        sampler = make(cls, batch_size, after, rank)
        sampler.load_state_dict(states[0])
        shards.append(sampler.indices().tolist())
    assert len({len(shard) for shard in shards}) == 1
    fed += chain(*shards)
    extra = len(fed) - len(stream)
    assert 0 <= extra < after * unit_of(cls, batch_size)
    assert sorted(fed) == sorted(stream + stream[:extra])


@both_sizes
def test_end_of_epoch_is_the_start_of_the_next(cls, batch_size):
    sampler = make(cls, batch_size)
    for _ in sampler:
        pass
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["consumed"]) == (1, 0)
    full = sampler.state_dict() | {"epoch": 0, "consumed": sampler.total_size}
    sampler.load_state_dict(full)
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["consumed"]) == (1, 0)


def test_set_epoch_is_absolute_and_keeps_the_place_of_its_own_epoch(cls):
    sampler = make(cls)
    sampler.set_epoch(4)
    sampler.set_epoch(4)
    rows = sampler.indices()
    sampler.advance(8)
    sampler.set_epoch(4)
    assert sampler.indices().equal(rows[8:])
    sampler.set_epoch(5)
    sampler.set_epoch(4)
    assert sampler.indices().equal(rows)
    iterator = iter(sampler)  # epoch and offset are read at the first next
    sampler.set_epoch(6)
    sampler.advance(8)
    other = make(cls)
    other.set_epoch(6)
    assert list(iterator) == other.indices()[8:].tolist()


def test_set_epoch_during_an_epoch_starts_afresh(cls):
    sampler = make(cls)
    iterator = iter(sampler)
    next(iterator)
    sampler.set_epoch(3)
    next(iterator)
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["consumed"]) == (3, 0)
    for bad in (-1, 1.5, True, None):
        with pytest.raises((TypeError, ValueError), match="epoch"):
            sampler.set_epoch(bad)


def test_state_of_other_data_or_settings_is_refused(cls):
    state = make(cls).state_dict()
    others = [
        make(cls, labels=LABELS.flip(0)),
        make(cls, labels=LABELS[:-1]),
        make(cls, labels=LABELS + 1),
        make(cls, batch_size=4),
        *(make(other) for other in CLASSES if other is not cls),
    ]
    for other in others:
        with pytest.raises(ValueError, match="labels, their order or the settings differ"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="version"):
        make(cls).load_state_dict(state | {"version": 2})


def test_a_damaged_state_is_refused(cls):
    state = make(cls).state_dict()
    with pytest.raises(ValueError, match="damaged"):
        make(cls).load_state_dict(state | {"consumed": 10**9})
    with pytest.raises(ValueError, match="lacks consumed"):
        make(cls).load_state_dict({key: value for key, value in state.items() if key != "consumed"})


def test_effective_prior_is_what_is_fed(cls):
    if not cls.exact_shares:
        pytest.skip("its shares hold in expectation")
    for labels in (LABELS, LABELS.repeat(1500)):  # within a block, and over several
        sampler = make(cls, labels=labels)
        for _ in range(2):
            prior = sampler.effective_prior
            assert prior.dtype == torch.float64
            fed = torch.bincount(labels[sampler.indices()], minlength=3).double()
            torch.testing.assert_close(prior, fed / fed.sum(), rtol=0, atol=1e-12)
            sampler.set_epoch(sampler.epoch + 1)


@pytest.mark.parametrize("batch_size", [3, 8, 50])
@pytest.mark.parametrize("world", [1, 3])
def test_every_batch_on_every_rank_holds_the_shares(cls, batch_size, world):
    if not cls.mixed_batches:
        pytest.skip("it promises no quota")
    labels = LABELS.repeat(10)
    for rank in range(world):
        sampler = make(cls, batch_size, world, rank, labels, drop_last=not cls.whole_batches)
        for _ in range(2):
            off = [
                torch.bincount(labels[rows], minlength=3) - sampler.effective_prior * batch_size
                for rows in sampler.indices().split(batch_size)
            ]
            assert torch.stack(off).abs().max() < (1e-9 if cls.whole_batches else 1 + batch_size / sampler._total * 1.5)
            sampler.set_epoch(sampler.epoch + 1)


def test_blocks_are_the_stream_in_any_order(cls):
    sampler = make(cls, labels=torch.arange(200_000) % 2)
    blocks = range(-(-sampler._total // sampler._block_rows))
    assert len(blocks) > 2
    backwards = [sampler._draw(1, block) for block in reversed(blocks)][::-1]
    sampler.set_epoch(1)
    assert torch.cat(backwards).equal(sampler.indices())
    assert torch.cat(backwards)[:100].equal(next(sampler.iter_indices())[:100])


def test_the_first_index_asks_for_one_block(cls):
    sampler, draws = make(cls, labels=torch.arange(200_000) % 2), []
    draw = sampler._draw
    sampler._draw = lambda epoch, block: draws.append((epoch, block)) or draw(epoch, block)
    first = next(iter(sampler))
    sampler.set_epoch(5)
    next(iter(sampler))
    sampler.advance(2 * sampler._block_rows + 8)
    next(iter(sampler))
    assert draws == [(0, 0), (5, 0), (5, 2)]
    assert first == make(cls, labels=torch.arange(200_000) % 2).indices()[0]


def test_memory_per_row_is_as_declared(cls):
    labels = torch.arange(100_000) % 1000
    sampler = make(cls, 1000, labels=labels)
    size = len(pickle.dumps(sampler))
    assert size < cls.bytes_per_row * len(labels) + 100 * 1000
    iterator = iter(sampler)
    rows = [next(iterator) for _ in range(1000)]
    copied = pickle.loads(pickle.dumps(sampler))
    assert len(pickle.dumps(sampler)) < size + 100
    assert len(rows) == 1000
    assert list(copied) == list(iterator)


def test_a_loader_that_takes_it_for_a_batch_sampler_says_so(cls):
    loader = DataLoader(TensorDataset(torch.arange(len(LABELS))), batch_sampler=make(cls))
    with pytest.raises(TypeError, match="as_batch_sampler"):
        next(iter(loader))


def test_label_kinds_agree(cls):
    expected = make(cls).indices()
    names = np.array(["a", "b", "c"])[LABELS.numpy()]
    kinds = [LABELS.tolist(), LABELS.numpy().astype(np.uint8), LABELS.int(), LABELS.repeat_interleave(2)[::2], names]
    for labels in [*kinds, names.tolist(), names.astype(object), TensorDataset(torch.zeros(len(LABELS)), LABELS)]:
        assert make(cls, labels=labels).indices().equal(expected)
    assert make(cls, labels=names).classes == ("a", "b", "c")
    assert make(cls, labels=LABELS > 0).classes == (False, True)
    assert make(cls, labels=LABELS * 7 - 5).classes == (-5, 2, 9)


@pytest.mark.parametrize("labels", [[0], [3] * 10, [0] * 10 + [1], ["x", "y"]])
def test_one_class_and_one_row_classes(cls, labels):
    sampler = make(cls, 4, labels=labels)
    rows = list(sampler)
    assert set(rows) <= set(range(len(labels)))
    assert {labels[row] for row in rows} == set(labels) or not cls.exact_shares
    assert len(rows) == len(sampler)
    assert float(sampler.effective_prior.sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ([], ValueError),
        (torch.tensor([]), ValueError),
        (torch.zeros(3, 2, dtype=torch.long), ValueError),
        (torch.tensor(1), ValueError),
        ([0.0, 1.0], TypeError),
        (torch.tensor([0.0, float("nan")]), TypeError),
        (np.array(["a", None], dtype=object), TypeError),
        (7, TypeError),
        (None, TypeError),
        (torch.zeros(3, dtype=torch.bfloat16), TypeError),
    ],
)
def test_bad_labels_are_refused(cls, labels, error):
    with pytest.raises(error, match="labels"):
        make(cls, labels=labels)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"drop_last": "no"},
        {"seed": -1},
        {"seed": None},
        {"rank": 0},
        {"num_replicas": 2},
        {"num_replicas": 2, "rank": 2},
        {"num_replicas": 2, "rank": -1},
    ],
)
def test_bad_arguments_are_refused(cls, kwargs):
    name = next(iter(kwargs))
    kwargs = {"num_replicas": None, "rank": None} | kwargs
    with pytest.raises((TypeError, ValueError), match=name):
        make(cls, **kwargs)


def test_global_randomness_is_neither_read_nor_written(cls):
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first = list(make(cls))
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert list(make(cls)) == first


def test_copies_go_on_alike(cls):
    sampler = make(cls, 8, 2, 1)
    sampler.set_epoch(2)
    sampler.advance(8)
    for twin in (pickle.loads(pickle.dumps(sampler)), copy.deepcopy(sampler)):
        assert plain(twin.state_dict()) == plain(sampler.state_dict())
        assert twin.indices().equal(sampler.indices())


@pytest.mark.parametrize("workers", [0, 2])
def test_dataloader_with_workers(cls, workers):
    kwargs = {"multiprocessing_context": "fork", "timeout": 60} if workers else {}
    loader = loader_of(make(cls), num_workers=workers, **kwargs)
    sampler = make(cls)
    for _ in range(2):
        rows = sampler.indices()
        assert batches_of(loader) == [chunk.tolist() for chunk in rows.split(8)]
        sampler.advance(len(rows))


def test_make_loader_equals_the_hand_written_loader(cls):
    dataset = TensorDataset(torch.arange(len(LABELS)))
    assert batches_of(make_loader(dataset, make(cls))) == batches_of(loader_of(make(cls)))
    if cls.whole_batches:
        return
    assert batches_of(make_loader(dataset, make(cls, None), batch_size=8)) == batches_of(loader_of(make(cls, None)))


def test_batch_sampler_form(cls):
    sampler = make(cls)
    batches = sampler.as_batch_sampler()
    expected = [chunk.tolist() for chunk in make(cls).indices().split(8)]
    assert isinstance(batches, BatchSampler)
    assert batches.sampler is sampler
    assert len(batches) == len(expected)
    assert list(batches) == expected
    sampler.set_epoch(0)
    assert batches_of(loader_of(None, 1, batch_sampler=batches)) == expected
    if not cls.whole_batches:
        with pytest.raises(ValueError, match="batch_size"):
            make(cls, None).as_batch_sampler()


def test_batch_sampler_survives_being_rebuilt_and_copied(cls):
    batches = make(cls).as_batch_sampler()
    expected = [chunk.tolist() for chunk in batches.sampler.indices().split(8)]
    foreign = DistributedSampler(range(len(LABELS)), num_replicas=2, rank=0)
    rebuilt = type(batches)(foreign, batch_size=8, drop_last=False)
    assert rebuilt.sampler is batches.sampler
    for twin in (pickle.loads(pickle.dumps(batches)), copy.deepcopy(batches)):
        assert list(twin) == expected
    assert list(rebuilt) == expected
    with pytest.raises(ValueError, match="batch_size"):
        type(batches)(foreign, batch_size=16, drop_last=False)


def test_description_counts_what_is_fed(cls):
    sampler = make(cls)
    said = sampler.describe(num_epochs=2)
    epochs = []
    twin = make(cls)
    for _ in range(2):
        epochs.append(list(twin))
    rows = list(chain(*epochs))
    assert said.rows_per_epoch == len(sampler)
    assert said.duplicates == len(rows) - len(set(rows))
    for label, share in said.coverage.items():
        members = set((label == LABELS).nonzero().flatten().tolist())
        assert share == pytest.approx(len(members & set(rows)) / len(members))
    minority = [int((LABELS[epoch[i : i + 8]] > 0).sum()) for epoch in epochs for i in range(0, len(epoch), 8)]
    assert said.minority_rows_per_batch == pytest.approx(sum(minority) / len(minority))
    assert (said.batches, said.batches_without_minority) == (len(minority), minority.count(0))
    assert "minority rows per batch" in str(said)
    assert sampler.epoch == 0
    if not cls.whole_batches:
        assert make(cls, None).describe().batches is None
        assert "batch" not in str(make(cls, None).describe())
