"""The benchmark of quality goes on where it was interrupted, compares like with like, and hides no missed target."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm", reason="lightgbm is not installed")
pytest.importorskip("xgboost", reason="xgboost is not installed")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    names = ("quality", "_quality_data", "_quality_models", "_quality_report", "_quality_summary")
    return [importlib.import_module(f"benchmarks.{name}") for name in names]


def record(ap, *, around=0.0, **more):
    """A record whose replicates lie within .01 of its AP."""
    replicates = ap + around + np.linspace(-0.01, 0.01, 21)
    figures = {"auroc": 0.9, "card_precision": 0.3, "expected": 9.0, "positives": 10, "prevalence": 0.1}
    seconds = {"fit_seconds": 1.0, "score_seconds": 0.1, "foreign_cpu_share": 0.0}
    return {"ap": ap, "rows": [1, 1, 1], "replicates": replicates.tolist()} | figures | seconds | more


def printed_by(quality, monkeypatch, capsys, *options):
    monkeypatch.setattr(sys, "argv", ["quality", *map(str, options)])
    quality.main()
    return capsys.readouterr().out


@pytest.mark.slow
def test_smoke(modules, tmp_path, monkeypatch, capsys):
    cache, file = tmp_path / "cache.jsonl", tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks.quality", "--smoke", "--cache", cache, "--json", file]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert "not measured" not in run.stdout
    found = json.loads(file.read_text())
    assert found["skipped"] == {}
    assert [row["seeds"] for row in found["parts"]["handbook"]] == [1, 1, 1]
    (row,) = found["parts"]["tables"]
    assert row["picked"]["best_on_test"] >= row["picked"]["ap"]
    assert [row["splits"] for row in found["parts"]["regularisation"] if "splits" in row] == [1, 1]
    again = printed_by(modules[0], monkeypatch, capsys, "--smoke", "--cache", cache, "--minutes", 0)
    assert again == run.stdout  # all of it from the cache
    assert "| smoke flights | split 0 |" in printed_by(modules[0], monkeypatch, capsys, "--markdown", file)


def test_an_interrupted_run_goes_on(modules, tmp_path):
    quality, file = modules[0], tmp_path / "cache.jsonl"
    cells, done = quality.plan(["handbook"], [512], "", smoke=False)[:5], []

    def measure(cell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(cell)
        return record(0.5)

    assert quality.run(cells, quality.Cache(file), measure, minutes=9) == {}
    with file.open("a") as stream:
        stream.write('{"key": ["handb')  # half a line
    cache = quality.Cache(file)
    assert [*cache.records] == [cell.key for cell in cells[:3]]
    later = []
    quality.run(cells, cache, lambda cell: later.append(cell) or record(0.5), minutes=9)
    assert later == cells[3:]
    assert [*quality.Cache(file).records] == [cell.key for cell in cells]


def test_what_cannot_be_measured_is_named_and_the_rest_goes_on(modules):
    quality, data = modules[0], modules[1]
    cells = quality.plan(["tables"], [512], "", smoke=False)

    def measure(cell):
        if cell.set == "htru2":
            data.load(cell.set, None)
        if cell.model == "XGBoost":
            raise ValueError("no")
        return record(0.5)

    cache = quality.Cache(None)
    skipped = quality.run(cells, cache, measure, minutes=9)
    assert skipped["htru2"] == "IMBALANCE_TORCH_DATA is not set"
    assert skipped["tables mammography split 0 0 XGBoost 0"] == "ValueError: no"
    assert {cell.model for cell in cells if cell.key in cache.records} == {"LightGBM", "HistGradientBoosting", "TabM"}
    assert quality.run(cells, quality.Cache(None), measure, minutes=0) == {}


def test_the_plan_has_what_the_tables_need(modules):
    quality, data = modules[0], modules[1]
    cells = quality.plan([*quality.PARTS], [1024, 512], "", smoke=False)
    assert len({(cell.part, *cell.key) for cell in cells}) == len(cells)
    assert {cell.set for cell in cells if cell.part != "speed"} == {name for name in data.SETS if "smoke" not in name}
    networks = {cell.batch_size for cell in cells if cell.model == "TabM" and cell.part == "handbook"}
    assert networks == {1024, 512}
    shared = {cell.key for cell in cells if cell.part == "tables"} & {
        cell.key for cell in cells if cell.part == "regularisation"
    }
    assert {key[0] for key in shared} == {"covtype, 100_000 rows", "fars_severity"}
    seen = {(cell.set, cell.split) for cell in cells if cell.part in ("handbook", "tables")}
    fresh = {(cell.set, cell.split) for cell in cells if cell.part == "regularisation"}
    assert {name for name, _ in seen & fresh} == {"covtype, 100_000 rows", "fars_severity"}


def test_tables_without_results(modules, capsys):
    quality, report, summary = modules[0], modules[3], modules[4]
    cells = quality.plan([*quality.PARTS], [512], "", smoke=False)
    parts = summary.summary(cells, {})
    report.report({"parts": parts, "foreign_cpu_share": dict.fromkeys(parts), "skipped": {}}, markdown=True)
    printed = capsys.readouterr().out
    assert printed.count("not measured") == 3 + 5 + 12 + 2 * 7 + 1
    assert "| met |" not in printed


def test_cards_with_a_known_fraud_leave_the_test(modules):
    data = modules[1]
    table = data.load("smoke cards", None)
    parts = data.split(table, "fold 0")
    day = table.time // data.DAY
    begin = day[parts.train].min()
    window = np.flatnonzero((day >= begin + 14) & (day < begin + 21))
    past = np.flatnonzero((day >= begin) & (day < begin + 14) & (table.y == 1))
    known = ((table.card[past] == table.card[window][:, None]) & (day[past] < day[window][:, None] - 7)).any(axis=1)
    assert 0 < known.sum() < len(window)
    assert np.array_equal(np.sort(parts.test), window[~known])
    assert set(day[parts.train] - begin) == set(range(7))


def test_the_choice_is_by_validation_rows(modules):
    quality, data, models = modules[:3]
    table = data.load("smoke flights", None)
    parts = data.split(table, "split 0")
    rows = [table.take(part) for part in parts]
    fitted = models.tuned("LightGBM", *rows, models.Budget(rounds=5, grid=2))
    tried = fitted.facts["candidates"]
    assert len(tried) == 4
    assert {each["class_weights"] for each in tried} == {False, True}
    assert fitted.facts["validation"] == max(each["validation"] for each in tried)
    assert models.average_precision(fitted.probability, rows[2][1]) == fitted.facts["ap"]
    replicates = [quality.bootstrap(fitted.probability, rows[2][1], place, 5) for place in "aab"]
    assert np.array_equal(replicates[0], replicates[1])
    assert not np.array_equal(replicates[0], replicates[2])


def test_the_variants_start_from_the_recipe(modules):
    data, models = modules[1:3]
    table = data.load("smoke flights", None)
    parts = data.split(table, "split 0")
    train, test, budget = table.take(parts.train), table.take(parts.test)[0], models.Budget(max_steps=3)
    recipe = models.NETWORKS["TabM"](train, test, 5, budget).probability
    assert np.array_equal(models.variant(train, test, 5, budget).probability, recipe)
    for name in ("TabM, heavy", "TabM, without log"):
        assert not np.array_equal(models.NETWORKS[name](train, test, 5, budget).probability, recipe)


@pytest.mark.parametrize(("ap", "verdict"), [(0.55, "win"), (0.505, "tie"), (0.45, "loss")])
def test_verdicts_of_tables(modules, ap, verdict, capsys):
    quality, report, summary = modules[0], modules[3], modules[4]
    cells = [cell for cell in quality.plan(["tables"], [512], "bank", smoke=False) if cell.split == "time"]
    records = {}
    for cell in cells:
        chosen = cell.model == "XGBoost"
        tried = [{"ap": 0.7, "seconds": 2.0}]
        facts = {"validation": 0.5 + 0.1 * chosen, "class_weights": True, "settings": {}, "candidates": tried}
        records[cell.key] = record(0.5, auroc=0.55, **facts)
        if cell.model == "TabM":
            records[cell.key] = record(ap + 0.02 * cell.seed - 0.01, auroc=0.6)
            records[cell.key]["replicates"] = [ap + shift for shift in np.linspace(-0.02, 0.01, 21)]
    (row,) = summary.tables(cells, records)
    assert row["ap"] == pytest.approx(ap)
    assert row["picked"]["library"] == "XGBoost"
    assert row["picked"]["best_on_test"] == 0.7
    assert row["against"]["difference"] == pytest.approx(ap - 0.5)
    assert row["against"]["verdict"] == verdict
    for _, header, lines in report.tables([row]):
        assert all(len(line) == len(header) for line in lines)
    assert "usable" in [title for title, *_ in report.tables([row])][-1]


def test_the_handbook_counts_whole_seeds_only(modules):
    quality, report, summary = modules[0], modules[3], modules[4]
    cells = quality.plan(["handbook"], [512], "", smoke=False)
    records = {}
    for cell in cells:
        if cell.model == "TabM" and (cell.seed, cell.split) == (4, "fold 3"):
            continue
        records[cell.key] = record(0.6 if cell.model == summary.OTHER else 0.7 + 0.001 * cell.seed, auroc=0.88)
    rows = {row["model"]: row for row in summary.handbook(cells, records)}
    assert (rows["TabM"]["seeds"], rows["MLP"]["seeds"]) == (4, 5)
    assert rows["TabM"]["ap_by_seed"] == pytest.approx([0.7, 0.701, 0.702, 0.703])
    assert rows["TabM"]["expected_observed"] == pytest.approx(0.9)
    assert rows["TabM"]["against"]["difference"] == pytest.approx(0.1015)
    assert rows["TabM"]["against"]["verdict"] == "win"
    found = {line[1]: line[-1] for line in [*report.handbook([*rows.values()])][1][2] if line[0].startswith("TabM")}
    assert found == {"AP": "met", "AUROC": "met", "CP@100": "missed", "expected/observed": "met"}


@pytest.mark.parametrize(
    ("seconds", "share", "verdict"), [(1.1, 0.0, "met"), (1.3, 0.0, "missed"), (1.1, 0.5, "noisy"), (1.1, None, "met")]
)
def test_verdict_of_an_epoch(modules, seconds, share, verdict):
    report = modules[3]
    rows = [{"row": report.BARE, "seconds": [1.0, 2.0]}, {"row": report.TRAINER, "seconds": [seconds, 2 * seconds]}]
    ((_, _, lines),) = report.speed([{"set": "5 rows", "rows": rows, "foreign_cpu_share": share}])
    assert lines[-1][-1] == verdict


def test_the_stored_figures_make_tables(modules, capsys):
    file = ROOT / "benchmarks/results/quality-cpu.json"
    if not file.is_file():
        pytest.skip("benchmarks/results/quality-cpu.json is not there yet")
    modules[3].report(json.loads(file.read_text()), markdown=True)
    assert "| TabM, batch " in capsys.readouterr().out
