"""The HTML report of a run or a comparison: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.axes import Axes

from imbalance_torch.evaluation._plots_decisions import plot_alerts, plot_confusion, plot_threshold_cost
from imbalance_torch.evaluation._plots_probabilities import plot_drift, plot_reliability
from imbalance_torch.evaluation._plots_ranking import plot_pr, plot_roc, plot_score_histogram
from imbalance_torch.evaluation._plots_training import plot_training_prior
from imbalance_torch.evaluation._report_text import calibration_text, class_table, group_table, threshold_text
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.evaluation._svg import draw
from imbalance_torch.evaluation._table import Table
from imbalance_torch.training._run import write_text

_CURVES = 4


@dataclass(frozen=True)
class Report:
    """What the page of :func:`write_report` shows.

    Attributes:
        title: heading of the page.
        verdict: the outcome in plain words, shown first.
        scored: the model that the page speaks of, then others; all of the same classes. Curves show the first four.
        facts: name to text: what the data is.
        tables: figures of the techniques, such as one table for each budget; none for a single run.
        statements: sentences below the tables: one for each technique and budget, or notes.
        settings: name to value.
        versions: package to version.

    Raises:
        ValueError: no model, or models of different classes.
    """

    title: str
    verdict: str
    scored: Sequence[Scored]
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    statements: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the models."""
        if not self.scored:
            raise ValueError("`scored` must hold at least one model.")
        if any(list(model.classes) != list(self.scored[0].classes) for model in self.scored):
            raise ValueError("`scored` must hold models of the same classes.")


def write_report(report: Report, file: str | Path) -> Path:
    """Write one self-contained HTML file: inline SVG, no script, no reference to anything else.

    Summary with verdict, threshold and calibration first; then techniques, curves with bands, reliability before and
    after correction, costs and alerts, confusion, tables per class and group, drift, training shares, settings. What
    does not apply is left out: costs and alerts beyond two classes, groups without ``group``, drift without ``time``,
    synthetic rows without ``realism``. Light and dark, on a phone and in print.

    Args:
        report: what to show.
        file: path of the HTML file; missing directories are made.

    Returns:
        The path. The file appears whole or not at all.

    Notes:
        Text of the data (labels, names) is escaped. Drawing takes some seconds for a million test rows.

    Example:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> report = Report("A first run", "One model, three test rows.", [scored])
        >>> with TemporaryDirectory() as directory:
        ...     write_report(report, f"{directory}/report.html").stat().st_size > 10_000
        True
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    model = report.scored[0]
    page = environment.get_template("report.html.j2").render(
        report=report,
        model=model,
        threshold=threshold_text(model),
        calibration=calibration_text(model),
        figures={name: _drawn(name, plots) for name, plots in _plots(list(report.scored[:_CURVES])).items()},
        classes=class_table(model),
        groups=None if model.group is None else group_table(model),
    )
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, page)
    return target


_Plots = list[tuple[str, Callable[[Axes], Axes]]]


def _plots(scored: list[Scored]) -> dict[str, _Plots]:
    """Return caption and plot of every drawing, by section."""
    model = scored[0]
    two, bands = len(model.classes) == 2, "Bands: 95 %, stratified bootstrap of the test rows."
    costs: _Plots = [
        ("What a threshold costs if a missed positive costs ten false alarms.", partial(plot_threshold_cost, scored)),
        ("How many alerts a threshold raises, and how many of them are right.", partial(plot_alerts, model)),
    ]
    drift: _Plots = [
        (
            "Windows of equal mass in time order. The average precision follows the prevalence; compare both.",
            partial(plot_drift, model),
        )
    ]
    return {
        "ranking": [
            (f"Higher is better. {bands}", partial(plot_pr, scored)),
            (f"Further to the upper left is better. {bands}", partial(plot_roc, scored)),
        ],
        "probabilities": [
            (
                "Raw probabilities, 15 bins of equal mass with 95 % intervals.",
                partial(plot_reliability, scored, corrected=False),
            ),
            ("Corrected probabilities; on the dotted line they mean what they say.", partial(plot_reliability, scored)),
            ("Scores of both sides; the less they overlap, the better.", partial(plot_score_histogram, model)),
        ],
        "decisions": [
            *costs * two,
            ("Test rows by true class and decision; shade and % are shares of a row.", partial(plot_confusion, model)),
        ],
        "drift": drift * (model.time is not None),
        "training": [
            ("What training was fed, and how the correction takes it back.", partial(plot_training_prior, model))
        ],
    }


def _drawn(section: str, plots: _Plots) -> list[tuple[str, str]]:
    return [(caption, draw(plot, f"{section} {number}")) for number, (caption, plot) in enumerate(plots)]
