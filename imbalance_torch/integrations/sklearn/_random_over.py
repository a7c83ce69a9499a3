"""Random over-sampling, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_array

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import OverAdapter, RandomState, check_rows, whole_columns
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import Resampled


class RandomOverSampler(OverAdapter):
    """Repeated rows, or a smoothed bootstrap, for pipelines and searches.

    Args:
        sampling_strategy: As in imbalanced-learn: a name, a ratio, a dict of final counts, or a callable.
        random_state: Seed, ``numpy.random.RandomState`` (advances by one draw per fit) or None (fresh entropy).
        shrinkage: None repeats rows; a number >= 0, or a dict of them by class, adds normal noise of that many
            bandwidths (numbers only).
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ..., or ``"auto"`` (CUDA where there is one).

    Attributes:
        sampling_strategy_: Label to rows that are added.
        sample_indices_: The row of ``X`` behind each row of the result.
        shrinkage_: Label to shrinkage, or None.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, or ``shrinkage`` meets something other than finite numbers.

    Notes:
        Without ``shrinkage``, ``X`` may hold strings, dates and missing values, and a sparse ``X`` stays sparse; with
        it, a sparse ``X`` is made dense (N d numbers) and integer columns are rounded.

    References:
        Menardi, Torelli. Training and assessing classification rules with imbalanced data. Data Mining and Knowledge
        Discovery 28, 2014.

    Example:
        >>> X, y = np.array([["a"], ["b"], ["c"]], dtype=object), np.array([0, 0, 1])
        >>> RandomOverSampler(random_state=0).fit_resample(X, y)[0].ravel().tolist()
        ['a', 'b', 'c', 'c']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "shrinkage": [Interval(Real, 0, None, closed="left"), dict, None],
    }

    def __init__(
        self,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        shrinkage: float | dict[Any, float] | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.shrinkage = shrinkage
        self.device = device

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        self._whole_columns = whole_columns(X)
        return check_rows(self, X, y)

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        self.shrinkage_ = self._shrinkages()
        if self.shrinkage_ is not None:
            try:
                X = check_array(X, accept_sparse=["csr", "csc"])
            except ValueError as error:
                raise ValueError(
                    "When shrinkage is not None, X needs to contain only numerical data, which noise can be added to. "
                    "Use shrinkage=None."
                ) from error
            return super()._fit_resample(X, y)
        self._drawn(np.arange(len(y))[:, None], y)
        rows = _safe_indexing(X, self.sample_indices_)
        return rows.reset_index(drop=True) if hasattr(rows, "iloc") else rows, y[self.sample_indices_]

    def _resampler(self, counts: dict[Any, int]) -> resampling.RandomOverSampler:
        return resampling.RandomOverSampler(counts, shrinkage=self.shrinkage_, random_state=self._seed())

    def _learn(self, resampler: Any, drawn: Resampled) -> None:
        new = drawn.base_index.numpy(force=True)
        self.sample_indices_ = np.concatenate((np.arange(sum(resampler.class_counts_.values())), new))

    def _shrinkages(self) -> dict[Any, float] | None:
        """Return the shrinkage of each class that grows."""
        if not isinstance(self.shrinkage, Mapping):
            return None if self.shrinkage is None else dict.fromkeys(self.sampling_strategy_, self.shrinkage)
        missing = self.sampling_strategy_.keys() - self.shrinkage.keys()
        if missing:
            raise ValueError(
                "`shrinkage` should contain a shrinkage factor for each class that grows. "
                f"The missing classes are: {missing!r}"
            )
        for label, factor in self.shrinkage.items():
            if factor < 0:
                raise ValueError(f"The shrinkage factor needs to be >= 0. Got {factor} for class {label}.")
        return dict(self.shrinkage)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = True
        tags.sampler_tags.sample_indices = True
        return tags
