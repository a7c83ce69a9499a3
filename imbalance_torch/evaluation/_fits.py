"""The fits of a comparison: every technique on every split at every budget, and what is kept of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from rich.progress import Progress

from imbalance_torch.data import Split
from imbalance_torch.evaluation._arms import Arm, Outcome, fit_estimator, fit_technique, realism
from imbalance_torch.evaluation._figures import figures_of
from imbalance_torch.evaluation._fit_cost import measured_cost
from imbalance_torch.evaluation._repeats import with_split
from imbalance_torch.evaluation._results import Results
from imbalance_torch.training import Settings, StepProgress, TabularDataModule, Technique


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
        if (name, repeat) in self._outside:
            self.results.add(self._outside[name, repeat] | {"budget": budget})
            return
        settings = replace(self.settings, max_steps=budget, seed=self.settings.seed + repeat)
        what = f"{name}, {budget} steps, repeat {repeat}"
        try:
            row, outcome = self._row(what, arm, data, settings)
        except (ArithmeticError, ValueError) as error:
            error.args = (f"{what}: {error}",)
            raise
        row = {"technique": name, "budget": budget, "repeat": repeat, **row}
        if repeat == 0:
            row |= _test_rows(outcome, data)
            if outcome.model is not None:
                outcome.model.save(self.results.model_directory(name, budget))
        if outcome.model is None:
            self._outside[name, repeat] = row
        self.results.add(row)

    def _row(self, what: str, arm: Arm, data: TabularDataModule, settings: Settings) -> tuple[dict[str, Any], Outcome]:
        bar = _CountingProgress(what, progress=self.progress)
        with measured_cost() as cost:
            outcome = (
                fit_technique(arm, data, settings, bar)
                if isinstance(arm, Technique)
                else fit_estimator(arm, data, settings.seed)
            )
        figures, threshold = figures_of(outcome, data.rows("val")[1], data.rows("test")[1])
        if outcome.model is not None:
            outcome.model.threshold = threshold
            outcome.model.card = {"test": figures, "settings": settings.to_dict()}
        row = {
            "seed": settings.seed,
            **figures,
            "threshold": np.atleast_1d(threshold),
            "calibration": outcome.calibration.name,
            "calibration_reason": outcome.calibration.reason,
            "seconds": cost.seconds,
            "peak_memory_mib": cost.peak_memory_mib,
            "rows_seen": bar.rows if isinstance(arm, Technique) else len(data.split.train),
            "prior": np.asarray(data.class_counts) / sum(data.class_counts),
            "train_shares": np.asarray(outcome.train_shares),
        }
        return row, outcome


class _CountingProgress(StepProgress):
    """A progress bar that counts the rows of the batches, synthetic ones included."""

    rows = 0

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Count the rows of the batch."""
        self.rows += len(batch[1])


def _test_rows(outcome: Outcome, data: TabularDataModule) -> dict[str, Any]:
    """Return what plots need of the test rows; matrices lie flat."""
    test, schema = data.split.test, data.schema
    rows: dict[str, Any] = {
        "target": data.y.numpy()[test],
        "raw": outcome.raw.numpy().ravel(),
        "corrected": outcome.corrected.numpy().ravel(),
        "realism": realism(None if outcome.model is None else outcome.model.classifier.resampler, data),
    }
    if schema.time is not None:
        rows["time"] = _times(data.frame[schema.time].iloc[test])
    if schema.group is not None:
        rows["group"] = data.frame[schema.group].iloc[test].astype(str).to_numpy()
    return rows


def _times(column: pd.Series) -> Any:
    """Return times that an axis can show: datetimes or numbers; of other things that sort, their ranks."""
    if column.dtype != object:
        return column.to_numpy()
    try:
        return pd.to_datetime(column).to_numpy()
    except (TypeError, ValueError):
        return pd.factorize(column, sort=True)[0]
