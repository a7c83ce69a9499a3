"""tune: the baseline in every study, test rows untouched by the search, exact resume, refusals, an honest verdict."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
import torch

from imbalance_torch import cli
from imbalance_torch.cli import _commands
from imbalance_torch.cli._parser import build_parser
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.evaluation import Tuning, tune
from imbalance_torch.evaluation import _study as study_module
from imbalance_torch.evaluation import _tuning as module
from imbalance_torch.evaluation._search_space import RATIOS, SearchSpace
from imbalance_torch.metrics import binary_scores
from imbalance_torch.training import RECIPES, DataOptions, NonFiniteLossError, Settings, Technique, fit

SETTINGS = Settings(network="mlp", max_steps=3, batch_size=64)
NUM_TRIALS = 13  # three of them after the ten that TPE draws blindly


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tune") / "flights.csv"
    load_nyc_flights().frame.iloc[::150].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def options(file: Path) -> DataOptions:
    return DataOptions(str(file), "cancelled", time="scheduled_departure", audit=False)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study a?b %20#")


@pytest.fixture(scope="module")
def tuning(options: DataOptions, directory: Path) -> Tuning:
    return tune(options, SETTINGS, directory, num_trials=NUM_TRIALS, num_seeds=2)


def steps_of(tuning: Tuning) -> list[dict]:
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in tuning.trials]


def table(counts: list[int], num_numeric: int = 1) -> SimpleNamespace:
    return SimpleNamespace(class_counts=counts, encoder=SimpleNamespace(num_numeric=num_numeric))


def tried(space: SearchSpace) -> set[str]:
    return {name for name in space._families}


def test_the_space_leaves_out_what_changes_nothing():
    everything = {"plain", "focal", "class_weighted", "balanced", "rotating_undersampling", "smote"}
    assert tried(SearchSpace(table([1000, 1]), SETTINGS)) == everything
    assert tried(SearchSpace(table([1000, 1], num_numeric=0), SETTINGS)) == everything - {"smote"}
    assert tried(SearchSpace(table([3, 1]), SETTINGS)) == {"plain", "focal", "class_weighted"}
    for counts, left in (([1000, 1], RATIOS), ([100, 5], RATIOS[1:]), ([8, 90, 60], RATIOS[1:]), ([100, 20], (0.25,))):
        assert tuple(SearchSpace(table(counts), SETTINGS)._families["balanced"].grid) == left


@pytest.mark.parametrize(
    ("parameters", "technique"),
    [
        ({"technique": "plain"}, Technique()),
        ({"technique": "focal", "gamma": 0.5}, Technique("focal", gamma=0.5)),
        ({"technique": "class_weighted", "weight_power": 0.25}, Technique("class_weighted", weight_power=0.25)),
        ({"technique": "balanced", "ratio": 0.1}, Technique(sampler="balanced", ratio=0.1)),
        (
            {"technique": "rotating_undersampling", "ratio": 0.05},
            Technique(sampler="rotating_undersampling", ratio=0.05),
        ),
        ({"technique": "smote", "ratio": 0.1}, Technique(resampler="smote", ratio=0.1)),
    ],
    ids=["plain", "focal", "class_weighted", "balanced", "rotating_undersampling", "smote"],
)
def test_parameters_become_settings_and_nothing_else_changes(parameters, technique):
    settings = Settings(network="mlp", max_steps=7, seed=3, weight_decay=0.5)
    trial = optuna.trial.FixedTrial({**parameters, "learning_rate": 0.001})
    chosen = SearchSpace(table([1000, 1]), settings).suggest(trial)
    assert chosen == Settings(technique, network="mlp", max_steps=7, seed=3, weight_decay=0.5, learning_rate=0.001)
    low, high = trial.distributions["learning_rate"].low, trial.distributions["learning_rate"].high
    assert (low, high) == pytest.approx((5e-4, 5e-3))


def test_the_recipes_come_first_and_mean_the_same():
    space = SearchSpace(table([1000, 1]), SETTINGS)
    techniques = [space.suggest(optuna.trial.FixedTrial(first)).technique for first in space.first()]
    assert techniques[0] == RECIPES["baseline"]
    for ours, recipe in zip(techniques, RECIPES.values(), strict=True):
        assert (ours.loss, ours.sampler, ours.resampler) == (recipe.loss, recipe.sampler, recipe.resampler)
        assert ours.ratio == recipe.ratio
        a, b = (technique.build_loss([1000, 10])(torch.eye(2), torch.tensor([1, 1])) for technique in (ours, recipe))
        torch.testing.assert_close(a, b)
    assert all(first["learning_rate"] == SETTINGS.learning_rate for first in space.first())
    assert [first["technique"] for first in SearchSpace(table([3, 1]), SETTINGS).first()] == [
        "plain",
        "class_weighted",
        "focal",
    ]


def test_trials_best_and_files(tuning, directory, options):
    assert [trial["trial"] for trial in tuning.trials] == list(range(NUM_TRIALS))
    values = [trial["validation_ap"] for trial in tuning.trials]
    assert tuning.validation_ap == {"baseline": values[0], "best": max(values)}
    assert values[tuning.best_trial] == max(values)
    assert tuning.baseline == SETTINGS
    assert len({trial["learning_rate"] for trial in tuning.trials}) == NUM_TRIALS - len(RECIPES) + 1
    assert {file.name for file in directory.iterdir()} == {
        "best.json",
        "result.json",
        "study.db",
        "study.json",
        "trials.csv",
    }
    best = Settings.from_dict(json.loads((directory / "best.json").read_text()))
    assert best == tuning.best
    data = options.build()
    data.setup()
    x, y = data.rows("val")
    model = fit(data, best)
    assert binary_scores(model.probabilities(model.logits(x)), y)["ap"] == max(values)
    frame = pd.read_csv(directory / "trials.csv")
    assert frame["validation_ap"].tolist() == pytest.approx(values, abs=0)
    assert frame["technique"].tolist()[:2] == ["plain", "class_weighted"]
    assert Tuning.from_dict(json.loads((directory / "result.json").read_text())) == tuning


def test_the_test_figures_are_fits_with_seeds_no_trial_had(tuning, options):
    assert tuning.best_trial > 0
    data = options.build()
    data.setup()
    x, y = data.rows("test")
    model = fit(data, Settings(network="mlp", max_steps=3, batch_size=64, seed=2))
    assert tuning.test_ap["baseline"][1] == binary_scores(model.probabilities(model.logits(x)), y)["ap"]
    mean, low, high = tuning.test_difference
    assert mean == pytest.approx(np.mean(tuning.test_ap["best"]) - np.mean(tuning.test_ap["baseline"]))
    assert low < mean < high


def test_the_same_call_again_fits_nothing(tuning, directory, options, monkeypatch):
    monkeypatch.setattr(study_module, "fit", None)
    assert tune(options, SETTINGS, directory, num_trials=NUM_TRIALS, num_seeds=2) == tuning
    assert tune(options, SETTINGS, directory, num_trials=1, num_seeds=2) == tuning


def test_an_interrupted_study_proposes_what_an_uninterrupted_one_does(tuning, options, tmp_path, monkeypatch):
    for stop_at in (1, 3, 5, 6):  # the first in the baseline, two in later recipes, one in a suggestion of TPE
        calls = []

        def interrupted(*args, calls=calls, stop_at=stop_at, **kwargs):
            calls.append(1)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            return fit(*args, **kwargs)

        monkeypatch.setattr(study_module, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(options, SETTINGS, tmp_path, num_trials=NUM_TRIALS, num_seeds=2)
        if stop_at == 1:
            assert not (tmp_path / "trials.csv").exists()
    monkeypatch.setattr(study_module, "fit", fit)
    assert steps_of(tune(options, SETTINGS, tmp_path, num_trials=NUM_TRIALS, num_seeds=2)) == steps_of(tuning)


def test_test_rows_take_no_part_in_the_search(tuning, file, tmp_path):
    frame = pd.read_csv(file).sort_values("scheduled_departure", kind="stable")
    labels = frame["cancelled"].to_numpy(copy=True)
    last = np.arange(len(frame)) >= int(0.81 * len(frame))
    labels[last] = np.random.Generator(np.random.PCG64(0)).permutation(labels[last])
    other = tmp_path / "other.csv"
    frame.assign(cancelled=labels).to_csv(other, index=False)
    options = DataOptions(str(other), "cancelled", time="scheduled_departure", audit=False)
    changed = tune(options, SETTINGS, tmp_path / "study", num_trials=7, num_seeds=2)
    assert steps_of(changed) == steps_of(tuning)[:7]
    assert changed.test_ap != tuning.test_ap


def test_another_study_is_refused_and_stays(tuning, options, directory, file, tmp_path):
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    other = tmp_path / "flights.csv"
    other.write_bytes(file.read_bytes()[:-200])
    for changed, settings, message in (
        (options, Settings(network="mlp", max_steps=4, batch_size=64), "`max_steps` was 3, is 4"),
        (DataOptions(**{**options.__dict__, "time": None}), SETTINGS, "`time` was 'scheduled_departure', is None"),
        (DataOptions(**{**options.__dict__, "source": str(other)}), SETTINGS, "other data"),
    ):
        with pytest.raises(ValueError, match=message):
            tune(changed, settings, directory, num_trials=NUM_TRIALS)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    with pytest.raises(FileExistsError, match="holds no study"):
        tune(options, SETTINGS, tmp_path)
    moved = tmp_path / "moved.csv"
    moved.write_bytes(file.read_bytes())
    assert tune(
        DataOptions(**{**options.__dict__, "source": str(moved)}), SETTINGS, directory, num_seeds=2, num_trials=1
    )


@pytest.mark.parametrize("name", ["study.json", "study.db"])
def test_a_damaged_study_is_told(name, tuning, options, directory, tmp_path):
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(b"[1" * 2000)
    with pytest.raises(ValueError, match=f"{name} (is damaged|cannot be opened)"):
        tune(options, SETTINGS, tmp_path, num_trials=NUM_TRIALS)
    assert (tmp_path / "trials.csv").is_file()


@pytest.mark.parametrize(("num_trials", "num_seeds"), [(0, 3), (20, 1)])
def test_useless_numbers(num_trials, num_seeds, options, tmp_path):
    with pytest.raises(ValueError, match="must be >="):
        tune(options, SETTINGS, tmp_path / "study", num_trials=num_trials, num_seeds=num_seeds)
    assert not (tmp_path / "study").exists()


def failing(loss: str, error: Exception):
    def fit_or_fail(data, settings, **kwargs):
        if settings.technique.loss == loss:
            raise error
        return fit(data, settings, **kwargs)

    return fit_or_fail


@pytest.mark.parametrize("error", [NonFiniteLossError("it became NaN"), ValueError("too few rows")])
def test_a_failed_trial_is_recorded_and_counts(error, options, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "fit", failing("focal", error))
    tuning = tune(options, SETTINGS, tmp_path, num_trials=4, num_seeds=2)
    assert [trial["state"] for trial in tuning.trials] == ["complete", "complete", "failed", "complete"]
    assert tuning.trials[2]["error"] == str(error)
    assert tuning.trials[2]["validation_ap"] is None
    assert "4 trials, 1 failed" in module.tuning_text(tuning)
    assert len(tune(options, SETTINGS, tmp_path, num_trials=5, num_seeds=2).trials) == 5


@pytest.mark.parametrize("error", [NonFiniteLossError("it became NaN"), ValueError("too few rows")])
def test_without_a_baseline_there_is_no_study(error, options, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "fit", failing("cross_entropy", error))
    with pytest.raises(type(error), match=str(error)):
        tune(options, SETTINGS, tmp_path / "study", num_trials=4)
    assert not (tmp_path / "study").exists()


def test_the_baseline_alone_helps_nobody(options, tmp_path):
    tuning = tune(options, SETTINGS, tmp_path, num_trials=1, num_seeds=2)
    assert (tuning.best, tuning.best_trial, tuning.helps, tuning.test_ap) == (SETTINGS, 0, False, {})
    assert "no trial beats the plain baseline" in tuning.reason


@pytest.mark.parametrize(
    ("best", "difference", "helps", "words"),
    [
        ([0.4, 0.5], (0.1, 0.01, 0.2), True, "2 of 2 new seeds: more than noise"),
        ([0.4, 0.5], (0.1, -0.01, 0.2), False, "2 of 2 new seeds: no more than noise"),  # the interval includes 0
        ([0.6, 0.29], (0.1, 0.01, 0.2), False, "1 of 2 new seeds: no more than noise"),
        ([0.2, 0.2], (-0.1, -0.2, -0.01), False, "0 of 2 new seeds: the gain on validation rows does not carry over"),
    ],
    ids=["better", "interval includes 0", "behind with one seed", "worse"],
)
def test_verdict(best, difference, helps, words):
    verdict, reason = module._verdict({"baseline": [0.3, 0.3], "best": best}, difference)
    assert verdict is helps
    assert words in reason


def test_three_classes_by_their_macro_ap(tmp_path):
    generator = np.random.Generator(np.random.PCG64(0))
    y = generator.choice(3, 900, p=[0.8, 0.15, 0.05])
    frame = pd.DataFrame({"a": y + generator.normal(size=900), "b": generator.normal(size=900), "y": y})
    frame["y"] = frame["y"].map({0: "low", 1: "mid", 2: "high"})
    frame.to_csv(tmp_path / "three.csv", index=False)
    options = DataOptions(str(tmp_path / "three.csv"), "y", audit=False)
    tuning = tune(options, SETTINGS, tmp_path / "study", num_trials=4, num_seeds=2)
    assert all(0 < trial["validation_ap"] < 1 for trial in tuning.trials)
    assert tuning.best_trial == 0 or tuning.test_difference[1] <= tuning.test_difference[2]


def test_replicates_of_three_classes_are_paired_and_centred():
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(300) % 3
    scores = torch.softmax(torch.eye(3)[target] + torch.randn(300, 3, generator=generator), dim=1)
    replicates = module._replicates(torch.stack([scores, scores, scores.flip(1)]), target)
    np.testing.assert_array_equal(replicates[:, 0], replicates[:, 1])
    assert replicates[:, 0].std() > 0.005
    assert replicates[:, 0].mean() == pytest.approx(study_module.average_precision(scores, target), abs=0.02)
    assert (replicates[:, 0] > replicates[:, 2]).all()


def test_no_log_lines_and_no_global_state(options, tmp_path, capfd):
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    try:
        tune(options, SETTINGS, tmp_path, num_trials=2, num_seeds=2)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tolist() == numpy_state


def test_without_optuna_the_message_has_the_pip_line(options, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'imbalance-torch\[tune\]'"):
        tune(options, SETTINGS, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def words(file: Path) -> list[str]:
    flags = "--target cancelled --time scheduled_departure --role origin=categorical --role dest=ignored --no-audit"
    return [str(file), *flags.split(), "--drop", "carrier,wind_gust", "--max-steps", "3", "--batch-size", "64"]


@pytest.mark.parametrize("technique", RECIPES)
def test_the_printed_command_trains_the_same(technique, file):
    parser = build_parser()
    split = ["--split", "0.5,0.25,0.25", "--seed", "4", "--positive", "-1"]
    given = parser.parse_args(["tune", *words(file), *split[:4], f"--positive={split[-1]}", "-o", "study"])
    options = _commands._data_options(given)
    settings = Settings(RECIPES[technique], network="mlp", learning_rate=1 / 700, seed=4, max_steps=3)
    command = shlex.split(_commands._train_command(options, settings))
    again = parser.parse_args(command[1:])
    assert command[0] == "imbalance-torch"
    assert _commands._data_options(again) == options
    assert _commands._settings(again) == settings


def test_command_line(file, tmp_path, capsys):
    arguments = ["tune", *words(file), "--num-trials", "3", "--num-seeds", "2", "-o", str(tmp_path / "study")]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert "3 trials; AP on validation rows" in text
    assert "verdict: " in text
    assert cli.main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["command"] in text
    assert Settings.from_dict(printed["best"]) == Settings.from_dict(
        json.loads((tmp_path / "study" / "best.json").read_text())
    )
    assert cli.main([*arguments, "--seed", "1"]) == 2
    assert "`seed` was 0, is 1" in capsys.readouterr().err


def test_train_takes_the_figures_of_a_technique(file, tmp_path, capsys):
    train = ["train", *words(file), "--network", "mlp", "-o"]
    for number, (flags, technique) in enumerate(
        (
            (["--loss", "focal", "--gamma", "0.5"], Technique("focal", gamma=0.5)),
            (["--loss", "class_weighted", "--weight-power", "0"], Technique("class_weighted", weight_power=0.0)),
            (["--sampler", "balanced", "--ratio", "0.1"], Technique(sampler="balanced", ratio=0.1)),
        )
    ):
        run = tmp_path / str(number)
        assert cli.main([*train, str(run), *flags]) == 0
        record = json.loads((run / "run.json").read_text())
        assert Settings.from_dict(record["settings"]).technique == technique
    capsys.readouterr()
    for flags, message in (
        (["--gamma", "2"], "`gamma` belongs to loss='focal'"),
        (["--loss", "focal", "--gamma", "-1"], "`gamma` must be >= 0"),
        (["--ratio", "0"], "`ratio` must be > 0"),
    ):
        assert cli.main([*train, str(tmp_path / "bad"), *flags]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "bad").exists()


def started(file: Path, directory: Path, num_trials: int) -> subprocess.Popen:
    arguments = [*words(file), "--num-trials", str(num_trials), "--num-seeds", "2", "-o", str(directory)]
    return subprocess.Popen(
        [sys.executable, "-m", "imbalance_torch", "tune", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs us in background
    )


def wait_for_trials(directory: Path, rows: int) -> None:
    for _ in range(1200):
        if (directory / "trials.csv").is_file() and len(pd.read_csv(directory / "trials.csv")) >= rows:
            return
        time.sleep(0.05)
    raise AssertionError("the study did not get that far")


@pytest.mark.slow
def test_a_killed_process_loses_one_trial_at_most(file, tmp_path):
    for rows in (1, 4, 7):
        process = started(file, tmp_path / "killed", 9)
        wait_for_trials(tmp_path / "killed", rows)
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
    trials = []
    for name in ("killed", "whole"):
        output, errors = started(file, tmp_path / name, 9).communicate(timeout=120)
        assert not errors, errors
        assert b"verdict: " in output
        trials.append(pd.read_csv(tmp_path / name / "trials.csv").drop(columns="seconds"))
    pd.testing.assert_frame_equal(*trials)
    assert len(trials[0]) == 9


@pytest.mark.slow
def test_ctrl_c_keeps_the_study(file, tmp_path):
    process = started(file, tmp_path, 1000)
    wait_for_trials(tmp_path, 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    assert b"the same `tune`" in errors
    assert len(pd.read_csv(tmp_path / "trials.csv")) >= 2
