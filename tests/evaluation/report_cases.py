"""Reports of made-up rows, for the tests of plots and pages."""

from dataclasses import replace

import numpy as np

from imbalance_torch.evaluation import Report, Scored
from imbalance_torch.evaluation._table import Table


def two_classes(rows=4000, prevalence=0.05, seed=0, name="focal"):
    """Return a model that is fed 1:1, with right probabilities after the correction."""
    rng = np.random.default_rng(seed)
    target = (rng.random(rows) < prevalence).astype(np.int64)
    target[:2] = 0, 1
    score = rng.normal(size=rows) + 2 * target
    prior = np.log(prevalence / (1 - prevalence))
    raw, p = (1 / (1 + np.exp(-(2 * score - 2 + shift))) for shift in (0, prior))
    return Scored(
        name=name,
        target=target,
        corrected=np.stack([1 - p, p], 1),
        raw=np.stack([1 - raw, raw], 1),
        classes=["ok", "fraud"],
        threshold=0.3,
        prior=[1 - prevalence, prevalence],
        train_shares=[0.5, 0.5],
        calibration="temperature",
        calibration_reason="On held-out folds the log-loss falls from 0.12 (none) to 0.11 (temperature).",
        time=np.datetime64("2024-01-01T00:00") + np.arange(rows) * np.timedelta64(30, "m"),
        group=np.where(np.arange(rows) % 3 == 0, "web", "shop"),
        realism={"synthetic rows in enemy territory": 0.41},
    )


def many_classes(classes=4, rows=2000, seed=0):
    """Return a model of several classes, each about half as frequent as the one before."""
    rng = np.random.default_rng(seed)
    prior = 0.5 ** np.arange(classes)
    prior /= prior.sum()
    target = np.concatenate([np.arange(classes), rng.choice(classes, rows - classes, p=prior)])
    likelihood = np.exp(rng.normal(size=(rows, classes)) + 2 * np.eye(classes)[target])
    raw, p = likelihood, likelihood * prior
    return Scored(
        name="balanced softmax",
        target=target,
        corrected=p / p.sum(1, keepdims=True),
        raw=raw / raw.sum(1, keepdims=True),
        classes=[f"cover {index}" for index in range(classes)],
        threshold=None,
        prior=prior.tolist(),
        train_shares=[1 / classes] * classes,
        calibration="none",
        calibration_reason="No map lowers the log-loss.",
    )


def comparison(**changes):
    """Return a report of two models."""
    model = replace(two_classes(), **changes)
    return Report(
        title="Comparison of techniques for fraud",
        verdict="No technique beats the tuned baseline: of nine techniques none has a higher average precision that "
        "ten paired repeats could tell from chance. Keep the baseline.",
        scored=[model, replace(two_classes(seed=1), name="baseline")],
        facts={"rows": "200,000 (1:49)", "target": "is_fraud", "split": "by time: 120,000 / 40,000 / 40,000"},
        tables=[
            Table(
                "300 steps, 10 repeats",
                ["technique", "budget", "AP [95 %]", "AUROC", "balanced accuracy raw .5 → tuned", "seconds", "verdict"],
                [["focal", "300", "0.328 [0.312, 0.341]", "0.909", "0.812 → 0.815", "4.4", "no evidence"]] * 9,
            )
        ],
        statements=["focal: no evidence (AP +0.004 [-0.012, +0.020], 10 pairs at 300 steps)"] * 9,
        settings={"max_steps": 300, "learning_rate": 0.001, "hidden": [128, 64]},
        versions={"torch": "2.13.0"},
    )
