import torch

from imbalance_torch.samplers import ShuffledSampler


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
