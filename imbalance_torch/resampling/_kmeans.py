"""KMeans-SMOTE: SMOTE inside those clusters of the data in which a class is frequent, most in the sparse ones."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number, require
from imbalance_torch._random import RandomState
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._estimators import seeded_clone
from imbalance_torch.resampling._graph import Graph, GraphBuilder, computing_dtype
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales


class KMeansSMOTE(OverSampler):
    r"""SMOTE inside the clusters where a class is frequent; clusters in which it is sparse get more synthetic rows.

    .. math:: x_{new} = x_i + \lambda (x_j - x_i), \quad G_f \propto \bar d_f^{\,e} / n_f, \quad \lambda \sim U[0, 1)

    with x_i and x_j rows of the class in the same cluster f, x_j one of the ``k_neighbors`` nearest to x_i there,
    :math:`G_f` the rows from the cluster, :math:`\bar d_f` the mean distance between its :math:`n_f` rows of the class
    and e = ``density_exponent``. A cluster is usable when more than ``k_neighbors`` of its rows are of the class, and
    their share of the cluster is at least ``cluster_balance_threshold``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Neighbours that a row can be joined with, >= 1.
        kmeans_estimator: Estimator with ``fit_predict`` of which a clone is fitted (rows that it labels below 0 are in
            no cluster), a number of clusters for scikit-learn's ``MiniBatchKMeans``, or None for its default of 8.
        cluster_balance_threshold: Least share of the class in a usable cluster; ``"auto"`` is half of the class's share
            of all rows to add. Ignored with a single cluster.
        density_exponent: Exponent e, >= 0; ``"auto"`` is :math:`0.16 \log_{1.6}(n_f)^{1.8}`; with 0 the distances do
            not matter.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when a class has no usable cluster, or synthetic rows can only be copies:
            ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of rows that synthetic rows come from.

    Raises:
        ImportError: In ``fit``, without scikit-learn.
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities or fewer rows than clusters, ``y`` holds
            one class, or a class without a usable cluster has ``k_neighbors`` rows or fewer.

    Notes:
        A class without a usable cluster warns and grows by plain SMOTE from all its rows. Rows are shared out between
        clusters by largest remainder (in parts of 262,144), so that counts are exact; where all distances are 0,
        evenly. Clusters are fitted once for all classes, on the CPU, with the seed of the fit where ``random_state`` of
        the estimator is None. Containers, dtypes, rounding and seeds are as in ``SMOTE``. Time: that of the clustering,
        and O(n_f^2 d) per cluster; memory: the rows of the classes that grow, 16 MB for distances, and ``k_neighbors``
        int64 per row.

    NOTE[DIFF]: Douzas et al. keep clusters by the ratio of the classes (at least 1) and take the number of columns for
    e; here, as in imbalanced-learn, see above. imbalanced-learn rounds every cluster up and so adds too many rows,
    gives NaN where all distances are 0, and raises where no cluster is usable.

    References:
        Douzas, Bacao, Last. Improving Imbalanced Learning through a Heuristic Oversampling Method Based on K-means and
        SMOTE. Information Sciences 465, 2018.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> X, y = torch.randn(90, 2, generator=generator), (torch.arange(90) >= 70).long()
        >>> X[70:80] += 9  # two clusters of class 1, one of which is spread more widely
        >>> X[80:] = 3 * X[80:] - 20
        >>> smote = KMeansSMOTE(kmeans_estimator=3, density_exponent=1, random_state=0).fit(X, y)
        >>> (smote.sample(50).base_index >= 80).int().bincount()
        tensor([10, 40])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 2,
        kmeans_estimator: Any = None,
        cluster_balance_threshold: float | str = "auto",
        density_exponent: float | str = "auto",
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        if kmeans_estimator is not None and not hasattr(kmeans_estimator, "fit_predict"):
            kmeans_estimator = check_int("kmeans_estimator", kmeans_estimator, minimum=1)
        self.kmeans_estimator = kmeans_estimator
        if cluster_balance_threshold != "auto":
            check_number("cluster_balance_threshold", cluster_balance_threshold)
        self.cluster_balance_threshold = cluster_balance_threshold
        if density_exponent != "auto":
            check_number("density_exponent", density_exponent, minimum=0)
        self.density_exponent = density_exponent

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        if not growing:
            return builder.graph()
        clusters = self._clusters(classes)
        sizes = clusters.bincount()
        for label in growing:
            rank, members = classes.ranks[label], classes.members[label]
            own = clusters[members]
            inside = own.bincount(minlength=len(sizes))
            usable = (inside > self.k_neighbors) & (inside.double() / sizes >= self._threshold(classes, label, sizes))
            usable[0] = False
            if usable.any():
                parts = [(own == cluster).nonzero().flatten() for cluster in usable.nonzero().flatten()]
                builder.add(label, rank, members, **self._within(classes, label, parts))
            else:
                builder.add(label, rank, members, self._neighbors_in_class(classes, label, self.k_neighbors))
                self._degenerate(
                    f"No cluster has more than {self.k_neighbors} rows of class {label!r} and a large enough share of "
                    "it. Using plain SMOTE for it; lower `cluster_balance_threshold` or use other clusters."
                )
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph

    def _clusters(self, classes: Classes) -> Tensor:
        """Return the cluster of each row, from 1; 0 is none."""
        estimator, table = self.kmeans_estimator, classes.table
        if not hasattr(estimator, "fit_predict"):
            minibatch = require("sklearn.cluster", extra="train").MiniBatchKMeans
            estimator = minibatch() if estimator is None else minibatch(n_clusters=estimator)
        least = getattr(estimator, "n_clusters", 1)
        if len(table) < least:
            raise ValueError(
                f"`kmeans_estimator` must have at most as many clusters as `X` has rows, got {least} clusters and "
                f"{len(table)} rows. Use kmeans_estimator={len(table)} or fewer."
            )
        rows = table.to(computing_dtype(table)).numpy(force=True)
        found = torch.as_tensor(seeded_clone(estimator, classes.seed).fit_predict(rows), dtype=torch.int64)
        return (found.clamp(min=-1) + 1).to(table.device)

    def _threshold(self, classes: Classes, label: Any, sizes: Tensor) -> float:
        if int((sizes > 0).sum()) == 1:
            return 0.0
        if self.cluster_balance_threshold == "auto":
            return classes.added[label] / sum(classes.added.values()) / 2
        return float(self.cluster_balance_threshold)

    def _within(self, classes: Classes, label: Any, parts: list[Tensor]) -> dict[str, Tensor]:
        """Return the pairs inside each of ``parts``, positions in the class, and the share of each part."""
        rows, neighbors, densities, copies = classes.rows(label), [], [], True
        for part in parts:
            inside = rows[part]
            distances, near = nearest(
                inside, inside, self.k_neighbors, exclude_self=True, memory_budget=self.memory_budget
            )
            copies &= not distances.any()
            neighbors.append(part[near])
            densities.append(self._log_sparsity(inside))
        if copies:
            self._degenerate(
                f"All rows of class {label!r} in usable clusters equal their {self.k_neighbors} nearest neighbours, so "
                "synthetic rows are copies. Use random over-sampling, or drop duplicates."
            )
        logs = torch.tensor(densities, dtype=torch.float64)
        return {
            "neighbors": torch.cat(neighbors),
            "bases": torch.cat(parts),
            "ends": torch.tensor([len(part) for part in parts]).cumsum(0),
            "shares": torch.ones_like(logs) if logs.isneginf().all() else logs.softmax(0),
        }

    def _log_sparsity(self, rows: Tensor) -> float:
        """Return the logarithm of ``mean distance ** exponent / n``; powers of large distances overflow."""
        n = len(rows)
        rows = rows.double() - rows[0].double()
        scale = float(rows.abs().max()) or 1.0  # squares neither overflow nor vanish
        rows = rows / scale
        total = sum(
            float(torch.cdist(block, rows, compute_mode="donot_use_mm_for_euclid_dist").sum())
            for block in torch.split(rows, max(1, (1 << 21) // n))
        )
        exponent = 0.16 * math.log(n, 1.6) ** 1.8 if self.density_exponent == "auto" else float(self.density_exponent)
        mean = torch.tensor(total / (n * n - n), dtype=torch.float64)
        return float(torch.xlogy(exponent, mean)) + exponent * math.log(scale) - math.log(n)
