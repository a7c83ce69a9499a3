"""A small slice of the real flights: quick to train on, with categories, gaps and a time column."""

from pathlib import Path

import pandas as pd
import pytest

from imbalance_torch.data.datasets import load_nyc_flights
from imbalance_torch.training import TabularDataModule


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return load_nyc_flights().frame.iloc[::60].reset_index(drop=True)


@pytest.fixture(scope="session")
def flights_csv(flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "flights.csv"
    flights.to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def data(flights: pd.DataFrame) -> TabularDataModule:
    return TabularDataModule(flights, "cancelled", time="scheduled_departure", batch_size=128)
