"""The coordinates in which neighbours are searched: centred, scaled, and with a bound on the rounding error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_lock = threading.Lock()
_changed: list[tuple[Any, str]] = []
_searches = 0


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch off gradients, autocast and reduced-precision float32 products; restore them on the way out.

    The precision belongs to the process: of searches that run side by side the first switches and the last restores.
    A setting that is full precision already is left alone.
    """
    global _searches
    with _lock:
        _searches += 1
        if _searches == 1:
            for backend in (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul):  # type: ignore[attr-defined]
                if backend.fp32_precision not in ("ieee", "none"):
                    _changed.append((backend, backend.fp32_precision))
                    backend.fp32_precision = "ieee"
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        with _lock:
            _searches -= 1
            while not _searches and _changed:
                backend, precision = _changed.pop()
                backend.fp32_precision = precision


def _forget() -> None:
    """Start afresh in a forked process, where the searches of the parent do not end."""
    global _lock, _searches
    _lock, _searches = threading.Lock(), 0


os.register_at_fork(after_in_child=_forget)


@dataclass(frozen=True)
class Geometry:
    """The map ``z = (x - centre) * scale`` and the dtype in which candidates are searched.

    The scale is a power of two (exact; times 1/deviation when standardised) that brings the widest column near 1, so
    that squares neither overflow nor vanish. Distances in ``x`` are distances in ``z`` times ``unit``.
    """

    centre: Tensor
    scale: Tensor
    unit: Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, query: Tensor, reference: Tensor, *, standardize: bool) -> Geometry:
        """Choose the geometry; the values of both inputs are checked here, once."""
        ends = zip(query.aminmax(dim=0), reference.aminmax(dim=0), strict=True)
        low, high = (torch.stack(pair).double() for pair in ends)
        centre = reference.mean(0).double().nan_to_num(0.0, 0.0, 0.0).clamp(low[1], high[1])
        spread = torch.maximum(high.amax(0) - centre, centre - low.amin(0))
        _raise_unless_finite(spread)
        deviation = torch.ones_like(centre)
        if standardize:
            spread_or_one = torch.where(spread > 0, spread, 1.0)
            deviation = ((reference - centre) / spread_or_one).std(0, correction=0) * spread_or_one
            deviation = torch.where(high[1] > low[1], deviation, 1.0)
        widest = (spread / deviation).amax()
        unit = torch.exp2(torch.where(widest > 0, widest, 1.0).log2().floor().clamp(-1000, 1000))
        return cls(centre, 1 / (unit * deviation), unit, torch.float32)

    def project(self, rows: Tensor) -> Tensor:
        """Return ``rows`` in search coordinates."""
        return (rows.double() - self.centre).mul_(self.scale).to(self.dtype)

    def squared_distances(self, query: Tensor, candidates: Tensor) -> Tensor:
        """Return (q, m) squared distances by direct differences in float64, of (q, d) to (q, m, d)."""
        return candidates.double().sub_(query.double().unsqueeze(1)).mul_(self.scale).square_().sum(-1)

    def reach(self, query: Tensor, squared_distance: Tensor) -> Tensor:
        """Return the largest value that the expanded form can give for a pair within ``squared_distance``.

        For z-rows q, r with |q - r| <= t: |r| <= |q| + t, and |q|^2 + |r|^2 - 2 q.r over d columns, computed in
        precision eps from rounded coordinates, errs by less than (d + 6) eps (|q|^2 + |r|^2) plus what underflow
        takes; 32 in place of 6 pays for the rounding of the comparison itself.
        """
        limits = torch.finfo(self.dtype)
        norm = query.double().square().sum(1)
        farthest = (norm.sqrt() + squared_distance.sqrt()).square()
        slack = (query.shape[1] + 32) * (limits.eps * (norm + farthest) + limits.tiny)
        return squared_distance + slack


def _raise_unless_finite(spread: Tensor) -> None:
    bad = (~spread.isfinite()).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"`query` and `reference` must be finite, got NaN, infinite or overflowing values in {len(bad)} of "
            f"{len(spread)} columns (the first is column {bad[0]}). Impute or drop them first."
        )
