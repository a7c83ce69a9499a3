"""Lightning runs that stop inside an epoch go on with exactly the batches that are left."""

import json
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from imbalance_torch.samplers import ClassBalancedSampler
from imbalance_torch.training import ElasticResume
from tests.samplers.resume_run import LABELS, Save, fit

FORKED = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 60}
PERSISTENT = {**FORKED, "persistent_workers": True}


def steps_of(epochs, world=1, rank=0):
    sampler = ClassBalancedSampler(LABELS, batch_size=8, num_replicas=world, rank=rank)
    steps = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        steps += [[epoch, part.tolist()] for part in sampler.indices().split(8)]
    return steps


def start(folder, what):
    return subprocess.run(
        [sys.executable, "-m", "tests.samplers.resume_run", folder, what],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("step", [1, 7, 10, 14])
@pytest.mark.parametrize(("before", "after"), [({}, {}), (FORKED, {}), ({}, FORKED), (PERSISTENT, PERSISTENT)])
def test_a_stopped_run_goes_on(tmp_path, step, before, after):
    file = tmp_path / "stopped.ckpt"
    seen, _ = fit(max_steps=step, loader=before, callbacks=[Save(file, step)])
    assert seen == steps_of(2)[:step]
    seen, validated = fit(max_epochs=3, loader=after, checkpoint=file)
    assert seen == steps_of(3)[step:]
    assert validated[-2:] == [1, 2]


def test_three_resumes_inside_one_epoch(tmp_path):
    seen, file = [], None
    for step, loader in zip([3, 4, 8, 20], [{}, FORKED, PERSISTENT, {}], strict=True):
        new = tmp_path / f"{step}.ckpt"
        seen += fit(max_steps=step, loader=loader, checkpoint=file, callbacks=[Save(new, step)])[0]
        file = new
    assert seen == steps_of(2)


@pytest.mark.parametrize("step", [4, 10])
def test_the_callback_leaves_other_runs_alone(tmp_path, step):
    file = tmp_path / "stopped.ckpt"
    seen, validated = fit(max_epochs=2, callbacks=[ElasticResume(), Save(file, step)])
    assert (seen, validated) == (steps_of(2), [0, 1])
    assert fit(max_epochs=2, checkpoint=file, callbacks=[ElasticResume()])[0] == steps_of(2)[step:]


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    killed = start(tmp_path, "kill")
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-4000:]
    seen = json.loads((tmp_path / "killed.json").read_text())
    assert len(seen) == 13
    assert seen + fit(max_epochs=3, checkpoint=tmp_path / "killed.ckpt")[0] == steps_of(3)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elastic")
    for step in (3, 4, 10):
        fit(max_steps=step, callbacks=[Save(folder / f"one{step}.ckpt", step)])
    done = start(folder, "pair")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_two_ranks_go_on(ranks, step):
    for rank, runs in enumerate(ranks[1]):
        assert runs[f"two on two, {step}"][0] == steps_of(2, 2, rank)[step:]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 4, 10])
def test_from_one_rank_to_two(ranks, step):
    rest = [rows for epoch, rows in steps_of(1)[step:] if epoch == 0]
    fed = []
    for rank, runs in enumerate(ranks[1]):
        seen, validated = runs[f"one on two, {step}"]
        first = [rows for epoch, rows in seen if epoch == 0]
        assert len(first) == -(-len(rest) // 2)
        fed += chain(*first)
        assert seen[len(first) :] == [[1, rows] for epoch, rows in steps_of(2, 2, rank) if epoch == 1]
        assert validated[-1:] == [1]
        assert (0 in validated) == (step != 10)
    assert sorted(fed) == sorted(chain(*rest))


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_from_two_ranks_to_one(ranks, step):
    seen, validated = fit(max_epochs=2, checkpoint=ranks[0] / f"two{step}.ckpt", callbacks=[ElasticResume()])
    assert seen == steps_of(2)[2 * step :]
    assert validated == ([0, 1] if step == 3 else [1])
