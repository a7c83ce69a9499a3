"""Stratified bootstrap of average precision: the same resampled rows for every technique, so differences are paired."""

from __future__ import annotations

import numpy as np

from imbalance_torch._random import mix


def bootstrap_average_precision(
    scores: np.ndarray, target: np.ndarray, *, num_replicates: int = 500, seed: int = 0
) -> np.ndarray:
    """Return the average precision of several scores on resampled rows.

    Positives and negatives are drawn separately with replacement, so that every replicate has the same prevalence.

    Args:
        scores: (K, N), higher means more likely positive.
        target: 0 or 1, (N,); both occur.
        num_replicates: R.
        seed: the same seed draws the same rows.

    Returns:
        (R, K) float64. Cost O(K N log N + R K N), memory O(K N).

    Example:
        >>> scores = np.array([[0.1, 0.4, 0.35, 0.8]])
        >>> bootstrap_average_precision(scores, np.array([0, 0, 1, 1]), num_replicates=200).shape
        (200, 1)
    """
    generator = np.random.Generator(np.random.PCG64(mix(seed)))
    target = np.asarray(target).astype(bool)
    positives, negatives = np.flatnonzero(target), np.flatnonzero(~target)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    ends = [np.flatnonzero(np.append(np.diff(row) != 0, True)) for row in ranked]
    result = np.empty((num_replicates, len(scores)))
    for replicate in range(num_replicates):
        weight = np.zeros(len(target))
        for rows in (positives, negatives):
            weight[rows] = np.bincount(generator.integers(len(rows), size=len(rows)), minlength=len(rows))
        hit = weight * target
        for k, (rows, end) in enumerate(zip(order, ends, strict=True)):
            hits, flagged = hit[rows].cumsum()[end], weight[rows].cumsum()[end]
            precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
            result[replicate, k] = (np.diff(hits, prepend=0.0) * precision).sum() / len(positives)
    return result
