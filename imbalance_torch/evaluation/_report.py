"""The HTML report of a comparison: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jinja2

import imbalance_torch
from imbalance_torch.evaluation._compare import Comparison, compare
from imbalance_torch.evaluation._plots import figures
from imbalance_torch.evaluation._table import COLUMNS, cells, notes
from imbalance_torch.training import TabularDataModule
from imbalance_torch.training._model import check_replaceable
from imbalance_torch.training._run import write_json


def compare_into(directory: str | Path, data: TabularDataModule, **keywords: Any) -> tuple[Comparison, Path]:
    """Run :func:`compare` and write ``report.html``, ``results.json`` and the recommended ``model`` into a directory.

    Args:
        directory: created if need be; files of an earlier comparison are replaced.
        data: the table.
        **keywords: of :func:`compare`; None means the default.

    Returns:
        The comparison, and the path of the report.

    Raises:
        FileExistsError: the path is a file, or its ``model`` is not a model directory.
    """
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Choose another output directory.")
    check_replaceable(folder / "model")
    comparison = compare(data, **{name: value for name, value in keywords.items() if value is not None})
    report = write_report(comparison, folder / "report.html")
    write_json(folder / "results.json", comparison.to_dict())
    comparison.best.model.card = {"test": comparison.best.scores, "settings": comparison.settings.to_dict()}
    comparison.best.model.save(folder / "model")
    return comparison, report


def write_report(comparison: Comparison, file: str | Path) -> Path:
    """Write the report of ``comparison`` to ``file`` and return its path; the file appears whole or not at all."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("imbalance_torch.evaluation", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("report.html.j2").render(
        comparison=comparison,
        header=[title for title, _ in COLUMNS],
        rows=[(arm.name, cells(arm)) for arm in comparison.arms],
        notes=notes(comparison),
        figures=figures(comparison),
        version=imbalance_torch.__version__,
    )
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(target)
    return target
