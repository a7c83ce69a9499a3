"""Every metric on two gloo ranks with 61 and 40 rows, or all and none, against one process with all of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imbalance_torch import metrics

WORKER = Path(__file__).with_name("metrics_ddp_worker.py")
spec = importlib.util.spec_from_file_location("metrics_ddp_worker", WORKER)
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

pytestmark = pytest.mark.ddp


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


@pytest.mark.parametrize("split", list(worker.SPLITS))
@pytest.mark.parametrize("name", list(worker.METRICS))
def test_each_rank_has_the_value_of_one_process(ranks, name, split):
    one = worker.run(name, split, slice(None))
    for rank in ranks:
        torch.testing.assert_close(rank[f"{name}/{split}"], one, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(worker.METRICS))
def test_the_first_rank_alone_would_have_another_value(name):
    assert worker.run(name, "odd", slice(None)) != worker.run(name, "odd", slice(0, worker.SPLITS["odd"]))


def test_no_metric_is_forgotten():
    classes = {name for name in metrics.__all__ if name[0].isupper()}
    assert {type(build()).__name__ for build in worker.METRICS.values()} == classes
