"""Floors of precision and recall and the alert budget, against every cut and against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, precision_score, recall_score

from imbalance_torch.decision import threshold_for_alert_budget, threshold_for_precision, threshold_for_recall

ROWS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=30).filter(
    lambda rows: len({label for _, label in rows}) == 2
)
FLOORS = st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.6, 0.75, 0.9, 1.0])
DTYPES = st.sampled_from([torch.float32, torch.float64])


def tensors(rows, dtype):
    scores, labels = zip(*rows, strict=True)
    return torch.tensor(scores, dtype=dtype) / 8, torch.tensor(labels).long()


def rates(p, y, threshold):
    """Return precision (NaN where nothing is flagged), recall and the number of flagged rows."""
    flagged = (p >= threshold).numpy()
    hits, labels = int((flagged & (y.numpy() == 1)).sum()), y.numpy()
    return (hits / flagged.sum() if flagged.any() else math.nan), hits / labels.sum(), int(flagged.sum())


def every_cut(p):
    return [1.5, *p.unique().tolist(), -0.5]


@settings(max_examples=150, deadline=None)
@given(ROWS, FLOORS, DTYPES)
def test_precision_floor_against_every_cut(rows, floor, dtype):
    p, y = tensors(rows, dtype)
    reached = [(rates(p, y, cut)[1], cut) for cut in every_cut(p) if rates(p, y, cut)[0] >= floor]
    if not reached:
        best = max(rates(p, y, cut)[0] for cut in p.tolist())
        with pytest.raises(ValueError, match=rf"precision of {floor}: the best is {best:.4g}, where \d+ rows"):
            threshold_for_precision(p, y, floor)
        return
    threshold = threshold_for_precision(p, y, floor)
    precision, recall, flagged = rates(p, y, threshold)
    assert type(threshold) is float
    assert precision >= floor
    assert recall == max(reached)[0]
    assert flagged == rates(p, y, max(reached)[1])[2]  # of equally good cuts the strictest


@settings(max_examples=150, deadline=None)
@given(ROWS, FLOORS, DTYPES)
def test_recall_floor_against_every_cut(rows, floor, dtype):
    p, y = tensors(rows, dtype)
    threshold = threshold_for_recall(p, y, floor)
    reached = [cut for cut in every_cut(p) if rates(p, y, cut)[1] >= floor]
    assert type(threshold) is float
    assert rates(p, y, threshold) == pytest.approx(rates(p, y, max(reached)), nan_ok=True)


def test_floors_against_scikit_learn(generator):
    p = torch.rand(3000, generator=generator, dtype=torch.float64).mul(200).round() / 200
    y = (torch.rand(3000, generator=generator) < p**3).long()
    precisions, recalls, _ = precision_recall_curve(y.numpy(), p.numpy())
    for floor in (0.3, 0.5, 0.7, 0.8):
        decision = (p >= threshold_for_precision(p, y, floor)).numpy()
        assert precision_score(y.numpy(), decision) >= floor
        assert recall_score(y.numpy(), decision) == recalls[precisions >= floor].max()
        decision = (p >= threshold_for_recall(p, y, floor)).numpy()
        assert recall_score(y.numpy(), decision) == recalls[recalls >= floor].min()


def test_the_floors_hold_where_the_share_is_the_floor_exactly():
    for tenths in range(1, 11):
        p = torch.linspace(0.95, 0.05, 10)
        y = torch.ones(11, dtype=torch.long).index_fill(0, torch.tensor(10), 0)
        p = torch.cat([p, torch.zeros(1)])
        assert int((p >= threshold_for_recall(p, y, tenths / 10)).sum()) == tenths
        y = (torch.arange(10) < tenths).long()
        if tenths < 10:
            same = torch.full((10,), 0.5)
            assert (same >= threshold_for_precision(same, y, tenths / 10)).all()


def test_thresholds_lie_halfway():
    p, y = torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 1, 0, 1])
    assert threshold_for_precision(p, y, 1.0) == 0.625
    assert threshold_for_recall(p, y, 0.5) == 0.625
    assert threshold_for_recall(p, y, 0.51) == 0.1875
    assert threshold_for_alert_budget(p, budget=2.0, days=1) == 0.375


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.29, 0.5, 1, 2.5, 7]),
    st.integers(1, 12),
    DTYPES,
)
def test_alert_budget_against_every_cut(scores, budget, days, dtype):
    p = torch.tensor(scores, dtype=dtype) / 8
    flagged = p >= threshold_for_alert_budget(p, budget=budget, days=days)
    within = [int((p >= cut).sum()) for cut in every_cut(p) if int((p >= cut).sum()) / days <= budget]
    assert int(flagged.sum()) == max(within)


def test_alert_budget_counts_the_days_given_or_those_that_occur():
    p = torch.linspace(1, 0, 101)
    for days in (10, 10.0, torch.arange(101) % 10, np.arange(101) % 10, [f"day {i % 10}" for i in range(101)]):
        assert int((p >= threshold_for_alert_budget(p, budget=2.0, days=days)).sum()) == 20
    dates = np.datetime64("2024-01-01") + np.arange(101) % 10
    assert int((p >= threshold_for_alert_budget(p, budget=2.0, days=dates)).sum()) == 20
    assert int((p >= threshold_for_alert_budget(p, budget=2.0, days=1.5)).sum()) == 3
    assert int((p >= threshold_for_alert_budget(p, budget=0.29, days=100)).sum()) == 29  # 0.29 * 100 < 29 in floats


def test_alert_budget_never_splits_a_tie():
    p = torch.tensor([0.75] * 5 + [0.5] * 5)
    assert threshold_for_alert_budget(p, budget=4, days=1) == pytest.approx(0.875)  # nothing is flagged
    assert threshold_for_alert_budget(p, budget=9, days=1) == 0.625
    assert (p >= threshold_for_alert_budget(p, budget=10, days=1)).all()
    one = torch.ones(3)
    assert not (one >= threshold_for_alert_budget(one, budget=2, days=1)).any()


def test_device_and_order_of_rows(device, generator):
    p = torch.rand(500, generator=generator)
    y = (torch.rand(500, generator=generator) < p).long()
    days, rows = torch.arange(500) % 7, torch.randperm(500, generator=generator)
    for choose in (
        lambda p, y, days: threshold_for_precision(p, y, 0.8),
        lambda p, y, days: threshold_for_recall(p, y, 0.8),
        lambda p, y, days: threshold_for_alert_budget(p, budget=5, days=days),
    ):
        moved = [each[rows].to(device) for each in (p, y, days)]
        assert choose(*moved) == choose(p, y, days)


def test_bad_input():
    p, y = torch.tensor([0.2, 0.8]), torch.tensor([0, 1])
    for choose in (threshold_for_precision, threshold_for_recall):
        with pytest.raises(ValueError, match=r"`(precision|recall)` must be > 0.0"):
            choose(p, y, 0.0)
        with pytest.raises(ValueError, match=r"`(precision|recall)` must be <= 1.0"):
            choose(p, y, 1.5)
        with pytest.raises(ValueError, match="both classes"):
            choose(p, y * 0, 0.5)
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            choose(p * torch.nan, y, 0.5)
    with pytest.raises(ValueError, match="`budget` must be > 0"):
        threshold_for_alert_budget(p, budget=0, days=1)
    with pytest.raises(ValueError, match="`days` must be > 0"):
        threshold_for_alert_budget(p, budget=1, days=0)
    with pytest.raises(ValueError, match="same number of rows"):
        threshold_for_alert_budget(p, budget=1, days=torch.arange(3))
    with pytest.raises(ValueError, match="N > 0"):
        threshold_for_alert_budget(p[:0], budget=1, days=1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        threshold_for_alert_budget(p * torch.nan, budget=1, days=1)
    with pytest.raises(TypeError, match="floating-point"):
        threshold_for_alert_budget(y, budget=1, days=1)
