"""Networks of several members: the mean of their losses, the mean of their probabilities, one prior for all."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.losses import FocalLoss, SigmoidFocalLoss
from imbalance_torch.models import MLP, TabM
from imbalance_torch.training import ImbalancedClassifier, TabularDataModule
from tests.training.test_classifier import run_fit


class Members(nn.Module):
    """Three plain networks whose outputs stand side by side."""

    num_members = 3

    def __init__(self, num_outputs):
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(4, num_outputs) for _ in range(3))

    def forward(self, x):
        return torch.stack([member(x) for member in self.members], dim=1)


@pytest.fixture
def x():
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(0))


CASES = {
    "binary": ("binary", nn.CrossEntropyLoss(), 2, 2),
    "one logit": ("binary", nn.BCEWithLogitsLoss(), 1, 2),
    "multiclass": ("multiclass", FocalLoss(gamma=2.0), 3, 3),
    "multilabel": ("multilabel", SigmoidFocalLoss(gamma=1.0), 4, 4),
}


@pytest.mark.parametrize("case", CASES)
def test_the_loss_and_the_probabilities_are_means_over_the_members(case, x):
    task, loss, outputs, classes = CASES[case]
    y = torch.arange(40) % 2 if task != "multiclass" else torch.arange(40) % 3
    y = torch.stack([y, 1 - y, y, y], dim=1) if task == "multilabel" else y
    network = Members(outputs)
    module = ImbalancedClassifier(network, loss, task=task, num_classes=classes)
    module.log = lambda *_: None
    alone = [ImbalancedClassifier(member, loss, task=task, num_classes=classes) for member in network.members]
    for single in alone:
        single.log = lambda *_: None
    losses = torch.stack([single.training_step((x, y), 0) for single in alone])
    torch.testing.assert_close(module.training_step((x, y), 0), losses.mean())
    probabilities = torch.stack([single.probabilities(single(x)) for single in alone])
    torch.testing.assert_close(module.probabilities(module(x)), probabilities.mean(0))
    torch.testing.assert_close(
        module.raw_probabilities(module(x)), torch.stack([s.raw_probabilities(s(x)) for s in alone]).mean(0)
    )


@pytest.mark.parametrize("case", CASES)
def test_every_head_of_tabm_starts_at_the_prior(case, x):
    task, loss, outputs, classes = CASES[case]
    y = (torch.arange(40) % 8 == 0).long()
    y = torch.stack([y, 1 - y, y, y], dim=1) if task == "multilabel" else y
    y = torch.arange(40) % 7 // 3 if task == "multiclass" else y
    network = TabM(4, num_outputs=outputs, k=2, hidden=[8])
    module = ImbalancedClassifier(
        network, loss, task=task, num_classes=classes, optimizer=lambda p: torch.optim.SGD(p, lr=0.0)
    )
    run_fit(module, DataLoader(TensorDataset(x, y), batch_size=20), max_steps=1)
    assert network.head.bias.shape == (2, outputs)
    assert torch.equal(network.head.bias[0], network.head.bias[1])
    if case == "binary":
        assert network.head.bias[0].softmax(0)[1].item() == pytest.approx(0.125)
    if case == "one logit":
        assert network.head.bias[0].sigmoid().item() == pytest.approx(0.125)


def test_sample_weights_reach_the_loss(x):
    y, weight = torch.arange(40) % 2, torch.rand(40, generator=torch.Generator().manual_seed(1))
    for loss, network in [(nn.CrossEntropyLoss(), Members(2)), (nn.CrossEntropyLoss(), nn.Linear(4, 2))]:
        module = ImbalancedClassifier(network, loss, task="binary")
        module.log = lambda *_: None
        flat = module(x).reshape(-1, 2)
        repeats = len(flat) // 40
        each = nn.functional.cross_entropy(flat, y.repeat_interleave(repeats), reduction="none")
        expected = (each * weight.repeat_interleave(repeats)).sum() / (repeats * weight.sum())
        found = module.training_step({"x": x, "y": y, "sample_weight": weight}, 0)
        torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("network", [MLP, TabM])
def test_a_compiled_network_trains(network, data: TabularDataModule):
    compiled = torch.compile(network(data.num_dense, data.cardinalities))
    before = [parameter.detach().clone() for parameter in compiled.parameters()]
    module = ImbalancedClassifier(compiled, nn.CrossEntropyLoss(), task="binary")
    run_fit(module, DataLoader(TensorDataset(*data.rows("train")), batch_size=128, drop_last=True), max_steps=4)
    assert any(not torch.equal(old, new) for old, new in zip(before, compiled.parameters(), strict=True))
    assert module.probabilities(module(data.rows("val")[0][:128])).isfinite().all()
