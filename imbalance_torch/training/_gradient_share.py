"""Which rows the gradient comes from: the share of the minority, and of the negatives that are right already."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from imbalance_torch._checks import check_int
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._loaders import unpack

_EASY = 0.9


class GradientShareMonitor(Callback):
    r"""Log which share of the gradient on the logits comes from the minority class and from easy negatives.

    .. math:: s_G = \frac{\sum_{i \in G} |\partial L / \partial z_i|}{\sum_i |\partial L / \partial z_i|}

    with L the training loss, :math:`z_i` the logits of row i (of all its classes for a softmax loss; each label of a
    row by itself for a multi-label loss) and G a group. ``train/gradient_share_minority`` is that of the rows of the
    rarest class, ``train/gradient_share_easy_negatives`` that of the other rows whose own class the network gives a
    probability above 0.9 (the softmax or sigmoid of its raw logits). The minority of a label is its rarer side.

    A high share of easy negatives means that rows with nothing left to learn drown the rest: a focal loss, class
    weights or a sampler move it.

    Args:
        every_n_steps: optimiser steps between two measurements, >= 1; the first is at step ``every_n_steps``.

    Raises:
        ValueError: at the start of a training whose class counts are unknown.

    Notes:
        The gradient is the one that the step computes anyway, read off the network's output: neither weights nor random
        states change, whatever the loss does. Memory: the logits and their gradient, at the measured steps only.
        Values go to ``trainer.callback_metrics`` and straight to the loggers, whatever ``log_every_n_steps`` is.
        There is no collective: loggers write the values of rank 0, on its own batch. Of several batches accumulated to
        one step each is measured. Each member's logits of an ensemble count as rows of their own. A batch whose
        gradient is zero or not finite gives no value.
        The network must be the module's ``network``, called once in a step.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017 (easy negatives).

    Example:
        >>> trainer = L.Trainer(callbacks=[GradientShareMonitor()], logger=False, enable_checkpointing=False)
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        self.every_n_steps = check_int("every_n_steps", every_n_steps, minimum=1)
        self._logits: Tensor | None = None
        self._handle: Any = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Check that the minority is known."""
        if pl_module.prior.isnan().any():
            raise ValueError(
                "GradientShareMonitor needs the class counts of the training data. "
                "Pass `class_counts` to ImbalancedClassifier."
            )

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Watch the network's output where a measurement is due."""
        if (trainer.global_step + 1) % self.every_n_steps == 0:
            self._handle = pl_module.network.register_forward_hook(self._watch)
            self._step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the shares of the step."""
        logits = self._logits
        self._forget()
        if logits is None or logits.grad is None:
            return
        target = unpack(batch)[1]
        minority, easy = gradient_shares(pl_module, logits.detach(), logits.grad, target)
        if not torch.isfinite(minority):
            return
        shares = {
            "train/gradient_share_minority": float(minority),
            "train/gradient_share_easy_negatives": float(easy),
        }
        trainer.callback_metrics.update({name: torch.tensor(share) for name, share in shares.items()})
        for logger in trainer.loggers:
            logger.log_metrics(shares, step=self._step)

    def on_exception(self, *_: Any) -> None:
        """Leave the network as it was."""
        self._forget()

    def _watch(self, network: nn.Module, inputs: Any, logits: Tensor) -> None:
        if logits.requires_grad:
            logits.retain_grad()
            self._logits = logits

    def _forget(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._logits = None


def gradient_shares(
    module: ImbalancedClassifier, logits: Tensor, gradient: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the shares of the minority and of the easy negatives; NaN where there is no gradient."""
    if module.num_members:
        target = target.repeat_interleave(module.num_members, 0)
        logits, gradient = logits.flatten(0, 1), gradient.flatten(0, 1)
    logits, size, rarest = logits.float(), gradient.float().abs(), module.prior.argmin(-1).to(logits.device)
    if module.task == "multilabel" or logits.ndim == 1 or logits.shape[1] == 1:
        logits, size, positive = logits.reshape(target.shape), size.reshape(target.shape), target > 0.5
        own = torch.where(positive, logits, -logits).sigmoid()
        minority = positive == rarest.bool()
    else:
        index = target.argmax(1) if target.is_floating_point() else target.long()
        own = logits.softmax(1).gather(1, index.clamp(min=0)[:, None])[:, 0]  # an ignored row has no gradient
        size, minority = size.sum(1), index == rarest
    total = size.sum()
    return (size * minority).sum() / total, (size * (~minority & (own > _EASY))).sum() / total
