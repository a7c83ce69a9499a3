"""What the training rows of a table say about its imbalance: the figures that advice rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int
from imbalance_torch._random import mix
from imbalance_torch.data import TableEncoder
from imbalance_torch.evaluation._drift import Drift, time_drift
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.resampling._realism import _components
from imbalance_torch.training import TabularDataModule

_K = 5
_QUERIES, _MODE_ROWS = 1000, 3000  # minority rows whose neighbours are looked at, and that are linked to modes
_CATEGORIES = 15  # values of a category with a column of their own in distances
_JITTER = 1e-5  # equal distances are then in random order


@dataclass(frozen=True)
class DataFacts:
    """Figures of the training rows; the minority is the class with fewest of them.

    Attributes:
        rows: rows of the whole table.
        train_rows: rows of its training part, which alone the other figures come from.
        num_classes: number of classes.
        minority: label of the minority.
        minority_rows: its training rows.
        majority_rows: training rows of the largest class.
        imbalance_ratio: majority rows per minority row.
        num_features: feature columns.
        numeric_columns: those with numbers of more than two values, which can be interpolated.
        categorical_share: share of the feature columns that are categories, booleans or numbers of two values.
        missing_share: share of missing cells.
        overlap: share of the five nearest rows of a minority row that are of other classes, mean over minority rows.
        isolated_share: share of the minority rows whose five nearest rows are all of other classes, the label-noise
            proxy.
        isolated_by_chance: the same if labels said nothing about the columns.
        modes: groups of minority rows that links to the five nearest rows of the class join; those below 1 % of the
            rows are left out.
        smallest_mode_rows: rows of the smallest of them.
        drift: what moved between the first and the last third of the training rows; None without a time column.
    """

    rows: int
    train_rows: int
    num_classes: int
    minority: Any
    minority_rows: int
    majority_rows: int
    imbalance_ratio: float
    num_features: int
    numeric_columns: int
    categorical_share: float
    missing_share: float
    overlap: float
    isolated_share: float
    isolated_by_chance: float
    modes: int
    smallest_mode_rows: int
    drift: Drift | None

    @property
    def rows_per_mode(self) -> float:
        """Minority rows of a mode, on average."""
        return self.minority_rows / self.modes

    @property
    def core_overlap(self) -> float:
        """Share of neighbours of other classes among minority rows that are not isolated; 1 where all are."""
        rest = 1 - self.isolated_share
        return (self.overlap - self.isolated_share) / rest if rest else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, text and dicts alone, as for JSON."""
        return asdict(self)


def data_facts(data: TabularDataModule, *, limit: int = 200_000, seed: int = 0) -> DataFacts:
    r"""Measure what advice on imbalance depends on; validation and test rows are not looked at.

    .. math:: \text{overlap} = \frac{1}{m k} \sum_{i=1}^{m} |\{j \in N_k(x_i): y_j \ne y_i\}|, \qquad
        \text{isolated} = \frac{1}{m} \sum_{i=1}^{m} 1[\, N_k(x_i) \text{ holds no row of class } y_i \,]

    with m minority rows (1,000 at most) and :math:`N_k(x_i)` the k = 5 nearest training rows, in standardised numbers,
    missing indicators, booleans, calendar features and one column for each of the 15 most frequent values of a
    category, where two different values are 1 apart.

    Args:
        data: the table, its roles and its split.
        limit: training rows that are encoded and searched, >= 100; of more, a sample with the class shares of the
            data. Modes are found among 3,000 minority rows at most.
        seed: of the samples, and of the order of rows at equal distance.

    Raises:
        ValueError: the table is unusable for training, or ``limit`` is too small.

    Notes:
        About 5 s for a million rows of 30 columns on one core beyond reading. A sample thins all classes alike, so the
        neighbours of ``overlap`` are farther away than in the whole table. Neither figure tells noise from a hard
        problem by itself: isolated rows speak of wrong labels where the rest of the class is together.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"amount": [float(i) for i in range(100)], "fraud": [0] * 80 + [1] * 20})
        >>> facts = data_facts(TabularDataModule(table, "fraud"))
        >>> facts.train_rows, facts.minority_rows, facts.imbalance_ratio, facts.modes
        (60, 12, 4.0, 1)
    """
    check_int("limit", limit, minimum=100)
    generator = np.random.Generator(np.random.PCG64(mix(seed)))
    schema, labels, train = data.schema, data.y.numpy(), data.split.train
    counts = np.bincount(labels[train], minlength=schema.num_classes)
    rarest = int(counts.argmin())
    minority_rows, majority_rows = int(counts[rarest]), int(counts.max())

    sample = _draw(generator, train, limit)
    members = _draw(generator, train[labels[train] == rarest], _MODE_ROWS)
    rows = np.union1d(sample, members)
    frame = data.frame[schema.features].iloc[rows]
    encoder, x = _encoded(data, frame)
    noise = generator.normal(scale=_JITTER, size=x.shape).astype(np.float32)
    points = x + torch.from_numpy(noise)

    reference, queries = np.searchsorted(rows, sample), np.searchsorted(rows, members[:_QUERIES])
    strangers = labels[rows[_neighbours(points, queries, reference)]] != rarest
    modes = _mode_sizes(points[np.searchsorted(rows, members)])
    flags = [name for name in encoder.numeric if frame[name].nunique() <= 2]
    return DataFacts(
        rows=len(labels),
        train_rows=len(train),
        num_classes=schema.num_classes,
        minority=schema.classes[rarest],
        minority_rows=minority_rows,
        majority_rows=majority_rows,
        imbalance_ratio=majority_rows / minority_rows,
        num_features=len(schema.features),
        numeric_columns=len(encoder.numeric) - len(flags),
        categorical_share=(len(schema.categorical) + len(schema.boolean) + len(flags)) / len(schema.features),
        missing_share=float(frame.isna().to_numpy().mean()),
        overlap=float(strangers.mean()),
        isolated_share=float(strangers.all(axis=1).mean()),
        isolated_by_chance=float((1 - (minority_rows - 1) / (len(train) - 1)) ** strangers.shape[1]),
        modes=len(modes),
        smallest_mode_rows=round(min(modes) * minority_rows / len(members)),
        drift=None if schema.time is None else time_drift(data, rarest, generator),
    )


def _draw(generator: np.random.Generator, rows: np.ndarray, size: int) -> np.ndarray:
    """Return ``size`` of the rows, or all, in random order."""
    return generator.permutation(rows)[:size]


def _encoded(data: TabularDataModule, frame: Any) -> tuple[TableEncoder, Tensor]:
    """Return the encoder of the columns with a value in these rows, and the rows as points."""
    present = {name for name in frame if frame[name].notna().any()}
    roles = {
        role: [name for name in getattr(data.schema, role) if name in present]
        for role in ("numeric", "categorical", "boolean", "datetime")
    }
    encoder = TableEncoder(max_categories=_CATEGORIES, **roles).fit(frame)  # type: ignore[arg-type]
    dense, *codes = torch.split(encoder.encode(frame), [encoder.num_dense, *[1] * len(roles["categorical"])], dim=1)
    one_hot = [
        torch.nn.functional.one_hot(code[:, 0].long(), size) / 2**0.5
        for code, size in zip(codes, encoder.cardinalities, strict=True)
    ]
    return encoder, torch.cat([dense, *one_hot], dim=1)


def _neighbours(points: Tensor, queries: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the nearest reference rows of each query, never itself: (queries, k) row numbers."""
    k = min(_K, len(reference) - 1)
    _, found = nearest(points[queries], points[reference], k + 1)
    near = reference[found.numpy()]
    kept = near != queries[:, None]
    kept[kept.all(axis=1), -1] = False
    return near[kept].reshape(len(queries), k)  # type: ignore[no-any-return]


def _mode_sizes(points: Tensor) -> list[int]:
    if len(points) == 1:
        return [1]
    links = nearest(points, points, min(_K, len(points) - 1), exclude_self=True).indices
    sizes: list[int] = torch.unique(_components(links), return_counts=True)[1].tolist()
    return [size for size in sizes if size >= len(points) / 100] or sizes
