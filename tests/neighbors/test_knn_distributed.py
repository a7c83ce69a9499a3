"""Query rows shared by two processes give what one process gives."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from imbalance_torch.neighbors import knn


def work(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    x = torch.randn(101, 4, generator=torch.Generator().manual_seed(0))
    shared = knn(x, x, 5, exclude_self=True, process_group=dist.group.WORLD)
    single = knn(x[:1], x, 3, process_group=dist.group.WORLD)  # the second rank has no query row
    try:
        knn(x + rank, x, 5, process_group=dist.group.WORLD)
        refused = False
    except ValueError as error:
        refused = "same `query` and `reference`" in str(error)
    torch.save((shared._asdict(), single._asdict(), refused), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.ddp
def test_two_ranks_equal_one(tmp_path):
    mp.start_processes(work, (str(tmp_path),), nprocs=2, start_method="spawn")
    x = torch.randn(101, 4, generator=torch.Generator().manual_seed(0))
    for rank in range(2):
        shared, single, refused = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for result, expected in ((shared, knn(x, x, 5, exclude_self=True)), (single, knn(x[:1], x, 3))):
            assert torch.equal(result["indices"], expected.indices)
            assert torch.equal(result["distances"], expected.distances)
        assert refused
