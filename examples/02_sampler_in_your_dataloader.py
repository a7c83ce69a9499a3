"""A balanced sampler in a training loop that you already have.

    - loader = DataLoader(dataset, batch_size=128, shuffle=True)
    + sampler = ClassBalancedSampler(y, ratio=0.25, batch_size=128)
    + loader = DataLoader(dataset, batch_size=128, sampler=sampler)

Under DDP the same lines do. Balancing finds the signal in fewer steps; on these rows its lead shrinks with --steps
and turns into a loss by 1,500, as the few positives are learned by heart: stop early, and keep the plain run beside it.
"""

import argparse
from itertools import chain, islice, repeat

import torch
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler


def make_rows(num_rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Half a percent of positives, shifted in 4 of 20 features."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(num_rows, generator=generator) < 0.005).long()
    x = torch.randn(num_rows, 20, generator=generator)
    x[:, :4] += 1.2 * y[:, None]
    return x, y


def train(loader: DataLoader, steps: int) -> nn.Module:
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for x, y in islice(chain.from_iterable(repeat(loader)), steps):  # no set_epoch: the sampler moves on by itself
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(x).squeeze(1), y.float()).backward()
        optimizer.step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    x, y = make_rows(40_000, seed=0)
    x_test, y_test = make_rows(40_000, seed=1)
    dataset = TensorDataset(x, y)
    sampler = ClassBalancedSampler(y, ratio=0.25, batch_size=128)
    print(sampler.describe(), "\n")
    shuffled = DataLoader(dataset, batch_size=128, shuffle=True, generator=torch.Generator().manual_seed(3))
    balanced = DataLoader(dataset, batch_size=128, sampler=sampler)
    for name, loader in [("shuffle=True", shuffled), ("ClassBalancedSampler", balanced)]:
        scores = train(loader, steps)(x_test).squeeze(1).detach()
        print(f"{name:21} average precision after {steps} steps: {average_precision_score(y_test, scores):.3f}")


if __name__ == "__main__":
    main()
