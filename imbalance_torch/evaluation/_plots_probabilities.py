"""Whether probabilities mean what they say: reliability, and the same over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from imbalance_torch._checks import check_int
from imbalance_torch.evaluation._axes import GREY, PALETTE, axes, legend, log_scale, look, models, of_class, plain
from imbalance_torch.evaluation._curves import wilson
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.metrics import average_precision

_BINS = 15


def plot_reliability(
    scored: Scored | list[Scored], ax: Axes | None = None, *, corrected: bool = True, label: Any = None
) -> Axes:
    """Draw observed shares against predicted probabilities in 15 bins of equal mass, on log axes.

    Rows of equal probability share a bin. Bars are 95 % Wilson intervals; a bin without positives lies below the axis,
    so that only its bar shows.

    Args:
        scored: a model, or several.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        corrected: draw the corrected probabilities, or the raw ones.
        label: as in :func:`plot_pr`.

    Returns:
        The axes.

    Raises:
        ValueError: as :func:`plot_pr`.

    References:
        Nguyen and O'Connor, Posterior calibration and exploratory analysis for NLP models, 2015 (equal mass).
        Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_reliability(scored).get_xscale()
        'log'
    """
    ax, least = axes(ax), 0.1
    for position, model in enumerate(models(scored)):
        index = model.index(label)
        p = (model.corrected if corrected else model.raw)[:, index]
        window = equal_mass(p, _BINS)
        rows = np.bincount(window)
        hits = np.bincount(window, model.target == index)
        predicted, observed = np.bincount(window, p) / rows, hits / rows
        low, high = wilson(hits, rows)
        error = [np.maximum(observed - low, 0), np.maximum(high - observed, 0)]
        style = look(position)
        ax.errorbar(
            predicted, observed, error, marker="o", markersize=4, elinewidth=0.7, label=plain(model.name), **style
        )
        least = min(least, *predicted[predicted > 0], *observed[observed > 0])
    least = max(10 ** np.floor(np.log10(least)), 1e-7)
    ax.plot([least, 1], [least, 1], color=GREY, linestyle=":", label="perfect")
    log_scale(ax, "x")
    log_scale(ax, "y")
    when = "after" if corrected else "before"
    ax.set(xlabel="predicted probability", ylabel="observed share", xlim=(least, 1), ylim=(least, 1))
    ax.set_title(of_class(f"Reliability {when} correction", model, index))
    legend(ax)
    return ax


def plot_drift(scored: Scored, ax: Axes | None = None, *, num_windows: int = 10, label: Any = None) -> Axes:
    """Draw prevalence, mean corrected probability and average precision over time.

    The rows are cut by time into windows of equal mass; rows of the same time stay together. The band around the
    prevalence is the 95 % Wilson interval. The right axis is for the average precision, which exists only where a
    window has positives. It rises and falls with the prevalence even for a ranking that is as good as before.

    Args:
        scored: a model, with ``time``.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        num_windows: at most this many windows, at least 1.
        label: as in :func:`plot_pr`.

    Returns:
        The axes of the left side.

    Raises:
        ValueError: there is no time, or as :func:`plot_pr`.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> days, shares = np.arange("2024-01-01", "2024-01-04", dtype="datetime64[D]"), [0.7, 0.3]
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, shares, shares, "none", "", time=days)
        >>> plot_drift(scored, num_windows=2).get_xlabel()
        'time'
    """
    if scored.time is None:
        raise ValueError("`scored` has no time. Name the time column when the data module is made.")
    check_int("num_windows", num_windows, minimum=1)
    ax, index = axes(ax), scored.index(label)
    positive, p = scored.target == index, scored.corrected[:, index]
    window = equal_mass(scored.time.astype(np.int64 if scored.time.dtype.kind == "M" else np.float64), num_windows)
    rows, hits = np.bincount(window), np.bincount(window, positive)
    when = np.array([np.sort(scored.time[window == i])[rows[i] // 2] for i in range(len(rows))])
    ap = [
        float(average_precision(torch.from_numpy(p[chosen]), torch.from_numpy(positive[chosen])))
        if positive[chosen := window == i].any()
        else np.nan
        for i in range(len(rows))
    ]
    ax.fill_between(when, *wilson(hits, rows), color=PALETTE[0], alpha=0.15, linewidth=0)
    lines = ax.plot(when, hits / rows, marker="o", markersize=3, label="prevalence", **look(0))
    lines += ax.plot(when, np.bincount(window, p) / rows, marker="s", markersize=3, label="mean probability", **look(1))
    right = ax.twinx()
    lines += right.plot(when, ap, marker="^", markersize=4, label="AP (right axis)", **look(2))
    right.set(ylim=(0, 1.02), ylabel="average precision")
    ax.set(xlabel="time", ylabel="share of rows", title=of_class("Drift over time", scored, index))
    ax.set_ylim(bottom=0)
    if scored.time.dtype.kind == "M":
        locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    legend(ax, handles=lines)
    return ax


def equal_mass(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return the bin of each value, (N,) in 0..K-1: K <= num_bins non-empty runs of about equal length, ties whole."""
    edges = np.quantile(values, np.linspace(0, 1, num_bins + 1)[1:-1], method="lower")
    return np.asarray(np.unique(np.searchsorted(edges, values), return_inverse=True)[1])
