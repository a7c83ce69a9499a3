"""The correction of probabilities for what the training objective and the sampler did to the class shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imbalance_torch.losses import DeferredReweighting, FocalLoss, NoPosteriorError, SigmoidFocalLoss

_LEVEL = 0.1  # class shares that differ by less count as equal


def own_form(loss: nn.Module) -> nn.Module:
    """Return the loss of this package that equals a cross-entropy of torch.nn; any other loss as it is."""
    if isinstance(loss, DeferredReweighting):
        loss = loss.loss
    if isinstance(loss, nn.CrossEntropyLoss):
        return FocalLoss(loss.weight, gamma=0.0, label_smoothing=loss.label_smoothing, ignore_index=loss.ignore_index)
    if isinstance(loss, nn.BCEWithLogitsLoss):
        return SigmoidFocalLoss(gamma=0.0, weight=loss.weight, pos_weight=loss.pos_weight)
    return loss


def log_posterior(loss: nn.Module, logits: Tensor, prior: Tensor, train_prior: Tensor) -> Tensor | None:
    """Return the corrected log-probabilities in the logits' shape, or None where ``loss`` has no known link.

    Softmax logits (N, C) give log p(c|x); sigmoid logits of any other shape give log p(1|x).
    """
    loss = own_form(loss)
    if not hasattr(loss, "log_posterior"):
        return None
    try:
        return loss.log_posterior(logits, prior=prior, train_prior=train_prior)  # type: ignore[no-any-return,operator]
    except NoPosteriorError:
        return None


def initial_prior(loss: nn.Module, num_outputs: int, prior: Tensor, train_prior: Tensor) -> Tensor | None:
    """Return the class shares whose log is a good constant output to start from under ``loss`` and the sampled shares.

    It is the best one where the link is a shift, as for weights and logit adjustment; a focal link stretches the logits
    too, and its optimum is flatter. The output is the log prior less the posterior that the link reports for all-zero
    logits: the log of the shares after weights and sampling, minus the offset that the loss adds by itself. Shape (C,)
    for softmax logits and for one sigmoid logit, (L, 2) for several sigmoid logits.
    """
    device = next((buffer.device for buffer in loss.buffers()), prior.device)
    at_zero = log_posterior(loss, prior.new_zeros(1, num_outputs, device=device), prior, train_prior)
    if at_zero is None:
        return None
    at_zero = at_zero.to(prior.device)
    if prior.ndim == 1 and num_outputs == len(prior):
        return torch.softmax(prior.log() - at_zero[0], dim=0)
    share = torch.sigmoid(torch.logit(prior[..., 1]) - torch.logit(at_zero[0].exp()))
    pair = torch.stack([1 - share, share], dim=-1)
    return pair[0] if prior.ndim == 1 else pair


def overcorrected(prior: Tensor, train_prior: Tensor, objective: Tensor) -> tuple[int, float] | None:
    """Return the class that counts for more than the largest one because the sampler and the loss both raise it.

    ``objective`` holds the shares after sampling and the weights or offset of the loss, as `initial_prior` gives them.
    A loss built for the fed shares brings the classes level and is fine, and so is one of the two alone, however far
    it goes. For (L, 2) shares the two classes are those of each label. With the class (or label) comes the factor.
    """
    largest = prior.argmax(-1, keepdim=True)
    before, fed, after = (shares / shares.gather(-1, largest) for shares in (prior, train_prior, objective))
    more = 1 + _LEVEL
    twice = (fed > more * before) & (after > more * fed) & (after > more)
    if not twice.any():
        return None
    factors = torch.where(twice, after, 0)
    factors = factors.amax(-1) if prior.ndim > 1 else factors
    return int(factors.argmax()), float(factors.max())
