"""What `inspect` tells of a table: roles, counts, gaps, the split with its reason, leaks and oddities."""

import json

import numpy as np
import pandas as pd
import pytest

from imbalance_torch.cli import main
from imbalance_torch.evaluation import inspect
from imbalance_torch.evaluation._inspect import inspection_text
from imbalance_torch.training import TabularDataModule

ROWS = 400


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": np.where(np.arange(ROWS) % 10 == 0, np.nan, rng.normal(size=ROWS)),
            "online": rng.random(ROWS) < 0.5,
            "opened": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**6, ROWS), unit="min"),
            "shop": rng.choice(list("abc"), ROWS),
            "card": rng.integers(0, 40, ROWS),
            "when": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "reference": [f"r{i}" for i in rng.permutation(ROWS)],
            "version": 1,
            "limit": ["n/a", *map(str, rng.integers(0, 9, ROWS - 1))],
            "fraud": np.where(np.arange(ROWS) % 8 == 3, "card fraud", "ok"),
        }
    )


def test_every_fact_is_there_and_survives_json(frame):
    report = inspect(TabularDataModule(frame, "fraud", time="when", group="card"))
    assert json.loads(json.dumps(report)) == report
    assert report["rows"] == ROWS
    assert report["classes"] == {"ok": 350, "card fraud": 50}
    assert report["imbalance"] == "1:7.0"
    assert (report["target"], report["time"], report["group"]) == ("fraud", "when", "card")
    assert report["numeric"] == ["amount", "version"]
    assert report["boolean"] == ["online"]
    assert report["datetime"] == ["opened"]
    assert report["categorical"] == ["shop", "limit"]
    assert list(report["ignored"]) == ["reference"]
    assert "identifier" in report["ignored"]["reference"]
    assert report["missing"] == {"amount": 0.1}
    assert report["split"]["kind"] == "time"
    assert np.sum([report["split"][part] for part in ("train", "val", "test")], axis=0).tolist() == [350, 50]
    assert [remark for remark in report["remarks"] if "'version' is constant: 1" in remark]
    assert [remark for remark in report["remarks"] if "'limit' is read as text, but 399 of 400" in remark]
    assert any("'n/a' (row 0)" in remark for remark in report["remarks"])
    assert len(report["remarks"]) == 2


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({"time": "when"}, "time", "'when' orders the rows"),
        ({"time": "when", "group": "card"}, "time", "'when' orders the rows"),
        ({"group": "card"}, "group", "all rows of one 'card'"),
        ({"drop": ["when"]}, "stratified", "no time and no group column"),
    ],
)
def test_the_split_has_a_reason(frame, options, kind, reason):
    data = TabularDataModule(frame, "fraud", **options)
    report = inspect(data)
    assert report["split"]["kind"] == kind
    assert reason in report["split"]["reason"]
    if kind == "group":
        cards = [set(frame["card"].iloc[rows]) for rows in data.split]
        assert sum(map(len, cards)) == len(set.union(*cards))


def test_the_audit_is_part_of_it_and_can_be_left_out(frame):
    frame["chargeback"] = (frame["fraud"] != "ok").astype(float)
    report = inspect(TabularDataModule(frame, "fraud", drop=["when"]))
    assert ("single_predictor", "chargeback") in {(found["kind"], found["column"]) for found in report["audit"]}
    assert "(single_predictor): Column 'chargeback'" in inspection_text(report)
    assert inspect(TabularDataModule(frame, "fraud", audit=False))["audit"] is None


def test_the_text_names_all_of_it(frame, tmp_path, capsys):
    frame.to_parquet(tmp_path / "t.parquet")
    words = ["inspect", str(tmp_path / "t.parquet"), "--target", "fraud", "--time", "when", "--role", "limit=ignored"]
    assert main(words) == 0
    text = capsys.readouterr().out
    parts = ["400 rows; target 'fraud', imbalance 1:7.0", "class counts", "column roles", "missing", "split by time"]
    places = [text.index(part) for part in [*parts, "leak audit", "remarks"]]
    assert places == sorted(places)
    for line in ("card fraud", "12.50%", "ignored by its role", "10.0%", "positive is 'card fraud'", "240 rows"):
        assert line in text
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ignored"]["limit"] == "ignored by its role"


def test_a_wide_table_and_many_classes_stay_readable():
    frame = pd.DataFrame({f"a{i}": [None, 1.0] * 60 for i in range(60)} | {"y": np.arange(120) % 4 + 1})
    frame = frame.assign(**{f"text{i}": [[i]] * 120 for i in range(30)}, x=np.random.default_rng(0).normal(size=120))
    text = inspection_text(inspect(TabularDataModule(frame, "y", audit=False)))
    assert "and 40 columns more" in text
    assert "and 10 ignored columns more" in text
    assert "of the rarest class" in text
    assert max(map(len, text.splitlines())) < 160


@pytest.mark.parametrize(("word", "message"), [("shop", "expected COLUMN=ROLE"), ("=numeric", "expected COLUMN=ROLE")])
def test_a_role_is_written_with_an_equals_sign(word, message, capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "t.csv", "--role", word])
    assert message in capsys.readouterr().err
