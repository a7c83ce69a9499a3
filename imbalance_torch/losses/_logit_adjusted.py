"""Logit-adjusted cross-entropy: softmax."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from torch import Tensor

from imbalance_torch._checks import check_number
from imbalance_torch._reduction import Normalizer
from imbalance_torch.class_stats import class_counts as count_classes
from imbalance_torch.losses._arguments import check_options, keep
from imbalance_torch.losses._class_shares import check_counts, class_vector, move, moved_cross_entropy
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, softmax_loss
from imbalance_torch.priors import shares_of


def logit_adjusted_cross_entropy(
    logits: Tensor,
    target: Tensor,
    prior: Any,
    *,
    tau: float = 1.0,
    weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Logit-adjusted cross-entropy: the network learns what is left of the posterior without the class shares.

    ``CE(logits + tau log prior, target)``. Predict with the plain ``logits``: at ``tau`` = 1 their argmax minimises the
    balanced error. At ``tau`` = 0 this is cross-entropy.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices of the shape without C, or probabilities of the shape of ``logits``.
        prior: (C,) class shares of the training data, > 0 and summing to 1 (the module checks this). For one output
            or several labels see `logit_adjusted_binary_cross_entropy`.
        tau: Strength >= 0.
        weight: (C,) class weights >= 0, or None. Balancing weights on top correct twice.
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
        tau log prior is computed in float64, so that tiny shares do not saturate. Bounded logits, such as cosines,
        cannot follow the offset: scale them first. Memory O(N C); no synchronisation.

    References:
        Menon et al., Long-tail learning via logit adjustment, ICLR 2021, arXiv 2007.07314.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{logit_adjusted_cross_entropy(logits, torch.tensor([0, 2]), [0.90, 0.09, 0.01]):.4f}")
        2.5094
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return softmax_loss(
        partial(moved_cross_entropy, offset=_offset(prior, tau)),
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class LogitAdjustedLoss(AbstractSoftmaxLoss):
    """Logit-adjusted cross-entropy, the module of `logit_adjusted_cross_entropy`.

    Args:
        prior: (C,) class shares of the training data, > 0, that sum to 1. `from_counts` and `from_labels` make them.
        tau: Strength >= 0.
        weight: (C,) class weights >= 0, or None.
        label_smoothing: See `logit_adjusted_cross_entropy`.
        ignore_index: See `logit_adjusted_cross_entropy`.
        reduction: See `logit_adjusted_cross_entropy`.
        normalizer: See `logit_adjusted_cross_entropy`.
        sync_normalizer: See `FocalLoss`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = LogitAdjustedLoss.from_counts([900, 90, 10])
        >>> logits = torch.zeros(1, 3)
        >>> print(f"{loss(logits, torch.tensor([2])):.4f}")
        4.6052
        >>> print(loss.log_posterior(logits, prior=[0.90, 0.09, 0.01]).exp())
        tensor([[0.9000, 0.0900, 0.0100]])
    """

    offset: Tensor

    def __init__(
        self,
        prior: Any,
        *,
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
        shares = shares_of("prior", prior)
        if shares.ndim != 1:
            raise ValueError(
                f"`prior` must be (C,) class shares, got shape {tuple(shares.shape)}. "
                "For one output or several labels use LogitAdjustedBCEWithLogitsLoss."
            )
        self.prior, self.tau = shares, tau
        keep(self, offset=_offset(shares, tau))

    @classmethod
    def from_counts(cls, class_counts: Any, **arguments: Any) -> Self:
        """Build the loss with the shares of the training counts.

        Args:
            class_counts: (C,) rows of each class in the training data, > 0.
            **arguments: Keywords of the constructor.
        """
        counts = check_counts(class_counts)
        return cls(counts / counts.sum(), **arguments)

    @classmethod
    def from_labels(cls, labels: Any, *, num_classes: int | None = None, **arguments: Any) -> Self:
        """Build the loss from the training labels.

        Args:
            labels: (N,) labels 0..C-1.
            num_classes: C; None takes the largest label plus one.
            **arguments: Keywords of the constructor.
        """
        return cls.from_counts(count_classes(labels, num_classes), **arguments)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return the adjusted cross-entropy of class ``index``, or of every class."""
        return moved_cross_entropy(logits, index, offset=self.offset)

    def link(self, logits: Tensor) -> Tensor:
        """Return ``logits + tau log prior``."""
        return move(logits, self.offset)


def _offset(prior: Any, tau: float) -> Tensor:
    return check_number("tau", tau, minimum=0) * class_vector("prior", prior).log()
