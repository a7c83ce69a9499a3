"""What a report says in words and tables about the test rows of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import precision_recall_fscore_support

from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.evaluation._table import Table
from imbalance_torch.metrics import average_precision, calibration_error

_GROUPS = 50


def threshold_text(scored: Scored) -> tuple[str, str]:
    """Return the decision rule, short, and what it means on the test rows."""
    count, decided = len(scored.target), scored.decided
    precision, recall, f1, _ = precision_recall_fscore_support(
        scored.target, decided, labels=np.unique(scored.target), zero_division=0
    )
    if len(scored.classes) > 2 or not isinstance(scored.threshold, int | float):
        right = (decided == scored.target).mean()
        rule = "The likeliest class wins" if scored.threshold is None else "The largest probability / threshold wins"
        return rule, (
            f"On the {count:,} test rows {100 * right:.1f} % of the decisions are right; the mean recall of the "
            f"{len(recall)} classes is {recall.mean():.3f}, their mean precision {precision.mean():.3f}, "
            f"their mean F1 {f1.mean():.3f}."
        )
    alerts, found = int(decided.sum()), int(decided[scored.target == 1].sum())
    positives = int(scored.target.sum())
    per_day = f", {alerts / scored.days:.3g} a day over {scored.days} days" if scored.days else ""
    return f"{scored.threshold:.4g}", (
        f"A row is flagged as “{scored.classes[1]}” from this corrected probability on. On the {count:,} test rows "
        f"that is {alerts:,} alerts ({100 * alerts / count:.2f} % of the rows{per_day}); {found:,} of them are right "
        f"(precision {precision[1]:.3f}), and {found:,} of {positives:,} positives are found (recall {recall[1]:.3f})."
    )


def calibration_text(scored: Scored) -> tuple[str, str]:
    """Return expected over observed positives, raw and corrected, and what that means."""
    index = scored.positive
    positive = scored.target == index
    observed = int(positive.sum())
    raw, corrected = scored.raw[:, index], scored.corrected[:, index]
    errors = [float(calibration_error(torch.from_numpy(p), torch.from_numpy(positive))) for p in (raw, corrected)]
    kind = "positives" if len(scored.classes) == 2 else f"rows of “{scored.classes[index]}”, the rarest class,"
    return f"{raw.sum() / observed:.2f} → {corrected.sum() / observed:.2f}", (
        f"Expected over observed {kind} before and after correction; 1 is right. The corrected probabilities expect "
        f"{corrected.sum():,.0f}, the test rows hold {observed:,}; the calibration error goes from {errors[0]:.4f} to "
        f"{errors[1]:.4f}. Map: {scored.calibration}. {scored.calibration_reason}"
    )


def class_table(scored: Scored) -> Table:
    """Return rows, shares, precision, recall, F1 and AP of every class at the chosen threshold."""
    precision, recall, f1, support = precision_recall_fscore_support(
        scored.target, scored.decided, labels=np.arange(len(scored.classes)), zero_division=0
    )
    rows = []
    for index, label in enumerate(scored.classes):
        own = scored.target == index
        shares = [f"{100 * share:.3g} %" for share in (scored.prior[index], scored.train_shares[index])]
        scores = [f"{score:.3f}" for score in (precision[index], recall[index], f1[index])]
        rows.append([str(label), f"{support[index]:,}", *shares, *scores, _ap(scored.corrected[:, index], own)])
    header = ["class", "test rows", "share of data", "fed to training", "precision", "recall", "F1", "AP"]
    return Table("Each class at the chosen threshold, on test rows", header, rows)


def group_table(scored: Scored) -> Table:
    """Return counts, precision, recall, AP and calibration of each group of test rows, largest first, at most 50."""
    index = scored.positive
    frame = pd.DataFrame(
        {
            "group": scored.group,
            "positive": scored.target == index,
            "alert": scored.decided == index,
            "p": scored.corrected[:, index],
        }
    )
    rows = []
    for name, part in sorted(frame.groupby("group", dropna=False, sort=False), key=lambda item: -len(item[1]))[
        :_GROUPS
    ]:
        positive, alert, p = (part[column].to_numpy(copy=True) for column in ("positive", "alert", "p"))
        found, positives, alerts = int((positive & alert).sum()), int(positive.sum()), int(alert.sum())
        counts = [f"{value:,}" for value in (len(part), positives, alerts)]
        ratio = _share(float(p.sum()), positives, 2)
        shares = [_share(found, alerts, 3), _share(found, positives, 3), _ap(p, positive), ratio]
        rows.append(["none" if pd.isna(name) else str(name), *counts, *shares])
    header = ["group", "test rows", "positives", "alerts", "precision", "recall", "AP", "expected/observed"]
    return Table("Each group at the chosen threshold, on test rows, largest groups first", header, rows)


def _ap(p: np.ndarray, positive: np.ndarray) -> str:
    return f"{float(average_precision(torch.from_numpy(p), torch.from_numpy(positive))):.3f}" if positive.any() else "–"


def _share(part: float, whole: int, digits: int) -> str:
    return f"{part / whole:.{digits}f}" if whole else "–"
