"""Frozen values of other libraries for the losses beyond focal and weighted (float64 unless said otherwise).

Origins: the papers' code of balanced meta-softmax, LDAM-DRW, VS loss, ASL and PolyLoss (abhuse/polyloss-pytorch), run
on current torch; timm 1.0.31 and mmpretrain; balanced-loss 0.1.1 for class-balanced sigmoid losses; fvcore for FL*.
"""

import pytest
import torch
import torch.nn.functional as F

from imbalance_torch import losses
from imbalance_torch.class_stats import class_weights
from imbalance_torch.losses import functional as L

DOUBLE = torch.float64
X = torch.tensor([[2, -1, 0.5], [0.1, 0.2, -0.3], [-1.5, 3, 0], [0.7, -0.4, 1.1]], dtype=DOUBLE)
T = torch.tensor([0, 1, 2, 2])
W = torch.tensor([0.5, 1, 2], dtype=DOUBLE)
Y = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]])
COUNTS = [100, 10, 1]
PRIOR = torch.tensor(COUNTS, dtype=DOUBLE) / 111


def close(actual, expected, tolerance=2e-9):
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=actual.dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("tau", "expected"), [(1.0, 2.996315036), (0.5, 1.941759546), (2.0, 5.420770024)])
def test_logit_adjustment(tau, expected):
    close(
        L.logit_adjusted_cross_entropy(X, T, PRIOR, tau=tau), expected
    )  # the formula; tau = 1 also BMS-Classification
    close(losses.LogitAdjustedLoss.from_counts(COUNTS, tau=tau)(X, T), expected)
    close(L.vs_loss(X, T, COUNTS, gamma=0.0, tau=tau), expected)  # VS at gamma = 0


def test_balanced_softmax():
    close(L.balanced_softmax_loss(X, T, COUNTS), 2.996315036)  # BMS-Classification
    labels = torch.tensor([0] * 100 + [1] * 10 + [2])
    close(losses.LogitAdjustedLoss.from_labels(labels)(X, T), 2.996315036)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 28.372016145),
        ({"scale": 1.0}, 1.455653344),
        ({"weight": W}, 40.279391260),
    ],
)
def test_ldam(arguments, expected):
    close(L.ldam_loss(X, T, COUNTS, **arguments), expected, 1e-8)  # LDAM-DRW


def test_ldam_margins():
    close(losses.LDAMLoss(COUNTS).margin, [0.15811388, 0.28117066, 0.5], 1e-8)  # LDAM-DRW


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, 2.928423266),
        ({"gamma": 0.15, "tau": 1.25, "weight": W}, 4.644575697),
        ({"tau": 0.0}, 1.036442706),  # CDT
    ],
)
def test_vector_scaling(arguments, expected):
    close(L.vs_loss(X, T, COUNTS, **arguments), expected)  # VS-Loss


def test_vector_scaling_constants():
    loss = losses.VSLoss(COUNTS)
    close(1 / loss.scale, [1.0, 1.99526231, 3.98107171], 1e-8)  # VS-Loss divides by these
    close(loss.offset, [-0.10436002, -2.40694511, -4.7095302], 1e-8)


def test_asymmetric():
    close(L.asymmetric_loss(X, Y, reduction="sum"), 3.003926730)  # ASL, mmpretrain; timm in float32
    close(L.asymmetric_loss(X, Y), 0.250327227)
    close(L.asymmetric_loss(X, Y, gamma_neg=2.0, gamma_pos=0.0, clip=0.0, reduction="sum"), 6.423923612)


def test_asymmetric_gradient_differentiates_the_modulator():
    x = X.clone().requires_grad_()
    L.asymmetric_loss(x, Y, reduction="sum").backward()
    close(x.grad[1], [0.09304686, -0.35069871, -0.53883845], 1e-8)  # ASL with the modulator in the graph
    detached = torch.tensor([0.02417556, -0.20264943, -0.32998421])  # ASL as published
    assert (x.grad[1] - detached).abs().min() > 0.05


def test_hard_positives_keep_their_gradient():
    x = torch.tensor([-25.0, -1000.0, -1e4], requires_grad=True)
    L.asymmetric_loss(x, torch.ones(3), reduction="sum").backward()
    torch.testing.assert_close(x.grad, -torch.ones(3))  # ASL: 0, timm: -3e-10, since they clamp p at 1e-8


def test_asymmetric_with_equal_strengths_is_sigmoid_focal():
    for gamma in (0.5, 2.0):
        ours = L.asymmetric_loss(X, Y, gamma_neg=gamma, gamma_pos=gamma, clip=0.0)
        torch.testing.assert_close(ours, L.sigmoid_focal_loss(X, Y, gamma=gamma))


def test_poly1_cross_entropy():
    close(L.poly1_cross_entropy(X, T), 1.775200367)  # polyloss-pytorch; timm in float32
    p = X.softmax(1).gather(1, T[:, None])[:, 0]
    weighted = F.cross_entropy(X, T, W, reduction="none")
    close((weighted + 2.0 * (1 - p)).mean(), 3.229702084)  # polyloss-pytorch weights the cross-entropy alone
    ours = L.poly1_cross_entropy(X, T, epsilon=2.0, weight=W, normalizer="count")
    torch.testing.assert_close(ours, (weighted + 2.0 * W[T] * (1 - p)).mean())  # the stated difference


def test_poly1_focal():
    close(L.poly1_focal_loss(X, Y), 0.491778030)  # polyloss-pytorch; timm in float32
    close(L.poly1_focal_loss(X, Y, alpha=0.25), 0.322995067, 1e-7)  # timm in float32: alpha on both terms
    p = torch.where(Y == 1, X.sigmoid(), 1 - X.sigmoid())
    unweighted = L.sigmoid_focal_loss(X, Y, alpha=0.25) + ((1 - p) ** 3).mean()
    close(unweighted, 0.379643705)  # polyloss-pytorch: alpha on the focal term alone, not ours
    torch.testing.assert_close(L.poly1_focal_loss(X, Y, epsilon=0.0), L.sigmoid_focal_loss(X, Y))


def test_class_balanced_sigmoid_losses_of_balanced_loss():
    # balanced-loss 0.1.1: one-hot targets, each row times the weight of its label; focal divided by sum(one-hot)
    one_hot = F.one_hot(T, 3)
    rows = class_weights(COUNTS, "effective", normalize="classes")[T]
    bce = L.weighted_binary_cross_entropy_with_logits(X, one_hot, sample_weight=rows)
    close(bce, 1.361911178, 2e-7)
    focal = L.sigmoid_focal_loss(X, one_hot, sample_weight=rows, normalizer="positives")
    close(focal, 2.421194315, 2e-7)


def test_pos_weight_of_counts_is_the_ratio_of_negatives_to_positives():
    loss = losses.ClassWeightedBCEWithLogitsLoss.from_counts([[11, 100], [101, 10], [110, 1]])
    close(loss.pos_weight, [0.11, 10.1, 110.0], 2e-8)  # timm neg_pos of counts 100, 10, 1 out of 111, float32


def test_the_star_form_of_the_focal_paper_is_another_loss():
    margin = torch.where(Y == 1, X, -X)
    star = -F.logsigmoid(2.0 * margin).mean() / 2.0
    close(star, 0.468658060, 1e-7)  # fvcore sigmoid_focal_loss_star in float32
    assert abs(star - L.sigmoid_focal_loss(X, Y)) > 0.1


def test_cost_sensitive_is_the_expected_cost():
    cost = torch.tensor([[0.0, 1, 2], [5, 0, 3], [50, 10, 0]], dtype=DOUBLE)
    expected = torch.stack([(X[i].softmax(0) * cost[T[i]]).sum() for i in range(4)])
    torch.testing.assert_close(L.cost_sensitive_loss(X, T, cost, reduction="none"), expected)
    zero_one = 1.0 - torch.eye(3, dtype=DOUBLE)
    p = X.softmax(1).gather(1, T[:, None])[:, 0]
    torch.testing.assert_close(L.cost_sensitive_loss(X, T, zero_one), (1 - p).mean())
    soft = torch.tensor([[0.7, 0.2, 0.1]] * 4, dtype=DOUBLE)
    mixture = sum(s * L.cost_sensitive_loss(X, torch.full((4,), c), cost) for c, s in enumerate((0.7, 0.2, 0.1)))
    torch.testing.assert_close(L.cost_sensitive_loss(X, soft, cost), mixture)


def test_cost_sensitive_finds_the_cheapest_decision():
    cost = torch.tensor([[0.0, 1], [50, 0]], dtype=DOUBLE)
    logits = torch.zeros(1, 2, dtype=DOUBLE, requires_grad=True)
    for _ in range(500):  # 5 % positives, a miss costs 50 false alarms: always alarm
        loss = 0.95 * L.cost_sensitive_loss(logits, torch.tensor([0]), cost) + 0.05 * L.cost_sensitive_loss(
            logits, torch.tensor([1]), cost
        )
        (gradient,) = torch.autograd.grad(loss, logits)
        logits.data -= gradient
    assert logits.softmax(1)[0, 1] > 0.99


def test_one_loss_under_several_names():
    equal = [5, 5, 5]
    for ours in (
        L.balanced_softmax_loss(X, T, equal),
        L.vs_loss(X, T, equal),
        L.ldam_loss(X, T, equal, scale=1.0, max_margin=0.0),
    ):
        torch.testing.assert_close(ours, F.cross_entropy(X, T))
    by_list = L.ldam_loss(X, T, COUNTS)
    for counts in (torch.tensor(COUNTS), torch.tensor(COUNTS, dtype=torch.float32), tuple(COUNTS)):
        torch.testing.assert_close(L.ldam_loss(X, T, counts), by_list)


def test_labels_have_log_odds_of_their_own():
    prior = [[0.9, 0.1], [0.5, 0.5], [0.99, 0.01]]
    columns = [
        L.logit_adjusted_binary_cross_entropy(X[:, c], Y[:, c], prior[c], tau=1.5, reduction="none") for c in range(3)
    ]
    together = L.logit_adjusted_binary_cross_entropy(X, Y, prior, tau=1.5, reduction="none")
    torch.testing.assert_close(together, torch.stack(columns, 1))
    odds = torch.tensor([0.1 / 0.9, 1.0, 0.01 / 0.99], dtype=DOUBLE).log()
    torch.testing.assert_close(
        together, F.binary_cross_entropy_with_logits(X + 1.5 * odds, Y.double(), reduction="none")
    )
