"""The figures by which techniques are compared: ranking, decisions and probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_tensor
from imbalance_torch.metrics._functional import brier_score, calibration_error
from imbalance_torch.metrics._ranking import auroc, average_precision, recall_at_precision

PRECISION_FLOOR = 0.5


def binary_scores(probabilities: Tensor, target: Tensor, *, threshold: float = 0.5) -> dict[str, float]:
    """Return the figures of one set of binary probabilities.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,); both occur.
        threshold: for the balanced accuracy.

    Returns:
        ``ap``, ``auroc``, ``balanced_accuracy`` (of ``p >= threshold``), ``recall_at_precision_50``, ``brier``,
        ``calibration_error`` (15 bins of equal mass) and ``expected_observed`` (sum of p over number of positives).

    Raises:
        ValueError: as :func:`brier_score`, or only one class occurs.

    Example:
        >>> scores = binary_scores(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> round(scores["ap"], 4), scores["auroc"], scores["balanced_accuracy"]
        (0.8333, 0.75, 0.75)
    """
    brier = brier_score(probabilities, target)
    p, y = probabilities.double(), target.long()
    positives = int(y.sum())
    if not 0 < positives < len(y):
        raise ValueError(f"The figures need rows of both classes, got {positives} positives in {len(y)} rows.")
    flagged = probabilities >= threshold
    return {
        "ap": float(average_precision(p, y)),
        "auroc": float(auroc(p, y)),
        "balanced_accuracy": float((flagged[y == 1].double().mean() + (~flagged[y == 0]).double().mean()) / 2),
        "recall_at_precision_50": float(recall_at_precision(p, y, PRECISION_FLOOR)),
        "brier": float(brier),
        "calibration_error": float(calibration_error(p, y)),
        "expected_observed": float(p.sum() / positives),
    }


def multiclass_scores(probabilities: Tensor, target: Tensor, *, predictions: Tensor | None = None) -> dict[str, float]:
    """Return the figures of one set of multi-class probabilities.

    Args:
        probabilities: (N, C) floating point in [0, 1].
        target: class indices, (N,); at least two classes occur.
        predictions: the decisions, class indices, (N,); None decides for the likeliest class.

    Returns:
        ``ap`` and ``auroc`` (one class against the rest), ``balanced_accuracy`` (the mean recall) and ``f1`` of the
        decisions, each the plain mean over the classes that occur in ``target``, and ``brier``:
        ``mean_i sum_c (p_ic - [y_i = c])^2``.

    Raises:
        ValueError: no rows, another shape, probabilities outside [0, 1], labels outside 0..C-1, or only one class.

    Example:
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.1, 0.4]])
        >>> scores = multiclass_scores(p, torch.tensor([0, 1, 2]))
        >>> {name: round(value, 4) for name, value in scores.items()}
        {'ap': 1.0, 'auroc': 1.0, 'balanced_accuracy': 0.6667, 'f1': 0.5556, 'brier': 0.38}
    """
    p, y = check_floating("probabilities", probabilities).double(), check_tensor("target", target).long()
    if p.ndim != 2 or y.shape != p.shape[:1]:
        raise ValueError(
            f"`probabilities` must have shape (N, C) and `target` (N,), got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("`probabilities` must lie in [0, 1]: some are outside or NaN. Apply softmax to logits.")
    present = torch.unique(y)
    if len(present) < 2 or present[0] < 0 or present[-1] >= p.shape[1]:
        raise ValueError(f"`target` must have two or more of the classes 0..{p.shape[1] - 1}, got {present.tolist()}.")
    rest = [(p[:, label], (y == label).long()) for label in present.tolist()]
    decided = p.argmax(1) if predictions is None else predictions
    recalls, f1 = [], []
    for label in present:
        hits = ((decided == label) & (y == label)).double().sum()
        recalls.append(hits / (y == label).sum())
        f1.append(2 * hits / ((y == label).sum() + (decided == label).sum()))
    return {
        "ap": _mean([average_precision(score, hit) for score, hit in rest]),
        "auroc": _mean([auroc(score, hit) for score, hit in rest]),
        "balanced_accuracy": _mean(recalls),
        "f1": _mean(f1),
        "brier": float((p - torch.nn.functional.one_hot(y, p.shape[1])).square().sum(1).mean()),
    }


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())
