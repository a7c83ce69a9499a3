"""What a report shows of a comparison or of a run, and the directory it is written into."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from imbalance_torch.evaluation._arms import BASELINE, realism
from imbalance_torch.evaluation._compare import Comparison, assemble, compare, facts_of
from imbalance_torch.evaluation._report import Report, write_report
from imbalance_torch.evaluation._results import PROTOCOL_FILE, is_complete, read_models, read_protocol, read_rows
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.evaluation._table import notes, tables
from imbalance_torch.training import DataOptions, Settings, TabularDataModule, TabularModel
from imbalance_torch.training._callbacks import waiting
from imbalance_torch.training._run import write_json


def compare_into(directory: str | Path, data: TabularDataModule, **keywords: Any) -> tuple[Comparison, Path]:
    """Run :func:`compare` in a directory and leave ``report.html``, ``summary.json`` and the recommended ``model``.

    Args:
        directory: as in :func:`compare`; ``model`` is missing where a model from outside is recommended.
        data: the table.
        **keywords: of :func:`compare`.

    Returns:
        The comparison, and the path of the report.

    Raises:
        FileExistsError, ValueError: as :func:`compare`.
    """
    comparison = compare(data, directory=directory, **keywords)
    folder = Path(directory)
    with waiting("report"):
        file = write_report(report_of_comparison(comparison), folder / "report.html")
    write_json(folder / "summary.json", comparison.to_dict())
    chosen = comparison.models.get(comparison.recommended)
    if chosen is not None:
        chosen.save(folder / "model")
    elif (folder / "model" / "manifest.json").is_file():
        shutil.rmtree(folder / "model")  # of an earlier recommendation
    return comparison, file


def report(directory: str | Path, output: str | Path | None = None) -> Path:
    """Write the HTML report of what :func:`train` or :func:`compare` left in a directory.

    Args:
        directory: of the run or the comparison, which is finished.
        output: the file; by default ``report.html`` in the directory.

    Returns:
        The path of the report.

    Raises:
        FileNotFoundError: neither is there, it is not finished, or the data of a run are gone.
        ValueError: files are damaged, or the data of a run have changed.
    """
    folder = Path(directory)
    if (folder / PROTOCOL_FILE).is_file():
        page = report_of_comparison(load_comparison(folder))
    elif (folder / "run.json").is_file():
        page = report_of_run(folder)
    else:
        raise FileNotFoundError(f"{folder} holds neither a run nor a comparison. Name what `train` or `compare` wrote.")
    return write_report(page, folder / "report.html" if output is None else Path(output))


def load_comparison(directory: str | Path) -> Comparison:
    """Return the comparison that :func:`compare` left in a directory.

    Raises:
        FileNotFoundError: there is none, or it is not finished.
    """
    folder = Path(directory)
    protocol, rows = read_protocol(folder), read_rows(folder)
    if not is_complete(rows, protocol):
        raise FileNotFoundError(f"The comparison in {folder} is not finished. Run the same `compare` again.")
    return assemble(rows, protocol, read_models(folder, max(map(int, protocol["repeats"]))))


def report_of_comparison(comparison: Comparison) -> Report:
    """Return what the report of a comparison shows: the recommended technique, the baseline, then the others."""
    chosen = comparison.recommended
    order = sorted(comparison.techniques, key=lambda name: (name != chosen, name != BASELINE))
    verdict = (
        f"Keep the plain baseline with its tuned threshold: {comparison.reason}."
        if chosen == BASELINE
        else f"Use {chosen}: {comparison.reason}."
    )
    return Report(
        "Which technique, and was it worth it?",
        verdict,
        [comparison.scored[name] for name in order],
        comparison.data,
        tables(comparison),
        [effect.statement for effect in sorted(comparison.effects, key=lambda effect: -effect.budget)]
        + notes(comparison),
        _flat(comparison.settings)
        | {f"repeats at {budget} steps": count for budget, count in comparison.protocol["repeats"].items()},
        comparison.protocol["versions"],
    )


def report_of_run(directory: Path) -> Report:
    """Return what the report of a run shows: its model on its test rows."""
    if not (directory / "metrics.json").is_file():
        raise FileNotFoundError(f"The run in {directory} is not finished. Go on with `resume`.")
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    options, settings = DataOptions(**record["data"]), Settings.from_dict(record["settings"])
    if options.fingerprint() != record["fingerprint"]:
        raise ValueError(f"{options.source} has changed since the run began. Restore the file.")
    data = replace(options, audit=False).build()
    model = TabularModel.load(directory / "model")
    scored = score_test_rows(model, data, settings)
    ap = model.card["test"]["ap"]
    return Report(
        f"A detector of {data.schema.target}",
        f"The {settings.network} with {describe_technique(settings)} has an AP of {ap:.3f} on the test rows.",
        [scored],
        facts_of(data, "fixed"),
        [],
        [f"{name}: {value}" for name, value in model.card.items() if name not in ("columns", "settings")],
        _flat(settings),
        json.loads((directory / "model" / "model.json").read_text(encoding="utf-8"))["versions"],
    )


def score_test_rows(model: TabularModel, data: TabularDataModule, settings: Settings) -> Scored:
    """Return the test rows with the model's probabilities."""
    x, y = data.rows("test")
    logits = model.logits(x)
    raw, corrected = model.raw_probabilities(logits), model.probabilities(logits)
    if raw.ndim == 1:
        raw, corrected = (torch.stack([1 - p, p], dim=1) for p in (raw, corrected))
    schema, rows = data.schema, data.split.test
    resampler = settings.technique.build_resampler(data.encoder, settings.seed)
    calibration = model.classifier.calibration
    return Scored(
        settings.network,
        y.numpy(),
        corrected.numpy(),
        raw.numpy(),
        schema.classes,
        model.threshold,
        model.classifier.prior.tolist(),
        model.classifier.train_prior.tolist(),
        "none" if calibration is None else calibration.name,
        "" if calibration is None else calibration.reason,
        None if schema.time is None else data.frame[schema.time].to_numpy()[rows],
        None if schema.group is None else data.frame[schema.group].to_numpy()[rows].astype(str),
        None if resampler is None else realism(resampler.fit(*data.rows("train")), data),
    )


def _flat(settings: Settings) -> dict[str, Any]:
    """Return the settings as a table shows them: what a technique leaves at its default is left out."""
    record = settings.to_dict()
    technique = {name: value for name, value in record.pop("technique").items() if value is not None}
    return record | technique


def describe_technique(settings: Settings) -> str:
    """Return loss, sampler and resampler in words."""
    technique = settings.technique
    return " and ".join(filter(None, [technique.loss, technique.sampler, technique.resampler])).replace("_", " ")
