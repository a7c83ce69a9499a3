"""How well a model ranks: precision against recall, ROC, scores of both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from imbalance_torch.evaluation._axes import GREY, PALETTE, axes, legend, look, mark_threshold, models, of_class, plain
from imbalance_torch.evaluation._curves import cuts, precision_band, recall_band
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.metrics import auroc, average_precision

_GRID = np.linspace(0, 1, 201)
_LEAST = 1e-9


def plot_pr(scored: Scored | list[Scored], ax: Axes | None = None, *, label: Any = None) -> Axes:
    """Draw precision against recall with a 95 % band.

    The curve is the step function whose area is the average precision (AP), exact at ties. The band is pointwise, from
    a stratified bootstrap of the rows.

    Args:
        scored: a model, or several.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        label: the class that counts as positive, against the rest. None: class 1 of two, else the rarest that occurs.

    Returns:
        The axes.

    Raises:
        ValueError: an unknown label, or one without rows.

    Notes:
        O(N log N) per model; memory O(N).

    References:
        Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_pr(scored).get_xlabel()
        'recall'
    """
    ax, grid = axes(ax), _GRID[1:]
    for position, model in enumerate(models(scored)):
        index = model.index(label)
        positive, p = model.target == index, model.corrected[:, index]
        curve = cuts(positive, p)
        area = float(average_precision(torch.from_numpy(p), torch.from_numpy(positive)))
        style = look(position)
        ax.fill_between(grid, *precision_band(curve, grid), color=style["color"], alpha=0.15, linewidth=0)
        name = f"{plain(model.name)} (AP {area:.3f})"
        ax.plot(curve.recall, curve.precision, drawstyle="steps-pre", label=name, **style)
    share = positive.mean()
    ax.axhline(share, color=GREY, linestyle=":", label=f"at random ({share:.3g})")
    ax.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title=of_class("Precision and recall", model, index),
    )
    legend(ax)
    return ax


def plot_roc(scored: Scored | list[Scored], ax: Axes | None = None, *, label: Any = None) -> Axes:
    """Draw recall against the false positive rate with a 95 % band.

    Between two thresholds the curve is a straight line, exact at ties: its area is the AUROC. The band is pointwise,
    from a stratified bootstrap of the rows.

    Args:
        scored: a model, or several.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        label: as in :func:`plot_pr`.

    Returns:
        The axes.

    Raises:
        ValueError: as :func:`plot_pr`.

    Notes:
        With rare positives a small false positive rate is many false alarms; read :func:`plot_pr` beside it.

    References:
        Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 2006.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_roc(scored).get_ylabel()
        'recall'
    """
    ax = axes(ax)
    for position, model in enumerate(models(scored)):
        index = model.index(label)
        positive, p = model.target == index, model.corrected[:, index]
        curve = cuts(positive, p)
        area = float(auroc(torch.from_numpy(p), torch.from_numpy(positive)))
        style = look(position)
        ax.fill_between(_GRID, *recall_band(curve, _GRID), color=style["color"], alpha=0.15, linewidth=0)
        ax.plot(curve.fall_out, curve.recall, label=f"{plain(model.name)} (AUROC {area:.3f})", **style)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="at random")
    ax.set(
        xlabel="false positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02), title=of_class("ROC", model, index)
    )
    legend(ax)
    return ax


def plot_score_histogram(scored: Scored, ax: Axes | None = None, *, label: Any = None) -> Axes:
    """Draw the distribution of the corrected log-odds among positives and among the rest, each with area 1.

    Args:
        scored: a model.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        label: as in :func:`plot_pr`.

    Returns:
        The axes.

    Raises:
        ValueError: as :func:`plot_pr`.

    Notes:
        Probabilities are clipped to [1e-9, 1 - 1e-9] for their log-odds.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_score_histogram(scored).get_ylabel()
        'density'
    """
    ax, index = axes(ax), scored.index(label)
    scores = log_odds(scored.corrected[:, index])
    positive = scored.target == index
    bins = np.histogram_bin_edges(scores, 50).tolist()
    rest = plain(scored.classes[1 - index]) if len(scored.classes) == 2 else "the rest"
    sides = ((~positive, rest, PALETTE[0], "-"), (positive, plain(scored.classes[index]), PALETTE[1], "--"))
    for rows, name, color, line in sides:
        ax.hist(
            scores[rows],
            bins,
            density=True,
            histtype="stepfilled",
            facecolor=(color, 0.2),
            edgecolor=color,
            linestyle=line,
            label=f"{name} ({rows.sum():,} rows)",
        )
    mark_threshold(ax, scored, log_odds)
    ax.set(
        xlabel="corrected log-odds", ylabel="density", title=of_class(f"Scores of {plain(scored.name)}", scored, index)
    )
    legend(ax)
    return ax


def log_odds(p: np.ndarray) -> np.ndarray:
    """Return the log-odds of clipped probabilities."""
    clipped = np.clip(p, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
