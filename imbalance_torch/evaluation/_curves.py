"""Counts behind every curve, exact at ties, and their bootstrap bands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_curve

from imbalance_torch._random import mix

_REPLICATES = 400
_STEPS = 256


class Cuts(NamedTuple):
    """Rows at or above each distinct score, from none (threshold inf) to all: (K + 1,) each."""

    thresholds: np.ndarray
    false_alarms: np.ndarray
    hits: np.ndarray

    @property
    def recall(self) -> np.ndarray:
        """Share of the positives at or above the threshold."""
        return np.asarray(self.hits / self.hits[-1])

    @property
    def fall_out(self) -> np.ndarray:
        """Share of the negatives at or above the threshold."""
        return np.asarray(self.false_alarms / self.false_alarms[-1])

    @property
    def precision(self) -> np.ndarray:
        """Share of positives among the rows at or above the threshold; of no rows, that of the highest score."""
        alerts = self.hits + self.false_alarms
        shares = self.hits[1:] / alerts[1:]
        return np.concatenate([shares[:1], shares])


def cuts(positive: np.ndarray, scores: np.ndarray) -> Cuts:
    """Count hits and false alarms at every distinct score."""
    fall_out, recall, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    hits = int(positive.sum())
    return Cuts(thresholds, np.rint(fall_out * (len(positive) - hits)), np.rint(recall * hits))


def precision_band(curve: Cuts, grid: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise 95 % band of the precision at each recall of the grid."""
    false_alarms, hits = _resampled(curve, seed)
    rows = np.arange(len(hits))[:, None]
    reached = (hits[:, None] < grid[:, None] * curve.hits[-1] - 1e-9).sum(2)
    hits, false_alarms = hits[rows, reached], false_alarms[rows, reached]
    low, high = np.quantile(hits / (hits + false_alarms), [0.025, 0.975], axis=0)
    return low, high


def recall_band(curve: Cuts, grid: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise 95 % band of the recall at each false positive rate of the grid."""
    false_alarms, hits = _resampled(curve, seed)
    recalls = [np.interp(grid, f / f[-1], h / h[-1]) for f, h in zip(false_alarms, hits, strict=True)]
    low, high = np.quantile(recalls, [0.025, 0.975], axis=0)
    return low, high


def wilson(hits: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % Wilson interval of a share ``hits / count``."""
    z2 = 1.959964**2
    share = hits / count
    centre, width = share + z2 / (2 * count), np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2)))
    return np.maximum((centre - width) / (1 + z2 / count), 0), (centre + width) / (1 + z2 / count)


def _resampled(curve: Cuts, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw false alarms and hits at up to 2 * _STEPS cuts, (R, K) each.

    Rows drawn with replacement within a class fall between two cuts as a multinomial says, so none need be drawn.
    """
    steps = np.linspace(0, 1, _STEPS + 1)
    keep = np.union1d(*(np.searchsorted(counts, steps * counts[-1]) for counts in curve[1:]))
    draw = np.random.Generator(np.random.PCG64(mix(seed))).multinomial
    false_alarms, hits = (
        draw(int(counts[-1]), np.diff(counts[keep]) / counts[-1], size=_REPLICATES).cumsum(1) for counts in curve[1:]
    )
    start = np.zeros((_REPLICATES, 1))
    return np.hstack([start, false_alarms]), np.hstack([start, hits])
