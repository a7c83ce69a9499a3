"""The doctor: versions, what is missing and how to get it, and exit code 2 where something does not work."""

import json
from importlib.metadata import PackageNotFoundError

import pytest
import torch

import imbalance_torch
from imbalance_torch import _doctor, training
from imbalance_torch.cli import main


def test_a_sound_installation(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["imbalance_torch"] == imbalance_torch.__version__
    assert report["versions"]["torch"] == torch.__version__
    assert report["packages"]["train"]["lightning"]
    assert not {"dev", "docs", "peers"} & set(report["packages"])
    assert report["fit"] == "works"
    assert report["problems"] == []
    assert report["cuda"].startswith("works") == torch.cuda.is_available()


@pytest.fixture
def no_fit(monkeypatch):
    monkeypatch.setattr(_doctor, "_small_fit", lambda: "works")


def test_a_missing_optional_package_is_named_with_its_pip_line(no_fit, monkeypatch, capsys):
    there = _doctor._version
    monkeypatch.setattr(_doctor, "_version", lambda name: None if name == "optuna" else there(name))
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "optuna missing" in text
    assert "complete it with: pip install 'imbalance-torch[tune]'" in text
    assert "imbalance-torch[train]" not in text


def test_a_source_tree_without_metadata(no_fit, monkeypatch, capsys):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_doctor, "metadata", missing)
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packages"] == {}


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_fit_that_fails(flags, monkeypatch, capsys):
    def broken(**options):
        raise ModuleNotFoundError("No module named 'lightning'")

    monkeypatch.setattr(training, "Detector", broken)
    assert main(["doctor", *flags]) == 2
    printed = capsys.readouterr()
    assert "failed: ModuleNotFoundError: No module named 'lightning'" in printed.out
    assert printed.err.startswith("error: fit: failed")


def test_a_kernel_that_fails(no_fit, monkeypatch, capsys):
    def broken(*size, **options):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "arange", broken)
    assert main(["doctor"]) == 2
    assert "CUDA: failed: no kernel image is available" in capsys.readouterr().err


def test_the_small_fit_reads_no_global_generator():
    before = torch.random.get_rng_state()
    assert _doctor._small_fit() == "works"
    assert torch.equal(torch.random.get_rng_state(), before)
