"""One door to exact k nearest neighbours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from imbalance_torch._checks import check_floating, check_int, check_same_device, warn
from imbalance_torch.neighbors._geometry import Geometry, full_precision
from imbalance_torch.neighbors._search import Search

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Neighbors(NamedTuple):
    """Distances and reference rows of the nearest neighbours, in the order of ``torch.topk``: both (Q, k)."""

    distances: Tensor
    indices: Tensor


def knn(
    query: Tensor,
    reference: Tensor,
    k: int,
    *,
    exclude_self: bool = False,
    standardize: bool = False,
    memory_budget: int | Literal["auto"] = "auto",
    process_group: ProcessGroup | None = None,
) -> Neighbors:
    r"""Find the exact ``k`` nearest rows of ``reference`` for every row of ``query``.

    .. math:: d(q, r) = \sqrt{\sum_j ((q_j - r_j) / \sigma_j)^2}

    with q a row of ``query``, r a row of ``reference``, :math:`\sigma_j = 1`, or the standard deviation (divisor N) of
    column j of ``reference`` with ``standardize=True`` (1 for a constant column).

    Args:
        query: (Q, d) floating-point rows, finite.
        reference: (R, d) rows of the same dtype and device.
        k: Neighbours per row, 1 <= k <= R (R - 1 with ``exclude_self``).
        exclude_self: Leave reference row i out for query i; both need the same number of rows.
        standardize: Divide every column by its standard deviation first; distances are then in those units.
        memory_budget: Bytes of working memory beyond inputs and result; ``"auto"`` is 128 MB on CPU, for many
            rows searched among themselves a copy of them on top, and a quarter of the free memory on CUDA. The result
            does not depend on it. ``standardize`` takes one float64 copy of ``reference`` on top.
        process_group: Ranks that share the query rows, all of which pass equal ``query`` and ``reference``; every
            rank gets the whole result. None works locally and calls no collective.

    Returns:
        ``Neighbors(distances, indices)``: both (Q, k) on the device of the input; distances ascending, in the input's
        dtype (float32 for float16 and bfloat16); indices int64 rows of ``reference``; equal distances by index.

    Raises:
        TypeError: If an argument is of the wrong kind, or an input is not floating-point.
        ValueError: If shapes or devices differ, a value is NaN or infinite, or ``k`` exceeds the rows there are.

    Warns:
        UserWarning: If one column of ``reference`` is more than 1000 times as wide (standard deviation) as another and
            ``standardize`` is off: distances then ignore the narrow ones.

    Notes:
        Exact by certificate: rows are centred, candidates come from full-precision matrix products (TF32, bf16
        products and autocast are switched off meanwhile and restored; the switch is process-wide), and are ranked by
        differences accumulated in float64. A bound on the rounding error proves that no other row is as near; rows
        where it does not (differences far below the spread, many equal distances, columns of very unequal width) are
        searched again in float64, then with more candidates, at most all. Time O(Q R d); no gradient flows. On CUDA a
        few synchronisations per pass.

        On the CPU blocks of rows are shared out to threads that use one core each, as many as
        ``torch.get_num_threads()``. Up to 6 columns (10 for up to 1000 rows) candidates come from a k-d tree where
        scipy is installed, about O(Q log R); up to 15 columns from whichever is faster on 128 rows. A tree takes R (8
        d + 64) bytes, which ``"auto"`` does not count; a stated budget that does not hold it rules it out.

    Example:
        >>> points = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
        >>> knn(points, points, 2, exclude_self=True).indices
        tensor([[1, 2],
                [0, 2],
                [1, 0],
                [2, 1]])
        >>> knn(torch.tensor([[2.5]]), points, 2).distances
        tensor([[0.5000, 1.5000]])
    """
    found = nearest(
        query,
        reference,
        k,
        exclude_self=exclude_self,
        standardize=standardize,
        memory_budget=memory_budget,
        process_group=process_group,
    )
    if not standardize:
        warn_of_scales("reference", reference)
    return found


def nearest(
    query: Tensor,
    reference: Tensor,
    k: int,
    *,
    exclude_self: bool = False,
    standardize: bool = False,
    memory_budget: int | Literal["auto"] = "auto",
    process_group: ProcessGroup | None = None,
) -> Neighbors:
    """Do what ``knn`` does without a warning, for callers that search several parts of one table."""
    query, reference = check_floating("query", query).detach(), check_floating("reference", reference).detach()
    check_same_device(query=query, reference=reference)
    if query.dtype != reference.dtype:
        raise TypeError(f"`query` and `reference` must share a dtype, got {query.dtype} and {reference.dtype}.")
    if query.ndim != 2 or reference.ndim != 2 or query.shape[1] != reference.shape[1] or query.shape[1] == 0:
        raise ValueError(
            "`query` and `reference` must have shapes (Q, d) and (R, d) with d >= 1, "
            f"got {tuple(query.shape)} and {tuple(reference.shape)}."
        )
    if exclude_self and len(query) != len(reference):
        raise ValueError(
            f"`exclude_self` pairs row i with row i, got {len(query)} query and {len(reference)} reference rows."
        )
    available = len(reference) - exclude_self
    if check_int("k", k, minimum=1) > available:
        raise ValueError(
            f"`k` must be <= the {max(available, 0)} rows to choose from, got k={k} with {len(reference)} reference "
            f"rows and exclude_self={exclude_self}. Lower `k` or pass more rows."
        )
    budget = None if memory_budget == "auto" else check_int("memory_budget", memory_budget, minimum=1)
    first, last, share = 0, len(query), len(query)
    if process_group is not None:
        _check_same_rows(process_group, query, reference)
        share = math.ceil(len(query) / process_group.size())
        first = min(process_group.rank() * share, len(query))
        last = min(first + share, len(query))
    result_dtype = torch.float64 if reference.dtype == torch.float64 else torch.float32
    if len(query) == 0:
        return Neighbors(query.new_empty((0, k), dtype=result_dtype), query.new_empty((0, k), dtype=torch.int64))
    with full_precision(query.device):
        geometry = Geometry.of(query, reference, standardize=standardize)
        masked = torch.arange(first, last, device=query.device) if exclude_self else None
        squared, indices = Search(query[first:last], reference, masked, geometry, budget).nearest(int(k))
        distances = squared.sqrt_().mul_(geometry.unit).to(result_dtype)
    if process_group is not None:
        distances = _gathered(process_group, distances, share)[: len(query)]
        indices = _gathered(process_group, indices, share)[: len(query)]
    return Neighbors(distances, indices)


def warn_of_scales(name: str, rows: Tensor) -> None:
    """Warn when the columns that distances are measured in differ in width by more than 1000."""
    if len(rows) < 2:
        return
    width = rows.detach().to(torch.promote_types(rows.dtype, torch.float32)).std(0)
    width = torch.where(width > 0, width, torch.nan)
    wide, narrow = width.nan_to_num(-torch.inf).argmax(), width.nan_to_num(torch.inf).argmin()
    factor = float(width[wide] / width[narrow])
    if factor > 1e3:
        warn(
            f"Column {int(wide)} of `{name}` is {factor:.2g} times as wide as column {int(narrow)}: neighbours depend "
            f"on the wide columns alone. Standardise `{name}` first."
        )


def _gathered(group: ProcessGroup, rows: Tensor, share: int) -> Tensor:
    """Join the rows of all ranks, each padded to ``share`` rows; only the last ones can be short."""
    padded = rows.new_zeros((share, rows.shape[1]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(group.size())]
    dist.all_gather(parts, padded, group=group)
    return torch.cat(parts)


def _check_same_rows(group: ProcessGroup, query: Tensor, reference: Tensor) -> None:
    """Raise on every rank when shapes or bits differ between ranks."""
    print_ = torch.tensor([*query.shape, *reference.shape, _fingerprint(query), _fingerprint(reference)])
    prints = [torch.empty_like(print_, device=query.device) for _ in range(group.size())]
    dist.all_gather(prints, print_.to(query.device), group=group)
    if any(not other.equal(prints[0]) for other in prints):
        raise ValueError("All ranks of `process_group` must pass the same `query` and `reference` rows; they differ.")


def _fingerprint(rows: Tensor) -> int:
    """Return a position-dependent sum of the bits, exact in wrapping int64 arithmetic."""
    kinds = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = rows.contiguous().view(kinds[rows.element_size()])
    by_row = bits.sum(1, dtype=torch.int64) * torch.arange(1, len(rows) + 1, device=rows.device)
    by_column = bits.sum(0, dtype=torch.int64) * torch.arange(1, rows.shape[1] + 1, device=rows.device)
    return int(by_row.sum() * 31 + by_column.sum())
