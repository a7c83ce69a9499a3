"""The ranking family: losses of the order of the logits within each label. One engine."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from imbalance_torch._checks import check_floating, check_same_device, check_tensor
from imbalance_torch._reduction import widen
from imbalance_torch.losses._batch import check_weights, joins_ranks, reduce_present, spread

NO_POSTERIOR = "only the order of the logits matters"
LabelRanking = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(logits, weights of positives, weights of negatives), each (L, N) -> (loss, whether the label counts), each (L,)."""


def ranking_loss(
    label_ranking: LabelRanking,
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    ignore_index: int | None,
    reduction: str,
    sync: bool = False,
) -> Tensor:
    """Return the ``label_ranking`` of each label, reduced; what is ignored has weight 0 and logit 0."""
    _check_shapes(logits, target)
    single = logits.ndim == 1
    check_weights(weight, 1 if single else logits.shape[1], sample_weight, logits.shape)
    check_same_device(logits=logits, target=target, weight=weight, sample_weight=sample_weight)
    z = widen(logits)
    s = spread(sample_weight, logits.shape, z)
    index = target.ndim < logits.ndim
    if index:
        target = target.unsqueeze(1)
    if not target.is_floating_point():
        target = target.long()
    if ignore_index is not None:
        valid = target != ignore_index
        z, s = torch.where(valid, z, 0.0), torch.where(valid, s, 0.0)
        target = torch.where(valid, target, 0)
    positive = torch.zeros_like(z).scatter(1, target, 1.0) if index else (target == 1).to(z.dtype)
    rows = torch.stack([z, s * positive, s * (1 - positive)], 1)
    if joins_ranks(sync, reduction):
        rows = gather_rows(rows)
    scores, positives, negatives = (rows.unsqueeze(2) if single else rows).permute(1, 2, 0)
    losses, counts = label_ranking(scores, positives, negatives)
    result = reduce_present(losses, counts, weight, reduction, logits.dtype)
    return result.squeeze(0) if single and reduction == "none" else result


def shares(weights: Tensor) -> Tensor:
    """Return each row of (L, N) weights divided by its sum; a row of zeros stays as it is."""
    total = weights.sum(1, keepdim=True)
    return weights / torch.where(total == 0, 1.0, total)


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all ranks, those of this rank with a gradient; a short rank is filled up with zeros.

    Averaged over the ranks, the gradient is that of one process on all rows. The longest rank decides the shape, so
    its length is read on the host, once.
    """
    ranks, rank = dist.get_world_size(), dist.get_rank()
    length = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(length) for _ in range(ranks)]
    dist.all_gather(lengths, length)
    longest = int(torch.cat(lengths).max())
    local = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
    blocks = [torch.empty_like(local) for _ in range(ranks)]
    dist.all_gather(blocks, local.detach())
    blocks[rank] = blocks[rank] + ranks * (local - local.detach())
    return torch.cat(blocks)


def _check_shapes(logits: Tensor, target: Tensor) -> None:
    shape = check_floating("logits", logits).shape
    if logits.ndim not in (1, 2):
        raise ValueError(f"`logits` must have shape (N,), (N, L) or (N, C), got {tuple(shape)}.")
    if check_tensor("target", target).shape == shape:
        return
    if target.shape != shape[:1] or target.is_floating_point() or target.dtype == torch.bool:
        raise ValueError(
            f"`target` must have the shape of `logits`, {tuple(shape)}, as 0/1 or {tuple(shape[:1])} as class indices, "
            f"got target.shape={tuple(target.shape)}, target.dtype={target.dtype}."
        )
    if shape[1] < 2:
        raise ValueError(f"`logits` must have C >= 2 for class indices, got {tuple(shape)}. For one output squeeze it.")
