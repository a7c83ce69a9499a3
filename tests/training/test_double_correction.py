"""A sampler and a loss that both make up for the same class counts are named; every single correction passes."""

import contextlib
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses import (
    AsymmetricLoss,
    BalancedSoftmaxLoss,
    ClassWeightedBCEWithLogitsLoss,
    ClassWeightedCrossEntropyLoss,
    FocalLoss,
    LogitAdjustedBCEWithLogitsLoss,
    LogitAdjustedLoss,
    SigmoidFocalLoss,
)
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.samplers import (
    BalancedIterableDataset,
    ClassBalancedSampler,
    MultiLabelBalancedSampler,
    ShuffledSampler,
    make_loader,
)
from imbalance_torch.training import ImbalancedClassifier
from imbalance_torch.training._posterior import overcorrected
from tests.training.test_classifier import run_fit

Y = (torch.arange(600) % 20 == 0).long()  # 570 and 30 rows
X = torch.randn(600, 4, generator=torch.Generator().manual_seed(0)) + Y[:, None]
COUNTS = [570, 30]
RAW = {
    "weights": (lambda: ClassWeightedCrossEntropyLoss.from_counts(COUNTS), 2),
    "torch weights": (lambda: nn.CrossEntropyLoss(torch.tensor([0.5, 9.5])), 2),
    "focal weights": (lambda: FocalLoss(class_weights(COUNTS).float(), gamma=2.0), 2),
    "pos_weight": (lambda: ClassWeightedBCEWithLogitsLoss.from_counts(COUNTS), 1),
    "torch pos_weight": (lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(19.0)), 1),
    "alpha": (lambda: SigmoidFocalLoss(alpha=0.95), 1),
    "logit adjusted": (lambda: LogitAdjustedLoss.from_counts(COUNTS), 2),
    "logit adjusted bce": (lambda: LogitAdjustedBCEWithLogitsLoss(0.05), 1),
    "balanced softmax": (lambda: BalancedSoftmaxLoss(COUNTS), 2),
}
FED = {  # built for a sampler that feeds 1 to 4
    "weights": (lambda: ClassWeightedCrossEntropyLoss.from_counts([480, 120]), 2),
    "pos_weight": (lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0)), 1),
    "logit adjusted": (lambda: LogitAdjustedLoss.from_counts([480, 120]), 2),
}
PLAIN = {
    "cross entropy": (nn.CrossEntropyLoss, 2),
    "bce": (nn.BCEWithLogitsLoss, 1),
    "focal": (lambda: FocalLoss(gamma=2.0), 2),
    "the alpha of the paper": (lambda: SigmoidFocalLoss(alpha=0.25), 1),
    "asymmetric": (AsymmetricLoss, 1),
    "the smaller part": (lambda: nn.CrossEntropyLoss(torch.tensor([1.0, 2.0])), 2),
}


def moderate():
    return ClassBalancedSampler(Y, ratio=0.25, batch_size=50)


def warned(case, sampler=None, **kwargs):
    """Return the warnings about double correction of one fit."""
    loss, outputs = case
    loader = make_loader(TensorDataset(X, Y), sampler or ShuffledSampler(Y, batch_size=50))
    module = ImbalancedClassifier(nn.Linear(4, outputs), loss(), task="binary", **kwargs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_fit(module, loader)
        run_fit(module, loader)
    return [str(warning.message) for warning in caught if "both make up" in str(warning.message)]


@pytest.mark.parametrize("case", RAW.values(), ids=RAW)
def test_sampler_and_loss_for_the_raw_counts(case):
    (message,) = warned(case, moderate())
    assert message.startswith(f"ClassBalancedSampler and {type(case[0]()).__name__} both make up")
    assert "class 1 counts 4.75 times as much as the largest class" in message
    assert "`effective_prior`" in message


@pytest.mark.parametrize("case", [*RAW.values(), *FED.values(), *PLAIN.values()])
def test_a_loss_alone(case):
    assert warned(case) == []


@pytest.mark.parametrize("case", [*FED.values(), *PLAIN.values()])
def test_a_sampler_with_a_loss_for_what_it_feeds(case):
    assert warned(case, moderate()) == []


def test_resampler_and_weights():
    resampler = BatchOversampler(SMOTE(random_state=0), target_ratio=0.25)
    (message,) = warned(RAW["weights"], resampler=resampler)
    assert message.startswith("BatchOversampler and ClassWeightedCrossEntropyLoss both make up")
    assert warned(PLAIN["cross entropy"], resampler=BatchOversampler(SMOTE(random_state=0), target_ratio=0.25)) == []


def test_stream_and_weights():
    source = [(x, int(y)) for x, y in zip(X, Y, strict=True)]
    loader = DataLoader(BalancedIterableDataset(source, {0: 4, 1: 1}), batch_size=10)
    module = ImbalancedClassifier(nn.Linear(4, 2), RAW["weights"][0](), task="binary", class_counts=COUNTS)
    with pytest.warns(UserWarning, match="BalancedIterableDataset and ClassWeightedCrossEntropyLoss both make up"):
        run_fit(module, loader)
    assert module.train_prior.tolist() == [0.8, 0.2]


@pytest.mark.parametrize(("weight", "label"), [([9.0, 2.0, 1.0], 0), ([1.0, 1.0, 1.0], None)])
def test_labels(weight, label):
    labels = torch.stack([torch.arange(600) % 10 == 0, torch.arange(600) % 3 == 0, torch.arange(600) % 2 == 0], dim=1)
    sampler = MultiLabelBalancedSampler(labels, batch_size=50)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight))
    module = ImbalancedClassifier(nn.Linear(4, 3), loss, task="multilabel", num_classes=3)
    expected = contextlib.nullcontext()
    if label is not None:
        expected = pytest.warns(UserWarning, match=f"the rarer side of label {label} counts")
    with expected:
        run_fit(module, make_loader(TensorDataset(X, labels.float()), sampler))
    assert module.train_prior[:, 1].tolist() == pytest.approx(sampler.effective_prior.tolist())


def test_definition():
    def shares(*values):
        tensor = torch.tensor(values, dtype=torch.float64)
        return tensor / tensor.sum(-1, keepdim=True)

    data = shares(90, 9, 1)
    assert overcorrected(data, data, shares(1, 1, 50)) is None  # the loss alone, however far
    assert overcorrected(data, shares(1, 2, 1), shares(1, 2, 1)) is None  # the sampler alone
    assert overcorrected(data, shares(9, 3, 1), shares(1, 1, 1)) is None  # together, up to level
    assert overcorrected(data, shares(9, 3, 1), shares(10, 10, 10.5)) is None
    assert overcorrected(data, shares(9, 3, 1), shares(1, 2, 6)) == (2, pytest.approx(6))
    assert overcorrected(data, shares(90, 1, 1), shares(1, 5, 1)) is None  # class 1 is raised by the loss only
    labels = shares([90, 10], [5, 95], [99, 1])
    assert overcorrected(labels, labels, shares([1, 9], [9, 1], [1, 9])) is None
    fed = shares([80, 20], [5, 95], [90, 10])
    assert overcorrected(labels, fed, shares([1, 1], [1, 1], [1, 3])) == (2, pytest.approx(3))
