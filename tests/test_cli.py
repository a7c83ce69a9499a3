"""The command line: exit codes, messages that name the fix, nothing half-written, JSON, and the YAML front."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from imbalance_torch.cli import main
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.training import RECIPES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("cli") / "flights.parquet"
    load_nyc_flights().frame.iloc[::60].to_parquet(file)
    return file


FAST = ["--target", "cancelled", "--time", "scheduled_departure", "--max-steps", "20", "--batch-size", "64"]


def test_train_evaluate_score(table, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", str(table), *FAST, "-o", str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == json.loads((run / "metrics.json").read_text())
    assert {"ap", "auroc", "balanced_accuracy", "brier", "calibration_error", "threshold"} <= set(figures)
    assert main(["evaluate", str(run / "model"), str(table)]) == 0
    assert "auroc" in capsys.readouterr().out
    assert main(["score", str(run / "model"), str(table), "-o", str(tmp_path / "s.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == len(pd.read_csv(tmp_path / "s.csv"))
    assert main(["resume", str(run)]) == 0


def test_inspect(table, capsys):
    assert main(["inspect", str(table), *FAST[:4], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sum(report["classes"].values()) == report["rows"] == 5613
    assert report["categorical"] == ["carrier", "origin", "dest"]
    assert report["missing"]["wind_gust"] > 0.7
    assert main(["inspect", str(table), "--target", "cancelled"]) == 0


def test_compare(table, tmp_path, capsys):
    out = tmp_path / "c"
    words = ["compare", str(table), *FAST[:4], "--batch-size", "64", "--splits", "fixed", "-o", str(out)]
    words += ["--budgets", "5,10", "--num-repeats", "2,3", "--techniques", "class_weighted,focal:3+smote:0.1"]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    names = ["baseline", "class_weighted", "focal:3+smote:0.1"]
    assert [list(rows) for rows in printed["means"].values()] == [names, names]
    assert [(effect["budget"], effect["pairs"]) for effect in printed["effects"]] == [(5, 2)] * 2 + [(10, 3)] * 2
    assert json.loads((out / "summary.json").read_text())["reason"] == printed["reason"]
    assert (out / "model/manifest.json").is_file()
    page = (out / "report.html").read_text()
    assert main(["report", str(out), "-o", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == page
    assert main(words) == 0
    assert "recommended: baseline: no technique beats" in capsys.readouterr().out


def test_report_of_a_run(table, tmp_path, capsys):
    assert main(["train", str(table), *FAST, "-o", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "run" / "report.html")}


def frame(**columns: object) -> pd.DataFrame:
    rows = 60
    base = {"x": np.arange(rows, dtype=float), "y": np.arange(rows) % 2}
    return pd.DataFrame({**base, **columns})


BAD_TABLES = {
    "missing target": (frame(), "label", "no column 'label'"),
    "constant": (frame(y=np.ones(60, int)), "y", "'y' is constant: every row is 1"),
    "continuous": (frame(y=np.linspace(0, 1, 60)), "y", "'y' is continuous"),
    "all NaN": (frame(y=np.full(60, np.nan)), "y", "no label in 60 of 60 rows"),
    "some NaN": (frame(y=[None, 1.0] + [0.0, 1.0] * 29), "y", "no label in 1 of 60 rows (first: row 0)"),
    "one row": (frame(y=["a"] + ["b"] * 59), "y", "Class 'a' of target 'y' has 1 row"),
    "many numbers": (frame(y=np.arange(60) + 1), "y", "'y' is continuous"),
    "infinite": (frame(x=[np.inf] + [0.0] * 59), "y", "'x' has an infinite value"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_bad_tables_end_with_one_message_and_no_output(name, suffix, tmp_path, capsys):
    table, target, message = BAD_TABLES[name]
    file = tmp_path / f"t{suffix}"
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    assert main(["train", str(file), "--target", target, "-o", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "is empty"),
        (b"x,y\n", "t.csv", "no rows"),
        (b"PAR1 not really", "t.parquet", "Cannot read"),
        (b"x,y\n1,2,3\n", "t.csv", "Cannot read"),
        (b"x,y\n1,2\n", "t.xls", "must end in one of"),
    ],
)
def test_unreadable_files(content, name, message, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    assert main(["train", str(tmp_path / name), "--target", "y", "-o", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert name in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "missing.csv", "--target", "y", "-o", "run"], "There is no file missing.csv"),
        (["train", "TABLE", "-o", "run"], "`target` is missing"),
        (["train", "TABLE", *FAST, "-o", "run", "--loss", "focl"], "Did you mean 'focal'?"),
        (["train", "TABLE", *FAST, "-o", "run", "--sampler", "balance"], "Did you mean 'balanced'?"),
        (["train", "TABLE", *FAST, "-o", "run", "--threshold", "balanced"], "Did you mean 'balanced_accuracy'?"),
        (["train", "TABLE", *FAST, "-o", "run", "--threshold", "cost:FX=1"], "cost:FN=10,FP=1"),
        (["train", "TABLE", *FAST, "-o", "run", "--threshold", "cost:FN=-1"], "both > 0"),
        (["compare", "TABLE", *FAST[:4], "-o", "TABLE"], "is a file"),
        (["train", "TABLE", *FAST, "-o", "run", "--split", "0.5,0.5,0.5"], "sum to 1"),
        (["train", "TABLE", *FAST, "-o", "run", "--max-steps", "0"], "`max_steps` must be >= 1"),
        (["train", "TABLE", *FAST, "-o", "run", "--device", "tpu"], "`device` must be one of"),
        (["train", "TABLE", *FAST, "-o", "TABLE"], "is not empty"),
        (["compare", "TABLE", *FAST[:4], "-o", "run", "--techniques", "focus"], "Did you mean 'focal'?"),
        (["compare", "TABLE", *FAST[:4], "-o", "run", "--splits", "folds"], "`splits` must be one of"),
        (["report", "nowhere"], "neither a run nor a comparison"),
        (["resume", "nowhere"], "holds no run"),
        (["evaluate", "nowhere", "TABLE"], "is not a model directory"),
        (["score", "nowhere", "TABLE", "-o", "s.csv"], "is not a model directory"),
        (["score", "nowhere", "TABLE", "-o", "s.csv", "--device", "tpu"], "`device` must be one of"),
        (["evaluate", "nowhere", "TABLE", "--device", "tpu"], "`device` must be one of"),
        (["fit", "--allow-import"], "needs the name of a package"),
        (["fit", "--config", "missing.yaml"], "missing.yaml"),
        (["fit", "--config"], "--config: expected one argument"),
        (["fit", "--config", str(ROOT / "configs/recipes/baseline.yaml"), "-c"], "--config: expected one argument"),
        (["fit", "--config="], "config"),
        (["train", "TABLE", "--target", "canceled", "-o", "run"], "Did you mean 'cancelled'?"),
    ],
)
def test_bad_arguments_exit_2(words, message, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(table) if word == "TABLE" else word for word in words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "Did you mean train?"),
        (["train", "t.csv", "-o", "r", "--max-step", "3"], "Did you mean --max-steps?"),
        (["score", "m", "t.csv"], "-o/--output"),
        (["compare", "t.csv", "-o", "c", "--budgets", "short,long"], "whole numbers such as 300,1500"),
        ([], "COMMAND"),
    ],
)
def test_usage_errors_exit_2(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_with_3(table, tmp_path, capsys):
    words = [
        "train",
        str(table),
        *FAST,
        "-o",
        str(tmp_path / "run"),
        "--learning-rate",
        "1e20",
        "--checkpoint-every",
        "1",
    ]
    assert main(words) == 3
    assert "loss became" in capsys.readouterr().err
    assert not (tmp_path / "run/model").exists()


def test_scores_that_are_not_finite_exit_3(table, tmp_path, capsys):
    words = ["train", str(table), *FAST, "--max-steps", "1", "--learning-rate", "1e37", "-o", str(tmp_path / "run")]
    assert main(words) == 3
    assert "Lower the learning rate" in capsys.readouterr().err


def test_a_repeated_technique_counts_once(table, tmp_path, capsys):
    words = ["compare", str(table), *FAST[:4], "--budgets", "2", "--num-repeats", "1", "--techniques", "focal,focal"]
    assert main([*words, "-o", str(tmp_path), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["means"]["2"]) == ["baseline", "focal"]


@pytest.mark.slow
@pytest.mark.parametrize(("kill", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_fit_with_their_codes_and_a_pipe_gets_no_bar(kill, code, table, tmp_path):
    words = ["fit", "--config", str(ROOT / "configs/recipes/baseline.yaml"), "--trainer.max_steps", "1000000"]
    words += ["--data.source", str(table), "--data.target", "cancelled", "--trainer.default_root_dir", str(tmp_path)]
    command = [sys.executable, "-m", "imbalance_torch", *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs us in background
    )
    for _ in range(600):
        if list(tmp_path.rglob("*.ckpt")):
            break
        time.sleep(0.1)
    process.send_signal(kill)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert b"Epoch" not in output
    assert b"Traceback" not in errors


def test_help_is_quick_and_a_pipe_gets_plain_text(table, tmp_path):
    code = "import sys; from imbalance_torch.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    command = [sys.executable, "-m", "imbalance_torch", "train", str(table), *FAST, "-o", str(tmp_path / "run")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "Tip" not in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(table):
    command = f"{sys.executable} -m imbalance_torch inspect {table} --target cancelled | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _lightning(words: list[str], directory: Path) -> int:
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    return main([*words, *quiet, "--trainer.default_root_dir", str(directory)])


def test_recipes_agree_with_the_registry():
    classes = {
        "baseline": ("torch.nn.CrossEntropyLoss", None, None),
        "class_weighted": ("imbalance_torch.training.lightning_cli.BalancedCrossEntropyLoss", None, None),
        "focal": ("imbalance_torch.losses.FocalLoss", None, None),
        "smote": ("torch.nn.CrossEntropyLoss", None, "imbalance_torch.resampling.BatchOversampler"),
        "undersample": ("torch.nn.CrossEntropyLoss", "imbalance_torch.samplers.RotatingUnderSampler", None),
    }
    for name, technique in RECIPES.items():
        config = yaml.safe_load((ROOT / f"configs/recipes/{name}.yaml").read_text())
        found = [
            (config[part].get(key) or {}).get("class_path")
            for part, key in (("model", "loss"), ("data", "sampler"), ("model", "resampler"))
        ]
        assert tuple(found) == classes[name]
        assert (technique.sampler is None, technique.resampler is None) == (found[1] is None, found[2] is None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"model": {"hiden": 3}}, "hiden"),
        ({"trainer": {"callbacks": [{"class_path": "lightning.pytorch.callbacks.LambdaCallback"}]}}, "LambdaCallback"),
        ({"model": {"loss": {"class_path": "os.system"}}}, "os.system"),
        ({"model": {"loss": {"class_path": "subprocess.Popen"}}}, "Popen"),
    ],
)
def test_yaml_keys_and_imports_are_checked(override, message, tmp_path, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(override))
    recipe = str(ROOT / "configs/recipes/baseline.yaml")
    assert _lightning(["fit", "--config", recipe, "--config", str(file)], tmp_path) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.rglob("*.ckpt"))


def test_allow_import_opts_in(table, tmp_path, capsys, monkeypatch):
    (tmp_path / "my_losses.py").write_text(
        "from torch import nn\nclass Mine(nn.CrossEntropyLoss):\n    '''A loss of the user.'''\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    configs = [str(ROOT / "configs" / part) for part in ("recipes/baseline.yaml", "overlays/fast.yaml")]
    words = ["fit", "--config", configs[0], "--config", configs[1], "--model.loss", "my_losses.Mine"]
    words += ["--data.source", str(table), "--data.target", "cancelled"]
    assert _lightning(words, tmp_path / "a") == 2
    assert "--allow-import my_losses" in capsys.readouterr().err
    assert _lightning([*words, "--allow-import", "my_losses"], tmp_path / "b") == 0


@pytest.mark.parametrize("logger", [[], ["--trainer.logger", "true"], ["--trainer.logger", "false"]], ids=" ".join)
def test_fit_logs_to_csv_unless_told_otherwise(logger, table, tmp_path):
    configs = [str(ROOT / "configs" / part) for part in ("recipes/baseline.yaml", "overlays/fast.yaml")]
    words = ["fit", "--config", configs[0], "--config", configs[1], *logger]
    assert _lightning([*words, "--data.source", str(table), "--data.target", "cancelled"], tmp_path) == 0
    assert (tmp_path / "log/version_0/metrics.csv").is_file() == ("false" not in logger)
    assert (tmp_path / "tensorboard").is_dir() == ("false" not in logger)


def test_a_config_by_its_short_flag_names_its_data_module(tmp_path, capsys):
    words = ["fit", "-c", str(ROOT / "configs/recipes/images.yaml"), "--data.no_such_key", "1"]
    assert _lightning(words, tmp_path) == 2
    assert "TensorDataModule': Option 'no_such_key' is not accepted" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_keeps_its_promise_on_calibration(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path), "--json"]) == 0
    techniques = json.loads(capsys.readouterr().out)["means"]["1500"]
    limit = techniques["baseline"]["calibration_error"]
    for name in ("class_weighted", "undersample"):
        after, before = techniques[name]["calibration_error"], techniques[name]["raw_calibration_error"]
        assert after <= max(1.5 * limit, limit + 0.005)
        assert after <= before / 3


def test_advise_and_race(table, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    words = ["advise", str(table), *FAST[:4], "--batch-size", "64", "--race", "--num-repeats", "2", "--budgets", "2,3"]
    words += ["-o", str(recipe)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    chosen = printed["race"]["chosen"]
    assert chosen in [each["technique"] for each in printed["recommendations"]]
    assert printed["race"]["final"]["pairs"] == 2
    assert recipe.read_text().startswith(f"# {printed['recipe']}, as ")
    config = yaml.safe_load(recipe.read_text())
    assert config["data"]["target"] == "cancelled"
    assert config["trainer"]["max_steps"] == 3
    assert main(words) == 0
    assert f"race: {printed['race']['reason']}" in capsys.readouterr().out
