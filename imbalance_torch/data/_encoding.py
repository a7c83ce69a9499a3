"""Raw rows -> one float32 tensor [numeric | missing indicators | category codes]; fitted on the training rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_int, require

if TYPE_CHECKING:
    import pandas as pd

_UNSEEN = 0


class TableEncoder(nn.Module):
    """Encode a table into the tensor that the detectors take.

    Numeric column: clipped to ``[min - r/2, max + r/2]`` of the training rows (``r = max - min``), median for missing,
    ``(x - mean) / sd``, clipped to +-10. A column with missing training values gets an indicator (0 or 1). Category:
    a code, the most frequent value first; 0 is the bucket of values not seen in training (and of rare ones beyond
    ``max_categories``), a missing value is a category of its own where training has one. Values are compared as text.

    Args:
        numeric: names of the numeric columns.
        categorical: names of the categorical columns.
        max_categories: most frequent values of a column that keep a code of their own.

    Notes:
        Statistics are buffers, computed in float64. ``forward`` works on raw tensors, ``encode`` on a table; memory is
        O(rows x columns).

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"amount": [1.0, 2.0, 3.0, None], "card": ["a", "b", "a", "a"]})
        >>> encoder = TableEncoder(["amount"], ["card"]).fit(table)
        >>> encoder.encode(table)
        tensor([[-1.4142,  0.0000,  1.0000],
                [ 0.0000,  0.0000,  2.0000],
                [ 1.4142,  0.0000,  1.0000],
                [ 0.0000,  1.0000,  1.0000]])
    """

    low: Tensor
    high: Tensor
    median: Tensor
    mean: Tensor
    scale: Tensor
    indicator_columns: Tensor

    def __init__(self, numeric: Sequence[str], categorical: Sequence[str], *, max_categories: int = 254) -> None:
        super().__init__()
        self.numeric = list(numeric)
        self.categorical = list(categorical)
        self.max_categories = check_int("max_categories", max_categories, minimum=1)
        self.categories: dict[str, list[str | None]] = {name: [] for name in self.categorical}
        for name in ("low", "high", "median", "mean", "scale"):
            self.register_buffer(name, torch.zeros(len(self.numeric), dtype=torch.float64))
        self.register_buffer("indicator_columns", torch.zeros(len(self.numeric), dtype=torch.bool))

    @property
    def num_numeric(self) -> int:
        """Leading columns that are continuous: the ones that SMOTE may interpolate."""
        return len(self.numeric)

    @property
    def num_dense(self) -> int:
        """Leading columns that are not category codes: numeric ones and missing indicators."""
        return len(self.numeric) + int(self.indicator_columns.sum())

    @property
    def cardinalities(self) -> list[int]:
        """Codes of each categorical column, the bucket of unseen values included."""
        return [len(self.categories[name]) + 1 for name in self.categorical]

    def fit(self, frame: pd.DataFrame) -> TableEncoder:
        """Learn statistics and categories from the training rows.

        Raises:
            ValueError: no rows, a missing column, a column without any value, or an infinite value.
        """
        if len(frame) == 0:
            raise ValueError("The table has no rows to fit the encoder on.")
        values = self._numbers(frame)
        missing = np.isnan(values)
        if len(self.numeric):
            empty = missing.all(axis=0)
            if empty.any():
                name = self.numeric[int(np.argmax(empty))]
                raise ValueError(f"Column {name!r} has no value in the training rows. Leave it out (`drop`).")
            low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
            unit = np.maximum(np.abs(low), np.abs(high))
            unit[unit == 0] = 1.0  # in units of the largest value no square overflows and a constant has sd 0
            values /= unit
            median = np.nanmedian(values, axis=0)
            filled = np.where(missing, median, values)
            deviation = filled.std(axis=0) * unit
            with np.errstate(over="ignore"):
                spread = (high - low) / 2
                low, high = low - spread, high + spread
            for name, value in {
                "low": low,
                "high": high,
                "median": median * unit,
                "mean": filled.mean(axis=0) * unit,
                "scale": np.where(deviation > 0, deviation, 1.0),
                "indicator_columns": missing.any(axis=0),
            }.items():
                getattr(self, name).copy_(torch.as_tensor(value))
        for name in self.categorical:
            codes, texts = _factorize(frame, name)
            counts: Counter[str | None] = Counter()
            for value, count in zip(texts, np.bincount(codes, minlength=len(texts)), strict=True):
                counts[value] += int(count)
            self.categories[name] = [value for value, count in counts.most_common(self.max_categories) if count]
        return self

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Encode raw numbers (N, numeric) with NaN for missing and codes (N, categorical) into (N, D) float32."""
        missing = numbers.isnan()
        clipped = numbers.to(torch.float64).clamp(self.low, self.high)
        filled = torch.where(missing, self.median, clipped)
        standardised = ((filled - self.mean) / self.scale).clamp(-10, 10)
        parts = (standardised, missing[:, self.indicator_columns], codes)
        return torch.cat([part.to(torch.float32) for part in parts], dim=1)

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Encode a table, (N, D) float32; columns may come in any order, extra ones are ignored.

        Raises:
            ValueError: a missing column, or an infinite value.
        """
        self._check_columns(frame)
        codes = np.stack([self._codes(frame, name) for name in self.categorical], axis=1) if self.categorical else None
        numbers = torch.from_numpy(self._numbers(frame)).to(self.low.device)
        return self(numbers, numbers.new_zeros(len(frame), 0) if codes is None else torch.from_numpy(codes).to(numbers))  # type: ignore[no-any-return]

    def get_extra_state(self) -> dict[str, Any]:
        """Column names and categories: all that is not a tensor, ready for JSON."""
        return {"numeric": self.numeric, "max_categories": self.max_categories, "categories": self.categories}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_extra_state` gave."""
        self.numeric = list(state["numeric"])
        self.max_categories = state["max_categories"]
        self.categories = {name: list(values) for name, values in state["categories"].items()}
        self.categorical = list(self.categories)

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        self._check_columns(frame)
        values = np.empty((len(frame), len(self.numeric)), dtype=np.float64)
        for position, name in enumerate(self.numeric):
            try:
                values[:, position] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
            except (TypeError, ValueError) as error:
                raise ValueError(f"Column {name!r} must be numeric, got {frame[name].dtype}: {error}.") from error
        infinite = np.isinf(values).any(axis=0)
        if infinite.any():
            name = self.numeric[int(np.argmax(infinite))]
            row = frame.index[int(np.argmax(np.isinf(values[:, self.numeric.index(name)])))]
            raise ValueError(f"Column {name!r} has an infinite value (first: row {row}). Replace it or leave it empty.")
        return values

    def _codes(self, frame: pd.DataFrame, name: str) -> np.ndarray:
        codes, values = _factorize(frame, name)
        known = {value: code for code, value in enumerate(self.categories[name], start=1)}
        lookup = np.array([known.get(value, _UNSEEN) for value in values], dtype=np.int64)
        return np.asarray(lookup[codes])

    def _check_columns(self, frame: pd.DataFrame) -> None:
        missing = [name for name in [*self.numeric, *self.categorical] if name not in frame.columns]
        if missing:
            raise ValueError(
                f"The table lacks the column(s) {', '.join(map(repr, missing))}, which the model was trained on."
            )


def _factorize(frame: pd.DataFrame, name: str) -> tuple[np.ndarray, list[str | None]]:
    """Return a code for each row and what the codes stand for; the last one is a missing value."""
    codes, values = require("pandas", extra="train").factorize(frame[name])
    return np.where(codes < 0, len(values), codes), [*map(str, values), None]
