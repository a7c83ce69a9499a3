"""Policies resolve to what imbalanced-learn resolves them to, errors included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.utils import check_sampling_strategy

from imbalance_torch.plan import largest_remainder, resolve_cleaning, resolve_over_sampling, resolve_under_sampling

KINDS = {"over-sampling": resolve_over_sampling, "under-sampling": resolve_under_sampling}

COUNTS = [
    {0: 90, 1: 10},
    {0: 10, 1: 90},
    {0: 50, 1: 50},
    {0: 70, 1: 20, 2: 10},
    {0: 30, 1: 30, 2: 5},
    {0: 5, 1: 5, 2: 30},
    {"ok": 12, "fraud": 3},
    {False: 9, True: 2},
    {0.0: 8, 3.0: 1},
]
STRATEGIES = [
    "auto", "all", "majority", "minority", "not majority", "not minority", "nonsense",
    0.1, 0.112, 0.25, 0.5, 0.7, 1.0, 1, 0.0, -0.5, 1.5, [0, 1],
    {0: 95, 1: 95}, {0: 90}, {1: 20}, {0: 10}, {1: 3}, {}, {7: 100}, {0: -1}, {"fraud": 5}, {"ok": 3, "fraud": 3},
    lambda y: {0: len(y)}, lambda y: {y[0]: 2},
]  # fmt: skip


def outcome(function, *arguments, **kwargs):
    try:
        return dict(function(*arguments, **kwargs)), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("counts", COUNTS, ids=lambda value: getattr(value, "__name__", str(value)))
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_side_by_side_with_imbalanced_learn(strategy, counts, kind):
    y = np.repeat(list(counts), list(counts.values()))
    expected, complaint = outcome(check_sampling_strategy, strategy, y, kind)
    result, message = outcome(KINDS[kind], counts, strategy, y=y)
    assert result == expected
    if expected is not None:
        assert list(result) == list(expected)
    elif "target class" in complaint:  # several absent classes come in the order of a set there
        assert "target class is/are not present in the data" in message
    else:  # the same words open the message
        assert message.replace("'", "").split()[:5] == complaint.replace("'", "").split()[:5]


@pytest.mark.parametrize("counts", COUNTS, ids=lambda value: getattr(value, "__name__", str(value)))
@pytest.mark.parametrize(
    "strategy",
    ["auto", "all", "majority", "minority", "not majority", "not minority", "nonsense", [0, 1], ["fraud"], [], [1, 7],
     [1, 0, 1], 0.0, 1.5, {0: 3}, {}],
    ids=str,
)  # fmt: skip
def test_cleaning_side_by_side_with_imbalanced_learn(strategy, counts):
    y = np.repeat(list(counts), list(counts.values()))
    try:
        expected, complaint = list(check_sampling_strategy(strategy, y, "clean-sampling")), None
    except ValueError as error:
        complaint = str(error)
    if complaint is None:
        assert resolve_cleaning(counts, strategy) == expected
        return
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        resolve_cleaning(counts, strategy)
    message = str(caught.value)
    if isinstance(strategy, dict):  # an absent class is named first there
        assert message.startswith("'sampling_strategy' as a dict for cleaning methods is not supported.")
    elif "target class" in complaint:
        assert "target class is/are not present in the data" in message
    else:
        assert message.replace("'", "").split()[:5] == complaint.replace("'", "").split()[:5]


def test_no_ratio_for_cleaning():
    """imbalanced-learn says "do let the user", which lacks a word."""
    with pytest.raises(ValueError, match=r"'clean-sampling' methods do not let the user specify the sampling ratio\."):
        resolve_cleaning({0: 90, 1: 10}, 0.5)
    with pytest.raises(ValueError, match="can be a float only when the type of target is binary"):
        resolve_cleaning({0: 90, 1: 10, 2: 5}, 0.5)


def test_a_callable_may_choose_what_is_cleaned():
    assert resolve_cleaning({"a": 3, "b": 5}, lambda y: [y[0]], y=["b", "a"]) == ["b"]
    assert resolve_cleaning({"a": 3, "b": 5}, lambda y: "all") == ["a", "b"]
    with pytest.raises(ValueError, match="dict for cleaning methods"):
        resolve_cleaning({"a": 3, "b": 5}, lambda y: {"a": 1})


def test_the_order_of_counts_does_not_matter():
    assert resolve_cleaning({2: 9, 1: 5, 0: 5}, "auto") == [1, 2]
    assert resolve_over_sampling({1: 5, 0: 5, 2: 1}, "auto") == {1: 0, 2: 4}
    assert resolve_under_sampling({2: 9, 1: 5, 0: 5}, "auto") == {1: 5, 2: 5}


@pytest.mark.parametrize("resolve", [*KINDS.values(), resolve_cleaning])
@pytest.mark.parametrize("counts", [{}, {0: 5}])
def test_one_class_is_an_error(resolve, counts):
    with pytest.raises(ValueError, match=r"more than 1 class\. Got"):
        resolve(counts)


@pytest.mark.parametrize("resolve", KINDS.values())
@pytest.mark.parametrize("strategy", [None, (1, 2), {0: 95.5}, {0: True}])
def test_wrong_kinds(resolve, strategy):
    with pytest.raises(TypeError, match="`sampling_strategy`"):
        resolve({0: 90, 1: 10}, strategy)


@pytest.mark.parametrize("strategy", [None, (1, 2), lambda y: None])
def test_wrong_kinds_for_cleaning(strategy):
    with pytest.raises(TypeError, match="`sampling_strategy`"):
        resolve_cleaning({0: 90, 1: 10}, strategy)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any))
def test_largest_remainder_is_exact_and_within_one(total, shares):
    parts = largest_remainder(total, dict(enumerate(shares)))
    assert sum(parts.values()) == total
    assert list(parts) == list(range(len(shares)))
    scale = sum(shares)
    assert all(abs(parts[i] * scale - total * share) < scale for i, share in enumerate(shares))


def test_largest_remainder_breaks_ties_by_order():
    assert largest_remainder(2, {"b": 1, "a": 1, "c": 1}) == {"b": 1, "a": 1, "c": 0}
