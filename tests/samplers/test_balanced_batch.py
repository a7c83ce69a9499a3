import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import BalancedBatchSampler, make_loader

LABELS = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
BINARY = (LABELS > 0).long()


def batches(sampler, labels=LABELS):
    return [
        torch.bincount(labels[rows], minlength=int(labels.max()) + 1).tolist()
        for rows in sampler.indices().split(sampler.batch_size)
    ]


@pytest.mark.parametrize(
    ("batch_size", "kwargs", "expected"),
    [
        (30, {}, [10, 10, 10]),
        (30, {"per_class": 10}, [10, 10, 10]),
        (16, {"per_class": {0: 12, 1: 3, 2: 1}}, [12, 3, 1]),
        (16, {"per_class": {2: 1, 1: 3, 0: 12}}, [12, 3, 1]),
    ],
)
@pytest.mark.parametrize("num_samples", [None, 1, 333])
def test_every_batch_is_exact(batch_size, kwargs, expected, num_samples):
    sampler = BalancedBatchSampler(LABELS, batch_size, num_samples=num_samples, **kwargs)
    for _ in range(3):
        got = batches(sampler)
        assert got == [expected] * -(-(num_samples or 1000) // batch_size)
        sampler.set_epoch(sampler.epoch + 1)


@pytest.mark.parametrize(("fraction", "positives"), [(0.25, 8), (0.5, 16), (0.1, 3), (0.9, 29), (1 / 64 + 0.001, 1)])
def test_positive_fraction_is_rounded_to_rows(fraction, positives):
    sampler = BalancedBatchSampler(BINARY, 32, positive_fraction=fraction)
    assert batches(sampler, BINARY) == [[32 - positives, positives]] * 32
    assert sampler.effective_prior.tolist() == [1 - positives / 32, positives / 32]


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("drop_last", [False, True])
def test_every_batch_on_every_rank_is_whole(world, drop_last):
    stream = BalancedBatchSampler(LABELS, 30).indices().split(30)  # 34 batches
    ranks = [
        BalancedBatchSampler(LABELS, 30, num_replicas=world, rank=rank, drop_last=drop_last) for rank in range(world)
    ]
    steps = 34 // world if drop_last else -(-34 // world)
    assert [len(sampler) for sampler in ranks] == [30 * steps] * world
    assert all(batches(sampler) == [[10, 10, 10]] * steps for sampler in ranks)
    dealt = [rows for step in zip(*(sampler.indices().split(30) for sampler in ranks), strict=True) for rows in step]
    filled = [*stream, *stream][: steps * world]  # the last step is filled up from the beginning
    assert torch.cat(dealt).equal(torch.cat(filled))


def test_a_class_is_one_deck_over_all_ranks_and_epochs():
    ranks = [BalancedBatchSampler(LABELS, 30, num_samples=900, num_replicas=3, rank=rank) for rank in range(3)]
    stream = []
    for epoch in range(3):
        shards = [sampler.indices().split(30) for sampler in ranks]
        stream += [rows for step in zip(*shards, strict=True) for rows in step]
        for sampler in ranks:
            sampler.set_epoch(epoch + 1)
    rows = torch.cat(stream)
    majority = rows[LABELS[rows] == 0]
    assert majority.sort().values.equal(torch.arange(900))
    for label, size in ((1, 90), (2, 10)):
        passes = rows[LABELS[rows] == label].view(-1, size).sort(1).values
        assert (passes == (LABELS == label).nonzero().view(1, -1)).all()


def test_resume_and_more_ranks_keep_batches_whole():
    sampler = BalancedBatchSampler(LABELS, 30, num_replicas=2, rank=0)
    sampler.advance(90)
    for rank in range(3):
        restored = BalancedBatchSampler(LABELS, 30, num_replicas=3, rank=rank)
        restored.load_state_dict(sampler.state_dict())
        assert batches(restored) == [[10, 10, 10]] * 10  # 28 batches left


def test_in_a_loader():
    sampler = BalancedBatchSampler(LABELS, 30)
    loaders = [
        DataLoader(TensorDataset(LABELS), 30, sampler=sampler),
        make_loader(TensorDataset(LABELS), sampler),
        DataLoader(TensorDataset(LABELS), batch_sampler=sampler.as_batch_sampler()),
    ]
    for loader in loaders:
        assert len(loader) == 34
        assert all(torch.bincount(batch).tolist() == [10, 10, 10] for (batch,) in loader)


@pytest.mark.parametrize("workers", [0, 1])
def test_as_batch_sampler_argument_it_is_refused(workers):
    loader = DataLoader(TensorDataset(LABELS), batch_sampler=BalancedBatchSampler(LABELS, 30), num_workers=workers)
    with pytest.raises(TypeError, match="Pass `sampler=` and the same `batch_size`"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("labels", "batch_size", "kwargs", "error", "match"),
    [
        (LABELS, 32, {}, ValueError, "multiple of the 3 classes"),
        (LABELS, 32, {"per_class": 10}, ValueError, "add up to batch_size=32, got 30"),
        (LABELS, 32, {"per_class": {0: 20, 1: 11, 2: 2}}, ValueError, "add up"),
        (LABELS, 32, {"per_class": {0: 20, 1: 12}}, ValueError, "must name the classes"),
        (LABELS, 32, {"per_class": {0: 20, 1: 12, 2: 0}}, ValueError, r"per_class\[2\]"),
        (LABELS, 32, {"per_class": {0: 20.0, 1: 10, 2: 2}}, TypeError, r"per_class\[0\]"),
        (LABELS, 30, {"per_class": "10"}, TypeError, "per_class"),
        (LABELS, 30, {"per_class": 10, "positive_fraction": 0.5}, ValueError, "per_class.*positive_fraction"),
        (LABELS, 30, {"positive_fraction": 0.5}, ValueError, "two classes"),
        (BINARY, 30, {"positive_fraction": 0.001}, ValueError, "makes 0 positives"),
        (BINARY, 30, {"positive_fraction": 0.999}, ValueError, "makes 30 positives"),
        (BINARY, 30, {"positive_fraction": 0}, ValueError, "positive_fraction"),
        (BINARY, 30, {"positive_fraction": float("nan")}, ValueError, "positive_fraction"),
        (BINARY, 30, {"positive_fraction": "0.5"}, TypeError, "positive_fraction"),
        (BINARY, None, {}, TypeError, "batch_size"),
        (BINARY, 30, {"num_samples": 0}, ValueError, "num_samples"),
    ],
)
def test_bad_arguments(labels, batch_size, kwargs, error, match):
    with pytest.raises(error, match=match):
        BalancedBatchSampler(labels, batch_size, **kwargs)
