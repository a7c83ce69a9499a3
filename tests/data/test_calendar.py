"""Calendar features and booleans: against pandas, with zones, units, gaps and what does not vary."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch
from dateutil import tz

from imbalance_torch.data import TableEncoder, iterate_table, write_table

WHEN = pd.Series(pd.date_range("2022-01-01", "2024-06-30", periods=5000)).dt.round("s")


def fitted(values, **options):
    return TableEncoder([], [], datetime=["when"], **options).fit(pd.DataFrame({"when": values}))


def encoded(encoder, values):
    return encoder.encode(pd.DataFrame({"when": values})).numpy()


def circle(turns):
    angle = 2 * np.pi * np.asarray(turns)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def test_the_features_are_those_of_pandas():
    features = encoded(fitted(WHEN), WHEN)
    time = (WHEN - WHEN.dt.normalize()).dt.total_seconds() / 86400
    np.testing.assert_allclose(features[:, :2], circle(time), atol=1e-6)
    np.testing.assert_allclose(features[:, 2:4], circle(WHEN.dt.day_of_week / 7), atol=1e-6)
    day = np.arctan2(features[:, 4], features[:, 5]) / (2 * np.pi) * 365.2425
    off = (day - (WHEN.dt.day_of_year - 1) + 183) % 365.2425 - 183
    assert off.abs().max() <= 1.01


def test_dates_before_1970_and_far_ones():
    times = pd.Series(np.array(["1901-03-04T06:00", "1969-12-31T18:00", "2199-01-01"]).astype("datetime64[s]"))
    features = encoded(fitted(pd.concat([WHEN, times])), times)
    np.testing.assert_allclose(features[:, :2], circle([0.25, 0.75, 0]), atol=1e-6)
    np.testing.assert_allclose(features[:, 2:4], circle(times.dt.day_of_week / 7), atol=1e-6)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_changes_nothing(unit):
    expected = encoded(fitted(WHEN), WHEN)
    np.testing.assert_array_equal(encoded(fitted(WHEN), WHEN.astype(f"datetime64[{unit}]")), expected)
    np.testing.assert_array_equal(encoded(fitted(WHEN.astype(f"datetime64[{unit}]")), WHEN), expected)


def test_text_and_date_objects_are_dates():
    expected = encoded(fitted(WHEN), WHEN)
    np.testing.assert_array_equal(encoded(fitted(WHEN), WHEN.astype(str)), expected)
    days = WHEN.dt.normalize()
    np.testing.assert_array_equal(encoded(fitted(days), days.dt.date), encoded(fitted(days), days))
    assert isinstance(days.dt.date.iloc[0], datetime.date)


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        (pd.date_range("2024-01-01", periods=400, freq="D"), ["weekday", "day of year"]),
        (pd.date_range("2024-01-01", periods=100, freq="D"), ["weekday"]),
        (pd.date_range("2024-01-01 08:00", periods=10, freq="h"), ["hour"]),
        (pd.date_range("2024-01-01", periods=100, freq="7D"), ["day of year"]),
        (pd.date_range("2024-01-01", periods=9, freq="25h"), ["hour", "weekday"]),
        (pd.to_datetime(["2024-01-01"] * 4), []),
    ],
)
def test_only_parts_that_vary_are_kept(times, parts):
    encoder = fitted(times)
    names = ["hour", "hour", "weekday", "weekday", "day of year", "day of year"]
    assert [names[i] for i in encoder.calendar_features] == [part for part in parts for _ in range(2)]
    assert encoder.num_dense == 2 * len(parts)
    assert encoded(encoder, times).shape == (len(times), 2 * len(parts))


def test_hours_are_those_of_the_zone_of_the_training_rows():
    local = WHEN.dt.tz_localize("America/New_York", nonexistent="shift_forward", ambiguous=True)
    encoder = fitted(local)
    assert encoder.zones == {"when": "America/New_York"}
    wall = encoded(encoder, local)
    np.testing.assert_array_equal(wall, encoded(fitted(WHEN), local.dt.tz_localize(None)))
    np.testing.assert_array_equal(encoded(encoder, local.dt.tz_convert("UTC")), wall)
    np.testing.assert_array_equal(encoded(encoder, local.dt.tz_convert("Asia/Kolkata").astype(str)), wall)
    with pytest.raises(ValueError, match="Column 'when' has no time zone, the training rows had America/New_York"):
        encoded(encoder, WHEN)
    with pytest.raises(ValueError, match="Column 'when' has UTC, the training rows had no time zone"):
        encoded(fitted(WHEN), local.dt.tz_convert("UTC"))


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (tz.gettz("Europe/Berlin"), "Europe/Berlin"),
        (tz.tzutc(), "UTC"),
        (tz.tzoffset(None, -12_600), "-03:30"),
        (datetime.timezone(datetime.timedelta(hours=1)), "+01:00"),
    ],
    ids=["dateutil", "dateutil UTC", "dateutil offset", "offset"],
)
def test_a_zone_of_any_library_has_its_standard_name(zone, name):
    local = WHEN.dt.tz_localize("UTC").dt.tz_convert(zone)
    encoder = fitted(local)
    assert encoder.zones == {"when": name}
    np.testing.assert_array_equal(encoded(encoder, local), encoded(fitted(WHEN), local.dt.tz_localize(None)))
    np.testing.assert_array_equal(encoded(encoder, local.dt.tz_convert("Asia/Kolkata")), encoded(encoder, local))


class Unnamed(datetime.tzinfo):
    def utcoffset(self, when):
        return datetime.timedelta(hours=2)

    def dst(self, when):
        return datetime.timedelta(0)

    def tzname(self, when):
        return "Nowhere"


def test_a_zone_that_no_name_stands_for():
    with pytest.raises(ValueError, match=r"Column 'when' has the time zone .*named one, such as with `.dt.tz_convert"):
        fitted(WHEN.dt.tz_localize(Unnamed()))


def test_missing_times_are_the_centre_with_an_indicator():
    gaps = WHEN.mask(np.arange(len(WHEN)) % 3 == 0)
    encoder = fitted(gaps)
    features = encoded(encoder, gaps)
    np.testing.assert_array_equal(features[:, 0], gaps.isna())
    assert not features[gaps.isna(), 1:].any()
    np.testing.assert_allclose(np.hypot(features[1, 1::2], features[1, 2::2]), 1, rtol=1e-6)
    assert encoded(fitted(WHEN), pd.Series([None] * 3, dtype=object)).tolist() == [[0.0] * 6] * 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, 3], "Column 'when' must hold dates, got int64"),
        (["2024-01-01", "soon"], "Column 'when' must hold dates such as .*soon"),
        (pd.to_datetime([None, None]), "Column 'when' has no value in the training rows"),
    ],
)
def test_what_is_no_date(values, message):
    with pytest.raises(ValueError, match=message):
        fitted(values)


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_give_the_same_features(tmp_path, zone, suffix):
    times = WHEN if zone is None else WHEN.dt.tz_localize("UTC").dt.tz_convert(zone)
    write_table([pd.DataFrame({"when": times})], tmp_path / f"t.{suffix}")
    encoder = fitted(times)
    zoned = ["when"] if zone else []
    chunks = iterate_table(
        tmp_path / f"t.{suffix}", text=zoned, datetimes=[] if zone else ["when"], columns=["when"], chunk_rows=999
    )
    actual = torch.cat([encoder.encode(chunk) for chunk in chunks]).numpy()
    np.testing.assert_array_equal(actual, encoded(encoder, times))


BOOLEANS = {
    "bool": pd.Series([True, False, False]),
    "nullable": pd.Series([True, False, False], dtype="boolean"),
    "text": pd.Series(["true", "FALSE", "False"]),
    "category": pd.Series(["True", "False", "False"], dtype="category"),
    "numbers": pd.Series([1, 0, 0]),
    "floats": pd.Series([1.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("kind", BOOLEANS)
def test_booleans_are_zero_and_one(kind):
    frame = pd.DataFrame({"b": BOOLEANS[kind]})
    encoder = TableEncoder([], [], boolean=["b"]).fit(frame)
    assert encoder.encode(frame).tolist() == [[1.0], [0.0], [0.0]]
    assert encoder.encode(pd.DataFrame({"b": BOOLEANS["bool"]})).tolist() == [[1.0], [0.0], [0.0]]
    assert (encoder.num_dense, encoder.num_numeric, encoder.cardinalities) == (1, 0, [])


def test_a_missing_boolean_is_the_more_frequent_one_with_an_indicator():
    frame = pd.DataFrame({"b": pd.Series([True, True, False, None], dtype=object)})
    assert TableEncoder([], [], boolean=["b"]).fit(frame).encode(frame)[3].tolist() == [1.0, 1.0]
    encoder = TableEncoder([], [], boolean=["b"]).fit(pd.DataFrame({"b": [True, False, False]}))
    assert encoder.encode(frame).tolist() == [[1.0], [1.0], [0.0], [0.0]]


def test_what_is_no_boolean():
    with pytest.raises(ValueError, match="Column 'b' must be true or false, got 'maybe'"):
        TableEncoder([], [], boolean=["b"]).fit(pd.DataFrame({"b": ["true", "maybe"]}))
