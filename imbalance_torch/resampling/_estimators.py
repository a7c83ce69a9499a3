"""Estimators of scikit-learn that a method fits: a copy each, with a seed."""

from __future__ import annotations

from typing import Any

from imbalance_torch._checks import require


def seeded_clone(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy whose ``random_state``, where it is None, follows from ``seed``."""
    clone = require("sklearn.base", extra="train").clone(estimator)
    if getattr(clone, "random_state", seed) is None:
        clone.set_params(random_state=seed % 2**32)
    return clone
