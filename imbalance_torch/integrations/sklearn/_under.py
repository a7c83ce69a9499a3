"""Under-samplers and cleaning methods, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import (
    NEIGHBORS,
    CleanAdapter,
    RandomState,
    UnderAdapter,
    check_rows,
    neighbors_of,
    seed_of,
    tensor_on,
)
from imbalance_torch.plan import SamplingStrategy


class RandomUnderSampler(UnderAdapter):
    """A random subset of the rows of the larger classes, for pipelines and searches.

    Args:
        sampling_strategy: As in imbalanced-learn: a name, a ratio, a dict of final counts, or a callable.
        random_state: Seed, ``numpy.random.RandomState`` (advances by one draw per fit) or None (fresh entropy).
        replacement: Whether a row can be drawn twice.
        device: Where the row numbers are drawn: ``"cpu"``, ``"cuda"``, ..., or ``"auto"``.

    Attributes:
        sampling_strategy_: Label to rows that are kept.
        sample_indices_: Rows of ``X`` that are kept.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Notes:
        ``X`` may hold strings, dates and missing values, and a sparse ``X`` stays sparse.

    Example:
        >>> X, y = np.arange(12.0)[:, None], np.array([0] * 9 + [1] * 3)
        >>> np.bincount(RandomUnderSampler(random_state=0).fit_resample(X, y)[1])
        array([3, 3])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **UnderAdapter._parameter_constraints,
        "replacement": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        replacement: bool = False,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.replacement = replacement
        self.device = device

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        return check_rows(self, X, y)

    def _rows_for(self, X: Any) -> Any:
        return tensor_on(self.device, np.arange(X.shape[0])[:, None])

    def _resampler(self) -> resampling.RandomUnderSampler:
        return resampling.RandomUnderSampler(
            self.sampling_strategy_, replacement=bool(self.replacement), random_state=seed_of(self.random_state)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        return tags


class NearMiss(UnderAdapter):
    """NearMiss for pipelines and searches; rows as from ``imbalance_torch.resampling.NearMiss``.

    Args:
        sampling_strategy: As in ``RandomUnderSampler``.
        version: 1, 2 or 3.
        n_neighbors: Minority rows that a distance is averaged over; or a Euclidean nearest-neighbour estimator, of
            which ``n_neighbors`` is used.
        n_neighbors_ver3: Rows that each minority row shortlists in version 3; or an estimator.
        n_jobs: Unused; kept for imbalanced-learn's signature.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ..., or ``"auto"`` (CUDA where there is one).

    Attributes:
        sampling_strategy_: Label to rows that are kept.
        sample_indices_: Rows of ``X`` that are kept.
        nn_: The search that ``n_neighbors`` asks for, not fitted.
        nn_ver3_: The search that ``n_neighbors_ver3`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    Notes:
        A sparse ``X`` is made dense for the search (N d numbers), the result is sparse.

    References:
        Mani, Zhang. kNN approach to unbalanced data distributions: a case study involving information extraction.
        ICML workshop, 2003.

    Example:
        >>> X, y = np.arange(12.0)[:, None], np.array([0] * 8 + [1] * 4)
        >>> NearMiss(n_neighbors=1).fit_resample(X, y)[0][:4].ravel().tolist()
        [7.0, 6.0, 5.0, 4.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **UnderAdapter._parameter_constraints,
        "version": [Interval(Integral, 1, 3, closed="both")],
        "n_neighbors": NEIGHBORS,
        "n_neighbors_ver3": NEIGHBORS,
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        version: int = 1,
        n_neighbors: Any = 3,
        n_neighbors_ver3: Any = 3,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.version = version
        self.n_neighbors = n_neighbors
        self.n_neighbors_ver3 = n_neighbors_ver3
        self.n_jobs = n_jobs
        self.device = device

    def _resampler(self) -> resampling.NearMiss:
        self.nn_ = neighbors_of("n_neighbors", self.n_neighbors, self.device, with_self=False)
        self.nn_ver3_ = neighbors_of("n_neighbors_ver3", self.n_neighbors_ver3, self.device, with_self=False)
        return resampling.NearMiss(
            self.sampling_strategy_,
            version=self.version,
            n_neighbors=self.nn_.n_neighbors,
            n_neighbors_ver3=self.nn_ver3_.n_neighbors,
        )


class TomekLinks(CleanAdapter):
    """Removal of Tomek links for pipelines and searches; rows as from ``imbalance_torch.resampling.TomekLinks``.

    Args:
        sampling_strategy: Classes that lose rows, as in imbalanced-learn: a name, a list of labels, or a callable.
        n_jobs: Unused; kept for imbalanced-learn's signature.
        device: As in ``NearMiss``.

    Attributes:
        sampling_strategy_: A dict whose keys are the classes that lose rows.
        sample_indices_: Rows of ``X`` that are kept.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, or ``X`` is not finite.

    Notes:
        A sparse ``X`` is made dense for the search (N d numbers), the result is sparse.

    References:
        Tomek. Two modifications of CNN. IEEE Transactions on Systems, Man, and Cybernetics 6, 1976.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [4.0], [4.5], [9.0]]), np.array([0, 0, 0, 1, 1])
        >>> TomekLinks().fit_resample(X, y)[0].ravel().tolist()
        [0.0, 1.0, 4.5, 9.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CleanAdapter._parameter_constraints,
        "n_jobs": [Integral, None],
    }

    def __init__(
        self, *, sampling_strategy: SamplingStrategy = "auto", n_jobs: int | None = None, device: str = "cpu"
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.n_jobs = n_jobs
        self.device = device

    def _resampler(self) -> resampling.TomekLinks:
        return resampling.TomekLinks(list(self.sampling_strategy_))


class EditedNearestNeighbours(CleanAdapter):
    """Edited nearest neighbours for pipelines; rows as from ``imbalance_torch.resampling.EditedNearestNeighbours``.

    Args:
        sampling_strategy: As in ``TomekLinks``.
        n_neighbors: Neighbours that vote; or a Euclidean nearest-neighbour estimator, whose ``n_neighbors`` counts
            the row itself.
        kind_sel: ``"all"`` keeps a row when all neighbours are of its class, ``"mode"`` when most are.
        n_jobs: Unused; kept for imbalanced-learn's signature.
        device: As in ``NearMiss``.

    Attributes:
        sampling_strategy_: A dict whose keys are the classes that lose rows.
        sample_indices_: Rows of ``X`` that are kept.
        nn_: The search that ``n_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, or ``X`` is not finite.

    Notes:
        A sparse ``X`` is made dense for the search (N d numbers), the result is sparse.

    References:
        Wilson. Asymptotic properties of nearest neighbor rules using edited data. IEEE Transactions on Systems, Man,
        and Cybernetics 2, 1972.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [2.0], [8.1], [8.0], [9.0]]), np.array([0, 0, 0, 0, 1, 1])
        >>> EditedNearestNeighbours(n_neighbors=1).fit_resample(X, y)[0].ravel().tolist()
        [0.0, 1.0, 2.0, 8.0, 9.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CleanAdapter._parameter_constraints,
        "n_neighbors": NEIGHBORS,
        "kind_sel": [StrOptions({"all", "mode"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        n_neighbors: Any = 3,
        kind_sel: str = "all",
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.n_neighbors = n_neighbors
        self.kind_sel = kind_sel
        self.n_jobs = n_jobs
        self.device = device

    def _resampler(self) -> resampling.EditedNearestNeighbours:
        self.nn_ = neighbors_of("n_neighbors", self.n_neighbors, self.device)
        return resampling.EditedNearestNeighbours(
            list(self.sampling_strategy_), n_neighbors=self.nn_.n_neighbors - 1, kind_sel=self.kind_sel
        )
