"""The models of the quality benchmark: our recipe, its variants, and gradient boosting tuned on validation rows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import torch
import xgboost
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn

from imbalance_torch.data import Schema, TableEncoder
from imbalance_torch.models import TabM
from imbalance_torch.training import Detector, Settings, TabularModel, fit

JOBS = torch.get_num_threads()
PATIENCE = 30  # rounds without a better validation score
EXACT_ROWS = 20_000
PINNED = {"max_depth": 3, "learning_rate": 0.3, "n_estimators": 50}
HANDBOOK = {
    "n_estimators": 200,
    "max_depth": 4,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "tree_method": "exact",
}
GRIDS: dict[str, list[dict[str, Any]]] = {
    "LightGBM": [
        {"num_leaves": 8, "learning_rate": 0.1},
        {"num_leaves": 31, "learning_rate": 0.05},
        {"num_leaves": 31, "learning_rate": 0.05, "min_child_samples": 100, "colsample_bytree": 0.8},
        {"num_leaves": 63, "learning_rate": 0.05, "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.8},
    ],
    "XGBoost": [
        PINNED,
        {"max_depth": 4, "learning_rate": 0.05, "subsample": 0.8, "colsample_bytree": 0.8},
        {"max_depth": 6, "learning_rate": 0.1, "subsample": 0.8, "colsample_bytree": 0.8},
        {"max_depth": 8, "learning_rate": 0.05, "subsample": 0.8, "colsample_bytree": 0.8, "min_child_weight": 3},
    ],
    "HistGradientBoosting": [
        {"max_leaf_nodes": 8, "learning_rate": 0.1},
        {"max_leaf_nodes": 31, "learning_rate": 0.1},
        {"max_leaf_nodes": 31, "learning_rate": 0.05, "l2_regularization": 1.0},
        {"max_leaf_nodes": 31, "learning_rate": 0.05, "min_samples_leaf": 100},
    ],
}


@dataclass(frozen=True)
class Budget:
    """What all models of a run have in common."""

    max_steps: int = 1_500
    batch_size: int = Detector().batch_size
    rounds: int = 500
    grid: int | None = None  # configurations of each grid, None: all


@dataclass
class Fitted:
    """Probabilities of the test rows, (N, C), the seconds they took, and what was chosen how."""

    probability: np.ndarray
    fit_seconds: float
    score_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


Rows = tuple[pd.DataFrame, np.ndarray]


def average_precision(probability: np.ndarray, y: np.ndarray) -> float:
    """Return the average precision of class 1, beyond two classes the mean over those that occur."""
    classes = [1] if probability.shape[1] == 2 else np.unique(y)
    return float(np.mean([average_precision_score(y == label, probability[:, label]) for label in classes]))


def timed(train: Callable[[], Any], score: Callable[[Any], np.ndarray]) -> Fitted:
    """Fit and score by the clock."""
    start = time.perf_counter()
    model = train()
    middle = time.perf_counter()
    probability = score(model)
    return Fitted(probability, middle - start, time.perf_counter() - middle)


def detector(network: str, train: Rows, test: pd.DataFrame, seed: int, budget: Budget) -> Fitted:
    """Fit the default recipe on all training rows."""
    model = Detector(
        network,
        threshold=0.5,
        max_steps=budget.max_steps,
        batch_size=budget.batch_size,
        random_state=seed,
        device="cpu",
    )
    return timed(lambda: model.fit(*train), lambda model: model.predict_proba(test))


def variant(
    train: Rows,
    test: pd.DataFrame,
    seed: int,
    budget: Budget,
    *,
    network: Callable[..., nn.Module] | None = None,
    weight_decay: float = 1e-4,
    blocks: Sequence[str] = ("standard", "log", "bins"),
) -> Fitted:
    """Fit the default recipe, changed in what the detector has no argument for."""
    X, y = train
    settings = Settings(
        max_steps=budget.max_steps, batch_size=budget.batch_size, weight_decay=weight_decay, seed=seed, device="cpu"
    )

    def fitted() -> TabularModel:
        schema = Schema.infer(X.assign(**{"the target": y}), "the target")
        roles = {"boolean": schema.boolean, "datetime": schema.datetime}
        encoder = TableEncoder(schema.numeric, schema.categorical, **roles, blocks=blocks).fit(X, y)
        encoded = encoder.encode(X), torch.from_numpy(y)
        counts = np.bincount(y).tolist()
        data = SimpleNamespace(schema=schema, encoder=encoder, class_counts=counts, rows=lambda part: encoded)
        return fit(data, settings, network=network)

    return timed(fitted, lambda model: model.log_probabilities(model.encoder.encode(test)).exp().numpy())


def handbook_xgboost(train: Rows, test: pd.DataFrame, seed: int, budget: Budget) -> Fitted:
    """Fit XGBoost with the settings that were the best of nine on the Handbook's validation folds."""
    model = xgboost.XGBClassifier(**HANDBOOK, base_score=0.5, n_jobs=JOBS, random_state=seed)
    return timed(lambda: model.fit(*train), lambda model: model.predict_proba(test))


def tuned(library: str, train: Rows, val: Rows, test: Rows, budget: Budget) -> Fitted:
    """Fit every configuration of a library, with and without class weights, and take the best on validation rows.

    What each of them reaches on the test rows is kept as well: it shows what another choice would have given.
    """
    train, val, test = ((with_numbered_categories(X), y) for X, y in (train, val, test))
    best, candidates = None, []
    for config, weighted in product(GRIDS[library][: budget.grid], (False, True)):
        weight = compute_sample_weight("balanced", train[1]) if weighted else None
        build = partial(BOOSTERS[library], config, train, val, weight, budget)
        fitted = timed(build, lambda model: (model.predict_proba(val[0]), model.predict_proba(test[0])))
        on_val, fitted.probability = fitted.probability
        fitted.facts = {
            "settings": config,
            "class_weights": weighted,
            "validation": average_precision(on_val, val[1]),
            "ap": average_precision(fitted.probability, test[1]),
            "seconds": fitted.fit_seconds,
        }
        candidates.append(fitted.facts)
        if best is None or fitted.facts["validation"] > best.facts["validation"]:
            best = fitted
    best.facts = {**best.facts, "candidates": candidates}
    return best


NETWORKS: dict[str, Callable[[Rows, pd.DataFrame, int, Budget], Fitted]] = {
    "TabM": partial(detector, "tabm"),
    "MLP": partial(detector, "mlp"),
    "TabM, heavy": partial(variant, network=partial(TabM, dropout=0.2), weight_decay=0.1),
    "TabM, without log": partial(variant, blocks=("standard", "bins")),
}


def with_numbered_categories(X: pd.DataFrame) -> pd.DataFrame:
    """Return the table with whole numbers as categories, which every library takes."""
    names = X.select_dtypes("category")
    return X.assign(**{name: X[name].cat.rename_categories(range(len(X[name].cat.categories))) for name in names})


def light(config: dict[str, Any], train: Rows, val: Rows, weight: np.ndarray | None, budget: Budget) -> Any:
    """Fit LightGBM, its categories native."""
    model = lightgbm.LGBMClassifier(
        n_estimators=budget.rounds,
        max_bin=1_023,
        metric="average_precision" if val[1].max() == 1 else "multi_logloss",
        n_jobs=JOBS,
        random_state=0,
        verbosity=-1,
        **config,
    )
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return model.fit(*train, sample_weight=weight, eval_X=val[0], eval_y=val[1], callbacks=[stop])


def extreme(config: dict[str, Any], train: Rows, val: Rows, weight: np.ndarray | None, budget: Budget) -> Any:
    """Fit XGBoost on exact cuts or fine bins, its categories one-hot unless the configuration says otherwise."""
    exact = len(train[1]) < EXACT_ROWS and not len(train[0].select_dtypes("category").columns)
    options: dict[str, Any] = {
        "n_estimators": budget.rounds,
        "tree_method": "exact" if exact else "hist",
        "base_score": 0.5,
        "eval_metric": "aucpr" if val[1].max() == 1 else "mlogloss",
        "early_stopping_rounds": PATIENCE,
        "n_jobs": JOBS,
        "random_state": 0,
    }
    if not exact:
        options |= {"max_bin": 1_024, "enable_categorical": True, "max_cat_to_onehot": 256}
    model = xgboost.XGBClassifier(**{**options, **config})
    return model.fit(*train, sample_weight=weight, eval_set=[val], verbose=False)


def histogram(config: dict[str, Any], train: Rows, val: Rows, weight: np.ndarray | None, budget: Budget) -> Any:
    """Fit the gradient boosting of scikit-learn, its categories native."""
    model = HistGradientBoostingClassifier(
        max_iter=budget.rounds,
        early_stopping=True,
        n_iter_no_change=10,
        scoring="average_precision" if val[1].max() == 1 else "loss",
        categorical_features="from_dtype",
        random_state=0,
        **config,
    )
    return model.fit(*train, sample_weight=weight, X_val=val[0], y_val=val[1])


BOOSTERS = {"LightGBM": light, "XGBoost": extreme, "HistGradientBoosting": histogram}
