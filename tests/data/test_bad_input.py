"""Bad input, the whole way through the command line: it trains, or ends in one message that names column and fix."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imbalance_torch.cli import main
from imbalance_torch.data import Schema, TableEncoder, read_table

pytestmark = pytest.mark.filterwarnings("ignore:Leak audit")
ROWS = 60
RNG = np.random.default_rng(0)
BASE = {"x": RNG.normal(size=ROWS), "y": np.arange(ROWS) % 3 // 2}


def table(**columns):
    return pa.table({**BASE, **columns})


def text(separator=",", end="\n", columns=("x", "c", "y")):
    rows = [columns, *((f"{BASE['x'][i]:.3f}", "ab"[i % 2], BASE["y"][i]) for i in range(ROWS))]
    return "".join(separator.join(map(str, row)) + end for row in rows).encode()


def wide():
    return pa.table({f"w{i}": RNG.normal(size=ROWS) for i in range(2000)} | {"y": BASE["y"]})


def buffer(content):
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink)
    return sink.getvalue().to_pybytes()


QUOTED = text().replace(b",a,", b',"a\r\n""b",')

WORKS = {
    "a gap and text in one column": ("t.csv", text().replace(b",a,", b",1,", 3).replace(b",b,", b",,", 3)),
    "all missing": ("t.parquet", table(c=pa.nulls(ROWS))),
    "constant": ("t.parquet", table(c=[7] * ROWS)),
    "1e300": ("t.parquet", table(c=[1e300, -1e300, 1e-300] * 20)),
    "BOM": ("t.csv", b"\xef\xbb\xbf" + text()),
    "Windows line ends": ("t.csv", text(end="\r\n")),
    "quoted newlines": ("t.csv", QUOTED),
    "gz": ("t.csv.gz", gzip.compress(text())),
    "class names with spaces": ("t.parquet", table(y=[" no fraud", " no fraud", "fraud, sure"] * 20)),
    "integers 1..C": ("t.csv", pd.DataFrame(BASE | {"y": np.arange(ROWS) % 4 + 1}).to_csv(index=False).encode()),
    "strings that look like numbers": ("t.parquet", table(c=["007", "08"] * 30)),
    "nested": ("t.parquet", table(c=[[1, 2]] * ROWS, d=[{"a": 1}] * ROWS)),
    "durations": ("t.parquet", table(c=pa.array(range(ROWS), pa.duration("s")))),
    "booleans and dates": ("t.parquet", table(b=[True, None, False] * 20, d=pa.array(range(ROWS), pa.date32()))),
    "wide": ("t.parquet", wide()),
    "100,000 categories": (
        "t.parquet",
        pa.table(
            {
                "x": RNG.normal(size=200_000),
                "c": pa.array(np.char.add("v", (np.arange(200_000) // 2).astype(str))),
                "y": np.arange(200_000) % 5 // 4,
            }
        ),
    ),
}


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content) if isinstance(content, bytes) else pq.write_table(content, path)
    return path


def train(path, folder, *more):
    words = ["train", str(path), "--target", "y", "--max-steps", "3", "--batch-size", "16", "-o", str(folder / "run")]
    return main([*words, "--json", *more])


SLOW = ("wide", "100,000 categories")


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] * (k in SLOW)) for k in WORKS])
def test_it_trains_and_scores_what_it_was_trained_on(kind, tmp_path, capsys):
    path = put(tmp_path, *WORKS[kind])
    assert train(path, tmp_path) == 0, capsys.readouterr().err
    assert main(["score", str(tmp_path / "run/model"), str(path), "-o", str(tmp_path / "s.parquet")]) == 0
    scored = read_table(tmp_path / "s.parquet")
    target = read_table(path)["y"]
    assert len(scored) == len(target)
    assert np.isfinite(scored["probability"]).all()
    assert set(scored["decision"]) <= set(target)


FAULTS = {
    "mixed types": ("t.csv", text().replace(b",a,", b",1,"), "c=numeric", r"t.csv \(column 'c'\): .*'b'"),
    "infinite": ("t.parquet", table(c=[np.inf] + [0.0] * 59), "", "Column 'c' has an infinite value .*Replace it"),
    "infinite in a csv": ("t.csv", text().replace(b"\n", b"\n-inf,a,0\n", 1), "", "Column 'x' has an infinite value"),
    "duplicate names": ("t.csv", text(columns=("x", "x", "y")), "", "two columns named 'x'. Rename"),
    "duplicate names in Parquet": (
        "t.parquet",
        pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0]), pa.array([0])], names=["x", "x", "y"]),
        "",
        "two columns named 'x'. Rename",
    ),
    "not UTF-8": ("t.csv", text().replace(b",a,", b",\xe9,"), "", "Column 'c' of .* not UTF-8 text. Save .* as UTF-8"),
    "UTF-16": ("t.csv", text().decode().encode("utf-16"), "", "UTF-8"),
    "truncated Parquet": ("t.parquet", buffer(table())[:400], "", "Cannot read .*t.parquet.* Is it complete"),
    "truncated gz": ("t.csv.gz", gzip.compress(text())[:100], "", "Cannot read .*t.csv.gz.* Is it complete"),
    "no gz": ("t.csv.gz", text(), "", "Cannot read .*t.csv.gz"),
    "zero rows": ("t.parquet", table().slice(0, 0), "", "has a header but no rows"),
    "header only": ("t.csv", b"x,y\n", "", "has a header but no rows"),
    "header without a newline": ("t.csv", b"x,y", "", "t.csv has a header but no rows"),
    "semicolons": ("t.csv", text(";"), "", r"'x;c;y': its fields are separated by ';'. Write it with commas"),
    "semicolons, decimal commas": ("t.csv", text(";").replace(b".", b","), "", "separated by ';'.*decimal=','"),
    "tabs": ("t.csv", text("\t"), "", r"separated by '\\t'"),
    "missing target": ("t.csv", text(columns=("x", "c", "Y")), "", "no column 'y'. The columns are: x, c, Y"),
    "missing labels": ("t.csv", text().replace(b",1\n", b",\n", 1), "", "'y' has no label in 1 of 60 rows .*Remove"),
    "nested target": ("t.parquet", table(y=[[1]] * ROWS), "", "Target 'y' holds mixed values. A class label is"),
    "date target": ("t.parquet", table(y=pa.array([1, 2] * 30, pa.date32())), "", "'y' holds datetime values"),
    "only an identifier": (
        "t.csv",
        b"c,y\n" + b"".join(b"k%d,%d\n" % (i, i % 2) for i in range(ROWS)),
        "",
        "'c' is ignored: looks like an identifier",
    ),
    "nested with a role": (
        "t.parquet",
        table(c=[[1]] * ROWS),
        "c=categorical",
        "'c' cannot .*unpack them into columns",
    ),
    "duration with a role": (
        "t.parquet",
        table(c=pa.array(range(ROWS), pa.duration("s"))),
        "c=numeric",
        "'c' .*store them as numbers",
    ),
    "an unknown role": ("t.csv", text(), "c=text", "`roles` must be one of .*categorical"),
    "a role for no column": ("t.csv", text(), "d=categorical", "no column 'd'"),
}


def one_message(capsys, expected):
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert re.search(expected, errors), errors


@pytest.mark.parametrize("kind", FAULTS)
def test_it_ends_in_one_message(kind, tmp_path, capsys):
    name, content, role, message = FAULTS[kind]
    path = put(tmp_path, name, content)
    assert train(path, tmp_path, *(["--role", role] if role else [])) == 2
    one_message(capsys, message)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["not UTF-8", "semicolons", "missing labels", "nested with a role", "zero rows"])
def test_inspect_ends_in_the_same_message(kind, tmp_path, capsys):
    name, content, role, message = FAULTS[kind]
    path = put(tmp_path, name, content)
    assert main(["inspect", str(path), "--target", "y", *(["--role", role] if role else [])]) == 2
    one_message(capsys, message)


FOLDERS = {
    "empty": ({}, "holds no table: there is no file that ends in .csv"),
    "no table in it": ({"notes.txt": b"hello"}, "holds no table"),
    "other columns": (
        {"1.csv": b"x,y\n1,0\n", "2.csv": b"x,z,y\n1,1,0\n"},
        r"1.csv has no column 'z', which .*2.csv has",
    ),
    "other types": (
        {"1.csv": b"x,y\n1,0\n", "2.csv": b"x,y\na,0\n"},
        r"Column 'x' is int64 in .*1.csv but string in .*2",
    ),
    "two formats": ({"1.csv": b"x,y\n1,0\n", "2.parquet": buffer(table())}, r"mixes CSV and Parquet files .*pattern"),
    "an empty file": ({"1.csv": b"x,y\n1,0\n", "2.csv": b""}, "2.csv is empty"),
    "a damaged file": ({"1.parquet": buffer(table()), "2.parquet": buffer(table())[:99]}, "Cannot read .*2.parquet"),
    "no rows": ({"1.csv": b"x,y\n", "2.csv": b"x,y\n"}, "has a header but no rows"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_bad_directory_ends_in_one_message(kind, tmp_path, capsys):
    files, message = FOLDERS[kind]
    (tmp_path / "d").mkdir()
    for name, content in files.items():
        put(tmp_path / "d", name, content)
    assert train(tmp_path / "d", tmp_path) == 2
    one_message(capsys, message)
    assert not (tmp_path / "run").exists()


def test_a_pattern_without_a_match_and_a_directory_that_is_none(tmp_path, capsys):
    assert train(tmp_path / "*.csv", tmp_path) == 2
    one_message(capsys, r"Nothing matches .*\*\.csv")
    assert train(tmp_path / "none", tmp_path) == 2
    one_message(capsys, "must end in one of")


def test_a_directory_trains_resumes_and_scores_and_a_change_of_it_is_noticed(tmp_path, capsys):
    for i in range(3):
        (tmp_path / f"d/part={i}").mkdir(parents=True)
        (tmp_path / f"d/part={i}/t.csv").write_bytes(text())
    assert train(tmp_path / "d", tmp_path, "--checkpoint-every", "1") == 0
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["data"]["source"] == str(tmp_path / "d")
    model = str(tmp_path / "run/model")
    assert main(["score", model, str(tmp_path / "d/**/*.csv"), "-o", str(tmp_path / "s.csv"), "--keep", "part"]) == 0
    assert read_table(tmp_path / "s.csv")["part"].tolist() == [0] * ROWS + [1] * ROWS + [2] * ROWS
    assert main(["evaluate", model, str(tmp_path / "d")]) == 0
    (tmp_path / "run/metrics.json").unlink()
    assert main(["resume", str(tmp_path / "run")]) == 0
    (tmp_path / "run/metrics.json").unlink()
    (tmp_path / "d/part=1/t.csv").write_bytes(text().replace(b",a,", b",b,", 1))
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "run")]) == 2
    one_message(capsys, "has changed since the run began")


def test_leading_zeros_stay_where_the_role_says_so(tmp_path, capsys):
    content = text().replace(b",a,", b",007,").replace(b",b,", b",7,")
    path = put(tmp_path, "t.csv", content)
    assert train(path, tmp_path, "--role", "c=categorical") == 0
    model = json.loads((tmp_path / "run/model/model.json").read_text())
    assert sorted(model["encoder"]["categories"]["c"]) == ["007", "7"]
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["roles"] == {"c": "categorical"}
    assert main(["score", str(tmp_path / "run/model"), str(path), "-o", str(tmp_path / "s.csv")]) == 0


def test_the_names_of_folders_are_categories_as_they_are_written(tmp_path):
    for store in ("007", "7"):
        (tmp_path / f"d/store={store}").mkdir(parents=True)
        (tmp_path / f"d/store={store}/t.csv").write_bytes(text())
    assert train(tmp_path / "d", tmp_path, "--role", "store=categorical") == 0
    model = json.loads((tmp_path / "run/model/model.json").read_text())
    assert sorted(model["encoder"]["categories"]["store"]) == ["007", "7"]


def test_a_category_called_na_is_one_in_training_and_in_scoring(tmp_path, capsys):
    times = b",2024-01-31T10:00:00Z"
    content = text(columns=("x", "c", "y,t")).replace(b",a,", b",NA,").replace(b"\n", times + b"\n")
    content = content.replace(b"y,t" + times, b"y,t").replace(times, b",NA", 2)
    path = put(tmp_path, "t.csv", content)
    assert train(path, tmp_path) == 0, capsys.readouterr().err
    encoder = json.loads((tmp_path / "run/model/model.json").read_text())["encoder"]
    assert sorted(encoder["categories"]["c"]) == ["NA", "b"]
    assert list(encoder["zones"]) == ["t"]
    one = put(tmp_path, "one.csv", b"\n".join(content.split(b"\n")[:2]) + b"\n")
    scored = []
    for file in (path, one):
        assert main(["score", str(tmp_path / "run/model"), str(file), "-o", str(tmp_path / "s.csv")]) == 0
        scored.append(read_table(tmp_path / "s.csv")["probability"].tolist())
    assert len(scored[0]) == ROWS
    assert scored[1] == pytest.approx(scored[0][:1])


def test_train_prints_roles_split_and_audit_first(tmp_path, capsys):
    path = put(tmp_path, "t.csv", text())
    words = ["train", str(path), "--target", "y", "--max-steps", "1", "-o", str(tmp_path / "run")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("column roles\n")
    assert printed.index("stratified") < printed.index("leak audit") < printed.index("auroc")


def test_a_group_stays_on_one_side(tmp_path, capsys):
    frame = pd.DataFrame(BASE | {"card": np.arange(ROWS) // 4})
    frame.to_parquet(tmp_path / "t.parquet")
    assert main(["inspect", str(tmp_path / "t.parquet"), "--target", "y", "--group", "card", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["group"], report["split"]["kind"]) == ("card", "group")
    assert not any(finding["kind"] == "shared_group" for finding in report["audit"])


def test_yaml_takes_roles_and_a_directory(tmp_path):
    (tmp_path / "d").mkdir()
    pq.write_table(table(c=[1, 2, 3] * 20), tmp_path / "d/1.parquet")
    roots = Path(__file__).parents[2] / "configs"
    words = ["fit", "--config", str(roots / "recipes/baseline.yaml"), "--config", str(roots / "overlays/fast.yaml")]
    own = tmp_path / "own.yaml"
    own.write_text(f"data:\n  source: {tmp_path}/d\n  target: y\n  roles:\n    c: categorical\n")
    words += ["--config", str(own), "--trainer.max_steps", "2", "--trainer.default_root_dir", str(tmp_path)]
    assert main([*words, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]) == 0
    own.write_text(own.read_text().replace("categorical", "category"))
    assert main([*words, "--trainer.accelerator", "cpu"]) == 2


def test_a_hundred_thousand_categories_are_capped():
    frame = pd.DataFrame({"c": np.char.add("v", (np.arange(200_000) // 2).astype(str)), "y": [0, 1] * 100_000})
    schema = Schema.infer(frame, "y")
    assert schema.categorical == ["c"]
    encoder = TableEncoder([], ["c"]).fit(frame)
    assert encoder.cardinalities == [255]
