"""Class-weighted cross-entropy."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor

from imbalance_torch._checks import check_tensor
from imbalance_torch._reduction import Normalizer
from imbalance_torch.class_stats import class_counts as count_classes
from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses._arguments import check_options
from imbalance_torch.losses._softmax import NORMALIZERS, AbstractSoftmaxLoss, cross_entropy_of_class, softmax_loss


def weighted_cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    reduction: str = "mean",
    normalizer: Normalizer = "weight",
) -> Tensor:
    """Cross-entropy with class weights: ``F.cross_entropy(weight=...)`` with sample weights and safe reductions.

    ``loss_i = sum_c t_ic w_c (-log p_ic)`` with p = softmax(``logits``), t = ``target`` (one-hot of an index, smoothed
    towards 1/C by ``label_smoothing``), w = ``weight``.

    Args:
        logits: (N, C), (N, C, *) or (C,) float tensor.
        target: Class indices 0..C-1 of the shape without C (any integer kind), or probabilities of the shape of
            ``logits``.
        weight: (C,) class weights >= 0; `imbalance_torch.class_weights` makes them from counts.
        sample_weight: Weights of the leading dimensions of the loss, (N,) up to (N, *), or None.
        label_smoothing: In [0, 1]. As in torch.nn the weights also scale the smoothing term.
        ignore_index: Target index that does not count; index targets only.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"weight"`` (the summed weight of the valid targets, as in torch.nn),
            ``"count"`` (the number of valid targets), or a number or 0-d tensor.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` one loss per class index. Half input is computed in float32 and
        returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        Memory O(N C); no synchronisation.
        NOTE[DIFF]: a batch without valid targets gives 0 with a graph (torch.nn: NaN); probability targets divide by
        their summed weight (torch.nn: by N, here ``normalizer="count"``).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]])
        >>> print(f"{weighted_cross_entropy(logits, torch.tensor([0, 2]), torch.tensor([0.5, 1.0, 2.0])):.4f}")
        1.1849
    """
    check_tensor("weight", weight)
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return softmax_loss(
        cross_entropy_of_class,
        logits,
        target,
        weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class ClassWeightedCrossEntropyLoss(AbstractSoftmaxLoss):
    """Cross-entropy with class weights, the module of `weighted_cross_entropy`.

    Args:
        weight: (C,) class weights, finite and >= 0. `from_counts` and `from_labels` make them.
        label_smoothing: See `weighted_cross_entropy`.
        ignore_index: See `weighted_cross_entropy`.
        reduction: See `weighted_cross_entropy`.
        normalizer: See `weighted_cross_entropy`.
        sync_normalizer: Whether ``"mean"`` with a named normalizer sums the detached denominator over the ranks of the
            default process group, so that the average over ranks equals one process on the joined batch.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> loss = ClassWeightedCrossEntropyLoss.from_counts([900, 100])
        >>> logits = torch.zeros(1, 2)
        >>> print(f"{loss(logits, torch.tensor([1])):.4f}")
        0.6931
        >>> print(loss.log_posterior(logits, prior=[0.9, 0.1]).exp())
        tensor([[0.9000, 0.1000]])
    """

    def __init__(
        self,
        weight: Tensor,
        *,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        normalizer: Normalizer = "weight",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            check_tensor("weight", weight),
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            reduction=reduction,
            normalizer=normalizer,
            sync_normalizer=sync_normalizer,
        )

    @classmethod
    def from_counts(
        cls,
        class_counts: Any,
        scheme: str = "balanced",
        *,
        beta: float = 0.999,
        power: float = 1.0,
        normalize: str | None = "samples",
        max_weight: float | None = None,
        empty: str = "error",
        **loss_arguments: Any,
    ) -> Self:
        """Build the loss with `imbalance_torch.class_weights` of the counts.

        Args:
            class_counts: (C,) rows of each class in the training data.
            scheme: As in `class_weights`, like the arguments up to ``empty``.
            beta: See `class_weights`.
            power: See `class_weights`.
            normalize: See `class_weights`.
            max_weight: See `class_weights`.
            empty: See `class_weights`.
            **loss_arguments: Keywords of the constructor.
        """
        weight = class_weights(
            class_counts,
            scheme,
            beta=beta,
            power=power,
            normalize=normalize,
            max_weight=max_weight,
            empty=empty,
        )
        return cls(weight, **loss_arguments)

    @classmethod
    def from_labels(
        cls, labels: Any, scheme: str = "balanced", *, num_classes: int | None = None, **arguments: Any
    ) -> Self:
        """Build the loss from the training labels: ``from_counts(class_counts(labels, num_classes), scheme, ...)``.

        Args:
            labels: (N,) labels 0..C-1.
            scheme: As in `class_weights`.
            num_classes: C; None takes the largest label plus one.
            **arguments: Keywords of `from_counts`.
        """
        return cls.from_counts(count_classes(labels, num_classes), scheme, **arguments)

    def class_loss(self, logits: Tensor, index: Tensor | None) -> Tensor:
        """Return -log p of class ``index``, or of every class."""
        return cross_entropy_of_class(logits, index)
