"""Threshold rules as the command line, recipes and the detector write them, and the decision they lead to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from torch import Tensor

from imbalance_torch._checks import check_choice, check_number
from imbalance_torch.decision import (
    bootstrap_threshold_interval,
    threshold_for_alert_budget,
    threshold_for_balanced_accuracy,
    threshold_for_cost,
    threshold_for_f_beta,
    threshold_for_precision,
    threshold_for_recall,
    thresholds_for_macro_f_beta,
)

if TYPE_CHECKING:
    from imbalance_torch.training._model import TabularModel

Rule: TypeAlias = Callable[[Tensor, Tensor], float]

_RULES = ("auto", "f1", "balanced_accuracy", "macro_f1", "precision:0.9", "recall:0.8", "alerts:20", "cost:FN=10,FP=1")
_MULTICLASS = ("auto", "macro_f1")
_BARE = ("auto", "balanced_accuracy", "macro_f1")


def parse_threshold(rule: str | float | Rule, num_classes: int = 2, days: int | None = None) -> Rule | float | None:
    """Turn a threshold rule into ``function(probabilities, target)``, a number, or None for the likeliest class.

    Args:
        rule: a number or its text; "auto" (F1 for two classes, else the likeliest class); "f1", "f2" or any other
            F-beta; "balanced_accuracy"; "precision:0.9" or "recall:0.8", a floor; "alerts:20", a budget per day;
            "cost:FN=10,FP=1"; "macro_f1" for three classes or more; or the function itself.
        num_classes: of the task.
        days: how many days the rows span that the threshold is chosen on; the rule "alerts" needs it.

    Raises:
        ValueError: none of these, or not for this number of classes.
    """
    if callable(rule):
        return rule
    text = str(rule)
    name, colon, _ = text.partition(":")
    if name in _BARE and colon:
        raise ValueError(f"`threshold` {name!r} takes no figure, got threshold={text!r}.")
    if num_classes > 2 and name not in _MULTICLASS:
        raise ValueError(
            f"`threshold` {text!r} is for two classes, the target has {num_classes}. "
            f"Use one of {', '.join(_MULTICLASS)}."
        )
    number = as_number(rule)
    if number is not None:
        return check_number("threshold", number, minimum=0.0, maximum=1.0)
    if num_classes == 2 and name == "macro_f1":
        raise ValueError("`threshold` 'macro_f1' is for three classes or more. Use 'f1'.")
    if name == "auto":
        return threshold_for_f_beta if num_classes == 2 else None
    if name == "macro_f1":
        return lambda p, y: thresholds_for_macro_f_beta(p, y).tolist()  # type: ignore[return-value]
    if name == "balanced_accuracy":
        return threshold_for_balanced_accuracy
    if re.fullmatch(r"f\d+(\.\d+)?", text):
        return partial(threshold_for_f_beta, beta=check_number("beta", float(text[1:]), exclusive_minimum=0.0))
    if name == "cost":
        return _by_cost(text)
    if name in ("precision", "recall"):
        floor = check_number(f"threshold {name}", _number(text), exclusive_minimum=0.0, maximum=1.0)
        if name == "precision":
            return partial(threshold_for_precision, precision=floor)
        return partial(threshold_for_recall, recall=floor)
    if name == "alerts":
        budget = check_number("threshold alerts", _number(text), exclusive_minimum=0.0)
        if days is None:
            raise ValueError("`threshold` by alerts per day needs the day of each row: name a time column of dates.")
        return lambda p, y: threshold_for_alert_budget(p, budget=budget, days=days)
    check_choice("threshold", text, _RULES)
    raise AssertionError(text)


def as_number(rule: Any) -> float | None:
    """Return a threshold that is a number, or the text of one, else None."""
    if isinstance(rule, bool) or not isinstance(rule, Real | str):
        return None
    try:
        return float(rule)
    except ValueError:
        return None


def fit_decision(
    model: TabularModel, x: Tensor, y: Tensor, rule: str | float | Rule, days: int | None = None
) -> dict[str, Any]:
    """Choose the calibration map and the threshold of a trained model on encoded validation rows.

    Returns:
        What the model card tells of it, ready for JSON.

    Raises:
        ValueError: no threshold keeps the rule on these rows, or a function of the user gives no threshold.
    """
    logits, num_classes = model.logits(x), model.schema.num_classes
    calibration = model.classifier.calibrate(logits.double(), y)
    told: dict[str, Any] = {
        "validation rows": len(y),
        "calibration": f"{calibration.name}. {calibration.reason}",
        "threshold rule": told_rule(rule),
    }
    chosen = parse_threshold(rule, num_classes, days)
    if not callable(chosen):
        model.threshold = chosen
        return told
    probabilities = model.probabilities(logits)
    found = np.asarray(chosen(probabilities, y), dtype=np.float64)
    if found.shape != (() if num_classes == 2 else (num_classes,)):
        wanted = "a number" if num_classes == 2 else f"{num_classes} numbers, one for each class"
        raise ValueError(f"`threshold` must return {wanted}, got an array of shape {found.shape}.")
    model.threshold = found.tolist()
    if num_classes == 2:
        interval = bootstrap_threshold_interval(lambda p, y: float(chosen(p, y)), probabilities, y)
        told["threshold interval (95 %)"] = [end if math.isfinite(end) else "none" for end in interval]
    return told


def told_rule(rule: Any) -> str:
    """Return a threshold rule as text."""
    return getattr(rule, "__name__", repr(rule)) if callable(rule) else str(rule)


def _by_cost(text: str) -> Rule:
    costs = dict(item.partition("=")[::2] for item in text[len("cost:") :].split(","))
    try:
        values = {"FP": 1.0} | {name: float(value) for name, value in costs.items()}
        fn, fp = values.pop("FN"), values.pop("FP")
    except (KeyError, ValueError):
        values = {"": 0.0}
    if values or not (fn > 0 and fp > 0):
        raise ValueError(f"`threshold` by cost is written cost:FN=10,FP=1 (both > 0), got threshold={text!r}.")
    return partial(threshold_for_cost, false_negative=fn, false_positive=fp)


def _number(text: str) -> float:
    name, _, figure = text.partition(":")
    try:
        return float(figure)
    except ValueError:
        raise ValueError(f"`threshold` {name!r} needs its figure, such as {name}:0.5, got {text!r}.") from None
