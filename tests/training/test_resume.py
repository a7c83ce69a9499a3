"""A run that is stopped and resumed ends exactly where the uninterrupted one ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from imbalance_torch.training import DataOptions, Settings, StepProgress, Technique, resume, train
from imbalance_torch.training import _fitting as fitting

TECHNIQUES = {
    "baseline": Technique(),
    "undersample": Technique(sampler="rotating_undersampling"),
    "progressive": Technique(sampler="progressive"),
    "weighted": Technique(sampler="weighted"),
    "smote": Technique(resampler="smote"),
}


class _PowerCut(Exception):
    pass


def _settings(name: str, **keywords: int) -> Settings:
    # 3,367 training rows in batches of 128: an epoch has 27 steps, so 60 steps cross two epoch boundaries.
    return Settings(TECHNIQUES[name], network="mlp", max_steps=60, batch_size=128, **keywords)


def _options(file: Path) -> DataOptions:
    return DataOptions(str(file), "cancelled", "scheduled_departure")


def _stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = StepProgress.on_train_batch_end

    def stop(self, trainer, *rest):
        original(self, trainer, *rest)
        if trainer.global_step == step:
            raise _PowerCut

    monkeypatch.setattr(StepProgress, "on_train_batch_end", stop)


def _same(one: Path, other: Path) -> None:
    for name in ("metrics.json", "model/model.safetensors", "model/model.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("name", TECHNIQUES)
@pytest.mark.parametrize("every", [5, 27])
def test_resumed_equals_uninterrupted(name, every, flights_csv, tmp_path, monkeypatch):
    settings = _settings(name, checkpoint_every=every)
    train(_options(flights_csv), settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        _stop_at(33, patch)
        with pytest.raises(_PowerCut):
            train(_options(flights_csv), settings, tmp_path / "cut")
    checkpoint = torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 33 // every * every
    assert not (tmp_path / "cut/model").exists()
    steps = []
    with monkeypatch.context() as patch:
        original = StepProgress.on_train_batch_end
        patch.setattr(
            StepProgress,
            "on_train_batch_end",
            lambda self, trainer, *rest: (steps.append(trainer.global_step), original(self, trainer, *rest)),
        )
        resume(tmp_path / "cut")
    assert steps == list(range(checkpoint["global_step"] + 1, 61))
    _same(tmp_path / "whole", tmp_path / "cut")


def test_three_interruptions(flights_csv, tmp_path, monkeypatch):
    settings = _settings("smote", checkpoint_every=4)
    train(_options(flights_csv), settings, tmp_path / "whole")
    for number, step in enumerate((9, 27, 50)):
        with monkeypatch.context() as patch:
            _stop_at(step, patch)
            with pytest.raises(_PowerCut):
                resume(tmp_path / "cut") if number else train(_options(flights_csv), settings, tmp_path / "cut")
    resume(tmp_path / "cut")
    _same(tmp_path / "whole", tmp_path / "cut")


def test_the_callers_random_state_is_left_alone(flights_csv, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(_options(flights_csv), _settings("baseline"), tmp_path / "one")
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    train(_options(flights_csv), _settings("baseline"), tmp_path / "two")
    _same(tmp_path / "one", tmp_path / "two")


def test_resume_refuses_what_it_cannot_continue(flights_csv, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        resume(tmp_path)
    file = tmp_path / "flights.csv"
    file.write_bytes(flights_csv.read_bytes())
    with monkeypatch.context() as patch:
        _stop_at(3, patch)
        with pytest.raises(_PowerCut):
            train(_options(file), _settings("baseline", checkpoint_every=50), tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*last\.ckpt"):
        resume(tmp_path / "run")
    file.write_bytes(flights_csv.read_bytes()[:-200])
    with pytest.raises(ValueError, match="has changed since the run began"):
        resume(tmp_path / "run")
    with pytest.raises(FileExistsError, match="not empty"):
        train(_options(flights_csv), _settings("baseline"), tmp_path / "run")


def test_damaged_runs_are_named(flights_csv, tmp_path):
    settings = _settings("baseline", checkpoint_every=30)
    train(_options(flights_csv), settings, tmp_path / "run")
    (tmp_path / "run/metrics.json").unlink()
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        resume(tmp_path / "run")
    (tmp_path / "run/run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        resume(tmp_path / "run")


def _unaudited(file):
    return DataOptions(str(file), "cancelled", audit=False)  # rows in the order of a time that is not named


def test_an_error_of_the_data_leaves_no_run(flights, tmp_path):
    few = flights[flights["cancelled"] == 0].head(300)
    few = few.assign(cancelled=(np.arange(300) % 60 == 0).astype(int))
    few.to_parquet(tmp_path / "few.parquet")
    with pytest.raises(ValueError, match="k_neighbors"):
        train(_unaudited(tmp_path / "few.parquet"), _settings("smote"), tmp_path / "run")
    few[["carrier", "cancelled"]].to_parquet(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="needs numeric columns"):
        train(_unaudited(tmp_path / "text.parquet"), _settings("smote"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_trained_again(flights_csv, tmp_path, monkeypatch):
    figures = train(_options(flights_csv), _settings("baseline"), tmp_path / "run")
    monkeypatch.setattr(fitting.L, "Trainer", None)
    assert resume(tmp_path / "run") == figures


def test_killed_between_the_last_step_and_the_model(flights_csv, tmp_path):
    settings = _settings("smote", checkpoint_every=30)
    train(_options(flights_csv), settings, tmp_path / "whole")
    train(_options(flights_csv), settings, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut/model")
    (tmp_path / "cut/metrics.json").unlink()
    resume(tmp_path / "cut")
    _same(tmp_path / "whole", tmp_path / "cut")


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if file.is_file():
            return
        assert process.poll() is None, "the run ended before its first checkpoint"
        time.sleep(0.05)
    raise AssertionError(f"no {file} within a minute")


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_process_is_resumed_exactly(kill, flights_csv, tmp_path):
    command = [sys.executable, "-m", "imbalance_torch"]
    options = ["--target", "cancelled", "--time", "scheduled_departure", "--resampler", "smote"]
    options += ["--max-steps", "600", "--batch-size", "128", "--checkpoint-every", "25"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([*command, "train", str(flights_csv), *options, "-o", str(whole)], check=True)
    process = subprocess.Popen(
        [*command, "train", str(flights_csv), *options, "-o", str(cut)],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs us in background
    )
    _wait_for(cut / "checkpoints/last.ckpt", process)
    time.sleep(0.2)
    os.kill(process.pid, kill)
    _, errors = process.communicate(timeout=60)
    expected = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[kill]
    assert process.returncode == expected, errors
    assert b"Traceback" not in errors
    step = torch.load(cut / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < 600
    finished = subprocess.run([*command, "resume", str(cut), "--json"], check=True, capture_output=True)
    assert json.loads(finished.stdout) == json.loads((whole / "metrics.json").read_text())
    _same(whole, cut)
