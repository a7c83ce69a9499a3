"""What the loss modules do alike with their arguments: check values once, keep them, show them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number, check_tensor
from imbalance_torch._reduction import Normalizer, check_reduction


class NoPosteriorError(ValueError):
    """A loss has no exact map from its logits to the posterior."""


def refuse_posterior(loss: nn.Module, reason: str) -> NoReturn:
    """Raise a `NoPosteriorError` that says why and what to do instead."""
    raise NoPosteriorError(
        f"{type(loss).__name__} has no exact map from logits to probabilities: {reason}. "
        "Use post-hoc calibration: fit a temperature, Platt or isotonic map on validation rows."
    )


def check_nonnegative(name: str, value: Tensor) -> None:
    """Raise unless every entry is finite and >= 0: a look at the values, for constructors only."""
    if not bool((torch.isfinite(check_tensor(name, value)) & (value >= 0)).all()):
        raise ValueError(f"`{name}` must be finite and >= 0, got {name}={value.tolist()}.")


def check_gamma(gamma: float | Tensor) -> None:
    """Raise unless ``gamma`` is a number >= 0 or a tensor."""
    if not isinstance(gamma, Tensor):
        check_number("gamma", gamma, minimum=0)


def check_options(
    named: Iterable[str], label_smoothing: float, ignore_index: int | None, reduction: str, normalizer: Normalizer
) -> None:
    """Raise unless the options that every loss has are of the right kind and range; ``named`` are its normalizers."""
    check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
    if ignore_index is not None:
        check_int("ignore_index", ignore_index)
    check_reduction(reduction, normalizer, named)


def keep(module: nn.Module, **values: Any) -> None:
    """Set each value on the module: tensors (and None) as non-persistent buffers, the rest as attributes."""
    for name, value in values.items():
        if value is None or isinstance(value, Tensor):
            module.register_buffer(name, None if value is None else value.detach().clone(), persistent=False)
        else:
            setattr(module, name, value)


def describe(module: nn.Module) -> str:
    """List every constructor argument with its value, long tensors by their shape."""
    return ", ".join(f"{name}={_show(getattr(module, name))}" for name in inspect.signature(type(module)).parameters)


def _show(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    if value.numel() > 10 or value.is_meta:
        return f"tensor(shape={tuple(value.shape)})"
    return str(value.cpu().to(torch.float64).numpy().round(6).tolist())
