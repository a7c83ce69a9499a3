"""The tables of the quality benchmark, and how each is split."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from imbalance_torch.data import prequential_folds, stratified_split, time_split
from imbalance_torch.data.datasets import load_nyc_flights, load_ulb_credit_card, make_card_transactions
from imbalance_torch.data.datasets._windows import add_window_features

DAY = 86_400
FIRST_DAY = pd.Timestamp("2018-04-01")
FIRST_FOLD = 115  # days later: 25 July 2018, as in the Handbook
WEEK = 7  # days of training, of delay and of test
SHARES = (0.56, 0.14, 0.30)


@dataclass(frozen=True)
class Table:
    """Features, labels 0..C-1, what orders the rows (None: nothing), and the card of each row."""

    X: pd.DataFrame
    y: np.ndarray
    time: np.ndarray | None = None
    card: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        """Return features and labels of some rows."""
        return self.X.iloc[rows].reset_index(drop=True), self.y[rows]


class Parts(NamedTuple):
    """Row numbers of training, validation (None under the Handbook's protocol) and test."""

    train: np.ndarray
    val: np.ndarray | None
    test: np.ndarray


def split(table: Table, how: str) -> Parts:
    """Split a table: "time", "split N" (stratified, of this seed) or "fold N" (prequential, of the Handbook)."""
    kind, _, number = how.partition(" ")
    if kind == "time":
        return Parts(*time_split(table.time, SHARES))
    if kind == "split":
        return Parts(*stratified_split(table.y, SHARES, seed=int(number)))
    start = min(FIRST_FOLD * DAY, int(table.time.max()) // DAY * DAY - 6 * WEEK * DAY)
    fold = prequential_folds(
        table.time, num_folds=int(number) + 1, train=WEEK * DAY, delay=WEEK * DAY, test=WEEK * DAY, start=start
    )[-1]
    return Parts(fold.train, None, without_known_cards(table, fold))


def without_known_cards(table: Table, fold: NamedTuple) -> np.ndarray:
    """Return the test rows but those of cards of which a fraud is known, a week late, on the day of the row."""
    day, past = table.time // DAY, np.concatenate([fold.train, fold.delay])
    frauds = past[table.y[past] == 1]
    rows = []
    for today in np.unique(day[fold.test]):
        known = table.card[frauds[day[frauds] < today - WEEK]]
        now = fold.test[day[fold.test] == today]
        rows.append(now[~np.isin(table.card[now], known)])
    return np.concatenate(rows)


def file_in(folder: Path | None, name: str) -> Path:
    """Return a file of the data, or raise FileNotFoundError with the reason why it is not there."""
    if folder is None:
        raise FileNotFoundError("IMBALANCE_TORCH_DATA is not set")
    file = folder / f"{name}.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"the folder of the data holds no {file.name}")
    return file


def simulated_cards(seed: int, folder: Path | None, **sizes: int) -> Table:
    """Simulate transactions, at the published sizes if no others are given."""
    cards = make_card_transactions(**sizes, random_state=seed)
    time = ((cards.frame["time"] - FIRST_DAY) // pd.Timedelta(seconds=1)).to_numpy()
    return Table(cards.X, cards.y, time, cards.frame["customer_id"].to_numpy())


def handbook(folder: Path | None) -> Table:
    """Read the transactions that the Handbook published and add its features."""
    frame = pd.read_parquet(file_in(folder, "fraud_handbook_sim"))
    time, customer, terminal, y = (
        frame[name].to_numpy(np.int64) for name in ("time_s", "customer_id", "terminal_id", "y")
    )
    X = frame[["amount"]].assign(
        weekend=np.isin(time // DAY % 7, (0, 6)).astype(np.int8), night=(time % DAY < 7 * 3_600).astype(np.int8)
    )
    cents = np.rint(100 * frame["amount"].to_numpy(np.float64)).astype(np.int64)
    add_window_features(X, time, customer, terminal, cents, y)
    return Table(X, y, time, customer)


def flights(folder: Path | None, rows: int | None = None) -> Table:
    """Load the embedded flights, or the first rows of them."""
    data = load_nyc_flights()
    time = data.frame["scheduled_departure"].to_numpy().astype("datetime64[s]").astype(np.int64)
    return Table(data.X[:rows], data.y[:rows], time[:rows])


def credit_card(folder: Path | None) -> Table:
    """Load the ULB transactions."""
    data = load_ulb_credit_card(file_in(folder, "ulb_creditcard"))
    return Table(data.X, data.y, data.frame["Time"].to_numpy())


def parquet(name: str, folder: Path | None, *, drop: tuple[str, ...] = (), rows: int | None = None) -> Table:
    """Read a file of features and a target ``y`` in the order of time, or some of its rows at random."""
    frame = pd.read_parquet(file_in(folder, name))
    if rows is not None:
        generator = np.random.Generator(np.random.PCG64(0))
        frame = frame.iloc[np.sort(generator.choice(len(frame), rows, replace=False))].reset_index(drop=True)
    return Table(frame.drop(columns=["y", *drop]), frame["y"].to_numpy(np.int64), np.arange(len(frame)))


SETS = {
    "handbook": handbook,
    "nyc_flights": flights,
    "ulb_creditcard": credit_card,
    "mammography": partial(parquet, "mammography"),
    "htru2": partial(parquet, "htru2_pulsar"),
    "bank_marketing": partial(parquet, "bank_marketing", drop=("duration",)),
    "covtype, 100_000 rows": partial(parquet, "covtype_cottonwood", rows=100_000),
    "fars_severity": partial(parquet, "fars_severity"),
    **{f"cards {seed}": partial(simulated_cards, seed) for seed in (100, 101, 102)},
    "smoke flights": partial(flights, rows=6_000),
    "smoke cards": partial(simulated_cards, 1, num_customers=300, num_terminals=600, num_days=60),
}


@lru_cache(maxsize=1)
def load(name: str, folder: Path | None) -> Table:
    """Load a table; FileNotFoundError if its file is not there."""
    return SETS[name](folder)
