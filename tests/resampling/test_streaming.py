"""Rows are planned and written in chunks: the same rows, exact counts, and memory that does not grow with them."""

import subprocess
import sys

import pytest
import torch

from imbalance_torch.resampling import SMOTE, _over, smote_from_plan


def data():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(300, 4, generator=generator, dtype=torch.float64)
    return X, torch.arange(300).ge(260).long() + torch.arange(300).ge(285)


def test_chunks_give_exact_counts_and_true_parents(monkeypatch):
    monkeypatch.setattr(_over, "_CHUNK", 32)
    X, y = data()
    info = SMOTE(random_state=0).fit_resample(X, y, return_info=True)
    assert info.y.bincount().tolist() == [260, 260, 260]
    assert torch.equal(info.X[300:], smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y[300:])
    assert torch.equal(SMOTE(random_state=0).fit_resample(X, y)[0], info.X)
    assert torch.equal(SMOTE(random_state=0).fit(X, y).sample(480).X, info.X[300:])


def test_chunks_have_streams_of_their_own(monkeypatch):
    monkeypatch.setattr(_over, "_CHUNK", 40)
    X, y = data()
    gap = SMOTE(random_state=0).fit(X, y).sample({1: 120}).gap
    assert not torch.equal(gap[:40], gap[40:80])
    monkeypatch.setattr(_over, "_CHUNK", 1000)
    assert torch.equal(SMOTE(random_state=0).fit(X, y).sample({1: 40}).gap, gap[:40])


def test_one_generator_runs_through_all_chunks(monkeypatch):
    monkeypatch.setattr(_over, "_CHUNK", 40)
    X, y = data()
    fitted = SMOTE().fit(X, y)
    draws = [fitted.sample({1: 100}, generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(draws[0].X, draws[1].X)
    assert not torch.equal(draws[0].gap[:40], draws[0].gap[40:80])


TEN_MILLION = """
import resource, sys, numpy as np, torch
from imbalance_torch.resampling import SMOTE
rng = np.random.default_rng(0)
X = rng.standard_normal((30_000, 50), dtype=np.float32)
y = np.arange(30_000) >= 10_000
out = np.lib.format.open_memmap(sys.argv[1], "w+", np.float32, (10_010_000, 50))
SMOTE({False: 10_000, True: 20_000}).fit_resample(X, y)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
import threading, time
peak, start, done = 0, anonymous(), False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.01)
thread = threading.Thread(target=watch); thread.start()
SMOTE({False: 9_990_000 + 10_000, True: 10_000}, memory_budget=64 << 20).fit_resample(X[:20_000], y[:20_000], out=out)
done = True; thread.join()
print((peak - start) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ten_million_rows_stay_within_the_budget(tmp_path):
    """Into a memory map of 2 GB: labels (80 MB) and the budget (64 MB) are all that is held."""
    run = subprocess.run(
        [sys.executable, "-c", TEN_MILLION, str(tmp_path / "rows.npy")], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 80 + 64 + 32
