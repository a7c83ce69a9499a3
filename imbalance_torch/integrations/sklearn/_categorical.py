"""SMOTE for categories, alone or beside numbers, behind imbalanced-learn's estimator interface."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from imblearn.utils import check_target_type
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.utils import _safe_indexing
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_array, validate_data

from imbalance_torch import resampling
from imbalance_torch.integrations.sklearn._base import (
    NEIGHBORS,
    OverAdapter,
    RandomState,
    check_rows,
    dense,
    stacked,
    whole_columns,
)
from imbalance_torch.plan import SamplingStrategy

ENCODER = [HasMethods(["fit_transform", "inverse_transform"]), None]


class SMOTENC(OverAdapter):
    """SMOTE-NC for pipelines and searches; rows as from ``imbalance_torch.resampling.SMOTENC``.

    Args:
        categorical_features: Which columns hold categories: positions, names, a mask, or ``"auto"`` (the columns of
            dtype ``category`` of a frame).
        categorical_encoder: One-hot encoder with a column per category; None is
            ``OneHotEncoder(handle_unknown="ignore")``. It is used to read and write categories, sparse by default.
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        categorical_features_: Positions of the columns with categories.
        continuous_features_: Positions of the other columns.
        categorical_encoder_: The fitted encoder.
        median_std_: Label to the median standard deviation of its continuous columns, the price of a mismatch.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        n_features_: Columns seen.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, the continuous columns are not finite, all columns or none hold
            categories, or a class has too few rows.

    Notes:
        Continuous columns of whole numbers are rounded. A sparse ``X`` is made dense (N d numbers), the result is
        sparse.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002.

    Example:
        >>> X = np.array([[0.0, "a"], [1.0, "b"], [2.0, "b"], [3.0, "a"], [8.0, "c"], [9.0, "c"]], dtype=object)
        >>> sampler = SMOTENC([1], k_neighbors=1, random_state=0)
        >>> sampler.fit_resample(X, np.array([0, 0, 0, 0, 1, 1]))[0][6:, 1].tolist()
        ['c', 'c']
    """

    _required_parameters: ClassVar[list[str]] = ["categorical_features"]
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "categorical_features": ["array-like", StrOptions({"auto"})],
        "categorical_encoder": ENCODER,
    }

    def __init__(
        self,
        categorical_features: Any,
        *,
        categorical_encoder: Any = None,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.categorical_features = categorical_features
        self.categorical_encoder = categorical_encoder
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.device = device

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        X, y, binarize = check_rows(self, X, y)
        self._find_columns(X)
        if 0 < len(self.continuous_features_) < self.n_features_:
            self._numbers(X)
        return X, y, binarize

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        for kind, other, columns in (
            ("categorical", "SMOTEN", self.categorical_features_),
            ("numerical", "SMOTE", self.continuous_features_),
        ):
            if len(columns) == self.n_features_:
                raise ValueError(f"SMOTE-NC is not designed to work only with {kind} features. Use {other}.")
        if not any(self.sampling_strategy_.values()):
            return X.copy(), y.copy()
        numbers = self._numbers(X)
        codes = self._codes(dense(_safe_indexing(X, self.categorical_features_, axis=1)))
        self.median_std_ = {
            label: float(np.median(numbers[y == label].std(0))) for label, n in self.sampling_strategy_.items() if n
        }
        drawn = self._drawn(np.hstack((numbers, codes.astype(numbers.dtype))), y)
        new = drawn.X.numpy(force=True)
        rows = X.to_numpy() if hasattr(X, "iloc") else X
        whole = whole_columns(X) or (range(X.shape[1]) if rows.dtype.kind in "iu" else [])
        new_numbers, new_codes = np.split(new, [numbers.shape[1]], axis=1)
        rounded = np.isin(self.continuous_features_, whole)
        new_numbers[:, rounded] = np.rint(new_numbers[:, rounded])
        synthetic = np.empty((len(new), X.shape[1]), rows.dtype)
        synthetic[:, self.continuous_features_] = new_numbers
        synthetic[:, self.categorical_features_] = self._categories(new_codes.astype(np.int64))
        return stacked(rows, synthetic), np.concatenate((y, drawn.y))

    def _resampler(self, counts: dict[Any, int]) -> resampling.SMOTENC:
        self.nn_k_ = self._searched("k_neighbors")
        positions = list(range(len(self.continuous_features_), self.n_features_))
        return resampling.SMOTENC(
            positions,
            sampling_strategy=counts,
            k_neighbors=self.nn_k_.n_neighbors - 1,
            random_state=self._seed(),
        )

    def _find_columns(self, X: Any) -> None:
        """Resolve ``categorical_features`` into positions."""
        self.n_features_ = X.shape[1]
        if isinstance(self.categorical_features, str):
            if not hasattr(X, "iloc"):
                raise ValueError(
                    f"When `categorical_features='auto'`, the input data should be a pandas.DataFrame, got {type(X)}. "
                    "Name the columns."
                )
            chosen = [j for j, dtype in enumerate(X.dtypes) if str(dtype) == "category"]
        else:
            chosen = _get_column_indices(X, self.categorical_features)
        self.categorical_features_ = np.array(chosen, dtype=np.int64)
        self.continuous_features_ = np.setdiff1d(np.arange(self.n_features_), self.categorical_features_)

    def _numbers(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the continuous columns as finite floating-point numbers."""
        columns = _safe_indexing(X, self.continuous_features_, axis=1)
        numbers = dense(check_array(columns, accept_sparse=["csr", "csc"]))
        return numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)

    def _codes(self, categories: Any) -> np.ndarray[Any, Any]:
        """Return the position of each value among the categories of its column."""
        default = OneHotEncoder(handle_unknown="ignore")
        self.categorical_encoder_ = default if self.categorical_encoder is None else clone(self.categorical_encoder)
        encoded = sparse.csr_matrix(self.categorical_encoder_.fit_transform(categories))
        encoded.eliminate_zeros()
        sizes = [len(names) for names in self.categorical_encoder_.categories_]
        if encoded.shape[1] != sum(sizes):
            raise ValueError(
                "SMOTENC requires a one-hot encoding with one column per category, got "
                f"{encoded.shape[1]} columns for {sum(sizes)} categories. Use an encoder that drops and merges none."
            )
        encoded.sort_indices()
        self._starts = np.cumsum([0, *sizes[:-1]])
        return np.asarray(encoded.indices.reshape(len(categories), -1) - self._starts)

    def _categories(self, codes: np.ndarray[Any, Any]) -> Any:
        """Return the categories at these positions."""
        total = sum(len(names) for names in self.categorical_encoder_.categories_)
        ends = np.arange(0, codes.size + 1, codes.shape[1])
        encoded = sparse.csr_matrix((np.ones(codes.size), (codes + self._starts).ravel(), ends), (len(codes), total))
        return self.categorical_encoder_.inverse_transform(encoded)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


class SMOTEN(OverAdapter):
    """SMOTE-N for pipelines and searches; rows as from ``imbalance_torch.resampling.SMOTEN``.

    Args:
        categorical_encoder: Ordinal encoder; None is ``OrdinalEncoder(dtype=numpy.int32)``.
        sampling_strategy: As in ``SMOTE``.
        random_state: As in ``SMOTE``.
        k_neighbors: As in ``SMOTE``.
        device: As in ``SMOTE``.

    Attributes:
        sampling_strategy_: Label to rows that are added.
        categorical_encoder_: The fitted encoder.
        nn_k_: The search that ``k_neighbors`` asks for, not fitted.
        n_features_in_: Columns seen.
        feature_names_in_: Names of the columns of a frame.

    Raises:
        ValueError: If an argument is out of range, or a class has too few rows.

    Notes:
        A sparse ``X`` is made dense (N d values) with a ``DataConversionWarning``, the result is sparse.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002.

    Example:
        >>> X = np.array([*"aababcc"], dtype=object)[:, None]
        >>> X = np.hstack((X, np.array([*"pqqpqpq"], dtype=object)[:, None]))
        >>> sampler = SMOTEN(k_neighbors=1, random_state=0)
        >>> sampler.fit_resample(X, np.array([0, 0, 0, 0, 1, 1, 1]))[0][7:, 0].tolist()
        ['c']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OverAdapter._parameter_constraints,
        "k_neighbors": NEIGHBORS,
        "categorical_encoder": ENCODER,
    }

    def __init__(
        self,
        categorical_encoder: Any = None,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        random_state: RandomState = None,
        k_neighbors: Any = 5,
        device: str = "cpu",
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.categorical_encoder = categorical_encoder
        self.random_state = random_state
        self.k_neighbors = k_neighbors
        self.device = device

    def _check_X_y(self, X: Any, y: Any) -> tuple[Any, Any, bool]:
        y, binarize = check_target_type(y, indicate_one_vs_all=True)
        X, y = validate_data(self, X=X, y=y, reset=True, dtype=None, accept_sparse=["csr", "csc"])
        return X, y, binarize

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        if sparse.issparse(X):
            warnings.warn(
                "Passing a sparse matrix to SMOTEN is not really efficient: it is made dense.",
                DataConversionWarning,
                stacklevel=4,
            )
        default = OrdinalEncoder(dtype=np.int32)
        self.categorical_encoder_ = default if self.categorical_encoder is None else clone(self.categorical_encoder)
        codes = self.categorical_encoder_.fit_transform(dense(X)).astype(np.int64)
        if not any(self.sampling_strategy_.values()):
            return X.copy(), y.copy()
        drawn = self._drawn(codes, y)
        new = self.categorical_encoder_.inverse_transform(drawn.X.numpy(force=True))
        return stacked(X, new.astype(X.dtype)), np.concatenate((y, drawn.y))

    def _resampler(self, counts: dict[Any, int]) -> resampling.SMOTEN:
        self.nn_k_ = self._searched("k_neighbors")
        return resampling.SMOTEN(counts, k_neighbors=self.nn_k_.n_neighbors - 1, random_state=self._seed())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags
