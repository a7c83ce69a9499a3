"""Random over-sampling: repeated rows, or rows with a little noise (smoothed bootstrap)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._random import RandomState, generator_for, mix, seed_from
from imbalance_torch._threads import in_threads
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan, limits
from imbalance_torch.resampling._over import Classes, OverSampler

_BLOCK = 1 << 18  # random numbers that share a generator: fixed, so that rows do not depend on device or memory


class RandomOverSampler(OverSampler):
    r"""Over-sampling by repeated rows, drawn with replacement, or with ``shrinkage`` by rows with normal noise on them.

    .. math:: x_{new} = x_i + s_c \, h \, \sigma_c \odot z, \quad
        h = \left(\frac{4}{(d + 2) N}\right)^{1 / (d + 4)}, \quad z \sim N(0, I_d)

    with x_i a uniformly drawn row of class c (``base_index`` and ``neighbor_index``; ``gap`` is 0), :math:`s_c` the
    ``shrinkage`` of the class (None: 0), :math:`\sigma_c` the standard deviations (divisor :math:`n_c`) of its columns,
    and h Silverman's factor for the N rows and d columns of ``X``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        shrinkage: None repeats rows; a number >= 0, or a dict of such by class, is the width of the noise in units of
            Silverman's bandwidth: 1 is a kernel density estimate, 0 repeats rows.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Not used, since no neighbours are searched; there for all over-samplers.
        on_degenerate: What happens when no column of a class with a positive ``shrinkage`` varies, so that synthetic
            rows are copies: ``"warn"`` or ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The rows that are repeated, each paired with itself.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, a class that grows is missing from a dict ``shrinkage``, ``X`` holds NaN
            or infinities, or ``y`` holds one class.

    Notes:
        A class may have one row: it is repeated, with ``shrinkage`` too (its columns have no width), which warns.
        Copies are exact in every dtype. Noise is added in float32 (halves) or float64 (integers); integers are rounded,
        and values that the dtype cannot hold become its smallest or largest one. ``X`` must hold finite numbers, as
        for every over-sampler; ``imbalance_torch.integrations.sklearn.RandomOverSampler`` also repeats rows with
        strings and missing values. Time O(1) per row and column; memory: the rows of the classes that grow. Noise
        follows from one integer in the plan, block by block of 2^18 numbers, so that the same seed gives the same rows
        on CPU and CUDA.

    NOTE[DIFF]: Menardi and Torelli (ROSE) take h from the rows of the class alone; here, as in imbalanced-learn, N is
    all rows of ``X``. Unlike there, each class has a stream of its own, and X must be finite.

    References:
        Menardi, Torelli. Training and assessing classification rules with imbalanced data. Data Mining and Knowledge
        Discovery 28, 2014.

    Example:
        >>> X = torch.tensor([[0.0], [1.0], [2.0], [8.0]])
        >>> y = torch.tensor([0, 0, 0, 1])
        >>> X_res, y_res = RandomOverSampler(random_state=0).fit_resample(X, y)
        >>> X_res.flatten().tolist(), y_res.tolist()
        ([0.0, 1.0, 2.0, 8.0, 8.0, 8.0], [0, 0, 0, 1, 1, 1])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        shrinkage: float | Mapping[Any, float] | None = None,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        if isinstance(shrinkage, Mapping):
            for label, width in shrinkage.items():
                check_number(f"shrinkage[{label!r}]", width, minimum=0)
        elif shrinkage is not None:
            check_number("shrinkage", shrinkage, minimum=0)
        self.shrinkage = shrinkage

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw the rows that are repeated and, where noise is added, its seed."""
        stream = cache(self.stream(generator))
        plan = self.graph_.draw(counts, stream)
        if not self._widths.any():
            return plan
        return plan._replace(noise_seed=mix(*(seed_from(stream(self.graph_.edges[label].rank)) for label in counts)))

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan of this class into ``out``, new where it is None, and return it."""
        rows = self.graph_.rows
        out = rows.new_empty(len(plan.base), rows.shape[1]) if out is None else out

        ends, widths = self._ends.to(rows.device), self._widths.to(plan.gap)
        step, (low, high) = max(1, _BLOCK // rows.shape[1]), limits(rows.dtype)

        def write(start: int) -> None:
            base = plan.base[start : start + step]
            new = rows.index_select(0, base)
            if plan.noise_seed is not None:
                generator = generator_for(plan.noise_seed, start)
                noise = torch.randn(new.shape, generator=generator, dtype=plan.gap.dtype, device="cpu")
                label = torch.bucketize(base, ends, right=True)
                noise = noise.to(rows.device).mul_(widths[label]).add_(new)
                new = (noise if rows.is_floating_point() else noise.round_()).clamp_(low, high)
            out[start : start + step] = new

        in_threads(write, range(0, len(out), step))
        return out

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        shrinkage = self._shrinkages(growing)
        builder, d = GraphBuilder(classes.table), classes.table.shape[1]
        bandwidth = (4 / ((d + 2) * len(classes.table))) ** (1 / (d + 4))
        widths = []
        for label in growing:
            members = classes.members[label]
            itself = torch.arange(len(members), device=members.device)[:, None]
            nothing = torch.zeros_like(itself, dtype=torch.float64)
            builder.add(label, classes.ranks[label], members, itself, low=nothing, width=nothing)
            deviations = _deviations(classes.table[members]) if shrinkage[label] else nothing.new_zeros(d)
            if shrinkage[label] and not deviations.any():
                self._degenerate(
                    f"The {len(members)} rows of class {label!r} are equal, so `shrinkage` adds no noise and synthetic "
                    "rows are copies. Use shrinkage=None, or drop duplicates."
                )
            widths.append(deviations.cpu() * (shrinkage[label] * bandwidth))
        self._widths = torch.stack(widths) if widths else torch.zeros(0, d, dtype=torch.float64)
        self._ends = torch.tensor([classes.counts[label] for label in growing], dtype=torch.int64).cumsum(0)
        return builder.graph()

    def _shrinkages(self, growing: list[Any]) -> dict[Any, float]:
        if not isinstance(self.shrinkage, Mapping):
            return dict.fromkeys(growing, self.shrinkage or 0)
        missing = [label for label in growing if label not in self.shrinkage]
        if missing:
            raise ValueError(
                "`shrinkage` should contain a shrinkage factor for each class that will be resampled. "
                f"The missing classes are: {missing}"
            )
        return {label: self.shrinkage[label] for label in growing}


def _deviations(rows: Tensor) -> Tensor:
    """Return the standard deviation of each column in float64, also of numbers whose squares it cannot hold."""
    rows = rows.double()
    unit = rows.abs().amax(0)
    return (rows / torch.where(unit > 0, unit, 1)).std(0, correction=0) * unit
