"""Prequential folds: windows of the stated length, a gap without labels, test windows that never overlap."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.data import prequential_folds

WEEKS = {"num_folds": 4, "train": 7, "delay": 7, "test": 7}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=200),
    st.integers(1, 4),
    st.integers(1, 20),
    st.integers(0, 10),
    st.integers(1, 10),
)
def test_every_row_is_where_its_time_says(times, num_folds, train, delay, test):
    time = np.array(times)
    try:
        folds = prequential_folds(time, num_folds=num_folds, train=train, delay=delay, test=test)
    except ValueError as error:
        assert "has no rows" in str(error) or "of time" in str(error)  # noqa: PT017
        return
    end = time.max() + 1
    for index, fold in enumerate(reversed(folds)):
        stop = end - index * test
        edges = [stop - test - delay - train, stop - test - delay, stop - test, stop]
        for rows, low, high in zip(fold, edges[:-1], edges[1:], strict=True):
            assert sorted(rows) == np.flatnonzero((time >= low) & (time < high)).tolist()
            assert (np.diff(time[rows]) >= 0).all()
    tested = np.concatenate([fold.test for fold in folds])
    assert len(tested) == len(np.unique(tested))


def test_the_handbook_protocol_on_days():
    time = pd.date_range("2018-07-25", "2018-09-04 23:50", freq="10min")
    folds = prequential_folds(time, **WEEKS)
    assert len(folds) == 4
    for index, fold in enumerate(folds):
        start = pd.Timestamp("2018-07-25") + pd.Timedelta(7 * index, "D")
        for rows, offset in zip(fold, (0, 7, 14), strict=True):
            assert time[rows].min() == start + pd.Timedelta(offset, "D")
            assert time[rows].max() == start + pd.Timedelta(offset + 7, "D") - pd.Timedelta("10min")
        assert len(fold.train) == len(fold.delay) == len(fold.test) == 7 * 144


def test_days_in_numbers_and_as_datetimes_are_the_same():
    day = np.random.default_rng(0).permutation(np.repeat(np.arange(42), 5))
    dates = np.datetime64("2020-02-01") + day
    zoned = pd.Series(dates).dt.tz_localize("UTC")
    expected = prequential_folds(day, **WEEKS)
    for time in (dates, pd.Series(dates), zoned, zoned.to_numpy(), day.astype(float)):
        got = prequential_folds(time, **WEEKS, start=0 if time.dtype == float else None)
        assert [[part.tolist() for part in fold] for fold in got] == [[p.tolist() for p in fold] for fold in expected]


def test_units_start_and_delay():
    time = pd.date_range("2020-01-01", periods=48, freq="h")
    (fold,) = prequential_folds(time, num_folds=1, train=6, delay=0, test=3, unit="h", start="2020-01-01 01:00")
    assert fold.train.tolist() == list(range(1, 7))
    assert len(fold.delay) == 0
    assert fold.test.tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match="`unit` is for datetimes"):
        prequential_folds(np.arange(10), num_folds=1, train=1, delay=1, test=1, unit="D")
    with pytest.raises(ValueError, match="`unit` must be one of"):
        prequential_folds(time, num_folds=1, train=1, delay=1, test=1, unit="week")


def test_the_last_window_holds_the_newest_row():
    time = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    (fold,) = prequential_folds(time, num_folds=1, train=0.5, delay=0.0, test=0.25)
    assert fold.test.tolist() == [4]
    assert fold.train.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_folds": 5}, "need 49 D of time, the rows span 42"),
        ({"num_folds": 0}, "`num_folds` must be >= 1"),
        ({"train": 0}, "`train` must be > 0"),
        ({"delay": -1}, "`delay` must be >= 0"),
        ({"test": float("nan")}, "`test` must be finite"),
        ({"start": "2021-01-01"}, "train window of fold 0 has no rows"),
        ({"start": "2020-01-25"}, "test window of fold 1 has no rows"),
    ],
)
def test_bad_windows(change, message):
    time = pd.date_range("2020-01-01", periods=42)
    assert len(prequential_folds(time, **{**WEEKS, "unit": "D"})) == 4
    with pytest.raises(ValueError, match=message):
        prequential_folds(time, **{**WEEKS, "unit": "D", **change})


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (np.array(["a", "b"]), "numbers or datetimes"),
        (np.array([True, False]), "numbers or datetimes"),
        (np.array([1.0, np.nan]), r"1 missing values \(first: row 1\)"),
        (pd.to_datetime(["2020-01-01", None]), r"1 missing values \(first: row 1\)"),
        (np.array([]), "no rows to split"),
    ],
    ids=["text", "boolean", "NaN", "NaT", "empty"],
)
def test_bad_times(time, message):
    with pytest.raises(ValueError, match=message):
        prequential_folds(time, num_folds=1, train=1, delay=0, test=1)


def test_large_whole_numbers_stay_exact():
    time = np.arange(2**53, 2**53 + 10)
    (fold,) = prequential_folds(time, num_folds=1, train=3, delay=2, test=5)
    assert [rows.tolist() for rows in fold] == [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]
