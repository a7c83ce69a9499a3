"""How real synthetic rows look: their share among rows of other classes, copies, and values never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_same_device, warn
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import computing_dtype
from imbalance_torch.resampling._over import Classes, Resampled
from imbalance_torch.resampling._surroundings import nearest_of_all

_COPY = 1e-3  # of the median distance to the nearest row of the class: what is nearer is a copy
_FEW = 20  # rows of a mode below which neighbours say little about its shape
_HEADER: tuple[str, ...] = (
    "class",
    "mode",
    "synthetic",
    "real",
    "enemy",
    "(real)",
    "copies",
    "(real)",
    "outside",
    "(real)",
)


@dataclass(frozen=True)
class RealismShares:
    """Shares of the synthetic rows of a group, each beside that of the real rows of the same group, left one out.

    Attributes:
        synthetic_rows: Number of synthetic rows.
        real_rows: Number of original rows.
        enemy: Share whose nearest original rows are mostly of other classes.
        real_enemy: The same of the original rows.
        copies: Share that (nearly) equals an original row.
        real_copies: The same of the original rows.
        outside: Share with a value outside the range of its column among the original rows of the class.
        real_outside: The same of the original rows. A share of no rows is None.
    """

    synthetic_rows: int
    real_rows: int
    enemy: float | None
    real_enemy: float | None
    copies: float | None
    real_copies: float | None
    outside: float | None
    real_outside: float | None


@dataclass(frozen=True)
class RealismReport:
    """What ``realism_report`` found; ``str()`` gives a table.

    Attributes:
        k_neighbors: Original rows that each row was compared with.
        overall: All classes with synthetic rows together.
        classes: Label to its shares.
        modes: Label to the shares of each mode of the class, the mode with most original rows first.
    """

    k_neighbors: int
    overall: RealismShares
    classes: dict[Any, RealismShares]
    modes: dict[Any, tuple[RealismShares, ...]]

    def __str__(self) -> str:
        lines = [_HEADER]
        for label, shares in self.classes.items():
            lines.append(_cells(label, "all", shares))
            if len(self.modes[label]) > 1:
                lines += [_cells("", number, mode) for number, mode in enumerate(self.modes[label])]
        lines.append(_cells("overall", "", self.overall))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, labels, lists and dicts alone, as for JSON."""
        classes = [
            {"label": label, **asdict(shares), "modes": [asdict(mode) for mode in self.modes[label]]}
            for label, shares in self.classes.items()
        ]
        return {"k_neighbors": self.k_neighbors, "overall": asdict(self.overall), "classes": classes}


def realism_report(
    resampled: Resampled,
    X: Rows,
    y: Rows,
    *,
    k_neighbors: int = 5,
    memory_budget: int | Literal["auto"] = "auto",
) -> RealismReport:
    r"""Compare synthetic rows with the original ones, per class and per mode of a class.

    .. math:: \text{enemy} = \frac{1}{G} \sum_{g=1}^{G} 1[\, 2 \, |\{r \in N_k(x_g): y_r \ne y_g\}| > k \,]

    with :math:`N_k(x_g)` the k = ``k_neighbors`` original rows nearest to the synthetic row x_g. A row is a *copy* when
    its nearest original row is no farther than 1/1000 of the median distance between a row of the class and the
    nearest other one. It is *outside* when a value of it lies below the least or above the greatest of that column
    among the original rows of its class. Each share stands beside that of the original rows of the class, where
    every row is compared with the others: without this, a share says little.

    A *mode* is a set of original rows of a class that links between rows and their ``k_neighbors`` nearest of the
    class join, directly or through others; a synthetic row belongs to the mode of its base row.

    Args:
        resampled: Result of ``sample(n)`` or ``fit_resample(X, y, return_info=True)`` of any over-sampler.
        X: (N, d) the original rows, those that were given to ``fit``.
        y: (N,) their labels.
        k_neighbors: Neighbours that vote, and that link the rows of a class, >= 1, fewer than N.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.

    Returns:
        The shares overall, per class with synthetic rows, and per mode.

    Raises:
        TypeError: If ``resampled`` is no ``Resampled``.
        ValueError: If it holds no synthetic row or does not come from ``X`` and ``y``, there are ``k_neighbors`` rows
            or fewer, or a value is NaN or infinite.

    Notes:
        One UserWarning names the modes of fewer than 20 original rows: there, interpolation repeats chance. Distances
        are those of the columns as they are, as in ``SMOTE``. A synthetic row has its own parents among its
        neighbours, an original row does not have itself: an ``enemy`` share slightly below ``real_enemy`` is usual. A
        class of one row has no distances: equal rows alone are copies of it, and ``real_outside`` is 0. Ranges have a
        slack of four roundings of their greatest value. Time O((G + n) N d) for G synthetic rows and n original rows
        of their classes; memory: ``k_neighbors`` numbers per such row, and a copy of one class at a time.

    References:
        The share inside other classes is the "noise" test of Han et al., Borderline-SMOTE, ICIC 2005, put to synthetic
        rows.

    Example:
        >>> from imbalance_torch.resampling import SMOTE
        >>> generator = torch.Generator().manual_seed(0)
        >>> y = (torch.arange(400) >= 360).long()
        >>> X = torch.randn(400, 2, generator=generator) + 1.5 * y[:, None]
        >>> report = realism_report(SMOTE(random_state=0).fit(X, y).sample(300), X, y)
        >>> print(report)
          class  mode  synthetic  real  enemy  (real)  copies  (real)  outside  (real)
              1   all        300    40  37.0%   42.5%    0.3%    0.0%     0.0%   10.0%
        overall              300    40  37.0%   42.5%    0.3%    0.0%     0.0%   10.0%
    """
    if not isinstance(resampled, Resampled):
        raise TypeError(
            f"`resampled` must be a Resampled, got {type(resampled).__name__}. Pass the result of `sample(n)` or of "
            "`fit_resample(X, y, return_info=True)`."
        )
    check_int("k_neighbors", k_neighbors, minimum=1)
    table = containers.features(X)
    names, codes = containers.labels(y, table)
    classes = Classes(table, codes, dict(zip(names, codes.bincount().tolist(), strict=True)), {}, 0)
    new, new_codes, base = _synthetic(resampled, classes)
    counts, groups, modes = new_codes.bincount(minlength=len(names)).tolist(), {}, {}
    for label, number in zip(names, counts, strict=True):
        if number:
            drawn = (new_codes == classes.ranks[label]).nonzero().flatten()
            tests = _Tests(classes, label, k_neighbors, memory_budget)
            real, synthetic = tests.of_members(), tests.of(new[drawn])
            mode, mode_of_new = tests.modes(base[drawn])
            groups[label] = (synthetic, real)
            modes[label] = tuple(_shares(synthetic[mode_of_new == part], real[mode == part]) for part in _by_size(mode))
    small = [
        f"{mode.real_rows} of class {label!r}"
        for label, parts in modes.items()
        for mode in parts
        if mode.real_rows < _FEW
    ]
    if small:
        warn(
            f"{len(small)} mode{'s' * (len(small) > 1)} of a class with fewer than {_FEW} original rows "
            f"({', '.join(small[:5])}{', ...' if len(small) > 5 else ''}): synthetic rows there repeat chance. Collect "
            "more rows, or compare with class weights."
        )
    every = [torch.cat(parts) for parts in zip(*groups.values(), strict=True)]
    return RealismReport(
        int(k_neighbors), _shares(*every), {label: _shares(*pair) for label, pair in groups.items()}, modes
    )


class _Tests:
    """The three tests of one class; each gives (rows, 3) booleans: enemy, copy, outside."""

    def __init__(self, classes: Classes, label: Any, k: int, memory_budget: int | Literal["auto"]) -> None:
        self.classes, self.label, self.k, self.budget = classes, label, k, memory_budget
        self.rows = classes.rows(label)
        self.scale = torch.zeros((), device=self.rows.device)
        self.links = classes.members[label].new_empty((len(self.rows), 0))
        if len(self.rows) > 1:
            k = min(k, len(self.rows) - 1)
            distances, self.links = nearest(self.rows, self.rows, k, exclude_self=True, memory_budget=memory_budget)
            self.scale = distances[:, 0].median()

    def of(self, rows: Tensor) -> Tensor:
        """Test rows that are not in the table."""
        distances, near = nearest(rows, self.classes.searchable(self.classes.table), self.k, memory_budget=self.budget)
        low, high = self.rows.aminmax(dim=0)
        slack = 4 * torch.finfo(computing_dtype(rows)).eps * torch.maximum(low.abs(), high.abs())
        outside = (rows < low - slack) | (rows > high + slack)
        return self._verdicts(distances, near, outside)

    def of_members(self) -> Tensor:
        """Test each row of the class against all other rows."""
        members = self.classes.members[self.label]
        distances, near = nearest_of_all(self.classes, members, self.k, "k_neighbors", self.budget)
        outside = torch.zeros_like(self.rows, dtype=torch.bool)
        if len(self.rows) > 1:
            # Only a value that is alone at its end lies beyond the second one, which then bounds the others.
            low = self.rows.topk(2, dim=0, largest=False).values[1]
            high = self.rows.topk(2, dim=0).values[1]
            outside = (self.rows < low) | (self.rows > high)
        return self._verdicts(distances, near, outside)

    def modes(self, base: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mode of each row of the class and of each base row: the first position in it."""
        members = self.classes.members[self.label]
        mode = _components(self.links)
        return mode, mode[torch.searchsorted(members, base)]

    def _verdicts(self, distances: Tensor, near: Tensor, outside: Tensor) -> Tensor:
        strangers = (self.classes.codes[near] != self.classes.ranks[self.label]).sum(1)
        return torch.stack((2 * strangers > self.k, distances[:, 0] <= _COPY * self.scale, outside.any(1)), dim=1)


def _synthetic(resampled: Resampled, classes: Classes) -> tuple[Tensor, Tensor, Tensor]:
    """Return the synthetic rows, their codes among the original labels, and their base rows."""
    rows = containers.features(resampled.X)
    check_same_device(resampled=rows, X=classes.table)
    kept, base = (torch.as_tensor(part).to(rows.device) for part in (resampled.is_synthetic, resampled.base_index))
    if not kept.any():
        raise ValueError(
            "`resampled` must hold synthetic rows, got none. Ask for rows of a class, as in `sample(100)`."
        )
    names, codes = containers.labels(resampled.y, rows)
    known = torch.tensor([classes.ranks.get(name, -1) for name in names], device=rows.device)
    codes = known[codes[kept]]
    size = len(classes.table)
    fits = rows.shape[1] == classes.table.shape[1] and bool(((base >= 0) & (base < size)).all())
    if not fits or not torch.equal(classes.codes[base], codes):
        raise ValueError("`X` and `y` must be the rows and labels that `resampled` was drawn from; they differ.")
    return classes.searchable(rows[kept]).to(classes.searchable(classes.table).dtype), codes, base


def _components(links: Tensor) -> Tensor:
    """Return for each row the least row that links join it with: least labels along links, halved until stable."""
    start = torch.arange(len(links), device=links.device)
    source, target, least = start.repeat_interleave(links.shape[1]), links.flatten(), start
    while True:
        before = least
        low = torch.minimum(least[source], least[target])
        for end in (source, target):
            least = least.scatter_reduce(0, before[end], low, "amin")
        least = least[least]
        if torch.equal(least, before):
            return least


def _by_size(mode: Tensor) -> Iterator[int]:
    """Yield the modes, that with most rows first; of equally large ones the one whose first row comes first."""
    parts, sizes = torch.unique(mode, return_counts=True)
    yield from parts[sizes.argsort(stable=True, descending=True)].tolist()


def _shares(synthetic: Tensor, real: Tensor) -> RealismShares:
    """Average the verdicts of a group."""
    both = zip(*(_means(verdicts) for verdicts in (synthetic, real)), strict=True)
    return RealismShares(len(synthetic), len(real), *(share for pair in both for share in pair))


def _means(verdicts: Tensor) -> list[float | None]:
    return verdicts.double().mean(0).tolist() if len(verdicts) else [None] * 3


def _cells(label: Any, mode: Any, shares: RealismShares) -> tuple[str, ...]:
    synthetic_rows, real_rows, *parts = asdict(shares).values()
    percent = ("-" if part is None else f"{part:.1%}" for part in parts)
    return (str(label), str(mode), str(synthetic_rows), str(real_rows), *percent)
