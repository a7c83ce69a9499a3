"""Splits: nothing of the future in training, equal class shares, no row lost."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.data import Split, check_split_classes, stratified_split, time_split


def assert_partition(split, rows):
    assert sorted(np.concatenate(split).tolist()) == list(range(rows))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=3, max_size=200))
def test_time_split_never_leaves_a_time_on_two_sides(values):
    time = np.array(values)
    try:
        split = time_split(time)
    except ValueError as error:
        assert "different value" in str(error)  # noqa: PT017
        return
    assert_partition(split, len(time))
    assert time[split.train].max() < time[split.val].min()
    assert time[split.val].max() < time[split.test].min()
    for rows in split:
        assert len(rows)
        order = list(zip(time[rows], rows, strict=True))
        assert order == sorted(order)


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.5, 0.25, 0.25), (0.8, 0.1, 0.1)])
def test_time_split_takes_exact_shares_of_different_times(shares):
    time = np.random.default_rng(0).permutation(1000)
    assert [len(rows) for rows in time_split(time, shares)] == [round(1000 * share) for share in shares]


def test_time_split_cuts_at_the_nearest_change_of_time():
    split = time_split(np.repeat([0, 1, 2], [70, 10, 20]))
    assert [len(rows) for rows in split] == [70, 10, 20]


@pytest.mark.parametrize(
    "time",
    [
        pd.date_range("2020", periods=10).to_numpy(),
        pd.Series(pd.date_range("2020", periods=10, tz="Europe/Berlin")).to_numpy(),
        np.array(list("abcdefghij")),
        np.linspace(-1, 1, 10),
    ],
    ids=["datetime", "zone", "text", "float"],
)
def test_time_split_takes_anything_that_sorts(time):
    assert time_split(time[::-1]).train.tolist() == [9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize(
    "time",
    [
        np.array([1.0, np.nan, 3, 4]),
        pd.to_datetime(["2020-01-01", None, "2020-01-03", "2020-01-04"]).to_numpy(),
        np.array([1, None, 3, 4], dtype=object),
        pd.array([1, None, 3, 4], dtype="Int64").to_numpy(dtype=object),
    ],
    ids=["nan", "NaT", "None", "NA"],
)
def test_missing_times(time):
    with pytest.raises(ValueError, match=r"1 missing values \(first: row 1\)"):
        time_split(time)


@pytest.mark.parametrize("time", [np.zeros(100), np.repeat([0, 1], 50), np.arange(0)], ids=["one", "two", "none"])
def test_too_few_times(time):
    with pytest.raises(ValueError, match="part of the time split is empty"):
        time_split(time)


def test_times_of_mixed_types():
    with pytest.raises(ValueError, match="mixes types"):
        time_split(np.array([1, "a", 3, 4], dtype=object))


@pytest.mark.parametrize("split", [time_split, stratified_split])
@pytest.mark.parametrize(
    "shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1), (np.nan, 0.5, 0.5)]
)
def test_bad_shares(split, shares):
    with pytest.raises(ValueError, match="three positive numbers that sum to 1"):
        split(np.arange(10), shares)


def test_stratified_shares_are_exact_and_reproducible():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [1000, 100, 10]))
    split = stratified_split(labels, seed=3)
    assert_partition(split, len(labels))
    assert [np.bincount(labels[rows]).tolist() for rows in split] == [[600, 60, 6], [200, 20, 2], [200, 20, 2]]
    assert all((np.diff(rows) > 0).all() for rows in split)
    again, other = stratified_split(labels, seed=3), stratified_split(labels, seed=4)
    assert all((a == b).all() for a, b in zip(split, again, strict=True))
    assert any((a != b).any() for a, b in zip(split, other, strict=True))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.98, 0.01, 0.01), (0.01, 0.01, 0.98), (0.01, 0.98, 0.01)])
def test_a_tiny_class_is_in_every_part(count, shares):
    labels = np.repeat([0, 1], [50, count])
    split = stratified_split(labels, shares)
    assert_partition(split, len(labels))
    assert all((labels[rows] == 1).any() for rows in split)


def test_two_rows_of_a_class_cannot_be_split_into_three():
    with pytest.raises(ValueError, match="Class 1 has 2 rows"):
        stratified_split(np.array([0, 0, 0, 1, 1]))


def test_global_randomness_is_left_alone():
    before = np.random.get_state()[1].tolist()
    stratified_split(np.repeat([0, 1], 10))
    assert np.random.get_state()[1].tolist() == before


def test_an_absent_class_is_named_with_the_counts():
    labels = np.array([0, 0, 1, 0, 0, 1, 1])
    check_split_classes(Split(np.array([0, 2]), np.array([3, 5]), np.array([1, 4, 6])), labels, ["no", "yes"])
    with pytest.raises(ValueError, match=r"'yes' has no row in the test part .*val: \[1, 1\], test: \[1, 0\]"):
        check_split_classes(Split(np.array([0, 1, 2, 6]), np.array([3, 5]), np.array([4])), labels, ["no", "yes"])
