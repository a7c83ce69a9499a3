"""The examples of the guide can be pasted, in order, into one session; every name of the package is in it."""

import importlib.util
import re
from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import TensorDataset

from imbalance_torch import samplers

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "samplers.md").read_text(encoding="utf-8")
OPTIONAL = ("torchdata", "accelerate")


class Network(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:lightning", "ignore::Warning:torchdata", "ignore::Warning:accelerate")
def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = torch.tensor([0] * 960 + [1] * 40)
    x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    session = {"y": y, "x": x, "dataset": TensorDataset(x, y), "model": Network()}
    session["sampler"] = samplers.ClassBalancedSampler(y, ratio=0.25, batch_size=128)
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        if all(importlib.util.find_spec(name) or name not in block for name in OPTIONAL):
            exec(compile(block, "samplers.md", "exec"), session)


@pytest.mark.parametrize("name", samplers.__all__)
def test_every_name_is_in_the_guide(name):
    assert f"`{name}" in GUIDE or f"{name}(" in GUIDE
