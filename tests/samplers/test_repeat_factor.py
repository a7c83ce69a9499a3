import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.samplers import RepeatFactorSampler

LABELS = torch.tensor([0] * 60 + [1] * 25 + [2] * 10 + [3] * 4 + [4])[
    torch.randperm(100, generator=torch.Generator().manual_seed(0))
]


def counts(sampler, epochs, rows):
    streams = [
        torch.cat([sampler._draw(epoch, block) for block in range(-(-sampler._total // sampler._block_rows))])
        for epoch in range(epochs)
    ]
    return torch.stack([torch.bincount(stream, minlength=rows) for stream in streams])


def plain_factors(table, threshold):
    """The definition, row by row."""
    frequencies = table.double().mean(0)
    factors = (threshold / frequencies).sqrt().clamp(min=1)
    return torch.where(table.bool(), factors, 1.0).max(1).values


def test_the_mean_count_is_the_repeat_factor():
    sampler = RepeatFactorSampler(LABELS, threshold=0.5)
    factors = sampler.repeat_factors[LABELS]
    times = counts(sampler, 3000, 100)
    assert (times.sum(1) == sampler._total).all()
    assert ((times == factors.floor()) | (times == factors.ceil())).all()
    assert (times[:, LABELS == 0] == 1).all()
    # count minus floor is one draw of probability p: 5.3 standard errors, 100 rows, significance 1e-5 in all
    odds = factors - factors.floor()
    assert ((times.double().mean(0) - factors).abs() <= 5.3 * (odds * (1 - odds) / 3000).sqrt() + 1e-12).all()


def test_factors_follow_the_definition():
    sampler = RepeatFactorSampler(LABELS, threshold=0.5)
    wanted = plain_factors(torch.nn.functional.one_hot(LABELS), 0.5)
    assert sampler._total == round(float(wanted.sum()))
    got = sampler.repeat_factors[LABELS]
    assert float(got.sum()) == pytest.approx(sampler._total, abs=1e-9)
    torch.testing.assert_close(got, wanted, rtol=0.5 / float((wanted - 1).sum()), atol=0)
    ratio = (got / wanted)[wanted > 1]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))  # the threshold moved, nothing else


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    threshold=st.floats(1e-3, 1.0),
    seed=st.integers(0, 2**40),
    batch_size=st.sampled_from([None, 7]),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_every_count_is_the_factor_rounded_down_or_up(sizes, threshold, seed, batch_size):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    sampler = RepeatFactorSampler(labels, threshold=threshold, seed=seed, batch_size=batch_size)
    wanted = plain_factors(torch.nn.functional.one_hot(labels), threshold)
    factors = sampler.repeat_factors[labels]
    assert sampler._total == round(float(wanted.sum()))
    assert float(sampler.effective_prior.sum()) == pytest.approx(1)
    times = counts(sampler, 3, len(labels))
    assert (times.sum(1) == sampler._total).all()
    assert (times >= (factors + 1e-9).floor()).all()
    assert (times <= (factors - 1e-9).ceil()).all()
    for label, size in enumerate(sizes):  # the sum over a class is rounded too, not only each row
        total = size * float(sampler.repeat_factors[label])
        in_class = times[:, labels == label].sum(1)
        assert (math.floor(total + 1e-9) <= in_class).all()
        assert (in_class <= math.ceil(total - 1e-9)).all()


def test_rows_of_a_class_do_not_depend_on_one_another():
    labels = torch.tensor([0] * 400 + [1] * 40)
    sampler = RepeatFactorSampler(labels, threshold=0.2)
    assert 1.3 < sampler.repeat_factors[1] < 1.6
    extra = counts(sampler, 4000, 440)[:, 400:].double()
    extra -= extra.mean(0)
    correlation = torch.corrcoef(extra.T)
    off = correlation[~torch.eye(40, dtype=torch.bool)]
    # a fixed number goes to 40 rows: -1/39 for every pair; 5.2 standard errors, 780 pairs, significance 2e-4 in all
    assert (off + 1 / 39).abs().max() < 5.2 / math.sqrt(4000)
    turns = sampler._draw(0, 0)
    assert not turns.equal(sampler._draw(1, 0))


def test_classes_are_mixed_over_the_epoch():
    labels = torch.tensor([0] * 9000 + [1] * 1000)
    rows = RepeatFactorSampler(labels, threshold=0.9).indices()
    share = labels[rows].double().mean()
    parts = labels[rows].double().split(2000)[:-1]
    assert all(abs(part.mean() - share) < 5 * math.sqrt(share * (1 - share) / 2000) for part in parts)


def test_a_threshold_below_every_class_is_plain_shuffling():
    sampler = RepeatFactorSampler(LABELS, threshold=0.009)
    assert sorted(sampler) == list(range(100))
    assert sampler.repeat_factors.tolist() == [1.0] * 5


TABLE = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]] * 20)


def test_several_labels_take_the_largest_factor():
    sampler = RepeatFactorSampler(TABLE, threshold=0.6)
    wanted = plain_factors(TABLE, 0.6)
    assert sampler._total == round(float(wanted.sum()))
    times = counts(sampler, 2000, len(TABLE)).double()
    assert (times[:, (TABLE.sum(1) == 0)] == 1).all()
    torch.testing.assert_close(times.mean(0), wanted, rtol=0.01, atol=0.06)
    fed = times.mean(0) @ TABLE.double() / sampler._total
    torch.testing.assert_close(sampler.effective_prior, fed, rtol=0, atol=1e-3)
    assert sampler.effective_prior[2] > 1.5 * TABLE.double().mean(0)[2]


def test_kinds_of_tables_agree():
    expected = RepeatFactorSampler(TABLE, threshold=0.6)
    lists = [np.flatnonzero(row).tolist() for row in TABLE.numpy()]
    kinds = [TABLE.bool(), TABLE.numpy().astype(np.int8), np.asfortranarray(TABLE), TABLE.T.contiguous().T]
    kinds += [pd.DataFrame(TABLE.numpy()), lists, tuple(map(tuple, lists)), [set(row) for row in lists]]
    kinds += [[np.array(row, int) for row in lists], [torch.tensor(row).long() for row in lists]]
    kinds += [[row * 3 for row in lists]]  # several objects of a class in an image count once
    for labels in kinds:
        sampler = RepeatFactorSampler(labels, threshold=0.6)
        assert sampler.classes == (0, 1, 2)
        assert sampler.indices().equal(expected.indices())
        assert sampler.state_dict() == expected.state_dict()
    frame = pd.DataFrame(TABLE.numpy(), columns=["cat", "dog", "owl"])
    assert RepeatFactorSampler(frame, threshold=0.6).classes == ("cat", "dog", "owl")


def test_one_label_each_is_the_same_in_both_forms():
    one, several = (RepeatFactorSampler(y, threshold=0.3) for y in (LABELS, torch.nn.functional.one_hot(LABELS)))
    assert one.indices().equal(several.indices())
    torch.testing.assert_close(one.effective_prior, several.effective_prior)


def test_a_class_without_rows_changes_nothing():
    table = torch.cat([TABLE, torch.zeros(len(TABLE), 1, dtype=torch.long)], 1)
    sampler = RepeatFactorSampler(table, threshold=0.6)
    assert sampler.indices().equal(RepeatFactorSampler(TABLE, threshold=0.6).indices())
    assert sampler.effective_prior[3] == 0


def test_many_classes_of_one_row():
    sampler = RepeatFactorSampler(list(range(3000)), threshold=0.0007)
    times = counts(sampler, 2, 3000)
    assert set(times.unique().tolist()) == {1, 2}
    assert times.sum(1).tolist() == [round(3000 * math.sqrt(2.1))] * 2


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (torch.zeros(3, 2, dtype=torch.long), ValueError),
        (torch.tensor([[0, 2]]), ValueError),
        (torch.tensor([[0, -1]]), ValueError),
        (torch.rand(3, 2), TypeError),
        (torch.zeros(2, 2, 2), ValueError),
        ([[], []], ValueError),
        ([[1], 2], TypeError),
        (np.zeros((0, 3), int), ValueError),
    ],
)
def test_bad_labels(labels, error):
    with pytest.raises(error, match="labels"):
        RepeatFactorSampler(labels, threshold=0.1)


@pytest.mark.parametrize(
    ("threshold", "error"), [(0, ValueError), (1.1, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_bad_threshold(threshold, error):
    with pytest.raises(error, match="threshold"):
        RepeatFactorSampler(LABELS, threshold=threshold)
