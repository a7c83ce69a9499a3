"""Randomness at the door: a seed or a generator becomes independent streams; no global state is touched."""

from __future__ import annotations

import secrets
from typing import TypeAlias

import torch

from imbalance_torch._checks import check_int

RandomState: TypeAlias = "int | torch.Generator | None"

_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """Mix integers into one 63-bit seed (splitmix64 over the parts): ``mix(seed, epoch)`` and the like.

    Different tuples give independent streams; the result is the same on every platform.

    Example:
        >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
        (True, False)
    """
    state = 0
    for part in parts:
        state = (state + (int(part) & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def seed_from(random_state: RandomState) -> int:
    """Turn a seed, a generator (which advances) or None (fresh entropy) into one integer seed.

    Example:
        >>> seed_from(7)
        7
    """
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, torch.Generator):
        draw = torch.randint(
            torch.iinfo(torch.int64).max, (), generator=random_state, device=random_state.device, dtype=torch.int64
        )
        return int(draw)
    return check_int("random_state", random_state, minimum=0)


def generator_for(*parts: int) -> torch.Generator:
    """Return a CPU generator seeded with ``mix(*parts)``.

    Example:
        >>> torch.rand(2, generator=generator_for(0, 3)).equal(torch.rand(2, generator=generator_for(0, 3)))
        True
    """
    generator = torch.Generator()
    generator.manual_seed(mix(*parts))
    return generator
