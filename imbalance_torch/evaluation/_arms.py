"""The arms of a comparison: techniques by name, models from outside, and what a fit of either leaves."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import sklearn
import torch
from lightning.pytorch.callbacks import Callback
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from imbalance_torch._checks import check_choice, check_number, require
from imbalance_torch._random import generator_for
from imbalance_torch.class_stats import class_counts
from imbalance_torch.decision import Calibration, choose_calibration
from imbalance_torch.resampling import SMOTENC, BatchOversampler, RandomOverSampler, realism_report
from imbalance_torch.training import (
    LOSSES,
    RECIPES,
    RESAMPLERS,
    SAMPLERS,
    Settings,
    TabularDataModule,
    TabularModel,
    Technique,
    fit,
)

BASELINE = "baseline"
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "hist_gradient_boosting": HistGradientBoostingClassifier,
    "logistic_regression": lambda: LogisticRegression(max_iter=1000),
    "random_forest": lambda: RandomForestClassifier(n_jobs=-1),
    "lightgbm": lambda: require("lightgbm", extra="trees").LGBMClassifier(verbosity=-1),
    "xgboost": lambda: require("xgboost", extra="trees").XGBClassifier(),
}
_FIGURES = {"focal": "gamma", "class_weighted": "weight_power"}
_REALISM_ROWS, _SYNTHETIC = 100_000, 500

Arm: TypeAlias = "Technique | Any"


@dataclass
class Outcome:
    """What one fit says about validation and test rows.

    Attributes:
        corrected_val: corrected probabilities of the validation rows, (N, C).
        raw: probabilities of the test rows before any correction, (N, C).
        shifted: after the prior correction in closed form, before the calibration map, (N, C).
        corrected: after both, (N, C).
        calibration: the map, chosen on validation rows.
        train_shares: class shares that training was fed.
        model: None of a model from outside.
    """

    corrected_val: Tensor
    raw: Tensor
    shifted: Tensor
    corrected: Tensor
    calibration: Calibration
    train_shares: list[float]
    model: TabularModel | None


def parse_technique(text: str) -> Technique:
    """Turn a name into a technique: a recipe, or registry names joined by "+", each with its figure after ":".

    Args:
        text: such as "baseline", "focal:2" (gamma), "class_weighted:0.5" (weight power), "balanced:0.25" (ratio),
            "smote", "focal+smote" or "rotating_undersampling:1+logit_adjusted".

    Raises:
        ValueError: an unknown name, two of one kind, or a figure that does not belong to the name.

    Example:
        >>> parse_technique("focal:3+smote:0.1")
        Technique(loss='focal', sampler=None, resampler='smote', gamma=3.0, weight_power=None, ratio=0.1)
    """
    if text in RECIPES:
        return RECIPES[text]
    kinds = {"loss": LOSSES, "sampler": SAMPLERS, "resampler": RESAMPLERS}
    known = {name: kind for kind, names in kinds.items() for name in names}
    chosen: dict[str, Any] = {}
    for part in text.split("+"):
        name, colon, _ = part.partition(":")
        recipe = RECIPES.get(name)
        if recipe is not None and name not in known:
            name = recipe.sampler or recipe.resampler or recipe.loss
        if check_choice("techniques", name, dict.fromkeys([*RECIPES, *known, *ESTIMATORS])) in ESTIMATORS:
            raise ValueError(f"{name!r} is a model from outside: it stands alone and takes no figure, got {text!r}.")
        kind = known[name]
        argument = "ratio" if kind != "loss" else _FIGURES.get(name)
        for key, value in ((kind, name), (argument, _number(part) if colon else None)):
            if colon and key is None:
                raise ValueError(f"{name!r} takes no figure, got {part!r}.")
            if key is not None and value is not None and key in chosen:
                raise ValueError(f"{text!r} names two of the same kind ({key}). Use one.")
            if key is not None and value is not None:
                chosen[key] = value
    return Technique(**chosen)


def build_arms(techniques: Sequence[str | tuple[str, Arm]]) -> dict[str, Arm]:
    """Return the arms by name, the baseline first, once each.

    Args:
        techniques: names for :func:`parse_technique` or of :data:`ESTIMATORS`, and pairs of a name with a
            :class:`Technique` or an estimator that has ``fit`` and ``predict_proba``.
    """
    arms: dict[str, Arm] = {BASELINE: Technique()}
    for item in techniques:
        if isinstance(item, str):
            arms.setdefault(item, ESTIMATORS[item]() if item in ESTIMATORS else parse_technique(item))
            continue
        name, arm = item
        if not isinstance(arm, Technique) and not (hasattr(arm, "fit") and hasattr(arm, "predict_proba")):
            raise TypeError(
                f"`techniques` {name!r} must be a Technique or an estimator with fit and predict_proba, "
                f"got {type(arm).__name__}."
            )
        if arms.setdefault(name, arm) != arm:
            raise ValueError(f"`techniques` has two different techniques under the name {name!r}. Rename one.")
    return arms


def describe(arm: Arm) -> str:
    """Return what an arm is, as text that tells different ones apart, the same in every process."""
    if isinstance(arm, Technique):
        return repr(arm)
    parameters = arm.get_params() if hasattr(arm, "get_params") else {}
    return re.sub(r" at 0x[0-9a-f]+", "", f"{type(arm).__qualname__}({parameters})")


def fit_technique(
    technique: Technique, data: TabularDataModule, settings: Settings, progress: Callback | None = None
) -> Outcome:
    """Train a network with a technique; calibrate it on the validation rows and score the test rows."""
    model = fit(data, replace(settings, technique=technique), progress=progress)
    (x_val, y_val), (x_test, _) = data.rows("val"), data.rows("test")
    logits = model.logits(x_test)
    shifted, logits_val = model.probabilities(logits), model.logits(x_val)
    calibration = model.classifier.calibrate(logits_val.double(), y_val)
    return Outcome(
        _of_each_class(model.probabilities(logits_val)),
        _of_each_class(model.raw_probabilities(logits)),
        _of_each_class(shifted),
        _of_each_class(model.probabilities(logits)),
        calibration,
        model.classifier.train_prior.tolist(),
        model,
    )


def fit_estimator(estimator: Any, data: TabularDataModule, seed: int) -> Outcome:
    """Fit a clone of an outside model on standardised numbers, flags and category codes, and calibrate it."""
    own = sklearn.clone(estimator, safe=False)
    if hasattr(own, "get_params"):
        names = [name for name in own.get_params() if name.rpartition("__")[2] == "random_state"]
        own.set_params(**dict.fromkeys(names, seed))
    (x, y), (x_val, y_val), (x_test, _) = (data.rows(part) for part in ("train", "val", "test"))
    with warnings.catch_warnings():  # of feature names, convergence and the like: the figures tell
        warnings.simplefilter("ignore")
        own.fit(_plain(data, x), y.numpy())
        raw_val, raw = (torch.from_numpy(own.predict_proba(_plain(data, rows))).double() for rows in (x_val, x_test))
    calibration = choose_calibration(_log_odds(raw_val), y_val)
    return Outcome(
        _calibrated(calibration, raw_val),
        raw,
        raw,
        _calibrated(calibration, raw),
        calibration,
        (class_counts(y) / len(y)).tolist(),
        None,
    )


def realism(batch: BatchOversampler | None, data: TabularDataModule) -> dict[str, float] | None:
    """Return how real the synthetic rows of a fitted over-sampler look, beside the real rows of the same classes.

    None without one, and where distances mean nothing: copies, mixed categories, or too many rows.
    """
    if batch is None or isinstance(batch.resampler, RandomOverSampler | SMOTENC):
        return None
    x, y = data.rows("train")
    if len(y) > _REALISM_ROWS:
        return None
    columns = slice(None) if batch.columns is None else batch.columns
    generator = generator_for(0)
    with warnings.catch_warnings():  # of small modes: the shares tell
        warnings.simplefilter("ignore")
        report = realism_report(batch.resampler.sample(_SYNTHETIC, generator=generator), x[:, columns], y)
    shares = asdict(report.overall)
    return {name: math.nan if share is None else float(share) for name, share in shares.items()}


def _number(part: str) -> float:
    try:
        return check_number(f"techniques {part}", float(part.partition(":")[2]), minimum=0.0)
    except ValueError as error:
        raise ValueError(f"`techniques` {part!r} needs a number after the colon, such as smote:0.25.") from error


def _of_each_class(probabilities: Tensor) -> Tensor:
    return probabilities if probabilities.ndim == 2 else torch.stack([1 - probabilities, probabilities], dim=1)


def _plain(data: TabularDataModule, x: Tensor) -> np.ndarray[Any, Any]:
    """Leave out the other numeric blocks: to a tree they say the same again."""
    encoder = data.encoder
    return torch.cat([x[:, : encoder.num_numeric], x[:, encoder.num_blocks :]], dim=1).numpy()


def _log_odds(p: Tensor) -> Tensor:
    log_p = p.clamp_min(torch.finfo(p.dtype).tiny).log()
    return log_p[:, 1] - log_p[:, 0] if p.shape[1] == 2 else log_p


def _calibrated(calibration: Calibration, p: Tensor) -> Tensor:
    z = calibration(_log_odds(p))
    return z.softmax(dim=1) if z.ndim == 2 else _of_each_class(z.sigmoid())
