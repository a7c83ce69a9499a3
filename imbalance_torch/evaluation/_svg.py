"""Figures as inline SVG that takes its colours from the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imbalance_torch.evaluation._axes import GREY, PALETTE

INK = "#1b1f24"
_COLORS = {INK: "currentColor", GREY: "var(--muted)"}
_COLORS |= {color: f"var(--series-{position})" for position, color in enumerate(PALETTE)}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "legend.fontsize": 8,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "grid.color": GREY,
    "path.simplify_threshold": 0.4,
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], INK),
}


def draw(plot: Callable[[Axes], Axes], salt: str) -> str:
    """Return what ``plot`` draws as an ``<svg role="img">``; ``salt`` tells the ids of two drawings of a page apart."""
    stream = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the browser has other fonts
        figure = Figure(figsize=(4.7, 3.9), layout="constrained", facecolor="none")
        ax = figure.subplots()
        ax.set_facecolor("none")
        plot(ax)
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
        return _inline(stream.getvalue(), _describe(ax))


def _describe(ax: Axes) -> str:
    """Return title, axes and legend in words."""
    shown = ax.get_legend()
    entries = [text.get_text() for text in shown.get_texts()] if shown else [text.get_text() for text in ax.texts]
    parts = [ax.get_title(), f"{ax.get_ylabel()} against {ax.get_xlabel()}", "; ".join(entries)]
    return ". ".join(parts).replace(r"\$", "$").replace("\n", " ")


def _inline(text: str, description: str) -> str:
    """Strip what only a file of its own needs: prologue, namespaces, style sheet, sizes, and ids that nothing uses."""
    view = re.search(r'viewBox="[^"]*"', text)
    body = re.sub(r"<style.*?</style>", "", text[text.index(">", text.index("<svg")) + 1 :], flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("<use xlink:href=", "<use href=")
    for color, variable in _COLORS.items():
        body = body.replace(f": {color}", f": {variable}").replace(f'="{color}"', f'="{variable}"')
    return f'<svg {view[0] if view else ""} role="img" aria-label="{escape(description)}">{body}'
