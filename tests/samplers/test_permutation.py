import math

import numpy as np
import pytest
import torch

from imbalance_torch.samplers._permutation import Permutation, random_bits, shuffled


def keys_of(number):
    return random_bits(np.array([number], dtype=np.uint64), np.arange(number))


def many(size, number):
    """``number`` whole permutations, one a row."""
    lengths = np.full(number, size)
    return shuffled(np.tile(np.arange(size), number), lengths, keys_of(number), lengths).reshape(number, size)


def excess(observed, expected, freedom):
    """Chi-square in standard deviations above its mean: below 4 at a significance well under 1e-4 for large freedom."""
    return (float(((observed - expected) ** 2 / expected).sum()) - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 255, 256, 257, 300, 4097, 65_536, 65_537, 300_001])
def test_every_place_goes_somewhere_else(size):
    order = Permutation(size, 3, 1)
    moved = order(torch.arange(size))
    assert moved.dtype == torch.int64
    assert moved.sort().values.equal(torch.arange(size))
    some = torch.tensor([size - 1, 0, size // 2])
    assert order(some).equal(moved[some])
    if size > 5:
        assert not Permutation(size, 3, 2)(torch.arange(size)).equal(moved)


@pytest.mark.parametrize("size", [2**31, 2**31 + 1, 2**40 + 7])
def test_places_beyond_thirty_two_bits(size):
    places = torch.cat([torch.arange(50_000), torch.arange(size - 50_000, size)])
    moved = Permutation(size, 1)(places)
    assert 0 <= int(moved.min())
    assert int(moved.max()) < size
    assert moved.unique().numel() == 100_000
    assert abs(float(moved.double().mean()) / size - 0.5) < 4 / math.sqrt(12 * 100_000)


def test_mixed_sizes_equal_each_alone():
    sizes = np.array([5, 300, 5, 70_000, 1, 200, 1000, 66_000])
    lengths = np.array([5, 20, 0, 50, 1, 200, 7, 3])
    keys = keys_of(8)
    places = np.concatenate(
        [np.arange(size)[-length:] if length else [] for size, length in zip(sizes, lengths, strict=True)]
    )
    together = shuffled(places.astype(np.int64), sizes, keys, lengths)
    ends = np.cumsum(lengths)
    for i, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        run = slice(end - length, end)
        alone = shuffled(places[run].astype(np.int64), sizes[i : i + 1], keys[i : i + 1], lengths[i : i + 1])
        assert np.array_equal(together[run], alone)


@pytest.mark.parametrize(("size", "number"), [(2, 20_000), (3, 20_000), (4, 20_000)])
def test_small_permutations_are_equally_likely(size, number):
    seen = np.unique(many(size, number), axis=0, return_counts=True)[1]
    orders = math.factorial(size)
    assert len(seen) == orders
    chi_square = float(((seen - number / orders) ** 2 / (number / orders)).sum())
    assert chi_square < {2: 15.1, 3: 25.7, 4: 59.1}[size]  # 1, 5 and 23 degrees of freedom, significance 1e-4


@pytest.mark.parametrize(("size", "number"), [(200, 8000), (257, 8000), (511, 4000), (1000, 1500)])
def test_places_and_neighbours_are_uniform(size, number):
    orders = many(size, number)
    at = np.bincount((np.arange(size) * size + orders).ravel(), minlength=size * size)
    assert abs(excess(at, number / size, (size - 1) ** 2)) < 4
    side = 1 << (size - 1).bit_length() // 2
    for lag in (1, 2, side, side + 1, 2 * side):
        apart = (orders[:, lag:] - orders[:, :-lag]) % size
        times = np.bincount(apart.ravel(), minlength=size)[1:]
        assert abs(excess(times, apart.size / (size - 1), size - 2)) < 4.5  # places share rows: a little wider
    falls = (orders[:, 1:] < orders[:, :-1]).sum(1)
    assert abs(falls.mean() - (size - 1) / 2) < 4 * math.sqrt((size + 1) / 12 / number)
    assert falls.var() / ((size + 1) / 12) == pytest.approx(1, abs=4 * math.sqrt(2 / number))


@pytest.mark.parametrize("size", [70_000, 1_000_003])
def test_large_permutations_look_like_drawn_ones(size):
    order = Permutation(size, 5)(torch.arange(size))
    drawn = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    for moved in (order, drawn):  # the drawn one shows that the bounds are right
        neighbours = (moved[1:] * 64 // size) * 64 + moved[:-1] * 64 // size
        assert abs(excess(torch.bincount(neighbours, minlength=4096).numpy(), (size - 1) / 4096, 4095)) < 4
        halves = (moved[: size // 64 * 64].view(-1, 64) < size // 2).sum(1).double()
        assert abs(float(halves.mean()) - 32) < 0.1
        assert float(halves.var()) == pytest.approx(16, abs=4 * 16 * math.sqrt(2 * 64 / size))
        falls = int((moved[1:] < moved[:-1]).sum())
        assert abs(falls - (size - 1) / 2) < 4 * math.sqrt((size + 1) / 12)
        assert int((moved == torch.arange(size)).sum()) < 10


def test_random_bits_are_those_of_splitmix64():
    state, expected = 1234567, []
    for _ in range(3):  # the reference algorithm
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) % 2**64
        expected.append(bits ^ (bits >> 31))
    assert random_bits(np.array([1234567], dtype=np.uint64), np.arange(3)).tolist() == expected
