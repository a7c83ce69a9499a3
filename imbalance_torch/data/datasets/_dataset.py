"""Dataset: a table with its target, and what a reader must know about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """A table with its target, and what a reader must know about it.

    Attributes:
        frame: all columns, the target among them, rows in time order.
        target: name of the target column.
        time: name of the column that orders the rows; never a feature.
        card: source, licence and caveats, as Markdown.
        drop: further columns that are not features, such as identifiers.
    """

    frame: pd.DataFrame
    target: str
    time: str
    card: str
    drop: tuple[str, ...] = ()

    @property
    def X(self) -> pd.DataFrame:
        """The feature columns."""
        return self.frame.drop(columns=[self.target, self.time, *self.drop])

    @property
    def y(self) -> np.ndarray:
        """The target, (N,) int64."""
        return np.asarray(self.frame[self.target].to_numpy(np.int64))
