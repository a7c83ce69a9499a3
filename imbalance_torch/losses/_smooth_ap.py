"""Smooth average precision loss."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch.losses._arguments import keep
from imbalance_torch.losses._batch import AbstractBatchLoss, check_batch_options
from imbalance_torch.losses._ranking import NO_POSTERIOR, ranking_loss, shares


def smooth_ap_loss(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 0.1,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Smooth-AP loss: one minus average precision, with each comparison of two rows replaced by a sigmoid.

    ``loss = 1 - mean_(i in P) (w_i + sum_(j in P, j != i) w_j s_ij) / (w_i + sum_(j != i) w_j s_ij)`` for each label,
    with P its positives in ``target``, s_ij = sigmoid((x_j - x_i) / ``temperature``), x = ``logits``, w =
    ``sample_weight``, and a mean weighted by w_i. Rows are compared within a label; classes stand against the rest.

    Args:
        logits: (N,) for one label, (N, L) for L labels or (N, C) for C classes; float tensor.
        target: 1 for a positive and 0 for a negative (bool, integer or float), of the shape of ``logits``; or class
            indices 0..C-1 of shape (N,), an integer tensor, for (N, C).
        temperature: Width of a comparison in units of the logits, > 0. Near 0 the loss is 1 - AP, without gradient.
        weight: (L,) label or class weights >= 0, or None.
        sample_weight: Weights of the rows (N,), or of the shape of ``logits``, or None.
        ignore_index: Target value that does not count (an element, or the row of a class index), or None.
        reduction: ``"none"``, ``"mean"`` (weighted by ``weight`` over the labels that have a positive) or ``"sum"``.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` the weighted loss of each label (L,), 0-d for (N,). Half input is
        computed in float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        Computed from the negatives above each positive, so that it is never negative and keeps its digits near 0.
        Memory O(N^2 L); no synchronisation. A label without positives gives 0.
        NOTE[DIFF]: ``temperature`` is 0.1 by default (Brown et al. and imbalanced-losses: 0.01): outputs of an
        untrained classifier, unlike cosine similarities, would saturate the narrower one.
        NOTE[DIFF]: ``sample_weight`` also weights the ranks, as in scikit-learn's average precision, so that weight 0
        is a row left out (imbalanced-losses: only the mean over positives).
        NOTE[DIFF]: a label with positives only has loss 0 and counts; one without positives is 0 in "none"
        (imbalanced-losses leaves out both, NaN in "none").

    References:
        Brown et al., Smooth-AP: smoothing the path towards large-scale image retrieval, ECCV 2020, arXiv 2007.12163.

    Example:
        >>> import torch
        >>> logits, target = torch.tensor([0.3, -0.1, 0.2, 0.9]), torch.tensor([1, 0, 0, 1])
        >>> print(f"{smooth_ap_loss(logits, target):.4f}")
        0.0633
    """
    check_number("temperature", temperature, exclusive_minimum=0)
    check_batch_options(ignore_index, reduction)
    return ranking_loss(
        partial(_smooth_ap, temperature=temperature),
        logits,
        target,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


class SmoothAPLoss(AbstractBatchLoss):
    """Smooth-AP loss, the module of `smooth_ap_loss`.

    Args:
        temperature: See `smooth_ap_loss`.
        weight: (L,) label or class weights, finite and >= 0, or None.
        ignore_index: See `smooth_ap_loss`.
        reduction: See `smooth_ap_loss`.
        sync_normalizer: Whether ``"mean"`` ranks the rows of all ranks of the default process group together: the value
            and the gradient averaged over ranks then equal one process on the joined batch. It gathers logits and
            targets, and reads the largest number of rows on the host, where torch.compile breaks its graph.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = SmoothAPLoss(temperature=0.05)
        >>> logits, target = torch.tensor([0.3, -0.1, 0.2, 0.9]), torch.tensor([1, 0, 0, 1])
        >>> print(f"{loss(logits, target):.4f}")
        0.0282
    """

    no_posterior = NO_POSTERIOR
    temperature: float

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, sync_normalizer=sync_normalizer)
        keep(self, temperature=check_number("temperature", temperature, exclusive_minimum=0))

    def batch_loss(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the loss."""
        return ranking_loss(partial(_smooth_ap, temperature=self.temperature), logits, target, **options)


def _smooth_ap(logits: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    above = ((logits.unsqueeze(1) - logits.unsqueeze(2)) / temperature).sigmoid()  # [l, i, j]: j stands above i
    wrong = (above * negatives.unsqueeze(1)).sum(2)
    # A row counts whole in its own rank; the sum has it as sigmoid(0) = 1/2.
    right = (above * positives.unsqueeze(1)).sum(2) + positives / 2
    missed = wrong / torch.where(positives > 0, right + wrong, 1.0)
    return (shares(positives) * missed).sum(1), positives.sum(1) > 0
