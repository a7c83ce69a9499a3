"""`resample`: names, order and types kept, counts exact, originals unchanged, nothing half-written, clear errors."""

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from imbalance_torch.cli import main
from imbalance_torch.data import _resampling, resample_table
from imbalance_torch.resampling import SMOTE

ROWS = 60
RARE = np.arange(ROWS) % 5 == 0
DRAWS = np.random.default_rng(0)
NUMBERS = {
    "amount": pa.array(DRAWS.normal(size=ROWS)),
    "small": pa.array(DRAWS.integers(-9, 90, ROWS), pa.int8()),
    "fraud": pa.array(np.where(RARE, "yes", "no")),
    "narrow": pa.array(DRAWS.normal(size=ROWS), pa.float32()),
    "price": pa.array([Decimal(int(cents)).scaleb(-2) for cents in DRAWS.integers(0, 9999, ROWS)], pa.decimal128(9, 2)),
    "flag": pa.array(DRAWS.random(ROWS) > 0.5),
    "big": pa.array(DRAWS.integers(0, 9, ROWS) + 2**53 + 1),
}
TEXT = {"shop": pa.array(DRAWS.choice(["a", "b", "c"], ROWS)), "day": pa.array([date(2020, 1, 1)] * ROWS)}
GAPS = {"visits": pa.array([None, *range(1, ROWS)], pa.int64())}

pytestmark = pytest.mark.filterwarnings("ignore:Column .* times as wide:UserWarning")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(NUMBERS), "t.parquet")
    pd.DataFrame({name: NUMBERS[name] for name in ("amount", "small", "fraud", "flag")}).to_csv("t.csv", index=False)
    pq.write_table(pa.table({**NUMBERS, **TEXT, **GAPS}), "mixed.parquet")
    return tmp_path


def resample(*words: str, file: str = "t.parquet", output: str = "o.parquet") -> int:
    return main(["resample", file, "--target", "fraud", "-o", output, *words])


COPYING = pytest.mark.parametrize("method", ["random_oversampling", "random_undersampling"])
INTERPOLATING = pytest.mark.parametrize("method", ["smote", "borderline_smote", "adasyn"])


def test_parquet_keeps_names_order_types_and_every_original_value(folder):
    assert resample() == 0
    before, after = pq.read_table("t.parquet"), pq.read_table("o.parquet")
    assert after.schema == before.schema
    assert after.slice(0, ROWS).equals(before)
    assert after["fraud"].to_pylist()[ROWS:] == ["yes"] * 36
    assert after.num_rows == 96
    assert sorted(path.name for path in folder.iterdir()) == ["mixed.parquet", "o.parquet", "t.csv", "t.parquet"]


@INTERPOLATING
@pytest.mark.parametrize(("ratio", "rare"), [("0.5", 24), ("0.8", 38), ("1", 48)])
def test_counts_are_exact(method, ratio, rare, folder, capsys):
    assert resample("--method", method, "--ratio", ratio, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "rows": 48 + rare,
        "output": "o.parquet",
        "method": method,
        "before": {"no": 48, "yes": 12},
        "after": {"no": 48, "yes": rare},
    }
    assert pq.read_table("o.parquet")["fraud"].to_pylist().count("yes") == rare


def test_csv_in_and_out(folder, capsys):
    assert resample(file="t.csv", output="o.csv") == 0
    assert capsys.readouterr().out.splitlines() == [
        "96 rows -> o.csv",
        "fraud = no: 48 -> 48 rows",
        "fraud = yes: 12 -> 48 rows",
    ]
    before, after = pd.read_csv("t.csv"), pd.read_csv("o.csv")
    pd.testing.assert_frame_equal(after.head(ROWS), before)
    assert after.dtypes.equals(before.dtypes)
    assert resample(file="t.csv", output="o.pq") == 0
    pd.testing.assert_frame_equal(pd.read_parquet("o.pq"), after, check_dtype=False)


def test_the_rows_are_those_of_the_class(folder):
    assert resample("--seed", "7", "--k-neighbors", "3") == 0
    frame = pd.read_parquet("t.parquet").astype({"price": float})
    X, _ = SMOTE(k_neighbors=3, random_state=7).fit_resample(frame.drop(columns="fraud"), frame["fraud"])
    written = pd.read_parquet("o.parquet").astype({"price": float})
    pd.testing.assert_frame_equal(written.drop(columns=["fraud", "price"]), X.drop(columns="price"))
    np.testing.assert_allclose(written["price"], X["price"], atol=0.0051)


def test_the_seed_decides(folder):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert resample("--seed", seed, output=f"{name}.parquet") == 0
    a, b, c = (pq.read_table(f"{name}.parquet") for name in "abc")
    assert a.equals(b)
    assert not a.equals(c)


@INTERPOLATING
def test_provenance_says_where_each_row_is_from(method, folder):
    assert resample("--method", method, "--provenance") == 0
    before, after = pd.read_parquet("t.parquet"), pd.read_parquet("o.parquet")
    assert list(after) == [*before, "is_synthetic", "base_row", "neighbor_row", "gap"]
    assert after["is_synthetic"].tolist() == [False] * ROWS + [True] * 36
    assert after["base_row"].head(ROWS).tolist() == list(range(ROWS))
    assert after[["neighbor_row", "gap"]].head(ROWS).isna().all(axis=None)
    new = after.iloc[ROWS:]
    base, neighbor = (before["amount"].to_numpy()[new[name].astype(int)] for name in ("base_row", "neighbor_row"))
    np.testing.assert_allclose(new["amount"], base + new["gap"] * (neighbor - base))
    assert RARE[new["base_row"]].all()
    types = {field.name: str(field.type) for field in pq.read_schema("o.parquet")}
    assert [types[name] for name in list(after)[-4:]] == ["bool", "int64", "int64", "double"]


@COPYING
def test_copies_are_exact_whatever_the_columns_hold(method, folder, capsys):
    assert resample("--method", method, "--ratio", "0.5", "--provenance", "--json", file="mixed.parquet") == 0
    before, after = pq.read_table("mixed.parquet"), pq.read_table("o.parquet")
    base = after["base_row"].to_numpy()
    assert after.select(before.column_names).equals(before.take(base))
    assert after.select(before.column_names).schema == before.schema
    rare, usual = RARE[base].sum(), (~RARE[base]).sum()
    assert json.loads(capsys.readouterr().out)["after"] == {"no": usual, "yes": rare}
    synthetic = after["is_synthetic"].to_numpy()
    if method == "random_oversampling":
        assert (rare, usual) == (24, 48)
        assert base[:ROWS].tolist() == list(range(ROWS))
        assert synthetic.tolist() == [False] * ROWS + [True] * 12
        assert after["neighbor_row"].to_pylist() == [None] * ROWS + base[ROWS:].tolist()
        assert after["gap"].to_pylist() == [None] * ROWS + [0.0] * 12
    else:
        assert (rare, usual) == (12, 24)
        assert base.tolist() == sorted({*base.tolist()})
        assert not synthetic.any()
        assert after["neighbor_row"].null_count == after["gap"].null_count == 36


@COPYING
def test_a_table_of_labels_alone_can_be_copied(method, folder):
    Path("alone.csv").write_text("fraud\n" + "a\nb\nb\n" * 9)
    assert resample("--method", method, file="alone.csv", output="o.csv") == 0
    assert pd.read_csv("o.csv")["fraud"].value_counts().nunique() == 1


@COPYING
def test_copying_has_no_neighbours(method, folder, capsys):
    assert resample("--method", method, "--k-neighbors", "3") == 2
    assert "Leave out `k_neighbors`" in capsys.readouterr().err
    assert resample("--method", method, "--seed", "1", output="a.parquet") == 0
    assert resample("--method", method, "--seed", "1", output="b.parquet") == 0
    assert resample("--method", method, "--seed", "2", output="c.parquet") == 0
    a, b, c = (pq.read_table(f"{name}.parquet") for name in "abc")
    assert a.equals(b)
    assert not a.equals(c)


def test_each_strategy_belongs_to_its_direction(folder, capsys):
    assert resample("--method", "random_undersampling", "--strategy", "majority") == 0
    assert resample("--method", "random_oversampling", "--strategy", "minority") == 0
    assert resample("--method", "random_undersampling", "--strategy", "minority") == 2
    assert "cannot be used with under-sampler" in capsys.readouterr().err
    assert resample("--strategy", "majority") == 2
    assert "cannot be used with over-sampler" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["o.parquet", "o.csv"])
def test_smotenc_takes_text_categories_and_booleans(output, folder, capsys):
    table = pa.table({**NUMBERS, "shop": TEXT["shop"], "kind": TEXT["shop"].dictionary_encode(), "more": TEXT["shop"]})
    pq.write_table(table, "mixed.parquet")
    words = ["--method", "smotenc", "--k-neighbors", "3", "--provenance"]
    assert resample(*words, file="mixed.parquet", output=output) == 0
    if output == "o.csv":
        after = pd.read_csv("o.csv")
        assert list(after)[: len(table.column_names)] == table.column_names
        assert after["fraud"].value_counts().tolist() == [48, 48]
        return
    after = pq.read_table(output)
    assert after.select(table.column_names).schema == table.schema
    assert after.select(table.column_names).slice(0, ROWS).equals(table)
    new = after.slice(ROWS).to_pandas()
    assert len(new) == 36
    assert {*new["shop"]} <= {"a", "b", "c"}
    assert {*new["kind"]} <= {"a", "b", "c"}
    amounts = table["amount"].to_numpy()
    base, neighbor = (amounts[new[name].astype(int)] for name in ("base_row", "neighbor_row"))
    np.testing.assert_allclose(new["amount"], base + new["gap"] * (neighbor - base))


def test_smotenc_needs_categories_and_refuses_dates(folder, capsys):
    pq.write_table(pa.table({"amount": NUMBERS["amount"], "fraud": NUMBERS["fraud"]}), "numbers.parquet")
    assert resample("--method", "smotenc", file="numbers.parquet") == 2
    assert "Use SMOTE for tables of numbers" in capsys.readouterr().err
    assert resample("--method", "smotenc", file="mixed.parquet") == 2
    errors = capsys.readouterr().err
    assert "columns day of mixed.parquet" in errors
    assert "use random_oversampling for any column" in errors
    holes = pa.table({**NUMBERS, "shop": pa.array([None, *["a", "b"] * 29, "a"])})
    pq.write_table(holes, "holes.parquet")
    assert resample("--method", "smotenc", file="holes.parquet") == 2
    assert "missing values in 'shop' (1 values)" in capsys.readouterr().err


def test_several_classes_and_labels_of_other_types(folder, capsys):
    for values in (np.arange(ROWS) % 10 // 4, (np.arange(ROWS) % 10 // 4).astype(float), RARE):
        table = pa.table({"x": NUMBERS["amount"], "fraud": pa.array(values)})
        pq.write_table(table, "kinds.parquet")
        assert resample("--json", file="kinds.parquet") == 0
        counts = np.unique(values, return_counts=True)[1]
        assert list(json.loads(capsys.readouterr().out)["after"].values()) == [counts.max()] * len(counts)
        assert pq.read_table("o.parquet").schema == table.schema
    table = pa.table({"x": NUMBERS["amount"], "fraud": NUMBERS["fraud"].dictionary_encode()})
    for output in ("o.parquet", "o.csv"):
        pq.write_table(table, "kinds.parquet")
        assert resample(file="kinds.parquet", output=output) == 0
    assert pq.read_table("o.parquet").schema.field("fraud").type == table.schema.field("fraud").type
    assert pd.read_csv("o.csv")["fraud"].value_counts().tolist() == [48, 48]


def test_the_index_of_pandas_is_no_column_and_its_own_types_stay(folder):
    frame = pd.DataFrame({"x": pd.array(range(ROWS), dtype="Int16"), "fraud": RARE}, index=range(900, 900 + ROWS))
    frame.to_parquet("indexed.parquet")
    assert resample(file="indexed.parquet") == 0
    after = pd.read_parquet("o.parquet")
    assert after.dtypes.equals(frame.dtypes)
    assert after.index.equals(pd.RangeIndex(96))
    assert pq.read_schema("o.parquet").names == ["x", "fraud"]


def test_balanced_data_comes_back_as_it_is(folder):
    pq.write_table(pa.table({"x": NUMBERS["amount"], "fraud": pa.array(np.arange(ROWS) % 2)}), "even.parquet")
    assert resample("--provenance", file="even.parquet") == 0
    after = pq.read_table("o.parquet")
    assert after.select(["x", "fraud"]).equals(pq.read_table("even.parquet"))
    assert not any(after["is_synthetic"].to_pylist())


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["t.parquet", "--target", "fruad"], ["no column 'fruad'", "Did you mean 'fraud'?"]),
        (["mixed.parquet", "--target", "fraud"], ["shop, day", "smotenc", "random_oversampling"]),
        (["mixed.parquet", "--target", "amount"], ["'amount' holds values such as", "class label"]),
        (["mixed.parquet", "--target", "day"], ["'day' holds values such as 2020-01-01", "class label"]),
        (["mixed.parquet", "--target", "visits"], ["no label in 1 of 60 rows (first: row 0)"]),
        (["gaps.csv", "--target", "fraud"], ["missing values in 'visits' (1 values), 'cost' (2 values)", "Fill or"]),
        (["infinite.csv", "--target", "fraud"], ["'cost' (1 values)"]),
        (["alone.csv", "--target", "fraud"], ["no column beside the target"]),
        (["constant.csv", "--target", "fraud"], ["more than 1 class"]),
        (["t.parquet", "--target", "fraud", "--method", "smot"], ["Did you mean 'smote'?"]),
        (["t.parquet", "--target", "fraud", "--device", "tpu"], ["`device` must be one of"]),
        (["t.parquet", "--target", "fraud", "--seed", "-1"], ["`seed` must be >= 0"]),
        (["t.parquet", "--target", "fraud", "--ratio", "0.1"], ["increase the ratio"]),
        (["t.parquet", "--target", "fraud", "--ratio", "nan"], ["range (0, 1]"]),
        (["t.parquet", "--target", "fraud", "--strategy", "minorty"], ["it needs to be one of"]),
        (["t.parquet", "--target", "fraud", "--k-neighbors", "12"], ["k_neighbors=12", "12 rows", "'yes'"]),
        (["t.parquet", "--target", "fraud", "--k-neighbors", "0"], ["`k_neighbors` must be >= 1"]),
        (["traced.parquet", "--target", "fraud", "--provenance"], ["traced.parquet", "column 'gap'", "Rename"]),
        (["nowhere.csv", "--target", "fraud"], ["There is no file nowhere.csv"]),
    ],
    ids=lambda part: " ".join(part) if "--target" in part else "",
)  # fmt: skip
def test_errors_name_the_fix_and_leave_no_file(words, messages, folder, capsys):
    Path("gaps.csv").write_text('visits,cost,fraud\n1,,a\n,2,b\n3,"",a\n')
    Path("infinite.csv").write_text("cost,fraud\n1,a\ninf,b\n3,a\n")
    Path("alone.csv").write_text("fraud\na\nb\n")
    Path("constant.csv").write_text("x,fraud\n1,a\n2,a\n")
    pq.write_table(pa.table({**NUMBERS, "gap": NUMBERS["amount"]}), "traced.parquet")
    before = sorted(folder.iterdir())
    assert main(["resample", *words, "-o", "o.parquet"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert [message for message in messages if message not in errors] == []
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("words", [["--ratio", "0.5", "--strategy", "all"], ["--ratio", "half"]])
def test_usage_errors(words, folder, capsys):
    with pytest.raises(SystemExit) as stop:
        resample(*words)
    assert stop.value.code == 2
    assert words[-2] in capsys.readouterr().err


def test_the_input_is_never_overwritten(folder, capsys):
    Path("link.parquet").symlink_to("t.parquet")
    before = Path("t.parquet").read_bytes()
    for output in ("t.parquet", "link.parquet", "./t.parquet"):
        assert resample(output=output) == 2
        assert "is the file that is read" in capsys.readouterr().err
    assert Path("t.parquet").read_bytes() == before
    assert resample(output="o.xls") == 2
    assert "must end in one of" in capsys.readouterr().err


def test_an_older_output_is_replaced_at_once_or_not_at_all(folder, monkeypatch):
    Path("deep").mkdir()
    Path("deep/o.csv").write_text("old\n")
    assert resample("--k-neighbors", "40", output="deep/o.csv") == 2
    assert Path("deep/o.csv").read_text() == "old\n"

    def full(self, table, *rest):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        assert resample(output="deep/o.parquet") == 2
    assert os.listdir("deep") == ["o.csv"]
    assert resample(file="t.csv", output="deep/o.csv") == 0
    assert os.listdir("deep") == ["o.csv"]
    assert Path("deep/o.csv").read_text().startswith('"amount"')


def test_a_list_is_no_label(folder, capsys):
    pq.write_table(pa.table({**NUMBERS, "fraud": [[bool(rare)] for rare in RARE]}), "lists.parquet")
    assert resample(file="lists.parquet", output="o.csv") == 2
    assert "such as [ True]. A class label is" in capsys.readouterr().err
    assert not Path("o.csv").exists()


def test_the_device_does_not_change_the_rows(folder, device):
    for name in ("cpu", device.type):
        resample_table("t.parquet", f"{name}.parquet", "fraud", device=name)
    a, b = (pd.read_parquet(f"{name}.parquet")["amount"] for name in ("cpu", device.type))
    np.testing.assert_allclose(a, b)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named(folder, capsys):
    assert resample("--device", "cuda") == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_the_help_names_every_method(capsys):
    with pytest.raises(SystemExit):
        main(["resample", "--help"])
    printed = capsys.readouterr().out
    assert [name for name in _resampling.METHODS if name not in printed] == []
