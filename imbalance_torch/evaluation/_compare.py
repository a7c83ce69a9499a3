"""compare: several techniques on one split, with equal steps, paired by seed, against the plain baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch.decision import Calibration, threshold_for_balanced_accuracy, threshold_for_f_beta
from imbalance_torch.metrics import binary_scores
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision
from imbalance_torch.training import RECIPES, Settings, StepProgress, TabularDataModule, TabularModel, fit
from imbalance_torch.training._callbacks import progress_bar, waiting

BASELINE = "baseline"


@dataclass
class Arm:
    """One technique: its figures (means over seeds) and, of the first seed, its model and its test probabilities.

    Attributes:
        name: of the recipe.
        scores: mean figures over the seeds; ``raw_*`` are before the prior correction.
        ap_interval: 95 % stratified-bootstrap interval of the AP.
        ap_difference: AP minus the baseline's, with the lowest and highest value of its simultaneous 95 % interval.
        ap_by_seed: AP of each seed.
        model: of the first seed, its threshold (best F1) chosen on validation rows.
        raw: uncorrected test probabilities of the first seed, (N,).
        corrected: corrected ones, (N,).
    """

    name: str
    scores: dict[str, float]
    ap_interval: tuple[float, float]
    ap_difference: tuple[float, float, float]
    ap_by_seed: list[float]
    model: TabularModel
    raw: Tensor
    corrected: Tensor

    @property
    def calibration(self) -> Calibration:
        """The calibration map of the model, chosen on validation rows."""
        chosen = self.model.classifier.calibration
        assert chosen is not None
        return chosen

    @property
    def threshold(self) -> float:
        """The threshold of the model."""
        chosen = self.model.threshold
        return chosen if isinstance(chosen, float) else 0.5


@dataclass
class Comparison:
    """The outcome of :func:`compare`.

    Attributes:
        arms: one per technique, the baseline first.
        target: of the test rows, (N,).
        data: facts about the data, as text.
        settings: of every fit but for the technique and the seed.
        seeds: how many.
        recommended: name of the technique to use.
        reason: why, in one sentence.
    """

    arms: list[Arm]
    target: Tensor
    data: dict[str, str]
    settings: Settings
    seeds: int
    recommended: str
    reason: str

    @property
    def best(self) -> Arm:
        """The recommended arm."""
        return next(arm for arm in self.arms if arm.name == self.recommended)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a JSON object."""
        return {
            "data": self.data,
            "settings": self.settings.to_dict(),
            "seeds": self.seeds,
            "recommended": self.recommended,
            "reason": self.reason,
            "threshold": self.best.model.threshold,
            "techniques": {
                arm.name: {
                    **arm.scores,
                    "ap_interval": list(arm.ap_interval),
                    "ap_difference": list(arm.ap_difference),
                    "ap_by_seed": arm.ap_by_seed,
                    "calibration": arm.calibration.to_dict(),
                }
                for arm in self.arms
            },
        }


def compare(
    data: TabularDataModule,
    *,
    recipes: Sequence[str] = tuple(RECIPES),
    num_seeds: int = 2,
    settings: Settings | None = None,
    num_replicates: int = 500,
) -> Comparison:
    """Train each technique on the same split with the same number of steps and seeds, and say whether one helps.

    Args:
        data: a two-class table; the test part is used for the figures alone, thresholds come from the validation part.
        recipes: names of techniques; the baseline (cross-entropy, output bias at the log prior, tuned threshold) is
            always among them.
        num_seeds: fits per technique; weights, batches and dropout differ, the split does not.
        settings: budget and network of every fit; their technique is replaced.
        num_replicates: bootstrap replicates of the test rows.

    Returns:
        A :class:`Comparison`. A technique is recommended over the baseline only if there are two or more seeds, its AP
        is higher in each of them, and the paired bootstrap interval of the difference, Bonferroni-corrected over the
        techniques, excludes 0. That interval speaks of the sampling of test rows, the seeds of training noise.

    Raises:
        ValueError: an unknown recipe, or a target with more than two classes.
    """
    settings = settings or Settings(network="mlp")
    check_int("num_seeds", num_seeds, minimum=1)
    names = list(dict.fromkeys([BASELINE, *(check_choice("recipes", name, RECIPES) for name in recipes)]))
    with waiting("reading and encoding"):
        data.setup()
    if data.num_classes != 2:
        raise ValueError(f"`compare` needs a target with two classes, got {data.num_classes}.")
    x_val, y_val = data.rows("val")
    x_test, y_test = data.rows("test")
    runs: dict[str, list[_Fit]] = {name: [] for name in names}
    with progress_bar() as progress:
        for seed in range(num_seeds):
            for name in names:
                start = time.perf_counter()
                chosen = replace(settings, technique=RECIPES[name], seed=settings.seed + seed)
                model = fit(data, chosen, progress=StepProgress(f"{name} (seed {seed})", progress=progress))
                seconds = time.perf_counter() - start
                runs[name].append(_evaluate(model, x_val, y_val, x_test, y_test, seconds))
    with waiting("bootstrap"):
        intervals = _intervals(runs, y_test.numpy(), num_replicates)
    arms = [_arm(name, fits, intervals[name], runs[BASELINE]) for name, fits in runs.items()]
    recommended, reason = _verdict(arms)
    return Comparison(arms, y_test, _facts(data), settings, num_seeds, recommended, reason)


@dataclass
class _Fit:
    model: TabularModel
    raw: Tensor
    corrected: Tensor
    scores: dict[str, float]


def _evaluate(
    model: TabularModel, x_val: Tensor, y_val: Tensor, x_test: Tensor, y_test: Tensor, seconds: float
) -> _Fit:
    logits = model.logits(x_val)
    model.classifier.calibrate(logits.double(), y_val)
    p_val = model.probabilities(logits)
    logits = model.logits(x_test)
    raw, corrected = model.raw_probabilities(logits), model.probabilities(logits)
    model.threshold = threshold_for_f_beta(p_val, y_val)
    before = binary_scores(raw, y_test)
    after = binary_scores(corrected, y_test, threshold=threshold_for_balanced_accuracy(p_val, y_val))
    scores = {
        **after,
        "raw_balanced_accuracy": before["balanced_accuracy"],
        "raw_calibration_error": before["calibration_error"],
        "raw_expected_observed": before["expected_observed"],
        "seconds": seconds,
    }
    return _Fit(model, raw, corrected, scores)


def _intervals(
    runs: Mapping[str, list[_Fit]], target: np.ndarray, num_replicates: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return per technique the bootstrap interval of the AP and of its difference to the baseline."""
    scores = np.stack([fit.corrected.numpy() for fits in runs.values() for fit in fits])
    replicates = bootstrap_average_precision(scores, target, num_replicates=num_replicates)
    by_name = dict(zip(runs, replicates.reshape(num_replicates, len(runs), -1).mean(-1).T, strict=True))
    tail = 0.025 / max(len(runs) - 1, 1)
    return {
        name: (
            np.quantile(values, [0.025, 0.975]),
            np.quantile(values - by_name[BASELINE], [tail, 1 - tail]),
        )
        for name, values in by_name.items()
    }


def _arm(name: str, fits: list[_Fit], intervals: tuple[np.ndarray, np.ndarray], baseline: list[_Fit]) -> Arm:
    scores = {key: float(np.mean([fit.scores[key] for fit in fits])) for key in fits[0].scores}
    differences = [fit.scores["ap"] - base.scores["ap"] for fit, base in zip(fits, baseline, strict=True)]
    (low, high), (low_difference, high_difference) = (tuple(map(float, interval)) for interval in intervals)
    return Arm(
        name,
        scores,
        (low, high),
        (float(np.mean(differences)), low_difference, high_difference),
        [fit.scores["ap"] for fit in fits],
        fits[0].model,
        fits[0].raw,
        fits[0].corrected,
    )


def _verdict(arms: list[Arm]) -> tuple[str, str]:
    baseline = arms[0]
    if len(baseline.ap_by_seed) < 2:
        return BASELINE, "one seed cannot tell a technique from training noise; ask for two or more"
    better = [
        arm
        for arm in arms[1:]
        if arm.ap_difference[1] > 0
        and all(ours > base for ours, base in zip(arm.ap_by_seed, baseline.ap_by_seed, strict=True))
    ]
    if not better:
        widest = max((arm.ap_difference for arm in arms[1:]), default=(0.0, 0.0, 0.0))
        return BASELINE, (
            "no technique beats the tuned baseline here: no interval of the paired AP difference lies above 0 in every "
            f"seed (best difference {widest[0]:+.3f} [{widest[1]:+.3f}, {widest[2]:+.3f}])"
        )
    best = max(better, key=lambda arm: arm.ap_difference[0])
    difference, low, high = best.ap_difference
    return best.name, (
        f"its AP is {difference:+.3f} [{low:+.3f}, {high:+.3f}] above the tuned baseline's, in every seed "
        "(interval corrected for the number of techniques)"
    )


def _facts(data: TabularDataModule) -> dict[str, str]:
    schema, split, labels = data.schema, data.split, data.y.numpy()
    parts = ", ".join(
        f"{name} {len(rows):,} rows ({labels[rows].mean():.2%} positive)" for name, rows in split._asdict().items()
    )
    missing = sum(bool(data.frame[name].isna().any()) for name in schema.features)
    return {
        "source": data.source if isinstance(data.source, str) else str(Path(str(data.source))),
        "target": f"{schema.target} (positive: {schema.classes[1]!r})",
        "rows": f"{len(labels):,}, {labels.mean():.2%} positive",
        "features": f"{len(schema.numeric)} numeric, {len(schema.categorical)} categorical; {missing} with gaps",
        "split": f"{'by ' + schema.time if schema.time else 'stratified'}: {parts}",
    }
