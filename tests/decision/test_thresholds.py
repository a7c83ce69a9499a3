"""Thresholds against brute force over every cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.decision import threshold_for_balanced_accuracy, threshold_for_cost, threshold_for_f_beta


def f_beta(tp, fp, fn, tn, beta):
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)


RULES = {
    "f1": (threshold_for_f_beta, lambda *c: f_beta(*c, beta=1)),
    "f2": (lambda p, y: threshold_for_f_beta(p, y, 2.0), lambda *c: f_beta(*c, beta=2)),
    "balanced accuracy": (
        threshold_for_balanced_accuracy,
        lambda tp, fp, fn, tn: (tp / (tp + fn) + tn / (tn + fp)) / 2,
    ),
    "cost 10:1": (lambda p, y: threshold_for_cost(p, y, false_negative=10.0), lambda tp, fp, fn, tn: -10 * fn - fp),
    "cost 1:10": (
        lambda p, y: threshold_for_cost(p, y, false_negative=1, false_positive=10),
        lambda tp, fp, fn, tn: -fn - 10 * fp,
    ),
}
rules = pytest.mark.parametrize("rule", RULES)


def utility(rule, p, y, threshold):
    flagged = p >= threshold
    counts = [(flagged & (y == 1)), (flagged & (y == 0)), (~flagged & (y == 1)), (~flagged & (y == 0))]
    return RULES[rule][1](*(float(c.sum()) for c in counts))


def assert_best(rule, p, y):
    threshold = RULES[rule][0](p, y)
    best = max(utility(rule, p.double(), y, cut) for cut in [0.0, *p.double().tolist(), 1.5])
    assert type(threshold) is float
    assert utility(rule, p.double(), y, threshold) == pytest.approx(best, abs=1e-12)
    assert (p >= threshold).equal(p.double() >= threshold)  # the decision is the same in either precision
    assert (p.numpy() >= threshold).tolist() == (p >= threshold).tolist()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    ),
    st.sampled_from([torch.float32, torch.float64]),
)
@rules
def test_best_of_all_cuts_with_ties_and_the_ends_of_the_scale(rule, rows, dtype):
    scores, labels = zip(*rows, strict=True)
    assert_best(rule, torch.tensor(scores, dtype=dtype) / 8, torch.tensor(labels).long())


@rules
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_best_of_all_cuts_without_ties(rule, dtype, generator):
    p = torch.rand(400, generator=generator, dtype=dtype)
    assert_best(rule, p, (torch.rand(400, generator=generator) < p**3).long())


@rules
@pytest.mark.parametrize("start", [1e-30, 0.1, 0.3, 0.5, 1 - 2**-22])
def test_neighbouring_float32_scores_are_told_apart(rule, start):
    p = [np.float32(start)]
    for _ in range(3):
        p.append(np.nextafter(p[-1], np.float32(1)))
    for positives in (1, 2, 3):
        assert_best(rule, torch.tensor(np.array(p)), (torch.arange(4) >= 4 - positives).long())


@rules
def test_target_kinds_and_devices(rule, device, generator):
    p = torch.rand(200, generator=generator)
    y = torch.rand(200, generator=generator) < p / 3
    expected = RULES[rule][0](p, y.long())
    for target in (y, y.float(), y.to(torch.uint8)):
        assert RULES[rule][0](p.to(device), target.to(device)) == expected
    rows = torch.randperm(200, generator=generator)
    assert RULES[rule][0](p[rows], y[rows]) == expected


def test_the_threshold_lies_halfway_between_two_scores():
    p, y = torch.tensor([0.1, 0.2, 0.6, 0.9]), torch.tensor([0, 0, 1, 1])
    assert threshold_for_f_beta(p, y) == pytest.approx(0.4)
    assert threshold_for_f_beta(p, 1 - y) == pytest.approx(0.05)  # everything is flagged


def test_where_nothing_is_worth_flagging_nothing_is_flagged():
    for top in (0.9, 1.0):
        p, y = torch.tensor([top, 0.5, 0.4]), torch.tensor([0, 1, 0])
        threshold = threshold_for_cost(p, y, false_negative=1.0, false_positive=5.0)
        assert not (p >= threshold).any()
        assert threshold == pytest.approx((1 + top) / 2)


def test_equal_scores_are_flagged_together():
    p = torch.full((10,), 0.3)
    y = torch.tensor([1] + [0] * 9)
    assert (p >= threshold_for_f_beta(p, y)).all()
    assert not (p >= threshold_for_cost(p, y, false_negative=1.0)).any()
    assert (p >= threshold_for_cost(p, y, false_negative=10.0)).all()


def test_exact_probabilities_give_the_closed_form(generator):
    p = torch.rand(200_000, generator=generator, dtype=torch.float64)
    y = (torch.rand(200_000, generator=generator) < p).long()
    assert threshold_for_cost(p, y, false_negative=9.0) == pytest.approx(0.1, abs=0.03)
    assert threshold_for_balanced_accuracy(p, y) == pytest.approx(0.5, abs=0.03)


@rules
def test_bad_input(rule):
    find = RULES[rule][0]
    for value in (float("nan"), float("inf"), -0.5, 1.5):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            find(torch.tensor([0.5, value]), torch.tensor([0, 1]))
    for label in (0, 1):
        with pytest.raises(ValueError, match=f"both classes 0 and 1, got {2 * label} positives in 2 rows"):
            find(torch.tensor([0.5, 0.6]), torch.tensor([label, label]))
    with pytest.raises(ValueError, match="got 0 positives in 0 rows"):
        find(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match="both classes"):
        find(torch.tensor([0.5, 0.6, 0.7]), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"got \(2, 1\) and \(2,\)"):
        find(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(TypeError, match="`probabilities` must be a floating-point tensor"):
        find(torch.tensor([0, 1]), torch.tensor([0, 1]))


def test_bad_costs_and_beta():
    p, y = torch.tensor([0.2, 0.8]), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="`beta` must be > 0"):
        threshold_for_f_beta(p, y, 0.0)
    with pytest.raises(ValueError, match="`false_negative` must be > 0"):
        threshold_for_cost(p, y, false_negative=0.0)
    with pytest.raises(ValueError, match="`false_positive` must be finite"):
        threshold_for_cost(p, y, false_negative=1.0, false_positive=float("inf"))
