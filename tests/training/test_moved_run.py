"""A run directory that is moved or copied after an interruption is resumed as if it had stayed where it was."""

import shutil
from typing import Any

import pytest
import torch

from imbalance_torch.training import BestCheckpoint, DataOptions, Settings, StepProgress, resume, train


class _PowerCut(Exception):
    pass


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_moved_run_keeps_its_best_weights(move, flights_csv, tmp_path, monkeypatch):
    # At this learning rate the best validation is the first, and the break comes before the second.
    settings = Settings(
        network="mlp", max_steps=60, batch_size=128, learning_rate=0.1, checkpoint_every=5, early_stopping=True
    )
    options = DataOptions(str(flights_csv), "cancelled", "scheduled_departure")
    train(options, settings, tmp_path / "whole")
    original = StepProgress.on_train_batch_end

    def stop(self: StepProgress, trainer: Any, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.global_step == 6:
            raise _PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(StepProgress, "on_train_batch_end", stop)
        with pytest.raises(_PowerCut):
            train(options, settings, tmp_path / "cut")
    move(tmp_path / "cut", tmp_path / "there")
    resume(tmp_path / "there")
    kept = torch.load(tmp_path / "there/checkpoints/best.ckpt", weights_only=True)
    assert kept["global_step"] == 3
    for name in ("metrics.json", "model/model.safetensors"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def _state(directory, score: float) -> dict[str, Any]:
    saved = BestCheckpoint(directory)
    file = str(directory / "best.ckpt")
    saved.best_model_path = saved.kth_best_model_path = file
    saved.best_k_models, saved.best_model_score = {file: torch.tensor(score)}, torch.tensor(score)
    return saved.state_dict()


def test_the_paths_are_those_of_the_present_directory(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    now.mkdir()
    (now / "best.ckpt").touch()
    best = BestCheckpoint(now)
    best.load_state_dict(_state(before, 0.7))
    assert float(best.best_model_score) == pytest.approx(0.7)
    assert best.best_model_path == best.kth_best_model_path == str(now / "best.ckpt")
    assert list(best.best_k_models) == [str(now / "best.ckpt")]
    assert best.last_model_path == ""
    assert best.dirpath == str(now)


def test_without_the_file_nothing_is_taken_for_the_best(tmp_path):
    best = BestCheckpoint(tmp_path / "now")
    with pytest.warns(UserWarning, match="dirpath has changed"):
        best.load_state_dict(_state(tmp_path / "before", 0.7))
    assert best.best_model_score is None
    assert best.best_k_models == {}
