"""What a threshold does: its cost, its alerts, its confusion."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.evaluation._axes import (
    GREY,
    PALETTE,
    axes,
    legend,
    log_scale,
    look,
    mark_threshold,
    models,
    only_two_classes,
    plain,
)
from imbalance_torch.evaluation._curves import Cuts, cuts
from imbalance_torch.evaluation._scored import Scored

_DEEPEST = 0.55


def plot_threshold_cost(
    scored: Scored | list[Scored],
    ax: Axes | None = None,
    *,
    false_negative_cost: float = 10.0,
    false_positive_cost: float = 1.0,
) -> Axes:
    r"""Draw the cost of a row against the threshold, two classes.

    .. math:: \text{cost}(t) = \frac{c_{FN} \, FN(t) + c_{FP} \, FP(t)}{N}

    with t the threshold on the corrected probability, FN and FP the missed positives and the false alarms among the N
    rows, :math:`c_{FN}` = ``false_negative_cost`` and :math:`c_{FP}` = ``false_positive_cost``. The curve is the exact
    step function. The dotted line is at :math:`c_{FP} / (c_{FP} + c_{FN})`, the best threshold of probabilities that
    are right.

    Args:
        scored: a model, or several; the first one's threshold is drawn.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        false_negative_cost: of a missed positive, > 0.
        false_positive_cost: of a false alarm, > 0.

    Returns:
        The axes.

    Raises:
        ValueError: more than two classes, or a cost that is not positive.

    Notes:
        The lowest point of the curve is an optimist: it was found on the rows it is shown for.

    References:
        Elkan, The foundations of cost-sensitive learning, IJCAI 2001.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_threshold_cost(scored).get_ylabel()
        'cost per row'
    """
    missed = check_number("false_negative_cost", false_negative_cost, exclusive_minimum=0)
    alarm = check_number("false_positive_cost", false_positive_cost, exclusive_minimum=0)
    ax, found = axes(ax), models(scored)
    for position, model in enumerate(found):
        only_two_classes(model, "The cost of a threshold")
        curve = _curve(model)
        cost = (missed * (curve.hits[-1] - curve.hits) + alarm * curve.false_alarms) / len(model.target)
        ax.plot(curve.thresholds, cost, drawstyle="steps-post", label=plain(model.name), **look(position))
    ax.axvline(alarm / (alarm + missed), color=GREY, linestyle=":", label=f"cost ratio {alarm / (alarm + missed):.3g}")
    mark_threshold(ax, found[0])
    log_scale(ax, "x")
    ax.set(xlim=(_left(found), 1), xlabel="threshold", ylabel="cost per row")
    ax.set_title(f"Cost: a missed positive {missed:g}, a false alarm {alarm:g}")
    ax.set_ylim(bottom=0)
    legend(ax)
    return ax


def plot_alerts(scored: Scored, ax: Axes | None = None) -> Axes:
    """Draw alerts (left) and their precision (right) against the threshold, two classes.

    Where ``time`` is a datetime the alerts are those of a day, over the calendar days that have rows.

    Args:
        scored: a model.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.

    Returns:
        The axes of the left side.

    Raises:
        ValueError: more than two classes.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> plot_alerts(scored).get_ylabel()
        'alerts'
    """
    only_two_classes(scored, "An alert budget")
    ax, curve, days = axes(ax), _curve(scored), scored.days
    alerts = (curve.hits + curve.false_alarms) / (days or 1)
    lines = ax.plot(curve.thresholds, alerts, drawstyle="steps-post", label="alerts", **look(0))
    right = ax.twinx()
    name = "precision (right axis)"
    lines += right.plot(curve.thresholds, curve.precision, drawstyle="steps-post", label=name, **look(1))
    mark_threshold(ax, scored)
    log_scale(ax, "x")
    log_scale(ax, "y")
    ax.set(xlim=(_left([scored]), 1), xlabel="threshold")
    ax.set(ylabel="alerts per day" if days else "alerts", title=f"Alerts of {plain(scored.name)}")
    right.set(ylim=(0, 1.02), ylabel="precision of the alerts")
    legend(ax, handles=lines + ax.get_lines()[1:])
    return ax


def plot_confusion(scored: Scored, ax: Axes | None = None, *, max_classes: int = 12) -> Axes:
    r"""Draw the confusion matrix at the chosen threshold: rows of each class by decision.

    The shade is the share of the class's rows. The classes with fewest rows are shown; beyond ``max_classes`` the
    larger ones are pooled as "others".

    Args:
        scored: a model.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        max_classes: classes to show, at least 2.

    Returns:
        The axes.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.7, 0.3], "none", "")
        >>> [text.get_text() for text in plot_confusion(scored).texts]
        ['2\n100.0 %', '0\n0.0 %', '0\n0.0 %', '1\n100.0 %']
    """
    ax, size = axes(ax), len(scored.classes)
    shown = check_int("max_classes", max_classes, minimum=2)
    place, names = np.arange(size), [plain(label) for label in scored.classes]
    if size > shown:
        rarest = np.sort(np.argsort(np.bincount(scored.target, minlength=size), kind="stable")[:shown])
        place = np.full(size, shown)
        place[rarest] = np.arange(shown)
        names = [*(names[index] for index in rarest), "others"]
    size = len(names)
    counts = np.bincount(place[scored.target] * size + place[scored.decided], minlength=size**2).reshape(size, size)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    tint = np.concatenate([np.full((size, size, 3), to_rgb(PALETTE[0])), _DEEPEST * shares[:, :, None]], 2)
    ax.pcolormesh(tint, edgecolors=GREY, linewidth=0.5)
    for row, column in np.ndindex(size, size):
        text = f"{counts[row, column]:,}" + f"\n{100 * shares[row, column]:.1f} %" * (size < 6)
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize="medium" if size < 6 else "x-small")
    centres = np.arange(size) + 0.5
    ax.set_xticks(centres, names, rotation=45 * (size > 3), ha="right" if size > 3 else "center")
    ax.set_yticks(centres, names)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.set(xlabel="decided", ylabel="true", title=f"Confusion of {plain(scored.name)}")
    return ax


def _curve(scored: Scored) -> Cuts:
    """Return the counts with thresholds that a log axis can show: inf becomes 1 or more."""
    curve = cuts(scored.target == 1, scored.corrected[:, 1])
    return curve._replace(thresholds=np.minimum(curve.thresholds, 2.0))


def _left(found: list[Scored]) -> float:
    """Return the left end of a threshold axis: below it are the lowest 5 % of the rows, or what nobody would use."""
    return float(np.clip(min(np.quantile(model.corrected[:, 1], 0.05) for model in found), 1e-6, 0.1))
