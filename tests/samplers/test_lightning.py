"""Under a real two-process Lightning run every rank gets its own batches, in the sampler's order."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.data import _update_dataloader as fabric_update
from lightning.pytorch.utilities.data import _update_dataloader as trainer_update
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.samplers import BalancedDataLoader, ClassBalancedSampler, make_loader

LABELS = torch.tensor([0] * 70 + [1] * 10)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lightning")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("lightning_run.py"), folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


def epochs_of(rank):
    sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=2, rank=rank)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append([chunk.tolist() for chunk in sampler.indices().split(8)])
    return epochs


@pytest.mark.ddp
@pytest.mark.parametrize("hooked", [True, False])
@pytest.mark.parametrize("inject", [True, False])
@pytest.mark.parametrize("form", ["sampler", "batch_sampler", "loader"])
def test_order_is_kept(seen, form, inject, hooked):
    for rank in range(2):
        assert seen[rank][f"{form}-{inject}-{hooked}"] == epochs_of(rank)


@pytest.mark.ddp
def test_ranks_are_disjoint_and_complete(seen):
    sampler = ClassBalancedSampler(LABELS, batch_size=8)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        shards = [seen[rank]["loader-True-True"][epoch] for rank in range(2)]
        batches = list(chain.from_iterable(shards))
        assert sorted(chain.from_iterable(batches)) == sorted(sampler.indices().tolist())
        assert all(int(LABELS[batch].sum()) == 4 for batch in batches)


@pytest.mark.parametrize("update", [fabric_update, trainer_update])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_the_loader_can_be_built_again_from_its_attributes(update, batch_size):
    dataset = TensorDataset(torch.arange(len(LABELS)), LABELS)
    sampler = ClassBalancedSampler(LABELS, batch_size=batch_size)
    loader = make_loader(dataset, sampler, batch_size=8, timeout=0, persistent_workers=False, collate_fn=list)
    again = update(loader, loader.sampler)
    assert type(again) is BalancedDataLoader
    assert again.sampler is sampler
    assert (again.batch_size, again.drop_last, again.collate_fn) == (8, False, list)
    assert len(list(again)) == 10
    with pytest.raises(TypeError, match="build a plain DataLoader"):
        update(loader, DataLoader(dataset).sampler)
