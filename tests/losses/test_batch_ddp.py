"""The losses of a whole batch: two gloo ranks with five and three rows (or eight and none) against one with eight."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("batch_ddp_worker.py")
spec = importlib.util.spec_from_file_location("batch_loss_ddp_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

pytestmark = pytest.mark.ddp
VALID = pytest.mark.parametrize("valid", list(worker.SPLITS))
LOCAL = [name for name in worker.LOSSES if name.endswith(("sum", "none"))]
SYNCED = [name for name in worker.LOSSES if name not in LOCAL]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), "2", str(folder / "store"), str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@VALID
@pytest.mark.parametrize("name", SYNCED)
def test_on_each_rank_value_and_gradient_are_those_of_one_process(ranks, name, valid):
    loss, gradient = worker.run(worker.network(), name, False, valid, slice(None))
    assert (loss > 1e-3) == (valid != "none")
    for rank in ranks:
        value, averaged = rank[f"{name}/True/{valid}"]
        torch.testing.assert_close(value, loss)
        torch.testing.assert_close(averaged, gradient)  # DDP has averaged: the same on both ranks


@pytest.mark.parametrize("name", SYNCED)
def test_without_sync_the_ranks_differ_from_one_process(ranks, name):
    loss, gradient = worker.run(worker.network(), name, False, "all", slice(None))
    (first, one), (second, _) = (rank[f"{name}/False/all"] for rank in ranks)
    assert abs((first + second) / 2 - loss) > 1e-4
    assert (one - gradient).abs().max() > 1e-4
    alone = worker.run(worker.network(), name, False, "all", slice(0, worker.SPLITS["all"]))
    torch.testing.assert_close(first, alone[0])


@VALID
@pytest.mark.parametrize("name", LOCAL)
def test_sum_and_none_are_never_synchronised(ranks, name, valid):
    for rank in ranks:
        for on, off in zip(rank[f"{name}/True/{valid}"], rank[f"{name}/False/{valid}"], strict=True):
            assert torch.equal(on, off)


def test_every_value_and_gradient_is_finite(ranks):
    for rank in ranks:
        for loss, gradient in rank.values():
            assert loss.isfinite().all()
            assert gradient.isfinite().all()


@pytest.mark.parametrize("name", SYNCED)
def test_without_a_process_group_sync_changes_nothing(name):
    on, off = (worker.run(worker.network(), name, sync, "all", slice(None)) for sync in (True, False))
    torch.testing.assert_close(on, off, rtol=0, atol=0)
