"""The fits of a comparison: every technique on every split at every budget, and what is kept of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rich.progress import Progress

from imbalance_torch._random import mix
from imbalance_torch.data import Split
from imbalance_torch.evaluation._arms import Arm, Outcome, fit_estimator, fit_technique, realism
from imbalance_torch.evaluation._figures import figures_of
from imbalance_torch.evaluation._fit_cost import measured_cost
from imbalance_torch.evaluation._repeats import with_split
from imbalance_torch.evaluation._results import Results
from imbalance_torch.training import Settings, StepProgress, TabularDataModule, Technique

_KEPT = 200_000


@dataclass
class Fits:
    """The fits of a comparison that are still to be done."""

    data: TabularDataModule
    cuts: list[Split]
    plan: dict[int, int]
    settings: Settings
    results: Results
    progress: Progress
    _outside: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def run(self, arms: dict[str, Arm]) -> None:
        """Do them, repeat by repeat, so that what there is after an interruption is paired."""
        task = self.progress.add_task("comparison", total=sum(self.plan.values()) * len(arms))
        for repeat, split in enumerate(self.cuts):
            cells = [(name, budget) for budget, count in self.plan.items() if repeat < count for name in arms]
            open_cells = [(name, budget) for name, budget in cells if (name, budget, repeat) not in self.results]
            self.progress.advance(task, len(cells) - len(open_cells))
            if not open_cells:
                continue
            own = self.data if split is self.data.split else with_split(self.data, split)
            for name, budget in open_cells:
                self._fit(name, arms[name], budget, repeat, own)
                self.progress.advance(task)

    def _fit(self, name: str, arm: Arm, budget: int, repeat: int, data: TabularDataModule) -> None:
        seed = self.settings.seed + repeat
        if (name, repeat) in self._outside:
            self.results.add(self._outside[name, repeat] | {"budget": budget})
            return
        settings = replace(self.settings, max_steps=budget, seed=seed)
        with measured_cost() as cost:
            if isinstance(arm, Technique):
                bar = StepProgress(f"{name}, {budget} steps, repeat {repeat}", progress=self.progress)
                outcome = fit_technique(arm, data, settings, bar)
            else:
                outcome = fit_estimator(arm, data, seed)
        y_val, y_test = data.rows("val")[1], data.rows("test")[1]
        figures, threshold = figures_of(outcome, y_val, y_test)
        row: dict[str, Any] = {
            "technique": name,
            "budget": budget,
            "repeat": repeat,
            "seed": seed,
            **figures,
            "threshold": np.atleast_1d(threshold),
            "calibration": outcome.calibration.name,
            "calibration_reason": outcome.calibration.reason,
            "seconds": cost.seconds,
            "peak_memory_mib": cost.peak_memory_mib,
            "rows_seen": outcome.rows_seen,
            "prior": np.asarray(data.class_counts) / sum(data.class_counts),
            "train_shares": np.asarray(outcome.train_shares),
        }
        if repeat == 0:
            row |= _test_rows(outcome, data) | {
                "realism": realism(None if outcome.model is None else outcome.model.classifier.resampler, data)
            }
            if outcome.model is not None:
                outcome.model.threshold = threshold
                outcome.model.card = {"test": figures, "settings": settings.to_dict()}
                outcome.model.save(self.results.model_directory(name, budget))
        if outcome.model is None:
            self._outside[name, repeat] = row
        self.results.add(row)


def _test_rows(outcome: Outcome, data: TabularDataModule) -> dict[str, Any]:
    """Return what plots need of the test rows, of a sample of them beyond 200,000; matrices lie flat."""
    test, schema = data.split.test, data.schema
    generator = np.random.Generator(np.random.PCG64(mix(0)))
    kept = np.sort(generator.permutation(len(test))[:_KEPT])
    rows: dict[str, Any] = {
        "target": data.y.numpy()[test][kept],
        "raw": outcome.raw.numpy()[kept].ravel(),
        "corrected": outcome.corrected.numpy()[kept].ravel(),
    }
    if schema.time is not None:
        rows["time"] = data.frame[schema.time].to_numpy()[test][kept]
    if schema.group is not None:
        rows["group"] = data.frame[schema.group].to_numpy()[test][kept].astype(str)
    return rows
