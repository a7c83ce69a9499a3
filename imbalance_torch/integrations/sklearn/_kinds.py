"""Variants of SMOTE for numbers, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.svm import SVC
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import NEIGHBORS, OverAdapter, RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import Resampled


class BorderlineSMOTE(OverAdapter):
    """Borderline-SMOTE for pipelines and searches; rows as from ``imbalance_torch.resampling.BorderlineSMOTE``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        m_neighbors: Neighbours among all rows that decide whether a row is in danger; or an estimator, as
            ``k_neighbors``.
        kind: ``"borderline-1"`` or ``"borderline-2"``.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        nn_m_: The search that ``m_neighbors`` asks for, not fitted.
        in_danger_indices: Label to the rows of ``X`` that its synthetic rows start from.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    Notes:
        A class without rows in danger grows by plain SMOTE, with a warning; see the core class.

    NOTE[DIFF]: imbalanced-learn adds no rows to a class without rows in danger and leaves it out of
    ``in_danger_indices``; here all its rows stand there.

    References:
        Han, Wang, Mao. Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data Sets Learning. ICIC 2005.

    Example:
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.5], [4.0], [9.0]]), np.array([0, 0, 0, 1, 0, 1])
        >>> sampler = BorderlineSMOTE(k_neighbors=1, m_neighbors=2, random_state=0)
        >>> np.bincount(sampler.fit_resample(X, y)[1])
        array([4, 4])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "m_neighbors": NEIGHBORS,
        "kind": [StrOptions({"borderline-1", "borderline-2"})],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        m_neighbors: Any = 10,
        kind: str = "borderline-1",
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.m_neighbors = m_neighbors
        self.kind = kind
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.BorderlineSMOTE:
        self.nn_k_, self.nn_m_ = self._searched("k_neighbors"), self._searched("m_neighbors")
        return resampling.BorderlineSMOTE(
            counts,
            k_neighbors=self.nn_k_.n_neighbors - 1,
            m_neighbors=self.nn_m_.n_neighbors - 1,
            kind=self.kind,
            random_state=self._seed(),
        )

    def _learn(self, resampler: Any, drawn: Resampled) -> None:
        graph = resampler.graph_
        self.in_danger_indices = {
            label: graph.row_index[pairs.bases].numpy(force=True) for label, pairs in graph.edges.items()
        }


class ADASYN(OverAdapter):
    """ADASYN for pipelines and searches; rows as from ``imbalance_torch.resampling.ADASYN``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        n_neighbors: Neighbours of a row, both among all rows and in its class; or an estimator, as ``k_neighbors`` of
            ``SMOTE``.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_: The search that ``n_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    NOTE[DIFF]: The number of rows added is exact; in imbalanced-learn rounding changes it. A class whose rows have
    neighbours of their own class alone grows by plain SMOTE, with a warning, where imbalanced-learn raises.

    References:
        He, Bai, Garcia, Li. ADASYN: Adaptive synthetic sampling approach for imbalanced learning. IJCNN 2008.

    Example:
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.5], [4.0], [9.0]]), np.array([0, 0, 0, 1, 0, 1])
        >>> np.bincount(ADASYN(n_neighbors=1, random_state=0).fit_resample(X, y)[1])
        array([4, 4])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {**OverAdapter._parameter_constraints, "n_neighbors": NEIGHBORS}

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        n_neighbors: Any = 5,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.n_neighbors = n_neighbors
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.ADASYN:
        self.nn_ = self._searched("n_neighbors")
        return resampling.ADASYN(counts, n_neighbors=self.nn_.n_neighbors - 1, random_state=self._seed())


class SVMSMOTE(OverAdapter):
    """SVM-SMOTE for pipelines and searches; rows as from ``imbalance_torch.resampling.SVMSMOTE``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        m_neighbors: Neighbours among all rows that tell noise and danger; or an estimator, as ``k_neighbors``.
        svm_estimator: Support vector classifier with ``support_``; None is ``SVC(gamma="scale")``.
        out_step: How far rows are extrapolated, in [0, 1].
        device: As in ``SMOTE``; the classifier itself runs on the CPU.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        nn_m_: The search that ``m_neighbors`` asks for, not fitted.
        svm_estimator_: The classifier asked for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    NOTE[DIFF]: The number of rows added is exact, also where one group of support vectors is empty. Where all support
    vectors are noise, a class grows by plain SMOTE, with a warning, where imbalanced-learn raises.

    References:
        Nguyen, Cooper, Kamei. Borderline over-sampling for imbalanced data classification. IJKESDP 3, 2011.

    Example:
        >>> import numpy as np
        >>> X, y = np.arange(12.0)[:, None], np.array([0] * 8 + [1] * 4)
        >>> sampler = SVMSMOTE(k_neighbors=2, m_neighbors=3, random_state=0)
        >>> np.bincount(sampler.fit_resample(X, y)[1])
        array([8, 8])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "m_neighbors": NEIGHBORS,
        "svm_estimator": [HasMethods(["fit", "predict"]), None],
        "out_step": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        m_neighbors: Any = 10,
        svm_estimator: Any = None,
        out_step: float = 0.5,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.m_neighbors = m_neighbors
        self.svm_estimator = svm_estimator
        self.out_step = out_step
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.SVMSMOTE:
        self.nn_k_, self.nn_m_ = self._searched("k_neighbors"), self._searched("m_neighbors")
        seed = self._seed()
        default = SVC(gamma="scale", random_state=seed)
        self.svm_estimator_ = default if self.svm_estimator is None else clone(self.svm_estimator)
        return resampling.SVMSMOTE(
            counts,
            k_neighbors=self.nn_k_.n_neighbors - 1,
            m_neighbors=self.nn_m_.n_neighbors - 1,
            svm_estimator=self.svm_estimator_,
            out_step=self.out_step,
            random_state=seed,
        )


class KMeansSMOTE(OverAdapter):
    """K-means SMOTE for pipelines and searches; rows as from ``imbalance_torch.resampling.KMeansSMOTE``.

    Args:
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``, within a cluster.
        n_jobs: Unused; kept for imbalanced-learn's signature.
        kmeans_estimator: Number of clusters, a clusterer, or None for the default ``MiniBatchKMeans``.
        cluster_balance_threshold: Least share of the class in a cluster that is used, or ``"auto"``.
        density_exponent: Exponent of the mean distance in the sparsity of a cluster, or ``"auto"``.
        device: As in ``SMOTE``; the clusterer itself runs on the CPU.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        kmeans_estimator_: The clusterer asked for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    NOTE[DIFF]: The number of rows added is exact; imbalanced-learn rounds up in every cluster. Without a usable
    cluster a class grows by plain SMOTE, with a warning, where imbalanced-learn raises.

    References:
        Douzas, Bacao, Last. Improving imbalanced learning through a heuristic oversampling method based on k-means
        and SMOTE. Information Sciences 465, 2018.

    Example:
        >>> import numpy as np
        >>> X, y = np.concatenate((np.arange(8.0), np.arange(20.0, 24.0)))[:, None], np.array([0] * 8 + [1] * 4)
        >>> np.bincount(KMeansSMOTE(kmeans_estimator=2, random_state=0).fit_resample(X, y)[1])
        array([8, 8])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "kmeans_estimator": [HasMethods(["fit", "predict"]), Interval(Integral, 1, None, closed="left"), None],
        "cluster_balance_threshold": [StrOptions({"auto"}), Real],
        "density_exponent": [StrOptions({"auto"}), Real],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 2,
        n_jobs: int | None = None,
        kmeans_estimator: Any = None,
        cluster_balance_threshold: float | Literal["auto"] = "auto",
        density_exponent: float | Literal["auto"] = "auto",
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.n_jobs = n_jobs
        self.kmeans_estimator = kmeans_estimator
        self.cluster_balance_threshold = cluster_balance_threshold
        self.density_exponent = density_exponent
        self.device = device

    def _resampler(self, counts: dict[Any, int]) -> resampling.KMeansSMOTE:
        self.nn_k_ = self._searched("k_neighbors")
        seed = self._seed()
        if self.kmeans_estimator is None:
            self.kmeans_estimator_ = MiniBatchKMeans(random_state=seed)
        elif isinstance(self.kmeans_estimator, Integral):
            self.kmeans_estimator_ = MiniBatchKMeans(self.kmeans_estimator, random_state=seed)
        else:
            self.kmeans_estimator_ = clone(self.kmeans_estimator)
        return resampling.KMeansSMOTE(
            counts,
            k_neighbors=self.nn_k_.n_neighbors - 1,
            kmeans_estimator=self.kmeans_estimator_,
            cluster_balance_threshold=self.cluster_balance_threshold,
            density_exponent=self.density_exponent,
            random_state=seed,
        )
