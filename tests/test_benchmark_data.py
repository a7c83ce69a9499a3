"""The benchmark of loading runs, measures what it says it does, and hides no missed target."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.data")


@pytest.mark.slow
def test_it_runs_and_the_figures_make_tables(benchmark, tmp_path, capsys):
    command = [sys.executable, "-m", "benchmarks.data", "--quick", "--json", str(tmp_path / "found.json")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    results = {result["setting"]: result for result in found["settings"]}
    assert [*results] == [
        *(f"loading 3_000 rows, batch size {size:_}" for size in benchmark.BATCH_SIZES),
        "streaming 100_000 rows",
        "memory",
        "table 30_000 rows",
    ]
    for name, result in results.items():
        if name != "memory":
            rounds = 6 if name.startswith("streaming") else 2
            assert all(len(row["seconds"]) == result["rounds"] == rounds for row in result["rows"])
    assert [row["row"] for row in results["memory"]["rows"]] == ["100_000 rows"]
    assert 1e6 < results["memory"]["rows"][0]["peak"] < 1e9
    assert results["table 30_000 rows"]["note"] == "generated (--quick)"
    benchmark.report(found, markdown=True)
    printed = capsys.readouterr().out
    assert printed.count("\n| TensorLoader | ") == 3
    assert printed.count("\n| ParquetFile.iter_batches | ") == 1
    assert "Targets" not in printed  # they are for the full sizes


def test_every_loader_of_the_comparison_feeds_every_row(benchmark, monkeypatch):
    fed = []

    def measure(name, size, steps, rounds):
        for step in steps.values():
            step()

    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "run_through", lambda batches: fed.append(torch.cat([x[:, 0] for x, _ in batches])))
    benchmark.loading(500, 64, 1)
    torch_rows, batched, ours, balanced, in_order = fed
    assert torch.equal(torch_rows.sort()[0], in_order.sort()[0])
    assert torch.equal(batched.sort()[0], in_order.sort()[0])
    assert torch.equal(ours.sort()[0], in_order.sort()[0])
    assert len(balanced) == 500


def test_generated_files(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "GROUP", 1000)
    file = pq.ParquetFile(benchmark.generate(tmp_path / "a.parquet", 2500))
    assert (file.metadata.num_rows, file.num_row_groups) == (2500, 3)
    assert 5 <= sum(file.read().column("y").to_pylist()) <= 60
    columns = pq.read_table(benchmark.like_flights(tmp_path / "b.parquet", 100)).column_names
    assert columns == ["minute", "distance", "origin", "destination", "delay_min", "y"]


def test_the_flights_file_or_why_it_is_absent(benchmark, tmp_path, monkeypatch):
    monkeypatch.delenv("IMBALANCE_TORCH_DATA", raising=False)
    assert benchmark.flights() == (None, "IMBALANCE_TORCH_DATA is not set")
    monkeypatch.setenv("IMBALANCE_TORCH_DATA", str(tmp_path))
    file, reason = benchmark.flights()
    assert file is None
    assert reason.endswith("holds no flights_3m_delay120.parquet")
    (tmp_path / "flights_3m_delay120.parquet").touch()
    assert benchmark.flights()[0] == tmp_path / "flights_3m_delay120.parquet"


@pytest.mark.parametrize(
    ("milliseconds", "share", "verdict"),
    [(1.0, 0.0, "met"), (1.0, 0.2, "noisy"), (1.0, None, "met"), (5.0, 0.0, "GATE MISSED")],
)
def test_verdicts(benchmark, milliseconds, share, verdict):
    rows = [
        {"row": benchmark.TORCH, "seconds": [0.06, 0.06]},
        {"row": benchmark.LOADER, "seconds": [milliseconds / 1000] * 2},
        {"row": benchmark.BARE, "seconds": [0.001, 0.001]},
    ]
    setting = {"setting": "loading 300_000 rows, batch size 1_024", "foreign_cpu_share": share, "rows": rows}
    header, *lines = benchmark.targets({"settings": [setting]})
    against = {line[2]: dict(zip(header, line, strict=True)) for line in lines}
    assert against[benchmark.TORCH]["verdict"] == verdict
    assert against[benchmark.TORCH]["found"] == f"{60 / milliseconds:.1f}x"
    assert against[benchmark.BARE]["verdict"] == ("missed" if verdict == "GATE MISSED" else verdict)


@pytest.mark.parametrize(("peak", "verdict"), [(1.4e8, "met"), (1.6e8, "missed")])
def test_memory_is_flat_or_not(benchmark, peak, verdict):
    rows = [{"row": benchmark.SMALL, "peak": 1e8}, {"row": benchmark.LARGE, "peak": peak}]
    _, line = benchmark.targets({"settings": [{"setting": "memory", "rows": rows}]})
    assert line[-1] == verdict
    _, line = benchmark.targets({"settings": [{"setting": "memory", "rows": rows[:1]}]})
    assert line[:3] == ["memory", benchmark.LARGE, benchmark.SMALL]
    assert line[-1] == "not measured in this file; run with --huge"


@pytest.mark.parametrize("faster", ["SCAN", "DATASET"])
def test_the_stream_is_held_against_the_faster_scan(benchmark, faster):
    seconds = {benchmark.SCAN: 0.4, benchmark.DATASET: 0.4, benchmark.STREAM: 0.8, getattr(benchmark, faster): 0.1}
    rows = [{"row": row, "seconds": [time] * 3} for row, time in seconds.items()]
    setting = {"setting": "streaming 10_000_000 rows", "foreign_cpu_share": 0.0, "rows": rows}
    _, line = benchmark.targets({"settings": [setting]})
    assert line[2] == getattr(benchmark, faster)
    assert line[-3:] == ["0.12x", "0.12x", "missed"]


def test_the_stored_figures_make_tables(benchmark, capsys):
    file = ROOT / "benchmarks/results/data-cpu.json"
    if not file.is_file():
        pytest.skip("benchmarks/results/data-cpu.json is not there yet")
    benchmark.report(json.loads(file.read_text()), markdown=True)
    assert f"\n| {benchmark.TORCH} | " in capsys.readouterr().out
