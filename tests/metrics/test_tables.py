"""Tables by group and by class against the measure on the rows alone, and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from imbalance_torch.metrics import average_precision, brier_score, grouped, per_class_scores


@pytest.fixture
def rows(generator):
    p = torch.rand(300, generator=generator)
    y = (torch.rand(300, generator=generator) < p / 3).long()
    return p, y, torch.randint(4, (300,), generator=generator) * 5


def test_each_group_has_the_value_of_its_rows(rows, device):
    p, y, group = rows
    table = grouped(average_precision, p.to(device), y.to(device), group.to(device))
    assert [row["group"] for row in table] == [0, 5, 10, 15]
    for row in table:
        chosen = group == row["group"]
        assert row["value"] == pytest.approx(average_precision(p[chosen], y[chosen]).item(), abs=1e-12)
        assert (row["count"], row["positives"]) == (int(chosen.sum()), int(y[chosen].sum()))
    names = np.array(["d", "c", "b", "a"])[group // 5]
    for kind in (names, names.tolist()):
        assert [row["value"] for row in grouped(average_precision, p, y, kind)] == [row["value"] for row in table[::-1]]


def test_a_group_where_the_measure_is_not_defined_is_nan_and_the_others_stand(rows):
    p, y, group = rows
    y = y * (group != 5)
    table = grouped(average_precision, p, y, group)
    assert [math.isnan(row["value"]) for row in table] == [False, True, False, False]
    assert table[1]["positives"] == 0
    assert not any(math.isnan(row["value"]) for row in grouped(brier_score, p, y, group))


def test_bad_groups(rows):
    p, y, group = rows
    with pytest.raises(ValueError, match="at least one positive"):
        grouped(average_precision, p, y * 0, group)
    with pytest.raises(ValueError, match="same number of rows"):
        grouped(average_precision, p, y, group[:-1])
    with pytest.raises(ValueError, match=r"`groups` must have shape \(N,\)"):
        grouped(average_precision, p, y, group[:, None])


def matrix(generator, labels):
    p = torch.rand(200, 4, generator=generator)
    y = torch.tensor(labels)[torch.randint(len(labels), (200,), generator=generator)]
    return (p + torch.nn.functional.one_hot(y, 4) / 2).softmax(1), y


def check(table, hits, decided, p):
    expected = precision_recall_fscore_support(hits, decided, average=None, zero_division=0)
    for row, precision, recall, f1, support in zip(table, *expected, strict=True):
        label = row["class"]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx([precision, recall, f1], abs=1e-12)
        assert row["support"] == support
        if support:
            assert row["ap"] == pytest.approx(average_precision_score(hits[:, label], p[:, label]), abs=1e-6)
        else:
            assert math.isnan(row["ap"])


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 3]], ids=["all", "two absent"])
def test_classes_equal_scikit_learn(labels, generator):
    p, y = matrix(generator, labels)
    one_hot = torch.nn.functional.one_hot
    table = per_class_scores(p, y)
    check(table, one_hot(y, 4).numpy(), one_hot(p.argmax(1), 4).numpy(), p.numpy())
    assert [row["class"] for row in table] == [0, 1, 2, 3]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.1])
def test_labels_equal_scikit_learn(threshold, generator):
    p = torch.rand(200, 3, generator=generator)
    hits = (torch.rand(200, 3, generator=generator) < p * torch.tensor([1.0, 0.2, 0.0])).long()
    check(per_class_scores(p, hits, threshold=threshold), hits.numpy(), (p >= threshold).numpy(), p.numpy())


def test_bad_matrices():
    with pytest.raises(ValueError, match="`probabilities` must be finite"):
        per_class_scores(torch.tensor([[0.5, float("nan")]]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"`probabilities` must have shape \(N, C\)"):
        per_class_scores(torch.rand(3), torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match=r"classes 0\.\.1, got values from 0 to 2"):
        per_class_scores(torch.rand(3, 2), torch.tensor([0, 1, 2]))
