import pytest
import torch

from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.samplers._permutation import Permutation


def test_every_row_once_in_uniform_order():
    sampler = ShuffledSampler(torch.zeros(6, dtype=torch.long))
    times = torch.zeros(6, 6)
    for _ in range(3000):
        rows = torch.tensor(list(sampler))
        assert rows.sort().values.equal(torch.arange(6))
        times[torch.arange(6), rows] += 1
    chi_square = float(((times - 500) ** 2 / 500).sum())
    assert (
        chi_square < 72.2
    )  # significance 1e-4: of a permutation matrix this is 6/5 chi-square with 25 degrees of freedom


def test_natural_shares():
    assert ShuffledSampler([0, 0, 0, 1]).effective_prior.tolist() == [0.75, 0.25]


@pytest.mark.parametrize("rows", [1, 1000, 65_536, 65_537, 150_000])
def test_the_stream_is_one_permutation_of_seed_and_epoch(rows):
    sampler = ShuffledSampler(torch.zeros(rows, dtype=torch.long), seed=3)
    for epoch in (0, 2):
        sampler.set_epoch(epoch)
        assert list(sampler) == Permutation(rows, 3, epoch)(torch.arange(rows)).tolist()
