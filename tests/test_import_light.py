"""What importing the package pulls in, seen from fresh processes; the check is shown to fail where it must."""

import subprocess
import sys

import pytest

HEAVY = {"lightning", "torchmetrics", "sklearn", "pandas"}
CORE = "from imbalance_torch import losses, resampling, samplers, knn, class_weights"


def modules_after(statement):
    """Return the top-level packages that a fresh interpreter holds after the statement."""
    code = f"{statement}\nimport sys\nprint('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("statement", ["import imbalance_torch", CORE])
def test_the_core_pulls_in_nothing_heavy(statement):
    modules = modules_after(statement)
    assert "imbalance_torch" in modules
    assert modules & HEAVY == set()


def test_the_core_does_import_torch():
    assert {"torch", "numpy"} <= modules_after(CORE)


def test_the_check_can_fail():
    assert "pandas" in modules_after(f"{CORE}\nimport pandas")


def test_training_names_are_imported_when_asked_for():
    assert {"lightning", "torchmetrics"} <= modules_after("from imbalance_torch import ImbalancedClassifier")


@pytest.mark.parametrize("words", ["['--help']", "['train', '--help']", "['--version']"])
def test_help_imports_no_torch(words):
    statement = (
        f"import contextlib\nfrom imbalance_torch.cli import main\nwith contextlib.suppress(SystemExit): main({words})"
    )
    assert modules_after(statement) & {*HEAVY, "torch", "numpy"} == set()


def test_python_dash_m_prints_help():
    command = [sys.executable, "-X", "importtime", "-m", "imbalance_torch", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert "usage: imbalance-torch" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "imbalance_torch.cli" in imported
    assert imported & {*HEAVY, "torch", "numpy"} == set()


@pytest.mark.slow
def test_the_package_costs_little_more_than_torch():
    import json

    from_here = subprocess.run(
        [sys.executable, "benchmarks/import_time.py"], capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(from_here.stdout)["import imbalance_torch"]["ratio"] <= 1.15
