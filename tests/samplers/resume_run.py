"""Training runs that stop inside an epoch and go on; test_resume.py starts this file on two ranks and for a kill."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, make_loader
from imbalance_torch.training import ElasticResume

LABELS = torch.tensor([0] * 70 + [1] * 10)
DATA = TensorDataset(torch.arange(len(LABELS)), LABELS)


class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.validated = [], []

    def training_step(self, batch):
        self.seen.append([self.current_epoch, batch[0].tolist()])
        return self.weight.sum()

    def validation_step(self, batch):
        self.validated.append(self.current_epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Save(Callback):
    """Save a checkpoint after step ``step``; to ``kill``, write what was seen and end the process without a word."""

    def __init__(self, file, step, kill=False):
        self.file, self.step, self.kill = Path(file), step, kill

    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)
            if self.kill:
                self.file.with_suffix(".json").write_text(json.dumps(module.seen))
                os.kill(os.getpid(), signal.SIGKILL)


def fit(*, checkpoint=None, loader=None, **options):
    """Return [epoch, rows] of every step of one run, and the epochs that were validated."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        accelerator="cpu", num_sanity_val_steps=0, enable_model_summary=False, **{**quiet, "devices": 1, **options}
    )
    module = Recorder()
    train = make_loader(DATA, ClassBalancedSampler(LABELS, batch_size=8), **(loader or {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, train, DataLoader(DATA, 80), ckpt_path=checkpoint)
    return module.seen, module.validated


def main(folder, what):
    if what == "kill":
        fit(max_epochs=3, callbacks=[Save(folder / "killed.ckpt", 13, kill=True)])
    runs = {}
    two = {"devices": 2, "strategy": "ddp", "max_epochs": 2}
    for steps in (3, 4, 10):
        runs[f"one on two, {steps}"] = fit(checkpoint=folder / f"one{steps}.ckpt", callbacks=[ElasticResume()], **two)
    for steps in (3, 5):
        fit(callbacks=[Save(folder / f"two{steps}.ckpt", steps)], **{**two, "max_steps": steps})
        runs[f"two on two, {steps}"] = fit(
            checkpoint=folder / f"two{steps}.ckpt", callbacks=[ElasticResume()] * (steps == 3), **two
        )
    (folder / f"rank{torch.distributed.get_rank()}.json").write_text(json.dumps(runs))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
