"""Geometric SMOTE: synthetic rows from a ball around a row of the class, in place of a segment."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int, check_number
from imbalance_torch._random import RandomState, generator_for, mix, seed_from
from imbalance_torch._threads import in_threads
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling._graph import Graph, GraphBuilder, Plan, limits
from imbalance_torch.resampling._over import Classes, OverSampler, warn_of_scales

_BLOCK = 1 << 18  # random numbers that share a generator: fixed, so that rows do not depend on device or memory


class GeometricSMOTE(OverSampler):
    r"""SMOTE that draws from a ball around a row of the class, which may be cut to a half and squeezed to a segment.

    .. math:: x_{new} = a + R \, (t u + (1 - \delta) (e - (e \cdot u) u)), \quad R = \lVert b - a \rVert, \;
        u = (b - a) / R, \;
        t = \begin{cases} -(e \cdot u) & \lvert \alpha - e \cdot u \rvert > 1 \\ e \cdot u & \text{else} \end{cases}

    with a a row of the class, the centre (``base_index``), b the surface point (``neighbor_index``), e uniform in the
    unit ball of d dimensions, :math:`\alpha` = ``truncation_factor`` and :math:`\delta` = ``deformation_factor``. The
    surface point is, with ``selection_strategy``

    - ``"minority"``: one of the ``k_neighbors`` nearest rows of the same class;
    - ``"majority"``: the nearest row of another class;
    - ``"combined"``: the nearer of both, the row of the same class where they are equally near.

    ``gap`` is :math:`\lVert e \rVert`: the distance from the centre in units of the radius R, before the deformation.
    So :math:`\lVert x_{new} - a \rVert \le gap \cdot R`, with equality for ``deformation_factor=0``.

    Args:
        sampling_strategy: Which classes grow and to what count; see ``SMOTE``.
        k_neighbors: Neighbours of the same class that can be the surface point, >= 1, fewer than the rows of the class
            (not used with ``"majority"``).
        truncation_factor: How much of the ball is cut off, from -1 to 1: 1 leaves the half that faces the surface
            point, 0 the whole ball, -1 the half that faces away. What is cut off is mirrored into the rest.
        deformation_factor: How much the ball is squeezed towards the line through a and b, from 0 (not at all) to 1
            (onto it).
        selection_strategy: ``"combined"``, ``"majority"`` or ``"minority"``.
        random_state: Seed, ``torch.Generator`` (used once per fit, for a seed) or None (fresh entropy).
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``; see ``knn``.
        on_degenerate: What happens when all radii of a class are 0, so that synthetic rows are copies: ``"warn"`` or
            ``"error"``.

    Attributes:
        class_counts_: Label to rows in the fitted ``y``.
        sampling_strategy_: Label to rows that ``fit_resample`` adds.
        graph_: The pairs of centre and surface point that synthetic rows come from.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows has ``k_neighbors`` rows or fewer (but for ``"majority"``).

    Notes:
        A ball reaches outside the range of the data: values that the dtype cannot hold become its smallest or largest
        one, and integers are rounded first. A pair of equal rows has radius 0 and gives a copy. Containers, dtypes and
        seeds are as in ``SMOTE``; the random directions of a plan follow from one integer in it, drawn from the stream
        of the class, block by block of 2^18 numbers. With more than two classes every other class counts as the
        majority. Time O(n N d) for n rows of the classes that grow among N (``"minority"``: O(n^2 d)), and d normal
        numbers per synthetic row; memory: a copy of the rows of other classes while ``fit`` runs, then the rows that
        are parents and ``k_neighbors`` int64 per row of the class. A CUDA ``generator`` costs one synchronisation a
        class.

    NOTE[DIFF]: In d > 1 columns with both factors at 1 rows lie on the segment, but nearer to the centre than those of
    SMOTE: their share of the segment is :math:`\lvert e \cdot u \rvert`. Douzas and Bacao shuffle centres and visit
    them in turn; here, as in imbalanced-learn-extra, pairs are drawn at random. There every class restarts from the
    same stream, a row may be its own neighbour among duplicates, and values outside the range of an integer dtype wrap
    around.

    References:
        Douzas, Bacao. Geometric SMOTE: a geometrically enhanced drop-in replacement for SMOTE. Information Sciences
        501, 2019.

    Example:
        >>> X = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 1.0], [9.0, 9.0], [9.0, 12.0]])
        >>> y = torch.tensor([0, 0, 0, 1, 1])
        >>> smote = GeometricSMOTE({1: 30}, k_neighbors=1, selection_strategy="minority", random_state=0)
        >>> new = smote.fit(X, y).sample(100)
        >>> radius = (X[new.neighbor_index] - X[new.base_index]).norm(dim=1)
        >>> torch.allclose((new.X - X[new.base_index]).norm(dim=1), new.gap * radius)
        True
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        k_neighbors: int = 5,
        truncation_factor: float = 1.0,
        deformation_factor: float = 0.0,
        selection_strategy: str = "combined",
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, random_state, memory_budget, on_degenerate)
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.truncation_factor = check_number("truncation_factor", truncation_factor, minimum=-1, maximum=1)
        self.deformation_factor = check_number("deformation_factor", deformation_factor, minimum=0, maximum=1)
        self.selection_strategy = check_choice(
            "selection_strategy", selection_strategy, ("combined", "majority", "minority")
        )

    def draw(self, counts: Mapping[Any, int], generator: torch.Generator | None = None) -> Plan:
        """Draw centres, surface points, the distances from the centre, and the seed of the directions."""
        stream = cache(self.stream(generator))
        plan = self.graph_.draw(counts, stream)
        seed = mix(*(seed_from(stream(self.graph_.edges[label].rank)) for label in counts))
        return plan._replace(gap=plan.gap.pow(1 / self.graph_.rows.shape[1]), noise_seed=seed)

    def generate(self, plan: Plan, out: Tensor | None = None) -> Tensor:
        """Write the rows of a plan of this class into ``out``, new where it is None, and return it."""
        rows = self.graph_.rows
        out = rows.new_empty(len(plan.gap), rows.shape[1]) if out is None else out
        step = max(1, _BLOCK // rows.shape[1])
        low, high = limits(rows.dtype)

        def write(start: int) -> None:
            part = slice(start, start + step)
            gap = plan.gap[part, None]
            center = rows.index_select(0, plan.base[part]).to(gap.dtype)
            axis = rows.index_select(0, plan.neighbor[part]).to(gap.dtype).sub_(center)
            scale, axis = _unit(axis)
            point = torch.randn(
                axis.shape, generator=generator_for(plan.noise_seed or 0, start), dtype=torch.float32, device="cpu"
            ).to(axis)
            point = _unit(point)[1].mul_(gap)
            along = (point * axis).sum(1, keepdim=True)
            kept = torch.where((self.truncation_factor - along).abs() > 1, -along, along)
            point.addcmul_(along, axis, value=-1).mul_(1 - self.deformation_factor).addcmul_(kept, axis)
            new = point.mul_(scale).add_(center)
            out[part] = (new if rows.is_floating_point() else new.round_()).clamp_(low, high)

        in_threads(write, range(0, len(out), step))
        return out

    def _graph(self, classes: Classes, growing: list[Any]) -> Graph:
        builder = GraphBuilder(classes.table)
        for label in growing:
            members = classes.members[label]
            surface = self._surface(classes, label)
            parents, positions = torch.unique(torch.cat((members[:, None], surface), dim=1), return_inverse=True)
            builder.add(label, classes.ranks[label], parents, positions[:, 1:], bases=positions[:, 0])
        graph = builder.graph()
        warn_of_scales(graph.rows)
        return graph

    def _surface(self, classes: Classes, label: Any) -> Tensor:
        """Return the (n, k) rows of the table that can be surface points of the rows of a class."""
        members: Tensor = classes.members[label]
        if self.selection_strategy == "minority":
            return members[self._neighbors_in_class(classes, label, self.k_neighbors)]
        table = classes.searchable(classes.table)
        others = (classes.codes != classes.ranks[label]).nonzero().flatten()
        surface = others[nearest(table[members], table[others], 1, memory_budget=self.memory_budget).indices]
        radii = _distances(table, members, surface)
        if self.selection_strategy == "combined":
            friends = members[self._neighbors_in_class(classes, label, self.k_neighbors)]
            to_friends = _distances(table, members, friends)
            if not to_friends.any():  # already told
                return friends
            surface = torch.where(to_friends > radii, surface, friends)
            radii = torch.minimum(to_friends, radii)
        if not radii.any():
            self._degenerate(
                f"All {len(members)} rows of class {label!r} equal a row of another class, so synthetic rows are "
                'copies. Drop duplicates, or use selection_strategy="minority".'
            )
        return surface


def _unit(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (n, 1) lengths and the directions of rows, 0 for a row of zeros, without overflow on the way."""
    width = rows.abs().amax(1, keepdim=True)
    rows = rows / (width + (width == 0))
    length = rows.norm(dim=1, keepdim=True)
    return width * length, rows.div_(length.clamp(min=1))


def _distances(table: Tensor, members: Tensor, surface: Tensor) -> Tensor:
    """Return the (n, k) distances of ``members`` to their ``surface`` rows, in float64."""
    rows = table[members].double()
    return torch.cat([_unit(table[column].double() - rows)[0] for column in surface.T], dim=1)
