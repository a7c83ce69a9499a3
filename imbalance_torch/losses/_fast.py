"""Focal loss and its slope in one pass, eager and compiled, with double backward and vmap."""

from __future__ import annotations

import inspect
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.nn import functional as F

from imbalance_torch.losses._modulator import softmax_rest

CHUNK = 500_000
"""Elements that go through the sigmoid kernel at a time: few starts of threads, scratch memory that fits a cache."""


def is_fast(logits: Tensor, gamma: float | Tensor, *others: Tensor | None) -> bool:
    """Tell whether the kernels apply: plain tensors, one gamma > 0, and a reverse gradient for the logits alone."""
    return (
        type(logits) is Tensor
        and forward_ad._current_level < 0
        and not isinstance(gamma, Tensor)
        and gamma > 0
        and torch.is_grad_enabled()
        and logits.requires_grad
        and not any(other is not None and other.requires_grad for other in others)
    )


def sigmoid_focal(z: Tensor, t: Tensor, a: Tensor | None, b: Tensor | None, gamma: Any, summed: bool) -> Tensor:
    """Return the loss of `SigmoidFocal`; ``gamma`` is a number."""
    if torch.compiler.is_compiling():
        loss: Tensor = TracedSigmoidFocal.apply(z, t, a, b, gamma)[0]  # type: ignore[no-untyped-call]
        return loss.sum() if summed else loss
    return SigmoidFocal.apply(z, t, a, b, gamma, summed)[0]  # type: ignore[no-untyped-call,no-any-return]


def softmax_focal(z: Tensor, index: Tensor, gamma: Any) -> Tensor:
    """Return the loss of `SoftmaxFocal`; ``gamma`` is a number.

    Under torch.compile one pass over the classes has to do: 1 - p comes from log p, whose rounding is that of
    cross-entropy.
    """
    if torch.compiler.is_compiling():
        loss: Tensor = -F.log_softmax(z, 1).gather(1, index)
        return (-torch.expm1(-loss)).clamp(min=torch.finfo(z.dtype).tiny) ** gamma * loss  # type: ignore[no-any-return]
    return SoftmaxFocal.apply(z, index, gamma)[0]  # type: ignore[no-untyped-call,no-any-return]


class TracedSigmoidFocal(Function):
    """The loss of `SigmoidFocal` for torch.compile, which takes no double backward."""

    @staticmethod
    def forward(z: Tensor, t: Tensor, a: Tensor | None, b: Tensor | None, gamma: float) -> tuple[Tensor, Tensor]:
        """Return loss and slope by plain operations, one exponential and one logarithm, for the compiler to fuse."""
        size = z.abs()
        small = torch.exp(-size)
        rest, large = torch.log1p(small), 1.0 / (1.0 + small)
        small = small * large
        p, q = torch.where(z < 0, small, large), torch.where(z < 0, large, small)
        positive = t * q**gamma if a is None else a * t * q**gamma
        negative = (1.0 - t) * p**gamma if b is None else b * (1.0 - t) * p**gamma
        of_positive, of_negative = positive * (rest + (size - z) / 2), negative * (rest + (size + z) / 2)
        slope = p * (negative - gamma * of_positive) - q * (positive - gamma * of_negative)
        return of_positive + of_negative, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the slope."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, up: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return up times the slope."""
        (slope,) = ctx.saved_tensors
        return up * slope, None, None, None, None


class SigmoidFocal(Function):
    """a t q^gamma (-log p) + b (1-t) p^gamma (-log q) and its slope; p = sigmoid(z), q = 1 - p, None for a, b = 1.

    ``summed`` gives the sum of the loss, which then never leaves the scratch memory.
    With A = a t q^gamma and B = b (1-t) p^gamma the slope is p (B + gamma A log p) - q (A + gamma B log q).
    """

    @staticmethod
    def forward(
        z: Tensor, t: Tensor, a: Tensor | None, b: Tensor | None, gamma: float, summed: bool
    ) -> tuple[Tensor, Tensor]:
        """Return loss and slope, each of the shape of ``z``, which a, b and t have too; a summed loss is 0-d."""
        slope = torch.empty_like(z)
        if z.numel() <= CHUNK or not z.is_cpu:
            loss = _sigmoid_kernel(z, t, slope, a, b, None, None, None, gamma=gamma)
            return (loss.sum() if summed else loss), slope
        loss = z.new_zeros(()) if summed else torch.empty_like(z)
        whole: list[Any] = [z, t, slope, a, b, None if summed else loss]
        if all(x is None or x.is_contiguous() for x in whole):
            whole = [None if x is None else x.view(-1) for x in whole]
        step = max(1, CHUNK * len(whole[0]) // z.numel())
        scratch = z.new_empty(3, step, *whole[0].shape[1:]).unbind()
        for *part, values in zip(*(repeat(None) if x is None else x.split(step) for x in whole), strict=False):
            own, *others = (memory[: len(part[0])] for memory in scratch)
            values = _sigmoid_kernel(*part, own if summed else values, *others, gamma=gamma)
            if summed:
                loss += values.sum()
        return loss, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the slope; everything else that is kept was an input."""
        *tensors, ctx.gamma, _ = inputs
        _keep_slope(ctx, output[1], *tensors)

    @staticmethod
    def backward(ctx: Any, up: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return up times the slope; where a graph is wanted, of the slope in differentiable form."""
        z, t, a, b, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)
            positive = (t if a is None else a * t) * (ctx.gamma * log_q).exp()
            negative = (1.0 - t if b is None else b * (1.0 - t)) * (ctx.gamma * log_p).exp()
            slope = log_p.exp() * (negative + ctx.gamma * positive * log_p)
            slope = slope - log_q.exp() * (positive + ctx.gamma * negative * log_q)
        return None if up is None else up * slope, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        """Put the new dimension in front: every element is on its own."""
        *tensors, gamma, summed = inputs
        front = _to_front(tensors, in_dims, info.batch_size)
        loss, slope = SigmoidFocal.apply(*front, gamma, False)  # type: ignore[no-untyped-call]
        return (loss.flatten(1).sum(1) if summed else loss, slope), (0, 0)


class SoftmaxFocal(Function):
    """q^gamma (-log p) and its slope along the classes; p = softmax(z) at ``index`` (N, 1, *), q = 1 - p.

    With r = q^gamma (1 + gamma p (-log p) / q) the slope is r p_j for the other classes and -r q at ``index``.
    """

    @staticmethod
    def forward(z: Tensor, index: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        """Return the loss of the shape of ``index`` and the slope of the shape of ``z``."""
        slope = torch.log_softmax(z, 1)
        log_p = slope.gather(1, index)
        others = slope.exp_().scatter_(1, index, 0.0)
        q = others.sum(1, keepdim=True)
        loss, rate = _loss_and_rate(log_p, q, gamma)
        others.mul_(rate).scatter_(1, index, -rate * q)
        return loss, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the slope; everything else that is kept was an input."""
        *tensors, ctx.gamma = inputs
        _keep_slope(ctx, output[1], *tensors)

    @staticmethod
    def backward(ctx: Any, up: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return up times the slope; where a graph is wanted, of the slope in differentiable form."""
        z, index, slope = ctx.saved_tensors
        if torch.is_grad_enabled():
            log_p = F.log_softmax(z, 1)
            q = softmax_rest(log_p, index).exp().clamp(min=torch.finfo(z.dtype).tiny ** 0.5)  # l / q has q^2 below
            _, rate = _loss_and_rate(log_p.gather(1, index), q, ctx.gamma)
            slope = (log_p.exp() * rate).scatter(1, index, -rate * q)
        return None if up is None else up * slope, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        """Fold the new dimension into the rows."""
        *tensors, gamma = inputs
        front = [x.flatten(0, 1) for x in _to_front(tensors, in_dims, info.batch_size)]
        loss, slope = SoftmaxFocal.apply(*front, gamma)  # type: ignore[no-untyped-call]
        shape = (info.batch_size, -1)
        return (loss.unflatten(0, shape), slope.unflatten(0, shape)), (0, 0)


# `apply` asks for the signature at every call: kept, it costs nothing.
_kept: Any
for _kept in (SigmoidFocal.forward, SoftmaxFocal.forward):
    _kept.__signature__ = inspect.signature(_kept)


def _sigmoid_kernel(
    z: Tensor,
    t: Tensor,
    slope: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    *memory: Tensor | None,
    gamma: float,
) -> Tensor:
    """Fill ``slope`` and return the loss, which fills the first ``memory``; None for memory allocates it.

    Where all targets are 0 or 1, the sum of |t (1 - t)| is 0 and one of the two terms is enough. On the CPU a look at
    the sum waits for nothing.
    """
    if z.is_cpu and not torch.addcmul(t, t, t, value=-1, out=memory[0]).abs_().sum():
        return _hard_kernel(z, t, slope, a, b, *memory, gamma=gamma)
    return _soft_kernel(z, t, slope, a, b, *memory, gamma=gamma)


def _hard_kernel(
    z: Tensor, t: Tensor, slope: Tensor, a: Tensor | None, b: Tensor | None, *memory: Tensor | None, gamma: float
) -> Tensor:
    """With w = (1 - 2t) z and q = sigmoid(w): q^gamma l, l = max(w, 0) - log(1 - min(q, 1 - q))."""
    loss, first, second = memory
    one = z.new_ones(())
    w = torch.addcmul(z, t, z, value=-2, out=first)  # in this order 0 * z stays finite
    q = torch.sigmoid(w, out=slope)
    p = torch.sub(one, q, out=second)
    rest = torch.minimum(p, q, out=loss).neg_().log1p_()
    log_loss = w.clamp_(min=0).sub_(rest)
    modulator = torch.pow(q, gamma, out=loss)
    q.addcmul_(p, log_loss, value=gamma).mul_(modulator)
    q.addcmul_(q, t, value=-2)
    loss = modulator.mul_(log_loss)
    if a is not None or b is not None:
        ones = one.expand_as(z)
        factor = torch.lerp(ones if b is None else b, ones if a is None else a, t, out=second)
        loss.mul_(factor)
        q.mul_(factor)
    return loss


def _soft_kernel(
    z: Tensor, t: Tensor, slope: Tensor, a: Tensor | None, b: Tensor | None, *memory: Tensor | None, gamma: float
) -> Tensor:
    """With A = a t q^gamma and B = b (1-t) p^gamma: A (-log p) + B (-log q).

    -log p = max(-z, 0) - log(1 - min(p, q)) keeps all digits on both sides.
    """
    loss, first, second = memory
    q = torch.neg(z, out=slope)
    negative_log_p = torch.clamp(q, min=0, out=loss)
    negative_log_q = torch.clamp(z, min=0, out=first)
    q.sigmoid_()
    p = torch.sigmoid(z, out=second)
    positive = torch.minimum(p, q).neg_().log1p_()
    negative_log_p.sub_(positive)
    negative_log_q.sub_(positive)
    torch.pow(q, gamma, out=positive).mul_(t)
    negative = torch.pow(p, gamma)
    negative.addcmul_(negative, t, value=-1)
    if a is not None:
        positive.mul_(a)
    if b is not None:
        negative.mul_(b)
    of_positive, of_negative = negative_log_p.mul_(positive), negative_log_q.mul_(negative)
    p.mul_(negative.sub_(of_positive, alpha=gamma))
    q.mul_(positive.sub_(of_negative, alpha=gamma))
    torch.sub(p, q, out=slope)
    return of_positive.add_(of_negative)


def _loss_and_rate(log_p: Tensor, q: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return q^gamma l and q^gamma (1 + gamma p l / q) with l = -log p, where l / q tends to 1 for q -> 0."""
    q = q.clamp(min=torch.finfo(q.dtype).tiny)
    loss = torch.where(q < 0.5, -torch.log1p(-q.clamp(max=0.5)), -log_p)
    modulator = q**gamma
    return modulator * loss, modulator * (1.0 + gamma * log_p.exp() * loss / q)


def _keep_slope(ctx: Any, slope: Tensor, *inputs: Tensor | None) -> None:
    ctx.mark_non_differentiable(slope)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs, slope)


def _to_front(tensors: list[Any], dims: tuple[int | None, ...], size: int) -> list[Any]:
    return [
        None if x is None else x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(tensors, dims, strict=False)
    ]
