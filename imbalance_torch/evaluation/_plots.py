"""The plots of a report: matplotlib figures as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imbalance_torch.evaluation._compare import Arm, Comparison

_POINTS = 400
FALSE_NEGATIVE_COST = 10.0


def plot_precision_recall(comparison: Comparison, axes: Axes) -> None:
    """Draw precision against recall of every technique."""
    target = comparison.target.numpy()
    for arm in comparison.arms:
        order = np.argsort(-arm.corrected.numpy(), kind="stable")
        hits = target[order].cumsum()
        keep = np.unique(np.linspace(0, len(hits) - 1, 20 * _POINTS).astype(int))
        precision, recall = hits[keep] / (keep + 1), hits[keep] / hits[-1]
        at = np.searchsorted(recall, np.linspace(0.005, 1, _POINTS))
        axes.plot(recall[at], precision[at], label=f"{arm.name} (AP {arm.scores['ap']:.3f})")
    axes.axhline(target.mean(), linestyle=":", color="grey", label="share of positives")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title="Precision and recall")
    axes.legend(fontsize=7)


def plot_reliability(comparison: Comparison, axes: Axes, *, corrected: bool) -> None:
    """Draw observed against predicted shares in 15 bins of equal mass, before or after the prior correction."""
    target = comparison.target.double()
    for arm in comparison.arms:
        probabilities = arm.corrected if corrected else arm.raw
        order = probabilities.argsort()
        edges = torch.linspace(0, len(order), 16).round().long().tolist()
        bins = [order[low:high] for low, high in pairwise(edges)]
        predicted = [max(float(probabilities[rows].mean()), 1e-5) for rows in bins]
        observed = [max(float(target[rows].mean()), 1e-5) for rows in bins]
        axes.plot(predicted, observed, marker="o", markersize=3, label=arm.name)
    axes.plot([1e-5, 1], [1e-5, 1], linestyle=":", color="grey")
    axes.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
    axes.set(
        xlabel="predicted", ylabel="observed", title=f"Reliability {'after' if corrected else 'before'} correction"
    )
    axes.legend(fontsize=7)


def plot_threshold_cost(comparison: Comparison, axes: Axes) -> None:
    """Draw the cost per row against the threshold, a missed positive costing ten false alarms."""
    target = comparison.target.numpy().astype(bool)
    thresholds = np.logspace(-3, 0, 200)
    for arm in {arm.name: arm for arm in (comparison.arms[0], comparison.best)}.values():
        positives = np.sort(arm.corrected.numpy()[target])
        negatives = np.sort(arm.corrected.numpy()[~target])
        missed = np.searchsorted(positives, thresholds)
        alarms = len(negatives) - np.searchsorted(negatives, thresholds)
        axes.plot(thresholds, (FALSE_NEGATIVE_COST * missed + alarms) / len(target), label=arm.name)
    axes.axvline(comparison.best.threshold, linestyle="--", color="grey", label="chosen threshold (F1)")
    axes.set(xscale="log", xlabel="threshold", ylabel="cost per row", title="Cost: a missed positive = 10 false alarms")
    axes.legend(fontsize=7)


def plot_score_histogram(arm: Arm, target: torch.Tensor, axes: Axes) -> None:
    """Draw the distribution of the corrected log-odds in both classes."""
    scores = torch.logit(arm.corrected.clamp(1e-9, 1 - 1e-9)).numpy()
    bins = np.linspace(scores.min(), scores.max(), 60).tolist()
    for label, name in ((0, "negative"), (1, "positive")):
        axes.hist(scores[target.numpy() == label], bins=bins, density=True, alpha=0.6, label=name)
    axes.axvline(
        np.log(arm.threshold / (1 - arm.threshold)), linestyle="--", color="grey", label="chosen threshold (F1)"
    )
    axes.set(xlabel="score (log-odds)", ylabel="density", title=f"Scores of {arm.name}")
    axes.legend(fontsize=7)


def figures(comparison: Comparison) -> list[tuple[str, str]]:
    """Return (description, inline SVG) of every plot of the report."""
    drawings: list[tuple[str, Callable[[Axes], None]]] = [
        ("Precision against recall of every technique", lambda axes: plot_precision_recall(comparison, axes)),
        (
            "Observed against predicted share before the prior correction",
            lambda axes: plot_reliability(comparison, axes, corrected=False),
        ),
        (
            "Observed against predicted share after the prior correction",
            lambda axes: plot_reliability(comparison, axes, corrected=True),
        ),
        ("Cost per row against the threshold", lambda axes: plot_threshold_cost(comparison, axes)),
        (
            "Histogram of the scores of both classes",
            lambda axes: plot_score_histogram(comparison.best, comparison.target, axes),
        ),
    ]
    result = []
    with rc_context({"svg.hashsalt": "imbalance_torch", "svg.fonttype": "path", "font.size": 9}):
        for position, (description, draw) in enumerate(drawings):
            figure = Figure(figsize=(5.2, 3.9), layout="constrained")
            draw(figure.add_subplot())
            result.append((description, _svg(figure, f"f{position}-")))
    return result


def _svg(figure: Figure, prefix: str) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Identifiers of several inline drawings share one document.
    return text.replace('id="', f'id="{prefix}').replace('"#', f'"#{prefix}').replace("url(#", f"url(#{prefix}")
