"""The same measure for every group or class."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_number, check_same_length
from imbalance_torch.metrics._arguments import class_hits, score_matrix_of
from imbalance_torch.metrics._ranking import average_precision


def grouped(
    metric: Callable[[Tensor, Tensor], Any], probabilities: Tensor, target: Tensor, groups: Any
) -> list[dict[str, Any]]:
    """Return a measure for each group of rows: ages, countries, months.

    Args:
        metric: takes probabilities and target of some rows, returns a number.
        probabilities: (N,) or (N, C).
        target: 0 or 1, (N,).
        groups: group of each row, (N,): a tensor, an array or a sequence of numbers or of strings.

    Returns:
        For each group, in ascending order, ``group``, ``count`` (rows), ``positives`` and ``value``. The value is NaN
        where the measure raises ValueError, as most do for a group without positives.

    Raises:
        ValueError: another length, or the measure refuses the rows as a whole.

    Example:
        >>> from imbalance_torch.metrics import average_precision, grouped
        >>> p, target = torch.tensor([0.9, 0.2, 0.7, 0.8]), torch.tensor([1, 0, 1, 0])
        >>> for row in grouped(average_precision, p, target, ["web", "web", "shop", "shop"]):
        ...     print(row)
        {'group': 'shop', 'count': 2, 'positives': 1, 'value': 0.5}
        {'group': 'web', 'count': 2, 'positives': 1, 'value': 1.0}
    """
    labels = groups.cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if labels.ndim != 1:
        raise ValueError(f"`groups` must have shape (N,), got groups.shape={labels.shape}.")
    check_same_length(probabilities=probabilities, target=target, groups=labels)
    metric(probabilities, target)
    names, index = np.unique(labels, return_inverse=True)
    group = torch.from_numpy(index).to(target.device)
    rows = []
    for number, name in enumerate(names.tolist()):
        chosen = group == number
        p, y = probabilities[chosen], target[chosen]
        try:
            value = float(metric(p, y))
        except ValueError:
            value = math.nan
        rows.append({"group": name, "count": len(y), "positives": int((y == 1).sum()), "value": value})
    return rows


def per_class_scores(probabilities: Tensor, target: Tensor, *, threshold: float = 0.5) -> list[dict[str, float]]:
    """Return precision, recall, F1, average precision and support of every class, or of every label.

    Args:
        probabilities: (N, C) floating point, finite.
        target: class indices in 0..C-1, (N,): the highest probability is the decision. Or labels 0 and 1, (N, C): a
            label is decided for where its probability is at least ``threshold``.
        threshold: of labels.

    Returns:
        For each class ``class``, ``precision``, ``recall``, ``f1``, ``ap`` (one against the rest) and ``support`` (its
        rows). A precision, recall or F1 of nothing over nothing is 0; the AP of a class without rows is NaN.

    Raises:
        ValueError: another shape, scores that are not finite, labels outside 0..C-1 or neither 0 nor 1.

    Example:
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.1, 0.4]])
        >>> for row in per_class_scores(p, torch.tensor([0, 1, 2])):
        ...     print(row)
        {'class': 0, 'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'ap': 1.0, 'support': 1}
        {'class': 1, 'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'ap': 1.0, 'support': 1}
        {'class': 2, 'precision': 0.0, 'recall': 0.0, 'f1': 0.0, 'ap': 1.0, 'support': 1}
    """
    check_number("threshold", threshold)
    p = score_matrix_of("probabilities", probabilities)
    hits = class_hits(target, p)
    if target.ndim == 2:
        decided = p >= threshold
    else:
        decided = p.argmax(1)[:, None] == torch.arange(p.shape[1], device=p.device)
    found, support, flagged = (mask.sum(0).tolist() for mask in (hits & decided, hits, decided))
    return [
        {
            "class": label,
            "precision": found[label] / max(flagged[label], 1),
            "recall": found[label] / max(support[label], 1),
            "f1": 2 * found[label] / max(flagged[label] + support[label], 1),
            "ap": float(average_precision(p[:, label], hits[:, label])) if support[label] else math.nan,
            "support": support[label],
        }
        for label in range(p.shape[1])
    ]
