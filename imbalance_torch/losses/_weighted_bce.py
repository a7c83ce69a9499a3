"""Class-weighted binary cross-entropy: binary and multi-label."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from imbalance_torch._reduction import Normalizer
from imbalance_torch.class_stats import class_weights, to_tensor
from imbalance_torch.losses._arguments import check_options
from imbalance_torch.losses._modulator import log_sigmoids
from imbalance_torch.losses._sigmoid import NORMALIZERS, AbstractSigmoidLoss, expectation, sigmoid_loss


def weighted_binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Normalizer = "count",
) -> Tensor:
    """Binary cross-entropy: ``F.binary_cross_entropy_with_logits`` with sample weights and safe reductions.

    ``loss = w (r t (-log p) + (1-t) (-log(1-p)))`` with p = sigmoid(``logits``), t = ``target`` (smoothed towards 1/2
    by ``label_smoothing``), w = ``weight``, r = ``pos_weight``: a negative weighs w, a positive w r.

    Args:
        logits: Float tensor of any shape.
        target: Tensor of the same shape: 0/1 (bool or integer too) or probabilities.
        weight: Tensor that broadcasts to ``logits`` and scales both terms, such as one entry per label (L,), or None.
        pos_weight: Tensor that broadcasts to ``logits`` and scales the positives alone, or None.
        sample_weight: Weights of the leading dimensions of ``logits``, (N,) up to its full shape, or None.
        label_smoothing: In [0, 1].
        ignore_index: Target value that does not count, or None.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        normalizer: What ``"mean"`` divides by: ``"count"`` (the number of valid elements, as in torch.nn),
            ``"weight"`` (their summed ``weight`` times ``sample_weight``), ``"positives"`` (the summed target, at
            least 1), or a number or 0-d tensor. ``pos_weight`` never enters it.

    Returns:
        A 0-d tensor, or for ``reduction="none"`` a tensor of the shape of ``logits``. Half input is computed in
        float32 and returned in its own dtype for ``"none"``, in float32 otherwise.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: Shapes, ranges or devices do not fit.

    Notes:
        Memory O(elements); no synchronisation.
        NOTE[DIFF]: a batch without valid elements gives 0 with a graph (torch.nn: NaN).

    Example:
        >>> logits, target = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1, 0, 1])
        >>> print(f"{weighted_binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(9.0)):.4f}")
        1.9074
    """
    check_options(NORMALIZERS, label_smoothing, ignore_index, reduction, normalizer)
    return sigmoid_loss(
        _cross_entropy_of_element,
        logits,
        target,
        weight=weight,
        pos_weight=pos_weight,
        sample_weight=sample_weight,
        label_smoothing=label_smoothing,
        ignore_index=ignore_index,
        reduction=reduction,
        normalizer=normalizer,
    )


class ClassWeightedBCEWithLogitsLoss(AbstractSigmoidLoss):
    """Class-weighted binary cross-entropy: the module of `weighted_binary_cross_entropy_with_logits`.

    Args:
        weight: See `weighted_binary_cross_entropy_with_logits`; finite and >= 0.
        pos_weight: See `weighted_binary_cross_entropy_with_logits`; finite and >= 0. `from_counts` and `from_labels`
            make both.
        label_smoothing: See `weighted_binary_cross_entropy_with_logits`.
        ignore_index: See `weighted_binary_cross_entropy_with_logits`.
        reduction: See `weighted_binary_cross_entropy_with_logits`.
        normalizer: See `weighted_binary_cross_entropy_with_logits`.
        sync_normalizer: Whether ``"mean"`` with a named normalizer sums the detached denominator over the ranks of the
            default process group, so that the average over ranks equals one process on the joined batch.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> loss = ClassWeightedBCEWithLogitsLoss.from_counts([900, 100])
        >>> logits = torch.zeros(1)
        >>> print(f"{loss(logits, torch.tensor([1])):.4f}")
        3.4657
        >>> print(loss.log_posterior(logits, prior=0.1).exp())
        tensor([0.1000])
    """

    def __init__(
        self,
        *,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
        normalizer: Normalizer = "count",
        sync_normalizer: bool = False,
    ) -> None:
        super().__init__(
            weight=weight,
            pos_weight=pos_weight,
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
        """Build the loss with `imbalance_torch.class_weights` of [negatives, positives], label by label.

        With the two class weights w_neg and w_pos of a label, ``weight = w_neg`` and ``pos_weight = w_pos / w_neg``.

        Args:
            class_counts: (2,) rows [negatives, positives] of one output, or (L, 2) such rows of the L labels of (N, L)
                logits.
            scheme: As in `class_weights`, like the arguments up to ``empty``.
            beta: See `class_weights`.
            power: See `class_weights`.
            normalize: See `class_weights`; the averages are those of each label.
            max_weight: See `class_weights`.
            empty: See `class_weights`. ``"zero"`` does for missing positives only.
            **loss_arguments: Keywords of the constructor, but for ``weight`` and ``pos_weight``.

        Raises:
            ValueError: The shape does not fit, or a label lacks a class that ``empty`` does not allow to be missing.
        """
        counts = to_tensor("class_counts", class_counts)
        if counts.ndim not in (1, 2) or counts.shape[-1] != 2 or not counts.numel():
            raise ValueError(
                "`class_counts` must have shape (2,) or (L, 2), [negatives, positives], "
                f"got class_counts.shape={tuple(counts.shape)}."
            )
        pairs = counts.reshape(-1, 2)
        missing = pairs == 0 if empty == "error" else (pairs[:, :1] == 0) & (empty == "zero")
        if bool(missing.any()):
            labels = ", ".join(map(str, torch.nonzero(missing.any(1)).flatten().tolist()))
            raise ValueError(
                f'Label {labels} has no positives or no negatives. Pass empty="clamp"; '
                'empty="zero" does for missing positives only.'
            )
        weights = torch.stack(
            [
                class_weights(
                    pair,
                    scheme,
                    beta=beta,
                    power=power,
                    normalize=normalize,
                    max_weight=max_weight,
                    empty=empty,
                )
                for pair in pairs
            ]
        )
        negative, positive = weights.reshape(counts.shape).unbind(-1)
        return cls(weight=negative, pos_weight=positive / negative, **loss_arguments)

    @classmethod
    def from_labels(cls, labels: Any, scheme: str = "balanced", **arguments: Any) -> Self:
        """Build the loss from the training labels: `from_counts` of their [negatives, positives].

        Args:
            labels: (N,) labels 0/1 of one output, or (N, L) of L labels.
            scheme: As in `class_weights`.
            **arguments: Keywords of `from_counts`.

        Raises:
            ValueError: The shape does not fit, or a label is neither 0 nor 1.
        """
        values = to_tensor("labels", labels)
        if values.ndim not in (1, 2) or not values.numel():
            raise ValueError(
                f"`labels` must have shape (N,) or (N, L) with N > 0, got labels.shape={tuple(values.shape)}."
            )
        others = values[(values != 0) & (values != 1)]
        if others.numel():
            raise ValueError(f"`labels` must be 0 or 1, got {others[0].item()}.")
        positives = (values == 1).sum(0)
        return cls.from_counts(torch.stack([len(values) - positives, positives], -1), scheme, **arguments)

    def element_loss(self, logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
        """Return the cross-entropy of each element."""
        return _cross_entropy_of_element(logits, target, pos_weight)


def _cross_entropy_of_element(logits: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
    return -expectation(*log_sigmoids(logits), target, pos_weight)
