"""How well scores rank the positives: exact, from the sorted scores of either class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number, check_tensor
from imbalance_torch.metrics._arguments import (
    binary_probabilities_of,
    binary_scores_of,
    class_hits,
    score_matrix_of,
)


def average_precision(scores: Tensor, target: Tensor) -> Tensor:
    """Return the average precision: ``AP = sum_t (R_t - R_t') P_t`` over the distinct thresholds t.

    R_t and P_t are recall and precision of the rows with ``scores >= t``, and t' is the next higher threshold. Only
    thresholds at the score of a positive have a step in recall, so the others are never looked at.

    Args:
        scores: (N,) floating point, finite; probabilities or logits, higher for the positive class.
        target: 0 or 1, (N,).

    Returns:
        Scalar float64 tensor in (0, 1]. Scores at random give the share of positives.

    Raises:
        TypeError: the scores are not floating point.
        ValueError: no rows, no positive, scores that are not finite, a target that is neither 0 nor 1.

    Notes:
        Exact, also with ties: the value of ``sklearn.metrics.average_precision_score``. Time O(N log N), memory O(N).
        float16 and bfloat16 are compared in float32. Use float32 or wider scores: half precision makes ties.
        NOTE[DIFF]: without a positive it is an error (scikit-learn and torchmetrics: 0 and a warning).
        For more rows than fit in memory see :class:`BinnedAveragePrecision`.

    References:
        Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006.

    Example:
        >>> average_precision(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        tensor(0.8333, dtype=torch.float64)
    """
    cuts = _need_positives(_cuts(*binary_scores_of(scores, target)))
    return (cuts.positives * cuts.hits / (cuts.hits + cuts.false_alarms)).sum() / cuts.hits[0]


def multiclass_average_precision(scores: Tensor, target: Tensor) -> Tensor:
    """Return the macro average precision: the mean over classes of :func:`average_precision` of one against the rest.

    Args:
        scores: (N, C) floating point, finite.
        target: class indices in 0..C-1, (N,).

    Returns:
        Scalar float64 tensor: the plain mean over the classes that occur in ``target``.

    Raises:
        ValueError: another shape, scores that are not finite, labels outside 0..C-1.

    Notes:
        NOTE[DIFF]: classes that do not occur do not count (scikit-learn counts them as 0).

    Example:
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.1, 0.4]])
        >>> multiclass_average_precision(p, torch.tensor([0, 1, 2]))
        tensor(1., dtype=torch.float64)
    """
    return _macro(scores, target, ndim=1)


def multilabel_average_precision(scores: Tensor, target: Tensor) -> Tensor:
    """Return the macro average precision: the mean over labels of :func:`average_precision`.

    Args:
        scores: (N, L) floating point, finite.
        target: 0 or 1, (N, L).

    Returns:
        Scalar float64 tensor: the plain mean over the labels that have a positive.

    Raises:
        ValueError: another shape, scores that are not finite, a target that is neither 0 nor 1, no positive at all.

    Example:
        >>> scores = torch.tensor([[0.9, 0.2], [0.8, 0.6], [0.1, 0.7]])
        >>> multilabel_average_precision(scores, torch.tensor([[1, 0], [0, 1], [1, 0]]))
        tensor(0.6667, dtype=torch.float64)
    """
    return _macro(scores, target, ndim=2)


def auroc(scores: Tensor, target: Tensor) -> Tensor:
    """Return the area under the ROC curve: the share of pairs in which the positive scores higher, ties as one half.

    Args:
        scores: (N,) floating point, finite.
        target: 0 or 1, (N,); both occur.

    Returns:
        Scalar float64 tensor in [0, 1]; 0.5 for scores at random.

    Raises:
        ValueError: as :func:`average_precision`, or only one class occurs.

    References:
        Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 1982.

    Example:
        >>> auroc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        tensor(0.7500, dtype=torch.float64)
    """
    return partial_auroc(scores, target, recall=0.0)


def partial_auroc(scores: Tensor, target: Tensor, recall: float) -> Tensor:
    """Return the area of the ROC above a recall floor: ``1 / (1 - r) * integral from r to 1 of (1 - FPR(t)) dt``.

    r is ``recall`` and FPR(t) the false positive rate at recall t, between two thresholds by straight lines. This is
    the mean specificity over the recalls that a detector is allowed to work at.

    Args:
        scores: (N,) floating point, finite.
        target: 0 or 1, (N,); both occur.
        recall: the floor r, in [0, 1); 0 gives :func:`auroc`.

    Returns:
        Scalar float64 tensor in [0, 1]: 1 is best, scores at random give (1 - r) / 2.

    Raises:
        ValueError: as :func:`auroc`, or a floor outside [0, 1).

    References:
        Jiang, Metz and Nishikawa, A receiver operating characteristic partial area index for highly sensitive
        diagnostic tests, Radiology 1996.

    Example:
        >>> scores, target = torch.tensor([0.9, 0.6, 0.4, 0.3, 0.2]), torch.tensor([1, 0, 1, 0, 0])
        >>> partial_auroc(scores, target, recall=0.5)
        tensor(0.6667, dtype=torch.float64)
    """
    check_recall_floor(recall)
    cuts = _need_positives(_cuts(*binary_scores_of(scores, target)))
    if len(cuts.negatives) == 0:
        raise ValueError(f"This needs rows of both classes, got {int(cuts.hits[0])} positives and no negative.")
    above = len(cuts.negatives) - torch.searchsorted(cuts.negatives, cuts.values, right=True)
    reached = (cuts.hits - recall * cuts.hits[0]).clamp(min=0).minimum(cuts.positives)
    at_start = cuts.false_alarms + (above - cuts.false_alarms) * (reached / cuts.positives)
    false_rate = (at_start + cuts.false_alarms) / (2 * len(cuts.negatives))
    return (reached * (1 - false_rate)).sum() / (cuts.hits[0] * (1 - recall))


def recall_at_precision(probabilities: Tensor, target: Tensor, precision: float) -> Tensor:
    """Return the highest recall among the thresholds whose precision reaches a floor; 0 where none does.

    Args:
        probabilities: of the positive class, (N,) floating point in [0, 1].
        target: 0 or 1, (N,).
        precision: the floor, in (0, 1].

    Returns:
        Scalar float64 tensor in [0, 1]; 0 also when there is no positive.

    Raises:
        ValueError: as :func:`brier_score`, or a floor outside (0, 1].

    Example:
        >>> recall_at_precision(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]), 0.6)
        tensor(1., dtype=torch.float64)
        >>> recall_at_precision(torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), 0.6)
        tensor(0., dtype=torch.float64)
    """
    check_number("precision", precision, exclusive_minimum=0.0, maximum=1.0)
    p, y = binary_probabilities_of(probabilities, target)
    cuts = _cuts(p, y == 1)
    reached = cuts.hits[cuts.hits / (cuts.hits + cuts.false_alarms) >= precision]
    return reached[0] / cuts.hits[0] if len(reached) else p.new_zeros(())


def precision_at_k(scores: Tensor, target: Tensor, k: int) -> Tensor:
    """Return the share of positives among the k highest scores.

    Args:
        scores: (N,) floating point, finite.
        target: 0 or 1, (N,).
        k: how many rows can be looked at. With fewer rows than k the missing ones count as misses.

    Returns:
        Scalar float64 tensor in [0, 1].

    Raises:
        ValueError: as :func:`average_precision` (but without a positive the value is 0), or k < 1.

    Notes:
        Where equal scores straddle the k-th place, those rows count with their mean target, so that the order of rows
        is irrelevant: the expected value over a random order of ties. Time O(N).

    Example:
        >>> precision_at_k(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]), k=2)
        tensor(0.5000, dtype=torch.float64)
    """
    check_int("k", k, minimum=1)
    s, y = binary_scores_of(scores, target)
    places = min(k, len(s))
    least = s.topk(places, sorted=False).values.min()
    above, tied = s > least, s == least
    found = (above & y).sum() + (places - above.sum()) * ((tied & y).sum().double() / tied.sum())
    return found / k


def check_recall_floor(recall: float) -> float:
    """Return the floor when it is in [0, 1)."""
    if check_number("recall", recall, minimum=0.0) >= 1:
        raise ValueError(f"`recall` must be < 1, got recall={recall!r}.")
    return recall


class _Cuts(NamedTuple):
    """The distinct scores of the positives, ascending, and what they cut off."""

    values: Tensor
    positives: Tensor
    """Positives with that score, float64."""
    hits: Tensor
    """Positives at or above it, float64."""
    false_alarms: Tensor
    """Negatives at or above it, float64."""
    negatives: Tensor
    """The scores of all negatives, ascending."""


def _cuts(scores: Tensor, hits: Tensor) -> _Cuts:
    negatives = _ascending(scores, ~hits)
    values, count = torch.unique_consecutive(_ascending(scores, hits), return_counts=True)
    above = len(negatives) - torch.searchsorted(negatives, values)
    return _Cuts(values, count.double(), count.flip(0).cumsum(0).flip(0).double(), above.double(), negatives)


def _ascending(scores: Tensor, rows: Tensor) -> Tensor:
    if scores.device.type != "cpu":
        return scores[rows].sort().values
    # On a CPU NumPy selects ten times and sorts twice as fast as torch.
    return torch.from_numpy(np.sort(scores.numpy().take(np.flatnonzero(rows.numpy()))))


def _need_positives(cuts: _Cuts) -> _Cuts:
    if len(cuts.values) == 0:
        raise ValueError(f"This needs at least one positive, got none in {len(cuts.negatives)} rows.")
    return cuts


def _macro(scores: Tensor, target: Tensor, ndim: int) -> Tensor:
    s = score_matrix_of("scores", scores)
    if check_tensor("target", target).ndim != ndim:
        raise ValueError(f"`target` must have {ndim} dimension(s), got target.shape={tuple(target.shape)}.")
    hits = class_hits(target, s)
    present = hits.any(0).nonzero()[:, 0]
    if len(present) == 0:
        raise ValueError(f"This needs at least one positive, got none in {len(s)} rows.")
    return torch.stack([average_precision(s[:, label], hits[:, label]) for label in present]).mean()
