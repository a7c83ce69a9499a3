"""What all plots share: axes without global state, and colours that survive colour blindness and grey print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from imbalance_torch.evaluation._scored import Scored

# Okabe and Ito's colours that keep a contrast of 3 : 1 on white.
PALETTE = ("#0072b2", "#d55e00", "#008a64", "#b8558c", "#6a51a3")
GREY = "#6b7280"
_LINES = ("-", "--", "-.", ":")


def axes(ax: Axes | None) -> Axes:
    """Return the axes given, or those of a new figure that pyplot does not know."""
    return Figure(figsize=(4.7, 3.9), layout="constrained").subplots() if ax is None else ax


def models(scored: Scored | list[Scored]) -> list[Scored]:
    """Return a list of models."""
    found = [scored] if isinstance(scored, Scored) else list(scored)
    if not found or not all(isinstance(model, Scored) for model in found):
        raise TypeError("`scored` must be a Scored or a list of them.")
    return found


def only_two_classes(scored: Scored, what: str) -> None:
    """Raise for more than two classes."""
    if len(scored.classes) != 2:
        raise ValueError(f"{what} is of two classes, got {len(scored.classes)}. Use `plot_confusion`.")


def look(position: int) -> dict[str, Any]:
    """Return colour and line style of the line at a position."""
    return {"color": PALETTE[position % len(PALETTE)], "linestyle": _LINES[position % len(_LINES)]}


def plain(text: Any) -> str:
    """Return a label that matplotlib neither reads as a formula nor leaves out of a legend."""
    shown = str(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def legend(ax: Axes, **handles: Any) -> None:
    """Put the legend below the axes, where it covers nothing."""
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, **handles)


def log_scale(ax: Axes, which: str) -> None:
    """Make the axis "x" or "y" logarithmic with plain numbers; what is 0 lies beyond its end."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def mark_threshold(ax: Axes, scored: Scored, scale: Callable[[Any], Any] = float) -> None:
    """Draw the threshold of two classes where ``scale`` puts it."""
    if isinstance(scored.threshold, int | float):
        ax.axvline(
            scale(scored.threshold), color=GREY, linestyle=(0, (5, 1)), label=f"threshold {scored.threshold:.3g}"
        )


def of_class(title: str, scored: Scored, index: int) -> str:
    """Return the title, with the class that is meant where there are more than two."""
    return title if len(scored.classes) == 2 else f"{title}: {plain(scored.classes[index])} against the rest"
