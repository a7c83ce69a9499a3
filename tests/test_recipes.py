"""Every recipe runs through the command line with the fast overlay; the set of files is fixed."""

from pathlib import Path

import numpy as np
import pytest

from imbalance_torch.cli import main
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.training import LOSSES, RECIPES, RESAMPLERS, SAMPLERS

CONFIGS = Path(__file__).parents[1] / "configs"
QUICK = [*RECIPES, "multiclass", "multilabel", "images"]
SLOW = [
    "adasyn",
    "asymmetric",
    "balanced",
    "balanced_softmax",
    "borderline_smote",
    "deferred",
    "ldam",
    "logit_adjusted",
]
SLOW += ["poly1", "progressive", "random_oversampling", "resnet", "smotenc", "tabm", "vs", "weighted"]
COMMANDS = ("fit", "validate", "test", "predict")


def test_the_set_of_configs():
    assert sorted(file.name for file in (CONFIGS / "recipes").rglob("*")) == sorted(f"{n}.yaml" for n in QUICK + SLOW)
    assert sorted(file.name for file in (CONFIGS / "overlays").rglob("*")) == ["ddp.yaml", "fast.yaml", "gpu.yaml"]
    told = (CONFIGS / "README.md").read_text()
    assert [name for name in QUICK + SLOW if f"`recipes/{name}.yaml`" not in told] == []


def test_every_registry_name_has_a_recipe():
    same = {"cross_entropy": "baseline", "rotating_undersampling": "undersample"}
    for name in (*LOSSES, *SAMPLERS, *RESAMPLERS):
        assert same.get(name, name) in QUICK + SLOW


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    load_nyc_flights().frame.iloc[::60].to_parquet(folder / "flights.parquet")
    generator = np.random.default_rng(0)
    np.save(folder / "features.npy", generator.normal(size=(600, 5)).astype(np.float32))
    np.save(folder / "labels.npy", (generator.random((600, 3)) < 0.2).astype(np.int64))
    np.save(folder / "images.npy", generator.normal(size=(600, 1, 16, 16)).astype(np.float32))
    np.save(folder / "classes.npy", np.digitize(generator.random(600), [0.7, 0.9]))
    return folder


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_it_runs(name, arrays, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(arrays)
    words = ["--config", str(CONFIGS / f"recipes/{name}.yaml"), "--config", str(CONFIGS / "overlays/fast.yaml")]
    words += ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    words += ["--trainer.default_root_dir", str(tmp_path)]
    if name not in ("multilabel", "asymmetric", "images"):
        target = "origin" if name == "multiclass" else "cancelled"  # the slice has airlines with a single row
        words += ["--data.source", "flights.parquet", "--data.target", target, "--data.time", "scheduled_departure"]
    assert main(["fit", *words]) == 0
    checkpoint = next(tmp_path.rglob("*.ckpt"))
    for command in COMMANDS[1:] if name in ("baseline", "multilabel") else ():
        assert main([command, *words, "--ckpt_path", str(checkpoint)]) == 0
