"""The model directory: scoring from it alone, refusal of any changed byte, no way to run code."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from imbalance_torch.training import (
    DataOptions,
    Settings,
    TabularModel,
    Technique,
    evaluate,
    resume,
    score,
    train,
)


@pytest.fixture(scope="module")
def run(flights_csv, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "x"
    options = DataOptions(str(flights_csv), "cancelled", "scheduled_departure")
    train(options, Settings(Technique("class_weighted"), network="mlp", max_steps=80, batch_size=128), directory)
    return directory


def test_the_directory_holds_what_the_contract_names(run):
    assert sorted(file.name for file in (run / "model").iterdir()) == [
        "MODEL_CARD.md",
        "manifest.json",
        "model.json",
        "model.safetensors",
    ]
    record = json.loads((run / "model/model.json").read_text())
    assert record["technique"]["loss"] == "class_weighted"
    assert record["network"]["name"] == "mlp"
    assert 0 < record["threshold"] < 1
    assert "imbalance_torch." not in json.dumps({k: record[k] for k in ("technique", "network")})
    assert "Threshold" in (run / "model/MODEL_CARD.md").read_text()


def test_csv_and_parquet_give_the_same_scores(run, flights, flights_csv, tmp_path):
    flights.drop(columns="cancelled").to_parquet(tmp_path / "raw.parquet")
    rows = score(run / "model", flights_csv, tmp_path / "a.parquet", keep=["flight"])
    assert rows == score(run / "model", tmp_path / "raw.parquet", tmp_path / "b.csv") == len(flights)
    one, other = pd.read_parquet(tmp_path / "a.parquet"), pd.read_csv(tmp_path / "b.csv")
    assert list(one.columns) == ["flight", "score", "probability", "decision"]
    # float32 columns come back from CSV as the nearest decimals, off by up to 5e-5: the log and bin blocks see that
    np.testing.assert_allclose(one["probability"], other["probability"], rtol=1e-4)
    threshold = json.loads((run / "model/model.json").read_text())["threshold"]
    np.testing.assert_array_equal(one["decision"], (one["probability"] >= threshold).astype(int))
    np.testing.assert_allclose(one["score"], np.log(one["probability"] / (1 - one["probability"])), atol=1e-6)


def test_column_order_extra_columns_and_unseen_values(run, flights):
    model = TabularModel.load(run / "model")
    plain = model.score(flights.head(200))
    shuffled = flights.head(200)[list(reversed(flights.columns))].assign(extra="?")
    np.testing.assert_array_equal(plain["probability"], model.score(shuffled)["probability"])
    odd = flights.head(3).astype({"carrier": str}).assign(carrier="ZZ", temp=np.nan, distance=1e300)
    assert np.isfinite(model.score(odd)["probability"]).all()
    with pytest.raises(ValueError, match=r"lacks the column\(s\) 'carrier'"):
        model.score(flights.drop(columns="carrier"))


def test_chunks_do_not_change_scores(run, flights):
    model = TabularModel.load(run / "model")
    whole = model.score(flights)["probability"]
    parts = np.concatenate([model.score(flights.iloc[i : i + 997])["probability"] for i in range(0, len(flights), 997)])
    np.testing.assert_allclose(whole, parts, rtol=1e-5)
    assert len(model.score(flights.head(1))["decision"]) == 1


def test_evaluate_on_the_test_rows_gives_the_figures_of_the_run(run, flights, flights_csv, tmp_path):
    from imbalance_torch.data import time_split

    rows = time_split(flights["scheduled_departure"].to_numpy()).test
    flights.iloc[rows].to_parquet(tmp_path / "test.parquet")
    figures = evaluate(run / "model", tmp_path / "test.parquet")
    expected = json.loads((run / "metrics.json").read_text())
    assert figures == pytest.approx(expected, rel=1e-4)


def test_the_device_does_not_change_the_figures(run, flights, tmp_path, device):
    flights.to_parquet(tmp_path / "t.parquet")
    figures = [evaluate(run / "model", tmp_path / "t.parquet", device=name) for name in ("cpu", device.type)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-4)
    for name in ("cpu", device.type):
        score(run / "model", tmp_path / "t.parquet", tmp_path / f"{name}.parquet", device=name)
    written = [pd.read_parquet(tmp_path / f"{name}.parquet")["probability"] for name in ("cpu", device.type)]
    np.testing.assert_allclose(*written, rtol=1e-3)


@pytest.mark.parametrize("name", ["tpu", "cuda:0"])
def test_an_unknown_device_is_named_before_anything_is_read(name, tmp_path):
    for call in (lambda: evaluate("no model", "no file", device=name), lambda: score("m", "f", "o", device=name)):
        with pytest.raises(ValueError, match=f"`device` must be one of 'auto', 'cpu', 'cuda', got device='{name}'"):
            call()


def _copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "manifest.json", "MODEL_CARD.md"])
def test_one_changed_byte_is_refused(run, name, tmp_path):
    generator = np.random.default_rng(0)
    model = _copy(run / "model", tmp_path / "model")
    content = (model / name).read_bytes()
    for position in generator.integers(len(content), size=60):
        changed = bytearray(content)
        changed[position] ^= 1 << int(generator.integers(8))
        (model / name).write_bytes(changed)
        with pytest.raises(ValueError, match="is damaged"):
            TabularModel.load(model)
    (model / name).write_bytes(content)
    TabularModel.load(model)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "manifest.json"])
def test_a_missing_file_is_named(run, name, tmp_path):
    model = _copy(run / "model", tmp_path / "model")
    (model / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        TabularModel.load(model)


def test_a_failed_scoring_leaves_the_old_output(run, flights, tmp_path):
    flights.drop(columns="dest").to_parquet(tmp_path / "raw.parquet")
    (tmp_path / "out.parquet").write_bytes(b"older")
    with pytest.raises(ValueError, match="dest"):
        score(run / "model", tmp_path / "raw.parquet", tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == b"older"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.parquet", "raw.parquet"]


def test_text_classes_and_booleans_from_csv(tmp_path):
    generator = np.random.default_rng(0)
    amount = generator.normal(size=600)
    frame = pd.DataFrame(
        {
            "amount": amount,
            "foreign": amount + generator.normal(size=600) > 1,
            "shop": generator.choice(["a", "b c", None], size=600),
            "label": np.where(amount > 1.2, "fraud", "ok"),
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = DataOptions(str(tmp_path / "t.csv"), "label", audit=False)
    train(options, Settings(network="mlp", max_steps=60, batch_size=64), tmp_path / "run")
    score(tmp_path / "run/model", tmp_path / "t.csv", tmp_path / "s.parquet")
    scored = pd.read_parquet(tmp_path / "s.parquet")
    assert set(scored["decision"]) == {"fraud", "ok"}
    assert (
        scored["probability"][frame["label"] == "fraud"].mean() > scored["probability"][frame["label"] == "ok"].mean()
    )
    model = TabularModel.load(tmp_path / "run/model")
    np.testing.assert_allclose(model.score(frame)["probability"], scored["probability"], rtol=1e-5)


def test_csv_evaluates_with_the_types_of_the_training_table(tmp_path):
    generator = np.random.default_rng(0)
    code = generator.choice(["007", "010", "123"], size=600)
    frame = pd.DataFrame({"code": code, "x": generator.normal(size=600), "y": (code == "007").astype(int)})
    frame.loc[:20, "y"] = 1 - frame.loc[:20, "y"]
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    train(
        DataOptions(str(tmp_path / "t.parquet"), "y"),
        Settings(network="mlp", max_steps=80, batch_size=64),
        tmp_path / "run",
    )
    figures = [evaluate(tmp_path / "run/model", tmp_path / name) for name in ("t.parquet", "t.csv")]
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)
    assert figures[1]["auroc"] > 0.9


def test_saving_never_deletes_what_is_not_a_model(run, tmp_path):
    model = TabularModel.load(run / "model")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is not a model directory"):
        model.save(tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
    model.save(tmp_path / "new")
    model.save(tmp_path / "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "new"]
    assert TabularModel.load(tmp_path / "new").threshold == model.threshold


def test_the_weights_of_the_loss_are_stored(run, tmp_path, monkeypatch):
    from imbalance_torch.losses import ClassWeightedCrossEntropyLoss
    from imbalance_torch.training import LOSSES

    expected = TabularModel.load(run / "model").classifier.loss.weight
    monkeypatch.setitem(LOSSES, "class_weighted", lambda counts: ClassWeightedCrossEntropyLoss(torch.ones(2).double()))
    torch.testing.assert_close(TabularModel.load(run / "model").classifier.loss.weight, expected)


@pytest.mark.parametrize("name", ["logit_adjusted", "balanced_softmax", "vs", "asymmetric", "poly1"])
def test_every_named_loss_trains_saves_and_scores(name, tmp_path):
    x = np.random.default_rng(1).normal(size=600)
    pd.DataFrame({"x": x, "y": (x > 1.2).astype(int)}).to_parquet(tmp_path / "t.parquet")
    options = DataOptions(str(tmp_path / "t.parquet"), "y", audit=False)  # x decides y
    figures = train(options, Settings(Technique(name), network="mlp", max_steps=60, batch_size=64), tmp_path / "run")
    assert figures["ap"] > 0.8
    score(tmp_path / "run/model", tmp_path / "t.parquet", tmp_path / "s.parquet")
    probability = pd.read_parquet(tmp_path / "s.parquet")["probability"].to_numpy()
    assert abs(probability.mean() / (x > 1.2).mean() - 1) < 0.35


def test_three_classes(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=900)
    pd.DataFrame({"x": x, "z": -x, "y": np.digitize(x, [1.0, 1.8])}).to_parquet(tmp_path / "t.parquet")
    options = DataOptions(str(tmp_path / "t.parquet"), "y", audit=False)  # x decides y
    figures = train(options, Settings(Technique("focal"), network="mlp", max_steps=80, batch_size=64), tmp_path / "run")
    assert figures["ap"] > 0.6
    score(tmp_path / "run/model", tmp_path / "t.parquet", tmp_path / "s.parquet")
    scored = pd.read_parquet(tmp_path / "s.parquet")
    classes = scored[[f"probability_{c}" for c in range(3)]].to_numpy()
    np.testing.assert_allclose(classes.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(scored["decision"], classes.argmax(1))
    assert torch.isfinite(torch.tensor(scored["score"].to_numpy())).all()


def test_figures_of_three_classes_are_those_of_the_chosen_thresholds(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1500, 2))
    frame = pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "y": np.digitize(x[:, 0] + generator.normal(size=1500), [1.5, 2.5])}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    options = DataOptions(str(tmp_path / "t.parquet"), "y")
    train(options, Settings(network="mlp", max_steps=60, batch_size=128), tmp_path / "run", threshold="macro_f1")
    model = TabularModel.load(tmp_path / "run/model")
    assert len(model.threshold) == 3
    decided = model.score(frame)["decision"]
    figures = evaluate(tmp_path / "run/model", tmp_path / "t.parquet")
    assert figures["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(frame["y"], decided))
    assert figures["f1"] == pytest.approx(f1_score(frame["y"], decided, average="macro"))
    frame.rename(columns={"b": "probability_0"}).to_parquet(tmp_path / "clash.parquet")
    with pytest.raises(ValueError, match="`keep` names 'probability_0'"):
        score(tmp_path / "run/model", tmp_path / "clash.parquet", tmp_path / "out.csv", keep=["probability_0"])


def test_a_threshold_that_no_cut_reaches_keeps_the_run(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.integers(0, 2, 600), "y": (generator.random(600) < 0.1).astype(int)})
    frame.to_parquet(tmp_path / "t.parquet")
    settings = Settings(network="mlp", max_steps=20, batch_size=64, checkpoint_every=10)
    with pytest.raises(ValueError, match="No threshold reaches a precision"):
        train(DataOptions(str(tmp_path / "t.parquet"), "y"), settings, tmp_path / "run", threshold="precision:0.99")
    assert resume(tmp_path / "run", threshold="recall:0.8")["threshold"] < 1
    record = json.loads((tmp_path / "run/model/model.json").read_text())
    assert record["card"]["threshold rule"] == "recall:0.8"


def test_a_model_is_saved_where_a_link_or_a_dot_leads(run, tmp_path, monkeypatch):
    model = TabularModel.load(run / "model")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    model.save(tmp_path / "link")
    assert TabularModel.load(tmp_path / "real").threshold == model.threshold
    assert (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "real")
    model.save(".")


def test_loading_draws_from_no_global_generator(run):
    state = torch.get_rng_state()
    TabularModel.load(run / "model")
    assert torch.equal(torch.get_rng_state(), state)
