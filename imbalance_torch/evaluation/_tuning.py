"""tune: search technique, its figure and the learning rate on validation rows, then ask the test rows if it helped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from imbalance_torch._checks import check_int, require
from imbalance_torch._random import generator_for
from imbalance_torch.evaluation._study import (
    PARAMETERS,
    average_precision,
    check_same_study,
    counted,
    open_study,
    probabilities_of,
    records,
    run_trials,
)
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision
from imbalance_torch.training import DataOptions, Settings, TabularDataModule
from imbalance_torch.training._callbacks import progress_bar, waiting
from imbalance_torch.training._run import write_json


@dataclass(frozen=True)
class Tuning:
    """The outcome of :func:`tune`.

    Attributes:
        best: settings of the trial with the highest validation AP.
        best_trial: its number; 0 is the baseline.
        baseline: settings of the plain baseline: cross-entropy, no sampler, the default learning rate.
        trials: one record per trial: number, state ("complete" or "failed"), validation AP, parameters, seconds, error.
        validation_ap: of "baseline" and "best"; the difference flatters the best, which was chosen by it.
        test_ap: of "baseline" and "best", one value per new seed; empty where the baseline is the best.
        test_difference: mean paired difference of the test AP, best minus baseline, with its 95 % bootstrap interval.
        helps: the interval lies above 0, and the best is ahead with every new seed.
        reason: the same in one sentence.
    """

    best: Settings
    best_trial: int
    baseline: Settings
    trials: list[dict[str, Any]]
    validation_ap: dict[str, float]
    test_ap: dict[str, list[float]]
    test_difference: tuple[float, float, float]
    helps: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Tuning:
        """Rebuild what :meth:`to_dict` gave, also after JSON."""
        settings = {name: Settings.from_dict(record[name]) for name in ("best", "baseline")}
        return cls(**{**record, **settings, "test_difference": tuple(record["test_difference"])})


def tune(
    options: DataOptions, settings: Settings, output: str | Path, *, num_trials: int = 20, num_seeds: int = 3
) -> Tuning:
    """Search for the settings with the highest validation AP, and say whether they beat the plain baseline.

    Every trial is one fit with the same steps, seed and split. A trial takes a technique first, then its figure, and a
    learning rate:

    ========================  =======================================  ===============================================
    technique                 figure                                   why these values
    ========================  =======================================  ===============================================
    plain                     none                                     the baseline; gamma 0 and weight power 0 are it
    focal                     gamma: 0.5, 1, 2, 3                      in the paper AP peaks at 2 and has fallen at 5
    class_weighted            weight power: 0.25, 0.5, 0.75, 1         full weights often cost AP, their root less
    balanced                  ratio: 1/20, 1/10, 1/4                   a 1:1 mix often costs AP, a moderate one seldom
    rotating_undersampling    ratio: 1/20, 1/10, 1/4                   as above
    smote                     ratio: 1/20, 1/10, 1/4                   as above; needs numeric columns
    any                       learning rate: 1/4 to 5/2 of the         log-uniform, around the default
                              default (5e-4 to 5e-3), log-uniform
    ========================  =======================================  ===============================================

    A ratio that the table has already is left out. The first trials are the recipes at the default learning rate, the
    plain baseline before all; then come Optuna's TPE suggestions (Bergstra et al. 2011).

    Args:
        options: the table.
        settings: budget, network and seed of every fit; the technique is replaced, the learning rate is the default.
        output: directory of the study; new, empty, or with a study of the same data and settings, which goes on.
        num_trials: trials in total, >= 1, those of earlier calls included; failed ones count.
        num_seeds: new seeds, >= 2, with which baseline and best are fitted again for the test rows.

    Returns:
        A :class:`Tuning`. In ``output``: ``study.json`` (data and settings), ``study.db`` (the Optuna study, named
        "tune"), ``trials.csv``, ``best.json`` (for :meth:`Settings.from_dict`) and ``result.json``.

    Raises:
        ValueError: unusable data, or another study in ``output``: other data, or other settings.
        FileExistsError: ``output`` holds something else.
        ImportError: Optuna is missing; the message has the pip line.
        ArithmeticError: the loss of the baseline became NaN or infinite; in another trial that is a failed trial.

    Notes:
        The highest of many validation figures is too high by selection. Test rows take no part in the search. After the
        last trial, baseline and best are fitted with ``num_seeds`` seeds that no trial had and compared on test rows:
        the interval resamples the rows within each class, the seeds show training noise. A call that adds trials looks
        at the test rows again, so choose ``num_trials`` beforehand; a call that adds none reads ``result.json``.

        The study outlives a killed process (SQLite commits each trial); the trial that was cut short runs again. A
        suggestion depends on the seed, the number of trials before it and their figures alone, so an interrupted study
        proposes what an uninterrupted one does. One process at a time works on a study.

        Trials are not pruned: with a warm-up and a cosine that ends at zero, figures halfway do not rank the figures at
        the end. Cost: ``num_trials + 2 num_seeds`` fits.

    References:
        Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; Lin et al. 2017, arXiv:1708.02002;
        Cawley & Talbot 2010, "On Over-fitting in Model Selection".

    Example:
        >>> import tempfile
        >>> from imbalance_torch.training import DataOptions, Settings
        >>> settings = Settings(network="mlp", max_steps=2, batch_size=64)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     found = tune(DataOptions("nyc_flights"), settings, directory, num_trials=1, num_seeds=2)
        >>> found.best == settings, found.helps
        (True, False)
    """
    check_int("num_trials", num_trials, minimum=1)
    check_int("num_seeds", num_seeds, minimum=2)
    require("optuna", extra="tune")
    directory = Path(output)
    record = {
        "data": options.__dict__,
        "fingerprint": options.fingerprint(),
        "settings": settings.to_dict(),
    }
    check_same_study(directory, json.loads(json.dumps(record)))
    data = options.build()
    with waiting("reading and encoding"):
        data.setup()
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "study.json", record)
    try:
        return _tune(directory, data, settings, num_trials, num_seeds)
    except (ArithmeticError, TypeError, ValueError):
        if not (directory / "trials.csv").is_file():  # not even the baseline
            shutil.rmtree(directory)
        raise


def tuning_text(tuning: Tuning) -> str:
    """Return the outcome as the lines that the command line prints."""
    failed = sum(trial["state"] == "failed" for trial in tuning.trials)
    lines = [f"{len(tuning.trials)} trials{f', {failed} failed' if failed else ''}; AP on validation rows:"]
    for name, number in (("baseline", 0), ("best", tuning.best_trial)):
        trial = tuning.trials[number]
        settings = ", ".join(
            str(trial[key]) if key == "technique" else f"{key.replace('_', ' ')} {trial[key]:.4g}"
            for key in PARAMETERS
            if trial[key] is not None
        )
        lines.append(f"{name:<9} {tuning.validation_ap[name]:.4f}  trial {number}: {settings}")
    return "\n".join([*lines, f"verdict: {tuning.reason}"])


def _earlier_result(directory: Path, trials: list[dict[str, Any]], num_seeds: int) -> Tuning | None:
    file = directory / "result.json"
    if not file.is_file():
        return None
    earlier = Tuning.from_dict(json.loads(file.read_text(encoding="utf-8")))
    seeds = len(earlier.test_ap.get("best", ())) or num_seeds
    return earlier if earlier.trials == trials and seeds == num_seeds else None


def _tune(directory: Path, data: TabularDataModule, settings: Settings, num_trials: int, num_seeds: int) -> Tuning:
    with progress_bar() as progress, open_study(directory / "study.db") as study:
        run_trials(study, data, settings, directory, num_trials, progress)
        trials, values = records(study), [trial.value or 0.0 for trial in counted(study)]
        number = int(np.argmax(values))
        baseline, chosen = (Settings.from_dict(counted(study)[i].user_attrs["settings"]) for i in (0, number))
        validation = {"baseline": values[0], "best": values[number]}
        write_json(directory / "best.json", chosen.to_dict())
        if (earlier := _earlier_result(directory, trials, num_seeds)) is not None:
            return earlier
        outcome = _on_test_rows(data, baseline, chosen, num_seeds, progress) if number else ({}, (0.0, 0.0, 0.0))
    helps, reason = _verdict(*outcome)
    tuning = Tuning(chosen, number, baseline, trials, validation, *outcome, helps, reason)
    write_json(directory / "result.json", tuning.to_dict())
    return tuning


def _on_test_rows(
    data: TabularDataModule, baseline: Settings, best: Settings, num_seeds: int, progress: Progress
) -> tuple[dict[str, list[float]], tuple[float, float, float]]:
    """Compare both with new seeds: the AP of each, and the mean paired difference with its interval."""
    task = progress.add_task("new seeds", total=2 * num_seeds)
    probabilities: dict[str, list[Tensor]] = {"baseline": [], "best": []}
    for seed in range(1, num_seeds + 1):
        for name, settings in (("baseline", baseline), ("best", best)):
            chosen = replace(settings, seed=settings.seed + seed)
            p, target = probabilities_of(data, chosen, "test", f"{name} (seed {chosen.seed})", progress)
            probabilities[name].append(p)
            progress.advance(task)
    figures = {name: [average_precision(p, target) for p in fits] for name, fits in probabilities.items()}
    replicates = _replicates(torch.stack([p for fits in probabilities.values() for p in fits]), target)
    ours = replicates.reshape(len(replicates), 2, num_seeds).mean(2)
    low, high = np.quantile(ours[:, 1] - ours[:, 0], [0.025, 0.975])
    return figures, (float(np.mean(figures["best"]) - np.mean(figures["baseline"])), float(low), float(high))


def _replicates(scores: Tensor, target: Tensor, *, num_replicates: int = 200) -> np.ndarray:
    """Return the (macro) AP of each fit on rows resampled within each class, (R, K)."""
    if scores.ndim == 2:
        return bootstrap_average_precision(scores.numpy(), target.numpy(), num_replicates=num_replicates)
    generator = generator_for(0)
    strata = [torch.nonzero(target == label).flatten() for label in torch.unique(target)]
    replicates = np.empty((num_replicates, len(scores)))
    for replicate in replicates:
        drawn = [rows[torch.randint(len(rows), rows.shape, generator=generator)] for rows in strata]
        chosen = torch.cat(drawn)
        replicate[:] = [average_precision(p[chosen], target[chosen]) for p in scores]
    return replicates


def _verdict(figures: dict[str, list[float]], difference: tuple[float, float, float]) -> tuple[bool, str]:
    if not figures:
        return False, "no trial beats the plain baseline on validation rows; keep it"
    pairs = list(zip(figures["best"], figures["baseline"], strict=True))
    ahead = sum(best > base for best, base in pairs)
    measured = (
        f"on test rows the best trial's AP is {difference[0]:+.4f} [{difference[1]:+.4f}, {difference[2]:+.4f}] "
        f"from the baseline's, ahead with {ahead} of {len(pairs)} new seeds"
    )
    if difference[1] > 0 and ahead == len(pairs):
        return True, f"{measured}: more than noise"
    if difference[2] < 0:
        return False, f"{measured}: the gain on validation rows does not carry over, keep the plain baseline"
    return False, f"{measured}: no more than noise, the plain baseline is the simpler choice"
