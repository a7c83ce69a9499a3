"""The comparison figures against scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from imbalance_torch.metrics import binary_scores, calibration_error, multiclass_scores, recall_at_precision


def binary(levels, seed=0, num_rows=3000):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 3, num_rows)
    p = np.round(p * levels) / levels if levels else p
    y = (rng.random(num_rows) < p).astype(int)
    y[:2] = 0, 1
    return p, y


@pytest.mark.parametrize("levels", [None, 4, 100])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 1.01])
def test_binary_scores_equal_scikit_learn(levels, threshold, device):
    p, y = binary(levels)
    tensors = torch.tensor(p, device=device), torch.tensor(y, device=device)
    scores = binary_scores(*tensors, threshold=threshold)
    assert scores == pytest.approx(
        {
            "ap": average_precision_score(y, p),
            "auroc": roc_auc_score(y, p),
            "balanced_accuracy": balanced_accuracy_score(y, p >= threshold),
            "recall_at_precision_50": recall_at_precision(*tensors, 0.5).item(),
            "brier": brier_score_loss(y, p),
            "calibration_error": calibration_error(*tensors).item(),
            "expected_observed": p.sum() / y.sum(),
        },
        abs=1e-6,
    )
    assert all(type(value) is float for value in scores.values())


def test_perfect_and_inverted_scores():
    y = torch.tensor([0, 0, 0, 1])
    perfect = binary_scores(y.double(), y)
    assert (perfect["ap"], perfect["auroc"], perfect["balanced_accuracy"], perfect["brier"]) == (1, 1, 1, 0)
    inverted = binary_scores(1 - y.double(), y)
    assert (inverted["auroc"], inverted["balanced_accuracy"], inverted["brier"]) == (0, 0, 1)


def test_binary_needs_both_classes_and_probabilities():
    with pytest.raises(ValueError, match="rows of both classes, got 0 positives in 3 rows"):
        binary_scores(torch.rand(3), torch.zeros(3))
    with pytest.raises(ValueError, match="got 3 positives in 3 rows"):
        binary_scores(torch.rand(3), torch.ones(3))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        binary_scores(torch.tensor([0.5, 3.0]), torch.tensor([0, 1]))


def multiclass(labels, seed=0, num_rows=900):
    rng = np.random.default_rng(seed)
    y = rng.choice(labels, num_rows)
    y[: len(labels)] = labels
    logits = rng.normal(size=(num_rows, 4))
    logits[np.arange(num_rows), y] += 1
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True), y


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 1, 3], [1, 2]], ids=["all", "one absent", "two absent"])
def test_multiclass_scores_equal_scikit_learn_over_the_classes_present(labels, device):
    p, y = multiclass(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = multiclass_scores(torch.tensor(p, device=device), torch.tensor(y, device=device))
        hits = y[:, None] == np.arange(4)
        expected = {
            "ap": np.mean([average_precision_score(hits[:, c], p[:, c]) for c in labels]),
            "auroc": np.mean([roc_auc_score(hits[:, c], p[:, c]) for c in labels]),
            "brier": ((p - hits) ** 2).sum(1).mean(),
        }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")  # scikit-learn 1.9
        expected["balanced_accuracy"] = balanced_accuracy_score(y, p.argmax(1))
        expected["f1"] = f1_score(y, p.argmax(1), labels=labels, average="macro")
    assert scores == pytest.approx(expected, abs=1e-6)
    if len(labels) == 4:
        assert scores["ap"] == pytest.approx(average_precision_score(hits, p, average="macro"), abs=1e-6)
        assert scores["auroc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"), abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "target", "message"),
    [
        ((3, 2), [0, 0, 0], r"two or more of the classes 0\.\.1, got \[0\]"),
        ((3, 2), [0, 1, 2], r"classes 0\.\.1, got \[0, 1, 2\]"),
        ((3, 2), [-1, 0, 1], r"got \[-1, 0, 1\]"),
        ((0, 2), [], r"got \[\]"),
        ((3, 2), [0, 1], r"got \(3, 2\) and \(2,\)"),
        ((3,), [0, 1, 0], r"got \(3,\) and \(3,\)"),
    ],
)
def test_bad_multiclass_input(shape, target, message):
    with pytest.raises(ValueError, match=message):
        multiclass_scores(torch.full(shape, 0.5), torch.tensor(target, dtype=torch.long))


def test_multiclass_needs_probabilities():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        multiclass_scores(torch.tensor([[0.5, float("nan")], [0.5, 0.5]]), torch.tensor([0, 1]))


def test_multiclass_figures_are_those_of_the_decisions():
    p, y = torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.55, 0.45]]), torch.tensor([0, 0, 1])
    assert multiclass_scores(p, y)["balanced_accuracy"] == 0.5
    decided = multiclass_scores(p, y, predictions=torch.tensor([0, 0, 1]))
    assert (decided["balanced_accuracy"], decided["f1"]) == (1.0, 1.0)
