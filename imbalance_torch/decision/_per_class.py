"""One threshold per label or per class."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_number, check_tensor
from imbalance_torch.decision._cuts import check_probabilities

_FARTHEST = 1e100  # a cut beyond all ratios, or beside a ratio of 0 or infinity, stays this close to 1
_LEAST_GAIN = 1e-4


def per_label_thresholds(choose: Callable[[Tensor, Tensor], float], probabilities: Tensor, target: Tensor) -> Tensor:
    """Return one threshold per label of a multi-label task, each chosen on its own column.

    Args:
        choose: such as :func:`threshold_for_f_beta`, or ``lambda p, y: threshold_for_precision(p, y, 0.9)``.
        probabilities: (N, L) floating point in [0, 1].
        target: 0 or 1, (N, L).

    Returns:
        (L,) float64 on the device of ``probabilities``; the decision is ``probabilities >= thresholds``.

    Raises:
        ValueError: other shapes, or what ``choose`` raises; the text names the label.

    Example:
        >>> from imbalance_torch.decision import threshold_for_f_beta
        >>> p = torch.tensor([[0.125, 0.75], [0.25, 0.5], [0.5, 0.25]])
        >>> per_label_thresholds(threshold_for_f_beta, p, torch.tensor([[0, 1], [0, 0], [1, 0]]))
        tensor([0.3750, 0.6250], dtype=torch.float64)
    """
    p, y = check_floating("probabilities", probabilities), check_tensor("target", target)
    if p.ndim != 2 or p.shape != y.shape:
        raise ValueError(
            f"`probabilities` and `target` must have shape (N, L), got {tuple(p.shape)} and {tuple(y.shape)}."
        )
    thresholds = []
    for label in range(p.shape[1]):
        try:
            thresholds.append(choose(p[:, label], y[:, label]))
        except ValueError as error:
            raise ValueError(f"Label {label}: {error}") from error
    return torch.tensor(thresholds, dtype=torch.float64, device=p.device)


def thresholds_for_macro_f_beta(probabilities: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """Return one threshold per class of a multi-class task, chosen for the mean F-beta over classes.

    The decision is ``argmax_c p_c / t_c``: a class wins the sooner the lower its threshold. Equal thresholds give the
    most probable class; for two classes ``p_1`` is compared with ``t_1``. Coordinate ascent starts there, moves one
    threshold at a time to the best of all its cuts, and ends when no single move gains 0.0001. The result is at least
    as good as the most probable class on the rows given, but not always the best of all vectors.

    Args:
        probabilities: (N, C) floating point, rows sum to 1; C >= 2.
        target: class index, (N,); every class occurs.
        beta: weight of recall against precision, > 0.

    Returns:
        (C,) float64 on the device of ``probabilities``, > 0, with sum 1.

    Raises:
        ValueError: other shapes, rows that do not sum to 1, NaN, or a class without rows.

    Notes:
        A round of C moves costs O(C N (C + log N)), memory is O(C N); a few rounds are usual.

    Example:
        >>> p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]])
        >>> thresholds = thresholds_for_macro_f_beta(p, torch.tensor([0, 0, 1, 1]))
        >>> (p / thresholds).argmax(dim=1)
        tensor([0, 0, 1, 1])
    """
    square = check_number("beta", beta, exclusive_minimum=0.0) ** 2
    p, y = _checked_classes(probabilities, target)
    support = torch.bincount(y, minlength=p.shape[1])

    def f_beta(tp: Tensor, predicted: Tensor, c: Tensor | slice = slice(None)) -> Tensor:
        return (1 + square) * tp / (predicted + square * support[c])

    def macro_f_beta(thresholds: Tensor) -> float:
        decision = (p / thresholds).argmax(dim=1)
        tp, predicted = (torch.bincount(each, minlength=p.shape[1]) for each in (y[decision == y], decision))
        return float(f_beta(tp, predicted).mean())

    thresholds = torch.full_like(p[0], 1 / p.shape[1])
    best, unchanged = macro_f_beta(thresholds), 0
    for c in cycle(range(p.shape[1])):
        trial = _move(c, p, y, thresholds, f_beta)
        if (reached := macro_f_beta(trial)) > best + _LEAST_GAIN:
            thresholds, best, unchanged = trial, reached, 0
        else:
            unchanged += 1
        if unchanged == p.shape[1]:
            break
    return thresholds


def _move(c: int, p: Tensor, y: Tensor, thresholds: Tensor, f_beta: Callable[..., Tensor]) -> Tensor:
    """Return the thresholds with that of class ``c`` at its best cut: the rows up to there change over to ``c``."""
    scaled = p / thresholds
    scaled[:, c] = -1.0
    rival, loser = scaled.max(dim=1)
    ranked, order = (p[:, c] / rival).sort(descending=True)
    y, loser, rows = y[order], loser[order], torch.arange(len(p) + 1, device=p.device)
    grouped = loser.argsort(stable=True)  # what each change costs its loser depends on the loser's changes before it
    losers, hit = loser[grouped], (loser == y)[grouped].double()
    tp = torch.bincount(losers, hit, minlength=p.shape[1]).cumsum(0)[losers] - hit.cumsum(0)
    predicted = torch.bincount(losers, minlength=p.shape[1]).cumsum(0)[losers] - rows[1:]
    gain = torch.zeros_like(ranked)
    gain[grouped] = f_beta(tp, predicted, losers) - f_beta(tp + hit, predicted + 1, losers)
    utility = torch.cat([gain.new_zeros(1), gain.cumsum(0)])
    utility[1:] += f_beta((y == c).cumsum(0), rows[1:], rows.new_tensor(c))
    bounds = torch.cat([2 * ranked[:1], ranked, ranked[-1:] / 2])
    cut = torch.where(bounds[:-1] > bounds[1:], utility, -torch.inf).argmax()
    above, below = bounds[cut].clamp(max=_FARTHEST), bounds[cut + 1].clamp(min=1 / _FARTHEST)
    moved = thresholds.clone()
    moved[c] = (above * below).sqrt()
    return moved / moved.sum()


def _checked_classes(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    p, y = check_floating("probabilities", probabilities).double(), check_tensor("target", target)
    if p.ndim != 2 or p.shape[1] < 2 or y.shape != p.shape[:1]:
        raise ValueError(
            f"`probabilities` must have shape (N, C) with C >= 2 and `target` (N,), got {tuple(p.shape)} and "
            f"{tuple(y.shape)}."
        )
    check_probabilities(p)
    if not bool(((p.sum(1) - 1).abs() < 1e-3).all()):
        raise ValueError("The rows of `probabilities` must sum to 1. Apply softmax to logits.")
    if not bool(((y >= 0) & (y < p.shape[1]) & (y == y.long())).all()):
        raise ValueError(f"`target` must hold class indices from 0 to {p.shape[1] - 1}.")
    rows = torch.bincount(y.long(), minlength=p.shape[1])
    if not bool(rows.all()):
        raise ValueError(f"Thresholds need rows of every class, class {int(rows.argmin())} has none.")
    return p, y.long()
