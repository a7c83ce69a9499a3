"""Calendar features: where a moment lies in its day, its week and its year, each as a point on a circle."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_DAY = 86_400.0
_YEAR = 365.2425  # days
PARTS = ("hour", "weekday", "day of year")


def calendar(seconds: Tensor) -> Tensor:
    """Return sine and cosine of each part, (N, columns * 6), from seconds since 1970; NaN becomes the centre, 0."""
    day = (seconds / _DAY).floor()
    year = day.new_tensor(_YEAR)  # an export to ONNX keeps tensors, and rounds numbers to float32
    turns = torch.stack([seconds / _DAY - day, (day + 3) / 7, day / year], dim=2)  # 1970 began on a Thursday
    angles = 2 * math.pi * (turns - turns.floor())
    return torch.stack([angles.sin(), angles.cos()], dim=3).flatten(1).nan_to_num(0.0)


def varying_features(seconds: np.ndarray) -> list[int]:
    """Return which of the 6 features of one column (N,) vary; the year counts once it has been seen whole."""
    day, second = np.divmod(seconds[~np.isnan(seconds)], _DAY)
    varies = [np.ptp(second) > 0, np.ptp((day + 3) % 7) > 0, np.ptp(day) >= 364]
    return np.flatnonzero(np.repeat(varies, 2)).tolist()
