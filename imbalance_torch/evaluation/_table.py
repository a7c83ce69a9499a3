"""The tables of a comparison, as cells of text; terminal and report show the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imbalance_torch.evaluation._compare import METRICS, Comparison, with_interval

_COLUMNS: list[tuple[str, Callable[[Any], str]]] = [
    ("AP", lambda row: f"{row.ap:.3f}"),
    ("AUROC", lambda row: f"{row.auroc:.3f}"),
    ("bal. acc. raw → tuned", lambda row: f"{row.raw_balanced_accuracy:.3f} → {row.balanced_accuracy:.3f}"),
    ("F1", lambda row: f"{row.f1:.3f}"),
    ("Brier", lambda row: f"{row.brier:.4f}"),
    (
        "calibration error raw → shifted → calibrated",
        lambda row: " → ".join(
            f"{error:.4f}"
            for error in (row.raw_calibration_error, row.shifted_calibration_error, row.calibration_error)
        ),
    ),
    (
        "expected/observed raw → shifted → calibrated",
        lambda row: " → ".join(
            f"{ratio:.2f}"
            for ratio in (row.raw_expected_observed, row.shifted_expected_observed, row.expected_observed)
        ),
    ),
    ("seconds", lambda row: f"{row.seconds:.1f}"),
    ("MiB", lambda row: f"{row.peak_memory_mib:.0f}"),
    ("rows seen", lambda row: f"{row.rows_seen:,.0f}"),
]
_NOTES = [
    "Means over the repeats, on test rows. The difference is paired, with its 95 % interval; the verdict is adjusted "
    "for the number of techniques.",
    "Balanced accuracy: uncorrected probabilities at 0.5, then corrected ones at the threshold that is best for it on "
    "validation rows. F1: at the threshold that is best for it there. Calibration error: 15 bins of equal mass.",
    "Shifted: after the prior correction in closed form. Calibrated: after the map, too, that lowers the log-loss of "
    "validation rows, where one does; these probabilities are what the model gives.",
    "baseline: cross-entropy, the output bias started at the log prior. MiB: peak of the process, data included. Rows "
    "seen: those of all batches, repeated and synthetic ones counted.",
]
_MULTICLASS = (
    "AP, AUROC, F1 and calibration error are means over the classes, one class against the rest; expected/observed is "
    "that of the rarest class; uncorrected decisions are for the likeliest class."
)
_SMOTE = (
    "SMOTE changes the densities of the classes as well as their shares, so its prior correction is approximate; the "
    "calibration map, chosen on validation rows, makes up for the rest."
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: what it shows.
        header: titles of the columns.
        rows: cells, a row per technique.
    """

    caption: str
    header: list[str]
    rows: list[list[str]]


def tables(comparison: Comparison) -> list[Table]:
    """Return one table for each budget, the largest first."""
    found, metric = [], METRICS[comparison.protocol["metric"]]
    for budget in reversed(comparison.budgets):
        effects = {effect.technique: effect for effect in comparison.effects if effect.budget == budget}
        pairs = comparison.protocol["repeats"][str(budget)]
        rows = []
        for row in comparison.means(budget).itertuples():
            effect = effects.get(row.Index)
            told = ["", "tuned baseline"] if effect is None else [with_interval(effect), effect.verdict]
            ap, *others = [cell(row) for _, cell in _COLUMNS]
            rows.append([row.Index, ap, *told, *others])
        header = ["technique", "AP", f"{metric} difference [95 %]", "verdict", *(title for title, _ in _COLUMNS[1:])]
        found.append(Table(f"{budget} steps, {pairs} repeat{'s' * (pairs > 1)}", header, rows))
    return found


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the tables must know."""
    found = list(_NOTES)
    if len(comparison.classes) > 2:
        found.append(_MULTICLASS)
    if any("smote" in name or "adasyn" in name for name in comparison.techniques):
        found.append(_SMOTE)
    maps = {name: scored.calibration_reason for name, scored in comparison.scored.items()}
    return found + [f"Calibration of {name} (first repeat): {reason}" for name, reason in maps.items()]


def as_text(comparison: Comparison) -> str:
    """Return data, tables, verdicts and recommendation as plain text."""
    lines = [f"{name:9} {value}" for name, value in comparison.data.items()]
    lines.append(f"training  batches of {comparison.settings.batch_size} rows, network {comparison.settings.network}")
    for table in tables(comparison):
        cells = [table.header, *table.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += ["", table.caption]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    lines += ["", *(effect.statement for effect in comparison.effects)]
    lines += ["", *notes(comparison), ""]
    lines.append(f"recommended: {comparison.recommended}: {comparison.reason}")
    threshold = comparison.scored[comparison.recommended].threshold
    if isinstance(threshold, float):
        lines.append(f"threshold:   {threshold:.4f} on the corrected probability (best F1 on validation rows)")
    return "\n".join(lines)
