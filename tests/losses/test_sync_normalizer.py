"""Two gloo ranks with five and three rows against one process with eight."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("ddp_worker.py")
spec = importlib.util.spec_from_file_location("loss_ddp_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

pytestmark = pytest.mark.ddp
VALID = pytest.mark.parametrize("valid", ["all", "rank 0", "none"])
SYNCED = ["weight", "count", "weighted", "sigmoid", "sigmoid_weight", "positives", *worker.CASES]


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
def test_synced_mean_equals_one_process(ranks, name, valid):
    loss, gradient = worker.run(worker.network(), name, False, valid, slice(None))
    (first, one), (second, two) = (rank[f"{name}/True/{valid}"] for rank in ranks)
    torch.testing.assert_close((first + second) / 2, loss)
    for averaged in (one, two):  # DDP has averaged: the same on both ranks
        torch.testing.assert_close(averaged, gradient)


@pytest.mark.parametrize("name", SYNCED)
def test_without_sync_the_uneven_ranks_differ_from_one_process(ranks, name):
    loss, gradient = worker.run(worker.network(), name, False, "all", slice(None))
    (first, one), (second, _) = (rank[f"{name}/False/all"] for rank in ranks)
    assert abs((first + second) / 2 - loss) > 1e-4
    assert (one - gradient).abs().max() > 1e-4
    alone = worker.run(worker.network(), name, False, "all", slice(0, worker.SPLIT))
    torch.testing.assert_close(first, alone[0])


@VALID
@pytest.mark.parametrize("name", ["number", "sum", "none"])
def test_sum_none_and_numbers_are_never_synchronised(ranks, name, valid):
    for rank in ranks:
        for on, off in zip(rank[f"{name}/True/{valid}"], rank[f"{name}/False/{valid}"], strict=True):
            assert torch.equal(on, off)
    assert len(ranks[0][f"none/True/{valid}"][0]) == worker.SPLIT


@pytest.mark.parametrize("name", [name for name in worker.LOSSES if name.startswith("neutral")])
def test_the_default_is_what_torch_gives_under_ddp(ranks, name):
    reference = "torch sigmoid" if name in worker.SIGMOID else "torch"
    for rank in ranks:
        for ours, theirs in zip(rank[f"{name}/False/all"], rank[f"{reference}/False/all"], strict=True):
            torch.testing.assert_close(ours, theirs)


@VALID
def test_every_gradient_is_finite(ranks, valid):
    for rank in ranks:
        for key, (loss, gradient) in rank.items():
            if key.endswith(valid) and not key.startswith("torch"):  # torch: NaN where nothing is valid
                assert loss.isfinite().all()
                assert gradient.isfinite().all()


def test_without_a_process_group_sync_changes_nothing():
    for name in SYNCED:
        on, off = (worker.run(worker.network(), name, sync, "all", slice(None)) for sync in (True, False))
        torch.testing.assert_close(on, off, rtol=0, atol=0)
