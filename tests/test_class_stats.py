"""Counts and weights: against NumPy, scikit-learn and frozen values of other libraries."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from imbalance_torch.class_stats import SCHEMES, class_counts, class_weights, describe_weights, sample_weights

COUNTS = [100, 10, 1]
LABELS = np.repeat([0, 1, 2], COUNTS)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(np.uint16),
        LABELS.astype(np.float32),
        LABELS[::-1],
        torch.from_numpy(LABELS),
        torch.from_numpy(LABELS).to(torch.int8),
        torch.from_numpy(LABELS).double(),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_counts_of_every_kind_of_label(labels):
    counts = class_counts(labels)
    assert counts.dtype == torch.int64
    assert counts.tolist() == COUNTS
    assert class_counts(labels, 5).tolist() == [*COUNTS, 0, 0]


def test_counts_of_bools_and_read_only_arrays():
    assert class_counts([True, False, True]).tolist() == [1, 2]
    assert class_counts(torch.tensor([True])).tolist() == [0, 1]
    frozen = LABELS.copy()
    frozen.setflags(write=False)
    assert class_counts(frozen).tolist() == COUNTS


def test_counts_follow_the_device(device):
    labels = torch.from_numpy(LABELS).to(device)
    assert class_counts(labels).device.type == device.type
    assert class_weights(class_counts(labels)).device.type == device.type
    torch.testing.assert_close(sample_weights(labels).cpu(), sample_weights(LABELS))


@pytest.mark.parametrize(
    ("labels", "num_classes", "error", "match"),
    [
        ([], None, ValueError, "N > 0"),
        ([[0, 1]], None, ValueError, "shape"),
        (3, None, ValueError, "shape"),
        ([0, -1], None, ValueError, "-1"),
        ([0, 3], 3, ValueError, r"0\.\.2"),
        ([0.5, 1.0], None, ValueError, "whole"),
        ([0.0, float("nan")], None, ValueError, "whole"),
        ([0.0, float("inf")], None, ValueError, "whole"),
        (["a", "b"], None, TypeError, "labels"),
        ([0, None], None, TypeError, "labels"),
        ([1j], None, TypeError, "labels"),
        ([0, 1], 0, ValueError, "num_classes"),
        ([0, 1], 2.0, TypeError, "num_classes"),
    ],
    ids=str,
)
def test_bad_labels(labels, num_classes, error, match):
    with pytest.raises(error, match=match):
        class_counts(labels, num_classes)


def test_balanced_is_sklearns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(class_weights(COUNTS), expected, rtol=1e-14)
    np.testing.assert_allclose(class_weights(COUNTS, normalize=None), expected, rtol=1e-14)
    np.testing.assert_allclose(sample_weights(LABELS), compute_sample_weight("balanced", LABELS), rtol=1e-14)
    gaps = np.array([0, 0, 2, 5])
    np.testing.assert_allclose(sample_weights(gaps, empty="zero"), compute_sample_weight("balanced", gaps))


@pytest.mark.parametrize(
    ("scheme", "arguments", "expected"),
    [
        ("balanced", {}, [0.37, 3.7, 37.0]),  # scikit-learn
        ("inverse", {"normalize": "classes"}, [0.02702703, 0.27027026, 2.70270276]),  # timm inv_freq, float32
        ("inverse", {"normalize": None}, [0.01, 0.1, 1.0]),
        ("inverse_sqrt", {"normalize": "classes"}, [0.21183033, 0.66986633, 2.11830334]),  # n^-1/2, mean 1
        ("power", {"power": 0.5, "normalize": "classes"}, [0.21183033, 0.66986633, 2.11830334]),
        ("power", {"power": 0.0}, [1.0, 1.0, 1.0]),
        ("effective", {"normalize": "classes"}, [0.02836301, 0.27125554, 2.70038144]),  # Cui et al. and LDAM-DRW
        ("effective", {"normalize": "classes", "beta": 0.9999}, [0.02715872, 0.27036887, 2.7024724]),  # LDAM-DRW
        ("effective", {"normalize": "classes", "beta": 0.99}, [0.04223747, 0.28004361, 2.67771892]),  # LDAM-DRW
        ("effective", {"beta": 0.0}, [1.0, 1.0, 1.0]),
        ("median", {"normalize": None}, [0.1, 1.0, 10.0]),
    ],
)
def test_schemes(scheme, arguments, expected):
    np.testing.assert_allclose(class_weights(COUNTS, scheme, **arguments), expected, atol=2e-8)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("empty", ["zero", "clamp"])
@pytest.mark.parametrize("counts", [[100, 10, 1], [7, 0, 1, 0], [3], [10**9, 1]], ids=str)
def test_normalisation(scheme, empty, counts):
    rows = torch.tensor(counts, dtype=torch.float64)
    by_samples = class_weights(counts, scheme, empty=empty)
    assert by_samples.dtype == torch.float64
    assert by_samples.isfinite().all()
    torch.testing.assert_close((rows * by_samples).sum() / rows.sum(), torch.tensor(1.0, dtype=torch.float64))
    by_classes = class_weights(counts, scheme, normalize="classes", empty=empty)
    kept = rows > 0 if empty == "zero" else rows >= 0
    torch.testing.assert_close(by_classes[kept].mean(), torch.tensor(1.0, dtype=torch.float64))
    raw = class_weights(counts, scheme, normalize=None, empty=empty)
    for scaled in (by_samples, by_classes):
        torch.testing.assert_close(scaled / scaled.max(), raw / raw.max())
    order = rows.clamp(min=1).argsort(descending=True)
    assert (by_samples[order][kept[order]].diff() >= 0).all()  # rarer never weighs less
    assert (by_samples[rows == 0] == 0).all() if empty == "zero" else (by_samples > 0).all()


def test_effective_keeps_its_digits_near_beta_one():
    from fractions import Fraction

    beta, counts = 0.9999999, [1_000_000, 1000, 1]
    exact = [float((1 - Fraction(beta)) / (1 - Fraction(beta) ** n)) for n in counts[1:]]
    np.testing.assert_allclose(class_weights(counts, "effective", beta=beta, normalize=None)[1:], exact, rtol=1e-8)


def test_cap_comes_last_and_empty_raises():
    assert class_weights(COUNTS, max_weight=5).tolist() == pytest.approx([0.37, 3.7, 5.0])
    with pytest.raises(ValueError, match=r'Class 1, 3 has no rows. Pass empty="zero" or empty="clamp".'):
        class_weights([7, 0, 1, 0])


@pytest.mark.parametrize(
    ("counts", "arguments", "error", "match"),
    [
        ([], {}, ValueError, "shape"),
        ([[1, 2]], {}, ValueError, "shape"),
        ([1, -1], {}, ValueError, "counts"),
        ([1, float("nan")], {}, ValueError, "counts"),
        ([1, float("inf")], {}, ValueError, "counts"),
        ([0, 0], {"empty": "clamp"}, ValueError, "all zero"),
        (["a"], {}, TypeError, "counts"),
        ([1, 2], {"scheme": "balance"}, ValueError, "Did you mean 'balanced'"),
        ([1, 2], {"beta": 1.0}, ValueError, "beta"),
        ([1, 2], {"beta": -0.1}, ValueError, "beta"),
        ([1, 2], {"power": -1}, ValueError, "power"),
        ([1, 2], {"normalize": "sum"}, ValueError, "normalize"),
        ([1, 2], {"max_weight": 0}, ValueError, "max_weight"),
        ([1, 2], {"empty": "drop"}, ValueError, "empty"),
    ],
    ids=str,
)
def test_bad_counts_and_options(counts, arguments, error, match):
    with pytest.raises(error, match=match):
        class_weights(counts, **arguments)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sample_weights_are_the_weights_of_the_class(scheme):
    arguments = {"beta": 0.9, "power": 0.3, "normalize": "classes", "max_weight": 2.5}
    expected = class_weights(COUNTS, scheme, **arguments)[torch.from_numpy(LABELS)]
    actual = sample_weights(LABELS, scheme, **arguments)
    assert actual.dtype == torch.float64
    assert torch.equal(actual, expected)


def test_inputs_stay_as_they_are():
    counts = torch.tensor([7.0, 0.0, 1.0], dtype=torch.float64)
    before = counts.clone()
    class_weights(counts, empty="clamp", max_weight=0.5)
    assert torch.equal(counts, before)


# ------------------------------------------------------------------ weights that do nothing, and the table


@pytest.mark.parametrize(
    ("counts", "arguments", "match"),
    [
        ([3_000_000, 200_000], {"scheme": "effective"}, r"factor of 15.*`beta`, here 0.999, towards 1: 0.9999999 or"),
        ([1000, 0, 100], {"scheme": "effective", "beta": 0.9, "empty": "zero"}, r"factor of 10.*0.999 or more"),
        ([100_000, 50_000], {"scheme": "effective", "max_weight": 2.0}, "0.99999 or more"),
        ([1000, 10], {"scheme": "power", "power": 0.001}, r"`power`, here 0.001: 1 balances"),
    ],
    ids=str,
)
@pytest.mark.parametrize("normalize", ["samples", "classes", None])
def test_weights_that_do_nothing_are_warned_of(counts, arguments, match, normalize):
    with pytest.warns(UserWarning, match=match):
        weights = class_weights(counts, **arguments, normalize=normalize)
    kept = weights[weights > 0]
    assert kept.max() / kept.min() < 1.01
    assert describe_weights(counts, **arguments, normalize=normalize).splitlines()[-1].startswith("The class weights")
    labels = np.repeat(np.arange(len(counts)), counts)
    with pytest.warns(UserWarning, match=match):
        sample_weights(labels, **arguments, normalize=normalize)


@pytest.mark.parametrize(
    ("counts", "arguments"),
    [
        ([3_000_000, 200_000], {"scheme": "effective", "beta": 0.9999999}),  # the fix that the warning names
        ([100_000, 100_900], {"scheme": "effective"}),  # the counts hardly differ
        ([5000], {"scheme": "effective"}),
        ([5000, 0, 0], {"scheme": "effective", "empty": "zero"}),
        ([1000, 10], {"scheme": "effective", "beta": 0}),  # equal weights on request
        ([1000, 10], {"scheme": "power", "power": 0}),
        ([1000, 985], {"scheme": "inverse_sqrt"}),
        ([1000, 10], {"scheme": "power", "power": 0.01}),
    ],
    ids=str,
)
def test_weights_that_do_their_work_are_not_warned_of(counts, arguments):
    class_weights(counts, **arguments)  # a warning is an error
    assert "do nothing" not in describe_weights(counts, **arguments)


@pytest.mark.parametrize("arguments", [{}, {"scheme": "inverse_sqrt"}, {"normalize": "classes", "max_weight": 2.5}])
def test_the_table_shows_the_weights_and_the_shares_after_them(arguments):
    counts = [123_456, 7890, 12]
    header, *rows, spread, batch = describe_weights(counts, **arguments).splitlines()
    assert header.split() == ["class", "rows", "share", "weight", "share", "after", "weighting"]
    assert {len(line) for line in rows} == {len(header)}  # aligned to the right
    shown = np.array([[float(cell) for cell in row.replace(",", "").replace("%", "").split()] for row in rows])
    weights = class_weights(counts, **arguments).numpy()
    weighted = np.array(counts) * weights
    expected = [np.arange(3), counts, 100 * np.array(counts) / sum(counts), weights, 100 * weighted / weighted.sum()]
    np.testing.assert_allclose(shown, np.transpose(expected), rtol=6e-4)
    ratio = weights.max() / weights.min()
    found = [float(word.rstrip(".")) for word in spread.replace(",", "").split() if word[0].isdigit()]
    np.testing.assert_allclose(found, [ratio, 100 * ratio / (1 + ratio)], rtol=6e-4)
    assert batch == "A batch of 10,947 rows holds class 2 once on average."  # 131,358 / 12, rounded up


def test_the_table_without_rows_or_differences():
    lines = describe_weights([6, 0, 2], empty="zero").splitlines()
    assert lines[2].split() == ["1", "0", "0", "%", "0", "0", "%"]
    assert lines[-1] == "A batch of 4 rows holds class 2 once on average."
    assert lines[-2].startswith("Largest / smallest weight: 3. ")
    assert "75 %" in lines[-2]
    even = describe_weights([5, 5]).splitlines()
    assert even[-2].startswith("Largest / smallest weight: 1. ")
    assert "50 %" in even[-2]


def test_the_table_checks_as_class_weights_does():
    with pytest.raises(ValueError, match="Class 1 has no rows"):
        describe_weights([3, 0])
    with pytest.raises(ValueError, match="Did you mean 'balanced'"):
        describe_weights([3, 1], "balance")
