"""Fabric, Lightning with workers, accelerate, torchdata: the sampler's order, no row shared out twice, exact resume."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, RotatingUnderSampler, ShuffledSampler, for_accelerate
from tests.samplers.test_lightning import epochs_of as lightning_epochs

LABELS = torch.tensor([0] * 70 + [1] * 13)
DATA = TensorDataset(torch.arange(len(LABELS)), LABELS)
FORKED = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60}
HAS_ACCELERATE = importlib.util.find_spec("accelerate") is not None
needs_accelerate = pytest.mark.skipif(not HAS_ACCELERATE, reason="accelerate is not installed")
needs_torchdata = pytest.mark.skipif(importlib.util.find_spec("torchdata") is None, reason="torchdata is not installed")


def epochs(count, world=1, rank=0):
    sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=world, rank=rank)
    result = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        result.append([part.tolist() for part in sampler.indices().split(8)])
    return result


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frameworks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    pair = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.samplers.frameworks_run", folder, *["accelerate"] * HAS_ACCELERATE],
            env={**os.environ, **shared, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in pair]
    finally:
        for process in pair:
            process.kill()
    assert [process.returncode for process in pair] == [0, 0], "".join(errors)[-4000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("inject", [True, False])
def test_fabric_keeps_the_order(ranks, inject):
    for rank, runs in enumerate(ranks):
        assert runs[f"fabric {inject}"] == epochs(2, 2, rank)


@pytest.mark.ddp
@pytest.mark.slow
def test_fabric_resumes_inside_an_epoch_and_goes_on_from_it(ranks):
    for rank, runs in enumerate(ranks):
        first, second, third, fourth = epochs(4, 2, rank)
        assert runs["before"] == [first, second[:2]]
        assert runs["after"] == [second[2:], third, fourth]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("hooked", [True, False])
@pytest.mark.parametrize("inject", [True, False])
def test_lightning_keeps_the_order_with_workers(ranks, inject, hooked):
    for rank, runs in enumerate(ranks):
        assert runs[f"workers-{inject}-{hooked}"] == lightning_epochs(rank)


@needs_accelerate
@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("form", ["made", "plain", "batch sampler"])
def test_accelerate_shares_out_each_batch_once(ranks, form):
    for epoch, stream in enumerate(epochs(2)):
        shards = [runs[f"accelerate {form}"][epoch] for runs in ranks]
        full = [batch for batch in stream if len(batch) == 8]
        steps = len(full) // 2
        for rank, shard in enumerate(shards):
            assert shard[:steps] == full[rank::2][:steps]
        fed = list(chain.from_iterable(chain.from_iterable(shards)))
        assert set(fed) >= set(chain.from_iterable(stream))
        assert len(fed) - len(list(chain.from_iterable(stream))) < 16  # accelerate fills up its last step


@needs_accelerate
@pytest.mark.ddp
@pytest.mark.slow
def test_accelerate_moves_the_sampler_on(ranks):
    for runs in ranks:
        assert (runs["place"]["epoch"], runs["place"]["consumed"]) == (2, 0)


@needs_accelerate
@pytest.mark.ddp
@pytest.mark.slow
def test_accelerate_resumes(ranks):
    stream = epochs(6)
    for rank, runs in enumerate(ranks):
        for epoch, shard in zip((2, 3), runs["accelerate resumed"], strict=True):
            assert shard[:5] == stream[epoch][:10][rank::2]
        assert runs["accelerate skipped"][:3] == stream[5][:10][rank::2][2:]


@needs_accelerate
@pytest.mark.parametrize("cls", [ClassBalancedSampler, RotatingUnderSampler, ShuffledSampler])
@pytest.mark.parametrize("world", [2, 3])
def test_batch_sampler_shards_hold_the_stream_once(cls, world):
    from accelerate.data_loader import BatchSamplerShard

    stream = list(cls(LABELS, batch_size=4, num_replicas=1, rank=0))
    fed = []
    for rank in range(world):
        sampler = for_accelerate(cls(LABELS, batch_size=4, num_replicas=world, rank=rank))
        fed += chain(*BatchSamplerShard(BatchSampler(sampler, 4, False), world, rank, even_batches=False))
    assert sorted(fed) == sorted(stream)


def test_for_accelerate_starts_at_the_place_and_leaves_the_original_alone():
    sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=2, rank=1)
    sampler.set_epoch(3)
    whole = for_accelerate(sampler)
    assert (whole.num_replicas, whole.rank, whole.epoch) == (1, 0, 3)
    assert len(list(whole)) == len(LABELS)
    assert (sampler.num_replicas, sampler.rank, sampler.epoch) == (2, 1, 3)
    restored = for_accelerate(ClassBalancedSampler(LABELS, batch_size=8, num_replicas=2, rank=0))
    restored.load_state_dict(whole.state_dict())
    assert restored.epoch == 4
    with pytest.raises(TypeError, match="sampler"):
        for_accelerate(RandomSampler(DATA))


# torchdata 0.11 asks torch 2.13 for a name that torch has deprecated.
@needs_torchdata
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("workers", [{}, FORKED, {**FORKED, "persistent_workers": True}])
@pytest.mark.parametrize("steps", [1, 5, 10])
def test_stateful_dataloader(steps, workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    def build():
        return StatefulDataLoader(DATA, 8, sampler=ClassBalancedSampler(LABELS, batch_size=8), **workers)

    first, second = epochs(2)
    loader = build()
    iterator = iter(loader)
    assert [next(iterator)[0].tolist() for _ in range(steps)] == first[:steps]
    state = loader.state_dict()
    restored = build()
    restored.load_state_dict(state)
    assert [rows.tolist() for rows, _ in restored] == first[steps:]
    assert [rows.tolist() for rows, _ in restored] == second
