"""Decisions by cost: closed forms against expected costs written out."""

import pytest
import torch

from imbalance_torch.decision import bayes_decision, bayes_threshold, threshold_for_cost


def test_bayes_decision_is_the_cheapest_by_hand(generator, device):
    p = torch.rand(300, 4, generator=generator).softmax(1)
    cost = torch.rand(4, 4, generator=generator) * 10 - 2
    decision = bayes_decision(p.to(device), cost)
    assert decision.device.type == device.type
    assert decision.dtype == torch.int64
    for row, chosen in zip(p.double(), decision.tolist(), strict=True):
        expected = [sum(float(row[c]) * float(cost[c, k]) for c in range(4)) for k in range(4)]
        assert expected[chosen] == pytest.approx(min(expected), abs=1e-9)


def test_unit_costs_choose_the_most_probable_class(generator):
    p = torch.rand(500, 5, generator=generator, dtype=torch.float64).softmax(1)
    assert bayes_decision(p, 1 - torch.eye(5)).equal(p.argmax(1))


def test_a_constant_per_true_class_changes_nothing(generator):
    p = torch.rand(500, 3, generator=generator, dtype=torch.float64).softmax(1)
    cost = torch.rand(3, 3, generator=generator, dtype=torch.float64)
    shifted = cost + torch.tensor([[5.0], [-3.0], [0.5]])
    assert bayes_decision(p, cost).equal(bayes_decision(p, shifted))


@pytest.mark.parametrize("cost", [[[0, 1], [1, 0]], [[0, 1], [3, 0]], [[-1, 3], [7, 3]], [[0.5, 1], [2, -5.5]]])
def test_two_classes_agree_with_the_threshold(cost):
    threshold = bayes_threshold(cost)
    for p in (threshold, threshold - 1 / 64, threshold + 1 / 64):
        row = torch.tensor([[1 - p, p]], dtype=torch.float64)
        assert bayes_decision(row, cost).tolist() == [int(p >= threshold)]  # equal costs: positive


def test_exact_probabilities_make_the_closed_form_the_best_on_data(generator):
    p = torch.rand(200_000, generator=generator, dtype=torch.float64)
    y = (torch.rand(200_000, generator=generator) < p).long()
    cost = torch.tensor([[1.0, 3.0], [20.0, 2.0]])
    on_data = threshold_for_cost(p, y, false_negative=18.0, false_positive=2.0)
    assert bayes_threshold(cost) == pytest.approx(0.1)
    assert on_data == pytest.approx(bayes_threshold(cost), abs=0.03)

    def total(threshold):
        return float(cost[y, (p >= threshold).long()].sum())

    assert total(on_data) == min(total(on_data), *(total(t / 100) for t in range(1, 100)))


def test_bad_input():
    p = torch.tensor([[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"shape \(C, C\), got \(2,\)"):
        bayes_threshold([0, 1])
    with pytest.raises(ValueError, match=r"shape \(C, C\), got \(0,\)"):
        bayes_decision(p, [])
    with pytest.raises(ValueError, match="Use `bayes_decision`"):
        bayes_threshold(torch.ones(3, 3))
    for cost in ([[0, 0], [1, 0]], [[0, 1], [0, 1]], [[0, 1], [-1, 0]]):
        with pytest.raises(ValueError, match="must be the cheapest"):
            bayes_threshold(cost)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be finite"):
            bayes_decision(p, [[0, value], [1, 0]])
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            bayes_decision(p * value, [[0, 1], [1, 0]])
    with pytest.raises(ValueError, match=r"shape \(N, 3\)"):
        bayes_decision(p, torch.ones(3, 3))
    with pytest.raises(TypeError, match="floating-point"):
        bayes_decision(p.long(), torch.ones(2, 2))
    assert bayes_decision(p[:0], torch.ones(2, 2)).tolist() == []
