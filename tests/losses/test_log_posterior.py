"""At the population minimiser of each loss, `log_posterior` gives the true posterior back."""

import copy
import itertools

import pytest
import torch
from torch import Tensor

from imbalance_torch.losses import (
    AsymmetricLoss,
    BalancedSoftmaxLoss,
    ClassWeightedBCEWithLogitsLoss,
    ClassWeightedCrossEntropyLoss,
    DeferredReweighting,
    FocalLoss,
    LogitAdjustedBCEWithLogitsLoss,
    LogitAdjustedLoss,
    NoPosteriorError,
    Poly1FocalLoss,
    Poly1Loss,
    SigmoidFocalLoss,
    VSLoss,
)

DOUBLE = torch.float64
POSTERIORS = torch.tensor(
    [[0.9, 0.09, 0.01], [1 / 3, 1 / 3, 1 / 3], [0.98, 0.015, 0.005], [0.05, 0.05, 0.9], [0.5, 0.4, 0.1]], dtype=DOUBLE
)
PRIOR = torch.tensor([0.7, 0.2, 0.1], dtype=DOUBLE)
BALANCED = torch.full((3,), 1 / 3, dtype=DOUBLE)
WEIGHTS = torch.tensor([0.3, 1.0, 8.0], dtype=DOUBLE)


def under(posterior: Tensor, prior: Tensor, shares: Tensor) -> Tensor:
    """The posterior that rows drawn with class shares `shares` instead of `prior` have."""
    moved = posterior * shares / prior
    return moved / moved.sum(-1, keepdim=True)


def minimise(expected_loss, shape) -> Tensor:
    logits = torch.zeros(shape, dtype=DOUBLE, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-13, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = expected_loss(logits)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert logits.grad.abs().max() < 1e-6
    return logits.detach()


SOFTMAX = [
    *(
        FocalLoss(weight, gamma=gamma)
        for gamma, weight in itertools.product((0.0, 0.5, 1.0, 2.0, 5.0), (None, WEIGHTS))
    ),
    FocalLoss(WEIGHTS, gamma=torch.tensor([0.5, 1.0, 3.0])),
    FocalLoss(WEIGHTS, gamma=2.0, label_smoothing=0.1),
    ClassWeightedCrossEntropyLoss(WEIGHTS),
    ClassWeightedCrossEntropyLoss(WEIGHTS, label_smoothing=0.1),
    *(
        LogitAdjustedLoss(PRIOR, tau=tau, weight=weight, label_smoothing=smoothing)
        for tau, weight, smoothing in ((0.5, None, 0.0), (1.0, None, 0.0), (2.0, WEIGHTS, 0.0), (1.0, WEIGHTS, 0.1))
    ),
    BalancedSoftmaxLoss([70, 20, 10]),
    BalancedSoftmaxLoss([5, 1, 94], weight=WEIGHTS),
    *(VSLoss([70, 20, 10], gamma=gamma, tau=tau) for gamma, tau in ((0.3, 1.0), (0.3, 0.0), (0.0, 2.0))),
    VSLoss([70, 20, 10], weight=WEIGHTS, label_smoothing=0.1),
    *(Poly1Loss(weight, epsilon=epsilon) for epsilon in (-0.9, 1.0, 5.0) for weight in (None, WEIGHTS)),
    Poly1Loss(WEIGHTS, epsilon=1.0, label_smoothing=0.1),
]


@pytest.mark.parametrize("loss", SOFTMAX, ids=lambda loss: repr(loss).split(", ignore")[0])
@pytest.mark.parametrize("shares", [None, BALANCED], ids=["as found", "balanced"])
def test_softmax_posterior_comes_back(loss, shares):
    loss = copy.deepcopy(loss)
    loss.reduction = "none"
    truth = under(POSTERIORS, PRIOR, PRIOR if shares is None else shares)

    def expected(logits: Tensor) -> Tensor:  # the definition: an average over labels drawn from the posterior
        rows = [loss(logits, torch.full((len(truth),), c)) for c in range(3)]
        return (truth * torch.stack(rows, 1)).sum()

    logits = minimise(expected, truth.shape)
    posterior = loss.log_posterior(logits, prior=PRIOR, train_prior=shares).exp()
    torch.testing.assert_close(posterior, POSTERIORS, rtol=0, atol=1e-4)
    torch.testing.assert_close(loss.log_posterior(logits[0], prior=PRIOR, train_prior=shares).exp(), posterior[0])
    maps = logits.T.reshape(1, 3, 5, 1)
    shown = loss.log_posterior(maps, prior=PRIOR, train_prior=shares).exp()
    torch.testing.assert_close(shown.reshape(3, 5).T, posterior)


SHARE = torch.tensor([0.001, 0.02, 0.3, 0.5, 0.9, 0.995], dtype=DOUBLE)
SIGMOID = [
    *(
        SigmoidFocalLoss(gamma=gamma, alpha=alpha)
        for gamma, alpha in itertools.product((0.0, 0.3, 1.0, 2.0, 5.0), (None, 0.25, 0.9))
    ),
    SigmoidFocalLoss(pos_weight=torch.tensor(20.0), weight=torch.tensor(3.0), alpha=0.4),
    SigmoidFocalLoss(alpha=0.25, label_smoothing=0.1, pos_weight=torch.tensor(2.0)),
    ClassWeightedBCEWithLogitsLoss(),
    ClassWeightedBCEWithLogitsLoss.from_counts([980, 20], label_smoothing=0.1),
    ClassWeightedBCEWithLogitsLoss.from_counts([980, 20], max_weight=5.0),
    LogitAdjustedBCEWithLogitsLoss(0.02),
    LogitAdjustedBCEWithLogitsLoss([0.98, 0.02], tau=0.5, pos_weight=torch.tensor(3.0), label_smoothing=0.1),
    *(
        AsymmetricLoss(gamma_neg=g, gamma_pos=h, clip=c)
        for g, h, c in ((4.0, 1.0, 0.0), (1.0, 0.0, 0.0), (4.0, 1.0, 0.05), (2.0, 0.5, 0.2), (0.0, 0.0, 0.0))
    ),
    AsymmetricLoss(pos_weight=torch.tensor(3.0), label_smoothing=0.1),
    *(
        Poly1FocalLoss(epsilon=epsilon, gamma=gamma, alpha=alpha)
        for epsilon in (-1.0, -0.5, 1.0)
        for gamma, alpha in ((0.5, None), (2.0, 0.25), (2.0, None))
    ),
    Poly1FocalLoss(gamma=0.0),
]


@pytest.mark.parametrize("loss", SIGMOID, ids=lambda loss: repr(loss).split(", ignore")[0])
@pytest.mark.parametrize("train_prior", [None, 0.5])
def test_sigmoid_posterior_comes_back(loss, train_prior):
    loss = copy.deepcopy(loss)
    loss.reduction = "none"
    prior = torch.tensor([0.98, 0.02], dtype=DOUBLE)
    shares = prior if train_prior is None else torch.tensor([0.5, 0.5], dtype=DOUBLE)
    truth = under(torch.stack([1 - SHARE, SHARE], 1), prior, shares)

    def expected(logits: Tensor) -> Tensor:
        return (truth[:, 1] * loss(logits, torch.ones(6)) + truth[:, 0] * loss(logits, torch.zeros(6))).sum()

    logits = minimise(expected, (6,))
    for form in (0.02, [0.98, 0.02]):
        posterior = loss.log_posterior(logits, prior=form, train_prior=train_prior).exp()
        torch.testing.assert_close(posterior, SHARE, rtol=0, atol=1e-4)


def test_labels_have_priors_of_their_own():
    loss = SigmoidFocalLoss(
        gamma=torch.tensor([1.0, 3.0]), alpha=torch.tensor([0.2, 0.7]), pos_weight=torch.tensor([1.0, 9.0])
    )
    logits = torch.linspace(-4, 4, 10, dtype=DOUBLE).reshape(5, 2)
    prior, shares = [[0.9, 0.1], [0.5, 0.5]], [[0.5, 0.5], [0.2, 0.8]]
    columns = [
        SigmoidFocalLoss(gamma=g, alpha=a, pos_weight=torch.tensor(r)).log_posterior(
            logits[:, c], prior=prior[c], train_prior=shares[c]
        )
        for c, (g, a, r) in enumerate(((1.0, 0.2, 1.0), (3.0, 0.7, 9.0)))
    ]
    together = loss.log_posterior(logits, prior=prior, train_prior=shares)
    torch.testing.assert_close(together, torch.stack(columns, 1), rtol=1e-6, atol=1e-6)
    maps = SigmoidFocalLoss().log_posterior(logits.T.reshape(1, 2, 5), prior=prior)
    torch.testing.assert_close(maps[0].T, SigmoidFocalLoss().log_posterior(logits, prior=prior))


def test_a_deferred_loss_undoes_the_weights_in_force():
    loss = DeferredReweighting(ClassWeightedCrossEntropyLoss(WEIGHTS), start_epoch=2)
    logits = torch.log(POSTERIORS)
    torch.testing.assert_close(loss.log_posterior(logits, prior=PRIOR).exp(), POSTERIORS)
    loss.set_epoch(2)
    torch.testing.assert_close(loss.log_posterior(logits + WEIGHTS.log(), prior=PRIOR).exp(), POSTERIORS)


def test_a_clipped_negative_has_posterior_zero_below_the_clip_and_none_without_focusing():
    x = torch.linspace(-12, -3, 50, dtype=DOUBLE)
    low = AsymmetricLoss(clip=0.05).log_posterior(x, prior=0.1).exp()
    assert (low < 1e-6).all()
    assert low.isfinite().all()
    for gammas in ({"gamma_neg": 0.0}, {"gamma_pos": 0.0}):  # the optimum stops at p = clip, or runs off to p = 1
        with pytest.raises(NoPosteriorError, match="clip"):
            AsymmetricLoss(clip=0.05, **gammas).log_posterior(x, prior=0.1)


def test_two_class_softmax_posterior_equals_sigmoid_posterior():
    logits = torch.linspace(-30, 30, 40, dtype=DOUBLE).reshape(20, 2)
    for gamma, label_smoothing in itertools.product((0.0, 0.5, 2.0), (0.0, 0.1)):
        softmax = FocalLoss(torch.tensor([1.0, 4.0]), gamma=gamma, label_smoothing=label_smoothing)
        sigmoid = SigmoidFocalLoss(pos_weight=torch.tensor(4.0), gamma=gamma, label_smoothing=label_smoothing)
        arguments = {"prior": [0.9, 0.1], "train_prior": [0.5, 0.5]}
        expected = sigmoid.log_posterior(logits[:, 1] - logits[:, 0], **arguments)
        torch.testing.assert_close(softmax.log_posterior(logits, **arguments)[:, 1], expected)


def test_weighted_optimum_is_the_balanced_posterior_and_subtracting_the_weights_undoes_it():
    weight = 1 / torch.tensor([0.9, 0.09, 0.01], dtype=DOUBLE)
    posterior = torch.tensor([0.9, 0.09, 0.01], dtype=DOUBLE)
    optimum = (weight * posterior).log()
    back = ClassWeightedCrossEntropyLoss(weight).log_posterior(optimum, prior=PRIOR).exp()
    torch.testing.assert_close(back, posterior)


def test_smoothing_below_its_floor_keeps_the_order():
    logits = torch.linspace(-30, 0, 50, dtype=DOUBLE)
    binary = SigmoidFocalLoss(label_smoothing=0.2).log_posterior(logits, prior=0.1)
    assert (binary.diff() > 0).all()
    assert binary.isfinite().all()
    pair = torch.stack([-logits, logits], 1)
    assert (FocalLoss(label_smoothing=0.2).log_posterior(pair, prior=[0.9, 0.1])[:, 1].diff() > 0).all()


def test_what_has_no_posterior_says_so():
    for alpha in (0.0, 1.0):
        for kind in (SigmoidFocalLoss, Poly1FocalLoss):
            with pytest.raises(ValueError, match="alpha"):
                kind(alpha=alpha).log_posterior(torch.zeros(3), prior=0.1)
    loss = ClassWeightedCrossEntropyLoss(torch.tensor([1.0, 0.0]))
    assert loss.log_posterior(torch.zeros(1, 2), prior=[0.5, 0.5]).isnan().all()
    never = ClassWeightedBCEWithLogitsLoss(pos_weight=torch.tensor([0.0, 1.0]))
    assert never.log_posterior(torch.zeros(1, 2), prior=0.5).isnan().tolist() == [[True, False]]
    with pytest.raises(ValueError, match="class shares for a softmax loss"):
        FocalLoss().log_posterior(torch.zeros(3, 2), prior=0.1)
    with pytest.raises(ValueError, match="sigmoid"):
        SigmoidFocalLoss().log_posterior(torch.zeros(3, 3), prior=[0.5, 0.3, 0.2])
