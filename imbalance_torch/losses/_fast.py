"""Focal loss and its slope in one pass: the eager fast path, with double backward, forward mode and vmap."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from imbalance_torch.losses._modulator import softmax_rest

CHUNK = 262_144
"""Elements that go through the sigmoid kernel at a time: its scratch memory then stays in the cache of a CPU."""


def is_fast(logits: Tensor, gamma: float | Tensor, *others: Tensor | None) -> bool:
    """Tell whether the kernels apply: eager mode, one gamma > 0, and a gradient for the logits alone."""
    return (
        not torch.compiler.is_compiling()
        and not isinstance(gamma, Tensor)
        and gamma > 0
        and torch.is_grad_enabled()
        and logits.requires_grad
        and not any(other is not None and other.requires_grad for other in others)
    )


def sigmoid_focal(z: Tensor, t: Tensor, a: Tensor | None, b: Tensor | None, gamma: Any) -> Tensor:
    """Return the loss of `SigmoidFocal`; ``gamma`` is a number."""
    return SigmoidFocal.apply(z, t, a, b, gamma)[0]  # type: ignore[no-untyped-call,no-any-return]


def softmax_focal(z: Tensor, index: Tensor, gamma: Any) -> Tensor:
    """Return the loss of `SoftmaxFocal`; ``gamma`` is a number."""
    return SoftmaxFocal.apply(z, index, gamma)[0]  # type: ignore[no-untyped-call,no-any-return]


class SigmoidFocal(Function):
    """a t q^gamma (-log p) + b (1-t) p^gamma (-log q) and its slope; p = sigmoid(z), q = 1 - p, None for a, b = 1.

    With A = a t q^gamma and B = b (1-t) p^gamma the slope is p (B + gamma A log p) - q (A + gamma B log q).
    """

    @staticmethod
    def forward(z: Tensor, t: Tensor, a: Tensor | None, b: Tensor | None, gamma: float) -> tuple[Tensor, Tensor]:
        """Return (loss, slope), each of the shape of ``z``, which a, b and t have too."""
        loss, slope = torch.empty_like(z), torch.empty_like(z)
        if not z.numel():
            return loss, slope
        whole = [None if x is None else x.reshape(-1, *x.shape[1:]) for x in (z, t, loss, slope, a, b)]
        rows = z.shape[0] if z.ndim else 1
        step = max(1, CHUNK * rows // z.numel()) if z.is_cpu else rows
        scratch = z.new_empty(4, min(step, rows), *z.shape[1:])
        for start in range(0, rows, step):
            part: list[Any] = [None if x is None else x[start : start + step] for x in whole]
            _sigmoid_kernel(*part, *scratch[:, : len(part[0])], gamma=gamma)
        return loss, slope

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the slope; everything else that is kept was an input."""
        *tensors, ctx.gamma = inputs
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
        return None if up is None else up * slope, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor | None, *_: Any) -> tuple[Tensor | None, None]:
        """Return the slope times the tangent."""
        (slope,) = ctx.saved_tensors
        return None if tangent is None else slope * tangent, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        """Put the new dimension in front: every element is on its own."""
        *tensors, gamma = inputs
        front = _to_front(tensors, in_dims, info.batch_size)
        return SigmoidFocal.apply(*front, gamma), (0, 0)  # type: ignore[no-untyped-call]


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
            q = softmax_rest(log_p, index).exp()
            _, rate = _loss_and_rate(log_p.gather(1, index), q, ctx.gamma)
            slope = (log_p.exp() * rate).scatter(1, index, -rate * q)
        return None if up is None else up * slope, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor | None, *_: Any) -> tuple[Tensor | None, None]:
        """Return the slope times the tangent, summed over the classes."""
        (slope,) = ctx.saved_tensors
        return None if tangent is None else (slope * tangent).sum(1, keepdim=True), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        """Fold the new dimension into the rows."""
        *tensors, gamma = inputs
        front = [x.flatten(0, 1) for x in _to_front(tensors, in_dims, info.batch_size)]
        loss, slope = SoftmaxFocal.apply(*front, gamma)  # type: ignore[no-untyped-call]
        shape = (info.batch_size, -1)
        return (loss.unflatten(0, shape), slope.unflatten(0, shape)), (0, 0)


def _sigmoid_kernel(
    z: Tensor,
    t: Tensor,
    loss: Tensor,
    slope: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    *scratch: Tensor,
    gamma: float,
) -> None:
    """Fill ``loss`` and ``slope``. -log p = max(-z, 0) - log(1 - min(p, q)) keeps all digits on both sides."""
    p, negative_log_q, positive, negative = scratch
    q = torch.neg(z, out=slope)
    negative_log_p = torch.clamp(q, min=0, out=loss)
    torch.clamp(z, min=0, out=negative_log_q)
    q.sigmoid_()
    torch.sigmoid(z, out=p)
    rest = torch.minimum(p, q, out=positive).neg_().log1p_()
    negative_log_p.sub_(rest)
    negative_log_q.sub_(rest)
    torch.pow(q, gamma, out=positive).mul_(t)
    torch.pow(p, gamma, out=negative).addcmul_(negative, t, value=-1)
    if a is not None:
        positive.mul_(a)
    if b is not None:
        negative.mul_(b)
    of_positive, of_negative = negative_log_p.mul_(positive), negative_log_q.mul_(negative)
    p.mul_(negative.sub_(of_positive, alpha=gamma))
    q.mul_(positive.sub_(of_negative, alpha=gamma))
    torch.sub(p, q, out=slope)
    loss.add_(of_negative)


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
    ctx.save_for_forward(slope)


def _to_front(tensors: list[Any], dims: tuple[int | None, ...], size: int) -> list[Any]:
    return [
        None if x is None else x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(tensors, dims, strict=False)
    ]
