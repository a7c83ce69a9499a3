"""A long tail of images: what a balanced sampler does for the rare classes, and what the decision does.

    - data = ImbalancedDataModule(train, test_dataset=test, batch_size=64)
    + data = ImbalancedDataModule(train, test_dataset=test, batch_size=64, sampler=ClassBalancedSampler)

By default the images are bars at eight angles, drawn here; with the path of Fashion-MNIST they are those.
The probabilities are for the class shares of the training data, so that the likeliest class is mostly a frequent one.
Where each class matters alike, divide by these shares first.
"""

import argparse
import math

import lightning as L
import torch
from torch import nn
from torch.utils.data import TensorDataset

from imbalance_torch import ClassBalancedSampler, ImbalancedClassifier
from imbalance_torch.data.datasets import load_fashion_mnist_lt
from imbalance_torch.metrics import multiclass_average_precision, per_class_scores
from imbalance_torch.models import ConvNet
from imbalance_torch.training import ImbalancedDataModule


def make_bars(rows: list[int], seed: int) -> TensorDataset:
    """Images (N, 1, 16, 16) of a bar at the angle of its class, somewhere, under noise."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(len(rows)).repeat_interleave(torch.tensor(rows))
    angle = (math.pi * y / len(rows))[:, None, None]
    line = torch.linspace(-1, 1, 16)
    distance = angle.cos() * line + angle.sin() * line[:, None] - 0.3 * torch.randn(len(y), 1, 1, generator=generator)
    bars = (distance.abs() < 0.15) + torch.randn(len(y), 16, 16, generator=generator)
    return TensorDataset(bars[:, None], y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", help="files of Fashion-MNIST, cut to a tail of 100 to 1")
    parser.add_argument("--max-steps", type=int, default=120)
    path, max_steps = vars(parser.parse_args()).values()
    tail = [int(800 / 50 ** (c / 7)) for c in range(8)]
    train, test = load_fashion_mnist_lt(path, 100) if path else (make_bars(tail, 0), make_bars([100] * 8, 1))
    for name, sampler in {"shuffled": None, "balanced": ClassBalancedSampler}.items():
        data = ImbalancedDataModule(train, test_dataset=test, sampler=sampler, batch_size=64)
        L.seed_everything(0, verbose=False)
        network = ConvNet(1, data.num_classes, widths=(16, 32))
        module = ImbalancedClassifier(network, nn.CrossEntropyLoss(), task="multiclass", num_classes=data.num_classes)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "limit_val_batches": 0}
        trainer = L.Trainer(max_steps=max_steps, enable_model_summary=False, **quiet)
        trainer.fit(module, data)
        p, y = torch.cat(trainer.predict(module, data)), test.tensors[1]
        for rule, scores in {"likeliest": p, "p / share": p / module.prior}.items():
            recall = " ".join(f"{row['recall']:.2f}" for row in per_class_scores(scores, y))
            print(f"{name}, {rule:9}: macro AP {multiclass_average_precision(scores, y):.3f}, recall by class {recall}")


if __name__ == "__main__":
    main()
