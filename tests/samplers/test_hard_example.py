import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import multiprocessing
from torch.utils.data import TensorDataset

from imbalance_torch.samplers import HardExampleSampler, make_loader

LABELS = torch.tensor([0] * 300 + [1] * 60)
LOSSES = torch.rand(360, generator=torch.Generator().manual_seed(0))


def informed(**kwargs):
    sampler = HardExampleSampler(LABELS, **kwargs)
    sampler.update(torch.arange(360), LOSSES)
    return sampler


def counts(sampler, epochs):
    return torch.stack([torch.bincount(sampler._draw(e, 0), minlength=360) for e in range(epochs)]).double()


@pytest.mark.parametrize(("alpha", "pressure"), [(0.5, 100.0), (1.0, 10.0), (0.2, 1e6)])
def test_rows_come_as_often_as_stated(alpha, pressure):
    sampler = informed(alpha=alpha, pressure=pressure)
    mean = counts(sampler, 1500).mean(0)
    for label, size in enumerate((300, 60)):
        members = (label == LABELS).nonzero().flatten()
        ranked = members[LOSSES[members].argsort(descending=True)]
        depth = torch.arange(size + 1).double() / size
        by_loss = -(pressure**-depth).diff() / (1 - 1 / pressure)  # what s^-k/n over its sum amounts to
        weights = pressure ** -depth[:-1]
        torch.testing.assert_close(by_loss, weights / weights.sum())
        expected = (1 - alpha) + alpha * size * by_loss
        torch.testing.assert_close(mean[ranked], expected, atol=0.08, rtol=0)
        cap = 1 - alpha + alpha * math.log(pressure) / (1 - 1 / pressure)
        assert expected.max() <= cap
        assert mean[members].max() < cap + 0.08


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_class_shares_are_exact_whatever_the_losses(power):
    sampler = informed(power=power, num_samples=400)
    wanted = torch.tensor([300.0, 60.0]) ** power
    for epoch in range(3):
        fed = torch.bincount(LABELS[sampler._draw(epoch, 0)])
        assert (fed - wanted / wanted.sum() * 400).abs().max() < 1
        torch.testing.assert_close(sampler.effective_prior, fed / 400.0, check_dtype=False)
        sampler.update(torch.arange(360), LABELS * 100.0)


def test_without_alpha_each_class_is_a_deck():
    sampler = informed(alpha=0, power=0.0, num_samples=200)
    rows = torch.cat([sampler._draw(epoch, 0) for epoch in range(9)])
    for label, size in enumerate((300, 60)):
        deck = rows[LABELS[rows] == label]
        for part in deck.sort().values.new_tensor(deck.tolist())[: len(deck) // size * size].split(size):
            assert len(part) == size
    times = torch.bincount(rows, minlength=360)
    assert times[:300].tolist() == [3] * 300
    assert times[300:].tolist() == [15] * 60


def test_no_row_is_ever_left_out():
    sampler = informed(alpha=0.75, pressure=1e9)
    assert counts(sampler, 4).sum(0).min() >= 1  # a quarter of each class goes through its deck


def test_only_the_order_of_the_losses_counts():
    stream = informed().indices()
    for transform in (torch.exp, lambda loss: loss - 5, lambda loss: torch.where(loss > 0.99, loss * 1e30, loss)):
        sampler = HardExampleSampler(LABELS)
        sampler.update(range(360), transform(LOSSES))
        assert sampler.indices().equal(stream)


def test_losses_count_from_the_next_epoch_on():
    whole = HardExampleSampler(LABELS, batch_size=8).indices()
    sampler, seen = HardExampleSampler(LABELS, batch_size=8), []
    for batch in sampler.as_batch_sampler():
        seen += batch
        sampler.update(batch, LOSSES[batch])
    assert seen == whole.tolist()
    untold = HardExampleSampler(LABELS, batch_size=8)
    untold.set_epoch(1)
    assert sampler.epoch == 1
    assert not sampler.indices().equal(untold.indices())
    twin = HardExampleSampler(LABELS, batch_size=8)
    twin.update(seen[:200], LOSSES[seen[:200]])  # the same losses in other portions
    first = torch.tensor(seen[200:])
    for part in first.split(1):
        twin.update(part, LOSSES[part])
    twin.set_epoch(1)
    torch.testing.assert_close(twin._losses, sampler._losses, equal_nan=True)
    assert twin.indices().equal(sampler.indices())


def test_losses_given_before_the_first_draw_count_at_once():
    assert not informed().indices().equal(HardExampleSampler(LABELS).indices())


@pytest.mark.parametrize("stop", [1, 17, 44, 45])
@pytest.mark.parametrize("after", [1, 3])
def test_resume_is_exact_with_losses_on_the_way(stop, after):
    def loss_of(batch, epoch):
        return LOSSES[batch] + 0.1 * torch.as_tensor(batch).double().cos().float() * epoch

    def train(sampler, stop=None):
        seen = []
        for batch in sampler.as_batch_sampler():
            seen.append(batch)
            sampler.update(batch, loss_of(batch, sampler.epoch))
            if len(seen) == stop:
                break
        return seen

    straight = HardExampleSampler(LABELS, batch_size=8)
    expected = [train(straight) for _ in range(4)]
    sampler = HardExampleSampler(LABELS, batch_size=8)
    assert train(sampler) == expected[0]
    assert train(sampler, stop) == expected[1][:stop]
    state = copy.deepcopy(sampler.state_dict())
    sampler.update([0], [9.0])  # what comes later must not reach into the state
    restored = HardExampleSampler(LABELS, batch_size=8, seed=3)
    restored.load_state_dict(pickle.loads(pickle.dumps(state)))
    if stop < 45:
        assert train(restored) == expected[1][stop:]
    assert [train(restored) for _ in range(2)] == expected[2:]
    elastic = HardExampleSampler(LABELS, batch_size=8, num_replicas=after, rank=0)
    elastic.load_state_dict(state)
    if stop < 45:
        assert elastic.indices()[:3].tolist() == expected[1][stop][:3]  # the last batch is shared by three ranks


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_resumes_exactly(workers):
    kwargs = {"num_workers": workers} | ({"multiprocessing_context": "fork", "timeout": 60} if workers else {})

    def build():
        return make_loader(TensorDataset(torch.arange(360)), HardExampleSampler(LABELS, batch_size=8), **kwargs)

    def train(loader, stop=None):
        seen = []
        for (batch,) in loader:
            seen.append(batch.tolist())
            loader.sampler.update(batch, LOSSES[batch])
            if len(seen) == stop:
                break
        return seen

    straight = build()
    expected = [train(straight) for _ in range(3)]
    loader = build()
    assert train(loader) == expected[0]
    assert train(loader, 20) == expected[1][:20]
    restored = build()
    restored.load_state_dict(pickle.loads(pickle.dumps(loader.state_dict())))
    assert train(restored) == expected[1][20:]
    assert train(restored) == expected[2]


def test_the_state_is_compact_tensors():
    state = informed().state_dict()
    assert state["losses"].dtype == state["first_losses"].dtype == torch.float32
    assert len(pickle.dumps(state)) < 360 * 8 + 2000


def test_describing_epochs_ahead_does_not_settle_them():
    sampler, twin = informed(batch_size=8), informed(batch_size=8)
    for one in (sampler, twin):
        one.advance(len(one.indices()[:80]))
    sampler.describe(num_epochs=3)
    for one in (sampler, twin):
        one.update(torch.arange(360), 1 - LOSSES)
    assert sampler.indices().equal(twin.indices())
    assert sampler.describe(num_epochs=2) == twin.describe(num_epochs=2)
    for one in (sampler, twin):
        one.set_epoch(1)
    assert sampler.indices().equal(twin.indices())


def test_losses_are_smoothed_and_repeated_rows_averaged():
    sampler = HardExampleSampler(LABELS, smoothing=0.75)
    sampler.update(np.array([5, 7, 5]), torch.tensor([1.0, 2.0, 3.0]))
    assert sampler._losses[[5, 7]].tolist() == [2.0, 2.0]
    sampler.update([5], [6.0])
    assert sampler._losses[5] == 3.0
    assert int(sampler._losses.isnan().sum()) == 358
    sampler.update([], [])
    sampler.update(torch.tensor([], dtype=torch.long), torch.tensor([]))
    order = torch.tensor([3, 3, 3, 9])
    one, other = HardExampleSampler(LABELS), HardExampleSampler(LABELS)
    one.update(order, torch.tensor([1.0, 2.0, 6.0, 0.0]))
    other.update(order.flip(0), torch.tensor([1.0, 2.0, 6.0, 0.0]).flip(0))
    torch.testing.assert_close(one._losses, other._losses, equal_nan=True)


def test_rows_without_a_loss_rank_with_the_mean_of_their_class():
    sampler = HardExampleSampler(LABELS)
    sampler.update([0, 1, 2, 300], [1.0, 5.0, 3.5, 100.0])  # mean 3.17 in class 0
    ranked = sampler._ranked(0).tolist()
    assert ranked[:2] == [1, 2]
    assert ranked[299] == 0
    assert ranked[2:20] != sorted(ranked[2:20])
    assert sorted(ranked[:300]) == list(range(300))


def test_equal_losses_favour_no_row():
    times = counts(HardExampleSampler(LABELS), 600).mean(0)
    assert (times - 1).abs().max() < 0.35
    assert abs(float(times[:150].mean() - 1)) < 0.02


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_losses_that_are_not_finite_are_refused_with_their_row(bad):
    sampler = HardExampleSampler(LABELS)
    with pytest.raises(ValueError, match="for row 42"):
        sampler.update([7, 42], torch.tensor([1.0, bad]))
    assert sampler._losses.isnan().all()


@pytest.mark.parametrize(
    ("index", "loss", "error"),
    [
        ([360], [1.0], ValueError),
        ([-1], [1.0], ValueError),
        ([1, 2], [1.0], ValueError),
        ([1.0], [1.0], TypeError),
        ([True], [1.0], TypeError),
        (3, 1.0, ValueError),
        ([3], torch.ones(1, 1), ValueError),
    ],
)
def test_bad_updates(index, loss, error):
    with pytest.raises(error, match="index"):
        HardExampleSampler(LABELS).update(index, loss)


def test_losses_on_the_device_of_the_model(device):
    sampler = HardExampleSampler(LABELS)
    loss = torch.tensor([1.0, 2.0], device=device, requires_grad=True)
    sampler.update(torch.tensor([3, 4], device=device), loss)
    sampler.update(torch.tensor([3, 4], device=device), loss.half())
    assert sampler._losses[[3, 4]].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"alpha": -0.1}, ValueError),
        ({"alpha": 1.1}, ValueError),
        ({"pressure": 1}, ValueError),
        ({"pressure": float("inf")}, ValueError),
        ({"smoothing": 1}, ValueError),
        ({"smoothing": -0.5}, ValueError),
        ({"power": 2}, ValueError),
        ({"num_samples": 1}, ValueError),
        ({"alpha": "0.5"}, TypeError),
    ],
)
def test_bad_arguments(kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        HardExampleSampler(LABELS, **kwargs)


def exchange(rank, store, results):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    sampler = HardExampleSampler(LABELS, batch_size=8)
    seen = []
    for batch in sampler.as_batch_sampler():
        seen.append(batch)
        sampler.update(batch, LOSSES[batch], process_group=torch.distributed.group.WORLD)
    results[rank] = (seen, sampler._losses.tolist(), sampler.indices().tolist())
    torch.distributed.destroy_process_group()


@pytest.mark.ddp
@pytest.mark.slow
def test_ranks_agree_when_they_exchange_their_losses(tmp_path):
    results = multiprocessing.get_context("spawn").Manager().dict()
    multiprocessing.spawn(exchange, (str(tmp_path / "store"), results), nprocs=2)
    alone = HardExampleSampler(LABELS, batch_size=8)
    for batch in alone.as_batch_sampler():
        alone.update(batch, LOSSES[batch])
    (first, losses, rows), (second, others, other_rows) = results[0], results[1]
    assert str(losses) == str(others)
    seen = {row for batch in first + second for row in batch}
    assert {i for i, loss in enumerate(losses) if loss == loss} == seen  # NaN: not fed yet
    stream = [row for pair in zip(first, second, strict=True) for batch in pair for row in batch]
    assert sorted(stream)[: len(alone)] != stream
    next_epoch = [row for i in range(0, len(rows), 8) for part in (rows, other_rows) for row in part[i : i + 8]]
    assert next_epoch[:352] == alone.indices().tolist()[:352]


def test_looking_ahead_does_not_settle_the_losses():
    labels = torch.arange(200) % 2
    looked, plain = (HardExampleSampler(labels, batch_size=10) for _ in range(2))
    for sampler in (looked, plain):
        list(sampler)
    looked.describe(), looked.indices()
    for sampler in (looked, plain):
        sampler.update(torch.arange(200), torch.arange(200.0))
    assert list(looked) == list(plain)


@pytest.mark.parametrize("steps", [1, 19, 20, 21, 39, 40])
def test_a_state_saved_before_the_update_of_its_batch_resumes_exactly(steps):
    labels = torch.arange(200) % 2
    loss = torch.rand(200, generator=torch.Generator().manual_seed(0))

    def run(sampler, number, update_last=True):
        seen = []
        while len(seen) < number:
            for batch in sampler.as_batch_sampler():
                seen.append(batch)
                if len(seen) < number or update_last:
                    sampler.update(batch, loss[batch])
                if len(seen) == number:
                    break
        return seen

    whole = run(HardExampleSampler(labels, batch_size=10), 60)
    first = HardExampleSampler(labels, batch_size=10)
    head = run(first, steps, update_last=False)
    again = HardExampleSampler(labels, batch_size=10)
    again.load_state_dict(first.state_dict())
    again.update(head[-1], loss[head[-1]])
    assert head + run(again, 60 - steps) == whole
