import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.samplers import ClassBalancedSampler

LABELS = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)


def fed(sampler, labels=LABELS):
    return torch.bincount(labels[sampler.indices()], minlength=int(labels.max()) + 1)


def test_equal_shares_by_default():
    assert fed(ClassBalancedSampler(LABELS)).tolist() == [334, 333, 333]
    assert fed(ClassBalancedSampler(LABELS, num_samples=301)).tolist() == [101, 100, 100]


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 1.0])
def test_power_raises_the_counts(power):
    weights = [n**power for n in (900, 90, 10)]
    exact = [weight / sum(weights) * 1000 for weight in weights]
    got = fed(ClassBalancedSampler(LABELS, power=power)).tolist()
    assert sum(got) == 1000
    assert all(math.floor(e + 1e-9) <= n <= math.ceil(e - 1e-9) for n, e in zip(got, exact, strict=True))


def test_power_one_is_every_row_once():
    assert sorted(ClassBalancedSampler(LABELS, power=1.0)) == list(range(1000))


def test_ratio_is_rows_per_majority_row_and_never_lowers_a_class():
    got = fed(ClassBalancedSampler(LABELS, ratio=0.05, num_samples=1150))
    assert got.tolist() == [1000, 100, 50]  # class 1 keeps its 90 to 900, class 2 is raised from 10 to 45
    assert fed(ClassBalancedSampler(LABELS, ratio=1.0)).equal(fed(ClassBalancedSampler(LABELS)))
    assert fed(ClassBalancedSampler(LABELS, ratio=0.25, num_samples=600)).tolist() == [400, 100, 100]


@pytest.mark.parametrize("batch_size", [None, 7, 64])
def test_a_class_is_a_deck_across_epochs(batch_size):
    sampler = ClassBalancedSampler(LABELS, batch_size=batch_size)
    stream = torch.cat([torch.tensor(list(sampler)) for _ in range(6)])
    for label, size in enumerate((900, 90, 10)):
        rows = stream[LABELS[stream] == label]
        passes = rows[: len(rows) // size * size].view(-1, size)
        assert len(passes) >= 2
        assert passes.sort(1).values.equal((LABELS == label).nonzero().view(1, -1).expand_as(passes))
        assert all(not a.equal(b) for a, b in pairwise(passes))


def test_with_replacement_rows_are_independent():
    sampler = ClassBalancedSampler(LABELS, replacement=True, num_samples=3000)
    rows = sampler.indices()
    assert fed(sampler).tolist() == [1000, 1000, 1000]
    times = torch.bincount(rows, minlength=1000)[990:].double()
    chi_square = float(((times - 100) ** 2 / 100).sum())
    assert 0.561 < chi_square < 35.43  # two-sided significance 1e-4, chi-square with 9 degrees of freedom
    assert len(set(rows[LABELS[rows] == 0].tolist())) < 700  # 900 (1 - 1/e^(1000/900)) = 604 expected


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    batch_size=st.integers(1, 40),
    power=st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_batch_holds_the_shares(counts, batch_size, power):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    sampler = ClassBalancedSampler(labels, power=power, batch_size=batch_size)
    batches = [labels[chunk] for chunk in sampler.indices().split(batch_size)]
    full = max(len(labels) // batch_size, 1)
    for batch in batches:
        expected = sampler.effective_prior * len(batch)
        got = torch.bincount(batch, minlength=len(counts))
        assert ((got - expected).abs() < 1 + 1 / full).all()


@pytest.mark.parametrize(
    ("labels", "ratio", "minority"), [([0] * 960 + [1] * 40, 0.25, (6, 7)), ([0] * 990 + [1] * 10, 1.0, (16,))]
)
def test_batches_differ_by_at_most_one_minority_row(labels, ratio, minority):
    sampler = ClassBalancedSampler(labels, ratio=ratio, batch_size=32, drop_last=True)
    got = {int(torch.tensor(labels)[chunk].sum()) for chunk in sampler.indices().split(32)}
    assert got == set(minority)


def test_batches_on_every_rank_hold_the_quota():
    for rank in range(3):
        sampler = ClassBalancedSampler(
            LABELS, batch_size=30, num_replicas=3, rank=rank, drop_last=True, num_samples=990
        )
        for chunk in sampler.indices().split(30):
            assert torch.bincount(LABELS[chunk]).tolist() == [10, 10, 10]
            assert len(set(chunk[LABELS[chunk] == 1].tolist())) == 10


def test_classes_are_mixed_within_a_batch():
    labels = torch.tensor([0, 1] * 500)
    rows = ClassBalancedSampler(labels, batch_size=500).indices()
    switches = int((labels[rows][1:] != labels[rows][:-1]).sum())
    assert 430 < switches < 570  # 499.5 expected, standard deviation 15.8


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"power": -0.1}, ValueError),
        ({"power": 1.1}, ValueError),
        ({"power": "0"}, TypeError),
        ({"ratio": 0}, ValueError),
        ({"ratio": 1.5}, ValueError),
        ({"ratio": float("nan")}, ValueError),
        ({"power": 0.5, "ratio": 0.5}, ValueError),
        ({"num_samples": 0}, ValueError),
        ({"num_samples": 2}, ValueError),
        ({"num_samples": 40, "power": 1.0}, ValueError),
    ],
)
def test_bad_arguments(kwargs, error):
    with pytest.raises(error, match=next(iter(kwargs))):
        ClassBalancedSampler(LABELS, **kwargs)


def test_ten_thousand_passes_over_one_row():
    rows = ClassBalancedSampler([0] * 20_000 + [1]).indices()
    assert int((rows == 20_000).sum()) == 10_000


def test_rows_beyond_two_to_the_24():
    labels = torch.zeros(20_000_000, dtype=torch.uint8)
    labels[18_000_000:18_100_000] = 1
    sampler = ClassBalancedSampler(labels, num_samples=200_000, batch_size=100)
    rows = sampler.indices()
    assert torch.bincount(labels[rows]).tolist() == [100_000, 100_000]
    majority, minority = rows[labels[rows] == 0], rows[labels[rows] == 1]
    assert minority.sort().values.equal(torch.arange(18_000_000, 18_100_000))
    beyond = int((majority >= 2**24).sum())
    expected = 100_000 * (20_000_000 - 2**24 - 100_000) / 19_900_000
    assert abs(beyond - expected) < 3.9 * math.sqrt(expected)  # significance 1e-4
    assert int((majority % 2).sum()) == pytest.approx(50_000, abs=650)


def test_classes_stay_mixed_over_the_blocks_of_a_long_epoch():
    labels = torch.tensor([0] * 299_000 + [1] * 1000)
    for batch_size in (None, 96):
        sampler = ClassBalancedSampler(labels, power=0.5, batch_size=batch_size)
        stream = labels[sampler.indices()]
        share = float(sampler.effective_prior[1])
        for window in stream[: len(stream) // 960 * 960].split(960):
            assert abs(int(window.sum()) - 960 * share) < 16  # 15 or 10 batches, each within one of its share


def test_a_deck_goes_on_through_blocks_of_many_passes():
    labels = torch.tensor([0] * 200_000 + [1] * 7 + [2] * 300)
    rows = torch.cat([torch.tensor(list(ClassBalancedSampler(labels, seed=seed))) for seed in (1, 2)])
    for label, size in ((1, 7), (2, 300)):
        for part in rows.chunk(2):
            mine = part[labels[part] == label]
            passes = mine[: len(mine) // size * size].view(-1, size).sort(1).values
            assert (passes == (labels == label).nonzero().view(1, -1)).all()
    places = torch.zeros(7, 7)
    mine = rows[labels[rows] == 1] - 200_000
    for part in mine.chunk(2):
        passes = part[: len(part) // 7 * 7].view(-1, 7)
        places += torch.stack([torch.bincount(column, minlength=7) for column in passes.t()])
    expected = places.sum() / 49
    assert (
        float(((places - expected) ** 2 / expected).sum()) * 6 / 7 < 78.3
    )  # chi-square, 36 degrees, significance 1e-4


def test_with_replacement_blocks_and_epochs_are_independent():
    sampler = ClassBalancedSampler(torch.tensor([0] * 150_000 + [1] * 50_000), replacement=True)
    first = sampler.indices()
    sampler.set_epoch(1)
    assert len(set(first.tolist()) & set(sampler.indices().tolist())) < 120_000
    blocks = first.split(sampler._block_rows)
    assert not blocks[0].equal(blocks[1])


def test_more_than_sixty_five_thousand_classes():
    labels = torch.arange(70_000)
    assert sorted(ClassBalancedSampler(labels, batch_size=7)) == labels.tolist()


def test_the_order_is_the_same_on_every_platform():
    # frozen from the version that draws in blocks (0.1.0); a change makes saved states resume in another order
    rows = ClassBalancedSampler([0] * 9 + [1] * 3, batch_size=4).indices()
    assert rows.tolist() == [10, 6, 11, 8, 9, 9, 2, 4, 10, 7, 11, 1]
    sampler = ClassBalancedSampler([0] * 70_000 + [1] * 300 + [2] * 10, batch_size=32, seed=3)
    sampler.set_epoch(2)
    rows = sampler.indices()
    assert rows[:8].tolist() == [8640, 70308, 70059, 70226, 70309, 35887, 70306, 37930]
    assert rows[66_000:66_008].tolist() == [70122, 70303, 70309, 70154, 53279, 70309, 70303, 70307]
