"""Vector-scaling loss, with logit adjustment and class-dependent temperatures as special cases."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.losses._arguments import check_options, keep
from imbalance_torch.losses._class_shares import check_counts, class_vector, log_shares, move, moved_cross_entropy
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss


def vs_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Any,
    *,
    gamma: float = 0.3,
    tau: float = 1.0,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Vector-scaling (VS) loss: cross-entropy of logits that are scaled and shifted by class.

    ``CE(scale * logits + tau log(n / sum n), target)`` with n = ``class_counts``, ``scale_c = (n_c / max n)^gamma``.
    ``gamma`` = 0 is the logit-adjusted loss, ``tau`` = 0 the class-dependent temperature loss (CDT), both 0
    cross-entropy. Predict with the plain ``logits``.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
        class_counts: (C,) rows of each class in the training data, > 0.
        gamma: Strength of the scaling, >= 0.
        tau: Strength of the shift, >= 0.
        weight: (C,) class weights >= 0, or None.
        sample_weight: Weights of the leading dimensions of the loss, (N,) up to (N, *), or None.
        label_smoothing: In [0, 1].
        ignore_index: Target index that does not count; index targets only.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"weight"``, ``"count"``, or a number or 0-d tensor; see `focal_loss`.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` one loss per class index. Half input is computed in float32 and
        returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        The shift acts early in training, the scaling late, when the network separates the training rows: rare classes
        must then reach larger logits. Memory O(N C); no synchronisation.

    References:
        Kini et al., Label-imbalanced and group-sensitive classification under overparameterization, NeurIPS 2021,
        arXiv 2103.01550. Ye et al., Identifying and compensating for feature deviation in imbalanced deep learning,
        2020, arXiv 2001.01385 (CDT).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{vs_loss(logits, torch.tensor([0, 2]), [90, 9, 1]):.4f}")
        2.3956
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    offset, scale = _constants(class_vector("class_counts", class_counts), gamma, tau)
    return softmax_loss(
        partial(moved_cross_entropy, offset=offset, scale=scale),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class VSLoss(AbstractSoftmaxLoss):
    """Vector-scaling loss, the module of `vs_loss`.

    Args:
        class_counts: (C,) rows of each class in the training data, > 0.
        gamma: Strength of the scaling, >= 0.
        tau: Strength of the shift, >= 0.
        weight: (C,) class weights >= 0, or None.
        label_smoothing: See `vs_loss`.
        ignore_index: See `vs_loss`.
        reduction: See `vs_loss`.
        normalizer: See `vs_loss`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = VSLoss([90, 9, 1])
        >>> logits = torch.zeros(1, 3)
        >>> print(f"{loss(logits, torch.tensor([2])):.4f}")
        4.6052
        >>> print(loss.log_posterior(logits, prior=[0.90, 0.09, 0.01]).exp())
        tensor([[0.9000, 0.0900, 0.0100]])
    """

    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        class_counts: Any,
        *,
        gamma: float = 0.3,
        tau: float = 1.0,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        normalizer: Normalizer = "weight",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            weight,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )
        self.class_counts, self.gamma, self.tau = check_counts(class_counts), gamma, tau
        offset, scale = _constants(self.class_counts, gamma, tau)
        keep(self, offset=offset, scale=scale)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the cross-entropy of the moved logits at class ``index``, or of every class."""
        return moved_cross_entropy(logits, index, offset=self.offset, scale=self.scale)

    def link(self, logits: Tensor) -> Tensor:
        """Return the logits, scaled and shifted."""
        return move(logits, self.offset, self.scale)


def _constants(counts: Tensor, gamma: float, tau: float) -> tuple[Tensor, Tensor]:
    scale = (counts / counts.max()) ** check_number("gamma", gamma, minimum=0)
    return check_number("tau", tau, minimum=0) * log_shares(counts), scale
