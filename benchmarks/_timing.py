"""What the benchmarks share: alternating timing, memory kept by autograd, foreign CPU share, the machine, tables."""

import importlib.metadata
import os
import platform
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor


def alternate(
    steps: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    before: Callable[[], object],
    sync: Callable[[], object],
) -> dict[str, list[float]]:
    """Time every step once a round, in an order that changes by the round.

    Args:
        steps: What to time, by name. Warm them up first.
        rounds: Times per step.
        before: Runs in front of every step, outside the clock.
        sync: Waits for the device.

    Returns:
        Seconds by name, one per round, so that ratios can be taken within a round.
    """
    order, shuffle = list(steps), random.Random(0).shuffle
    seconds: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            before()
            sync()
            start = time.perf_counter()
            steps[name]()
            sync()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def kept_bytes(forward: Callable[[], Tensor], inputs: Iterable[Tensor]) -> int:
    """Return the bytes of the storages that autograd saves for the backward pass, less those of the inputs."""
    known = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    saved: dict[int, Tensor] = {}  # holding them keeps their addresses from being used again

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in known)


class ForeignCPU:
    """Share of all CPUs that other processes use from here on: /proc/stat less this process; None without it."""

    def __init__(self) -> None:
        self._busy, self._own, self._start = _busy_seconds(), time.process_time(), time.perf_counter()

    def share(self) -> float | None:
        """Return the share since the start, in [0, 1]."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        foreign = busy - self._busy - (time.process_time() - self._own)
        return max(0.0, foreign / ((time.perf_counter() - self._start) * (os.cpu_count() or 1)))


def machine(device: torch.device, packages: Iterable[str]) -> dict[str, object]:
    """Describe what the figures were measured on, with the version of each installed package (None if missing)."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "packages": {name: _version(name) for name in packages},
    }


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text, the first column to the left and the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for first, *others in lines:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def print_titled(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> None:
    """Print a table under a title, as text or as Markdown."""
    if not markdown:
        print(f"\n{title}\n")
        print_table(header, rows)
        return
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]
    print(re.sub(r"(?<=\d)_(?=\d)", ",", "\n".join(["", f"**{title}**", "", *lines])))


def digits(value: float) -> str:
    """Return two decimals, fewer from ten on."""
    return f"{value:_.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def status(field: str) -> int:
    """Return a size in bytes from the status of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def _busy_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, *rest = map(int, fields[:8])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
