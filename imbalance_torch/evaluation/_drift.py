"""What moves between the start and the end of the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest, ks_2samp

from imbalance_torch.data import TableEncoder
from imbalance_torch.training import TabularDataModule

_ROWS = 10_000


@dataclass(frozen=True)
class Drift:
    """First third of the training rows against the last, in time order.

    Attributes:
        first: share of the minority in the first third.
        last: its share in the last third.
        p: of the two shares being equal, exact given the minority rows of both together.
        column: the feature whose distribution moved most.
        distance: greatest difference of its two distribution functions (Kolmogorov-Smirnov), in [0, 1]; of a category,
            the greatest difference of a value's share.
        column_p: of that distance, multiplied by the number of columns compared. Both p take rows for independent.
    """

    first: float
    last: float
    p: float
    column: str
    distance: float
    column_p: float


def time_drift(data: TabularDataModule, minority: int, generator: np.random.Generator) -> Drift:
    """Compare the thirds: class shares on all rows, columns on 10,000 rows of each at most.

    Dates that are features are left out: they move by themselves.
    """
    order = data.split.train[np.argsort(data.frame[data.schema.time].to_numpy()[data.split.train], kind="stable")]
    size = -(-len(order) // 3)
    thirds = order[:size], order[-size:]
    first, last = (int((data.y.numpy()[part] == minority).sum()) for part in thirds)
    p = binomtest(first, first + last, 0.5).pvalue if first + last else 1.0
    column, distance, column_p = _most_moved(data, *(generator.permutation(part)[:_ROWS] for part in thirds))
    return Drift(first / size, last / size, float(p), column, distance, column_p)


def _most_moved(data: TabularDataModule, first: np.ndarray, last: np.ndarray) -> tuple[str, float, float]:
    schema = data.schema
    frame = data.frame[schema.features].iloc[np.concatenate([first, last])]
    numeric, boolean, categorical = (
        [name for name in names if frame[name].notna().any()]
        for names in (schema.numeric, schema.boolean, schema.categorical)
    )
    encoder = TableEncoder(numeric, categorical, boolean=boolean, max_categories=15).fit(frame)
    dense, *codes = torch.split(encoder.encode(frame), [encoder.num_dense, *[1] * len(categorical)], dim=1)
    flags = [*numeric, *boolean]
    names = [*numeric, *(flags[position] for position in encoder.indicators.tolist()), *boolean]
    columns = [*zip(names, dense.T.numpy(), strict=True)]
    for name, code, cardinality in zip(categorical, codes, encoder.cardinalities, strict=True):
        columns += [(name, (code[:, 0] == value).numpy()) for value in range(cardinality)]
    tests = [(name, ks_2samp(values[: len(first)], values[len(first) :], method="asymp")) for name, values in columns]
    if not tests:
        return "", 0.0, 1.0
    name, test = max(tests, key=lambda pair: pair[1].statistic)
    return name, float(test.statistic), min(1.0, float(test.pvalue) * len(tests))
