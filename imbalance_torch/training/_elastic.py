"""Resuming a Lightning run inside an epoch with another number of ranks."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from imbalance_torch.samplers import BalancedDataLoader


class ElasticResume(Callback):
    """Count the steps of a resumed epoch anew where a run goes on with another number of ranks.

    The trainer's own count is that of the old number: going from one rank to two it would end the epoch early and lose
    the rest. Pass it as ``Trainer(callbacks=[ElasticResume()])``; it acts on a training loader that is a
    ``BalancedDataLoader``, and leaves a run with the same number of ranks as it is.

    Example:
        >>> trainer = Trainer(callbacks=[ElasticResume()], logger=False, enable_checkpointing=False)
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the steps done from the loader's place."""
        loader, progress = trainer.train_dataloader, trainer.fit_loop.epoch_loop.batch_progress.current
        if isinstance(loader, BalancedDataLoader) and progress.ready:
            # At its last batch the loader stands at the beginning of the next epoch: all steps of this one are done.
            more = len(loader) - loader.batches_left % len(loader) - progress.ready
            for name in ("ready", "started", "processed", "completed"):
                setattr(progress, name, getattr(progress, name) + more)
