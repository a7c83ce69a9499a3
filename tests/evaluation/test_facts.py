"""Facts of a table: planted figures are found, test rows have no say, and odd tables are no trouble."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from imbalance_torch.evaluation import DataFacts, data_facts
from imbalance_torch.training import TabularDataModule


def blobs(rows=3000, positives=150, distance=8.0, modes=1, seed=0, **columns):
    """Two columns: the majority around 0, the minority in ``modes`` places ``distance`` away."""
    rng = np.random.default_rng(seed)
    y = np.zeros(rows, dtype=int)
    y[:positives] = 1
    angle = 2 * np.pi * (np.arange(rows) % modes) / modes
    place = distance * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = rng.normal(size=(rows, 2)) + np.where(y[:, None] == 1, place, 0.0)
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], **columns, "y": y})
    return table.iloc[rng.permutation(rows)].reset_index(drop=True)


def facts_of(table, target="y", **options) -> DataFacts:
    return data_facts(TabularDataModule(table, target, audit=False, **options))


def test_counts_are_those_of_the_training_part():
    facts = facts_of(blobs())
    assert (facts.rows, facts.train_rows, facts.num_classes) == (3000, 1800, 2)
    assert (facts.minority, facts.minority_rows, facts.majority_rows) == (1, 90, 1710)
    assert facts.imbalance_ratio == 19
    assert (facts.num_features, facts.numeric_columns, facts.categorical_share, facts.missing_share) == (2, 2, 0, 0)
    assert facts.drift is None
    assert json.loads(json.dumps(facts.to_dict())) == facts.to_dict()


def test_overlap_goes_from_none_to_chance():
    overlaps = [facts_of(blobs(distance=distance)).overlap for distance in (8.0, 3.0, 1.0, 0.0)]
    assert overlaps[0] == 0
    assert overlaps == sorted(overlaps)
    assert abs(overlaps[-1] - 0.95) < 0.05  # the majority's share


def test_overlap_of_a_line_by_hand():
    # 8 rows in a row, in pairs far apart; k is 5, so every row of "rare" sees the 5 nearest of the others.
    x = [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105]
    y = [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    table = pd.concat([pd.DataFrame({"x": x, "y": y, "part": part}) for part in range(3)], ignore_index=True)
    table["x"] = table["x"].astype(float)
    facts = facts_of(table, time="part", split=(1 / 3, 1 / 3, 1 / 3))
    assert facts.train_rows == 12
    # of the five nearest rows, each of the three minority rows has the two others and three of the majority
    assert facts.overlap == pytest.approx(3 / 5)
    assert facts.isolated_share == 0
    assert facts.isolated_by_chance == pytest.approx((9 / 11) ** 5)


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_modes_are_counted(modes):
    facts = facts_of(blobs(positives=400, distance=30.0, modes=modes))
    assert facts.modes == modes
    assert facts.rows_per_mode == 240 / modes
    assert facts.smallest_mode_rows <= facts.rows_per_mode


def test_the_smallest_mode_is_scaled_to_all_rows():
    table = blobs(rows=30_000, positives=10_000, distance=30.0, modes=2)
    facts = facts_of(table)
    assert facts.minority_rows == 6000  # 3000 are linked
    assert facts.modes == 2
    assert abs(facts.smallest_mode_rows - 3000) < 300


def test_flipped_labels_raise_the_noise_proxy():
    shares = []
    for flipped in (0.0, 0.01, 0.03, 0.1):
        table = blobs(rows=4000, positives=200, seed=1)
        noise = np.random.default_rng(2).random(4000) < flipped
        table["y"] = np.where(noise, 1 - table["y"], table["y"])
        shares.append(facts_of(table).isolated_share)
    assert shares[0] == 0
    assert shares == sorted(set(shares))
    assert shares[-1] > 0.3


def test_the_core_tells_noise_from_overlap():
    clean = blobs(rows=4000, positives=200)
    noise = np.random.default_rng(2).random(4000) < 0.03
    noisy = facts_of(clean.assign(y=np.where(noise, 1 - clean["y"], clean["y"])))
    hard = facts_of(blobs(rows=4000, positives=200, distance=0.5))
    assert noisy.isolated_share > 0.2
    assert hard.isolated_share > 0.2
    assert noisy.core_overlap < 0.2 < 0.6 < hard.core_overlap


def test_scale_of_a_column_does_not_matter():
    table = blobs(distance=2.0)
    assert facts_of(table.assign(b=table["b"] * 1e6)).overlap == pytest.approx(facts_of(table).overlap, abs=0.01)


def drifting(share_moves=False, column_moves=False, rows=6000):
    rng = np.random.default_rng(0)
    day = np.arange(rows)
    rate = 0.05 + 0.2 * (day / rows) * share_moves
    steady = {"steady": rng.normal(size=rows), "word": rng.choice(list("abcd"), rows)}
    moving = rng.normal(size=rows) + 2 * (day / rows) * column_moves
    table = pd.DataFrame({"day": day, **steady, "moving": moving, "y": (rng.random(rows) < rate).astype(int)})
    return table.iloc[rng.permutation(rows)].reset_index(drop=True)


def test_planted_drift_is_found():
    drift = facts_of(drifting(share_moves=True, column_moves=True), time="day").drift
    assert drift.first < drift.last
    assert drift.p < 1e-3
    assert drift.column == "moving"
    assert drift.distance > 0.2
    assert drift.column_p < 1e-6


def test_the_distance_is_the_one_of_scipy():
    table = drifting(column_moves=True, rows=600)
    drift = facts_of(table, time="day").drift
    moving = table.sort_values("day")["moving"].to_numpy()
    test = ks_2samp(moving[:120], moving[240:360], method="asymp")
    assert drift.distance == pytest.approx(test.statistic)
    assert drift.column_p == pytest.approx(test.pvalue * 7)  # two numbers, four words and the bucket of unknown ones


def test_no_drift_is_found_where_there_is_none():
    drift = facts_of(drifting(), time="day").drift
    assert drift.p > 0.05
    assert drift.distance < 0.1
    assert drift.column_p > 0.05


def test_a_new_category_and_new_gaps_are_drift():
    table = drifting()
    late = table["day"] > 2400
    assert facts_of(table.assign(word=table["word"].where(~late, "new")), time="day").drift.column == "word"
    assert facts_of(table.assign(steady=table["steady"].where(~late)), time="day").drift.column == "steady"


def test_a_table_of_dates_has_no_column_to_move():
    table = pd.DataFrame({"day": range(300), "at": pd.date_range("2024-01-01", periods=300, freq="7h")})
    facts = facts_of(table.assign(y=[0, 0, 1] * 100), time="day")
    assert (facts.drift.column, facts.drift.distance, facts.drift.column_p) == ("", 0.0, 1.0)


def test_validation_and_test_rows_have_no_say():
    table = drifting(column_moves=True)
    data = TabularDataModule(table, "y", time="day", audit=False)
    rest = np.concatenate([data.split.val, data.split.test])
    other = table.copy()
    rng = np.random.default_rng(9)
    other.loc[rest, ["steady", "moving"]] = rng.normal(size=(len(rest), 2)) * 1e6
    other.loc[rest, "word"] = "unknown"
    other.loc[rest, "y"] = 1 - other.loc[rest, "y"]
    changed = TabularDataModule(other, "y", time="day", audit=False)
    assert np.array_equal(changed.split.train, data.split.train)
    assert data_facts(changed) == data_facts(data)


def test_a_training_row_has_a_say():
    table = blobs()
    data = TabularDataModule(table, "y", audit=False)
    table.loc[data.split.train[:500], "a"] = np.nan
    assert facts_of(table).missing_share == pytest.approx(500 / 3600)


def test_the_same_seed_gives_the_same_facts_and_no_global_generator_is_used():
    before = np.random.get_state()[1].copy()
    data = TabularDataModule(blobs(distance=2.0), "y", audit=False)
    assert data_facts(data, limit=500) == data_facts(data, limit=500)
    assert data_facts(data, limit=500, seed=1) != data_facts(data, limit=500)
    assert np.array_equal(np.random.get_state()[1], before)


def test_a_sample_speaks_for_the_table():
    data = TabularDataModule(blobs(rows=20_000, positives=2000, distance=2.0), "y", audit=False)
    assert data_facts(data, limit=3000).overlap == pytest.approx(data_facts(data).overlap, abs=0.06)
    with pytest.raises(ValueError, match="`limit` must be >= 100"):
        data_facts(data, limit=99)


def test_one_minority_row():
    table = blobs(rows=60, positives=3)
    facts = facts_of(table, split=(0.34, 0.33, 0.33))
    assert facts.minority_rows == facts.modes == facts.smallest_mode_rows == 1
    assert facts.overlap == facts.isolated_share == facts.core_overlap == facts.isolated_by_chance == 1


def test_columns_without_values_and_constants():
    table = blobs(empty=np.full(3000, np.nan), constant=np.ones(3000))
    assert facts_of(table).overlap == 0
    data = TabularDataModule(table, "y", audit=False)
    gap = blobs(late=np.arange(3000.0))
    gap.loc[data.split.train, "late"] = np.nan  # no value in any training row
    assert facts_of(gap).overlap == 0
    nothing = pd.DataFrame({"c": np.ones(6000), "d": np.zeros(6000), "y": [0] * 5700 + [1] * 300})
    facts = facts_of(nothing)
    assert facts.overlap == pytest.approx(0.95, abs=0.02)  # rows at equal distance come in random order
    assert (facts.numeric_columns, facts.categorical_share) == (0, 1)


def test_categories_only():
    rng = np.random.default_rng(0)
    y = (np.arange(2000) % 20 == 0).astype(int)
    table = pd.DataFrame({"colour": np.where(y, "red", rng.choice(["blue", "green"], 2000)), "flag": y == 5, "y": y})
    facts = facts_of(table)
    assert facts.overlap == 0
    assert (facts.numeric_columns, facts.categorical_share) == (0, 1)


def test_seven_classes_of_text():
    rng = np.random.default_rng(0)
    label = rng.choice(list("ABCDEFG"), 3000, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.04, 0.01])
    table = pd.DataFrame({"x": rng.normal(size=3000), "word": rng.choice(list("uvw"), 3000), "label": label})
    facts = facts_of(table, "label")
    assert (facts.num_classes, facts.minority) == (7, "G")
    assert facts.imbalance_ratio == facts.majority_rows / facts.minority_rows
    assert json.loads(json.dumps(facts.to_dict())) == facts.to_dict()


@pytest.mark.slow
def test_a_million_rows_take_seconds():
    import time

    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=1_700_000) for i in range(10)}
    table = pd.DataFrame({"t": np.arange(1_700_000), **columns, "y": (rng.random(1_700_000) < 0.01).astype(int)})
    data = TabularDataModule(table, "y", time="t", audit=False)
    assert len(data.split.train) > 1_000_000
    start = time.perf_counter()
    data_facts(data)
    assert time.perf_counter() - start < 20
