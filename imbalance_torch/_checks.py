"""Every raise helper: checks of metadata (shape, kind, range, device) that cost no device synchronisation."""

from __future__ import annotations

import difflib
import importlib
import math
import sys
import warnings
from collections.abc import Iterable, Sized
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package, or raise an ImportError that carries the pip line."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs the package `{module.partition('.')[0]}`: pip install 'imbalance-torch[{extra}]'"
        ) from error


def warn(message: str) -> None:
    """Issue a UserWarning that points to the line outside this package that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "imbalance_torch":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
) -> float:
    """Return ``value`` as it is when it is a finite number in the range; bool is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"`{name}` must be a number, got {name}={value!r}.")
    if not -math.inf < value < math.inf:
        raise ValueError(f"`{name}` must be finite, got {name}={value!r}.")
    if minimum is not None and value < minimum:
        raise ValueError(f"`{name}` must be >= {minimum}, got {name}={value!r}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be <= {maximum}, got {name}={value!r}.")
    if exclusive_minimum is not None and value <= exclusive_minimum:
        raise ValueError(f"`{name}` must be > {exclusive_minimum}, got {name}={value!r}.")
    return value


def check_int(name: str, value: Any, *, minimum: int | None = None) -> int:
    """Return ``value`` when it is an integer (bool is not one) of at least ``minimum``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"`{name}` must be an integer, got {name}={value!r}.")
    number = int(value.__index__())
    if minimum is not None and number < minimum:
        raise ValueError(f"`{name}` must be >= {minimum}, got {name}={number!r}.")
    return number


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return ``value`` when it is one of ``choices``; otherwise list them, the nearest first."""
    allowed = list(choices)
    if isinstance(value, str) and value in allowed:
        return value
    near = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {name}={value!r}.{hint}")


def check_tensor(name: str, value: Any) -> Tensor:
    """Return ``value`` when it is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"`{name}` must be a torch.Tensor, got {type(value).__name__}.")
    return value


def check_floating(name: str, value: Any) -> Tensor:
    """Return ``value`` when it is a floating-point tensor."""
    if not check_tensor(name, value).is_floating_point():
        raise TypeError(f"`{name}` must be a floating-point tensor, got {name}.dtype={value.dtype}.")
    return value  # type: ignore[no-any-return]


def check_device(device: Any) -> torch.device:
    """Return the device that "auto", "cpu" or "cuda" names here; "auto" is CUDA where there is any."""
    name = check_choice("device", device, ("auto", "cpu", "cuda"))
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError(f"There is no CUDA device for torch {torch.__version__}. Use the device 'cpu'.")
    return torch.device("cpu" if name == "cpu" or not available else "cuda")


def check_same_device(**tensors: Tensor | None) -> None:
    """Raise when two of the named tensors lie on different devices."""
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if len({tensor.device for tensor in present.values()}) > 1:
        where = ", ".join(f"`{name}` on {tensor.device}" for name, tensor in present.items())
        raise ValueError(f"All tensors must be on one device, got {where}. Move them with `.to(device)`.")


def check_same_length(**sized: Sized | None) -> None:
    """Raise when two of the named collections differ in length."""
    lengths = {name: len(value) for name, value in sized.items() if value is not None}
    if len(set(lengths.values())) > 1:
        what = ", ".join(f"len({name})={length}" for name, length in lengths.items())
        raise ValueError(f"Expected the same number of rows, got {what}.")


def check_class_vector(name: str, value: Any, num_classes: int | None = None) -> Tensor:
    """Return ``value`` when it is a 1-D tensor with one entry per class."""
    if check_tensor(name, value).ndim != 1:
        raise ValueError(f"`{name}` must have shape (C,), got {name}.shape={tuple(value.shape)}.")
    if num_classes is not None and value.shape[0] != num_classes:
        raise ValueError(f"`{name}` must have one entry for each of the {num_classes} classes, got {value.shape[0]}.")
    return value  # type: ignore[no-any-return]


def check_generator(name: str, value: Any) -> torch.Generator | None:
    """Return ``value`` when it is a torch.Generator or None."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(f"`{name}` must be a torch.Generator or None, got {type(value).__name__}.")
    return value
