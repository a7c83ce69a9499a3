"""Exact neighbours on any device, behind scikit-learn's nearest-neighbour interface."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted, validate_data

from imbalance_torch.neighbors import knn


def device_named(device: str) -> torch.device:
    """Return a device by name; ``"auto"`` is CUDA where there is a device, and the CPU elsewhere."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"`device` must be 'auto' or a device of torch, got device={device!r}. Use 'cpu'.") from error


class TorchKNN(BaseEstimator):  # type: ignore[misc]
    """Exact Euclidean nearest neighbours, to be given to the samplers of imbalanced-learn.

    Args:
        n_neighbors: Neighbours per row, >= 1. Where imbalanced-learn takes an object in place of a number, it counts
            the row itself: ``SMOTE(k_neighbors=TorchKNN(6))`` is its ``SMOTE(k_neighbors=5)``.
        device: Where to search: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ..., or ``"auto"`` (CUDA where there is one).
        n_jobs: Unused; some samplers set it.

    Attributes:
        n_features_in_: Columns of the fitted rows.
        n_samples_fit_: Fitted rows.

    Raises:
        ValueError: If a value is out of range, rows hold NaN or infinities, or fewer rows are fitted than neighbours
            asked for.

    Notes:
        Results are those of ``imbalance_torch.neighbors.knn``: exact, ties to the lower index, in bounded memory.
        Sparse rows are made dense. ``kneighbors(X)`` with the fitted rows puts each row itself first, also among its
        duplicates, so that a sampler which drops the first column drops the row and nothing else. The distance is
        Euclidean; SMOTEN of imbalanced-learn needs a precomputed metric and cannot take this object.

    Example:
        >>> from imblearn.over_sampling import SMOTE
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), [0, 0, 0, 0, 1, 1]
        >>> rows, labels = SMOTE(k_neighbors=TorchKNN(2), random_state=0).fit_resample(X, y)
        >>> labels
        [0, 0, 0, 0, 1, 1, 1, 1]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "n_jobs": [Integral, None],
    }

    def __init__(self, n_neighbors: int = 5, *, device: str = "cpu", n_jobs: int | None = None) -> None:
        self.n_neighbors = n_neighbors
        self.device = device
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep the rows to search in.

        Args:
            X: (N, d) finite numbers: array, frame, or sparse matrix.
            y: Unused.

        Returns:
            The estimator.
        """
        self._validate_params()
        self._rows = self._checked(X, reset=True)
        self.n_samples_fit_ = len(self._rows)
        return self

    @validate_params(  # type: ignore[untyped-decorator]
        {"n_neighbors": [Interval(Integral, 1, None, closed="left"), None], "return_distance": ["boolean"]},
        prefer_skip_nested_validation=True,
    )
    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Find the nearest fitted rows.

        Args:
            X: (Q, d) rows; None searches for the fitted rows, each of which is left out for itself.
            n_neighbors: Neighbours per row; None is that of the constructor.
            return_distance: Whether distances are returned.

        Returns:
            Distances (Q, k), ascending, and int64 indices (Q, k) of fitted rows; or the indices alone.
        """
        check_is_fitted(self, "n_samples_fit_")
        k = self.n_neighbors if n_neighbors is None else int(n_neighbors)
        query = self._rows if X is None else self._checked(X, reset=False)
        available = self.n_samples_fit_ - (X is None)
        if k > available:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, n_samples_fit = {self.n_samples_fit_}, "
                f"n_samples = {len(query)}. Lower `n_neighbors` to {available} or fit more rows."
            )
        distances, indices = self._search(query, k, itself=X is not None and np.array_equal(query, self._rows))
        return (distances, indices) if return_distance else indices

    @validate_params(  # type: ignore[untyped-decorator]
        {
            "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
            "mode": [StrOptions({"connectivity", "distance"})],
        },
        prefer_skip_nested_validation=True,
    )
    def kneighbors_graph(self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity") -> Any:
        """Return the neighbours as a sparse matrix.

        Args:
            X: As for ``kneighbors``.
            n_neighbors: As for ``kneighbors``.
            mode: ``"connectivity"`` (ones) or ``"distance"``.

        Returns:
            CSR matrix (Q, N).
        """
        distances, indices = self.kneighbors(X, n_neighbors)
        values = distances.ravel() if mode == "distance" else np.ones(indices.size)
        ends = np.arange(0, indices.size + 1, indices.shape[1])
        return sparse.csr_matrix((values, indices.ravel(), ends), shape=(len(indices), self.n_samples_fit_))

    def _checked(self, X: Any, *, reset: bool) -> np.ndarray[Any, Any]:
        rows = validate_data(self, X=X, reset=reset, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32])
        rows = rows.toarray() if sparse.issparse(rows) else rows
        return np.ascontiguousarray(rows, None if reset else self._rows.dtype)

    def _search(self, query: np.ndarray[Any, Any], k: int, *, itself: bool) -> tuple[np.ndarray[Any, Any], ...]:
        """Search; ``itself`` says that the query is the fitted rows and that each is its own first neighbour."""
        rows = torch.tensor(self._rows, device=device_named(self.device))
        if not itself and query is not self._rows:
            found = knn(torch.tensor(query, device=rows.device), rows, k)
            return found.distances.numpy(force=True), found.indices.numpy(force=True)
        own = np.arange(len(query))[:, None][:, : int(itself)]
        if k == itself:
            return np.zeros(own.shape), own
        found = knn(rows, rows, k - itself, exclude_self=True)
        distances, indices = found.distances.numpy(force=True), found.indices.numpy(force=True)
        return np.hstack((np.zeros(own.shape, distances.dtype), distances)), np.hstack((own, indices))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
