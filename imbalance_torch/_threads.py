"""Work shared out to threads that each use one core: a busy core then delays one block of it, not every operation."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def in_threads(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Return ``work(part)`` of every part, in order, by as many threads as torch uses for one operation.

    The modes of the caller (inference, gradients off) hold in the threads, which stay for the next call. The number of
    threads of torch is the same afterwards. Threads of others that start in the moment in which these do keep one core.
    """
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    if min(threads, len(parts)) <= 1:
        return [work(part) for part in parts]

    def run(part: Part) -> Result:
        with torch.inference_mode(inference), torch.no_grad(), torch.autocast("cpu", enabled=False):
            return work(part)

    try:
        results = _pool(threads).map(run, parts)
    except RuntimeError:  # no thread can start any more, as while the interpreter ends
        return [work(part) for part in parts]
    return list(results)


def _pool(count: int) -> ThreadPoolExecutor:
    with _lock:
        if count not in _pools:
            started = threading.Barrier(count + 1)

            def start() -> None:
                torch.get_num_threads()  # a thread takes over the number of the process when first asked, so before
                torch.set_num_threads(1)
                started.wait()

            pool = ThreadPoolExecutor(count, thread_name_prefix="imbalance_torch")
            try:
                for _ in range(count):
                    pool.submit(start)
                started.wait()
            finally:
                started.abort()
                torch.set_num_threads(count)
            _pools[count] = pool
        return _pools[count]


def _forget() -> None:
    """Start without threads in a forked process, where those of the parent do not exist."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_forget)
