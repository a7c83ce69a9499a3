"""What training was fed and where its gradient came from; neighbours in an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from sklearn.decomposition import PCA

from imbalance_torch._checks import check_same_length
from imbalance_torch.evaluation._axes import GREY, PALETTE, axes, legend, log_scale, look, plain
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.neighbors import knn

_MARKERS = "os^Dv"
_SHARES = {"train/gradient_share_minority": "rarest class", "train/gradient_share_easy_negatives": "easy negatives"}


def plot_training_prior(scored: Scored, ax: Axes | None = None) -> Axes:
    """Draw class shares: of the data, of what training was fed, and the mean predictions before and after correction.

    A technique that feeds training other shares than the data has makes raw predictions follow what was fed; the
    correction takes them back to the data. Classes stand from the most frequent to the rarest.

    Args:
        scored: a model.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.

    Returns:
        The axes.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
        >>> scored = Scored("mlp", np.array([0, 1, 0]), p, p, ["no", "yes"], 0.5, [0.7, 0.3], [0.5, 0.5], "none", "")
        >>> plot_training_prior(scored).get_legend_handles_labels()[1]
        ['data', 'fed to training', 'mean raw prediction', 'mean corrected prediction']
    """
    ax, order = axes(ax), np.argsort(-np.asarray(scored.prior), kind="stable")
    shares = {
        "data": np.asarray(scored.prior),
        "fed to training": np.asarray(scored.train_shares),
        "mean raw prediction": scored.raw.mean(0),
        "mean corrected prediction": scored.corrected.mean(0),
    }
    places = np.arange(len(order))
    for position, (name, values) in enumerate(shares.items()):
        beside = places + 0.12 * (position - 1.5)
        ax.plot(
            beside,
            values[order],
            linestyle="",
            marker=_MARKERS[position],
            color=PALETTE[position],
            fillstyle="none" if position > 1 else "full",
            label=name,
        )
    names = [plain(scored.classes[index]) for index in order]
    shown = places[:: -(-len(places) // 12)]
    ax.set_xticks(shown, [names[place] for place in shown], rotation=45 * (len(places) > 4))
    log_scale(ax, "y")
    ax.set(xlim=(-0.5, len(places) - 0.5), xlabel="class", ylabel="share", title="Class shares")
    ax.set_ylim(10 ** np.floor(np.log10(ax.get_ylim()[0])), 1.2)
    ax.grid(axis="y", alpha=0.3)
    legend(ax)
    return ax


def plot_gradient_share(log: pd.DataFrame | str | Path, ax: Axes | None = None) -> Axes:
    """Draw which share of the gradient the rarest class and the easy negatives had at each step.

    Args:
        log: what :class:`~imbalance_torch.training.GradientShareMonitor` logged: the ``metrics.csv`` of Lightning's
            CSV logger, or its table.
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.

    Returns:
        The axes.

    Raises:
        ValueError: the log lacks these columns.

    Example:
        >>> log = {"step": [49, 99], **{name: [0.2, 0.4] for name in _SHARES}}
        >>> plot_gradient_share(pd.DataFrame(log)).get_xlabel()
        'step'
    """
    table = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    if missing := [name for name in ("step", *_SHARES) if name not in table]:
        raise ValueError(f"`log` has no column {missing[0]!r}. Train with `callbacks=[GradientShareMonitor()]`.")
    ax = axes(ax)
    for position, (column, name) in enumerate(_SHARES.items()):
        measured = table[["step", column]].dropna()
        ax.plot(measured["step"], measured[column], label=name, **look(position))
    ax.set(xlabel="step", ylabel="share of the gradient", ylim=(0, 1.02), title="Where the gradient comes from")
    legend(ax)
    return ax


def plot_embedding_neighbours(
    embeddings: Any, labels: Any, ax: Axes | None = None, *, k_neighbors: int = 5, is_synthetic: Any = None
) -> Axes:
    """Draw rows in the plane of their first two principal components, coloured by their neighbourhood.

    The colour is the share of the ``k_neighbors`` nearest real rows, in all dimensions, that are of another class: dark
    rows lie among their own. The shape is the class; synthetic rows have a ring.

    Args:
        embeddings: (N, d) finite floating point: encoded rows, or a network's last hidden layer.
        labels: class of each row, (N,).
        ax: axes to draw on; None makes a figure, ``ax.figure`` of the result.
        k_neighbors: neighbours of each row, at least 1 and below the number of real rows.
        is_synthetic: (N,) bool, rows that a resampler made; None for none.

    Returns:
        The axes.

    Raises:
        ValueError: lengths that differ, too few rows, a value that is NaN or infinite.

    Notes:
        Neighbours cost O(N^2 d) time; a few thousand rows are enough for the eye.

    Example:
        >>> rows = torch.tensor([[0.0, 0.0], [0.0, 1.0], [4.0, 4.0], [4.0, 5.0]])
        >>> plot_embedding_neighbours(rows, [0, 0, 1, 1], k_neighbors=1).get_xlabel()
        'first principal component'
    """
    x = torch.as_tensor(np.asarray(embeddings, dtype=np.float64))
    y = np.asarray(labels)
    synthetic = np.zeros(len(x), bool) if is_synthetic is None else np.asarray(is_synthetic, dtype=bool)
    check_same_length(embeddings=x, labels=y, is_synthetic=synthetic)
    enemy = _enemy_share(x, y, synthetic, k_neighbors)
    plane = np.zeros((len(x), 2))
    components = min(2, x.shape[1])
    plane[:, :components] = PCA(components, svd_solver="full").fit_transform(x.numpy())
    ax = axes(ax)
    for position, label in enumerate(np.unique(y)):
        for made in (False, True):
            rows = (y == label) & (synthetic == made)
            if rows.any():
                points = ax.scatter(
                    plane[rows, 0],
                    plane[rows, 1],
                    c=enemy[rows],
                    cmap="cividis",
                    vmin=0,
                    vmax=1,
                    s=22,
                    marker=_MARKERS[position % len(_MARKERS)],
                    edgecolors=PALETTE[1] if made else GREY,
                    linewidths=1.2 if made else 0.3,
                    label=f"{plain(label)}, synthetic" if made else plain(label),
                )
    ax.figure.colorbar(points, ax=ax, label=f"share of {k_neighbors} neighbours of other classes")
    ax.set(xlabel="first principal component", ylabel="second principal component", title="Neighbours")
    legend(ax)
    return ax


def _enemy_share(x: torch.Tensor, y: np.ndarray, synthetic: np.ndarray, k: int) -> np.ndarray:
    real = torch.from_numpy(~synthetic)
    share = np.empty(len(y))
    for rows, own in ((~synthetic, True), (synthetic, False)):
        if rows.any():
            found = knn(x[torch.from_numpy(rows)], x[real], k, exclude_self=own).indices.numpy()
            share[rows] = (y[~synthetic][found] != y[rows][:, None]).mean(1)
    return share
