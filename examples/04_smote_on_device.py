"""SMOTE in a training loop that you already have, on the device of the batch.

    + smote = BatchOversampler(SMOTE(random_state=0), target_ratio=0.25).fit(x, y).to(device)
      for batch in loader:
    +     batch = smote(*batch)
    + logits = adjust_logits(logits, from_prior=smote.effective_prior(prior), to_prior=prior)

Each batch draws new rows from a graph that is built once. On these rows SMOTE leads at few epochs and loses by 15.
"""

import argparse
import time
from itertools import chain, repeat

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import binary_average_precision

from imbalance_torch import SMOTE, BatchOversampler, adjust_logits, class_counts


def make_rows(num_rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """One percent of positives, shifted in 4 of 20 features."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(num_rows, generator=generator) < 0.01).long()
    x = torch.randn(num_rows, 20, generator=generator)
    x[:, :4] += 1.2 * y[:, None]
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--epochs", type=int, default=3)
    device, epochs = vars(parser.parse_args()).values()
    (x, y), (x_test, y_test) = make_rows(20_000, seed=0), make_rows(40_000, seed=2)
    prior = class_counts(y) / len(y)
    smote = BatchOversampler(SMOTE(random_state=0), target_ratio=0.25).fit(x, y).to(device)
    runs = {"plain": (lambda *batch: batch, prior), "SMOTE": (smote, smote.effective_prior(prior))}
    for name, (draw, seen) in runs.items():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2)).to(device)
        optimizer, drawing = torch.optim.Adam(model.parameters(), lr=3e-3), 0.0
        loader = DataLoader(TensorDataset(x, y), batch_size=512, shuffle=True)
        for batch_x, batch_y in chain.from_iterable(repeat(loader, epochs)):
            start = time.perf_counter()
            inputs, targets = draw(batch_x.to(device), batch_y.to(device))
            drawing += time.perf_counter() - start
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
        logits = adjust_logits(model(x_test.to(device)).detach().cpu(), from_prior=seen, to_prior=prior)
        p = logits.softmax(1)[:, 1]
        score, cost = binary_average_precision(p, y_test), 1000 * drawing / (epochs * len(loader))
        print(f"{name}: average precision {score:.3f}, mean probability {p.mean():.4f}, drawing {cost:.2f} ms per step")


if __name__ == "__main__":
    main()
