"""Class-weighted binary cross-entropy: equal to torch, weights from counts and labels, the posterior it undoes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from imbalance_torch.class_stats import SCHEMES, class_weights
from imbalance_torch.losses import ClassWeightedBCEWithLogitsLoss, SigmoidFocalLoss
from imbalance_torch.losses.functional import weighted_binary_cross_entropy_with_logits

DOUBLE = torch.float64
PAIRS = [[900, 100], [500, 500], [3, 997]]
SHARE = torch.tensor([0.001, 0.02, 0.3, 0.5, 0.9, 0.995], dtype=DOUBLE)


def draw(*shape, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(3)
    logits = (3 * torch.randn(shape, generator=generator, dtype=DOUBLE)).to(dtype).requires_grad_()
    return logits, torch.randint(2, shape, generator=generator).to(dtype)


def same(ours, theirs, logits):
    torch.testing.assert_close(ours, theirs)
    up = torch.ones_like(ours)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, logits, up, retain_graph=True)[0] for loss in (ours, theirs))
    )


# ------------------------------------------------------------------ torch.nn


@pytest.mark.parametrize("shape", [(), (6,), (6, 3), (6, 3, 4)], ids=str)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("given", [(), ("weight",), ("pos_weight",), ("weight", "pos_weight")], ids=str)
@pytest.mark.parametrize("soft", [False, True])
def test_equals_torch(shape, reduction, given, soft):
    logits, target = draw(*shape)
    target = 0.2 + 0.5 * target if soft else target
    generator = torch.Generator().manual_seed(4)
    weights = {name: 5 * torch.rand(shape[-1:], generator=generator, dtype=DOUBLE) for name in given}
    theirs = F.binary_cross_entropy_with_logits(logits, target, reduction=reduction, **weights)
    same(ClassWeightedBCEWithLogitsLoss(reduction=reduction, **weights)(logits, target), theirs, logits)
    ours = weighted_binary_cross_entropy_with_logits(logits, target, reduction=reduction, **weights)
    same(ours, theirs, logits)
    module = torch.nn.BCEWithLogitsLoss(reduction=reduction, **weights)
    same(ours, module(logits, target), logits)


def test_keeps_the_digits_of_a_small_loss():
    logits = torch.tensor([20.0, -20.0], requires_grad=True)  # torch gives 0 for the second: x - logsigmoid(x)
    loss = weighted_binary_cross_entropy_with_logits(logits, torch.tensor([1, 0]), reduction="none")
    expected = torch.full((2,), 2.0611536e-9)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    loss.sum().backward()
    torch.testing.assert_close(logits.grad, torch.tensor([-1, 1]) * expected, rtol=1e-6, atol=0)


def test_options_work_together():
    logits, target = draw(6, 3)
    marked = target.clone()
    marked[0] = marked[1, 1] = -1
    valid = marked != -1
    weight, ratio = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE), torch.tensor([3.0, 1.0, 9.0], dtype=DOUBLE)
    rows = torch.arange(1.0, 7.0, dtype=DOUBLE)
    spread = rows[:, None].expand(6, 3)
    elements = spread * F.binary_cross_entropy_with_logits(
        logits, 0.8 * target + 0.1, weight, pos_weight=ratio, reduction="none"
    )
    for normalizer, denominator in {
        "count": valid.sum(),
        "weight": (weight * spread)[valid].sum(),
        "positives": target[valid].sum(),
        7: 7,
    }.items():
        options = {"label_smoothing": 0.2, "ignore_index": -1, "normalizer": normalizer}
        loss = ClassWeightedBCEWithLogitsLoss(weight=weight, pos_weight=ratio, **options)
        expected = elements[valid].sum() / denominator
        same(loss(logits, marked, rows), expected, logits)
        same(
            weighted_binary_cross_entropy_with_logits(
                logits, marked, weight=weight, pos_weight=ratio, sample_weight=rows, **options
            ),
            expected,
            logits,
        )


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"normalizer": "weight"}], ids=str)
def test_equals_focal_at_gamma_zero(options):
    logits, target = draw(6, 3)
    options = {**options, "weight": torch.tensor([0.5, 1.0, 2.0]), "pos_weight": torch.tensor([3.0, 1.0, 9.0])}
    same(
        ClassWeightedBCEWithLogitsLoss(**options)(logits, target),
        SigmoidFocalLoss(gamma=0.0, **options)(logits, target),
        logits,
    )


def test_without_valid_elements_the_loss_is_zero_with_a_graph():
    logits, _ = draw(4)
    loss = weighted_binary_cross_entropy_with_logits(logits, torch.full((4,), -1), ignore_index=-1)
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


# ------------------------------------------------------------------ weights from counts and labels


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("normalize", ["samples", "classes", None])
@pytest.mark.parametrize("max_weight", [None, 1.5])
def test_positives_and_negatives_weigh_what_class_weights_says(scheme, normalize, max_weight):
    arguments = {"beta": 0.99, "power": 0.7, "normalize": normalize, "max_weight": max_weight}
    loss = ClassWeightedBCEWithLogitsLoss.from_counts(PAIRS, scheme, **arguments, reduction="none")
    logits = torch.zeros(2, 3, dtype=DOUBLE)
    target = torch.tensor([[0.0] * 3, [1.0] * 3])
    plain = F.binary_cross_entropy_with_logits(logits, target.to(DOUBLE), reduction="none")
    expected = torch.stack([class_weights(pair, scheme, **arguments) for pair in PAIRS], 1)
    torch.testing.assert_close(loss(logits, target) / plain, expected, rtol=1e-14, atol=0)
    for column, pair in enumerate(PAIRS):
        one = ClassWeightedBCEWithLogitsLoss.from_counts(pair, scheme, **arguments, reduction="none")
        for shape in ((2,), (2, 1)):
            alone = one(logits[:, 0].reshape(shape), target[:, 0].reshape(shape)).flatten()
            assert torch.equal(alone, loss(logits, target)[:, column])


def test_the_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1], PAIRS[0])
    w_neg, w_pos = compute_class_weight("balanced", classes=np.arange(2), y=labels)
    loss = ClassWeightedBCEWithLogitsLoss.from_labels(labels)
    assert loss.weight.item() == pytest.approx(w_neg, rel=1e-14)
    assert loss.pos_weight.item() == pytest.approx(w_pos / w_neg, rel=1e-14)
    assert loss.pos_weight.item() == pytest.approx(9.0, rel=1e-14)  # negatives / positives


def test_sample_normalisation_keeps_the_average_weight_of_a_label():
    logits = torch.zeros(1000, 3)
    labels = torch.stack([torch.arange(1000) < positives for _, positives in PAIRS], 1)
    loss = ClassWeightedBCEWithLogitsLoss.from_labels(labels, reduction="none")
    weights = loss(logits, labels) / np.log(2)
    torch.testing.assert_close(weights.mean(0), torch.ones(3))


LABELS = np.array([[0, 1], [0, 1], [1, 0], [0, 1]])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.tolist(),
        LABELS.astype(bool),
        LABELS.astype(np.float32),
        torch.from_numpy(LABELS),
        torch.from_numpy(LABELS).half(),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_from_labels_counts_each_label(labels):
    options = {"scheme": "inverse_sqrt", "normalize": "classes", "max_weight": 3.0, "label_smoothing": 0.1}
    loss = ClassWeightedBCEWithLogitsLoss.from_labels(labels, **options)
    expected = ClassWeightedBCEWithLogitsLoss.from_counts([[3, 1], [1, 3]], **options)
    assert torch.equal(loss.weight, expected.weight)
    assert torch.equal(loss.pos_weight, expected.pos_weight)
    assert loss.label_smoothing == 0.1


def test_from_labels_counts_half_floats_past_their_digits():
    labels = (torch.arange(8000) < 5003).half()  # half precision rounds 5003 to 5004
    expected = ClassWeightedBCEWithLogitsLoss.from_counts([2997, 5003])
    assert torch.equal(ClassWeightedBCEWithLogitsLoss.from_labels(labels).pos_weight, expected.pos_weight)


def test_a_label_without_a_class():
    counts = [[10, 0], [9, 1]]
    clamped = ClassWeightedBCEWithLogitsLoss.from_counts(counts, empty="clamp")
    assert clamped.pos_weight.tolist() == pytest.approx([10.0, 9.0])
    silent = ClassWeightedBCEWithLogitsLoss.from_counts(counts, empty="zero")
    assert silent.pos_weight.tolist() == pytest.approx([0.0, 9.0])
    assert silent.weight[0] == 1.0
    assert ClassWeightedBCEWithLogitsLoss.from_counts([0, 5], empty="clamp").pos_weight.item() == pytest.approx(0.2)
    with pytest.raises(ValueError, match="Label 0 has no positives or no negatives"):
        ClassWeightedBCEWithLogitsLoss.from_counts(counts)
    with pytest.raises(ValueError, match="Label 1, 2 has no positives or no negatives"):
        ClassWeightedBCEWithLogitsLoss.from_counts([[1, 1], [0, 3], [0, 2]])
    with pytest.raises(ValueError, match="Label 1 has no"):
        ClassWeightedBCEWithLogitsLoss.from_counts([[1, 0], [0, 3]], empty="zero")


def test_weights_that_do_nothing_are_warned_of():
    with pytest.warns(UserWarning, match="Raise `beta`, here 0.9, towards 1: 0.999 or more"):
        ClassWeightedBCEWithLogitsLoss.from_counts([[900, 100], [500, 500]], "effective", beta=0.9)


# ------------------------------------------------------------------ posterior


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [None, 0.5])
def test_the_posterior_comes_back_from_the_minimiser(label_smoothing, share):
    prior = 0.1
    loss = ClassWeightedBCEWithLogitsLoss.from_counts([900, 100], "inverse_sqrt", label_smoothing=label_smoothing)
    fed = SHARE if share is None else SHARE * share / prior / (SHARE * share / prior + (1 - SHARE) * (1 - share) / 0.9)
    smooth = fed * (1 - label_smoothing) + label_smoothing / 2
    w_neg, w_pos = class_weights([900, 100], "inverse_sqrt")
    logits = (w_pos * smooth / (w_neg * (1 - smooth))).log().requires_grad_()
    slope = torch.autograd.grad(loss(logits, fed), logits)[0]
    torch.testing.assert_close(slope, torch.zeros(6, dtype=DOUBLE), rtol=0, atol=1e-15)  # these logits are the minimum
    for form in (prior, [0.9, prior]):
        posterior = loss.log_posterior(logits, prior=form, train_prior=share).exp()
        torch.testing.assert_close(posterior, SHARE, rtol=1e-9, atol=0)


def test_labels_have_posteriors_of_their_own():
    loss = ClassWeightedBCEWithLogitsLoss.from_counts(PAIRS)
    priors = [[0.9, 0.1], [0.5, 0.5], [0.003, 0.997]]
    posterior = loss.log_posterior(torch.zeros(4, 3, dtype=DOUBLE), prior=priors).exp()
    expected = torch.tensor([0.1, 0.5, 0.997], dtype=DOUBLE).expand(4, 3)  # balanced weights: zero means the prior
    torch.testing.assert_close(posterior, expected)


# ------------------------------------------------------------------ errors, modules


@pytest.mark.parametrize(
    ("build", "argument", "error", "match"),
    [
        ("from_counts", 5, ValueError, r"`class_counts`.*shape"),
        ("from_counts", [1, 2, 3], ValueError, r"`class_counts`.*\(3,\)"),
        ("from_counts", [[1], [2]], ValueError, "`class_counts`"),
        ("from_counts", np.empty((0, 2)), ValueError, "`class_counts`"),
        ("from_counts", [[[1, 2]]], ValueError, "`class_counts`"),
        ("from_counts", ["a", "b"], TypeError, "`class_counts`"),
        ("from_counts", [1, -2], ValueError, "finite, >= 0"),
        ("from_counts", [1, float("nan")], ValueError, "finite, >= 0"),
        ("from_labels", [], ValueError, "N > 0"),
        ("from_labels", 1, ValueError, "shape"),
        ("from_labels", [[[1]]], ValueError, "shape"),
        ("from_labels", [0, 2, 1], ValueError, "must be 0 or 1, got 2"),
        ("from_labels", [0, 0.5], ValueError, "must be 0 or 1, got 0.5"),
        ("from_labels", [0, float("nan")], ValueError, "must be 0 or 1, got nan"),
        ("from_labels", ["no", "yes"], TypeError, "`labels`"),
        ("from_labels", [1, 1], ValueError, "Label 0 has no positives or no negatives"),
    ],
    ids=str,
)
def test_bad_counts_and_labels(build, argument, error, match):
    with pytest.raises(error, match=match):
        getattr(ClassWeightedBCEWithLogitsLoss, build)(argument)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"weight": torch.tensor([1.0, -1.0])}, ValueError, "`weight`"),
        ({"pos_weight": torch.tensor([1.0, torch.nan])}, ValueError, "`pos_weight`"),
        ({"pos_weight": 2.0}, TypeError, "`pos_weight`"),
        ({"label_smoothing": 2.0}, ValueError, "`label_smoothing`"),
        ({"ignore_index": 0.5}, TypeError, "`ignore_index`"),
        ({"reduction": "avg"}, ValueError, "`reduction`"),
        ({"normalizer": "batch"}, ValueError, "`normalizer`"),
    ],
    ids=str,
)
def test_bad_arguments_raise_at_construction(arguments, error, match):
    with pytest.raises(error, match=match):
        ClassWeightedBCEWithLogitsLoss(**arguments)
    if not isinstance(next(iter(arguments.values())), torch.Tensor):
        with pytest.raises(error, match=match):
            weighted_binary_cross_entropy_with_logits(*draw(4), **arguments)


@pytest.mark.parametrize(
    ("scheme", "arguments", "match"),
    [
        ("balance", {}, "Did you mean 'balanced'"),
        ("balanced", {"empty": "drop"}, "`empty`"),
        ("effective", {"beta": 1.0}, "`beta`"),
        ("balanced", {"max_weight": 0}, "`max_weight`"),
    ],
)
def test_bad_schemes(scheme, arguments, match):
    with pytest.raises(ValueError, match=match):
        ClassWeightedBCEWithLogitsLoss.from_counts([9, 1], scheme, **arguments)


def test_the_repr_shows_the_weights():
    text = repr(ClassWeightedBCEWithLogitsLoss.from_counts([900, 100], normalizer="weight"))
    assert "weight=0.555556, pos_weight=9.0" in text
    assert "normalizer='weight'" in text


def test_compiles_in_one_graph():
    torch._dynamo.reset()
    loss = ClassWeightedBCEWithLogitsLoss.from_counts(PAIRS, label_smoothing=0.1)
    logits, target = draw(6, 3, dtype=torch.float32)
    fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
    same(fast(logits, target, torch.ones(6)), loss(logits, target, torch.ones(6)), logits)
    torch._dynamo.reset()
