"""Categories: the text of each value, which of them get a code, and the codes of a column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from imbalance_torch._checks import require

if TYPE_CHECKING:
    import pandas as pd

_UNSEEN = 0


def factorize(column: pd.Series) -> tuple[np.ndarray, list[str | None]]:
    """Return a code for each row and the text that each code stands for; the last one is a missing value."""
    codes, values = require("pandas", extra="train").factorize(column)
    return np.where(codes < 0, len(values), codes), [*map(_text, values), None]


def _text(value: Any) -> str:
    """Return the text of a value; whole numbers have one, as a column of them becomes fractions by a missing value."""
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    text = str(value)
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text) if ".0" in text else text


def frequent_values(column: pd.Series, limit: int, min_rows: int) -> list[str | None]:
    """Return the ``limit`` most frequent values that at least ``min_rows`` rows have, the most frequent one first."""
    codes, texts = factorize(column)
    counts: Counter[str | None] = Counter()
    for text, count in zip(texts, np.bincount(codes, minlength=len(texts)), strict=True):
        counts[text] += int(count)
    return list(islice((text for text, count in counts.most_common() if count >= min_rows), limit))


def category_codes(column: pd.Series, values: Sequence[str | None]) -> np.ndarray:
    """Return 1 + the place of each row's value in ``values``, 0 for any other value, float32 (N,)."""
    codes, texts = factorize(column)
    known = {text if text is None else _text(text): code for code, text in enumerate(values, start=1)}
    lookup = np.array([known.get(text, _UNSEEN) for text in texts], dtype=np.float32)
    return np.asarray(lookup[codes])
