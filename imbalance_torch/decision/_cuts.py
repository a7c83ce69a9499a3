"""Every cut between two different scores, with the decisions that it leads to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_tensor


class Cuts(NamedTuple):
    """The decisions ``p >= threshold`` on some rows, the strictest first: from flagging nothing to flagging all.

    Attributes:
        threshold: (K,) in the dtype of the probabilities.
        tp: true positives, (K,) float64; ``fp``, ``fn`` and ``tn`` likewise.
    """

    threshold: Tensor
    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor

    def best(self, utility: Tensor) -> float:
        """Return the threshold with the highest ``utility`` (K,), of equally good ones the highest."""
        return float(self.threshold[utility.argmax()])


def label_cuts(probabilities: Tensor, target: Tensor) -> Cuts:
    """Return the cuts with the counts against ``target``; both (N,), rows of both classes."""
    p, y = check_rows(probabilities, target)
    positives = y.sum()
    ranked, order = torch.sort(p, descending=True)
    flagged, threshold = cut_points(ranked)
    tp = torch.cat([y.new_zeros(1), y[order].cumsum(0)])[flagged]
    fp = flagged - tp
    return Cuts(threshold, tp, fp, positives - tp, len(y) - positives - fp)


def cut_points(ranked: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of rows that each cut flags, and its threshold, for probabilities in descending order."""
    one = ranked.new_ones(1)  # the bounds just outside [0, 1] stand for flagging nothing and flagging everything
    bounds = torch.cat([torch.nextafter(one, 2 * one), ranked, torch.nextafter(0 * one, -one)])
    flagged = (bounds.diff() != 0).nonzero()[:, 0]  # between bounds[flagged] and bounds[flagged + 1]
    above, below = bounds[flagged], bounds[flagged + 1]
    middle = below + (above - below) / 2
    return flagged, torch.where(middle > below, middle, above)


def check_rows(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the arguments when they are probabilities and float64 labels of both classes, (N,)."""
    p, y = check_floating("probabilities", probabilities), check_tensor("target", target).to(torch.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(
            f"`probabilities` and `target` must have shape (N,), got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    check_probabilities(p)
    positives = y.sum()
    if not bool(((y == 0) | (y == 1)).all()) or not 0 < float(positives) < len(y):
        raise ValueError(
            f"A threshold needs rows of both classes 0 and 1, got {int(positives)} positives in {len(y)} rows."
        )
    return p, y


def check_probabilities(p: Tensor) -> None:
    """Raise when a probability lies outside [0, 1] or is NaN."""
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("`probabilities` must lie in [0, 1]: some are outside or NaN. Apply sigmoid to logits.")
