"""Prior shifts against Bayes' rule, and the bias of a head against the shares it should predict."""

import numpy as np
import pytest
import torch
from torch import nn

from imbalance_torch.class_stats import class_counts
from imbalance_torch.priors import adjust_logits, init_prior_bias_

OLD, NEW = [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]


def draw(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 3, 4), (2, 3, 4, 5), (0, 3)], ids=str)
def test_vector_prior_is_bayes_rule(shape, device):
    logits = draw(*shape).to(device)
    dim = min(1, len(shape) - 1)
    ratio = (torch.tensor(NEW, dtype=torch.float64) / torch.tensor(OLD, dtype=torch.float64)).to(device)
    expected = logits.softmax(dim) * ratio.reshape(-1, *[1] * (len(shape) - 1 - dim))
    expected = expected / expected.sum(dim, keepdim=True)
    actual = adjust_logits(logits, from_prior=OLD, to_prior=NEW)
    torch.testing.assert_close(actual.softmax(dim), expected)
    assert actual.shape == logits.shape


@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (2, 3, 4)], ids=str)
def test_number_prior_shifts_the_odds(shape):
    logits = draw(*shape)
    odds = logits.exp() * (0.02 / 0.98) / (0.5 / 0.5)
    torch.testing.assert_close(adjust_logits(logits, from_prior=0.5, to_prior=0.02).sigmoid(), odds / (1 + odds))
    zero_d = adjust_logits(logits, from_prior=torch.tensor(0.5), to_prior=np.float64(0.02))
    torch.testing.assert_close(zero_d.sigmoid(), odds / (1 + odds))


def test_labels_with_shares_of_their_own():
    logits = draw(4, 2)
    both = adjust_logits(logits, from_prior=[[0.5, 0.5], [0.9, 0.1]], to_prior=[[0.8, 0.2], [0.4, 0.6]])
    for label, (source, wanted) in enumerate(((0.5, 0.2), (0.1, 0.6))):
        one = adjust_logits(logits[:, label], from_prior=source, to_prior=wanted)
        torch.testing.assert_close(both[:, label], one)


def test_two_classes_equal_one_sigmoid():
    logits = draw(6, 2)
    pair = adjust_logits(logits, from_prior=[0.5, 0.5], to_prior=[0.99, 0.01])
    single = adjust_logits(logits[:, 1] - logits[:, 0], from_prior=0.5, to_prior=0.01)
    torch.testing.assert_close(pair.softmax(1)[:, 1], single.sigmoid())


def test_there_and_back_and_nothing_for_equal_priors():
    logits = draw(5, 3)
    there = adjust_logits(logits, from_prior=OLD, to_prior=NEW)
    torch.testing.assert_close(adjust_logits(there, from_prior=NEW, to_prior=OLD), logits)
    assert torch.equal(adjust_logits(logits, from_prior=OLD, to_prior=OLD), logits)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda v: torch.tensor(v, dtype=torch.float32)])
def test_every_kind_of_prior_and_dtype(kind):
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        actual = adjust_logits(draw(5, 3, dtype=dtype), from_prior=kind(OLD), to_prior=kind(NEW))
        assert actual.dtype == dtype
        expected = adjust_logits(draw(5, 3, dtype=dtype).double(), from_prior=OLD, to_prior=NEW).to(dtype)
        torch.testing.assert_close(actual, expected)


def test_gradient_passes_unchanged_and_logits_are_never_inspected():
    logits = draw(5, 3).requires_grad_()
    adjust_logits(logits, from_prior=OLD, to_prior=NEW).sum().backward()
    assert torch.equal(logits.grad, torch.ones_like(logits))
    meta = adjust_logits(torch.empty(5, 3, device="meta"), from_prior=OLD, to_prior=NEW)
    assert meta.shape == (5, 3)


@pytest.mark.parametrize(
    ("source", "wanted", "match"),
    [
        ([100, 10, 1], NEW, "class_counts"),
        ([0.3, 0.3, 0.3], NEW, "sum to 1"),
        ([0.2, 0.3, float("nan")], NEW, "sum to 1"),
        ([0.5, 0.5, 0.0], NEW, "strictly between 0 and 1"),
        ([1.2, -0.4, 0.2], NEW, "strictly between 0 and 1"),
        ([0.5, 0.5], [0.1, 0.9], "3 classes"),
        (0.5, NEW, "one shape"),
        (0.0, 0.5, "strictly"),
        (0.5, 1.0, "strictly"),
        (float("nan"), 0.5, "strictly"),
        ([[0.2, 0.3, 0.5]], [[0.2, 0.3, 0.5]], r"\(L, 2\)"),
    ],
    ids=str,
)
def test_bad_priors(source, wanted, match):
    with pytest.raises(ValueError, match=match):
        adjust_logits(torch.zeros(4, 3), from_prior=source, to_prior=wanted)


def test_wrong_kinds():
    with pytest.raises(TypeError, match="`logits`"):
        adjust_logits(torch.zeros(3, dtype=torch.int64), from_prior=0.5, to_prior=0.5)
    with pytest.raises(TypeError, match="`from_prior`"):
        adjust_logits(torch.zeros(3), from_prior="balanced", to_prior=0.5)


HEADS = {
    "linear": (lambda outputs: nn.Linear(4, outputs), (1, 4)),
    "conv1d": (lambda outputs: nn.Conv1d(4, outputs, 1), (1, 4, 3)),
    "conv2d": (lambda outputs: nn.Conv2d(4, outputs, 1), (1, 4, 3, 3)),
    "conv3d": (lambda outputs: nn.Conv3d(4, outputs, 1), (1, 4, 2, 2, 2)),
}


@pytest.mark.parametrize("name", HEADS)
def test_head_predicts_the_prior_at_zero_input(name):
    build, shape = HEADS[name]
    zero = torch.zeros(shape)
    head = build(3)
    before = head.weight.detach().clone()
    assert init_prior_bias_(head, NEW) is head
    assert torch.equal(head.weight, before)
    assert head.bias.requires_grad
    probabilities = head(zero).softmax(1).movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(probabilities, torch.tensor(NEW).expand_as(probabilities))
    for prior in (0.01, torch.tensor(0.01), [0.99, 0.01], [[0.99, 0.01]]):
        output = init_prior_bias_(build(1), prior)(zero).sigmoid()
        torch.testing.assert_close(output, torch.full_like(output, 0.01))
    labels = init_prior_bias_(build(3), [[0.9, 0.1], [0.5, 0.5], [0.01, 0.99]])(zero)
    shares = labels.sigmoid().movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.5, 0.99]).expand_as(shares))


def test_head_from_counts_keeps_dtype():
    counts = class_counts([0] * 70 + [1] * 20 + [2] * 10)
    head = init_prior_bias_(nn.Linear(2, 3, dtype=torch.float64), counts / counts.sum())
    torch.testing.assert_close(head.bias.softmax(0), torch.tensor(NEW, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("head", "prior", "error", "match"),
    [
        (nn.Linear(2, 3, bias=False), NEW, ValueError, "bias=True"),
        (nn.Linear(2, 3), [0.5, 0.5], ValueError, "3 output"),
        (nn.Linear(2, 3), 0.1, ValueError, "3 output"),
        (nn.Linear(2, 1), NEW, ValueError, "1 output"),
        (nn.Linear(2, 3), [1.0, 0.0, 0.0], ValueError, "strictly between 0 and 1"),
        (nn.Linear(2, 3), [7, 2, 1], ValueError, "class_counts"),
        (nn.Linear(2, 1), 0.0, ValueError, "strictly between 0 and 1"),
        (nn.Linear(2, 2), [[0.5, 0.6], [0.5, 0.5]], ValueError, "sum to 1"),
        (nn.ReLU(), NEW, TypeError, "`head`"),
    ],
    ids=str,
)
def test_bad_heads(head, prior, error, match):
    with pytest.raises(error, match=match):
        init_prior_bias_(head, prior)
