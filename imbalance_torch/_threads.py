"""Work shared out to threads that each use one core: a busy core then delays one block of it, not every operation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_threads(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Return ``work(part)`` of every part, in order, by as many threads as torch uses for one operation.

    The modes of the caller (inference, gradients off) hold in the threads. The number of threads of torch is the same
    afterwards; while the threads start, it is 1 for a moment in threads that start elsewhere.
    """
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    count = min(threads, len(parts))
    if count <= 1:
        return [work(part) for part in parts]
    started = threading.Barrier(count + 1)

    def start() -> None:
        torch.get_num_threads()  # a thread takes over the number of the process when first asked, so before it is set
        torch.set_num_threads(1)
        started.wait()

    def run(part: Part) -> Result:
        with torch.inference_mode(inference), torch.no_grad(), torch.autocast("cpu", enabled=False):
            return work(part)

    with ThreadPoolExecutor(count) as pool:
        for _ in range(count):
            pool.submit(start)
        started.wait()
        torch.set_num_threads(threads)
        return list(pool.map(run, parts))
