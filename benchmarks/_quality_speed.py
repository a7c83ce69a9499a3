"""One epoch of a perceptron under the trainer, beside a bare loop over the same tensors and two boosting libraries."""

import gc
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import lightgbm
import lightning as L
import torch
import xgboost
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from benchmarks._quality_models import JOBS
from benchmarks._timing import ForeignCPU, alternate
from imbalance_torch.data import TensorLoader
from imbalance_torch.data.datasets import make_classification_with_known_posterior
from imbalance_torch.models import MLP
from imbalance_torch.samplers import ShuffledSampler
from imbalance_torch.training import ImbalancedClassifier

COLUMNS, BATCH_SIZE, HIDDEN = 30, 1_024, (256, 256)
BARE, TRAINER = "bare PyTorch loop", "ImbalancedClassifier, L.Trainer, TensorLoader"


def bare(x: Tensor, y: Tensor) -> None:
    """Train one epoch without any framework."""
    network, loss = MLP(COLUMNS, hidden=HIDDEN), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    for rows in torch.randperm(len(y)).split(BATCH_SIZE):
        optimizer.zero_grad()
        loss(network(x.index_select(0, rows)), y.index_select(0, rows)).backward()
        optimizer.step()


def trainer(x: Tensor, y: Tensor) -> None:
    """Train one epoch under the trainer, with its CSV logger, checkpoint and progress bar."""
    module = ImbalancedClassifier(
        MLP(COLUMNS, hidden=HIDDEN), nn.CrossEntropyLoss(), task="binary", class_counts=torch.bincount(y).tolist()
    )
    loader = TensorLoader(x, y, batch_size=BATCH_SIZE, sampler=ShuffledSampler(y, batch_size=BATCH_SIZE))
    with tempfile.TemporaryDirectory() as folder:
        L.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=folder, logger=CSVLogger(folder)).fit(
            module, loader
        )


def speed(size: int, rounds: int) -> dict[str, Any]:
    """Time every way once a round, in an order that changes by the round."""
    data = make_classification_with_known_posterior(size, prior=0.01, num_features=COLUMNS, random_state=0)
    x, y = data.X, data.y
    steps: dict[str, Callable[[], object]] = {
        BARE: partial(bare, x, y),
        TRAINER: partial(trainer, x, y),
        "LightGBM, 100 trees": partial(lightgbm.LGBMClassifier(n_jobs=JOBS, verbosity=-1).fit, x.numpy(), y.numpy()),
        "XGBoost, 100 trees": partial(xgboost.XGBClassifier(n_jobs=JOBS).fit, x.numpy(), y.numpy()),
    }
    few = slice(10 * BATCH_SIZE)
    with redirect_stdout(sys.stderr):  # where the trainer prints, beside the tables of the benchmark
        bare(x[few], y[few])
        trainer(x[few], y[few])
        foreign = ForeignCPU()
        seconds = alternate(steps, rounds, before=gc.collect, sync=lambda: None)
    return {
        "rows": [{"row": name, "seconds": [round(value, 3) for value in times]} for name, times in seconds.items()],
        "foreign_cpu_share": foreign.share(),
    }
