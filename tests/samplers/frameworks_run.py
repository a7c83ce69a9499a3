"""Started twice by test_frameworks.py: Fabric, Lightning and accelerate share one pair of gloo processes."""

import json
import multiprocessing
import os
import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, for_accelerate, make_loader
from tests.samplers import lightning_run

LABELS = torch.tensor([0] * 70 + [1] * 13)
DATA = TensorDataset(torch.arange(len(LABELS)), LABELS)
WORKERS = {"num_workers": 2, "multiprocessing_context": "forkserver", "timeout": 60}


def epoch_of(loader, steps=None):
    seen = []
    for rows, _ in loader:
        seen.append(rows.tolist())
        if len(seen) == steps:
            break
    return seen


def sampler():
    return ClassBalancedSampler(LABELS, batch_size=8)


def fabric_runs(folder):
    from lightning.fabric import Fabric  # not at the top, which every worker imports

    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    runs = {}
    for inject in (True, False):
        loader = fabric.setup_dataloaders(make_loader(DATA, sampler()), use_distributed_sampler=inject)
        runs[f"fabric {inject}"] = [epoch_of(loader) for _ in range(2)]
    loader = fabric.setup_dataloaders(make_loader(DATA, sampler(), **WORKERS))
    runs["before"] = [epoch_of(loader), epoch_of(loader, 2)]
    fabric.save(folder / "fabric.ckpt", {"loader": loader})
    restored = fabric.setup_dataloaders(make_loader(DATA, sampler()))
    fabric.load(folder / "fabric.ckpt", {"loader": restored})
    runs["after"] = [epoch_of(restored) for _ in range(3)]
    return runs


def accelerate_runs():
    from accelerate import Accelerator, skip_first_batches

    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    whole = for_accelerate(sampler())
    loaders = {
        "made": make_loader(DATA, whole),
        "plain": DataLoader(DATA, batch_size=8, sampler=for_accelerate(sampler())),
        "batch sampler": DataLoader(DATA, batch_sampler=for_accelerate(sampler()).as_batch_sampler()),
    }
    runs = {}
    for name, loader in loaders.items():
        prepared = accelerator.prepare(loader)
        runs[f"accelerate {name}"] = [epoch_of(prepared) for _ in range(2)]
    runs["place"] = whole.state_dict()
    restored = for_accelerate(sampler())
    restored.load_state_dict(runs["place"])
    prepared = accelerator.prepare(make_loader(DATA, restored))
    prepared.set_epoch(restored.epoch)
    runs["accelerate resumed"] = [epoch_of(prepared) for _ in range(2)]
    prepared.set_epoch(5)
    skipping = skip_first_batches(prepared, 2)
    skipping.set_epoch(5)
    runs["accelerate skipped"] = epoch_of(skipping)
    return runs


def main(folder):
    multiprocessing.set_forkserver_preload(["torch", "imbalance_torch.samplers"])
    runs = fabric_runs(folder) | lightning_run.run(["workers"])
    if "accelerate" in sys.argv:
        runs |= accelerate_runs()
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(runs))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
