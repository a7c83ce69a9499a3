import contextlib
import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from imbalance_torch.samplers import BalancedDataLoader, ClassBalancedSampler, make_loader
from tests.contracts import test_sampler_contract as contract

Y = torch.tensor([0] * 9 + [1])
DATA = TensorDataset(torch.arange(10), Y)
LABELS = torch.tensor([0] * 70 + [1] * 13)
ROWS = TensorDataset(torch.arange(len(LABELS)), LABELS)
WORKERS = [
    {},
    {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60},
    {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60, "persistent_workers": True},
]
any_workers = pytest.mark.parametrize("workers", WORKERS, ids=["alone", "workers", "persistent"])


def build(world=1, rank=0, batch_size=8, seed=0, workers=None, **kwargs):
    sampler = ClassBalancedSampler(LABELS, batch_size=batch_size, seed=seed, num_replicas=world, rank=rank)
    return make_loader(ROWS, sampler, **(workers or {}), **kwargs)


def batches(loader, steps=None):
    """Return the rows of the next ``steps`` batches, and leave the loop."""
    seen = []
    for batch, _ in loader if steps != 0 else ():
        seen.append(batch.tolist())
        if len(seen) == steps:
            break
    return seen


def epochs(count, world=1, rank=0):
    sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=world, rank=rank)
    result = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        result.append([part.tolist() for part in sampler.indices().split(8)])
    return result


@any_workers
def test_a_plain_loop_goes_through_the_epochs(workers):
    loader = build(workers=workers)
    expected = epochs(3)
    assert [batches(loader) for _ in range(3)] == expected
    assert len(loader) == len(expected[0]) == 11
    assert loader.sampler.epoch == 3


@any_workers
def test_a_loop_left_early_goes_on_with_the_first_batch_not_handed_out(workers):
    loader = build(workers=workers)
    first, second = epochs(2)
    seen = batches(loader, 1) + batches(loader, 4)
    assert loader.state_dict()["consumed"] == 40
    assert seen + batches(loader) == first
    assert batches(loader, 2) == second[:2]


@any_workers
@pytest.mark.parametrize("steps", [0, 1, 6, 10, 11])
def test_resume_is_exact(workers, steps):
    first, second = epochs(2)
    loader = build(workers=workers)
    assert batches(loader, steps) == first[:steps]
    state = copy.deepcopy(loader.state_dict())
    assert state["epoch"] == (steps == 11)
    assert len(pickle.dumps(state)) < 1000
    restored = build(workers=workers, seed=9)  # the state brings its seed
    restored.load_state_dict(state)
    assert restored.state_dict() == state
    if steps < 11:
        assert batches(restored) == first[steps:]
    assert batches(restored) == second


def test_three_resumes_with_changing_workers():
    seen, state = [], None
    for workers, steps in zip([*WORKERS, WORKERS[0]], [3, 4, 1, None], strict=True):
        loader = build(workers=workers)
        if state:
            loader.load_state_dict(state)
        seen += batches(loader, steps)
        state = loader.state_dict()
    assert seen == epochs(1)[0]
    assert (state["epoch"], state["consumed"]) == (1, 0)


@pytest.mark.parametrize(
    ("workers", "before", "after"),
    [*((WORKERS[0], *worlds) for worlds in [(2, 1), (1, 2), (2, 3), (3, 2)]), (WORKERS[1], 2, 1), (WORKERS[2], 1, 2)],
)
def test_the_number_of_ranks_may_change(workers, before, after):
    old = [build(before, rank, workers=workers) for rank in range(before)]
    fed = [row for loader in old for batch in batches(loader, 2) for row in batch]
    state, *others = [loader.state_dict() for loader in old]
    assert all(other == state for other in others)
    lengths = set()
    for rank in range(after):
        loader = build(after, rank, workers=workers)
        loader.load_state_dict(state)
        rest = batches(loader)
        lengths.add(len(rest))
        fed += [row for batch in rest for row in batch]
        assert batches(loader) == epochs(2, after, rank)[1]
    assert len(lengths) == 1
    stream = [row for batch in epochs(1)[0] for row in batch]
    extra = len(fed) - len(stream)
    assert 0 <= extra < after
    assert sorted(fed) == sorted(stream + stream[:extra])


@any_workers
def test_the_epoch_is_read_with_the_first_batch(workers):
    expected = epochs(4)
    loader = build(workers=workers)
    iterator = iter(loader)
    loader.sampler.set_epoch(3)
    assert [rows.tolist() for rows, _ in iterator] == expected[3]
    loader.sampler.set_epoch(1)
    loader.sampler.set_epoch(1)
    assert batches(loader) == expected[1]


@any_workers
def test_set_epoch_in_a_loop_counts_from_the_next_one(workers):
    expected = epochs(4)
    loader = build(workers=workers)
    seen = []
    for step, (rows, _) in enumerate(loader):
        seen.append(rows.tolist())
        if step == 2:
            loader.sampler.set_epoch(2)
    assert seen == expected[0]
    assert (loader.sampler.epoch, loader.state_dict()["consumed"]) == (2, 0)
    assert batches(loader) == expected[2]


@any_workers
def test_a_loader_restored_in_a_loop_starts_the_next_one_there(workers):
    first, second = epochs(2)
    loader = build(workers=workers)
    batches(loader, 5)
    state = loader.state_dict()
    loop = iter(loader)
    next(loop)
    loader.load_state_dict(state)
    next(loop)  # the loop left behind no longer counts
    assert loader.state_dict() == state
    assert batches(loader) == first[5:]
    assert batches(loader) == second


def test_a_restored_loader_does_not_go_back_to_an_earlier_epoch():
    expected = epochs(6)
    loader = build()
    loader.sampler.set_epoch(3)
    batches(loader, 2)
    restored = build()
    restored.load_state_dict(loader.state_dict())
    for count, rest in enumerate([expected[3][2:], expected[4]]):
        restored.sampler.set_epoch(count)
        assert batches(restored) == rest
    restored.sampler.set_epoch(2)
    assert batches(restored, 3) == expected[5][:3]
    restored.sampler.set_epoch(5)
    assert batches(restored) == expected[5][3:]
    loader.sampler.set_epoch(0)  # one that was not restored does
    assert batches(loader) == expected[0]


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_has_its_own_batches(rank):
    loader = build(2, rank)
    assert [batches(loader), batches(loader)] == epochs(2, 2, rank)


@pytest.mark.parametrize("size", [1, 3, 7, 83, 100])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_sampler_without_a_batch_size(size, drop_last):
    def fresh():
        return make_loader(ROWS, ClassBalancedSampler(LABELS), batch_size=size, drop_last=drop_last)

    whole = [list(part) for part in torch.utils.data.BatchSampler(ClassBalancedSampler(LABELS), size, drop_last)]
    loader = fresh()
    assert len(loader) == len(whole)
    assert batches(loader) == whole
    assert loader.state_dict()["epoch"] == 1
    for steps in {1, len(whole) - 1, len(whole)} & set(range(1, len(whole) + 1)):
        loader, restored = fresh(), fresh()
        assert batches(loader, steps) == whole[:steps]
        restored.load_state_dict(loader.state_dict())
        if steps < len(whole):
            assert batches(restored) == whole[steps:]
        assert restored.sampler.epoch == 1


def test_the_batch_size_may_change_on_resume():
    loader = make_loader(ROWS, ClassBalancedSampler(LABELS), batch_size=10)
    batches(loader, 8)
    restored = make_loader(ROWS, ClassBalancedSampler(LABELS), batch_size=5, drop_last=True)
    restored.load_state_dict(loader.state_dict())
    assert batches(restored) == []  # three rows are left, less than a batch
    assert len(batches(restored)) == 16


@pytest.mark.parametrize("cls", contract.CLASSES)
def test_every_sampler_resumes_exactly(cls):
    dataset = TensorDataset(torch.arange(len(contract.LABELS)), contract.LABELS)
    loader = make_loader(dataset, contract.make(cls), **WORKERS[1])
    whole = [part.tolist() for part in contract.make(cls).indices().split(8)]
    assert batches(loader, 2) == whole[:2]
    restored = make_loader(dataset, contract.make(cls, seed=4))
    restored.load_state_dict(loader.state_dict())
    assert batches(restored, 3) + batches(restored) == whole[2:]
    following = contract.make(cls)
    following.set_epoch(1)
    assert batches(restored) == [part.tolist() for part in following.indices().split(8)]


def test_single_samples():
    loader = make_loader(ROWS, ClassBalancedSampler(LABELS), batch_size=None)
    rows = list(ClassBalancedSampler(LABELS))
    assert [int(row) for row, _ in loader] == rows
    assert loader.sampler.epoch == 1


class Failing(Dataset):
    def __init__(self):
        self.broken = True

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, row):
        if self.broken:
            raise OSError("no such file")
        return row, 0


def test_a_batch_that_fails_is_not_lost():
    loader = make_loader(Failing(), ClassBalancedSampler(LABELS, batch_size=8))
    with pytest.raises(OSError, match="no such file"):
        batches(loader)
    loader.dataset.broken = False
    assert batches(loader) == epochs(1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_workers_that_are_not_forked(context):
    loader = build(workers={"num_workers": 2, "multiprocessing_context": context, "timeout": 60})
    first = epochs(1)[0]
    assert batches(loader, 3) == first[:3]
    restored = build()
    restored.load_state_dict(loader.state_dict())
    assert batches(restored) == first[3:]


@pytest.mark.parametrize(
    ("context", "backend", "warns"),
    [("fork", "gloo", True), ("fork", "nccl", False), ("spawn", "gloo", False), ("forkserver", "gloo", False)],
)
def test_forks_beside_gloo_are_warned_of(monkeypatch, context, backend, warns):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: backend)
    monkeypatch.setattr(DataLoader, "__iter__", lambda self: iter([]))
    loader = build(workers={"num_workers": 2, "multiprocessing_context": context})
    with pytest.warns(UserWarning, match="forkserver") if warns else contextlib.nullcontext():
        list(loader)
    list(build())


@any_workers
def test_copies_go_on_alike(workers):
    loader = build(workers=workers)
    batches(loader, 4)
    for twin in (pickle.loads(pickle.dumps(build())), copy.deepcopy(build())):
        twin.load_state_dict(loader.state_dict())
        assert batches(twin) == epochs(1)[0][4:]


def test_global_randomness_of_the_order_is_not_read():
    torch.manual_seed(1)
    first = batches(build())
    torch.manual_seed(2)
    assert batches(build()) == first


def test_state_of_other_data_is_refused():
    other = make_loader(DATA, ClassBalancedSampler(Y, batch_size=8))
    with pytest.raises(ValueError, match="labels, their order or the settings differ"):
        build().load_state_dict(other.state_dict())


def test_the_sampler_sets_the_batch_size():
    loader = make_loader(DATA, ClassBalancedSampler(Y, batch_size=4, drop_last=True), pin_memory=False)
    assert isinstance(loader, BalancedDataLoader)
    assert [y.sum().item() for _, y in loader] == [2, 2]
    assert (loader.batch_size, loader.drop_last, len(loader)) == (4, True, 2)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"shuffle": True},
        {"batch_size": 5},
        {"batch_size": None},
        {"batch_sampler": [[0]]},
        {"in_order": False},
    ],
)
def test_contradictions_are_refused(kwargs):
    with pytest.raises(ValueError, match=f"`{next(iter(kwargs))}` is settled by the sampler"):
        make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), **kwargs)


def test_a_loader_that_drops_what_the_sampler_keeps_is_refused():
    with pytest.raises(ValueError, match="drop_last"):
        make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), drop_last=True)


def test_agreement_is_accepted():
    loader = make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), batch_size=4, shuffle=False, drop_last=False)
    assert len(list(loader)) == 3


@pytest.mark.parametrize("sampler", [RandomSampler(DATA), SequentialSampler(DATA), None])
def test_another_sampler_is_refused(sampler):
    with pytest.raises(TypeError, match="build a plain DataLoader"):
        BalancedDataLoader(DATA, sampler)


def test_another_dataset_is_refused():
    with pytest.raises(ValueError, match="9 labels"):
        make_loader(DATA, ClassBalancedSampler(Y[1:]))


def test_a_plain_loader_gives_the_same_batches():
    plain = DataLoader(ROWS, batch_size=8, sampler=ClassBalancedSampler(LABELS, batch_size=8))
    assert batches(build()) == batches(plain)


def test_a_stream_is_refused_by_name():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(TypeError, match="BalancedIterableDataset"):
        BalancedDataLoader(Stream(), ClassBalancedSampler([0, 1]))
