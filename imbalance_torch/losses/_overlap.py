"""Tversky and soft F1 loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_floating, check_int, check_number, check_same_device, check_tensor
from imbalance_torch._reduction import widen
from imbalance_torch.losses._arguments import keep
from imbalance_torch.losses._batch import (
    AbstractBatchLoss,
    check_batch_options,
    check_weights,
    joins_ranks,
    reduce_present,
    spread,
    sum_over_ranks,
)

NO_POSTERIOR = "it scores a whole batch, and its minimiser is a set of decisions, not probabilities"


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Tversky loss: one minus the overlap of each class, with false alarms and misses priced apart.

    ``loss_c = 1 - TP_c / (TP_c + alpha FP_c + beta FN_c)`` with TP_c = sum_i s_i t_ic p_ic, FP_c = sum_i s_i (1 - t_ic)
    p_ic and FN_c = sum_i s_i t_ic (1 - p_ic) over the batch, p = softmax(``logits``), t = ``target`` (one-hot of an
    index), s = ``sample_weight``; ``mean`` is ``sum_c w_c loss_c / sum_c w_c`` over the classes that have targets in
    the batch, w = ``weight``.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor, C >= 2.
        target: Class indices 0..C-1 of the shape without C (any integer kind), or probabilities of the shape of
            ``logits``.
        alpha: Price of a false alarm, >= 0.
        beta: Price of a miss, > 0. Above ``alpha`` it favours recall.
        weight: (C,) class weights >= 0, or None.
        sample_weight: Weights of the leading dimensions of the index target, (N,) up to (N, *), or None.
        ignore_index: Target index that does not count; index targets only.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` the weighted loss of each class (C,). Half input is computed in
        float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit, C < 2, or ``ignore_index >= 0`` with probabilities.

    Notes:
        Computed as (alpha FP + beta FN) / (TP + alpha FP + beta FN), which is never negative. Memory O(N C); no
        synchronisation. A small batch is a biased sample of the loss: prefer batches that hold every class.
        With probabilities as target, p = t is not the minimum.
        NOTE[DIFF]: sums run over the whole batch (kornia, and monai by default: a loss per row, then their mean).
        NOTE[DIFF]: there is no smoothing constant; a class without targets gives 0 and does not count in the mean
        (monai scores it by the constant, segmentation-models-pytorch averages over all C). An empty batch gives 0.

    References:
        Salehi et al., Tversky loss function for image segmentation using 3D fully convolutional deep networks, MLMI
        2017, arXiv 1706.05721.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{tversky_loss(logits, torch.tensor([0, 2])):.4f}")
        0.4773
    """
    _check_options(alpha, beta, ignore_index)
    check_batch_options(ignore_index, reduction)
    return _overlap_loss(
        logits,
        target,
        alpha=alpha,
        beta=beta,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def soft_f1(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Soft F1 loss (Dice loss): the loss 1 - F1, not the score, with probabilities in place of decisions.

    ``loss_c = 1 - 2 TP_c / (2 TP_c + FP_c + FN_c)``: `tversky_loss` with alpha = beta = 0.5, which names the symbols
    and maps them to ``logits``, ``target``, ``weight`` and ``sample_weight``.

    Args:
        logits: See `tversky_loss`.
        target: See `tversky_loss`.
        weight: See `tversky_loss`.
        sample_weight: See `tversky_loss`.
        ignore_index: See `tversky_loss`.
        reduction: See `tversky_loss`.

    Returns:
        As `tversky_loss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        The notes and differences of `tversky_loss` hold here too.

    References:
        Milletari et al., V-Net: fully convolutional neural networks for volumetric medical image segmentation, 3DV
        2016, arXiv 1606.04797 (with p squared in the denominator).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{soft_f1(logits, torch.tensor([0, 2])):.4f}")
        0.4634
    """
    return tversky_loss(
        logits,
        target,
        alpha=0.5,
        beta=0.5,
        weight=weight,
        sample_weight=sample_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


class TverskyLoss(AbstractBatchLoss):
    """Tversky loss, the module of `tversky_loss`.

    Args:
        alpha: See `tversky_loss`.
        beta: See `tversky_loss`.
        weight: (C,) class weights, finite and >= 0, or None.
        ignore_index: See `tversky_loss`.
        reduction: See `tversky_loss`.
        sync_normalizer: Whether ``"mean"`` adds up TP, FP and FN over the ranks of the default process group: the value
            and the gradient averaged over ranks then equal one process on the joined batch. Logits stay where they are.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = TverskyLoss(alpha=0.2, beta=0.8, weight=torch.tensor([0.5, 1.0, 2.0]))
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{loss(logits, torch.tensor([0, 2])):.4f}")
        0.6286
    """

    no_posterior = NO_POSTERIOR
    alpha: float
    beta: float
    ignore_index: int

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, sync_normalizer=sync_normalizer)
        _check_options(alpha, beta, ignore_index)
        keep(self, alpha=alpha, beta=beta)

    def batch_loss(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the Tversky loss."""
        return _overlap_loss(logits, target, alpha=self.alpha, beta=self.beta, **options)


class SoftF1Loss(AbstractBatchLoss):
    """Soft F1 (Dice) loss, the module of `soft_f1`: `TverskyLoss` with alpha = beta = 0.5.

    Args:
        weight: See `TverskyLoss`.
        ignore_index: See `TverskyLoss`.
        reduction: See `TverskyLoss`.
        sync_normalizer: See `TverskyLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{SoftF1Loss()(logits, torch.tensor([0, 2])):.4f}")
        0.4634
    """

    no_posterior = NO_POSTERIOR

    def __init__(
        self,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, sync_normalizer=sync_normalizer)
        check_int("ignore_index", ignore_index)

    def batch_loss(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the soft F1 loss."""
        return _overlap_loss(logits, target, alpha=0.5, beta=0.5, **options)


def _overlap_loss(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: float,
    beta: float,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    sync: bool = False,
) -> Tensor:
    z, t, s = _rows(logits, target, weight, sample_weight, ignore_index)
    p = z.softmax(1)
    sums = torch.stack([(s * t * p).sum(0), (s * (1 - t) * p).sum(0), (s * t * (1 - p)).sum(0)])
    if joins_ranks(sync, reduction):
        sums = sum_over_ranks(sums)
    hits, alarms, misses = sums
    wrong = alpha * alarms + beta * misses
    present = hits + misses > 0
    losses = torch.where(present, wrong, 0.0) / torch.where(present, hits + wrong, 1.0)
    return reduce_present(losses, present, weight, reduction, logits.dtype)


def _rows(
    logits: Tensor, target: Tensor, weight: Tensor | None, sample_weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (M, C), target probabilities (M, C) and weights (M, 1) of the M rows, 0 where a row is ignored."""
    shape = check_floating("logits", logits).shape
    dim = min(1, logits.ndim - 1)
    if logits.ndim == 0 or shape[dim] < 2:
        raise ValueError(
            f"`logits` must have shape (N, C), (N, C, *) or (C,) with C >= 2, got {tuple(shape)}. "
            "One output x is the two classes [0, x]."
        )
    soft = check_tensor("target", target).is_floating_point()
    per_row = shape[:dim] + shape[dim + 1 :]
    if target.shape != (shape if soft else per_row):
        raise ValueError(
            f"`target` must have shape {tuple(per_row)} as class indices or {tuple(shape)} as class probabilities, "
            f"got target.shape={tuple(target.shape)}, target.dtype={target.dtype}."
        )
    if soft and ignore_index >= 0:
        raise ValueError(f"`ignore_index` needs class indices as target, got ignore_index={ignore_index}.")
    check_weights(weight, shape[dim], sample_weight, per_row)
    check_same_device(logits=logits, target=target, weight=weight, sample_weight=sample_weight)
    z = widen(logits).movedim(dim, -1).reshape(-1, shape[dim])
    s = spread(sample_weight, per_row, z).reshape(-1, 1)
    if soft:
        return z, target.to(z.dtype).movedim(dim, -1).reshape(z.shape), s
    target = target.long().reshape(-1, 1)
    valid = target != ignore_index
    one_hot = torch.zeros_like(z).scatter(1, torch.where(valid, target, 0), 1.0)
    return torch.where(valid, z, 0.0), one_hot, torch.where(valid, s, 0.0)


def _check_options(alpha: float, beta: float, ignore_index: int) -> None:
    check_number("alpha", alpha, minimum=0)
    check_number("beta", beta, exclusive_minimum=0)
    check_int("ignore_index", ignore_index)
