"""Class shares: shift logits from one prior to another, and start a head at the prior."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_floating
from imbalance_torch._reduction import widen
from imbalance_torch.class_stats import to_tensor

__all__ = ["adjust_logits", "init_prior_bias_"]

Head = TypeVar("Head", bound=nn.Module)


def adjust_logits(logits: Tensor, *, from_prior: Any, to_prior: Any) -> Tensor:
    """Move logits that were fitted under one prior to another.

    Softmax: ``logits_c + log to_c - log from_c``; sigmoid: ``logits + logit(to) - logit(from)``. Exact when the shares
    of the classes differ and the rows within each class do not: after a sampler, random resampling or class weights
    (weights w act as ``from_prior`` proportional to w_c times the true shares).

    Args:
        logits: Float tensor, (N, C), (N, C, *) or (C,) for a vector prior, any shape for a number.
        from_prior: The shares under which the logits were fitted. A (C,) vector that sums to 1 holds the class shares
            of softmax logits; a number or 0-d tensor in (0, 1) is the share of positives of sigmoid logits; (L, 2)
            rows [negative share, positive share] are those of L labels, along the class dimension.
        to_prior: The shares wanted, of the same form.

    Returns:
        Tensor of the shape, dtype and device of ``logits``; not normalised.

    Raises:
        TypeError: ``logits`` is no float tensor.
        ValueError: A share lies outside (0, 1), a prior does not sum to 1 within 1e-3, or the forms differ.

    Notes:
        Only the priors are inspected: keep them on the CPU and nothing waits for the device.

    Example:
        >>> adjust_logits(torch.zeros(1, 2), from_prior=[0.5, 0.5], to_prior=[0.9, 0.1]).softmax(1)
        tensor([[0.9000, 0.1000]])
        >>> adjust_logits(torch.zeros(3), from_prior=0.5, to_prior=0.1).sigmoid()
        tensor([0.1000, 0.1000, 0.1000])
    """
    check_floating("logits", logits)
    source, wanted = shares_of("from_prior", from_prior), shares_of("to_prior", to_prior)
    if source.shape != wanted.shape:
        raise ValueError(
            f"`from_prior` and `to_prior` must have one shape, got {tuple(source.shape)} and {tuple(wanted.shape)}."
        )
    shift = wanted.log() - source.log() if source.ndim == 1 else log_odds_of(wanted) - log_odds_of(source)
    return (widen(logits) + along_classes("from_prior", shift, logits)).to(logits.dtype)


def init_prior_bias_(head: Head, prior: Any) -> Head:
    """Start a head at the prior, in place: ``bias_c = log prior_c``, or the log-odds for sigmoid outputs.

    The first steps then no longer learn the class shares, and a focal loss does not blow up on the majority.

    Args:
        head: ``nn.Linear`` or ``nn.Conv1d/2d/3d`` with a bias, the last layer of a network; or k such layers in one, as
            that of `TabM`, with a bias of (k, outputs): every member starts at the prior.
        prior: C outputs: (C,) shares that sum to 1. One output: the share of positives, or (2,) [negative share,
            positive share]. L labels: (L, 2) rows [negative share, positive share].

    Returns:
        ``head``.

    Raises:
        TypeError: ``head`` is another kind of module.
        ValueError: ``head`` has no bias, or ``prior`` does not fit its outputs or holds a share outside (0, 1).

    References:
        Lin et al., Focal loss for dense object detection, ICCV 2017, section 4.1.

    Example:
        >>> head = init_prior_bias_(nn.Linear(4, 1), 0.01)
        >>> print(f"{head.bias.sigmoid().item():.4f}")
        0.0100
    """
    if not (hasattr(head, "out_features") or hasattr(head, "out_channels")):
        raise TypeError(f"`head` must be a linear or convolutional layer, got {type(head).__name__}.")
    if not isinstance(head.bias, Tensor):
        raise ValueError("`head` must have a bias, got none. Build it with bias=True.")
    shares = shares_of("prior", prior)
    outputs = head.bias.shape[-1]
    if outputs == 1 and shares.shape in {(), (2,), (1, 2)}:
        bias = log_odds_of(shares).reshape(1)
    elif shares.ndim == 1 and shares.shape[0] == outputs:
        bias = shares.log()
    elif shares.ndim == 2 and shares.shape[0] == outputs:
        bias = log_odds_of(shares)
    else:
        raise ValueError(
            f"`prior` of shape {tuple(shares.shape)} does not fit a head with {outputs} output(s). "
            "Pass (C,) class shares, a number for one output, or (L, 2) rows [negative share, positive share]."
        )
    with torch.no_grad():
        head.bias.copy_(bias)
    return head


def class_shift(logits: Tensor, prior: Any, train_prior: Any) -> Tensor:
    """Return log(prior / train_prior), (C,) shares, aligned with the classes of ``logits``; None means equal."""
    wanted = shares_of("prior", prior)
    source = wanted if train_prior is None else shares_of("train_prior", train_prior)
    if wanted.ndim != 1 or source.ndim != 1:
        raise ValueError("`prior` and `train_prior` must be (C,) class shares for a softmax loss.")
    return along_classes("prior", wanted.log(), logits) - along_classes("train_prior", source.log(), logits)


def label_shift(logits: Tensor, prior: Any, train_prior: Any) -> Tensor:
    """Return logit(prior) - logit(train_prior) for a number, (2,) or (L, 2) shares; None means equal."""
    wanted = log_odds_of(shares_of("prior", prior))
    source = wanted if train_prior is None else log_odds_of(shares_of("train_prior", train_prior))
    return along_classes("prior", wanted, logits) - along_classes("train_prior", source, logits)


def along_classes(name: str, values: Tensor, logits: Tensor) -> Tensor:
    """View a (C,) vector so that it broadcasts along the classes of ``logits``; a 0-d tensor passes."""
    if values.ndim:
        classes = logits.shape[min(1, logits.ndim - 1)] if logits.ndim else 0
        if values.shape[0] != classes:
            raise ValueError(
                f"`{name}` must have one entry for each of the {classes} classes in dimension 1 of the logits, "
                f"got {values.shape[0]}."
            )
        values = values.reshape(-1, *[1] * (logits.ndim - 2))
    return values.to(logits.device, widen(logits).dtype)


def shares_of(name: str, prior: Any) -> Tensor:
    """Return the shares in float64 on the CPU; raise unless they are a number, (C,) or (L, 2) shares in (0, 1)."""
    shares = to_tensor(name, prior).to("cpu", torch.float64)
    if shares.ndim > 2 or (shares.ndim == 2 and shares.shape[1] != 2):
        raise ValueError(f"`{name}` must be a number, (C,) or (L, 2) shares, got shape {tuple(shares.shape)}.")
    if shares.ndim and not bool(((shares.sum(-1) - 1.0).abs() <= 1e-3).all()):
        raise ValueError(
            f"`{name}` must hold shares that sum to 1, got sum {shares.sum(-1).tolist()}. "
            "From labels: counts = class_counts(labels); counts / counts.sum()."
        )
    if not bool((shares > 0).all()) or (shares.ndim == 0 and not bool(shares < 1)):
        raise ValueError(f"Every share in `{name}` must lie strictly between 0 and 1, got {shares.tolist()}.")
    return shares


def log_odds_of(shares: Tensor) -> Tensor:
    """Return log-odds: of a number, of (2,) [negative, positive] shares, or of (L, 2) such rows."""
    if shares.ndim == 0:
        return shares.logit()
    if shares.shape[-1] != 2:
        raise ValueError(
            "A sigmoid loss takes a number, (2,) or (L, 2) rows [negative share, positive share], "
            f"got shape {tuple(shares.shape)}."
        )
    return shares[..., 1].log() - shares[..., 0].log()
