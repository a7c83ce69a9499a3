"""Geometric mean and expected cost: identities, then imbalanced-learn and plain loops."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imbalance_torch.metrics import expected_cost, geometric_mean

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
BOTH = {"gmean": geometric_mean, "cost": lambda p, y, **k: expected_cost(p, y, [[0, 1], [5, 0]], **k)}
both = pytest.mark.parametrize("measure", BOTH.values(), ids=list(BOTH))


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_geometric_mean_equals_imbalanced_learn(pairs):
    geometric_mean_score = pytest.importorskip("imblearn.metrics").geometric_mean_score
    target, decided = np.array(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of recalls without rows, and of log(0)
        expected = geometric_mean_score(target, decided)
    assert geometric_mean(torch.tensor(decided), torch.tensor(target)).item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(LABELS)
def test_expected_cost_equals_a_loop(pairs):
    costs = np.arange(16.0).reshape(4, 4) ** 1.5 - 7
    expected = np.mean([costs[true][decided] for true, decided in pairs])
    target, decided = torch.tensor(pairs).T
    assert expected_cost(decided, target, costs).item() == pytest.approx(expected, abs=1e-9)


def test_expected_cost_of_unit_costs_is_the_error_rate():
    y, d = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 2, 1])
    assert expected_cost(d, y, 1 - torch.eye(3)) == 0.5
    assert expected_cost(y, y, 1 - torch.eye(3)) == 0


@both
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_probabilities_are_cut_at_the_threshold(measure, threshold, device):
    p, y = torch.tensor([0.1, 0.3, 0.5, 0.9, 1.0]), torch.tensor([0, 1, 0, 1, 1])
    expected = measure((p >= threshold).long(), y)
    assert measure(p.to(device), y.to(device), threshold=threshold).item() == expected.item()
    assert measure(p >= threshold, y.bool()) == expected
    assert (expected.dtype, expected.shape) == (torch.float64, ())


@both
def test_of_scores_per_class_the_highest_decides(measure):
    scores, y = torch.tensor([[2.0, -1.0], [0.0, 3.0], [5.0, 4.0]]), torch.tensor([0, 1, 1])
    assert measure(scores, y) == measure(torch.tensor([0, 1, 0]), y)


def test_a_class_that_is_never_found_makes_the_geometric_mean_zero():
    y = torch.tensor([0] * 99 + [1])
    assert geometric_mean(torch.zeros(100, dtype=torch.long), y) == 0
    assert geometric_mean(y, y) == 1
    assert geometric_mean(torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)) == 1


@both
@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5, np.inf])
def test_what_is_no_probability_is_refused(measure, value):
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]: 1 rows are not so"):
        measure(torch.tensor([0.5, value, 0.2]), torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="1 rows are not so"):
        measure(torch.tensor([[0.5, float("nan")], [0.5, 0.2]]), torch.tensor([0, 1]))


@pytest.mark.parametrize(("decided", "target"), [([0, 2], [0, 1]), ([0, 1], [0, 2]), ([0, -1], [0, 1])])
def test_classes_without_a_cost_are_refused(decided, target):
    with pytest.raises(ValueError, match=r"in 0\.\.1, and probabilities in \[0, 1\]: 1 rows"):
        expected_cost(torch.tensor(decided), torch.tensor(target), torch.eye(2))


def test_a_negative_class_is_refused():
    with pytest.raises(ValueError, match="must be at least 0"):
        geometric_mean(torch.tensor([0, 1]), torch.tensor([0, -100]))


@both
def test_other_bad_input(measure):
    with pytest.raises(ValueError, match="at least one row"):
        measure(torch.zeros(0), torch.zeros(0, dtype=torch.long))
    for predictions in (torch.zeros(3), torch.zeros(2, 2, dtype=torch.long), torch.zeros(2, 2, 2), torch.zeros(2, 0)):
        with pytest.raises(ValueError, match=r"must have shape \(N,\), or \(N, C\)"):
            measure(predictions, torch.zeros(2, dtype=torch.long))
    with pytest.raises(TypeError, match="`target` must hold integers"):
        measure(torch.zeros(2), torch.zeros(2))
    with pytest.raises(TypeError, match=r"`predictions` must be a torch\.Tensor"):
        measure([0], torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="`threshold` must be finite"):
        measure(torch.zeros(2), torch.zeros(2, dtype=torch.long), threshold=float("nan"))


@pytest.mark.parametrize("costs", [[1.0, 2.0], [[1.0, 2.0]], [], [[np.nan]]], ids=["row", "flat", "none", "nan"])
def test_bad_costs(costs):
    with pytest.raises(ValueError, match="`cost_matrix` must"):
        expected_cost(torch.zeros(1), torch.zeros(1, dtype=torch.long), costs)
