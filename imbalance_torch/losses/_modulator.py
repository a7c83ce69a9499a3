"""The focal term and its inverse link, in log space: finite at any logit and any gamma >= 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def log_sigmoids(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p and log(1 - p), p = sigmoid. Compiled code, which has no double backward, shares one logarithm."""
    if not torch.compiler.is_compiling():
        return F.logsigmoid(logits), F.logsigmoid(-logits)
    size = logits.abs()
    rest = torch.log1p(torch.exp(-size))
    return (logits - size) / 2 - rest, -(logits + size) / 2 - rest


def focal_term(log_p: Tensor, log_q: Tensor, gamma: float | Tensor) -> Tensor:
    """Return q^gamma (-log p) with q = 1 - p, from log p and log q."""
    if not isinstance(gamma, Tensor) and gamma == 0:
        return -log_p
    return torch.exp(gamma * log_q) * -log_p


def log_focal_slope(log_p: Tensor, log_q: Tensor, gamma: float | Tensor) -> Tensor:
    """Return log phi(p), phi(p) = -d/dp (1-p)^gamma (-log p) = (1-p)^gamma/p - gamma (1-p)^(gamma-1) log p.

    With l = -log p and u = log q: gamma u + logaddexp(l, log gamma + log(l / q)), where l / q tends to 1 for q -> 0.
    """
    q = log_q.exp().clamp(min=torch.finfo(log_q.dtype).tiny)
    loss = torch.where(q < 0.5, -torch.log1p(-q), -log_p)
    log_gamma = torch.as_tensor(gamma, dtype=log_p.dtype, device=log_p.device).log()
    return gamma * log_q + torch.logaddexp(-log_p, log_gamma + (loss / q).log())


def softmax_rest(log_p: Tensor, index: Tensor) -> Tensor:
    """Return log(1 - p) of the classes ``index`` (N, 1, *): the log-sum-exp of the others, without cancellation."""
    return torch.logsumexp(log_p.scatter(1, index, -torch.inf), 1, keepdim=True)


def softmax_rests(log_p: Tensor) -> Tensor:
    """Return log(1 - p) of every class: only the largest p can exceed 1/2, the others are safe in log1p."""
    top = log_p.argmax(1, keepdim=True)
    log_q = torch.log1p(-log_p.scatter(1, top, -torch.inf).exp())
    return log_q.scatter(1, top, softmax_rest(log_p, top))


def unsmooth(log_prob: Tensor, floor: float) -> Tensor:
    """Undo label smoothing up to a constant: log(prob - floor), floor = smoothing / C.

    A prob at or below the floor, which no population minimiser has, keeps its order at a share eps of itself.
    """
    if floor == 0:
        return log_prob
    least = log_prob + math.log(torch.finfo(log_prob.dtype).eps)
    return torch.maximum((log_prob.exp() - floor).clamp(min=0).log(), least)
