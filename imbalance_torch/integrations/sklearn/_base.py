"""What the adapters share: NumPy, pandas and sparse data handed to a core resampler on a device, and taken back."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.under_sampling.base import BaseCleaningSampler, BaseUnderSampler
from imblearn.utils import check_target_type
from scipy import sparse
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_array, validate_data
from torch import Tensor

from imbalance_torch.integrations.sklearn._neighbors import TorchKNN, device_named
from imbalance_torch.resampling import Resampled

RandomState: TypeAlias = "int | np.random.RandomState | None"
NEIGHBORS = [Interval(Integral, 1, None, closed="left"), HasMethods(["kneighbors", "kneighbors_graph"])]


def seed_of(random_state: RandomState) -> int | None:
    """Return the seed of a core resampler; a ``RandomState`` advances by one draw."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(np.iinfo(np.int32).max))
    return None if random_state is None else int(random_state)


def neighbors_of(name: str, value: Any, device: str, *, with_self: bool = True) -> TorchKNN:
    """Return the search that an argument asks for: a number of neighbours, or another estimator's ``n_neighbors``.

    ``with_self`` says that the method counts the row itself among the ``n_neighbors`` of an estimator.
    """
    if isinstance(value, Integral):
        return TorchKNN(int(value) + with_self, device=device)
    metric, power = getattr(value, "metric", "euclidean"), getattr(value, "p", 2)
    if metric not in ("euclidean", "l2") and (metric, power) != ("minkowski", 2):
        raise ValueError(
            f"`{name}` must measure Euclidean distance, got metric={metric!r} and p={power!r}. "
            "Use the class of imbalanced-learn for other metrics."
        )
    return TorchKNN(value.n_neighbors, device=device)


def dense(X: Any) -> np.ndarray[Any, Any]:
    """Return rows as a dense array."""
    return np.asarray(X.toarray() if sparse.issparse(X) else X)


def tensor_on(device: str, X: Any) -> Tensor:
    """Return rows as a dense tensor on a device."""
    array = dense(X)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"`X` must hold real numbers of at most 64 bits, got dtype={array.dtype}.")
    return torch.tensor(np.ascontiguousarray(array, array.dtype.newbyteorder("=")), device=device_named(device))


def whole_columns(X: Any) -> list[int]:
    """Return the positions of a frame's integer and boolean columns, whose synthetic values are rounded."""
    return [j for j, dtype in enumerate(X.dtypes) if dtype.kind in "iub"] if hasattr(X, "iloc") else []


def stacked(X: Any, new: np.ndarray[Any, Any]) -> Any:
    """Return the rows of ``X`` followed by new ones, sparse where ``X`` is."""
    return sparse.vstack([X, type(X)(new)], format=X.format) if sparse.issparse(X) else np.concatenate((X, new))


def check_rows(sampler: Any, X: Any, y: Any) -> tuple[Any, Any, bool]:
    """Check data whose rows are only repeated or dropped: any dtype, missing values, frames left as they are."""
    y, binarize = check_target_type(y, indicate_one_vs_all=True)
    if not hasattr(X, "iloc"):
        X = check_array(X, dtype=None, accept_sparse=["csr", "csc"], ensure_all_finite=False)
    validate_data(sampler, X=X, y=y, reset=True, skip_check_array=True)
    return X, y, binarize


class OverAdapter(BaseOverSampler):  # type: ignore[misc]
    """The base of the adapters of over-samplers; ``_resampler`` returns the core resampler for checked arguments."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {**BaseOverSampler._parameter_constraints, "device": [str]}

    def _resampler(self, counts: dict[Any, int]) -> Any:
        """Return a core resampler for these final counts."""
        raise NotImplementedError

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        self._whole_columns = whole_columns(X)
        checked: tuple[Any, Any, bool] = super()._check_X_y(X, y)
        return checked

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        drawn = self._drawn(X, y)
        new = drawn.X.numpy(force=True)
        new[:, self._whole_columns] = np.rint(new[:, self._whole_columns])
        return stacked(X, new), np.concatenate((y, drawn.y))

    def _drawn(self, X: Any, y: np.ndarray[Any, Any]) -> Resampled:
        """Return the rows that the core adds to numbers."""
        present = {label: int(np.count_nonzero(y == label)) for label in self.sampling_strategy_}
        resampler = self._resampler({label: n + present[label] for label, n in self.sampling_strategy_.items()})
        resampler.fit(tensor_on(self.device, X), y)
        drawn: Resampled = resampler.sample({label: n for label, n in resampler.sampling_strategy_.items() if n})
        self._learn(resampler, drawn)
        return drawn

    def _learn(self, resampler: Any, drawn: Resampled) -> None:
        """Keep what a method states about its fit."""

    def _seed(self) -> int | None:
        return seed_of(self.random_state)

    def _searched(self, name: str) -> TorchKNN:
        return neighbors_of(name, getattr(self, name), self.device)


class SelectAdapter:
    """What adapters that keep rows share."""

    def _rows_for(self, X: Any) -> Any:
        """Return the rows to measure distances between."""
        return tensor_on(self.device, X)  # type: ignore[attr-defined]

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        selected = self._resampler().fit_resample(self._rows_for(X), y, return_info=True)  # type: ignore[attr-defined]
        self.sample_indices_ = selected.index.numpy(force=True)
        return _safe_indexing(X, self.sample_indices_), y[self.sample_indices_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.sampler_tags.sample_indices = True
        return tags


class UnderAdapter(SelectAdapter, BaseUnderSampler):  # type: ignore[misc]
    """The base of the adapters of under-samplers; ``_resampler`` returns the core resampler."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {**BaseUnderSampler._parameter_constraints, "device": [str]}


class CleanAdapter(SelectAdapter, BaseCleaningSampler):  # type: ignore[misc]
    """The base of the adapters of cleaning methods; ``_resampler`` returns the core resampler."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {**BaseCleaningSampler._parameter_constraints, "device": [str]}
