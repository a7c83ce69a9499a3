"""The table of a comparison, as cells of text; terminal and report show the same."""

from __future__ import annotations

from collections.abc import Callable

from imbalance_torch.evaluation._compare import Arm, Comparison

COLUMNS: list[tuple[str, Callable[[Arm], str]]] = [
    ("technique", lambda arm: arm.name),
    ("AP [95 %]", lambda arm: f"{arm.scores['ap']:.3f} [{arm.ap_interval[0]:.3f}, {arm.ap_interval[1]:.3f}]"),
    ("AUROC", lambda arm: f"{arm.scores['auroc']:.3f}"),
    (
        "bal. acc. raw .5 → tuned",
        lambda arm: f"{arm.scores['raw_balanced_accuracy']:.3f} → {arm.scores['balanced_accuracy']:.3f}",
    ),
    ("recall at 50 % precision", lambda arm: f"{arm.scores['recall_at_precision_50']:.3f}"),
    (
        "calibration error raw → corrected",
        lambda arm: f"{arm.scores['raw_calibration_error']:.4f} → {arm.scores['calibration_error']:.4f}",
    ),
    (
        "expected/observed raw → corrected",
        lambda arm: f"{arm.scores['raw_expected_observed']:.2f} → {arm.scores['expected_observed']:.2f}",
    ),
    ("calibration map", lambda arm: arm.calibration.name),
    ("seconds", lambda arm: f"{arm.scores['seconds']:.1f}"),
]

_NOTES = [
    "Means over the seeds, on test rows. AP interval: stratified bootstrap of the test rows.",
    "Balanced accuracy: uncorrected probabilities at 0.5, then corrected ones at the threshold that is best for it on "
    "validation rows. Calibration error: 15 bins of equal mass.",
    "Calibration map: fitted on validation rows, where it lowers the log-loss by a margin; none is the correction of "
    "the class shares alone.",
    "baseline: cross-entropy, the output bias started at the log prior.",
]
_SMOTE_NOTE = (
    "smote: interpolates the numeric columns of the encoded rows; category codes and missing indicators are copied "
    "from the base row and take no part in distances. It changes the densities of the classes as well as their shares, "
    "so its prior correction is approximate."
)


def notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the table must know."""
    smote = [_SMOTE_NOTE] if any(arm.name == "smote" for arm in comparison.arms) else []
    maps = [f"Calibration of {arm.name} (first seed): {arm.calibration.reason}" for arm in comparison.arms]
    return [*_NOTES, *smote, *maps]


def cells(arm: Arm) -> list[str]:
    """Return the cells of one technique."""
    return [cell(arm) for _, cell in COLUMNS]


def as_text(comparison: Comparison) -> str:
    """Return data, table and verdict as plain text."""
    rows = [[title for title, _ in COLUMNS], *(cells(arm) for arm in comparison.arms)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [f"{name:9} {value}" for name, value in comparison.data.items()]
    settings = comparison.settings
    lines.append(f"training  {settings.max_steps} steps of {settings.batch_size} rows, {comparison.seeds} seed(s) each")
    lines.append("")
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *notes(comparison), ""]
    lines.append(f"recommended: {comparison.recommended}: {comparison.reason}")
    lines.append(
        f"threshold:   {comparison.best.model.threshold:.4f} on the corrected probability (best F1 on validation)"
    )
    return "\n".join(lines)
