"""Schedules of a loss in shares of the run instead of epochs."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from imbalance_torch._checks import check_number


class LossSchedule(Callback):
    r"""Drive the schedule of a loss by optimiser steps, so that it spans the run whatever an epoch of the data is.

    .. math:: e = E \, t / T

    with e the epoch that the loss is told before each step, E = ``num_epochs``, t the optimiser steps done and T those
    of the whole run. With E = 1 the epochs of the loss are shares of the run:
    ``DeferredReweighting(loss, start_epoch=0.8)`` brings the class weights in for the last fifth of the steps. With
    the number of epochs of a paper its numbers hold as they are: E = 200 and ``start_epoch=160`` are the same schedule.

    Args:
        num_epochs: E > 0, the epochs of the loss that the run is stretched over.

    Raises:
        ValueError: at the start of a training whose loss has no schedule, or that has no end.

    Notes:
        Without it :class:`ImbalancedClassifier` tells the loss the epoch of the data, of which a run with ``max_steps``
        may have one only, or a fraction of one. T is the trainer's ``max_steps``, or its epochs in steps. The epoch
        follows from the step alone: a resumed run goes on with the same weights, and one resumed with another
        ``max_steps`` with those of the new schedule. Within accumulated batches it does not move.
        Probabilities are corrected by the weights in force. After a sudden change they are right once the network has
        followed it: leave it enough steps, or ramp the weights with ``schedule="linear"``.
        A sampler's schedule follows the rows that it has drawn: give a ``ProgressiveSampler`` epochs of
        ``num_samples = max_steps * batch_size / num_epochs`` rows instead.

    References:
        Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019 (deferred
        re-weighting, from epoch 160 of 200).

    Example:
        >>> trainer = L.Trainer(callbacks=[LossSchedule()], max_steps=100, logger=False, enable_checkpointing=False)
    """

    def __init__(self, num_epochs: float = 1.0) -> None:
        self.num_epochs = check_number("num_epochs", num_epochs, exclusive_minimum=0)

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Check that there is something to drive, and how far."""
        if not hasattr(pl_module.loss, "set_epoch"):
            raise ValueError(
                f"LossSchedule needs a loss with `set_epoch`, got {type(pl_module.loss).__name__}. "
                "Wrap it: DeferredReweighting(loss, start_epoch=0.8)."
            )
        if not math.isfinite(trainer.estimated_stepping_batches):
            raise ValueError(
                "LossSchedule needs the length of the run. Set `max_steps` or `max_epochs` of the trainer."
            )

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Tell the loss its epoch, after the module has told it that of the data."""
        steps = trainer.estimated_stepping_batches
        pl_module.loss.set_epoch(self.num_epochs * trainer.global_step / steps)
