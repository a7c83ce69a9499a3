"""Detector: the trainer as a scikit-learn classifier, from raw columns to corrected probabilities and decisions."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted, validate_data
from torch import Tensor, nn

from imbalance_torch._checks import warn
from imbalance_torch._random import RandomState, mix, seed_from
from imbalance_torch.class_stats import class_counts
from imbalance_torch.data import Schema, TableEncoder
from imbalance_torch.resampling import BatchOversampler
from imbalance_torch.resampling._over import OverSampler
from imbalance_torch.training._datamodule import DEFAULT_BLOCKS
from imbalance_torch.training._fitting import Settings, fit
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._registry import Technique
from imbalance_torch.training._threshold_rules import Rule, as_number, fit_decision, parse_threshold, told_rule

_HELD_OUT = 0.2
_MIN_ROWS = 10  # of the rarest class, for an inner validation split


class Detector(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier of imbalanced tables with corrected probabilities and a chosen threshold.

    It encodes the table (see :class:`imbalance_torch.data.TableEncoder`; numbers as standardised values, logarithms
    and the bins of a tree), trains a network for a fixed number of steps (10 % warm-up, then a cosine to zero, no
    early stopping), undoes what loss, sampler and resampler did to the class shares, and chooses the threshold on
    validation rows that it holds out.

    Args:
        network: "tabm", "mlp" (the fast form) or "resnet"; a factory ``network(num_dense, cardinalities,
            num_outputs)``; or a module from encoded rows to logits, which is copied.
        loss: "cross_entropy", "class_weighted", "focal", "logit_adjusted", "balanced_softmax", "vs", "ldam",
            "asymmetric" or "poly1"; or a module ``loss(logits, target)``.
        sampler: None, "balanced", "rotating_undersampling", "progressive" or "weighted"; or a factory
            ``sampler(labels, batch_size=, seed=)``, such as a class of :mod:`imbalance_torch.samplers`.
        resampler: None, "smote", "borderline_smote", "adasyn", "smotenc" or "random_oversampling"; or an over-sampler,
            bare or in a ``BatchOversampler``. It adds rows to the training batches only.
        threshold: from which corrected probability on a row is positive. "auto" and "f1" choose the best F1 on
            held-out rows, as do the other rules of the command line ("balanced_accuracy", "cost:FN=10,FP=1",
            "precision:0.9", "recall:0.8"); a number in [0, 1] is taken as it is, for two classes; a function
            ``(probabilities, target) -> threshold`` chooses. With three classes or more "auto" takes the likeliest
            class, and "macro_f1" chooses one threshold for each: the class with the largest ``p / threshold`` wins.
        max_steps: optimiser steps; None means 1500.
        batch_size: rows of a batch, before any synthetic ones.
        device: "auto", "cpu" or "cuda".
        random_state: seed of weights, batches, dropout, the inner split and synthetic rows; a ``torch.Generator``, or
            None for fresh entropy.
        early_stopping: look at the AP of the held-out rows 20 times, stop after 5 looks without a better one, and keep
            the best weights. Off by default: under drift the held-out rows pick too many steps.

    Attributes:
        classes_: (C,) sorted labels; the columns of `predict_proba`.
        decision_threshold_: the threshold in use: a number for two classes, None where the likeliest class wins, one
            per class of ``classes_`` with "macro_f1".
        positive_class_: of two classes the one that ``decision_threshold_`` is about: the larger number or True, of
            text the rarer.
        model_: what the model directory holds, a :class:`TabularModel`.
        n_features_in_: number of columns of ``X``.
        feature_names_in_: their names, where ``X`` was a DataFrame with names of text.

    Raises:
        ValueError: while fitting: an unknown name, one class only, or rows that cannot be used; the message names the
            column or the argument.

    Notes:
        With a number as ``threshold``, and without early stopping, all rows train. Otherwise a fifth of each class is
        held out; it also decides about a calibration map (see :func:`imbalance_torch.decision.choose_calibration`).
        Where the rarest class has fewer than 10 rows nothing is held out, the threshold is 0.5, and a warning says so.

        A row whose ``sample_weight`` is 0 takes no part. Weights go to the loss, and a row that is held out counts as
        often as its weight says, so that the probabilities are those of the weighted rows. The encoder does not see
        weights, and batches are shuffled: a weight of 2 is not the same run as a row twice.

        NOTE[DIFF] scikit-learn's classifiers decide at 0.5; here that is ``threshold=0.5``.

    Example:
        >>> import numpy as np
        >>> generator = np.random.default_rng(0)
        >>> X = generator.normal(size=(400, 2))
        >>> y = (X[:, 0] > 1.3).astype(int)
        >>> detector = Detector("mlp", max_steps=60, batch_size=128).fit(X, y)
        >>> detector.predict_proba(X).shape, detector.predict([[2.5, 0.0], [-1.0, 0.0]])
        ((400, 2), array([1, 0]))
    """

    def __init__(
        self,
        network: str | nn.Module | Callable[..., nn.Module] = "tabm",
        loss: str | nn.Module = "cross_entropy",
        *,
        sampler: str | Callable[..., Any] | None = None,
        resampler: str | OverSampler | BatchOversampler | None = None,
        threshold: str | float | Rule = "auto",
        max_steps: int | None = None,
        batch_size: int = 1024,
        device: str = "auto",
        random_state: RandomState = 0,
        early_stopping: bool = False,
    ) -> None:
        self.network = network
        self.loss = loss
        self.sampler = sampler
        self.resampler = resampler
        self.threshold = threshold
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.early_stopping = early_stopping

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on raw rows.

        Args:
            X: (N, d) NumPy array or tensor of numbers, or a DataFrame, also with categories, text, booleans and
                dates; missing values anywhere.
            y: (N,) labels: whole numbers, booleans or text.
            sample_weight: (N,) weights >= 0, or None.

        Returns:
            The detector.
        """
        for name, kind in {"network": Callable, "loss": nn.Module, "sampler": Callable | None}.items():
            if not isinstance(given := getattr(self, name), str | kind):
                raise TypeError(f"`{name}` must be a registry name or an object that fits, got {name}={given!r}.")
        frame, labels, weight = self._training_rows(X, y, sample_weight)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(
                f"The classifier needs rows of two classes or more, got one class: {self.classes_.tolist()[0]!r}."
            )
        if self._fixed_threshold is None or len(self.classes_) == 2:
            parse_threshold(self.threshold, len(self.classes_))
        seed = seed_from(self.random_state)
        train, held_out = self._inner_split(labels, seed)
        if weight is not None and len(held_out):
            held_out = _as_often(held_out, labels, weight)
        schema = _schema(frame.iloc[train], labels[train])
        if schema.ignored:
            name, reason = next(iter(schema.ignored.items()))
            warn(f"{len(schema.ignored)} column(s) left out, such as {name!r}: {reason}.")
        y_encoded = torch.from_numpy(schema.encode_target(pd.DataFrame({schema.target: labels})))
        encoder = TableEncoder(
            schema.numeric,
            schema.categorical,
            boolean=schema.boolean,
            datetime=schema.datetime,
            blocks=DEFAULT_BLOCKS,
        ).fit(frame.iloc[train], y_encoded[train].numpy())
        x = encoder.encode(frame)
        counts = class_counts(y_encoded[train], schema.num_classes)
        settings = Settings(
            Technique(_name(self.loss, "cross_entropy"), _name(self.sampler), _name(self.resampler)),
            network=_name(self.network, "tabm"),
            max_steps=1500 if self.max_steps is None else self.max_steps,
            batch_size=self.batch_size,
            seed=seed,
            device=self.device,
            early_stopping=self.early_stopping and len(held_out) > 0,
        )
        parts = {"train": train, "val": held_out}
        self.model_ = fit(
            _Rows(schema, encoder, counts.tolist(), {p: (x[rows], y_encoded[rows]) for p, rows in parts.items()}),
            settings,
            network=_copy(self.network),
            loss=_copy(self.loss),
            sampler=_copy(self.sampler),
            resampler=_copy(self.resampler),
            sample_weight=None if weight is None else torch.from_numpy(weight[train]).float(),
        )
        told: dict[str, Any] = {"threshold rule": told_rule(self.threshold), "validation rows": 0}
        if len(held_out):
            rule = self.threshold if self._fixed_threshold is None or schema.num_classes == 2 else "auto"
            told = fit_decision(self.model_, x[held_out], y_encoded[held_out], rule)
        elif schema.num_classes == 2 and self._fixed_threshold is not None:
            self.model_.threshold = self._fixed_threshold
        self.model_.card = {"columns": list(frame.columns), "settings": settings.to_dict(), **told}
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the corrected probabilities, (N, C) float64, columns in the order of ``classes_``."""
        check_is_fitted(self)
        return np.asarray(self._probabilities(X)[:, self._order].numpy())

    def predict(self, X: Any) -> np.ndarray:
        """Return the decision for each row, (N,) labels, at ``decision_threshold_``."""
        check_is_fitted(self)
        winner = self.model_.decide(self._probabilities(X))
        return np.asarray(self.classes_[np.argsort(self._order)[winner.numpy()]])

    @property
    def decision_threshold_(self) -> float | list[float] | None:
        """The threshold in use."""
        check_is_fitted(self)
        threshold = self.model_.threshold
        return [threshold[i] for i in self._order] if isinstance(threshold, list) else threshold

    @property
    def positive_class_(self) -> Any:
        """Of two classes the one that the threshold is about, else None."""
        check_is_fitted(self)
        return self.model_.schema.classes[1] if len(self.classes_) == 2 else None

    def save(self, directory: str | Path) -> Path:
        """Write the model directory, which `load`, the command line and an export read.

        Raises:
            ValueError: the network or the loss is an object: the directory holds registry names, never code.
            FileExistsError: the path holds something else than a model.
        """
        check_is_fitted(self)
        for name in ("network", "loss"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(
                    f"A model directory names its {name}, and {name}={getattr(self, name)!r} has no name. "
                    "Use a registry name, or save the network's state_dict yourself."
                )
        return self.model_.save(directory)

    @classmethod
    def load(cls, directory: str | Path) -> Detector:
        """Load a model directory that `save` or ``imbalance-torch train`` wrote.

        From a DataFrame the loaded detector takes its columns by name, in any order and among others.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file differs from the manifest.
        """
        model = TabularModel.load(directory)
        settings, rule = model.card.get("settings", {}), model.card.get("threshold rule", "auto")
        try:
            parse_threshold(rule, model.schema.num_classes, days=1)
        except ValueError:  # a function, or a number where it decides nothing
            rule = "auto"
        detector = cls(
            model.network["name"],
            model.technique.loss,
            sampler=model.technique.sampler,
            resampler=model.technique.resampler,
            threshold=rule,
            max_steps=settings.get("max_steps"),
            batch_size=settings.get("batch_size", 1024),
            random_state=settings.get("seed", 0),
            early_stopping=settings.get("early_stopping", False),
        )
        detector.model_ = model
        detector.classes_ = np.unique(np.array(model.schema.classes))
        names = model.card.get("columns", model.encoder.columns)
        detector.n_features_in_ = len(names)
        if names != _numbered(len(names)):
            detector.feature_names_in_ = np.array(names, dtype=object)
        detector._selects_columns = True
        return detector

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.non_deterministic = self.random_state is None
        return tags

    @property
    def _order(self) -> list[int]:
        """Place of each of ``classes_`` among the classes of the model."""
        return [self.model_.schema.classes.index(label) for label in self.classes_.tolist()]

    @property
    def _fixed_threshold(self) -> float | None:
        return as_number(self.threshold)

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        if isinstance(X, Tensor):
            X = (X.float() if X.dtype == torch.bfloat16 else X).detach().cpu().numpy()
        if hasattr(X, "to_pandas"):
            X = X.to_pandas()
        if isinstance(X, pd.DataFrame):
            if twice := X.columns[X.columns.duplicated()].tolist():
                raise ValueError(f"The table has two columns named {twice[0]!r}. Rename one of them.")
            names = list(getattr(self, "feature_names_in_", []))
            if not reset and getattr(self, "_selects_columns", False) and {*names} <= {*X.columns}:
                X = X[names]
            if not len(X) or not X.shape[1]:
                check_array(X.to_numpy(), estimator=self)
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            X = pd.DataFrame(validate_data(self, X, reset=reset, ensure_all_finite="allow-nan"))
        names = getattr(self, "feature_names_in_", _numbered(X.shape[1]))
        return X.set_axis(names, axis=1).reset_index(drop=True)

    def _probabilities(self, X: Any) -> Tensor:
        encoded = self.model_.encoder.encode(self._frame(X, reset=False))
        return self.model_.log_probabilities(encoded).exp()

    def _training_rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[pd.DataFrame, np.ndarray, np.ndarray | None]:
        if y is None:
            raise ValueError("Detector requires y to be passed, but the target y is None.")
        frame = self._frame(X, reset=True)
        labels = column_or_1d(y.detach().cpu().numpy() if isinstance(y, Tensor) else y, warn=True)
        if labels.dtype == object and pd.isna(labels).any():
            raise ValueError(f"Input y contains NaN: {int(pd.isna(labels).sum())} labels are missing.")
        assert_all_finite(labels, input_name="y")
        check_consistent_length(frame, labels)
        check_classification_targets(labels)
        if sample_weight is None:
            return frame, labels, None
        weight = _check_sample_weight(sample_weight, frame, dtype=np.float64, ensure_non_negative=True)
        kept = weight > 0
        return frame[kept].reset_index(drop=True), labels[kept], weight[kept]

    def _inner_split(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        everything, nothing = np.arange(len(labels)), np.arange(0)
        if self._fixed_threshold is not None and not self.early_stopping:
            return everything, nothing
        rarest = np.unique(labels, return_counts=True)[1].min()
        if rarest < _MIN_ROWS:
            warn(
                f"The rarest class has {rarest} rows, too few to hold some out: nothing is chosen on validation rows. "
                "Pass a number as `threshold`, and no early stopping, to silence this."
            )
            return everything, nothing
        train, held_out = train_test_split(
            everything, test_size=_HELD_OUT, stratify=labels, random_state=mix(seed) % 2**32
        )
        return np.sort(train), np.sort(held_out)


@dataclass(frozen=True)
class _Rows:
    """Encoded rows, as `fit` takes them."""

    schema: Schema
    encoder: TableEncoder
    class_counts: list[int]
    parts: dict[str, tuple[Tensor, Tensor]]

    def rows(self, part: str) -> tuple[Tensor, Tensor]:
        return self.parts[part]


def _schema(frame: pd.DataFrame, labels: np.ndarray) -> Schema:
    """Infer the roles of the columns; a class may have a single row, which a table to be split may not have."""
    target = next(name for name in map("target{}".format, ["", *range(frame.shape[1])]) if name not in frame)
    rows = np.resize(np.arange(len(frame)), max(len(frame), 4))
    schema = Schema.infer(frame.iloc[rows].assign(**{target: np.arange(len(rows)) % 2}), target)
    classes, counts = np.unique(labels, return_counts=True)
    rarer_first = len(classes) == 2 and isinstance(classes[0], str) and counts[0] < counts[1]
    return replace(schema, classes=classes[::-1].tolist() if rarer_first else classes.tolist())


def _as_often(rows: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return about as many rows as given, each as often as its weight says, of every class at least one."""
    drawn = []
    for label in np.unique(labels[rows]):
        own = rows[labels[rows] == label]
        total = weight[own].cumsum()
        count = max(round(len(rows) * total[-1] / weight[rows].sum()), 1)
        drawn.append(own[np.searchsorted(total, (np.arange(count) + 0.5) / count * total[-1])])
    return np.sort(np.concatenate(drawn))


def _name(given: Any, otherwise: str | None = None) -> Any:
    return given if isinstance(given, str) else otherwise


def _copy(given: Any) -> Any:
    return None if isinstance(given, str) else deepcopy(given)


def _numbered(count: int) -> list[str]:
    return [f"x{i}" for i in range(count)]
