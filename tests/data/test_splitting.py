"""Splits: nothing of the future in training, equal class shares, no row lost."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.data import (
    Split,
    check_split_classes,
    group_split,
    multilabel_stratified_split,
    stratified_split,
    time_split,
)


def assert_partition(split, rows):
    assert sorted(np.concatenate(split).tolist()) == list(range(rows))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 30) | st.integers(0, 3), min_size=3, max_size=200),
    st.sampled_from([(0.6, 0.2, 0.2), (0.05, 0.05, 0.9), (0.98, 0.01, 0.01), (0.01, 0.98, 0.01)]),
)
def test_time_split_cuts_nearest_to_the_shares_of_all_ways_without_an_empty_part(values, shares):
    time = np.array(values)
    ends = np.cumsum(np.unique(time, return_counts=True)[1])[:-1]
    if len(ends) < 2:
        with pytest.raises(ValueError, match=f"has {len(ends) + 1} different value"):
            time_split(time, shares)
        return
    split = time_split(time, shares)
    assert_partition(split, len(time))
    assert time[split.train].max() < time[split.val].min()
    assert time[split.val].max() < time[split.test].min()
    for rows in split:
        order = list(zip(time[rows], rows, strict=True))
        assert order == sorted(order)
    places = len(time) * np.cumsum(shares[:2])
    nearest = min(np.abs(np.array(cuts) - places).sum() for cuts in itertools.combinations(ends, 2))
    cuts = np.cumsum([len(split.train), len(split.val)])
    assert np.abs(cuts - places).sum() == pytest.approx(nearest)


def test_time_split_with_many_ties_leaves_no_part_empty():
    assert [len(rows) for rows in time_split(np.repeat([0, 1, 2], [5, 5, 90]))] == [5, 5, 90]
    assert [len(rows) for rows in time_split(np.repeat([0, 1, 2], [90, 5, 5]))] == [90, 5, 5]
    assert [len(rows) for rows in time_split(np.repeat([0, 1, 2, 3], [1, 98, 2, 1]))] == [99, 2, 1]


@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.5, 0.25, 0.25), (0.8, 0.1, 0.1)])
def test_time_split_takes_exact_shares_of_different_times(shares):
    time = np.random.default_rng(0).permutation(1000)
    assert [len(rows) for rows in time_split(time, shares)] == [round(1000 * share) for share in shares]


def test_time_split_cuts_at_the_nearest_change_of_time():
    split = time_split(np.repeat([0, 1, 2], [70, 10, 20]))
    assert [len(rows) for rows in split] == [70, 10, 20]


@pytest.mark.parametrize(
    "time",
    [
        pd.date_range("2020", periods=10).to_numpy(),
        pd.Series(pd.date_range("2020", periods=10, tz="Europe/Berlin")).to_numpy(),
        np.array(list("abcdefghij")),
        np.linspace(-1, 1, 10),
    ],
    ids=["datetime", "zone", "text", "float"],
)
def test_time_split_takes_anything_that_sorts(time):
    assert time_split(time[::-1]).train.tolist() == [9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize(
    "time",
    [
        np.array([1.0, np.nan, 3, 4]),
        pd.to_datetime(["2020-01-01", None, "2020-01-03", "2020-01-04"]).to_numpy(),
        np.array([1, None, 3, 4], dtype=object),
        pd.array([1, None, 3, 4], dtype="Int64").to_numpy(dtype=object),
    ],
    ids=["nan", "NaT", "None", "NA"],
)
def test_missing_times(time):
    with pytest.raises(ValueError, match=r"1 missing values \(first: row 1\)"):
        time_split(time)


@pytest.mark.parametrize("time", [np.zeros(100), np.repeat([0, 1], 50), np.arange(0)], ids=["one", "two", "none"])
def test_too_few_times(time):
    with pytest.raises(ValueError, match="part of the time split is empty"):
        time_split(time)


def test_times_of_mixed_types():
    with pytest.raises(ValueError, match="mixes types"):
        time_split(np.array([1, "a", 3, 4], dtype=object))


def grouped(rows, shares):
    return group_split(rows % 2, rows, shares)


def multilabel(rows, shares):
    return multilabel_stratified_split(np.stack([rows % 2, rows % 3 == 0], axis=1), shares)


@pytest.mark.parametrize("split", [time_split, stratified_split, grouped, multilabel])
@pytest.mark.parametrize(
    "shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1), (np.nan, 0.5, 0.5)]
)
def test_bad_shares(split, shares):
    with pytest.raises(ValueError, match="three positive numbers that sum to 1"):
        split(np.arange(10), shares)


def test_stratified_shares_are_exact_and_reproducible():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [1000, 100, 10]))
    split = stratified_split(labels, seed=3)
    assert_partition(split, len(labels))
    assert [np.bincount(labels[rows]).tolist() for rows in split] == [[600, 60, 6], [200, 20, 2], [200, 20, 2]]
    assert all((np.diff(rows) > 0).all() for rows in split)
    again, other = stratified_split(labels, seed=3), stratified_split(labels, seed=4)
    assert all((a == b).all() for a, b in zip(split, again, strict=True))
    assert any((a != b).any() for a, b in zip(split, other, strict=True))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.98, 0.01, 0.01), (0.01, 0.01, 0.98), (0.01, 0.98, 0.01)])
def test_a_tiny_class_is_in_every_part(count, shares):
    labels = np.repeat([0, 1], [50, count])
    split = stratified_split(labels, shares)
    assert_partition(split, len(labels))
    assert all((labels[rows] == 1).any() for rows in split)


def test_two_rows_of_a_class_cannot_be_split_into_three():
    with pytest.raises(ValueError, match="Class 1 has 2 rows"):
        stratified_split(np.array([0, 0, 0, 1, 1]))


@pytest.mark.parametrize("split", [time_split, stratified_split, grouped, multilabel])
def test_nothing_to_split(split):
    with pytest.raises(ValueError, match=r"no rows to split|part of the time split is empty"):
        split(np.arange(0), (0.6, 0.2, 0.2))


def test_global_randomness_is_left_alone():
    before = np.random.get_state()[1].tolist()
    stratified_split(np.repeat([0, 1], 10))
    grouped(np.arange(20), (0.6, 0.2, 0.2))
    multilabel(np.arange(20), (0.6, 0.2, 0.2))
    assert np.random.get_state()[1].tolist() == before


def test_an_absent_class_is_named_with_the_counts():
    labels = np.array([0, 0, 1, 0, 0, 1, 1])
    check_split_classes(Split(np.array([0, 2]), np.array([3, 5]), np.array([1, 4, 6])), labels, ["no", "yes"])
    with pytest.raises(ValueError, match=r"'yes' has no row in the test part .*val: \[1, 1\], test: \[1, 0\]"):
        check_split_classes(Split(np.array([0, 1, 2, 6]), np.array([3, 5]), np.array([4])), labels, ["no", "yes"])


SHARES = [(0.6, 0.2, 0.2), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01), (0.1, 0.1, 0.8)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 15)), min_size=1, max_size=150),
    st.sampled_from(SHARES),
    st.integers(0, 3),
)
def test_no_group_on_two_sides_and_every_class_on_each(rows, shares, seed):
    labels, groups = np.array(rows).T
    few = [label for label in np.unique(labels) if len(np.unique(groups[labels == label])) < 3]
    try:
        split = group_split(labels, groups, shares, seed=seed)
    except ValueError as error:
        assert few if "needs at least 3" in str(error) else "shares with other rare classes" in str(error)  # noqa: PT017
        return
    assert not few
    assert_partition(split, len(labels))
    sides = [set(groups[part]) for part in split]
    assert sum(map(len, sides)) == len(set(groups))
    assert all(set(labels[part]) == set(labels) for part in split)
    again = group_split(labels, groups, shares, seed=seed)
    assert all((a == b).all() for a, b in zip(split, again, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=3, max_size=60), st.sampled_from(SHARES))
def test_three_groups_with_positives_are_always_enough(labels, shares):
    labels = np.array([0, 0, 0, 1, 1, 1, *labels])
    groups = np.concatenate([np.arange(6), np.arange(len(labels) - 6) // 3])
    split = group_split(labels, groups, shares)
    assert all(set(labels[part]) == {0, 1} for part in split)


@pytest.mark.parametrize("shares", SHARES[:2])
@pytest.mark.parametrize("num_groups", [300, 3000, 30_000])
def test_class_shares_of_a_grouped_split_are_even(num_groups, shares):
    generator = np.random.default_rng(0)
    groups = generator.integers(0, num_groups, 60_000) ** 2 // num_groups  # few large ones, many small ones
    labels = (generator.random(60_000) < 0.3 * generator.random(num_groups)[groups] ** 3).astype(int)
    split = group_split(labels, groups, shares)
    for rows, share in zip(split, shares, strict=True):
        assert np.bincount(labels[rows]) / np.bincount(labels) == pytest.approx([share, share], abs=0.01)


def test_a_large_group_is_made_up_for_by_small_ones():
    groups = np.concatenate([np.zeros(4000, dtype=int), np.arange(1, 6001)])
    labels = np.tile([0, 0, 0, 1], 2500)
    split = group_split(labels, groups)
    assert [len(rows) for rows in split] == pytest.approx([6000, 2000, 2000], abs=2)
    assert [labels[rows].sum() for rows in split] == pytest.approx([1500, 500, 500], abs=2)


def test_groups_may_be_text_and_the_seed_decides():
    generator = np.random.default_rng(1)
    groups = np.array([f"card {number}" for number in generator.integers(0, 200, 1000)], dtype=object)
    labels = generator.integers(0, 2, 1000)
    first, other = group_split(labels, groups, seed=0), group_split(labels, groups, seed=1)
    assert_partition(first, 1000)
    assert all((np.diff(rows) > 0).all() for rows in first)
    assert set(first.test) != set(other.test)


def test_grouped_split_errors():
    with pytest.raises(ValueError, match=r"The group column has 1 missing values \(first: row 2\)"):
        group_split(np.array([0, 1, 0, 1]), np.array(["a", "b", None, "c"], dtype=object))
    with pytest.raises(ValueError, match=r"Class 1 is in 2 group\(s\)"):
        group_split(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 0, 1]))
    with pytest.raises(ValueError, match="same number of rows"):
        group_split(np.array([0, 1]), np.array([0]))


def random_targets(generator, rows=400, labels=6):
    rates = generator.uniform(0.01, 0.5, labels)
    targets = generator.random((rows, labels)) < rates
    targets[:3] = True  # enough positives of each
    return targets.astype(int)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHARES))
def test_every_label_is_in_every_part(seed, shares):
    targets = random_targets(np.random.default_rng(seed))
    split = multilabel_stratified_split(targets, shares, seed=seed)
    assert_partition(split, len(targets))
    for rows, share in zip(split, shares, strict=True):
        assert targets[rows].any(axis=0).all()
        assert (np.diff(rows) > 0).all()
        assert len(rows) == pytest.approx(share * len(targets), abs=15)


@pytest.mark.parametrize("shares", SHARES[:2])
def test_multilabel_counts_are_mostly_exact_to_a_row(shares):
    furthest = []
    for seed in range(100):
        targets = random_targets(np.random.default_rng(seed))
        parts = multilabel_stratified_split(targets, shares, seed=seed)
        counts = np.stack([targets[rows].sum(axis=0) for rows in parts])
        furthest.append(np.abs(counts - np.outer(shares, targets.sum(axis=0))).max())
    assert np.median(furthest) <= 1
    assert max(furthest) < 15


def test_multilabel_shares_are_closer_than_those_of_a_random_split():
    def distance(targets, split):
        shares = np.array([targets[rows].sum(axis=0) / targets.sum(axis=0) for rows in split])
        return np.abs(shares - np.array([[0.6], [0.2], [0.2]])).mean()

    for seed in range(20):
        generator = np.random.default_rng(seed)
        targets = random_targets(generator, rows=1000, labels=20)
        at_random = Split(*np.split(generator.permutation(1000), [600, 800]))
        assert distance(targets, multilabel_stratified_split(targets, seed=seed)) < 0.5 * distance(targets, at_random)


def test_one_label_is_stratification():
    targets = np.random.default_rng(0).permutation(np.repeat([0, 1], [900, 100]))[:, None]
    split = multilabel_stratified_split(targets)
    assert [(len(rows), targets[rows].sum()) for rows in split] == [(600, 60), (200, 20), (200, 20)]


def test_multilabel_takes_frames_and_tensors_and_the_seed_decides():
    targets = random_targets(np.random.default_rng(0))
    first = multilabel_stratified_split(targets)
    for same in (pd.DataFrame(targets), torch.from_numpy(targets), targets.astype(bool), np.asfortranarray(targets)):
        assert all((a == b).all() for a, b in zip(first, multilabel_stratified_split(same), strict=True))
    assert set(first.test) != set(multilabel_stratified_split(targets, seed=1).test)


def test_three_positives_are_in_three_parts():
    targets = np.zeros((100, 2), dtype=int)
    targets[:3, 0], targets[10:60, 1] = 1, 1
    for shares in SHARES:
        assert all(targets[rows].sum(axis=0).all() for rows in multilabel_stratified_split(targets, shares))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros(5), r"shape \(N, L\)"),
        (np.array([[0, 1], [2, 0]]), r"must hold 0 and 1, got .*2.* \(row 1, label 0\)"),
        (np.array([[0.0, np.nan]]), "must hold 0 and 1"),
        (pd.DataFrame({"a": [1, 1, 1, 0], "b": [1, 1, 0, 0]}), r"Label b has 2 positive row\(s\)"),
        (np.array([[1, 0]] * 5), "Label 1 has 0 positive"),
    ],
    ids=["shape", "two", "nan", "few", "none"],
)
def test_multilabel_errors(targets, message):
    with pytest.raises(ValueError, match=message):
        multilabel_stratified_split(targets)
