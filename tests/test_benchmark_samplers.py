"""The benchmark of the samplers runs, measures what it says it does, and hides no missed target."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
DECKS = ("ClassBalancedSampler", "ClassBalancedSampler, batch_size=64", "RotatingUnderSampler")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.samplers")


@pytest.mark.slow
def test_it_runs_and_the_figures_make_tables(benchmark, tmp_path, capsys):
    command = [sys.executable, "-m", "benchmarks.samplers", "--quick", "--json", str(tmp_path / "found.json")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    sizes = {result["setting"]: result for result in found["settings"]}
    assert [*sizes] == [
        "1_000 rows",
        "10_000 rows",
        "100_000 rows",
        "under-sampling 10_000 rows",
        "300_000 rows, uint8",
    ]
    for result in sizes.values():
        own = {row["row"]: row for row in result["rows"] if row["own"]}
        assert own
        for name in set(DECKS) & set(own):
            assert own[name]["repeats"] == 0
            assert own[name]["share_off"] * own[name]["rows"] < 1
        assert all(len(row["later"]) == result["rounds"] for row in result["rows"])
    under = {row["row"]: row["rows"] for row in sizes["under-sampling 10_000 rows"]["rows"]}
    assert set(under.values()) == {500}
    large = {row["row"]: row for row in sizes["300_000 rows, uint8"]["rows"]}["ClassBalancedSampler"]
    assert large["rows"] == 10_000
    assert max(large["pickled"], large["json"]) < 1024
    benchmark.report(found, markdown=True)
    printed = capsys.readouterr().out
    for name in DECKS:
        assert printed.count(f"\n| {name} | ") >= 3
    for result in sizes.values():
        assert all(f"\n{name}: " in printed for name in result["missing"])


def test_what_an_epoch_holds_is_counted(benchmark):
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    found = benchmark.feeds([4, 5, 4, 0, 0, 1], labels, minority=0.4)
    assert found == {
        "rows": 6,
        "share_off": pytest.approx(0.1),
        "duplicates": 2,
        "repeats": 1,  # row 0; class 1 has two rows, so that one of its three draws has to come again
        "above_limit": 0.0,
    }


def test_memory_counts_each_storage_once_and_not_the_labels(benchmark):
    labels, numbers = torch.zeros(10_000, dtype=torch.int64), torch.arange(10_000)

    class Holder:
        def __init__(self, **held):
            self.held = held

    def kept(**held):
        return benchmark.kept_bytes(Holder(**held), labels) - benchmark.kept_bytes(Holder(), labels)

    assert kept(a=labels, b=[labels[5:], labels.numpy()]) < 1000
    assert 80_000 <= kept(a=numbers, b=(numbers[:10], numbers[10:])) < 81_000
    assert 80_000 <= kept(a=np.arange(10_000)) < 81_000
    assert 80_000 + 28 * 9_000 < kept(a=list(range(10_000))) < 80_000 + 33 * 10_000


@pytest.mark.parametrize(
    ("milliseconds", "share", "verdict"),
    [(1.0, 0.0, "met"), (1.0, 0.2, "noisy"), (1.0, None, "met"), (5.0, 0.0, "GATE MISSED")],
)
def test_verdicts(benchmark, milliseconds, share, verdict):
    peer = {"row": benchmark.WEIGHTED, "own": False, "rows": 10, "kept": 8.0}
    ours = {"row": benchmark.BALANCED, "own": True, "rows": 10, "kept": 4.0}
    for what in ("built", "later", "epoch"):
        peer[what], ours[what] = [10.0, 10.0], [milliseconds, milliseconds]
    setting = {"setting": "1_000_000 rows", "foreign_cpu_share": share, "rows": [peer, ours]}
    header, *lines = benchmark.targets({"settings": [setting]})
    by_figure = {line[2].split(",")[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert by_figure["epoch"]["verdict"] == verdict
    assert by_figure["epoch"]["found"] == f"{10 / milliseconds:.{1 if milliseconds == 1 else 2}f}x"
    assert by_figure["kept per row"]["verdict"] == "met"


def test_longer_epochs_are_compared_by_the_row(benchmark):
    peer, ours = {"rows": 10, "epoch": [6.0], "later": [6.0]}, {"rows": 20, "epoch": [6.0], "later": [6.0]}
    assert benchmark.ratios(ours, peer, "epoch") == [2.0]
    assert benchmark.ratios(ours, peer, "later") == [1.0]


def test_the_stored_figures_make_tables(benchmark, capsys):
    benchmark.report(json.loads((ROOT / "benchmarks/results/samplers-cpu.json").read_text()), markdown=True)
    assert "\n| torch WeightedRandomSampler | 1,000,000 | " in capsys.readouterr().out
