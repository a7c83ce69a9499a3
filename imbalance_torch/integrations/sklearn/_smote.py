"""SMOTE, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

from typing import Any, ClassVar

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import NEIGHBORS, OverAdapter, RandomState
from imbalance_torch.plan import SamplingStrategy


class SMOTE(OverAdapter):
    """SMOTE for pipelines and searches; the rows are those of ``imbalance_torch.resampling.SMOTE``.

    Args:
        sampling_strategy: As in imbalanced-learn: a name, a ratio, a dict of final counts, or a callable.
        random_state: Seed, ``numpy.random.RandomState`` (advances by one draw per fit) or None (fresh entropy).
        k_neighbors: Neighbours that a row can be joined with; or a Euclidean nearest-neighbour estimator, whose
            ``n_neighbors`` counts the row itself.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ..., or ``"auto"`` (CUDA where there is one).

    Attributes:
        sampling_strategy_: Label to rows that are added.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, ``X`` is not finite, or a class has too few rows.

    Notes:
        Arrays, lists, frames and sparse matrices come back as what they were. A sparse ``X`` is made dense for the
        search (N d numbers), the result is sparse. Integer columns are rounded.

    NOTE[DIFF]: Of a nearest-neighbour estimator only ``n_neighbors`` is used: the search is exact and runs on
    ``device``; an estimator with another metric is refused. ``random_state=None`` takes fresh entropy and leaves
    NumPy's global generator alone. A seed gives other rows than in imbalanced-learn, and integers are rounded where
    it truncates them.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002.

    Example:
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), np.array([0, 0, 0, 0, 1, 1])
        >>> X_res, y_res = SMOTE(k_neighbors=1, random_state=0).fit_resample(X, y)
        >>> np.bincount(y_res), bool((X_res[6:] >= 8).all())
        (array([4, 4]), True)
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

    def _resampler(self, counts: dict[Any, int]) -> resampling.SMOTE:
        self.nn_k_ = self._searched("k_neighbors")
        return resampling.SMOTE(counts, k_neighbors=self.nn_k_.n_neighbors - 1, random_state=self._seed())
