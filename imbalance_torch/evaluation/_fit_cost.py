"""What a fit costs: seconds, and the peak memory of the process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Cost:
    """Seconds, and the most MiB that the process held while they ran, all its data included."""

    seconds: float = 0.0
    peak_memory_mib: float = 0.0


@contextmanager
def measured_cost() -> Iterator[Cost]:
    """Measure the block; the fields are set when it ends.

    With a CUDA device the peak is that of its allocator. Elsewhere it is the resident memory: since the block began on
    Linux, since the process began on other systems.
    """
    cost = Cost()
    _forget_the_peak()
    start = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - start
    cost.peak_memory_mib = _peak() / 2**20


def _forget_the_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    with suppress(OSError):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # no such module on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
