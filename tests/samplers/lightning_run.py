"""Started by test_lightning.py: trains on two ranks and writes the rows that each rank saw, epoch by epoch."""

import itertools
import json
import sys
import warnings
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, make_loader

LABELS = torch.tensor([0] * 70 + [1] * 10)
# Workers are not forked: a process that runs the threads of gloo may hang in its children.
WORKERS = {"num_workers": 2, "multiprocessing_context": "forkserver", "timeout": 60}


def build(form):
    dataset = TensorDataset(torch.arange(len(LABELS)), LABELS)
    sampler = ClassBalancedSampler(LABELS, batch_size=8)
    if form == "sampler":
        return DataLoader(dataset, batch_size=8, sampler=sampler)
    if form == "batch_sampler":
        return DataLoader(dataset, batch_sampler=sampler.as_batch_sampler())
    return make_loader(dataset, sampler, **(WORKERS if form == "workers" else {}))


def run(forms):
    from lightning.pytorch import LightningModule, Trainer  # not at the top, which every worker imports

    class Recorder(LightningModule):
        def __init__(self, form):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen = []
            if form is not None:
                self.train_dataloader = lambda: build(form)

        def on_train_epoch_start(self):
            self.seen.append([])

        def training_step(self, batch):
            self.seen[-1].append(batch[0].tolist())
            return self.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    warnings.filterwarnings("ignore")
    record = {}
    for form, inject, hooked in itertools.product(forms, [True, False], [True, False]):
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            devices=2,
            strategy="ddp",
            use_distributed_sampler=inject,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        model = Recorder(form if hooked else None)
        trainer.fit(model, None if hooked else build(form))
        record[f"{form}-{inject}-{hooked}"] = model.seen
    return record


def main(folder):
    record = run(["sampler", "batch_sampler", "loader"])
    Path(folder, f"rank{torch.distributed.get_rank()}.json").write_text(json.dumps(record))
    torch.distributed.destroy_process_group()  # left to the end of the interpreter, its threads abort it now and then


if __name__ == "__main__":
    main(sys.argv[1])
