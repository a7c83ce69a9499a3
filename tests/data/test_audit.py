"""The leak audit: each planted leak is named, and clean tables stay silent."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_torch.data import Schema, Split, audit, group_split, stratified_split, time_split
from imbalance_torch.data._audit_columns import _average_precision, single_predictors
from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.resampling import SMOTE
from imbalance_torch.training import DataOptions, TabularDataModule


def table(rows=3000, seed=0, positives=0.1):
    """A clean table: numbers that help a little, categories, gaps, repeats in the small columns."""
    generator = np.random.default_rng(seed)
    y = (generator.random(rows) < positives).astype(int)
    frame = pd.DataFrame(generator.normal(size=(rows, 6)) + 0.5 * y[:, None], columns=list("abcdef"))
    frame["count"] = generator.poisson(3, rows)
    frame["shop"] = generator.choice(["x", "y", "z", None], rows)
    frame["town"] = generator.choice([f"town {number}" for number in range(300)], rows)
    frame.loc[generator.random(rows) < 0.2, "f"] = np.nan
    return frame.assign(y=y)


def found(frame, split=None, limit=200_000, **roles):
    schema = Schema.infer(frame, "y", **roles)
    labels = schema.encode_target(frame)
    if split is None:
        split = stratified_split(labels) if schema.time is None else time_split(frame[schema.time].to_numpy())
    return audit(frame, schema, split, limit=limit)


def kinds(findings):
    return [(finding.kind, finding.column) for finding in findings]


def oversampled(frame, ratio=0.5, seed=0):
    minority = frame[frame["y"] == 1]
    more = minority.sample(int(ratio * (frame["y"] == 0).sum()) - len(minority), replace=True, random_state=seed)
    return pd.concat([frame, more], ignore_index=True)


def smoted(frame, ratio=0.5, dtype=np.float64):
    x, y = frame.drop(columns="y").to_numpy(dtype), frame["y"].to_numpy()
    x, y = SMOTE(sampling_strategy=ratio, random_state=0).fit_resample(x, y)
    return pd.DataFrame(x, columns=frame.columns.drop("y")).assign(y=y)


# Clean tables.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [40, 300, 3000])
def test_a_clean_table_is_silent(rows, seed):
    assert found(table(rows, seed, positives=0.2)) == []


@pytest.mark.parametrize("limit", [200_000, 500])
def test_a_table_of_few_values_repeats_its_rows_by_nature(limit):
    generator = np.random.default_rng(0)
    for columns, values in ((3, 5), (6, 3), (8, 2)):
        frame = pd.DataFrame(generator.integers(0, values, (5000, columns))).rename(columns=str)
        frame["text"] = generator.choice(["a", "b"], 5000)
        frame["y"] = (generator.random(5000) < 0.1).astype(int)
        assert frame.duplicated().mean() > 0.3
        assert found(frame, limit=limit) == []


def test_related_columns_of_few_values_repeat_their_rows_by_nature():
    generator = np.random.default_rng(0)
    kind = generator.geometric(0.05, 5000)
    frame = pd.DataFrame({f"c{i}": kind // (i + 1) + generator.integers(0, 3, 5000) for i in range(6)})
    frame["y"] = (generator.random(5000) < 0.1).astype(int)
    assert frame.duplicated().mean() > 0.1
    assert found(frame) == []


def test_continuous_measurements_are_no_identifiers():
    frame = pd.DataFrame({"y": np.tile([0, 0, 0, 1], 500)})
    generator = np.random.default_rng(0)
    frame["measured"] = generator.normal(size=2000)
    frame["single"] = generator.normal(size=2000).astype(np.float32)
    frame["whole"] = generator.permutation(2000).astype(float) * 100
    frame["decimal"] = [*map(float, generator.normal(size=2000))]
    assert all(frame[name].is_unique for name in ("measured", "whole"))
    assert found(frame) == []


def test_the_embedded_flights_are_silent():
    flights = load_nyc_flights()
    frame = flights.frame.iloc[::5].rename(columns={flights.target: "y"})
    assert found(frame, time=flights.time) == []
    assert found(frame.drop(columns=flights.time)) == []


def test_the_table_is_not_changed():
    frame = oversampled(table(500))
    before = frame.copy(deep=True)
    found(frame, split=stratified_split(frame["y"].to_numpy()))
    pd.testing.assert_frame_equal(frame, before)


# Rows.


def test_copies_are_counted_with_and_without_their_label():
    frame = table(1000)
    split = Split(np.arange(600), np.arange(600, 800), np.arange(800, 1000))
    frame.iloc[800:840] = frame.iloc[:40].to_numpy()
    frame = frame.infer_objects()
    frame.loc[800:809, "y"] = 1 - frame.loc[800:809, "y"]
    (finding,) = found(frame, split)
    assert (finding.kind, finding.column, finding.severity) == ("repeated_rows", None, "warning")
    assert finding.message.startswith("40 of 400 validation and test rows (10.0%) equal a training row in all 9")
    assert "75% of them with its label too" in finding.message


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("limit", [200_000, 300])
def test_a_table_pasted_below_itself(times, limit):
    frame = pd.concat([table(2000)] * times, ignore_index=True)
    findings = found(frame, limit=limit)
    assert ("repeated_rows", None) in kinds(findings)
    assert not [finding for finding in findings if finding.kind == "resampled"]  # every class alike


def test_equal_rows_on_one_side_are_no_leak():
    frame = table(1000)
    frame.iloc[500:550] = frame.iloc[:50].to_numpy()
    frame = frame.infer_objects()
    assert found(frame, Split(np.arange(600), np.arange(600, 800), np.arange(800, 1000))) == []


@pytest.mark.parametrize("positives", [0.02, 0.1])
@pytest.mark.parametrize("limit", [200_000, 500])
def test_oversampled_before_the_split(positives, limit):
    findings = found(oversampled(table(positives=positives)), limit=limit)
    (finding,) = (finding for finding in findings if finding.kind == "resampled")
    assert "class 1 are copies of training rows, 0.0% in a class as large" in finding.message
    assert finding.severity == "error"


def test_oversampled_to_equal_counts_before_the_split():
    assert ("resampled", None) in kinds(found(oversampled(table(positives=0.05), ratio=1.0)))


def test_a_class_whose_rows_are_alike_by_nature_was_not_oversampled():
    frame = table()
    positive = frame["y"] == 1
    rows = np.flatnonzero(positive)[: int(0.7 * positive.sum())]
    frame.iloc[rows] = frame.iloc[rows[0]].to_numpy()  # the row where nothing was recorded
    assert "resampled" not in dict(kinds(found(frame.infer_objects())))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [2, 6, 25])
@pytest.mark.parametrize("ratio", [0.2, 1.0])
def test_smote_before_the_split(columns, ratio, dtype):
    generator = np.random.default_rng(0)
    y = (generator.random(3000) < 0.05).astype(int)
    clean = pd.DataFrame(generator.normal(size=(3000, columns)).astype(dtype)).rename(columns=str).assign(y=y)
    assert found(clean) == []
    (finding,) = found(smoted(clean, ratio, dtype))
    assert (finding.kind, finding.severity) == ("resampled", "error")
    assert "of class 1 lie on the segment" in finding.message


def test_smote_among_other_columns():
    clean = table(positives=0.05)[["a", "b", "c", "d", "y"]]
    frame = smoted(clean)
    frame["count"] = np.random.default_rng(0).poisson(3, len(frame))
    frame["shop"] = "x"
    assert ("resampled", None) in kinds(found(frame))


def test_points_on_a_grid_are_not_smote():
    generator = np.random.default_rng(0)
    y = (generator.random(4000) < 0.1).astype(int)
    grid = pd.DataFrame(generator.integers(0, 40, (4000, 3)) / 2 + 0.25).rename(columns=str).assign(y=y)
    assert found(grid) == []


# Groups and time.


def test_groups_on_both_sides():
    generator = np.random.default_rng(0)
    frame = table().assign(card=generator.integers(0, 200, 3000))
    (finding,) = found(frame, group="card")
    assert (finding.kind, finding.column, finding.severity) == ("shared_group", "card", "error")
    assert "199 of 200 groups" in finding.message
    labels = frame["y"].to_numpy()
    assert found(frame, group_split(labels, frame["card"].to_numpy()), group="card") == []


def test_groups_over_a_cut_in_time_are_a_warning():
    frame = table().assign(card=np.arange(3000) // 100, when=pd.date_range("2020", periods=3000, freq="h"))
    assert found(frame, group="card", time="when") == []  # the cuts lie between cards
    frame["card"] = (np.arange(3000) + 50) // 100
    (finding,) = found(frame, group="card", time="when")
    assert (finding.kind, finding.severity) == ("shared_group", "warning")
    assert "1 of 31 groups" in finding.message


def test_a_time_that_orders_the_rows_but_not_the_split():
    frame = table().assign(when=pd.date_range("2020", periods=3000, freq="h"))
    assert kinds(found(frame)) == [("unused_time", "when")]
    assert found(frame, time="when") == []
    shuffled = frame.assign(when=frame["when"].sample(frac=1, random_state=0).to_numpy())
    assert found(shuffled) == []


# Columns.


@pytest.mark.parametrize("limit", [200_000, 400])
@pytest.mark.parametrize(
    "leak",
    [
        lambda y, g: y * 4 + g.normal(size=len(y)) * 0.5,
        lambda y, g: -y * 4 + g.normal(size=len(y)) * 0.5,
        lambda y, g: np.where(y == 1, 3, g.choice([1, 2, 4, 5], len(y))),
        lambda y, g: np.where(y == 1, g.uniform(-1, 1, len(y)), g.choice([-1, 1], len(y)) * g.uniform(2, 3, len(y))),
        lambda y, g: np.where(y == 1, "refund", g.choice(["paid", "open"], len(y))),
        lambda y, g: np.where(y == 1, g.normal(size=len(y)), np.nan) * np.where(g.random(len(y)) < 0.02, np.nan, 1),
        lambda y, g: y == 1,
        lambda y, g: pd.Timestamp("2020-01-01") + pd.to_timedelta(y * 90 + g.integers(0, 60, len(y)), unit="D"),
    ],
    ids=["high", "low", "code", "middle", "text", "missing", "boolean", "date"],
)
def test_a_column_that_knows_the_target(leak, limit):
    frame = table()
    frame["leak"] = leak(frame["y"].to_numpy(), np.random.default_rng(1))
    (finding,) = found(frame, limit=limit)
    assert (finding.kind, finding.column, finding.severity) == ("single_predictor", "leak", "error")


def around(generator, distance):
    return distance * generator.choice([-1, 1], len(distance))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("positives", [20, 30])
@pytest.mark.parametrize(
    "leak",
    [
        lambda y, g: np.where(y == 1, g.uniform(-0.1, 0.1, len(y)), around(g, g.uniform(0.1, 3, len(y)))),
        lambda y, g: np.where(y == 1, around(g, g.uniform(3, 4, len(y))), g.uniform(-3, 3, len(y))),
        lambda y, g: np.where(y == 1, g.integers(-8, 9, len(y)), around(g, g.integers(9, 999, len(y)))),
    ],
    ids=["middle", "both ends", "whole numbers"],
)
def test_few_rows_that_a_column_tells_but_not_by_being_high_or_low(leak, positives, seed):
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat([0, 1], [3000 - positives, positives]))
    frame = table().assign(y=y, leak=leak(y, generator))
    assert ("single_predictor", "leak") in kinds(found(frame))


@pytest.mark.parametrize("positives", [10, 20, 30, 50])
def test_noise_and_columns_that_help_are_no_leak_for_few_rows(positives):
    generator = np.random.default_rng(positives)
    y = np.repeat([0, 1], [3000 - positives, positives])
    noise, steps = generator.normal(size=(3000, 100)), generator.poisson(3, (3000, 20))
    narrow = generator.normal(size=(3000, 40)) * np.where(y == 1, 0.02, 1)[:, None]
    higher = generator.normal(size=(3000, 40)) + 3 * y[:, None]
    columns = pd.DataFrame(np.hstack([noise, steps, narrow, higher]))
    assert single_predictors(columns, y, np.arange(3000), 200_000) == []


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_a_good_column_is_no_leak(noise):
    frame = table()
    frame["good"] = np.where(np.random.default_rng(1).random(3000) < noise, 1 - frame["y"], frame["y"])
    assert found(frame) == []


def test_a_column_of_several_classes():
    frame = table()
    frame["y"] = np.random.default_rng(1).choice([0, 1, 2, 3], 3000, p=[0.7, 0.2, 0.08, 0.02])
    assert found(frame) == []
    frame["outcome"] = frame["y"].map({0: "ok", 1: "late", 2: "lost", 3: "stolen"})
    frame["code"] = frame["y"].map({0: 7, 1: 2, 2: 9, 3: 4})
    assert kinds(found(frame)) == [("single_predictor", "code"), ("single_predictor", "outcome")]


def test_a_lucky_column_of_a_tiny_table_is_no_leak():
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 6])
    frame = pd.DataFrame(generator.normal(size=(66, 300)) + 3 * y[:, None]).rename(columns=str).assign(y=y)
    assert found(frame) == []


def test_average_precision_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    for _ in range(20):
        score = generator.integers(0, 15, 200)
        y, weights = generator.integers(0, 2, 200), generator.uniform(1, 3, 200)
        hits, total = (np.bincount(score, w, minlength=16) for w in (y * weights, weights))
        expected = metrics.average_precision_score(y, score, sample_weight=weights)
        assert _average_precision(np.arange(16), hits, total) == pytest.approx(expected, abs=1e-12)


def test_a_column_that_is_missing_with_the_target():
    for missing in (0, 1):
        frame = table()
        frame.loc[frame["y"] == missing, "f"] = np.nan
        frame.loc[frame["y"] != missing, "f"] = np.random.default_rng(0).normal(size=(frame["y"] != missing).sum())
        (finding,) = found(frame)
        assert (finding.kind, finding.column, finding.severity) == ("missing_by_class", "f", "error")
        assert f"in every row of class {missing} and" in finding.message
    frame.loc[0, "f"] = np.nan if frame.loc[0, "y"] == 0 else 1.0
    assert "missing_by_class" not in dict(kinds(found(frame)))


@pytest.mark.parametrize(
    "column",
    [
        np.arange(3000),
        np.arange(3000)[::-1] * 7,
        np.arange(3000.0),
        np.random.default_rng(0).permutation(3000),
        np.random.default_rng(9).integers(0, 2**60, 3000),
        pd.array(np.arange(3000), dtype="Int64"),
        np.array([f"reference {number}" for number in range(2990)] + ["reference 0"] * 10, dtype=object),
    ],
    ids=["ascending", "descending", "float", "shuffled", "hash", "nullable", "text"],
)
@pytest.mark.parametrize("limit", [200_000, 700])
def test_identifiers(column, limit):
    (finding,) = found(table().assign(number=column), limit=limit)
    assert (finding.kind, finding.column, finding.severity) == ("identifier", "number", "warning")


def test_numbers_of_the_rows_in_a_table_sorted_by_class_are_both():
    frame = table().sort_values("y", ignore_index=True).assign(number=np.arange(3000))
    assert kinds(found(frame)) == [("single_predictor", "number"), ("identifier", "number")]


# The report.


def test_errors_come_first_and_the_result_is_always_the_same():
    frame = oversampled(table()).assign(leak=lambda frame: frame["y"].astype(str), number=lambda f: np.arange(len(f)))
    findings = found(frame, limit=300)
    assert [finding.severity for finding in findings] == sorted(finding.severity for finding in findings)
    assert {finding.severity for finding in findings} == {"error", "warning"}
    assert found(frame, limit=300) == findings
    assert all(str(finding).startswith(f"{finding.severity} ({finding.kind}): ") for finding in findings)


def test_odd_tables():
    frame = pd.DataFrame({"a": [np.inf, -np.inf, 1e300, np.nan] * 30, "b": [None, 1, "x", 2.5] * 30})
    frame["c"] = pd.array([1, None, 3, 4] * 30, dtype="Int64")
    frame["d"] = pd.Categorical(["u", "v", None, "v"] * 30)
    frame["e"] = pd.Series([True, None, False, True] * 30, dtype=object)
    frame["y"] = ["no", "no", "yes", "no"] * 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "single_predictor" in dict(kinds(found(frame)))
    with pytest.raises(ValueError, match="no column 'd'"):
        audit(frame.drop(columns="d"), Schema.infer(frame, "y"), stratified_split(np.tile([0, 0, 1, 0], 30)))
    with pytest.raises(ValueError, match="`limit` must be >= 1"):
        found(frame, limit=0)


def test_row_numbers_count_not_the_index():
    frame = table().assign(leak=lambda f: f["y"] * 3.0)
    frame["gap"] = np.where(frame["y"] == 1, np.nan, 1.5)
    expected = kinds(found(frame))
    assert expected == [("missing_by_class", "gap"), ("single_predictor", "leak")]
    frame.index = np.random.default_rng(0).integers(0, 5, len(frame))
    assert kinds(found(frame)) == expected


def test_many_classes_with_many_values_need_little_memory():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"y": generator.integers(0, 1000, 30_000), "text": generator.integers(0, 29_000, 30_000)})
    frame["text"] = frame["text"].map("value {}".format)
    frame["number"] = generator.normal(size=30_000)
    assert found(frame) == []


def test_empty_and_one_class_parts():
    frame = table(100)
    none = np.arange(0)
    schema = Schema.infer(frame, "y")
    assert audit(frame, schema, Split(np.arange(100), none, none)) == []
    assert audit(frame, schema, Split(none, none, np.arange(100))) == []
    zeros = np.flatnonzero(frame["y"] == 0)
    assert audit(frame, schema, Split(zeros[:30], zeros[30:60], zeros[60:])) == []


def test_the_data_module_warns_once_and_can_be_told_not_to():
    frame = table().assign(number=np.arange(3000), card=np.arange(3000) // 10)
    data = TabularDataModule(frame, "y", group="card")
    with pytest.warns(UserWarning, match=r"Leak audit: warning \(identifier\): Column 'number'") as caught:
        data.setup()
    assert [str(warning.message) for warning in caught] == [f"Leak audit: {finding}" for finding in data.findings]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.setup("test")
        silent = TabularDataModule(frame, "y", group="card", audit=False)
        silent.setup()
    assert silent.findings == []
    assert all((a == b).all() for a, b in zip(silent.split, data.split, strict=True))
    assert torch.equal(silent.x, data.x)


def test_the_data_module_splits_by_group_without_a_time():
    frame = table().assign(card=np.arange(3000) % 250)
    data = TabularDataModule(frame, "y", group="card")
    data.setup()
    sides = [set(frame["card"].iloc[rows]) for rows in data.split]
    assert sum(map(len, sides)) == 250
    assert "card" not in data.schema.features
    assert data.schema.group == "card"
    timed = TabularDataModule(frame.assign(when=np.arange(3000)), "y", group="card", time="when", audit=False)
    assert timed.split.train.tolist() == list(range(1800))
    assert DataOptions("file.csv", "y", group="card").build().group == "card"


def test_a_million_cells_take_a_moment():
    frame = table(40_000)
    schema, labels = Schema.infer(frame, "y"), frame["y"].to_numpy()
    split = stratified_split(labels)
    start = time.process_time()
    audit(frame, schema, split)
    small = time.process_time() - start
    large = pd.concat([frame] * 8, ignore_index=True)
    split = stratified_split(np.tile(labels, 8))
    start = time.process_time()
    audit(large, schema, split, limit=40_000)
    assert time.process_time() - start < 12 * small + 1  # eight times the rows; a quadratic step would take 64


# Real data, where they are at hand.


def real(name):
    folder = os.environ.get("IMBALANCE_TORCH_DATA")
    if not folder:
        pytest.skip("IMBALANCE_TORCH_DATA is not set")
    return pd.read_parquet(Path(folder) / f"{name}.parquet")


@pytest.mark.parametrize(
    "name", ["bank_marketing", "covtype_cottonwood", "htru2_pulsar", "mammography", "fars_severity"]
)
def test_real_tables_are_silent(name):
    assert found(real(name)) == []


@pytest.mark.slow
def test_credit_cards_that_repeat():
    frame = real("ulb_creditcard")
    (finding,) = found(frame, time="Time")
    assert finding.kind == "repeated_rows"
    assert found(frame[~frame.drop(columns="Time").duplicated()], time="Time") == []


@pytest.mark.parametrize("coarse", [0, 1, 4])
def test_a_table_written_twice_is_found_where_one_measurement_tells_rows_apart(coarse):
    generator = np.random.default_rng(0)
    base = pd.DataFrame({"amount": generator.normal(size=1500)})
    for number in range(coarse):
        base[f"kind{number}"] = generator.integers(0, 3, 1500)
    base["y"] = (generator.random(1500) < 0.1).astype(int)
    frame = pd.concat([base, base], ignore_index=True)
    schema = Schema.infer(frame, "y")
    found = audit(frame, schema, stratified_split(schema.encode_target(frame)))
    assert "repeated_rows" in {finding.kind for finding in found}
