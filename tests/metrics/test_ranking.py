"""Exact ranking measures: identities, then scikit-learn, torchmetrics and plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torchmetrics.functional.classification import multiclass_average_precision as of_torchmetrics

from imbalance_torch.metrics import (
    auroc,
    average_precision,
    multiclass_average_precision,
    multilabel_average_precision,
    partial_auroc,
    precision_at_k,
)

ALL = {
    "ap": average_precision,
    "auroc": auroc,
    "partial": lambda s, y: partial_auroc(s, y, 0.7),
    "precision": lambda s, y: precision_at_k(s, y, 50),
}
measures = pytest.mark.parametrize("measure", ALL.values(), ids=list(ALL))
BINARY = pytest.mark.parametrize("measure", [ALL["auroc"], ALL["partial"]], ids=["auroc", "partial"])


def draw(num_rows=2000, levels=None, seed=0, share=0.1):
    rng = np.random.default_rng(seed)
    y = rng.random(num_rows) < share
    y[:2] = False, True
    s = rng.normal(size=num_rows) + y
    return torch.tensor(np.round(s * levels) / levels if levels else s), torch.tensor(y).long()


def random_case(seed, share, levels):
    return draw(60, levels, seed, share)


cases = given(st.integers(0, 10**6), st.sampled_from([0.02, 0.2, 0.5, 0.95]), st.sampled_from([None, 1, 3]))
checked = settings(max_examples=60, deadline=None)


@checked
@cases
def test_average_precision_equals_scikit_learn(seed, share, levels):
    s, y = random_case(seed, share, levels)
    assert average_precision(s, y).item() == pytest.approx(average_precision_score(y, s), abs=1e-12)


@checked
@cases
def test_auroc_equals_scikit_learn(seed, share, levels):
    s, y = random_case(seed, share, levels)
    assert auroc(s, y).item() == pytest.approx(roc_auc_score(y, s), abs=1e-12)


@checked
@cases
def test_the_partial_area_equals_scikit_learn_with_classes_exchanged(seed, share, levels):
    s, y = random_case(seed, share, levels)
    for recall in (0.1, 0.5, 0.9, 0.99):
        width = 1 - recall  # recall above the floor is a false positive rate up to 1 - floor of the other class
        standardised = roc_auc_score(1 - y, -s, max_fpr=width)
        area = width**2 / 2 + (2 * standardised - 1) * (width - width**2 / 2)
        assert partial_auroc(s, y, recall).item() == pytest.approx(area / width, abs=1e-9)


def test_the_partial_area_is_the_mean_specificity_above_the_floor():
    s, y = draw(500, share=0.3)
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    recalls = (np.arange(200_000) + 0.5) / 200_000 * 0.3 + 0.7
    step = np.searchsorted(tpr, recalls)
    assert partial_auroc(s, y, 0.7).item() == pytest.approx((1 - fpr[step]).mean(), abs=1e-5)


def test_the_partial_area_falls_to_the_specificity_at_full_recall():
    s, y = draw(500)
    lowest = s[y == 1].min()
    assert partial_auroc(s, y, 1 - 1e-9).item() == pytest.approx((s[y == 0] < lowest).double().mean().item(), abs=1e-6)
    assert partial_auroc(s, y, 0.0) == auroc(s, y)
    constant = torch.zeros(500)
    assert partial_auroc(constant, y, 0.6).item() == pytest.approx(0.2, abs=1e-12)


@pytest.mark.parametrize("prevalence", [0.0005, 0.05, 0.5])
def test_a_hundred_thousand_float32_scores(prevalence):
    s, y = draw(100_000, share=prevalence)
    s = s.float().sigmoid()
    assert average_precision(s, y).item() == pytest.approx(average_precision_score(y, s), abs=1e-6)
    assert auroc(s, y).item() == pytest.approx(roc_auc_score(y, s), abs=1e-6)


@measures
@pytest.mark.parametrize("levels", [None, 1, 5])
def test_the_order_of_rows_is_irrelevant(measure, levels, generator):
    s, y = draw(levels=levels)
    rows = torch.randperm(len(s), generator=generator)
    assert measure(s[rows], y[rows]) == measure(s, y)


@measures
def test_only_the_order_of_scores_counts(measure, device):
    s, y = draw(levels=64)
    expected = measure(s, y)
    assert (expected.dtype, expected.shape) == (torch.float64, ())
    assert measure(3 * s - 40, y) == expected
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        rounded = (s * 8).round().to(kind)
        assert measure(rounded.to(device), y.to(device)).item() == measure(rounded.double(), y).item()
    for target in (y.bool(), y.float(), y.to(torch.uint8)):
        assert measure(s.to(device), target.to(device)).item() == pytest.approx(expected.item(), abs=1e-12)
    assert measure(torch.stack([s, s], dim=1)[:, 0], y) == expected
    assert measure(s.clone().requires_grad_(), y) == expected


@measures
def test_zero_and_minus_zero_tie(measure):
    y = torch.tensor([0, 1])
    assert measure(torch.tensor([0.0, -0.0]), y) == measure(torch.tensor([0.0, 0.0]), y)


@measures
def test_huge_and_tiny_scores(measure):
    s, y = draw(levels=64)
    assert measure(s * 1e300, y) == measure(s, y)
    assert measure(s * 1e-300, y) == measure(s, y)


def test_perfect_inverted_and_constant_scores():
    y = torch.tensor([0, 0, 0, 1, 1] * 7)
    s = y.double()
    assert (average_precision(s, y), auroc(s, y), partial_auroc(s, y, 0.9)) == (1, 1, pytest.approx(1))
    assert (auroc(-s, y), partial_auroc(-s, y, 0.9)) == (0, 0)
    assert average_precision(torch.zeros(35), y).item() == pytest.approx(0.4, abs=1e-15)
    assert auroc(torch.zeros(35), y) == 0.5
    assert average_precision(torch.zeros(1), torch.ones(1)) == 1


@measures
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(measure, value):
    with pytest.raises(ValueError, match="`scores` must be finite"):
        measure(torch.tensor([0.5, value, 0.1]), torch.tensor([0, 1, 0]))


@measures
def test_other_bad_input(measure):
    with pytest.raises(ValueError, match=r"shape \(N,\) with N > 0, got \(0,\)"):
        measure(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        measure(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"got \(2, 1\)"):
        measure(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="`target` must be 0 or 1, got values from 0 to 2"):
        measure(torch.zeros(3), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="`target` must be 0 or 1"):
        measure(torch.zeros(2), torch.tensor([0.5, 1.0]))
    with pytest.raises(TypeError, match="`scores` must be a floating-point tensor"):
        measure(torch.tensor([0, 1]), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match=r"`target` must be a torch\.Tensor"):
        measure(torch.tensor([0.5]), [1])


def test_one_class():
    with pytest.raises(ValueError, match="at least one positive, got none in 3 rows"):
        average_precision(torch.rand(3), torch.zeros(3))
    assert average_precision(torch.rand(3), torch.ones(3)) == 1
    assert precision_at_k(torch.rand(3), torch.zeros(3), 2) == 0


@BINARY
def test_one_class_has_no_roc(measure):
    with pytest.raises(ValueError, match="at least one positive, got none in 3 rows"):
        measure(torch.rand(3), torch.zeros(3))
    with pytest.raises(ValueError, match="got 3 positives and no negative"):
        measure(torch.rand(3), torch.ones(3))


@pytest.mark.parametrize("recall", [-0.1, 1.0, 1.5, float("nan")])
def test_bad_recall_floor(recall):
    with pytest.raises(ValueError, match="`recall` must be"):
        partial_auroc(torch.rand(2), torch.tensor([0, 1]), recall)


@pytest.mark.parametrize("k", [1, 7, 100, 1999, 2000])
def test_precision_at_k_equals_a_sort(k):
    s, y = draw()
    assert precision_at_k(s, y, k).item() == pytest.approx(y[s.argsort(descending=True)[:k]].double().mean().item())


def test_precision_at_k_is_the_mean_over_orders_of_ties():
    s, y = torch.tensor([0.9, 0.5, 0.5, 0.5, 0.1]), torch.tensor([1, 1, 0, 0, 1])
    found = [precision_at_k(s, y, k).item() for k in (1, 2, 3, 4, 5)]
    assert found == pytest.approx([1, (1 + 1 / 3) / 2, (1 + 2 / 3) / 3, 2 / 4, 3 / 5])
    assert precision_at_k(s, y, 10).item() == pytest.approx(0.3)
    with pytest.raises(ValueError, match="`k` must be >= 1"):
        precision_at_k(s, y, 0)


def matrix(num_classes=4, num_rows=600, seed=3):
    rng = np.random.default_rng(seed)
    y = rng.choice(num_classes, num_rows, p=np.array([0.85, 0.1, 0.04, 0.01]))
    y[:num_classes] = range(num_classes)
    logits = rng.normal(size=(num_rows, num_classes))
    logits[np.arange(num_rows), y] += 1.5
    return torch.tensor(np.round(logits, 1)).softmax(1), torch.tensor(y)


def test_multiclass_equals_scikit_learn_and_torchmetrics(device):
    p, y = matrix()
    hits = y[:, None] == torch.arange(4)
    value = multiclass_average_precision(p.to(device), y.to(device)).item()
    assert value == pytest.approx(average_precision_score(hits, p, average="macro"), abs=1e-12)
    assert value == pytest.approx(of_torchmetrics(p, y, 4, average="macro").item(), abs=1e-6)
    assert multilabel_average_precision(p, hits).item() == pytest.approx(value, abs=1e-12)


def test_classes_without_rows_do_not_count():
    p, y = matrix()
    kept = y != 2
    expected = np.mean([average_precision_score(y[kept] == c, p[kept, c]) for c in (0, 1, 3)])
    assert multiclass_average_precision(p[kept], y[kept]).item() == pytest.approx(expected, abs=1e-12)
    assert multilabel_average_precision(p[kept], y[kept, None] == torch.arange(4)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measure", "scores", "target", "message"),
    [
        (multiclass_average_precision, (3, 2), [0, 1, 2], r"classes 0\.\.1, got values from 0 to 2"),
        (multiclass_average_precision, (3, 2), [0, -1, 1], "got values from -1 to 1"),
        (multiclass_average_precision, (3, 2), [0, 1], r"shape \(3,\) or \(3, 2\)"),
        (multiclass_average_precision, (3, 2), [[0, 1]] * 3, r"1 dimension\(s\)"),
        (multiclass_average_precision, (3,), [0, 1, 1], r"`scores` must have shape \(N, C\)"),
        (multiclass_average_precision, (0, 2), [], r"N > 0"),
        (multilabel_average_precision, (2, 2), [0, 1], r"2 dimension\(s\)"),
        (multilabel_average_precision, (2, 2), [[0, 2], [1, 0]], "must be 0 or 1, got values from 0 to 2"),
        (multilabel_average_precision, (2, 2), [[0, 0], [0, 0]], "at least one positive, got none in 2 rows"),
    ],
)
def test_bad_matrices(measure, scores, target, message):
    with pytest.raises(ValueError, match=message):
        measure(torch.full(scores, 0.5), torch.tensor(target, dtype=torch.long))


def test_a_matrix_with_nan_is_refused():
    with pytest.raises(ValueError, match="`scores` must be finite"):
        multiclass_average_precision(torch.tensor([[0.5, float("nan")], [0.5, 0.5]]), torch.tensor([0, 1]))
