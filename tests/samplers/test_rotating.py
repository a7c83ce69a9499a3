import math

import pytest
import torch

from imbalance_torch.samplers import RotatingUnderSampler


@pytest.mark.parametrize("batch_size", [None, 16])
@pytest.mark.parametrize(
    ("majority", "minority", "ratio"), [(1000, 20, 0.25), (997, 13, 0.5), (40, 20, 1.0), (999, 7, 0.3)]
)
def test_every_majority_row_comes_once_per_cycle(majority, minority, ratio, batch_size):
    labels = torch.tensor([1] * minority + [0] * majority)
    sampler = RotatingUnderSampler(labels, ratio=ratio, batch_size=batch_size)
    share = round(minority / ratio)
    cycle = math.ceil(majority / share)
    epochs = [torch.tensor(list(sampler)) for _ in range(2 * cycle)]
    assert all(len(rows) == share + minority for rows in epochs)
    assert all(rows[labels[rows] == 1].sort().values.equal(torch.arange(minority)) for rows in epochs)
    drawn = torch.cat([rows[labels[rows] == 0] for rows in epochs])
    everything = torch.arange(minority, minority + majority)
    assert drawn[:majority].sort().values.equal(everything)
    assert drawn[majority : 2 * majority].sort().values.equal(everything)
    assert not drawn[:majority].equal(drawn[majority : 2 * majority])
    assert set(torch.cat(epochs[:cycle]).tolist()) == set(range(minority + majority))


def test_several_classes_are_cut_to_the_same_number():
    labels = torch.tensor([0] * 500 + [1] * 100 + [2] * 30 + [3] * 10)
    sampler = RotatingUnderSampler(labels, ratio=0.25)
    assert torch.bincount(labels[sampler.indices()]).tolist() == [40, 40, 30, 10]
    assert set().union(*(list(sampler) for _ in range(13))) == set(range(640))


def test_balanced_labels_are_fed_whole():
    assert sorted(RotatingUnderSampler([0, 1] * 10)) == list(range(20))


def test_every_batch_holds_the_shares():
    labels = torch.tensor([0] * 5000 + [1] * 100)
    sampler = RotatingUnderSampler(labels, ratio=0.25, batch_size=50)
    for _ in range(3):
        assert [int(labels[chunk].sum()) for chunk in sampler.indices().split(50)] == [10] * 10
        sampler.set_epoch(sampler.epoch + 1)


def test_rotation_is_a_function_of_the_epoch():
    labels = [0] * 100 + [1] * 5
    plain, jumped = RotatingUnderSampler(labels), RotatingUnderSampler(labels)
    epochs = [list(plain) for _ in range(8)]
    for epoch in (7, 3):
        jumped.set_epoch(epoch)
        assert list(jumped) == epochs[epoch]


@pytest.mark.parametrize(("ratio", "error"), [(0, ValueError), (1.01, ValueError), ("1", TypeError), (None, TypeError)])
def test_bad_ratio(ratio, error):
    with pytest.raises(error, match="ratio"):
        RotatingUnderSampler([0, 1], ratio=ratio)
