"""Card transactions: the published rates and scores, windows equal to a count row by row, and the edges."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_torch.data import prequential_folds
from imbalance_torch.data.datasets import make_card_transactions
from imbalance_torch.data.datasets._windows import trailing_sums

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2018-04-01")
PUBLISHED = {1: 973 / 1_754_155, 2: 9_077 / 1_754_155, 3: 4_631 / 1_754_155}
SPREAD = {1: 2.9e-5, 2: 9.7e-5, 3: 6.8e-5}  # standard deviation of the shares over 40 seeds at the published sizes
TOTAL, TOTAL_SPREAD = 14_681 / 1_754_155, 1.28e-4


@pytest.fixture(scope="module")
def cards():
    return make_card_transactions(1_000, 2_000, 120, random_state=0)


def test_columns_types_and_order(cards):
    frame = cards.frame
    assert (cards.target, cards.time, cards.drop) == ("fraud", "time", ("customer_id", "terminal_id", "scenario"))
    assert list(cards.X) == [
        "amount", "weekend", "night",
        *(f"customer_{kind}_{days}d" for days in (1, 7, 30) for kind in ("count", "mean_amount")),
        *(f"terminal_{kind}_{days}d" for days in (1, 7, 30) for kind in ("count", "risk")),
    ]  # fmt: skip
    assert frame["time"].is_monotonic_increasing
    assert START <= frame["time"].min()
    assert frame["time"].max() < START + 120 * DAY
    assert frame.notna().all(axis=None)
    assert (frame["fraud"] == (frame["scenario"] > 0)).all()
    assert (frame["weekend"] == (frame["time"].dt.day_of_week >= 5)).all()
    assert (frame["night"] == (frame["time"].dt.hour <= 6)).all()
    assert set(np.unique(frame["customer_id"])) <= set(range(1_000))
    assert set(np.unique(frame["terminal_id"])) <= set(range(2_000))
    for words in ("Caveats", "Handbook", "scenario"):
        assert words in cards.card


def test_a_customer_makes_as_many_transactions_as_described(cards):
    per_day = len(cards.frame) / (1_000 * 120)
    inside_the_day = 0.9692  # P(|z| < 43,200 / 20,000)
    customers = np.sqrt(16 / 12 / 1_000) * inside_the_day  # rates uniform in (0, 4)
    assert per_day == pytest.approx(2 * inside_the_day, abs=4 * customers)
    seconds = (cards.frame["time"] - cards.frame["time"].dt.normalize()).dt.total_seconds()
    assert seconds.mean() == pytest.approx(43_200, abs=4 * 18_193 / np.sqrt(len(seconds)))
    assert seconds.std() == pytest.approx(18_193, rel=0.01)  # of N(noon, 20,000) cut at midnight


def test_scenarios_follow_their_rules(cards):
    frame = cards.frame
    large = frame["amount"] > 220
    assert frame.loc[large, "fraud"].all()
    assert (frame["scenario"] == 1).sum() > 0
    assert large[frame["scenario"] == 1].all()
    day = (frame["time"] - START) // DAY
    compromised = frame[frame["scenario"] == 2].assign(day=day).groupby("terminal_id")["day"].agg(["min", "max"])
    length = compromised["max"] - compromised["min"] + 1
    assert (length > 20).mean() > 0.6
    once = compromised[length <= 28]
    for terminal, (first, last) in once.iterrows():  # no honest transaction in the middle
        there = frame[(frame["terminal_id"] == terminal) & day.between(first, last)]
        assert set(there["scenario"]) <= {2, 3}
    # five times the amount of the customer
    usual = frame[frame["scenario"] == 0].groupby("customer_id")["amount"].mean()
    stolen = frame[frame["scenario"] == 3]
    ratio = stolen["amount"] / usual.reindex(stolen["customer_id"]).to_numpy()
    assert ratio.mean() == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("delay", [0, 7])
def test_windows_equal_a_count_row_by_row(delay):
    generator = np.random.default_rng(0)
    time = np.sort(generator.integers(0, 60 * 86_400, 400))
    time[100:110] = time[100]  # equal times
    time[200] = time[150] + 86_400  # exactly one window later
    time.sort()
    entity, values = generator.integers(0, 12, 400), generator.integers(0, 9, 400)
    for days, count, total in trailing_sums(entity, time, values, delay=delay):
        for i in range(400):
            age = time[i] - time - delay * 86_400
            inside = (entity == entity[i]) & (age >= 0) & (age < days * 86_400)
            assert (count[i], total[i]) == (inside.sum(), values[inside].sum())


def test_features_equal_pandas_rolling():
    frame = make_card_transactions(100, 2_000, 90, random_state=0).frame
    ours = frame.set_index(["customer_id", "time"]).sort_index()
    assert ours.index.is_unique  # pandas counts rows of equal times one after the other
    for days in (1, 7, 30):
        window = frame.set_index("time").groupby("customer_id")["amount"].rolling(f"{days}D")
        assert (window.count() == ours[f"customer_count_{days}d"]).all()
        np.testing.assert_allclose(ours[f"customer_mean_amount_{days}d"], window.mean(), rtol=1e-5, atol=1e-4)


def test_the_risk_of_a_terminal_knows_no_label_of_the_last_seven_days(cards):
    frame = cards.frame
    row = int(np.flatnonzero((frame["scenario"] == 2) & (frame["terminal_risk_1d"] > 0))[0])
    here = frame[frame["terminal_id"] == frame["terminal_id"][row]]
    age = frame["time"][row] - here["time"]
    for days in (1, 7, 30):
        seen = here[(age >= 7 * DAY) & (age < (7 + days) * DAY)]
        assert frame[f"terminal_count_{days}d"][row] == len(seen)
        assert frame[f"terminal_risk_{days}d"][row] == pytest.approx(seen["fraud"].mean())
    assert (frame["terminal_count_30d"][(frame["time"] - START) < 7 * DAY] == 0).all()


def test_customers_use_every_terminal_in_reach_alike_and_no_other():
    from imbalance_torch.data.datasets._card_transactions import _terminals_in_reach

    generator = np.random.default_rng(1)
    customers, terminals = 100 * generator.random((40, 2)), 100 * generator.random((4_000, 2))
    customers[0] = (0, 0)  # a corner
    customers[1], terminals[:, 0] = (100, 50), np.minimum(terminals[:, 0], 90)  # nothing in reach
    who = np.repeat(np.arange(40), 4_000)
    drawn = _terminals_in_reach(who, customers, terminals, generator)
    for customer in range(40):
        distance = np.hypot(*(terminals - customers[customer]).T)
        reach = np.flatnonzero(distance <= 5) if distance.min() <= 5 else distance.argmin()[None]
        counts = np.bincount(drawn[who == customer], minlength=4_000)
        assert counts.sum() == counts[reach].sum()
        expected = 4_000 / len(reach)
        chi = ((counts[reach] - expected) ** 2 / expected).sum()
        assert chi <= len(reach) - 1 + 5 * np.sqrt(2 * len(reach))


def test_the_same_seed_gives_the_same_rows_everywhere():
    one, two, other = (make_card_transactions(60, 100, 50, random_state=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert not one.frame.equals(other.frame)
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    pd.testing.assert_frame_equal(
        *(make_card_transactions(20, 30, 10, random_state=generator).frame for generator in generators)
    )
    frame = one.frame
    columns = [frame["time"].astype("int64"), frame["customer_id"], frame["terminal_id"], frame["scenario"]]
    columns.append((frame["amount"].astype("float64") * 100).round())
    digest = hashlib.sha256(np.stack([np.asarray(column, dtype="<i8") for column in columns]).tobytes()).hexdigest()
    assert digest[:16] == "5de20ca8291066cb"


def test_no_global_random_state_is_touched():
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    make_card_transactions(20, 20, 5, random_state=0)
    make_card_transactions(20, 20, 5)
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 500, 40), (300, 1, 40), (50, 50, 1)])
def test_any_size(sizes):
    for seed in range(3):
        cards = make_card_transactions(*sizes, random_state=seed)
        assert cards.X.shape == (len(cards.frame), 15)
        assert cards.frame.notna().all(axis=None)


@pytest.mark.parametrize(
    ("sizes", "error"), [((0, 1, 1), ValueError), ((1, 1.5, 1), TypeError), ((1, 1, -2), ValueError)]
)
def test_sizes_are_checked(sizes, error):
    with pytest.raises(error, match="`num_"):
        make_card_transactions(*sizes)


def test_the_share_of_frauds_does_not_depend_on_the_sizes():
    """A tenth of the published customers: the spread grows by the root of ten."""
    counts = sum(
        np.bincount(make_card_transactions(500, 1_000, 183, random_state=seed).frame["scenario"], minlength=4)
        for seed in range(5)
    )
    for scenario, share in PUBLISHED.items():
        spread = SPREAD[scenario] * np.sqrt(10 / 5 + 1)  # five draws of ours and the published one
        assert counts[scenario] / counts.sum() == pytest.approx(share, abs=4 * spread)


def known_cards_removed(day, customer, fraud, fold):
    """Test rows of each day, less those of cards whose fraud of the training window or the gap is known by then."""
    rows = []
    for today in np.unique(day[fold.test]):
        past = np.concatenate([fold.train, fold.delay])
        known = customer[past[(fraud[past] == 1) & (day[past] < today - 7)]]
        candidates = fold.test[day[fold.test] == today]
        rows.append(candidates[~np.isin(customer[candidates], known)])
    return np.concatenate(rows)


@pytest.mark.slow
def test_published_rates_and_scores():
    """Rates and average precision of the Handbook, chapter 3 and 5: four prequential folds of 7 + 7 + 7 days."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def boosting(**more):
        return xgboost.XGBClassifier(
            n_estimators=50, max_depth=3, learning_rate=0.3, tree_method="exact", base_score=0.5, n_jobs=2, **more
        )

    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1_000)),
        "xgboost": boosting(),
        "weighted xgboost": boosting(scale_pos_weight=100),
    }
    scores, shares = {name: [] for name in models}, []
    for seed in range(3):
        cards = make_card_transactions(random_state=seed)
        shares.append(np.bincount(cards.frame["scenario"], minlength=4) / len(cards.frame))
        X, y, customer = cards.X.to_numpy(np.float32), cards.y, cards.frame["customer_id"].to_numpy()
        day = ((cards.frame["time"] - START) // DAY).to_numpy()
        folds = prequential_folds(
            cards.frame["time"], num_folds=4, train=7, delay=7, test=7, unit="D", start=pd.Timestamp("2018-07-25")
        )
        for fold in folds:
            test = known_cards_removed(day, customer, y, fold)
            for name, model in models.items():
                model.fit(X[fold.train], y[fold.train])
                scores[name].append(average_precision_score(y[test], model.predict_proba(X[test])[:, 1]))
    share = np.mean(shares, axis=0)
    found = {name: float(np.mean(values)) for name, values in scores.items()}
    print("\nfrauds", 1 - share[0], "by scenario", share[1:].tolist(), "average precision", found)
    draws = np.sqrt(1 / 3 + 1)  # three of ours and the published one
    assert 1 - share[0] == pytest.approx(TOTAL, abs=4 * TOTAL_SPREAD * draws)
    for scenario, published in PUBLISHED.items():
        assert share[scenario] == pytest.approx(published, abs=4 * SPREAD[scenario] * draws)
    assert found == pytest.approx({"logistic": 0.623, "xgboost": 0.687, "weighted xgboost": 0.630}, abs=0.03)
