"""Runs: train into a directory, resume it exactly, evaluate and score with the model it left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_device, require
from imbalance_torch.data import iterate_table, write_table
from imbalance_torch.data._sources import fingerprint
from imbalance_torch.metrics import binary_scores, multiclass_scores
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision
from imbalance_torch.training._callbacks import waiting
from imbalance_torch.training._datamodule import DEFAULT_BLOCKS, EMBEDDED, TabularDataModule
from imbalance_torch.training._fitting import Settings, fit
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._threshold_rules import fit_decision, parse_threshold

if TYPE_CHECKING:
    import pandas as pd

_REPLICATES = 200


@dataclass(frozen=True)
class DataOptions:
    """Where the table is and what its columns are for; goes through JSON unchanged.

    Attributes are the arguments of :class:`TabularDataModule` with the same names.
    """

    source: str
    target: str | None = None
    time: str | None = None
    drop: list[str] = field(default_factory=list)
    positive: str | None = None
    split: Sequence[float] = (0.6, 0.2, 0.2)
    blocks: Sequence[str] = DEFAULT_BLOCKS
    num_bins: int = 8
    max_categories: int = 254
    min_category_rows: int = 1
    seed: int = 0
    group: str | None = None
    roles: dict[str, str] = field(default_factory=dict)
    audit: bool = True

    def build(self) -> TabularDataModule:
        """Build the data module."""
        return TabularDataModule(**self.__dict__)

    def fingerprint(self) -> str:
        """Return the sha256 of the file, of several files over their paths and contents; a fixed name if embedded."""
        return EMBEDDED if self.source == EMBEDDED else fingerprint(self.source)


def train(
    options: DataOptions,
    settings: Settings,
    output: str | Path,
    *,
    threshold: str = "auto",
    started: Callable[[TabularDataModule], None] | None = None,
) -> dict[str, float]:
    """Train a detector into a run directory: ``run.json``, ``checkpoints/``, ``log/``, ``metrics.json``, ``model/``.

    Args:
        options: the table.
        settings: technique, network, budget, seed, device.
        output: directory of the run; it must not exist yet, or be empty.
        threshold: how the threshold is chosen on validation rows: "auto" (F1 for two classes, the likeliest of more),
            "f1" or another F-beta, "balanced_accuracy", "precision:0.9", "recall:0.8", "alerts:20" (a day, by the
            time column), "cost:FN=10,FP=1", "macro_f1" (one for each of three classes or more), or a number.
        started: called with the data once they are read and encoded, such as to print their roles.

    Returns:
        The figures on the test rows.

    Raises:
        FileExistsError: the directory is not empty.
        ValueError: the data or an option are unusable; nothing has been written then.
    """
    directory = Path(output)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"{directory} is not empty. Choose another directory, or `resume` the run in it.")
    data = _prepared(options)
    parse_threshold(threshold, data.num_classes, _days(data))
    record = {
        "data": {**options.__dict__, "source": _absolute(options.source)},
        "fingerprint": options.fingerprint(),
        "settings": settings.to_dict(),
        "threshold": threshold,
    }
    if started is not None:
        started(data)
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "run.json", record)
    try:
        return _finish(fit(data, settings, directory=directory), data, settings, threshold, directory)
    except (TypeError, ValueError):
        if not (directory / "checkpoints").exists():
            shutil.rmtree(directory)
        raise


def resume(output: str | Path, *, threshold: str | None = None) -> dict[str, float]:
    """Go on with an interrupted run from its last checkpoint; the result is that of an uninterrupted run.

    Args:
        output: the directory that :func:`train` was given.
        threshold: another rule than the run began with, such as where no threshold keeps that one.

    Returns:
        The figures on the test rows; those of a finished run at once.

    Raises:
        FileNotFoundError: no run or no checkpoint there.
        ValueError: the data have changed since the run began, or the run's files are damaged.
    """
    directory = Path(output)
    if not (directory / "run.json").is_file():
        raise FileNotFoundError(f"{directory} holds no run: run.json is missing. Start one with `train`.")
    if threshold is None and (directory / "metrics.json").is_file():
        finished: dict[str, float] = json.loads((directory / "metrics.json").read_text())
        return finished
    try:
        record = json.loads((directory / "run.json").read_text())
        options, settings = DataOptions(**record["data"]), Settings.from_dict(record["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory / 'run.json'} is damaged ({error}). Train again.") from error
    if options.fingerprint() != record["fingerprint"]:
        raise ValueError(f"{options.source} has changed since the run began. Restore the file, or train anew.")
    data = _prepared(replace(options, audit=False))  # told when the run began
    model = fit(data, settings, directory=directory, resume=True)
    return _finish(model, data, settings, threshold or record["threshold"], directory)


def evaluate(model: str | Path, file: str | Path, *, device: str = "auto") -> dict[str, float]:
    """Return the figures of a model directory on a labelled file.

    Args:
        model: model directory.
        file: what :func:`read_table` takes, with the target column.
        device: of the network: "auto", "cpu" or "cuda".

    Raises:
        ValueError: the model is damaged, or the file lacks a column or has unknown labels.
    """
    detector = _loaded(model, device)
    schema = detector.schema
    chunks = _typed_chunks(detector, file, [schema.target], text=isinstance(schema.classes[0], str))
    frame = require("pandas", extra="train").concat(chunks, ignore_index=True)
    target = torch.from_numpy(detector.schema.encode_target(frame))
    if bool((target == target[0]).all()):
        raise ValueError(f"{file} has rows of one class only; the figures need at least two.")
    return _figures(detector, detector.encoder.encode(frame), target)


def score(
    model: str | Path, file: str | Path, output: str | Path, *, keep: Sequence[str] = (), device: str = "auto"
) -> int:
    """Score a file of raw rows, chunk by chunk, and write score, probability and decision of each row.

    Args:
        model: model directory.
        file: what :func:`read_table` takes, such as a file or a directory; the target column is not needed.
        output: CSV or Parquet; appears whole or not at all.
        keep: columns of ``file`` that are copied to the output, such as an identifier.
        device: of the network: "auto", "cpu" or "cuda"; the file is encoded on the CPU.

    Returns:
        The number of rows.
    """
    detector = _loaded(model, device)
    own = {"score", "probability", "decision", *(f"probability_{label}" for label in detector.schema.classes)}
    if clash := sorted({*keep} & own):
        raise ValueError(f"`keep` names {clash[0]!r}, which is a column of the output.")
    chunks = _typed_chunks(detector, file, dict.fromkeys(keep))
    with waiting("scoring"):
        return write_table(_scored(detector, chunks, list(dict.fromkeys(keep))), output)


def _loaded(directory: str | Path, device: str) -> TabularModel:
    place = check_device(device)
    model = TabularModel.load(directory)
    model.classifier.to(place)
    return model


def _typed_chunks(
    model: TabularModel, file: str | Path, extra: Iterable[str], *, text: bool = False
) -> Iterator[pd.DataFrame]:
    """Read the model's columns with its own types, so that a CSV scores as the table it was trained on."""
    encoder = model.encoder
    categories = {name: {*values} for name, values in encoder.categories.items()}
    booleans = [
        name for name, values in categories.items() if values & {"True", "False"} and values <= {None, "True", "False"}
    ]
    zoned = [name for name, zone in encoder.zones.items() if zone is not None]
    return iterate_table(
        file,
        numbers=encoder.numeric,
        text=[name for name in encoder.categorical if name not in booleans] + zoned + [*extra] * text,
        booleans=[*encoder.boolean, *booleans],
        datetimes=[name for name in encoder.datetime if name not in zoned],
        columns=[*encoder.columns, *extra],
    )


def write_json(file: Path, record: object) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(file, json.dumps(record, indent=1) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a text under a temporary name and rename it."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _prepared(options: DataOptions) -> TabularDataModule:
    data = options.build()
    with waiting("reading and encoding"):
        data.setup()
    return data


def _finish(
    model: TabularModel, data: TabularDataModule, settings: Settings, threshold: str, directory: Path
) -> dict[str, float]:
    decision = fit_decision(model, *data.rows("val"), threshold, _days(data))
    figures = _figures(model, *data.rows("test"))
    model.card = {
        "columns": [name for name in data.frame.columns if name in data.schema.features],
        "data": {part: len(rows) for part, rows in data.split._asdict().items()},
        "test": figures,
        **_interval(model, *data.rows("test")),
        "settings": settings.to_dict(),
        **decision,
    }
    model.save(directory / "model")
    write_json(directory / "metrics.json", figures)
    return figures


def _interval(model: TabularModel, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Return the stratified bootstrap interval of the AP of two classes."""
    if model.schema.num_classes > 2:
        return {}
    scores = model.probabilities(model.logits(x)).numpy()[None]
    replicates = bootstrap_average_precision(scores, y.numpy(), num_replicates=_REPLICATES)
    return {"test ap interval (95 %)": np.quantile(replicates, [0.025, 0.975]).tolist()}


def _days(data: TabularDataModule) -> int | None:
    """Return how many days have validation rows, where the table has a time column of dates."""
    if data.schema.time is None or data.frame[data.schema.time].dtype.kind != "M":
        return None
    time: pd.Series = data.frame[data.schema.time].iloc[data.split.val]
    return int(time.dt.floor("D").nunique())


def _figures(model: TabularModel, x: Tensor, y: Tensor) -> dict[str, float]:
    probabilities = model.probabilities(model.logits(x))
    if not isinstance(model.threshold, float):
        return multiclass_scores(probabilities, y, predictions=model.decide(probabilities))
    return {**binary_scores(probabilities, y, threshold=model.threshold), "threshold": model.threshold}


def _scored(model: TabularModel, chunks: Iterator[pd.DataFrame], keep: Sequence[str]) -> Iterator[pd.DataFrame]:
    for chunk in chunks:
        missing = [name for name in keep if name not in chunk.columns]
        if missing:
            raise ValueError(f"There is no column {missing[0]!r} to keep.")
        yield chunk[list(keep)].assign(**{name: np.asarray(value) for name, value in model.score(chunk).items()})


def _absolute(source: str) -> str:
    return source if source == EMBEDDED else str(Path(source).resolve())
