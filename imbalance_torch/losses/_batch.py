"""Losses that score a batch as a whole: what they share, also over several processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_class_vector, check_int, check_tensor
from imbalance_torch.losses._arguments import check_nonnegative, describe, keep, refuse_posterior


class AbstractBatchLoss(nn.Module, ABC):
    """Base of the losses that score a batch as a whole: holds the common arguments; a loss adds `batch_loss`."""

    no_posterior: ClassVar[str]
    """Why logits trained with this loss have no map to probabilities."""
    weight: Tensor | None
    ignore_index: int | None
    reduction: str
    sync_normalizer: bool

    def __init__(
        self, *, weight: Tensor | None, ignore_index: int | None, reduction: str, sync_normalizer: bool
    ) -> None:
        super().__init__()
        check_batch_options(ignore_index, reduction)
        if weight is not None:
            check_nonnegative("weight", check_class_vector("weight", weight))
        keep(self, weight=weight, ignore_index=ignore_index, reduction=reduction, sync_normalizer=sync_normalizer)

    def forward(self, logits: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: Float tensor, of a shape that the function of this loss takes.
            target: As the function of this loss takes it.
            sample_weight: Weights of the leading dimensions of the rows, or None.

        Returns:
            A 0-d tensor, or for ``reduction="none"`` one loss per class or label in the dtype of ``logits``.
        """
        return self.batch_loss(
            logits,
            target,
            weight=self.weight,
            sample_weight=sample_weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            sync=self.sync_normalizer,
        )

    @abstractmethod
    def batch_loss(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Return the loss with the common arguments as ``options``."""

    def log_posterior(self, logits: Tensor, *, prior: Any, train_prior: Any = None) -> NoReturn:
        """Raise a `NoPosteriorError`: there is no exact map from logits trained with this loss to probabilities."""
        refuse_posterior(self, self.no_posterior)

    def extra_repr(self) -> str:
        """Show every argument."""
        return describe(self)


def check_batch_options(ignore_index: int | None, reduction: str) -> None:
    """Raise unless the options that every loss of a batch has are of the right kind."""
    if ignore_index is not None:
        check_int("ignore_index", ignore_index)
    check_choice("reduction", reduction, ("none", "mean", "sum"))


def check_weights(weight: Tensor | None, num_labels: int, sample_weight: Tensor | None, rows: torch.Size) -> None:
    """Raise unless ``weight`` has one entry per label and ``sample_weight`` the leading dimensions of ``rows``."""
    if weight is not None:
        check_class_vector("weight", weight, num_labels)
    if sample_weight is not None and check_tensor("sample_weight", sample_weight).shape != rows[: sample_weight.ndim]:
        raise ValueError(
            f"`sample_weight` must have the leading dimensions of {tuple(rows)}, "
            f"got sample_weight.shape={tuple(sample_weight.shape)}."
        )


def spread(sample_weight: Tensor | None, rows: torch.Size, like: Tensor) -> Tensor:
    """Return the weights of the leading dimensions in the shape ``rows`` and the dtype of ``like``; None means ones."""
    if sample_weight is None:
        return like.new_ones(rows)
    missing = (1,) * (len(rows) - sample_weight.ndim)
    return sample_weight.to(like.dtype).reshape(sample_weight.shape + missing).expand(rows)


def reduce_present(
    losses: Tensor, present: Tensor, weight: Tensor | None, reduction: str, dtype: torch.dtype
) -> Tensor:
    """Weight the loss of each label, 0 where not ``present``, and reduce; ``mean`` is over the labels present."""
    weight = torch.ones_like(losses) if weight is None else weight.to(losses.dtype)
    weighted = losses * weight
    if reduction == "none":
        return weighted.to(dtype)
    if reduction == "sum":
        return weighted.sum()
    total = torch.where(present, weight, 0.0).sum()
    return weighted.sum() / torch.where(total == 0, 1.0, total)


def joins_ranks(sync: bool, reduction: str) -> bool:
    """Return whether the loss is that of the joined batch of all ranks: a ``mean`` that asks for it."""
    return sync and reduction == "mean" and dist.is_available() and dist.is_initialized()


def sum_over_ranks(local: Tensor) -> Tensor:
    """Return the sum over the ranks, with a gradient that averaged over the ranks is the gradient of the sum."""
    total = local.detach().clone()
    dist.all_reduce(total)
    return total + dist.get_world_size() * (local - local.detach())
