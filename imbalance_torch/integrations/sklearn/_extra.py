"""Over-samplers that imbalanced-learn lacks, behind its estimator interface."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import NEIGHBORS, OverAdapter, RandomState
from imbalance_torch.plan import SamplingStrategy


class SafeLevelSMOTE(OverAdapter):
    """Safe-level SMOTE for pipelines and searches; rows as from ``imbalance_torch.resampling.SafeLevelSMOTE``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    References:
        Bunkhumpornpat, Sinapiromsaran, Lursinsap. Safe-Level-SMOTE: Safe-Level-Synthetic Minority Over-Sampling
        TEchnique for Handling the Class Imbalanced Problem. PAKDD 2009.

    Example:
        >>> import numpy as np
        >>> X, y = np.arange(12.0)[:, None], np.array([0] * 8 + [1] * 4)
        >>> np.bincount(SafeLevelSMOTE(k_neighbors=2, random_state=0).fit_resample(X, y)[1])
        array([8, 8])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {**OverAdapter._parameter_constraints, "k_neighbors": NEIGHBORS}

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.SafeLevelSMOTE:
        self.nn_k_ = self._searched("k_neighbors")
        return resampling.SafeLevelSMOTE(counts, k_neighbors=self.nn_k_.n_neighbors - 1, random_state=self._seed())


class GeometricSMOTE(OverAdapter):
    """Geometric SMOTE for pipelines and searches; rows as from ``imbalance_torch.resampling.GeometricSMOTE``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        truncation_factor: From -1 to 1: which part of the ball around a row is used.
        deformation_factor: From 0 (ball) to 1 (segment).
        selection_strategy: ``"combined"``, ``"majority"`` or ``"minority"``: where the surface of the ball is.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    References:
        Douzas, Bacao. Geometric SMOTE: a geometrically enhanced drop-in replacement for SMOTE. Information Sciences
        501, 2019.

    Example:
        >>> import numpy as np
        >>> X, y = np.arange(12.0)[:, None], np.array([0] * 8 + [1] * 4)
        >>> np.bincount(GeometricSMOTE(k_neighbors=2, random_state=0).fit_resample(X, y)[1])
        array([8, 8])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "truncation_factor": [Interval(Real, -1, 1, closed="both")],
        "deformation_factor": [Interval(Real, 0, 1, closed="both")],
        "selection_strategy": [StrOptions({"combined", "majority", "minority"})],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        truncation_factor: float = 1.0,
        deformation_factor: float = 0.0,
        selection_strategy: str = "combined",
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.truncation_factor = truncation_factor
        self.deformation_factor = deformation_factor
        self.selection_strategy = selection_strategy
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.GeometricSMOTE:
        self.nn_k_ = self._searched("k_neighbors")
        return resampling.GeometricSMOTE(
            counts,
            k_neighbors=self.nn_k_.n_neighbors - 1,
            truncation_factor=self.truncation_factor,
            deformation_factor=self.deformation_factor,
            selection_strategy=self.selection_strategy,
            random_state=self._seed(),
        )
