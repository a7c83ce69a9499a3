"""Pairwise AUC loss."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from imbalance_torch._checks import check_choice, check_number
from imbalance_torch.losses._arguments import keep
from imbalance_torch.losses._batch import AbstractBatchLoss, check_batch_options
from imbalance_torch.losses._ranking import NO_POSTERIOR, ranking_loss, shares


def pairwise_auc_loss(
    logits: Tensor,
    target: Tensor,
    *,
    surrogate: str = "squared_hinge",
    margin: float = 1.0,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Pairwise AUC loss: a price for each pair of a positive and a negative in the wrong order or too close.

    ``loss = sum_ij w_i w_j phi(x_i - x_j) / sum_ij w_i w_j`` for each label, over its positives i and negatives j in
    ``target``, with x = ``logits``, w = ``sample_weight`` and phi the ``surrogate``: ``max(0, margin - d)^2`` or
    ``log(1 + exp(-d))``. With phi(d) = [d < 0] it would be 1 - AUC. Classes stand against the rest.

    Args:
        logits: (N,) for one label, (N, L) for L labels or (N, C) for C classes; float tensor.
        target: 1 for a positive and 0 for a negative (bool, integer or float), of the shape of ``logits``; or class
            indices 0..C-1 of shape (N,), an integer tensor, for (N, C).
        surrogate: ``"squared_hinge"`` or ``"logistic"``.
        margin: Distance wanted between a positive and a negative in units of the logits, > 0; squared hinge only.
        weight: (L,) label or class weights >= 0, or None.
        sample_weight: Weights of the rows (N,), or of the shape of ``logits``, or None.
        ignore_index: Target value that does not count (an element, or the row of a class index), or None.
        reduction: ``"none"``, ``"mean"`` (weighted by ``weight`` over the labels that have a positive and a negative)
            or ``"sum"``.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` the weighted loss of each label (L,), 0-d for (N,). Half input is
        computed in float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit, or ``surrogate`` is unknown.

    Notes:
        Memory O(N^2 L); no synchronisation. With ``reduction="none"`` the squared hinge of float16 logits becomes inf
        where a pair stands wrong by 255 or more: its square is beyond float16; ``"mean"`` and ``"sum"`` are float32.
        NOTE[DIFF]: the default ``surrogate`` is the squared hinge (LibAUC: logistic, by log(1 + exp), which overflows).
        NOTE[DIFF]: a batch without a positive or a negative gives 0 with a graph (LibAUC raises without positives and
        gives NaN without negatives).

    References:
        Gao and Zhou, On the consistency of AUC pairwise optimization, IJCAI 2015, arXiv 1208.0645.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([0.3, -0.1, 0.2, 0.9]), torch.tensor([1, 0, 0, 1])
        >>> print(f"{pairwise_auc_loss(logits, target):.4f}")
        0.3150
    """
    _check_surrogate(surrogate, margin)
    check_batch_options(ignore_index, reduction)
    return ranking_loss(
        partial(_pairwise_auc, surrogate=surrogate, margin=margin),
        logits,
        target,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


class PairwiseAUCLoss(AbstractBatchLoss):
    """Pairwise AUC loss, the module of `pairwise_auc_loss`.

    Args:
        surrogate: See `pairwise_auc_loss`.
        margin: See `pairwise_auc_loss`.
        weight: (L,) label or class weights, finite and >= 0, or None.
        ignore_index: See `pairwise_auc_loss`.
        reduction: See `pairwise_auc_loss`.
        sync_normalizer: Whether ``"mean"`` pairs the rows of all ranks of the default process group: the value and the
            gradient averaged over ranks then equal one process on the joined batch. It gathers logits and targets, and
            reads the largest number of rows on the host, where torch.compile breaks its graph.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = PairwiseAUCLoss(surrogate="logistic")
        >>> logits, target = torch.tensor([0.3, -0.1, 0.2, 0.9]), torch.tensor([1, 0, 0, 1])
        >>> print(f"{loss(logits, target):.4f}")
        0.4685
    """

    no_posterior = NO_POSTERIOR
    surrogate: str
    margin: float

    def __init__(
        self,
        *,
        surrogate: str = "squared_hinge",
        margin: float = 1.0,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, sync_normalizer=sync_normalizer)
        _check_surrogate(surrogate, margin)
        keep(self, surrogate=surrogate, margin=margin)

    def batch_loss(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the loss."""
        return ranking_loss(
            partial(_pairwise_auc, surrogate=self.surrogate, margin=self.margin), logits, target, **options
        )


def _pairwise_auc(
    logits: Tensor, positives: Tensor, negatives: Tensor, *, surrogate: str, margin: float
) -> tuple[Tensor, Tensor]:
    lead = logits.unsqueeze(2) - logits.unsqueeze(1)  # [l, i, j]: of i over j
    price = F.softplus(-lead) if surrogate == "logistic" else F.relu(margin - lead).square()
    losses = ((price * shares(negatives).unsqueeze(1)).sum(2) * shares(positives)).sum(1)
    return losses, (positives.sum(1) > 0) & (negatives.sum(1) > 0)


def _check_surrogate(surrogate: str, margin: float) -> None:
    check_choice("surrogate", surrogate, ("squared_hinge", "logistic"))
    check_number("margin", margin, exclusive_minimum=0)
