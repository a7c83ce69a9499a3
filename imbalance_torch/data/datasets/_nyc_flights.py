"""The embedded data: 336,776 flights from New York in 2013, 2.45 % of them cancelled."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from imbalance_torch._checks import require
from imbalance_torch.data.datasets._dataset import Dataset

_MISSING = -32768


def load_nyc_flights() -> Dataset:
    """Load the embedded flights: which scheduled departure is going to be cancelled?

    336,776 rows in time order, 8,255 cancelled (2.45 %), 22 numeric and 3 categorical columns, missing values, and
    a class share that falls from 2.8 % in the first months to 1.7 % in the last. The file ships with the package.

    Returns:
        A :class:`Dataset`; ``frame`` is a pandas DataFrame with float32 and integer columns, categories for
        ``carrier``, ``origin`` and ``dest``, the target ``cancelled`` (0 or 1) and the time
        ``scheduled_departure``.

    Raises:
        ImportError: pandas is not installed (``pip install 'imbalance-torch[train]'``).

    References:
        R package nycflights13 (CC0): United States Bureau of Transportation Statistics, and weather from the Iowa
        Environmental Mesonet's copy of NOAA's observations. :attr:`Dataset.card` names the caveats.

    Example:
        >>> flights = load_nyc_flights()
        >>> flights.frame.shape, int(flights.y.sum())
        ((336776, 27), 8255)
    """
    pandas = require("pandas", extra="train")
    folder = files(__package__)
    with (folder / "nyc_flights_cancelled.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    frame = pandas.DataFrame(
        {name: _decode(name, columns, pandas) for name in columns if "__" not in name and name != "y"}
    )
    start = np.datetime64("2013-01-01", "s")
    day_of_year = pandas.to_datetime({"year": 2013, "month": frame["month"], "day": frame["day"]}).to_numpy()
    frame["scheduled_departure"] = day_of_year.astype(start.dtype) + columns["sched_dep_min"].astype("timedelta64[m]")
    frame["cancelled"] = columns["y"].astype(np.int64)
    card = (folder / "nyc_flights_cancelled.md").read_text(encoding="utf-8")
    return Dataset(frame, target="cancelled", time="scheduled_departure", card=card)


def _decode(name: str, columns: dict[str, np.ndarray], pandas: object) -> object:
    values = columns[name]
    if f"{name}__cats" in columns:
        return pandas.Categorical.from_codes(values, categories=columns[f"{name}__cats"])  # type: ignore[attr-defined]
    if f"{name}__scale" in columns:
        scale = np.float32(columns[f"{name}__scale"])
        return np.where(values == _MISSING, np.float32("nan"), values.astype(np.float32) / scale)
    return values
