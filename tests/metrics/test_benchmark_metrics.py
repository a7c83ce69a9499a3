"""The benchmark of average precision runs, and the figures that are kept hide no missed target."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.metrics")


@pytest.mark.slow
def test_it_runs_and_every_value_is_right(tmp_path):
    command = [sys.executable, "-m", "benchmarks.metrics", "--quick", "--json", str(tmp_path / "found.json")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["settings"]) == 6
    for result in found["settings"]:
        errors = {row["row"]: abs(row["error"]) for row in result["rows"]}
        assert errors["average_precision"] < 1e-12
        assert errors["torchmetrics, exact"] < 1e-6
        assert errors["BinnedAveragePrecision"] < 1e-3


def test_the_kept_figures_meet_the_target(benchmark, capsys):
    found = json.loads((ROOT / "benchmarks" / "results" / "metrics-cpu.json").read_text())
    assert [result["setting"] for result in found["settings"]] == [
        f"{size:_} rows, {share} positive" for size in (1_000_000, 10_000_000) for share in ("0.5%", "5.0%", "50.0%")
    ]
    benchmark.report(found, markdown=True)
    printed = capsys.readouterr().out
    assert printed.count("| met |") == 6
    assert "| missed |" not in printed


def test_a_missed_target_is_told(benchmark, capsys):
    names = [benchmark.REFERENCE, benchmark.TRUTH, benchmark.EXACT]
    rows = [{"row": name, "seconds": [1.0, 2.0], "error": 0.0} for name in names]
    result = {"setting": "x", "rounds": 2, "foreign_cpu_share": None, "average_precision": 0.5, "rows": rows}
    benchmark.report({"settings": [result]}, markdown=False)
    assert "1.00x   missed" in capsys.readouterr().out
