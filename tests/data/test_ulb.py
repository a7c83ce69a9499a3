"""The ULB transactions: what is accepted, what is refused, and the figures of the real file."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imbalance_torch.data.datasets import _ulb_credit_card as module
from imbalance_torch.data.datasets import load_ulb_credit_card


@pytest.fixture
def table(monkeypatch):
    """A small table of the same form, whose figures stand in for those of the real one."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"Time": np.sort(generator.integers(0, 1_000, 50)).astype(float)})
    for name in module._FEATURES:
        frame[name] = generator.normal(size=50).round(6)
    frame["Class"] = (np.arange(50) % 10 == 0).astype(int)
    facts = [50, 5, int(frame["Time"].sum()), round(float(frame["Amount"].sum()))]
    monkeypatch.setattr(module, "_FACTS", dict(zip(module._FACTS, facts, strict=True)))
    return frame


@pytest.fixture
def original(table, tmp_path, monkeypatch):
    file = tmp_path / "creditcard.csv"
    table.to_csv(file, index=False)
    monkeypatch.setattr(module, "_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    return file


def test_the_original_and_its_copies_give_equal_frames(table, original, tmp_path):
    cards = load_ulb_credit_card(original)
    assert (cards.target, cards.time, cards.drop) == ("Class", "Time", ())
    assert list(cards.X) == [*(f"V{i}" for i in range(1, 29)), "Amount"]
    assert set(cards.X.dtypes) == {np.dtype(np.float32)}
    assert (cards.y == table["Class"]).all()
    copies = {
        "a": table,
        "b": table.rename(columns={"Class": "y"}),
        "c": table.astype(np.float32).assign(Time=table["Time"].astype(np.int32)),
        "d": table[table.columns[::-1]].assign(extra="x"),
    }
    for name, copy in copies.items():
        copy.to_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(load_ulb_credit_card(str(tmp_path / f"{name}.parquet")).frame, cards.frame)


def test_another_csv_is_refused_by_its_digest(original):
    content = original.read_bytes()
    original.write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(ValueError, match=r"has sha256 .*Kaggle data set mlg-ulb/creditcardfraud"):
        load_ulb_credit_card(original)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns=["V7", "Amount"]), "lacks the columns V7, Amount"),
        (lambda t: t.drop(columns="Class"), "lacks the columns Class"),
        (lambda t: t.iloc[:-1], "'rows': 49"),
        (lambda t: t.assign(Class=0), "'frauds': 0"),
        (lambda t: t.assign(Amount=t["Amount"] * 3 + 1), "does not hold the original rows"),
        (lambda t: t.iloc[::-1], "time order"),
        (lambda t: t.assign(Amount="a"), "no numbers"),
        (lambda t: t.assign(Class=t["Class"].where(t.index > 3)), "no numbers"),
        (lambda t: t.assign(Amount=np.nan), "no numbers"),
    ],
)
def test_another_parquet_is_refused(table, tmp_path, change, match):
    file = tmp_path / "a.parquet"
    change(table).to_parquet(file)
    with pytest.raises(ValueError, match=match):
        load_ulb_credit_card(file)


def test_a_missing_file_says_where_to_get_it(tmp_path):
    for path in (tmp_path / "creditcard.csv", tmp_path):
        with pytest.raises(FileNotFoundError, match="Kaggle data set mlg-ulb/creditcardfraud, file"):
            load_ulb_credit_card(path)


def test_the_real_file():
    folder = os.environ.get("IMBALANCE_TORCH_DATA")
    if not folder:
        pytest.skip("IMBALANCE_TORCH_DATA is not set")
    cards = load_ulb_credit_card(Path(folder) / "ulb_creditcard.parquet")
    assert cards.X.shape == (284_807, 29)
    assert np.bincount(cards.y).tolist() == [284_315, 492]
    assert cards.y[-int(0.3 * len(cards.y)) :].sum() == 108
    assert cards.frame.duplicated().sum() == 1_081
    for words in ("284,807", "492", "Open Database License", "Caveats", "1,081"):
        assert words in " ".join(cards.card.split())
