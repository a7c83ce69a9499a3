"""Frozen values of other libraries for focal and weighted losses (float64 unless said otherwise), and their formulas.

Origins: torch F.cross_entropy and BCE; torchvision 0.28, kornia 0.9.0, mmpretrain, imbalanced-losses 0.6.0,
pytorch-focalloss 1.2.0, monai 1.6.1 and AdeelH/pytorch-multi-class-focal-loss for focal losses; balanced-loss 0.1.1.
"""

import pytest
import torch
import torch.nn.functional as F

from imbalance_torch import losses
from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses.functional import focal_loss, sigmoid_focal_loss, weighted_cross_entropy

DOUBLE = torch.float64
X = torch.tensor([[2, -1, 0.5], [0.1, 0.2, -0.3], [-1.5, 3, 0], [0.7, -0.4, 1.1]], dtype=DOUBLE)
T = torch.tensor([0, 1, 2, 2])
W = torch.tensor([0.5, 1, 2], dtype=DOUBLE)
Y = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]])
SOFT = 0.9 * Y.to(DOUBLE) + 0.05
COUNTS = [100, 10, 1]


def close(actual, expected, tolerance=2e-9):
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=actual.dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"weight": torch.ones(3, dtype=DOUBLE)}, 1.214913380),
        ({"weight": W}, 1.533911352),
        ({"weight": W, "reduction": "sum"}, 8.436512436),
        ({"weight": W, "label_smoothing": 0.1}, 1.522997716),
        ({"weight": W, "normalizer": "count"}, 2.109128109),
        ({"weight": W, "reduction": "none"}, [0.12065565, 0.92082766, 6.11822779, 1.27680134]),
    ],
)
def test_weighted_cross_entropy_of_torch(arguments, expected):
    close(weighted_cross_entropy(X, T, **arguments), expected, 1e-8)


def test_one_hot_with_weight_is_torch_by_count_and_the_index_value_by_default():
    one_hot = F.one_hot(T, 3).to(DOUBLE)
    close(weighted_cross_entropy(X, one_hot, W, normalizer="count"), 2.109128109)  # torch
    close(weighted_cross_entropy(X, one_hot, W), 1.533911352)  # the stated difference


def test_effective_weights():
    weight = class_weights(COUNTS, "effective", normalize="classes")
    close(weighted_cross_entropy(X, T, weight), 1.796603218)  # torch with the weights of Cui et al.
    one_hot = F.one_hot(T, 3).to(DOUBLE)
    close(weighted_cross_entropy(X, one_hot, weight, normalizer="count"), 2.560330911)  # torch on one-hot targets
    close(weighted_cross_entropy(X, T, weight, normalizer="count"), 2.560330981, 2e-7)  # balanced-loss, float32 weights
    loss = losses.ClassWeightedCrossEntropyLoss.from_counts(COUNTS, "effective", normalize="classes")
    close(loss(X, T), 1.796603218)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"alpha": 0.25}, 0.229646605),  # torchvision, kornia, mmpretrain, imbalanced-losses
        ({}, 0.341780930),  # torchvision
        ({"alpha": 0.75, "gamma": 0.5}, 0.223597630),  # torchvision
        ({"pos_weight": torch.tensor([1.0, 2, 3])}, 0.430737245),  # pytorch-focalloss; monai alpha=[1, 2, 3]
        ({"pos_weight": torch.tensor([1.0, 2, 3]), "gamma": 0.0}, 1.085471355),  # torch BCE
    ],
)
def test_sigmoid_focal(arguments, expected):
    close(sigmoid_focal_loss(X, Y, **arguments), expected)


def test_sigmoid_focal_row_of_torchvision():
    row = sigmoid_focal_loss(X, Y, alpha=0.25, reduction="none")[0]
    close(row, [0.00045089, 0.01699354, 0.2830587], 1e-8)


def test_soft_targets_are_the_expectation_over_labels():
    close(sigmoid_focal_loss(X, SOFT), 0.348933506)  # kornia
    p = X.sigmoid()
    mixed = SOFT * p + (1 - SOFT) * (1 - p)
    torchvision = ((1 - mixed) ** 2 * F.binary_cross_entropy_with_logits(X, SOFT, reduction="none")).mean()
    close(torchvision, 0.310753225)  # torchvision's other convention, not ours
    mixture = 0.95 * sigmoid_focal_loss(X, Y) + 0.05 * sigmoid_focal_loss(X, 1 - Y)
    torch.testing.assert_close(sigmoid_focal_loss(X, SOFT), mixture)


def test_sigmoid_focal_on_one_hot_labels_is_not_softmax_focal():
    close(sigmoid_focal_loss(X, F.one_hot(T, 3)), 0.363999588)  # segmentation-models-pytorch "multiclass"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 0.816366248),  # AdeelH, imbalanced-losses, pytorch-focalloss, kornia times C
        ({"reduction": "none"}, [0.01109275, 0.33350174, 2.77872724, 0.14214326]),  # AdeelH
        ({"reduction": "sum"}, 3.265464991),  # kornia
        ({"weight": W, "normalizer": "count"}, 1.545197279),  # AdeelH, imbalanced-losses
        ({"weight": W}, 1.123779839),  # pytorch-focalloss
        ({"weight": W, "reduction": "sum"}, 6.180789116),  # kornia
        ({"weight": W, "gamma": 0.0, "normalizer": "count"}, 2.109128109),  # imbalanced-losses
    ],
)
def test_softmax_focal(arguments, expected):
    close(focal_loss(X, T, **arguments), expected, 1e-8)


def test_softmax_focal_gradient_differentiates_the_modulator():
    x = X.clone().requires_grad_()
    focal_loss(x, T).backward()
    close(x.grad[2], [0.00309426, 0.27853653, -0.28163079], 1e-8)  # autograd of AdeelH and imbalanced-losses


def test_softmax_focal_ignores():
    ignored = torch.tensor([0, 1, -100, 2])
    close(focal_loss(X, ignored), 0.162245916)  # AdeelH, imbalanced-losses


def test_smoothing_modulates_each_class_by_its_own_probability():
    p = X.softmax(1)
    smooth = 0.9 * F.one_hot(T, 3) + 0.1 / 3
    expected = (smooth * (1 - p) ** 2 * -p.log()).sum(1).mean()
    torch.testing.assert_close(focal_loss(X, T, label_smoothing=0.1), expected)
    hard = (1 - p.gather(1, T[:, None])[:, 0]) ** 2
    close((hard * F.cross_entropy(X, T, label_smoothing=0.1, reduction="none")).mean(), 0.812072029)  # the peers'
    assert abs(expected - 0.812072029) > 1e-3


def test_p_comes_from_the_unweighted_log_probability():
    weighted = F.cross_entropy(X, T, W, reduction="none")
    wrong = ((1 - torch.exp(-weighted)) ** 2 * weighted).mean()
    close(wrong, 1.772558758)  # LDAM-DRW's FocalLoss, which raises p to the power of the weight
    close(focal_loss(X, T, W, normalizer="count"), 1.545197279)


def test_two_class_softmax_equals_sigmoid_of_the_difference():
    pair = X[:, :2].clone().requires_grad_()
    target = torch.tensor([0, 1, 1, 0])
    for gamma in (0.0, 0.3, 2.0):
        for label_smoothing in (0.0, 0.2):
            arguments = {"gamma": gamma, "label_smoothing": label_smoothing, "reduction": "none"}
            softmax = focal_loss(pair, target, **arguments)
            sigmoid = sigmoid_focal_loss(pair[:, 1] - pair[:, 0], target, **arguments)
            torch.testing.assert_close(softmax, sigmoid)
            first, second = (torch.autograd.grad(loss.sum(), pair)[0] for loss in (softmax, sigmoid))
            torch.testing.assert_close(first, second)


def test_gamma_per_class():
    gamma = torch.tensor([0.0, 1.0, 3.0], dtype=DOUBLE)
    rows = torch.stack([focal_loss(X, T, gamma=g, reduction="none") for g in gamma.tolist()], 1)
    torch.testing.assert_close(focal_loss(X, T, gamma=gamma, reduction="none"), rows.gather(1, T[:, None])[:, 0])
    p = X.softmax(1)
    every = (1 - p) ** gamma * -p.log()
    torch.testing.assert_close(focal_loss(X, SOFT, gamma=gamma, reduction="none"), (SOFT * every).sum(1))
    columns = torch.stack(
        [sigmoid_focal_loss(X[:, c], Y[:, c], gamma=g, reduction="none") for c, g in enumerate((0.0, 1.0, 3.0))], 1
    )
    torch.testing.assert_close(sigmoid_focal_loss(X, Y, gamma=gamma, reduction="none"), columns)


def test_shifting_the_logits_or_permuting_the_classes_changes_nothing():
    torch.testing.assert_close(focal_loss(X + 5, T, W), focal_loss(X, T, W))
    far = 8192.0  # exact in float32 for these logits in steps of 1/8
    near = (X * 8).round().float() / 8
    torch.testing.assert_close(focal_loss(near + far, T), focal_loss(near, T))
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(focal_loss(X[:, order], order.argsort()[T], W[order]), focal_loss(X, T, W))


def test_alpha_is_pos_weight_rescaled():
    ratio = 3.0
    by_alpha = sigmoid_focal_loss(X, Y, alpha=ratio / (1 + ratio)) * (1 + ratio)
    torch.testing.assert_close(by_alpha, sigmoid_focal_loss(X, Y, pos_weight=torch.tensor(ratio)))
    alpha = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    columns = [sigmoid_focal_loss(X[:, c], Y[:, c], alpha=a, reduction="none") for c, a in enumerate(alpha.tolist())]
    torch.testing.assert_close(sigmoid_focal_loss(X, Y, alpha=alpha, reduction="none"), torch.stack(columns, 1))


def test_from_labels_equals_from_counts():
    labels = torch.tensor([0] * 100 + [1] * 10 + [2])
    arguments = {"scheme": "effective", "beta": 0.99, "max_weight": 5.0, "label_smoothing": 0.1}
    one = losses.ClassWeightedCrossEntropyLoss.from_counts(COUNTS, **arguments)
    two = losses.ClassWeightedCrossEntropyLoss.from_labels(labels, num_classes=3, **arguments)
    assert repr(one) == repr(two)
    assert torch.equal(one.weight, class_weights(COUNTS, "effective", beta=0.99, max_weight=5.0))
    with pytest.raises(ValueError, match="Class 3 has no rows"):
        losses.ClassWeightedCrossEntropyLoss.from_labels(labels, num_classes=4)
