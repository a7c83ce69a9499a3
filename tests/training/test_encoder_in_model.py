"""The encoder in runs and model directories: every block and role, older directories, what SMOTE may touch."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from imbalance_torch.data import TableEncoder
from imbalance_torch.models import MLP
from imbalance_torch.training import DataOptions, Settings, TabularDataModule, TabularModel, Technique, score, train

BLOCKS = ("standard", "robust", "log", "quantile", "bins")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    amount = rng.exponential(1, 900)
    times = pd.Series(rng.permutation(pd.date_range("2022-01-01", periods=900, freq="25h")))
    return pd.DataFrame(
        {
            "amount": np.where(rng.random(900) < 0.1, np.nan, amount),
            "score": rng.normal(size=900),
            "foreign": pd.Series(rng.random(900) < 0.3).astype("boolean").mask(rng.random(900) < 0.1),
            "shop": rng.choice(["a", "b c", None], 900),
            "seen": times.mask(rng.random(900) < 0.1),
            "zoned": times.dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward"),
            "label": np.where(amount + rng.normal(0, 0.4, 900) > 2, "fraud", "ok"),
        }
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_run_with_every_block_scores_raw_rows(table, suffix, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S%z")
    table.to_parquet(tmp_path / "t.parquet")
    options = DataOptions(str(tmp_path / f"t.{suffix}"), "label", blocks=BLOCKS, num_bins=4, min_category_rows=5)
    assert train(options, Settings(max_steps=60, batch_size=64), tmp_path / "run")["ap"] > 0.5
    model = TabularModel.load(tmp_path / "run/model")
    assert model.encoder.boolean == ["foreign"]
    assert model.encoder.datetime == ["seen", "zoned"]
    assert model.encoder.num_bins == 4
    data = options.build()
    assert torch.equal(model.encoder.encode(data.frame), data.x)
    score(tmp_path / "run/model", tmp_path / f"t.{suffix}", tmp_path / "s.parquet")
    scored = pd.read_parquet(tmp_path / "s.parquet")["probability"]
    np.testing.assert_allclose(scored, model.score(data.frame)["probability"], rtol=1e-5)
    card = (tmp_path / "run/model/MODEL_CARD.md").read_text()
    assert "2 numeric, 1 boolean, 2 datetime, 1 categorical" in card
    assert "standard, robust, log, quantile, bins" in card


def test_saving_and_loading_gives_the_same_encodings(table, tmp_path):
    model_of = _model(table, tmp_path, blocks=BLOCKS)
    again = TabularModel.load(model_of.save(tmp_path / "again"))
    rows = table.sample(frac=1, random_state=0).assign(extra=1)[["extra", *reversed(table.columns)]]
    assert torch.equal(again.encoder.encode(rows), model_of.encoder.encode(rows))
    odd = rows.head(5).assign(amount=1e300, score=np.nan, shop="new", foreign=None, seen=pd.NaT)
    assert torch.equal(again.encoder.encode(odd), model_of.encoder.encode(odd))
    assert np.isfinite(again.score(odd)["probability"]).all()
    with pytest.raises(ValueError, match=r"lacks the column\(s\) 'foreign', 'seen'"):
        again.score(rows.drop(columns=["seen", "foreign"]))


def test_a_directory_of_the_first_format_loads(table, tmp_path):
    model = _model(table[["amount", "score", "shop", "label"]], tmp_path, blocks=["standard"])
    folder = model.save(tmp_path / "old")
    tensors = load_file(folder / "model.safetensors")
    names = {"low": "low", "high": "high", "fill": "median"}
    state = {f"encoder.{old}": tensors[f"encoder.{new}"] for new, old in names.items()}
    unit = tensors["encoder.unit"]
    state |= {f"encoder.{name}": tensors[f"encoder.standard_{name}"] * unit for name in ("mean", "scale")}
    state["encoder.indicator_columns"] = torch.tensor([True, False])
    state |= {name: value for name, value in tensors.items() if not name.startswith("encoder.")}
    save_file(state, folder / "model.safetensors")
    record = json.loads((folder / "model.json").read_text())
    # the network of that time: a hidden layer of 128 and one of 64
    old = MLP(**record["network"]["arguments"], hidden=(128, 64))
    state = {k: v for k, v in state.items() if not k.startswith("network.")}
    state |= {f"network.{name}": value for name, value in old.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    record["format"], record["loss"] = 1, record.pop("technique")["loss"]
    del record["calibration"]
    record["encoder"] = {key: record["encoder"][key] for key in ("numeric", "max_categories", "categories")}
    for key in ("boolean", "datetime", "group"):
        record["schema"].pop(key, None)
    (folder / "model.json").write_text(json.dumps(record))
    _sign(folder)
    again = TabularModel.load(folder)
    torch.testing.assert_close(again.encoder.encode(table), model.encoder.encode(table), rtol=1e-6, atol=1e-6)
    assert again.encoder.cardinalities == model.encoder.cardinalities
    assert json.loads((again.save(folder) / "model.json").read_text())["format"] == 3
    np.testing.assert_array_equal(TabularModel.load(folder).score(table)["score"], again.score(table)["score"])


def test_an_unknown_format_is_refused(table, tmp_path):
    folder = _model(table, tmp_path).save(tmp_path / "new")
    record = json.loads((folder / "model.json").read_text()) | {"format": 4}
    (folder / "model.json").write_text(json.dumps(record))
    _sign(folder)
    with pytest.raises(ValueError, match="has model format 4, this version reads 1 to 3"):
        TabularModel.load(folder)


def test_smote_interpolates_the_standard_block_alone(table):
    data = TabularDataModule(table, "label", blocks=("log", "standard", "bins"))
    assert data.interpolated_columns == [0, 1]
    x, y = data.rows("train")
    new, _ = Technique(resampler="smote").build_resampler(data.encoder, seed=0).fit(x, y)(x, y)
    synthetic = new[len(x) :]
    assert len(synthetic) > 20
    others = data.encoder.num_blocks
    rest = {tuple(row) for row in x[:, others:].tolist()}
    assert all(tuple(row) in rest for row in synthetic[:, others:].tolist())
    assert TabularDataModule(table, "label", blocks=["bins"]).interpolated_columns == []


def test_arguments_of_the_encoder_pass_through(table):
    data = TabularDataModule(table, "label", blocks=["bins"], num_bins=2, max_categories=1, min_category_rows=2)
    encoder = data.encoder
    assert isinstance(encoder, TableEncoder)
    assert (encoder.blocks, encoder.num_bins, encoder.min_category_rows) == (["bins"], 2, 2)
    assert data.cardinalities == [2]
    assert torch.bincount(encoder.bins_column).tolist() == [2, 2]


def _model(table, tmp_path, **options):
    table.to_parquet(tmp_path / "t.parquet")
    options = DataOptions(str(tmp_path / "t.parquet"), "label", **options)
    train(options, Settings(network="mlp", max_steps=20, batch_size=64), tmp_path / "run")
    return TabularModel.load(tmp_path / "run/model")


def _sign(folder):
    names = ("model.json", "model.safetensors")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "manifest.json").write_text(json.dumps(hashes, indent=1) + "\n")
