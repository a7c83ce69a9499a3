"""One file per model: it decides as the model does, without this package, and is refused where it would not."""

import hashlib
import json
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_torch.cli import main
from imbalance_torch.data._columns import wall_seconds
from imbalance_torch.decision import Calibration
from imbalance_torch.training import DataOptions, Settings, TabularModel, Technique, _export, export, score, train

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CALIBRATIONS = {
    "none": None,
    "temperature": {"temperature": 1.7},
    "platt": {"scale": 0.8, "shift": -0.3},
    "platt_of_three": {"scale": 0.8, "shift": [0.0, -0.3, 0.2]},
    "isotonic": {"score": [-3.0, -0.5, 1.0], "level": [-4.0, -1.0, 2.0]},
}


def make_table(num_rows, *, seed=0, three=False):
    rng = np.random.default_rng(seed)
    amount = rng.exponential(1, num_rows)
    risk = amount + rng.normal(0, 0.4, num_rows)
    times = pd.Series(rng.permutation(pd.date_range("2022-01-01", periods=num_rows, freq="25h")))
    shops = ["a", "b c", None] if seed == 0 else ["a", "b c", None, "unseen"]
    return pd.DataFrame(
        {
            "amount": np.where(rng.random(num_rows) < 0.1, np.nan, amount),
            "where": rng.normal(size=num_rows),  # also the name of a node
            "foreign": pd.Series(rng.random(num_rows) < 0.3).astype("boolean").mask(rng.random(num_rows) < 0.1),
            "shop": rng.choice(np.array(shops, dtype=object), num_rows),
            "zip": pd.Series(rng.choice([7, 8, 9], num_rows)).astype(str),
            "seen": times.mask(rng.random(num_rows) < 0.1),
            "zoned": times.dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward"),
            "label": np.where(risk > 2, "fraud", np.where((risk > 1) & three, "odd", "ok")),
        }
    )


def fitted(folder, table, *, loss="cross_entropy", network="mlp", threshold="auto", calibration="none", **options):
    folder.mkdir(exist_ok=True)
    table.to_parquet(folder / "table.parquet")
    settings = Settings(Technique(loss), network=network, max_steps=30, batch_size=64)
    data = DataOptions(str(folder / "table.parquet"), "label", audit=False, **options)
    train(data, settings, folder / "run", threshold=threshold)
    model = TabularModel.load(folder / "run/model")
    parameters = CALIBRATIONS[calibration]
    model.classifier.__dict__["calibration"] = (
        None if parameters is None else Calibration(calibration.removesuffix("_of_three"), parameters, "set", {})
    )
    model.save(folder / "run/model")
    return folder / "run/model"


def raw_columns(model, frame):
    """What the table in the docstring of `export` asks for, from a DataFrame."""
    encoder = model.encoder
    rows = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in encoder.numeric}
    rows |= {name: frame[name].astype("Float64").to_numpy(dtype=float, na_value=np.nan) for name in encoder.boolean}
    rows |= {name: wall_seconds(frame[name], encoder.zones[name]) for name in encoder.datetime}
    return rows | {name: frame[name].fillna("").to_numpy(dtype=object) for name in encoder.categorical}


def run(file, rows):
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(["probability", "decision"], rows)


def assert_same(model, frame, probability, decision):
    scored = model.score(frame)
    if len(model.schema.classes) == 2:
        expected = scored["probability"]
    else:
        expected = np.stack([scored[f"probability_{label}"] for label in model.schema.classes], axis=1)
    assert probability.dtype == np.float64
    assert probability.shape == expected.shape
    np.testing.assert_allclose(probability, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(decision, scored["decision"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("export"), make_table(900), loss="class_weighted", calibration="platt")


@pytest.fixture(scope="module")
def onnx_file(folder):
    return export(folder)


@pytest.fixture(scope="module")
def pt2_file(folder):
    return export(folder, to="pt2")


def test_the_onnx_file_equals_the_scoring_of_a_csv(folder, onnx_file, tmp_path):
    table = make_table(1000, seed=1)
    assert table["shop"].isin(["unseen"]).sum() > 100
    table.to_csv(tmp_path / "raw.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S%z")
    score(folder, tmp_path / "raw.csv", tmp_path / "scored.parquet")
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    probability, decision = run(onnx_file, raw_columns(TabularModel.load(folder), table))
    np.testing.assert_allclose(probability, scored["probability"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(decision, scored["decision"])
    assert set(decision) == {"fraud", "ok"}


@pytest.mark.parametrize("num_rows", [0, 1, 1000])
def test_any_number_of_rows(folder, onnx_file, pt2_file, num_rows):
    model, table = TabularModel.load(folder), make_table(1000, seed=2).head(num_rows)
    rows = raw_columns(model, table)
    probability, decision = run(onnx_file, rows)
    assert probability.shape == decision.shape == (num_rows,)
    if num_rows:
        assert_same(model, table, probability, decision)
        assert_same(model, table, *_export._run_pt2(pt2_file.read_bytes(), rows))


def test_a_row_of_gaps_and_extremes(folder, onnx_file):
    model, table = TabularModel.load(folder), make_table(4, seed=3)
    table.loc[:1, ["amount", "where", "seen", "zoned", "foreign", "shop", "zip"]] = None
    table["amount"] = [np.nan, np.nan, 1e300, -1e300]
    assert_same(model, table, *run(onnx_file, raw_columns(model, table)))


def test_a_whole_number_is_a_category_with_or_without_decimals(folder, onnx_file):
    model, table = TabularModel.load(folder), make_table(50, seed=4)
    rows = raw_columns(model, table)
    plain, _ = run(onnx_file, rows)
    decimals, _ = run(onnx_file, rows | {"zip": rows["zip"] + ".0"})
    unseen, _ = run(onnx_file, rows | {"zip": rows["zip"] + ".5"})
    np.testing.assert_array_equal(plain, decimals)
    assert (plain != unseen).all()


def test_inputs_are_the_columns_and_the_metadata_tells_the_rest(folder, onnx_file):
    model = onnx.load(onnx_file)
    names = ["amount", "where", "foreign", "seen", "zoned", "shop", "zip"]
    assert [value.name for value in model.graph.input] == names
    metadata = json.loads({entry.key: entry.value for entry in model.metadata_props}["imbalance_torch"])
    record = json.loads((folder / "model.json").read_text())
    assert [column["name"] for column in metadata["columns"]] == names
    assert [column.get("zone") for column in metadata["columns"]][3:5] == [None, "America/New_York"]
    assert metadata["columns"][5]["codes"].keys() == {"a", "b c", ""}
    assert (metadata["classes"], metadata["threshold"]) == (["ok", "fraud"], record["threshold"])
    assert metadata["prior"] == pytest.approx(np.array(record["class_counts"]) / sum(record["class_counts"]))
    assert (metadata["calibration"], metadata["loss"], metadata["network"]) == ("platt", "class_weighted", "mlp")
    assert metadata["versions"] == {name: record["versions"][name] for name in ("imbalance_torch", "torch")}
    for name, digest in metadata["sha256"].items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_files_tell_nothing_of_the_machine(onnx_file, pt2_file):
    for file in (onnx_file, pt2_file):
        assert b".py" not in file.read_bytes()


@pytest.mark.slow
def test_the_documented_lines_read_a_pt2_file_without_this_package(folder, pt2_file):
    model, table = TabularModel.load(folder), make_table(2, seed=5)
    rows = {name: values.tolist() for name, values in raw_columns(model, table).items()}
    snippet = textwrap.dedent(export.__doc__.partition("How to read one::")[2].partition("Both carry")[0])
    code = f"import sys; sys.modules['imbalance_torch'] = None\nfrom math import nan\nrows = {rows!r}\n{snippet}\n"
    code += "print(json.dumps([probability.tolist(), labels]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=pt2_file.parent, capture_output=True, text=True, check=True, timeout=100
    )
    probability, decision = json.loads(done.stdout)
    assert_same(model, table, np.array(probability), np.array(decision))


def test_a_file_that_would_decide_otherwise_is_not_written(folder, pt2_file, monkeypatch, tmp_path):
    file = tmp_path / "model.pt2"
    file.write_bytes(b"older")
    reader = _export._run_pt2
    monkeypatch.setattr(_export, "trace", lambda *args: None)
    for spoil in (
        lambda p, label: (p + 2e-6, label),
        lambda p, label: (p * np.nan, label),
        lambda p, label: (p, label[::-1]),
    ):
        spoilt = (lambda *args: pt2_file.read_bytes()), lambda *args, spoil=spoil: spoil(*reader(*args))
        monkeypatch.setitem(_export._KINDS, "pt2", spoilt)
        with pytest.raises(ValueError, match="would not decide as the model does"):
            export(folder, file, to="pt2")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("model.pt2", b"older")]


def test_a_damaged_model_is_refused(folder, tmp_path):
    broken = tmp_path / "model"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.json").write_text((folder / "model.json").read_text().replace("ok", "ko"))
    with pytest.raises(ValueError, match="is damaged"):
        export(broken, to="pt2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_wrong_arguments(folder, tmp_path):
    with pytest.raises(ValueError, match=r"`to` must be one of 'onnx', 'pt2', got to='onx'\. Did you mean 'onnx'"):
        export(folder, to="onx")
    with pytest.raises(ValueError, match=r"`output` must end in \.onnx, got 'model\.pt2'"):
        export(folder, tmp_path / "model.pt2")
    with pytest.raises(FileNotFoundError, match="is not a model directory"):
        export(tmp_path / "none")


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ("x", {"blocks": ("standard", "quantile")}, "The block 'quantile' cannot go to ONNX"),
        ("decision", {}, "A column cannot be named 'decision' in an ONNX model"),
    ],
)
def test_what_onnx_cannot_hold_still_goes_to_pt2(column, options, message, tmp_path):
    table = make_table(300)[["amount", "label"]].rename(columns={"amount": column})
    model = fitted(tmp_path, table, **options)
    with pytest.raises(ValueError, match=message):
        export(model)
    rows = raw_columns(TabularModel.load(model), table)
    assert_same(TabularModel.load(model), table, *_export._run_pt2(export(model, to="pt2").read_bytes(), rows))


def test_empty_text_beside_missing_values_is_refused(tmp_path):
    table = make_table(300)[["amount", "shop", "label"]].replace({"shop": {"a": ""}})
    with pytest.raises(ValueError, match="Column 'shop' has empty text beside missing values"):
        export(fitted(tmp_path, table), to="pt2")


def test_the_command_replaces_an_older_file(folder, tmp_path, capsys):
    file = tmp_path / "deep" / "model.pt2"
    file.parent.mkdir()
    file.write_bytes(b"older")
    assert main(["export", str(folder), "--to", "pt2", "-o", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": str(file)}
    assert [entry.name for entry in file.parent.iterdir()] == ["model.pt2"]
    assert torch.export.load(file) is not None
    assert main(["export", str(tmp_path / "none")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["zip", "amount", "foreign seen"])
def test_tables_without_numbers_or_without_text(columns, tmp_path):
    table = make_table(300)[[*columns.split(), "label"]]
    labels = {"fraud": 1, "ok": 0} if columns == "amount" else {"fraud": True, "ok": False}
    table["label"] = table["label"].map(labels)
    model = fitted(tmp_path, table)
    rows = raw_columns(TabularModel.load(model), table)
    assert_same(TabularModel.load(model), table, *run(export(model), rows))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LDAMLoss has no known link")
@pytest.mark.parametrize(
    ("network", "loss", "num_classes", "calibration", "threshold"),
    [
        ("tabm", "focal", 2, "isotonic", "auto"),
        ("tabm", "asymmetric", 2, "temperature", "auto"),
        ("tabm", "cross_entropy", 3, "platt_of_three", "macro_f1"),
        ("resnet", "logit_adjusted", 2, "platt", "0.125"),
        ("resnet", "focal", 3, "none", "auto"),
        ("mlp", "asymmetric", 2, "isotonic", "auto"),
        ("mlp", "ldam", 3, "none", "macro_f1"),
        ("mlp", "ldam", 2, "none", "auto"),
        ("mlp", "poly1", 3, "temperature", "auto"),
        ("mlp", "vs", 2, "none", "auto"),
        ("resnet", "balanced_softmax", 2, "none", "recall:0.8"),
        ("tabm", "class_weighted", 3, "none", "auto"),
    ],
)
def test_every_network_loss_and_calibration(network, loss, num_classes, calibration, threshold, tmp_path):
    table = make_table(900, three=num_classes == 3)
    blocks = ("standard", "robust", "log", "bins")
    folder = fitted(
        tmp_path, table, network=network, loss=loss, calibration=calibration, threshold=threshold, blocks=blocks
    )
    model, raw = TabularModel.load(folder), make_table(1000, seed=1, three=num_classes == 3)
    rows = raw_columns(model, raw)
    assert_same(model, raw, *run(export(folder), rows))
    assert_same(model, raw, *_export._run_pt2(export(folder, to="pt2").read_bytes(), rows))


@pytest.mark.slow
def test_numbers_of_the_code_keep_their_precision(tmp_path):
    """The smallest float64, below which a logarithm ends, is 0 in float32: the probabilities would be NaN."""
    folder = fitted(tmp_path, make_table(900), loss="asymmetric")
    model = TabularModel.load(folder)
    model.classifier.network.head.weight.data *= 10
    model.save(folder)
    table = make_table(1000, seed=1)
    probability, decision = run(export(folder), raw_columns(model, table))
    assert_same(model, table, probability, decision)
    assert probability.min() < 1e-30
