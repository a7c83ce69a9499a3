"""The figures of one fit on test rows, its thresholds chosen on validation rows."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch.decision import (
    threshold_for_balanced_accuracy,
    threshold_for_f_beta,
    thresholds_for_macro_f_beta,
)
from imbalance_torch.evaluation._arms import Outcome
from imbalance_torch.metrics import binary_scores, calibration_error, multiclass_scores

_BEFORE_AND_AFTER = ("balanced_accuracy", "brier", "calibration_error", "expected_observed")


def figures_of(outcome: Outcome, y_val: Tensor, y_test: Tensor) -> tuple[dict[str, float], float | list[float]]:
    """Return the figures by name, and the threshold that is best for (macro) F1 on validation rows.

    ``raw_`` figures are before any correction, decided at 0.5 or for the likeliest class, ``shifted_`` ones after the
    prior correction and before the calibration map; ``balanced_accuracy`` is at the threshold that is best for it on
    validation rows. Beyond two classes AP, AUROC, F1 and the calibration error are means over the classes, one class
    against the rest, and expected/observed is that of the rarest class.
    """
    two = outcome.corrected.shape[1] == 2
    before, after, threshold = (_of_two if two else _of_more)(outcome, y_val, y_test)
    likelihood = outcome.corrected.gather(1, y_test[:, None]).clamp_min(torch.finfo(torch.float64).tiny)
    after["neg_log_loss"] = float(likelihood.log().mean())
    after |= {f"raw_{name}": before[name] for name in _BEFORE_AND_AFTER}
    after |= {f"shifted_{name}": value for name, value in _of_probabilities(outcome.shifted, y_test).items()}
    return after, threshold


def _of_two(outcome: Outcome, y_val: Tensor, y_test: Tensor) -> tuple[dict[str, float], dict[str, float], float]:
    p_val, p, raw = outcome.corrected_val[:, 1], outcome.corrected[:, 1], outcome.raw[:, 1]
    balanced, threshold = threshold_for_balanced_accuracy(p_val, y_val), threshold_for_f_beta(p_val, y_val)
    flagged = p >= threshold
    hits = float((flagged & (y_test == 1)).sum())
    f1 = 2 * hits / float(flagged.sum() + y_test.sum())
    return binary_scores(raw, y_test), {**binary_scores(p, y_test, threshold=balanced), "f1": f1}, threshold


def _of_more(outcome: Outcome, y_val: Tensor, y_test: Tensor) -> tuple[dict[str, float], dict[str, float], list[float]]:
    p = outcome.corrected
    thresholds = thresholds_for_macro_f_beta(outcome.corrected_val, y_val)
    shares = torch.bincount(y_val, minlength=p.shape[1]) / len(y_val)
    after = multiclass_scores(p, y_test, predictions=(p / shares).argmax(dim=1))  # best for right probabilities
    after["f1"] = multiclass_scores(p, y_test, predictions=(p / thresholds).argmax(dim=1))["f1"]
    before = multiclass_scores(outcome.raw, y_test)
    return before | _of_probabilities(outcome.raw, y_test), after | _of_probabilities(p, y_test), thresholds.tolist()


def _of_probabilities(p: Tensor, y: Tensor) -> dict[str, float]:
    counts = torch.bincount(y, minlength=p.shape[1])
    rarest = 1 if p.shape[1] == 2 else int(torch.where(counts > 0, counts, len(y) + 1).argmin())
    labels = [1] if p.shape[1] == 2 else range(p.shape[1])
    errors = [calibration_error(p[:, label], (y == label).long()) for label in labels]
    return {
        "calibration_error": float(torch.stack(errors).mean()),
        "expected_observed": float(p[:, rarest].sum() / counts[rarest]),
    }
