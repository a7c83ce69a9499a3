import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.samplers import ClassBalancedSampler, SquareRootSampler
from imbalance_torch.samplers._mixing import Mixing


@given(
    quotas=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    batch=st.integers(1, 30),
    per_block=st.integers(1, 7),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_blocks_batches_and_counts_agree(quotas, batch, per_block):
    quotas, block_rows = np.array(quotas), batch * per_block
    total = int(quotas.sum())
    mixing = Mixing(quotas, batch, block_rows)
    before, batches = np.zeros(len(quotas), dtype=np.int64), []
    for block in range(-(-total // block_rows)):
        assert np.array_equal(mixing.before(block), before)
        classes = mixing.classes(block, key=block)
        assert len(classes) == min(block_rows, total - block * block_rows)
        got = np.bincount(classes, minlength=len(quotas))
        assert np.array_equal(mixing.numbers(block), got)
        before += got
        batches += [
            np.bincount(part, minlength=len(quotas)) for part in np.split(classes, range(batch, len(classes), batch))
        ]
    assert np.array_equal(before, quotas)
    tail = batches.pop() if total % batch else np.zeros_like(quotas)
    full = quotas - tail
    for counts in batches:
        assert (counts >= full // len(batches)).all()
        assert (counts <= -(-full // len(batches))).all()
    for block in range(
        total // block_rows
    ):  # a block of many batches is as even as one batch, not as uneven as all of them
        assert (abs(mixing.numbers(block) - full * block_rows / (total - total % batch)) < 3).all()
    assert (abs(tail - quotas * (total % batch) / total) < 1 + 1e-9).all()


@pytest.mark.parametrize("batch_size", [2, 280, 1000, 70_000])
def test_rows_within_a_batch_are_in_random_order(batch_size):
    labels = torch.arange(140_000) % 2
    stream = labels[ClassBalancedSampler(labels, batch_size=batch_size).indices()].view(-1, batch_size)
    assert (stream.sum(1) == batch_size // 2).all()
    first = stream[:, : batch_size // 2].double()  # hypergeometric
    expected, variance = batch_size / 4, batch_size / 16 * batch_size / (batch_size - 1)
    off = (first.sum(1) - expected).mean() / (variance / len(stream)) ** 0.5
    assert abs(float(off)) < 3.9  # significance 1e-4
    switches = (stream[:, 1:] != stream[:, :-1]).double().mean()
    assert float(switches) == pytest.approx(batch_size / 2 / (batch_size - 1), abs=3.9 * 0.5 / 140_000**0.5 * 1.5)


@pytest.mark.parametrize("sampler", [ClassBalancedSampler, SquareRootSampler])
def test_any_two_small_classes_meet_in_a_batch(sampler):
    rows = sampler(torch.arange(100), batch_size=10)
    together = torch.zeros(100, 100)
    for _ in range(300):
        for batch in torch.tensor(list(rows)).split(10):
            together[batch[:, None], batch] += 1
    pairs = together[torch.triu(torch.ones(100, 100), diagonal=1) > 0]
    # 300 epochs, in each of which a pair meets with probability 9 / 99: mean 27.3, standard deviation 5
    assert pairs.mean() == pytest.approx(300 / 11)
    assert 4 < pairs.std() < 7
    assert pairs.min() > 27.3 - 6 * 5
    assert pairs.max() < 27.3 + 7 * 5


def test_no_class_is_left_out_for_good_with_drop_last():
    sampler = ClassBalancedSampler(torch.arange(105), batch_size=10, drop_last=True)
    fed = torch.bincount(torch.tensor([row for _ in range(100) for row in sampler]), minlength=105)
    assert fed.sum() == 100 * 100
    assert fed.min() > 80  # 95.2 expected, standard deviation 2.1
