"""Advice: the baseline first unless a rule argues otherwise, reasons with figures, and recipes that train."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import imbalance_torch
from imbalance_torch.cli import main
from imbalance_torch.evaluation import Race, advise, verdicts
from imbalance_torch.evaluation._advice import advice_text
from imbalance_torch.evaluation._arms import build_arms, parse_technique
from imbalance_torch.evaluation._recipe import recipe_text
from imbalance_torch.evaluation._rules import METRICS, MODELS, RULES
from imbalance_torch.training import Settings, TabularDataModule, _fitting, fit, lightning_cli

FAST = Path(__file__).parents[2] / "configs/overlays/fast.yaml"


def table(rows=3000, ratio=50, classes=2, categories=0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.zeros(rows, dtype=int)
    for label in range(1, classes):
        y[(label - 1) * (rows // ratio) : label * (rows // ratio)] = label
    columns = {f"x{i}": rng.normal(size=rows) + (y > 0) for i in range(3)}
    columns |= {f"c{i}": rng.choice(list("abc"), rows) for i in range(categories)}
    found = pd.DataFrame({**columns, "y": y})
    return found.iloc[rng.permutation(rows)].reset_index(drop=True)


def module(frame, **options) -> TabularDataModule:
    return TabularDataModule(frame, "y", audit=False, **options)


@pytest.mark.parametrize("ratio", [5, 50, 200])
@pytest.mark.parametrize("metric", METRICS)
def test_the_baseline_comes_first_where_the_threshold_moves(metric, ratio):
    advice = advise(module(table(ratio=ratio)), metric=metric)
    assert advice.techniques[0] == "baseline"
    assert advice.recommendations[0].reasons


def test_what_argues_otherwise():
    data = module(table())
    assert advise(data, fixed_threshold=True).techniques[:3] == ["logit_adjusted", "class_weighted:1", "baseline"]
    assert advise(data, model="trees").techniques == ["hist_gradient_boosting", "baseline"]
    mild = advise(module(table(ratio=5)), fixed_threshold=True)
    assert mild.techniques[:3] == ["logit_adjusted", "class_weighted:1", "baseline"]


def test_mild_imbalance_leaves_the_baseline_and_another_model():
    advice = advise(module(table(ratio=5)))
    assert advice.techniques == ["baseline", "hist_gradient_boosting"]
    assert {"class_weighted", "focal", "smote", "balanced"} <= set(advice.discouraged)
    assert "4.0 majority rows" in advice.discouraged["smote"][0].sentence


@pytest.mark.parametrize("goal", [*product(METRICS, (False, True), MODELS)], ids=str)
def test_what_is_recommended_is_not_ruled_out(goal):
    metric, fixed, model = goal
    for frame in (table(ratio=5), table(), table(ratio=300, rows=6000), table(classes=3), table(categories=4)):
        advice = advise(module(frame), metric=metric, fixed_threshold=fixed, model=model)
        names = advice.techniques
        assert "baseline" in names
        assert len(names) == len(set(names))
        assert [each.rank for each in advice.recommendations] == list(range(1, len(names) + 1))
        assert set(build_arms(names)) == set(names)
        for name in names:
            assert name not in advice.discouraged
            assert name.partition(":")[0] not in advice.discouraged
        told = [reason for each in advice.recommendations for reason in each.reasons]
        assert all(each.reasons for each in advice.recommendations)
        assert {reason.rule for reason in [*told, *advice.notes]} <= {rule.name for rule in RULES}


def test_it_goes_through_json_and_reads_well():
    advice = advise(module(table(categories=2)))
    assert json.loads(json.dumps(advice.to_dict())) == advice.to_dict()
    text = advice_text(advice)
    for part in ("try in this order\n1. baseline", "leave out\nsmote", "in any case", "evidence", "1:49.0", "R9"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("evidence") == 1


def test_drift_is_told_where_there_is_a_time_column():
    frame = table()
    frame["day"] = np.arange(len(frame))
    frame["x0"] += frame["day"] / 500
    advice = advise(module(frame, time="day"))
    assert any(note.rule == "drift" and "'x0' moves most" in note.sentence for note in advice.notes)
    assert "first to last third" in advice_text(advice)


def test_nothing_is_trained_and_nothing_beyond_the_facts_is_encoded():
    data = module(table())
    advise(data)
    assert "x" not in data.__dict__


def test_the_front_door():
    assert imbalance_torch.advise is advise
    with pytest.raises(TypeError, match="`data` must be a TabularDataModule, got DataFrame"):
        advise(table())


@pytest.fixture
def file(tmp_path):
    table(categories=1).assign(group=np.arange(3000) // 3, extra=1.5).to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def test_a_recipe_has_what_the_data_module_was_given(file):
    options = {
        "group": "group",
        "drop": ["extra"],
        "seed": 3,
        "split": (0.5, 0.25, 0.25),
        "roles": {"c0": "categorical"},
    }
    config = yaml.safe_load(
        advise(TabularDataModule(file, "y", positive=1, **options)).recipe(
            settings=Settings(network="tabm", max_steps=70, batch_size=64, learning_rate=0.01, seed=3)
        )
    )
    expected = {**options, "split": [0.5, 0.25, 0.25], "source": str(file), "target": "y", "positive": 1}
    assert config["data"] == {**expected, "batch_size": 64}
    assert config["seed_everything"] == 3
    assert config["trainer"]["max_steps"] == 70
    assert config["model"]["network"] == {"class_path": "imbalance_torch.models.TabM"}
    assert config["model"]["optimizer"]["init_args"] == {"lr": 0.01, "weight_decay": 1e-4}
    assert config["model"]["scheduler"]["init_args"]["total_steps"] == 71
    assert config["model"]["scheduler"]["init_args"]["max_lr"] == 0.01


def test_a_recipe_says_why(file):
    lines = advise(TabularDataModule(str(file), "y")).recipe().splitlines()
    assert lines[0].startswith("# baseline")
    assert any(line.startswith("# R1: ") for line in lines)


def test_recipes_differ_by_their_technique(file):
    advice = advise(TabularDataModule(str(file), "y", drop=["c0", "group", "extra"]), fixed_threshold=True)
    models = {name: yaml.safe_load(advice.recipe(name)) for name in advice.techniques if "boosting" not in name}
    assert models["class_weighted:1"]["model"]["loss"]["init_args"] == {"scheme": "balanced"}
    assert models["balanced:0.25"]["data"]["sampler"]["init_args"] == {"ratio": 0.25}
    assert models["smote:0.25"]["model"]["resampler"]["init_args"]["target_ratio"] == 0.25
    assert len({json.dumps(config) for config in models.values()}) == len(models)
    rows = yaml.safe_load(recipe_text("class_weighted:0.5", {}, num_classes=3, settings=Settings(), notes=[]))
    assert rows["model"]["loss"]["init_args"] == {"scheme": "inverse_sqrt"}
    assert rows["model"]["task"] == "multiclass"


def test_no_recipe(file):
    advice = advise(TabularDataModule(str(file), "y"))
    with pytest.raises(ValueError, match="`technique` must be one of baseline"):
        advice.recipe("vs")
    with pytest.raises(ValueError, match="got technique='hist_gradient_boosting'"):
        advice.recipe("hist_gradient_boosting")
    with pytest.raises(ValueError, match="this table came from memory"):
        advise(module(table())).recipe()


def every_advised_technique() -> dict[str, tuple[pd.DataFrame, dict[str, object]]]:
    """Return made-up tables and goals that together recommend every technique a recipe can hold."""
    cases = [
        (table(), {"fixed_threshold": True}),
        (table(ratio=200), {"model": "deep"}),
        (table(rows=9000, ratio=200), {"fixed_threshold": True}),
        (table(rows=9000, ratio=1500), {}),
        (table(classes=3), {}),
    ]
    return {name: (frame, goal) for frame, goal in cases for name in advise(module(frame), **goal).techniques}


def train(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe)
    words = ["fit", "--config", str(path), "--config", str(FAST), "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]) == 0
    assert [*tmp_path.rglob("*.ckpt")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "technique",
    [
        "baseline",
        "logit_adjusted",
        "class_weighted:1",
        "class_weighted:0.5",
        "focal:2",
        "balanced_softmax",
        "balanced:0.25",
        "smote:0.25",
        "vs",
        "ldam",
    ],
)
def test_every_advised_technique_trains(technique, tmp_path, recwarn):
    frame, goal = every_advised_technique()[technique]
    frame.to_parquet(tmp_path / "table.parquet")
    advice = advise(TabularDataModule(str(tmp_path / "table.parquet"), "y"), **goal)
    train(advice.recipe(technique), tmp_path)


def test_rotating_undersampling_trains(file, tmp_path):
    data = {"source": str(file), "target": "y"}
    train(
        recipe_text("rotating_undersampling:0.1", data, num_classes=2, settings=Settings(max_steps=20), notes=["a\nb"]),
        tmp_path,
    )


@pytest.mark.filterwarnings("ignore:LDAMLoss has no known link")
@pytest.mark.parametrize(
    ("technique", "network"),
    [
        ("baseline", "resnet"),
        ("focal:2", "tabm"),
        ("class_weighted:1", "mlp"),
        ("class_weighted:0.5", "mlp"),
        ("logit_adjusted", "mlp"),
        ("balanced_softmax", "mlp"),
        ("vs", "mlp"),
        ("ldam", "mlp"),
        ("balanced:0.25", "mlp"),
        ("rotating_undersampling:0.1", "mlp"),
        ("smote:0.25", "mlp"),
    ],
)
def test_a_recipe_trains_to_the_weights_of_fit(technique, network, tmp_path, monkeypatch):
    table(categories=1).to_parquet(tmp_path / "table.parquet")
    data = {"source": str(tmp_path / "table.parquet"), "target": "y", "seed": 3, "audit": False}
    settings = Settings(network=network, max_steps=40, batch_size=64, learning_rate=0.05, seed=3, device="cpu")
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(technique, data, num_classes=2, settings=settings, notes=[]))
    words = ["--trainer.default_root_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"]
    found = lightning_cli.run(["fit", "--config", str(path), *words]).model.network
    monkeypatch.setattr(_fitting, "mix", int)  # the global seed of LightningCLI is the number itself
    model = fit(TabularDataModule(**data), replace(settings, technique=parse_technique(technique)))
    assert type(found) is type(model.classifier.network)
    torch.testing.assert_close(found.state_dict(), model.classifier.network.state_dict())


def test_the_command_writes_a_recipe_that_trains(file, tmp_path, capsys):
    recipe = tmp_path / "advised.yaml"
    assert main(["advise", str(file), "--target", "y", "--group", "group", "-o", str(recipe)]) == 0
    assert f"imbalance-torch fit --config {recipe}" in capsys.readouterr().out
    train(recipe.read_text(), tmp_path)


def test_the_command_in_json(file, capsys):
    words = ["advise", str(file), "--target", "y", "--drop", "group,extra", "--metric", "auroc", "--fixed-threshold"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["goal"] == {"metric": "auroc", "fixed_threshold": True, "model": "network"}
    assert found["facts"]["minority_rows"] == 36
    assert found["recipe"] is None
    assert [each["rank"] for each in found["recommendations"]] == list(range(1, len(found["recommendations"]) + 1))
    assert "R15" in {note["rule"] for note in found["notes"]}


@pytest.mark.parametrize(
    ("winner", "written"), [("hist_gradient_boosting", "baseline"), ("balanced:0.25", "balanced:0.25")]
)
def test_the_command_writes_the_recipe_of_a_race(winner, written, file, tmp_path, capsys, monkeypatch):
    (final,) = verdicts({winner: [0.1, 0.2]}, budget=7, test_to_train=0.3)
    monkeypatch.setattr("imbalance_torch.evaluation.race", lambda *_, **__: Race([], final, winner, "it won"))
    recipe = tmp_path / "advised.yaml"
    words = ["advise", str(file), "--target", "y", "--drop", "group,extra", "--race", "--budgets", "5,7"]
    words += ["--network", "tabm", "--learning-rate", "0.05", "--batch-size", "256", "--device", "cpu", "--seed", "4"]
    assert main([*words, "-o", str(recipe), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == written
    assert recipe.read_text().startswith(f"# {written}, as ")
    config = yaml.safe_load(recipe.read_text())
    assert config["model"]["network"]["class_path"] == "imbalance_torch.models.TabM"
    assert config["model"]["optimizer"]["init_args"]["lr"] == 0.05
    assert config["data"]["batch_size"] == 256
    assert config["trainer"]["max_steps"] == 7
    assert config["trainer"]["accelerator"] == "cpu"
    assert config["seed_everything"] == config["data"]["seed"] == 4
    assert main([*words, "-o", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert f"recipe of {written}; train it with: imbalance-torch fit --config {recipe}" in out
    assert (f"{winner} has no recipe" in out) == (winner != written)
    assert main(words) == 0
    assert "recipe" not in capsys.readouterr().out


def test_the_command_refuses(file, tmp_path, capsys):
    recipe = tmp_path / "none.yaml"
    assert main(["advise", str(file), "--target", "y", "--metric", "accuracy", "-o", str(recipe)]) == 2
    assert "`metric` must be one of 'ap'" in capsys.readouterr().err
    assert main(["advise", str(file), "--target", "z", "-o", str(recipe)]) == 2
    assert not recipe.exists()
