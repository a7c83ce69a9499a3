"""The scored test rows of one model: what plots and report draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imbalance_torch._checks import check_same_length


@dataclass(frozen=True, eq=False)
class Scored:
    """The test rows of one model, with its probabilities and its decision threshold.

    Attributes:
        name: of the model, for legends.
        target: class indices in 0..C-1, (N,) integer; at least two classes occur.
        corrected: (N, C) probabilities that the model gives, in [0, 1].
        raw: (N, C) probabilities before prior correction and calibration map, in [0, 1].
        classes: the C labels.
        threshold: of two classes, a row is an alert from this ``corrected[:, 1]`` on. One positive number per class:
            the largest ``probability / threshold`` wins. None: the likeliest class wins.
        prior: class shares of the data, (C,).
        train_shares: class shares of what training was fed, (C,).
        calibration: name of the calibration map.
        calibration_reason: one sentence that says why this map.
        time: (N,) datetimes (held without their zone, in UTC) or finite numbers, or None.
        group: (N,) group of each row, or None.
        realism: figures of the synthetic rows by name, or None without a resampler.

    Raises:
        TypeError: a target that is not integer, a time of another kind.
        ValueError: shapes that do not fit, probabilities outside [0, 1] or NaN, labels outside 0..C-1, one class only,
            a threshold or a share out of range, a missing time.

    Example:
        >>> p = np.array([0.1, 0.3, 0.6, 0.8])
        >>> both, shares = np.stack([1 - p, p], 1), [0.5, 0.5]
        >>> scored = Scored("mlp", np.array([0, 0, 1, 1]), both, both, ["no", "yes"], 0.7, shares, shares, "none", "")
        >>> scored.positive, scored.decided.tolist()
        (1, [0, 0, 0, 1])
    """

    name: str
    target: np.ndarray
    corrected: np.ndarray
    raw: np.ndarray
    classes: Sequence[Any]
    threshold: float | Sequence[float] | None
    prior: Sequence[float]
    train_shares: Sequence[float]
    calibration: str
    calibration_reason: str
    time: np.ndarray | None = None
    group: np.ndarray | None = None
    realism: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Check the rows and hold copies of them as NumPy arrays."""
        arrays = {
            "target": np.asarray(self.target).copy(),
            "corrected": np.asarray(self.corrected, dtype=np.float64).copy(),
            "raw": np.asarray(self.raw, dtype=np.float64).copy(),
        }
        if self.time is not None:
            arrays["time"] = _without_zone(self.time)
        if self.group is not None:
            arrays["group"] = np.asarray(self.group).copy()
        check_same_length(**arrays)
        _check_target(arrays["target"], len(self.classes))
        for name in ("corrected", "raw"):
            _check_probabilities(name, arrays[name], len(self.classes))
        for name in ("prior", "train_shares"):
            _check_shares(name, getattr(self, name), len(self.classes))
        _check_threshold(self.threshold, len(self.classes))
        if "time" in arrays:
            _check_time(arrays["time"])
        for name, value in arrays.items():
            object.__setattr__(self, name, value)

    @property
    def positive(self) -> int:
        """Index of the class that curves speak of: 1 of two classes, else the rarest that occurs."""
        if len(self.classes) == 2:
            return 1
        counts = np.bincount(self.target, minlength=len(self.classes))
        return int(np.where(counts > 0, counts, len(self.target) + 1).argmin())

    @property
    def decided(self) -> np.ndarray:
        """Class index that the threshold gives each row, (N,)."""
        if isinstance(self.threshold, int | float):
            return (self.corrected[:, 1] >= self.threshold).astype(np.int64)
        weights = 1.0 if self.threshold is None else 1.0 / np.asarray(self.threshold, dtype=np.float64)
        return np.asarray((self.corrected * weights).argmax(1))

    @property
    def days(self) -> int | None:
        """Calendar days with test rows, where ``time`` is a datetime."""
        if self.time is None or self.time.dtype.kind != "M":
            return None
        return len(np.unique(self.time.astype("datetime64[D]")))

    def index(self, label: Any = None) -> int:
        """Return the index of a class label; that of :attr:`positive` for None.

        Raises:
            ValueError: there is no such class, or it does not occur.
        """
        if label is None:
            return self.positive
        if label not in self.classes:
            raise ValueError(f"`label` must be one of {list(self.classes)}, got label={label!r}.")
        index = list(self.classes).index(label)
        if not 0 < (self.target == index).sum() < len(self.target):
            raise ValueError(f"Class {label!r} has no test rows, so it has no curve. Choose another `label`.")
        return index


def _check_target(target: np.ndarray, num_classes: int) -> None:
    if target.dtype.kind not in "iu":
        raise TypeError(f"`target` must hold integers, got target.dtype={target.dtype}.")
    if target.ndim != 1:
        raise ValueError(f"`target` must have shape (N,), got target.shape={target.shape}.")
    if num_classes < 2 or len(np.unique(target)) < 2:
        raise ValueError("`target` must hold rows of at least two classes. Use more test rows, or a stratified split.")
    if target.min() < 0 or target.max() >= num_classes:
        raise ValueError(f"`target` must lie in 0..{num_classes - 1}, got {target.min()}..{target.max()}.")


def _check_probabilities(name: str, values: np.ndarray, num_classes: int) -> None:
    if values.ndim != 2 or values.shape[1] != num_classes:
        raise ValueError(f"`{name}` must have shape (N, {num_classes}), got {name}.shape={values.shape}.")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError(f"`{name}` must be probabilities in [0, 1], got NaN or values outside.")


def _check_shares(name: str, shares: Sequence[float], num_classes: int) -> None:
    if len(shares) != num_classes or not all(0 <= share <= 1 for share in shares):
        raise ValueError(f"`{name}` must hold {num_classes} shares in [0, 1], got {name}={list(shares)}.")


def _check_threshold(threshold: float | Sequence[float] | None, num_classes: int) -> None:
    if threshold is None:
        return
    if isinstance(threshold, int | float):
        if num_classes != 2 or math.isnan(threshold) or threshold < 0:
            raise ValueError(
                f"`threshold` must be one number >= 0 for two classes, {num_classes} numbers > 0 or None for "
                f"{num_classes}, got threshold={threshold}."
            )
    elif len(threshold) != num_classes or not all(value > 0 for value in threshold):
        raise ValueError(f"`threshold` must hold {num_classes} numbers > 0, got threshold={list(threshold)}.")


def _without_zone(time: Any) -> np.ndarray:
    values = pd.Series(np.asarray(time)).infer_objects()
    return np.array(values.dt.tz_convert(None) if isinstance(values.dtype, pd.DatetimeTZDtype) else values)


def _check_time(time: np.ndarray) -> None:
    if time.dtype.kind not in "Miuf":
        raise TypeError(f"`time` must be datetimes or numbers, got time.dtype={time.dtype}.")
    if time.ndim != 1 or bool((np.isnat(time) if time.dtype.kind == "M" else ~np.isfinite(time)).any()):
        raise ValueError("`time` must have shape (N,) without a missing value.")
