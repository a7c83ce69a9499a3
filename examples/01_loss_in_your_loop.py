"""A focal loss in a training loop that you already have, and probabilities that are right all the same.

    - loss = nn.CrossEntropyLoss()
    + loss = FocalLoss(weight, gamma=2.0)
    ...
    - probability = model(x).softmax(1)
    + probability = loss.log_posterior(model(x), prior=prior).exp()

A loss that pulls towards the rare class moves the probabilities with it. What it did is known, so it can be undone.
"""

import argparse

import torch
from torch import Tensor, nn

from imbalance_torch import FocalLoss, class_counts, class_weights


def make_rows(num_rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two percent of positives, shifted in 4 of 20 features."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(num_rows, generator=generator) < 0.02).long()
    x = torch.randn(num_rows, 20, generator=generator)
    x[:, :4] += y[:, None]
    return x, y


def train(model: nn.Module, loss: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(x), (512,), generator=generator)
        optimizer.zero_grad()
        loss(model(x[rows]), y[rows]).backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    x, y = make_rows(200_000, seed=0)
    x_test, y_test = make_rows(40_000, seed=2)
    counts = class_counts(y)
    loss = FocalLoss(class_weights(counts).float(), gamma=2.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
    train(model, loss, x, y, steps)
    with torch.no_grad():
        logits = model(x_test)
        before = logits.softmax(1)[:, 1]
        after = loss.log_posterior(logits, prior=counts / counts.sum()).exp()[:, 1]
    print(f"share of positives:            {y_test.double().mean():.4f}")
    print(f"mean probability, as trained:  {before.mean():.4f}")
    print(f"mean probability, corrected:   {after.mean():.4f}")


if __name__ == "__main__":
    main()
