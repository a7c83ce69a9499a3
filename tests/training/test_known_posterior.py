"""Where the true posterior is known, every technique ends as close to it as training without one."""

from dataclasses import dataclass
from functools import cache, partial

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from imbalance_torch.class_stats import class_weights
from imbalance_torch.data import TensorLoader
from imbalance_torch.data.datasets import make_classification_with_known_posterior
from imbalance_torch.losses import ClassWeightedCrossEntropyLoss, FocalLoss, LogitAdjustedLoss, SigmoidFocalLoss
from imbalance_torch.models import MLP
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.samplers import ClassBalancedSampler, RotatingUnderSampler, ShuffledSampler
from imbalance_torch.training import ImbalancedClassifier
from imbalance_torch.training._fitting import quiet_lightning

PRIORS = {"binary": 0.05, "multiclass": [0.85, 0.1, 0.05]}
LOSSES = {
    "weights": ClassWeightedCrossEntropyLoss.from_counts,
    "logit adjusted": LogitAdjustedLoss.from_counts,
}
BINARY_LOSSES = LOSSES | {
    "focal": lambda counts: SigmoidFocalLoss(gamma=2.0),
    "focal with alpha": lambda counts: SigmoidFocalLoss(gamma=2.0, alpha=float(counts[0] / counts.sum())),
}
MULTICLASS_LOSSES = LOSSES | {
    "focal": lambda counts: FocalLoss(gamma=2.0),
    "focal with alpha": lambda counts: FocalLoss(class_weights(counts).float(), gamma=2.0),
}
SAMPLERS = {
    "balanced": partial(ClassBalancedSampler, ratio=0.25),
    "balanced, ratio 1": partial(ClassBalancedSampler, ratio=1.0),
    "rotating": partial(RotatingUnderSampler, ratio=0.25),
    "rotating, ratio 1": partial(RotatingUnderSampler, ratio=1.0),
}
RATIOS = {"smote": 0.25, "smote, ratio 1": 1.0}
TECHNIQUES = [*BINARY_LOSSES, *SAMPLERS, *RATIOS]
BATCH, BINS, TEST_ROWS, LEARNING_RATE = 1024, 15, 50_000, 1e-2


@dataclass(frozen=True)
class Size:
    rows: int
    steps: int
    seeds: int


FULL, SMALL = Size(120_000, 800, 5), Size(120_000, 400, 1)


@cache
def rows(task: str, num_rows: int, seed: int) -> tuple[Tensor, ...]:
    return make_classification_with_known_posterior(num_rows + TEST_ROWS, prior=PRIORS[task], random_state=seed)


def trained(task: str, technique: str, size: Size, seed: int) -> ImbalancedClassifier:
    X, y, _ = (part[:-TEST_ROWS] for part in rows(task, size.rows, seed))
    counts = torch.bincount(y)
    loss = (BINARY_LOSSES if task == "binary" else MULTICLASS_LOSSES).get(technique, lambda _: nn.CrossEntropyLoss())(
        counts
    )
    ratio = RATIOS.get(technique)
    sampler = SAMPLERS.get(technique, ShuffledSampler)(y, batch_size=BATCH, seed=seed)
    with torch.random.fork_rng(), quiet_lightning():
        torch.manual_seed(seed)
        outputs = 1 if isinstance(loss, SigmoidFocalLoss) else len(counts)
        module = ImbalancedClassifier(
            MLP(X.shape[1], num_outputs=outputs, hidden=[64], dropout=0.0),
            loss,
            task=task,
            class_counts=counts.tolist(),
            resampler=ratio and BatchOversampler(SMOTE(random_state=seed), target_ratio=ratio),
            optimizer=partial(AdamW, lr=LEARNING_RATE),
            scheduler=partial(
                OneCycleLR, max_lr=LEARNING_RATE, total_steps=size.steps + 1, pct_start=0.1, cycle_momentum=False
            ),
        )
        L.Trainer(
            accelerator="cpu",
            max_steps=size.steps,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, TensorLoader(X, y, batch_size=BATCH, sampler=sampler))
    return module.eval()


def binned_error(p: Tensor, posterior: Tensor) -> float:
    """Mean over bins of equal mass of |mean predicted - mean true|."""
    order = p.argsort()
    pairs = zip(p[order].tensor_split(BINS), posterior[order].tensor_split(BINS), strict=True)
    return float(torch.stack([(bin_p.mean() - bin_true.mean()).abs() for bin_p, bin_true in pairs]).mean())


@cache
def measured(task: str, technique: str, size: Size) -> tuple[float, float, float]:
    """Return the error of the worst class, a mean over seeds, and the range of expected / observed of all classes."""
    errors, shares = [], []
    for seed in range(size.seeds):
        X, y, posterior = (part[-TEST_ROWS:] for part in rows(task, size.rows, seed))
        module = trained(task, technique, size, seed)
        with torch.no_grad():
            p = module.log_probabilities(module(X).double()).exp()
        errors.append(max(map(binned_error, p.T, posterior.T)))
        shares += (p.sum(0) / torch.bincount(y)).tolist()
    return sum(errors) / len(errors), min(shares), max(shares)


def check(task: str, technique: str, size: Size) -> None:
    plain, *_ = measured(task, "plain", size)
    error, low, high = measured(task, technique, size)
    print(f"{task:10} {technique:18} error {error:.4f} (plain {plain:.4f}), expected/observed {low:.3f} to {high:.3f}")
    assert plain <= 0.006
    assert error <= (max(3 * plain, 0.01) if technique.endswith("ratio 1") else max(1.5 * plain, 0.004))
    assert 0.75 <= low <= high <= 1.33


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("task", PRIORS)
def test_every_technique_is_as_calibrated_as_none(task, technique):
    check(task, technique, FULL)


@pytest.mark.parametrize("technique", ["weights", "focal with alpha", "balanced, ratio 1", "smote"])
def test_in_a_small_form(technique):
    check("binary", technique, SMALL)


def test_in_a_small_form_with_three_classes():
    check("multiclass", "balanced, ratio 1", SMALL)


@pytest.mark.parametrize("technique", ["weights", "balanced"])
def test_the_bars_fail_without_the_correction(technique):
    module = trained("binary", technique, SMALL, 0)
    X, _, posterior = (part[-TEST_ROWS:] for part in rows("binary", SMALL.rows, 0))
    with torch.no_grad():
        p = module.raw_probabilities(module(X).double())
    assert binned_error(p, posterior[:, 1]) > 0.04
    assert p.sum() > 1.5 * posterior[:, 1].sum()
