"""The extras, their floors, and that each of them resolves beside the pinned torch."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
LOCKED = {
    requirement.name: requirement
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}


def find(requirements, name):
    return next(requirement for requirement in requirements if requirement.name == name)


def test_the_core_needs_torch_and_numpy_alone():
    core = [Requirement(line) for line in PROJECT["dependencies"]]
    assert {requirement.name for requirement in core} == {"torch", "numpy"}
    torch = find(core, "torch").specifier
    assert "2.10.0" in torch
    assert "2.9.1" not in torch


def test_lightning_has_a_floor_and_excludes_the_compromised_releases():
    lightning = find(EXTRAS["train"], "lightning").specifier
    assert "2.6.6" in lightning
    assert "2.6.5" not in lightning
    assert {"!=2.6.2", "!=2.6.3", ">=2.6.6"} == set(str(lightning).split(","))


def test_the_tested_set_is_pinned_exactly():
    assert str(LOCKED["torch"].specifier) == "==2.13.0"
    assert str(LOCKED["imbalanced-learn"].specifier) == "==0.14.2"
    assert [name for name, pin in LOCKED.items() if not str(pin.specifier).startswith("==")] == []
    assert [name for name, pin in LOCKED.items() if Version(str(pin.specifier)[2:]).local] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_direct_dependency_is_pinned_within_its_range(extra):
    pinned = {name.lower().replace("_", "-"): pin for name, pin in LOCKED.items()}
    for requirement in EXTRAS[extra]:
        if requirement.name != "imbalance-torch":
            assert str(pinned[requirement.name.lower()].specifier)[2:] in requirement.specifier


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extra_resolves_beside_the_pinned_torch(extra, tmp_path):
    report = tmp_path / "report.json"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--no-build-isolation",
    ]
    command += ["--constraint", str(ROOT / "constraints.txt"), "--report", str(report), "torch==2.13.0"]
    result = subprocess.run([*command, f"{ROOT}[{extra}]"], capture_output=True, text=True, timeout=550)
    assert result.returncode == 0, result.stderr[-2000:]
    found = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
    versions = {canonicalize_name(item["name"]): Version(item["version"]) for item in found}
    assert versions["torch"].public == "2.13.0"
    assert {canonicalize_name(requirement.name) for requirement in EXTRAS[extra]} <= {*versions, "imbalance-torch"}
