"""SMOTE followed by cleaning, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods

from imbalance_torch.integrations.sklearn._base import RandomState, whole_columns
from imbalance_torch.integrations.sklearn._smote import SMOTE
from imbalance_torch.integrations.sklearn._under import EditedNearestNeighbours, TomekLinks
from imbalance_torch.plan import SamplingStrategy


class CombinedAdapter(BaseSampler):  # type: ignore[misc]
    """The base of the two: ``_validate_estimator`` returns the sampler that grows and the one that cleans."""

    _sampling_type = "over-sampling"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "smote": [HasMethods(["fit_resample"]), None],
        "n_jobs": [Integral, None],
        "device": [str],
    }

    def _validate_estimator(self) -> tuple[Any, Any]:
        """Return the sampler that grows and the one that cleans, as the arguments say."""
        raise NotImplementedError

    def _grower(self) -> Any:
        default = SMOTE(sampling_strategy=self.sampling_strategy, random_state=self.random_state, device=self.device)
        return default if self.smote is None else clone(self.smote)

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        self._whole_columns = whole_columns(X)
        checked: tuple[Any, Any, bool] = super()._check_X_y(X, y)
        return checked

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        grower, cleaner = self._validate_estimator()
        X_res, y_res = grower.fit_resample(X, y)
        if self._whole_columns:
            X_res[:, self._whole_columns] = np.rint(X_res[:, self._whole_columns])
        return cleaner.fit_resample(X_res, y_res)  # type: ignore[no-any-return]


class SMOTEENN(CombinedAdapter):
    """SMOTE followed by edited nearest neighbours, for pipelines and searches.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        smote: Sampler that adds rows; None is ``SMOTE`` of this package with the arguments above.
        enn: Sampler that removes rows; None is ``EditedNearestNeighbours(sampling_strategy="all")`` of this package.
        n_jobs: Handed to the default ``enn``, where it is unused.
        device: As in ``SMOTE``, for the two defaults.

    Attributes:
        sampling_strategy_: Label to rows that are added before cleaning.
        smote_: The sampler that added rows.
        enn_: The sampler that removed rows.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    NOTE[DIFF]: ``smote`` and ``enn`` may be any samplers, not only those of one class.

    References:
        Batista, Prati, Monard. A study of the behavior of several methods for balancing machine learning training
        data. SIGKDD Explorations 6, 2004.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), np.array([0, 0, 0, 0, 1, 1])
        >>> smote, enn = SMOTE(k_neighbors=1), EditedNearestNeighbours(sampling_strategy="all", n_neighbors=1)
        >>> np.bincount(SMOTEENN(smote=smote, enn=enn).fit_resample(X, y)[1])
        array([4, 4])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CombinedAdapter._parameter_constraints,
        "enn": [HasMethods(["fit_resample"]), None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        smote: Any = None,
        enn: Any = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.smote = smote
        self.enn = enn
        self.n_jobs = n_jobs
        self.device = device

    def _validate_estimator(self) -> tuple[Any, Any]:
        default = EditedNearestNeighbours(sampling_strategy="all", n_jobs=self.n_jobs, device=self.device)
        self.smote_, self.enn_ = self._grower(), default if self.enn is None else clone(self.enn)
        return self.smote_, self.enn_


class SMOTETomek(CombinedAdapter):
    """SMOTE followed by the removal of Tomek links, for pipelines and searches.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        smote: Sampler that adds rows; None is ``SMOTE`` of this package with the arguments above.
        tomek: Sampler that removes rows; None is ``TomekLinks(sampling_strategy="all")`` of this package.
        n_jobs: Handed to the default ``tomek``, where it is unused.
        device: As in ``SMOTE``, for the two defaults.

    Attributes:
        sampling_strategy_: Label to rows that are added before cleaning.
        smote_: The sampler that added rows.
        tomek_: The sampler that removed rows.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    NOTE[DIFF]: ``smote`` and ``tomek`` may be any samplers, not only those of one class.

    References:
        Batista, Bazzan, Monard. Balancing training data for automated annotation of keywords: a case study. WOB 2003.

    Example:
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), np.array([0, 0, 0, 0, 1, 1])
        >>> np.bincount(SMOTETomek(smote=SMOTE(k_neighbors=1)).fit_resample(X, y)[1])
        array([4, 4])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CombinedAdapter._parameter_constraints,
        "tomek": [HasMethods(["fit_resample"]), None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        smote: Any = None,
        tomek: Any = None,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.smote = smote
        self.tomek = tomek
        self.n_jobs = n_jobs
        self.device = device

    def _validate_estimator(self) -> tuple[Any, Any]:
        default = TomekLinks(sampling_strategy="all", n_jobs=self.n_jobs, device=self.device)
        self.smote_, self.tomek_ = self._grower(), default if self.tomek is None else clone(self.tomek)
        return self.smote_, self.tomek_
