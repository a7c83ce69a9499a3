"""The study below `tune`: a file that outlives the process, its trials in order, and one fit per trial."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress
from torch import Tensor

from imbalance_torch._checks import require
from imbalance_torch._random import mix
from imbalance_torch.evaluation._search_space import SearchSpace
from imbalance_torch.metrics import binary_scores, multiclass_scores
from imbalance_torch.training import Settings, StepProgress, TabularDataModule, fit

if TYPE_CHECKING:
    import optuna

PARAMETERS = ("technique", "gamma", "weight_power", "ratio", "learning_rate")


def check_same_study(directory: Path, record: dict[str, Any]) -> None:
    """Raise unless the directory is free or holds a study of this record."""
    file = directory / "study.json"
    if not file.is_file():
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise FileExistsError(f"{directory} is not empty and holds no study. Choose another directory.")
        return
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        differing = [
            f"`{name}` was {earlier[part].get(name)!r}, is {value!r}"
            for part in ("data", "settings")
            for name, value in record[part].items()
            if name not in ("source", "audit") and earlier[part].get(name) != value
        ]
        changed = earlier["fingerprint"] != record["fingerprint"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error!r}). Delete {directory} and tune again.") from error
    if changed:
        raise ValueError(f"{directory} holds a study of other data: the contents differ. Choose another directory.")
    if differing:
        raise ValueError(
            f"{directory} holds a study of other settings: {'; '.join(differing)}. "
            "Go on with the same ones, or choose another directory."
        )


@contextmanager
def open_study(file: Path) -> Iterator[optuna.Study]:
    """Open or create the study, without Optuna's log lines; close its file at the end."""
    optuna = require("optuna", extra="tune")
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        try:
            connect = partial(sqlite3.connect, file)  # a file name is not always a URL
            storage = optuna.storages.RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect})
            study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
        except Exception as error:
            raise ValueError(f"{file} cannot be opened ({error}). Delete {file.parent} and tune again.") from error
        try:
            yield study
        finally:
            storage.remove_session()
            storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(verbosity)


def run_trials(
    study: optuna.Study,
    data: TabularDataModule,
    settings: Settings,
    directory: Path,
    num_trials: int,
    progress: Progress,
) -> None:
    """Run trials until ``num_trials`` have ended, those of earlier calls included."""
    optuna = require("optuna", extra="tune")
    states, space = optuna.trial.TrialState, SearchSpace(data, settings)
    for cut_short in study.get_trials(states=[states.RUNNING]):
        study.tell(cut_short.number, state=states.FAIL)
    first = space.first()
    begun = len(counted(study))
    task = progress.add_task("trials", total=max(num_trials, begun), completed=begun)
    for number in range(begun, num_trials):
        if number < len(first) and not study.get_trials(states=[states.WAITING]):
            study.enqueue_trial(first[number])
        study.sampler = optuna.samplers.TPESampler(seed=mix(settings.seed, number) % 2**32)
        trial = study.ask()
        chosen = space.suggest(trial)
        trial.set_user_attr("settings", chosen.to_dict())
        start = time.perf_counter()
        try:
            value = average_precision(*probabilities_of(data, chosen, "val", f"trial {number}", progress))
        except (ArithmeticError, ValueError) as error:
            if number == 0:
                raise
            trial.set_user_attr("error", str(error))
            study.tell(trial, state=states.FAIL)
        else:
            trial.set_user_attr("seconds", round(time.perf_counter() - start, 3))
            study.tell(trial, value)
        progress.advance(task)
        _write_csv(directory / "trials.csv", records(study))


def probabilities_of(
    data: TabularDataModule, settings: Settings, part: str, description: str, progress: Progress
) -> tuple[Tensor, Tensor]:
    """Fit, and return the probabilities and labels of a part; the bar of the fit goes with it."""
    bars = progress.task_ids
    try:
        model = fit(data, settings, progress=StepProgress(description, progress=progress))
    finally:
        for bar in [bar for bar in progress.task_ids if bar not in bars]:
            progress.remove_task(bar)
    x, y = data.rows(part)
    return model.probabilities(model.logits(x)), y


def average_precision(probabilities: Tensor, target: Tensor) -> float:
    """Return the AP; of more than two classes its mean over them."""
    scores = binary_scores if probabilities.ndim == 1 else multiclass_scores
    return scores(probabilities, target)["ap"]


def counted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that came to an end by themselves."""
    return [trial for trial in study.get_trials() if trial.value is not None or "error" in trial.user_attrs]


def records(study: optuna.Study) -> list[dict[str, Any]]:
    """Return what `trials.csv` tells of each trial."""
    return [
        {
            "trial": number,
            "state": "failed" if trial.value is None else "complete",
            "validation_ap": trial.value,
            **{name: trial.params.get(name) for name in PARAMETERS},
            "seconds": trial.user_attrs.get("seconds"),
            "error": trial.user_attrs.get("error"),
        }
        for number, trial in enumerate(counted(study))
    ]


def _write_csv(file: Path, records: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, records[0])
    writer.writeheader()
    writer.writerows(records)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.write_text(text.getvalue(), encoding="utf-8", newline="")
    part.replace(file)
