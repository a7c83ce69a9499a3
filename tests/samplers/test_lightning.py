"""Under a real two-process Lightning run every rank gets its own batches, in the sampler's order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imbalance_torch.samplers import ClassBalancedSampler

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


@pytest.mark.ddp
@pytest.mark.parametrize("hooked", [True, False])
@pytest.mark.parametrize("inject", [True, False])
@pytest.mark.parametrize("form", ["sampler", "batch_sampler"])
def test_order_is_kept(seen, form, inject, hooked):
    for rank in range(2):
        sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=2, rank=rank)
        expected = []
        for _ in range(2):
            rows = sampler.indices()
            expected.append([chunk.tolist() for chunk in rows.split(8)])
            sampler.advance(len(rows))
        assert all(int(LABELS[batch].sum()) == 4 for epoch in expected for batch in epoch)
        assert seen[rank][f"{form}-{inject}-{hooked}"] == expected
