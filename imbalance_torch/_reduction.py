"""The one place where a loss is masked, weighted and reduced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from imbalance_torch._checks import check_choice, check_number

Normalizer: TypeAlias = "str | float | Tensor"

_HALF = (torch.float16, torch.bfloat16)


def widen(tensor: Tensor) -> Tensor:
    """Return half-precision input in float32 and everything else as it is."""
    return tensor.float() if tensor.dtype in _HALF else tensor


def check_reduction(reduction: str, normalizer: Normalizer, named: Iterable[str]) -> None:
    """Raise unless ``reduction`` is known and ``normalizer`` is one of ``named``, a number > 0 or a 0-d tensor."""
    check_choice("reduction", reduction, ("none", "mean", "sum"))
    if isinstance(normalizer, str):
        check_choice("normalizer", normalizer, named)
    elif not isinstance(normalizer, Tensor):
        check_number("normalizer", normalizer, exclusive_minimum=0)
    elif normalizer.ndim:
        raise ValueError(f"`normalizer` must be a 0-d tensor, got normalizer.shape={tuple(normalizer.shape)}.")


def reduce_loss(
    loss: Tensor,
    *,
    dtype: torch.dtype,
    valid: Tensor | None,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    positives: Tensor | None,
    reduction: str,
    normalizer: Normalizer,
    sync: bool,
) -> Tensor:
    """Mask the unreduced ``loss``, weight it by sample and reduce it.

    ``mean`` is ``sum_i s_i loss_i / d`` with s = ``sample_weight`` and d the normalizer: ``"weight"`` the sum of
    ``weight`` times s, ``"count"`` the number of valid elements, ``"positives"`` the sum of ``positives`` (at least 1),
    or a given number. A sum of zero counts as one, so that a batch without valid elements gives 0.

    Args:
        loss: Float tensor; class weights are already multiplied in.
        dtype: Kind returned for ``reduction="none"``; ``mean`` and ``sum`` keep the kind of ``loss``.
        valid: Bool tensor of the shape of ``loss``, or None when every element counts.
        weight: Weights that broadcast to ``loss`` and enter the denominator only, or None for ones.
        sample_weight: Weights of the leading dimensions of ``loss``, or None.
        positives: Targets of the shape of ``loss``, zero where invalid; None outside the sigmoid family.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: A name, a number > 0 or a 0-d tensor.
        sync: Whether ``mean`` with a named normalizer sums the detached denominator over the ranks, so that the mean
            over ranks of the result equals one process on the joined batch. Without process group: nothing.

    Returns:
        The loss: of the shape of ``loss``, or 0-d.
    """
    if sample_weight is not None:
        scale = _leading(sample_weight.to(loss.dtype), loss)
        scale = scale if valid is None else torch.where(valid, scale, 0.0)
        loss = loss * scale
        weight = scale if weight is None else weight * scale
    if valid is not None:
        loss = torch.where(valid, loss, 0.0)
    if reduction == "none":
        return loss.to(dtype)
    total = loss.sum()
    if reduction == "sum":
        return total
    return divide(total, loss.shape, valid, weight, positives, normalizer, sync)


def divide(
    total: Tensor,
    shape: torch.Size,
    valid: Tensor | None,
    weight: Tensor | None,
    positives: Tensor | None,
    normalizer: Normalizer,
    sync: bool,
) -> Tensor:
    """Return the mean: the sum of a loss of this ``shape`` over what ``normalizer`` names, see `reduce_loss`."""
    if isinstance(normalizer, Tensor):
        return total / normalizer.to(total.dtype)
    if not isinstance(normalizer, str):
        return total / normalizer
    by_weight = normalizer == "weight" and weight is not None
    if valid is None and not sync and not by_weight and normalizer != "positives":
        return total / max(shape.numel(), 1)
    denominator = _denominator(total, shape, valid, weight if by_weight else None, positives, normalizer)
    if sync and dist.is_available() and dist.is_initialized():
        denominator = denominator.detach().clone()
        dist.all_reduce(denominator)
        total = total * dist.get_world_size()
    if normalizer == "positives":
        return total / denominator.clamp(min=1.0)
    return total / torch.where(denominator == 0, 1.0, denominator)


def _leading(sample_weight: Tensor, loss: Tensor) -> Tensor:
    if sample_weight.shape != loss.shape[: sample_weight.ndim]:
        raise ValueError(
            f"`sample_weight` must have the leading dimensions of the unreduced loss, {tuple(loss.shape)}, "
            f"got sample_weight.shape={tuple(sample_weight.shape)}."
        )
    return sample_weight.reshape(sample_weight.shape + (1,) * (loss.ndim - sample_weight.ndim))


def _denominator(
    total: Tensor,
    shape: torch.Size,
    valid: Tensor | None,
    weight: Tensor | None,
    positives: Tensor | None,
    normalizer: str,
) -> Tensor:
    if normalizer == "positives" and positives is not None:
        return positives.sum()
    if weight is not None:
        weight = weight.expand(shape)
        return (weight if valid is None else torch.where(valid, weight, 0.0)).sum()
    if valid is None:
        return torch.full((), shape.numel(), dtype=total.dtype, device=total.device)
    return valid.sum().to(total.dtype)
