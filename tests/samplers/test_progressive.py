import math

import numpy as np
import pytest
import torch

from imbalance_torch.samplers import ClassBalancedSampler, ProgressiveSampler, ShuffledSampler

LABELS = torch.tensor([0] * 900 + [1] * 100)


def positives(sampler, epochs):
    return [int(LABELS[torch.tensor(list(sampler))].sum()) for _ in range(epochs)]


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        ("linear", [0, 0.25, 0.5, 0.75, 1, 1, 1]),
        ("cosine", [0, (1 - math.sqrt(0.5)) / 2, 0.5, (1 + math.sqrt(0.5)) / 2, 1, 1, 1]),
        ("parabolic", [0, 1 / 16, 1 / 4, 9 / 16, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("batch_size", [None, 50])
def test_shares_follow_the_schedule_and_stay_at_its_end(schedule, weights, batch_size):
    sampler = ProgressiveSampler(LABELS, 5, schedule=schedule, batch_size=batch_size)
    assert len(sampler) == 1000
    assert positives(sampler, 7) == [round(1000 * (0.1 + 0.4 * weight)) for weight in weights]


def test_ends_are_the_plain_samplers():
    first = ProgressiveSampler(LABELS, 3)
    assert sorted(first) == sorted(ShuffledSampler(LABELS))
    last = ProgressiveSampler(LABELS, 3)
    last.set_epoch(2)
    assert last.effective_prior.equal(ClassBalancedSampler(LABELS).effective_prior)
    back = ProgressiveSampler(LABELS, 3, start=0, end=0.5)
    assert positives(back, 3) == [500, 375, 250]


def test_effective_prior_is_that_of_the_current_epoch():
    sampler = ProgressiveSampler(LABELS, 3)
    said = []
    for _ in range(4):
        said.append(float(sampler.effective_prior[1]))
        for _ in sampler:
            pass
    assert said == [0.1, 0.3, 0.5, 0.5]


def test_decks_go_on_from_epoch_to_epoch():
    sampler = ProgressiveSampler(LABELS, 4)
    stream = torch.cat([torch.tensor(list(sampler)) for _ in range(7)])
    for label, size in enumerate((900, 100)):
        rows = stream[LABELS[stream] == label]
        passes = rows[: len(rows) // size * size].view(-1, size).sort(1).values
        assert len(passes) > 3
        assert (passes == (LABELS == label).nonzero().view(1, -1)).all()
    jumped = ProgressiveSampler(LABELS, 4)
    jumped.set_epoch(6)
    assert torch.tensor(list(jumped)).equal(stream[6000:])


def test_every_batch_holds_the_shares_of_its_epoch():
    sampler = ProgressiveSampler(LABELS, 5, batch_size=50)
    for expected in (5, 10, 15, 20, 25, 25):
        assert [int(LABELS[rows].sum()) for rows in sampler.indices().split(50)] == [expected] * 20
        sampler.set_epoch(sampler.epoch + 1)


def test_one_epoch_and_the_state():
    sampler = ProgressiveSampler(LABELS, 1)
    assert positives(sampler, 3) == [100, 500, 500]
    state = sampler.state_dict()
    assert state["epoch"] == 3
    with pytest.raises(ValueError, match="settings differ"):
        ProgressiveSampler(LABELS, 2).load_state_dict(state)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"num_epochs": 0}, ValueError),
        ({"num_epochs": 2.5}, TypeError),
        ({"start": 1.5}, ValueError),
        ({"end": -0.5}, ValueError),
        ({"end": float("nan")}, ValueError),
        ({"schedule": "liner"}, ValueError),
        ({"schedule": None}, ValueError),
        ({"num_samples": 4}, ValueError),
        ({"num_samples": 0}, ValueError),
    ],
)
def test_bad_arguments(kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        ProgressiveSampler(LABELS, **{"num_epochs": 3} | kwargs)


def test_a_state_is_valid_whatever_the_type_of_the_numbers():
    state = ProgressiveSampler([0] * 9 + [1], 3, start=1, end=0).state_dict()
    ProgressiveSampler([0] * 9 + [1], np.int64(3).item(), start=1.0, end=np.float64(0)).load_state_dict(state)
