"""Tversky and soft F1: identities, a reference in plain Python, then the values of other libraries."""

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score, jaccard_score

from imbalance_torch.losses._arguments import NoPosteriorError
from imbalance_torch.losses._overlap import SoftF1Loss, TverskyLoss, soft_f1, tversky_loss

DOUBLE = torch.float64
WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
REDUCTIONS = ["none", "mean", "sum"]
LOSSES = pytest.mark.parametrize(
    ("module", "function"), [(TverskyLoss, tversky_loss), (SoftF1Loss, soft_f1)], ids=["tversky", "soft_f1"]
)
FUNCTIONS = pytest.mark.parametrize("function", [tversky_loss, soft_f1])
EACH_REDUCTION = pytest.mark.parametrize("reduction", REDUCTIONS)


def draw(shape=(8, 3), dtype=DOUBLE):
    generator = torch.Generator().manual_seed(7)
    logits = (2 * torch.randn(shape, generator=generator, dtype=DOUBLE)).to(dtype).requires_grad_()
    target = torch.arange(math.prod(shape) // shape[1]).reshape(shape[:1] + shape[2:]) % 3
    return logits, target


def rows_of(n, seed=1):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) + 0.5


def same(first, second, logits, **tolerance):
    up = torch.arange(1.0, first.numel() + 1, dtype=first.dtype).reshape(first.shape)
    torch.testing.assert_close(first, second, **tolerance)
    one, two = (torch.autograd.grad(loss, logits, up, retain_graph=True)[0] for loss in (first, second))
    torch.testing.assert_close(one, two, **tolerance)


def reference(logits, target, alpha, beta, weight, s):
    """Return the loss of each class (None without targets) and the mean, from lists of rows and class indices."""
    exps = [[math.exp(value) for value in row] for row in logits]
    p = [[value / sum(row) for value in row] for row in exps]
    losses = []
    for c in range(len(weight)):
        inside = [i for i, y in enumerate(target) if y == c]
        outside = [i for i, y in enumerate(target) if y != c]
        tp = sum(s[i] * p[i][c] for i in inside)
        fp = sum(s[i] * p[i][c] for i in outside)
        fn = sum(s[i] * (1 - p[i][c]) for i in inside)
        losses.append(1 - tp / (tp + alpha * fp + beta * fn) if inside else None)
    counted = [(w, loss) for w, loss in zip(weight, losses, strict=True) if loss is not None]
    return losses, sum(w * loss for w, loss in counted) / sum(w for w, _ in counted)


# ------------------------------------------------------------------ identities


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.0, 1.0), (1.0, 1.0), (2.0, 0.1)])
@pytest.mark.parametrize("present", [[0, 1, 2], [0, 2]], ids=str)
def test_equals_the_loop_over_classes_and_rows(alpha, beta, present):
    logits, _ = draw()
    target = torch.tensor(present)[torch.arange(8) % len(present)]
    s = rows_of(8)
    losses, mean = reference(logits.tolist(), target.tolist(), alpha, beta, WEIGHT.tolist(), s.tolist())
    arguments = {"alpha": alpha, "beta": beta, "weight": WEIGHT, "sample_weight": s}
    expected = torch.tensor([loss or 0.0 for loss in losses], dtype=DOUBLE) * WEIGHT
    torch.testing.assert_close(tversky_loss(logits, target, **arguments, reduction="none"), expected)
    torch.testing.assert_close(tversky_loss(logits, target, **arguments, reduction="sum"), expected.sum())
    torch.testing.assert_close(tversky_loss(logits, target, **arguments), torch.tensor(mean, dtype=DOUBLE))


@EACH_REDUCTION
def test_soft_f1_is_tversky_at_one_half(reduction):
    logits, target = draw()
    for arguments in ({}, {"weight": WEIGHT, "sample_weight": rows_of(8), "ignore_index": 1}):
        ours = soft_f1(logits, target, reduction=reduction, **arguments)
        same(ours, tversky_loss(logits, target, alpha=0.5, beta=0.5, reduction=reduction, **arguments), logits)


def test_hard_decisions_give_one_minus_f1_and_one_minus_jaccard():
    logits, target = draw((60, 3))
    s, decided = rows_of(60), logits.argmax(1)
    hard = F.one_hot(decided, 3) * 1e4
    for ours, score in (
        (soft_f1(hard.to(DOUBLE), target, sample_weight=s), f1_score),
        (tversky_loss(hard.to(DOUBLE), target, alpha=1, beta=1, sample_weight=s), jaccard_score),
    ):
        theirs = score(target, decided, average="macro", sample_weight=s.numpy())
        torch.testing.assert_close(ours, torch.tensor(1 - theirs, dtype=DOUBLE))


def test_two_classes_are_the_binary_f1_of_a_sigmoid():
    logits, _ = draw((8, 2))
    target = torch.arange(8) % 2
    p = (logits[:, 1] - logits[:, 0]).sigmoid()
    hits = (p * target).sum()
    expected = 1 - 2 * hits / (p.sum() + target.sum())
    torch.testing.assert_close(soft_f1(logits, target, reduction="none")[1], expected)


@FUNCTIONS
def test_right_decisions_give_zero_and_wrong_ones_give_one(function):
    _, target = draw()
    right = F.one_hot(target, 3) * 50.0
    assert 0 <= function(right, target) < 1e-20
    torch.testing.assert_close(function(right, (target + 1) % 3), torch.tensor(1.0))


@FUNCTIONS
@EACH_REDUCTION
def test_order_of_rows_and_a_shift_of_a_row_change_nothing(function, reduction):
    logits, target = draw()
    s, order = rows_of(8), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    loss = function(logits, target, sample_weight=s, reduction=reduction)
    same(function(logits[order], target[order], sample_weight=s[order], reduction=reduction), loss, logits)
    shift = torch.arange(8.0, dtype=DOUBLE).unsqueeze(1)
    same(function(logits + shift, target, sample_weight=s, reduction=reduction), loss, logits)


@FUNCTIONS
def test_classes_may_be_renamed(function):
    logits, target = draw()
    names = torch.tensor([2, 0, 1])
    loss = function(logits, target, reduction="none")
    same(function(logits[:, names.argsort()], names[target], reduction="none")[names], loss, logits)


@FUNCTIONS
@EACH_REDUCTION
def test_sample_weights_count_rows(function, reduction):
    logits, target = draw()
    s = torch.tensor([2, 1, 0, 1, 1, 3, 1, 1])
    rows = torch.arange(8).repeat_interleave(s)
    loss = function(logits, target, sample_weight=s, reduction=reduction)
    same(loss, function(logits[rows], target[rows], reduction=reduction), logits)
    same(loss, function(logits, target, sample_weight=7.5 * s, reduction=reduction), logits)


@FUNCTIONS
@EACH_REDUCTION
def test_one_hot_and_every_integer_kind_equal_the_index(function, reduction):
    logits, target = draw((4, 3, 5))
    loss = function(logits, target, weight=WEIGHT, reduction=reduction)
    one_hot = F.one_hot(target, 3).movedim(-1, 1).float()
    same(function(logits, one_hot, weight=WEIGHT, reduction=reduction), loss, logits)
    for kind in (torch.int32, torch.uint8, torch.int8):
        same(function(logits, target.to(kind), weight=WEIGHT, reduction=reduction), loss, logits)


def test_probabilities_share_a_row_between_classes():
    logits, _ = draw((4, 3))
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
    soft = 0.3 * F.one_hot(first, 3) + 0.7 * F.one_hot(second, 3)
    rows, weights = torch.cat([logits, logits]), torch.tensor([0.3, 0.7]).repeat_interleave(4)
    same(
        tversky_loss(logits, soft, reduction="none"),
        tversky_loss(rows, torch.cat([first, second]), sample_weight=weights, reduction="none"),
        logits,
        rtol=1e-6,
        atol=1e-6,
    )


@FUNCTIONS
@EACH_REDUCTION
def test_places_are_rows_and_one_row_is_a_batch(function, reduction):
    logits, target = draw((4, 3, 2, 5))
    flat = logits.movedim(1, -1).reshape(-1, 3)
    s = rows_of(4)
    loss = function(logits, target, sample_weight=s, reduction=reduction)
    by_row = function(flat, target.flatten(), sample_weight=s.repeat_interleave(10), reduction=reduction)
    same(loss, by_row, logits)
    full = s.reshape(4, 1, 1).expand(4, 2, 5)
    same(loss, function(logits, target, sample_weight=full, reduction=reduction), logits)
    turned = logits.transpose(0, 3).contiguous().transpose(0, 3)
    same(function(turned, target, sample_weight=s, reduction=reduction), loss, logits)
    row = flat[0]
    one = function(row, target[0, 0, 0], sample_weight=torch.tensor(2.0), reduction=reduction)
    same(one, function(flat[:1], target[0, 0, :1], reduction=reduction), logits)
    same(one, function(row, F.one_hot(target[0, 0, 0], 3).float(), reduction=reduction), logits)


@FUNCTIONS
def test_mean_is_weighted_over_the_classes_present(function):
    logits, _ = draw()
    target = torch.tensor([0, 2] * 4)
    losses = function(logits, target, reduction="none")
    assert losses[1] == 0
    torch.testing.assert_close(function(logits, target), (losses[0] + losses[2]) / 2)
    torch.testing.assert_close(function(logits, target, weight=WEIGHT), (0.5 * losses[0] + 2 * losses[2]) / 2.5)
    only_the_absent = function(logits, target, weight=torch.tensor([0.0, 1.0, 0.0]))
    assert only_the_absent == 0
    s = torch.arange(8.0)  # the only row of class 1 weighs nothing
    without_the_row = function(logits[1:], torch.zeros(7).long(), sample_weight=s[1:])
    torch.testing.assert_close(function(logits, torch.tensor([1] + [0] * 7), sample_weight=s), without_the_row)


@FUNCTIONS
@EACH_REDUCTION
@pytest.mark.parametrize("ignore_index", [-100, 1])
def test_ignored_rows_may_hold_anything(function, reduction, ignore_index):
    logits, target = draw()
    target = target.masked_fill(torch.arange(8) == 0, ignore_index)
    kept = target != ignore_index
    arguments = {"ignore_index": ignore_index, "reduction": reduction, "weight": WEIGHT}
    expected = function(logits[kept], target[kept], sample_weight=rows_of(8)[kept], **arguments)
    same(function(logits, target, sample_weight=rows_of(8), **arguments), expected, logits)
    broken = logits.detach().masked_fill(~kept.unsqueeze(1), torch.nan).requires_grad_()
    loss = function(broken, target, sample_weight=rows_of(8).masked_fill(~kept, torch.nan), **arguments)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    assert broken.grad[kept].abs().sum() > 0
    assert (broken.grad[~kept] == 0).all()


@FUNCTIONS
@EACH_REDUCTION
def test_nothing_valid_gives_zero_with_a_graph(function, reduction):
    logits, target = draw()
    for x, t, s in (
        (logits, torch.full_like(target, -100), None),
        (logits, target, torch.zeros(8)),
        (logits[:0], target[:0], None),
        (logits.reshape(8, 3, 1)[..., :0], target.reshape(8, 1)[..., :0], None),
    ):
        x = x.detach().requires_grad_()
        loss = function(x, t, sample_weight=s, reduction=reduction)
        loss.sum().backward()
        assert (loss == 0).all()
        assert (x.grad == 0).all()
        assert loss.shape == ((3,) if reduction == "none" else ())


# ------------------------------------------------------------------ values of other libraries

X = torch.tensor([[2, -1, 0.5], [0.1, 0.2, -0.3], [-1.5, 3, 0], [0.7, -0.4, 1.1]], dtype=DOUBLE)
T = torch.tensor([0, 1, 2, 2])


def test_values_of_segmentation_libraries():
    # segmentation-models-pytorch 0.6.0 "multiclass"; monai 1.6.1 batch=True gives the first up to its smoothing
    torch.testing.assert_close(tversky_loss(X, T), torch.tensor(0.544500835, dtype=DOUBLE), rtol=0, atol=1e-9)
    torch.testing.assert_close(soft_f1(X, T), torch.tensor(0.556954787, dtype=DOUBLE), rtol=0, atol=1e-9)


def test_kornia_averages_over_rows_where_the_batch_counts_here():
    rows = torch.stack([tversky_loss(X[i : i + 1], T[i : i + 1]) for i in range(4)])  # kornia 0.9.0, (4, 3, 1, 1)
    torch.testing.assert_close(rows.mean(), torch.tensor(0.498383254, dtype=DOUBLE), rtol=0, atol=1e-8)
    p = X.softmax(1)[torch.arange(4), T]
    torch.testing.assert_close(rows, 1 - p / (p + 0.7 * (1 - p)))  # a row of one class has no false alarm
    assert abs(tversky_loss(X, T) - rows.mean()) > 0.04


# ------------------------------------------------------------------ numbers


@FUNCTIONS
def test_gradients(function):
    logits, target = draw((5, 3))
    s = rows_of(5).requires_grad_()
    soft = logits.detach().roll(1, 0).softmax(1)
    for reduction, t in itertools.product(REDUCTIONS, (target, soft)):

        def loss(x, s, t=t, reduction=reduction):
            return function(x, t, weight=WEIGHT, sample_weight=s, reduction=reduction)

        assert torch.autograd.gradcheck(loss, (logits, s))
        assert torch.autograd.gradgradcheck(loss, (logits, s))


GRID = [sign * size for size in (0.0, 20.0, 100.0, 1e4) for sign in (1, -1)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.0, 1.0), (1.0, 1e-3)])
def test_finite_everywhere(dtype, alpha, beta, device):
    table = torch.tensor(list(itertools.product(GRID, repeat=3)), dtype=dtype, device=device)
    batches = [(row.unsqueeze(0), torch.tensor([c], device=device)) for row in table[::7] for c in range(3)]
    batches += [(table, torch.arange(len(table), device=device) % 3), (table, torch.full_like(table, 1 / 3))]
    for x, target in batches:
        for reduction in REDUCTIONS:
            x = x.detach().clone().requires_grad_()
            loss = tversky_loss(x, target, alpha=alpha, beta=beta, reduction=reduction)
            wide = DOUBLE if dtype == DOUBLE else torch.float32
            assert loss.dtype == (dtype if reduction == "none" else wide)
            loss.sum().backward()
            assert loss.isfinite().all()
            assert (loss >= 0).all()
            assert x.grad.isfinite().all()
            assert x.grad.dtype == dtype


@FUNCTIONS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_low_precision_input_is_computed_wide(function, dtype):
    logits, target = draw((16, 3), dtype)
    exact = function(logits.double(), target, sample_weight=rows_of(16))
    torch.testing.assert_close(function(logits, target, sample_weight=rows_of(16)).double(), exact, rtol=1e-6, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(
            function(logits, target, sample_weight=rows_of(16)).double(), exact, rtol=1e-6, atol=0
        )


@FUNCTIONS
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_sample_weights_does_not_matter(function, scale):
    logits, target = draw(dtype=torch.float32)
    same(function(logits, target, sample_weight=torch.full((8,), scale)), function(logits, target), logits)


@FUNCTIONS
def test_nothing_global_changes(function):
    logits, target = draw()
    before = torch.random.get_rng_state()
    with torch.no_grad():
        assert not function(logits, target).requires_grad
        assert not torch.is_grad_enabled()
    function(logits, target).backward()
    assert torch.is_grad_enabled()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(target, draw()[1])


@FUNCTIONS
def test_no_value_is_read_on_the_host(function):
    logits, target = (value.to("meta") for value in draw())
    for reduction, shape in (("none", (3,)), ("mean", ()), ("sum", ())):
        assert function(logits, target, reduction=reduction, sample_weight=target).shape == shape


# ------------------------------------------------------------------ modules


@LOSSES
@EACH_REDUCTION
def test_module_equals_function(module, function, reduction, device):
    logits, target = (value.to(device) for value in draw())
    arguments = {"weight": WEIGHT, "ignore_index": 1, "reduction": reduction}
    loss = module(**arguments).to(device)
    arguments["weight"] = WEIGHT.to(device)
    s = rows_of(8).to(device)
    assert torch.equal(loss(logits, target, s), function(logits, target, sample_weight=s, **arguments))
    assert torch.equal(loss(logits, target), function(logits, target, **arguments))


def test_tversky_module_passes_its_prices():
    logits, target = draw()
    assert torch.equal(TverskyLoss(alpha=2, beta=0.1)(logits, target), tversky_loss(logits, target, alpha=2, beta=0.1))
    assert TverskyLoss(alpha=2, beta=0.1)(logits, target) != TverskyLoss()(logits, target)


@LOSSES
def test_modules_travel(module, function):
    weight = WEIGHT.clone()
    loss = module(weight=weight, ignore_index=1, reduction="sum", sync_normalizer=True)
    weight.zero_()
    logits, target = draw()
    expected = function(logits, target, weight=WEIGHT, ignore_index=1, reduction="sum")
    saved = io.BytesIO()
    torch.save(loss, saved)
    saved.seek(0)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.load(saved, weights_only=False)):
        assert torch.equal(twin(logits, target), expected)
        assert repr(twin) == repr(loss)
    assert not loss.state_dict()
    assert not list(loss.parameters())
    assert copy.deepcopy(loss).to(torch.float32).weight.dtype == torch.float32
    shown = "weight=[0.5, 1.0, 2.0], ignore_index=1, reduction='sum', sync_normalizer=True"
    prices = "alpha=0.3, beta=0.7, " if module is TverskyLoss else ""
    assert repr(loss) == f"{module.__name__}({prices}{shown})"
    assert "shape=(64,)" in repr(module(weight=torch.ones(64)))


@LOSSES
def test_no_posterior(module, function):
    with pytest.raises(NoPosteriorError, match=f"{module.__name__} .*a set of decisions, not probabilities"):
        module().log_posterior(draw()[0], prior=[0.7, 0.2, 0.1])


BAD_PRICES = [
    ({"alpha": -1.0}, ValueError, "`alpha` must be >= 0, got alpha=-1.0"),
    ({"alpha": torch.nan}, ValueError, "`alpha`"),
    ({"alpha": "0.3"}, TypeError, "`alpha`"),
    ({"beta": 0}, ValueError, "`beta` must be > 0"),
    ({"beta": torch.tensor(1.0)}, TypeError, "`beta`"),
]
BAD = [
    ({"reduction": "avg"}, ValueError, "`reduction`"),
    ({"ignore_index": 1.5}, TypeError, "`ignore_index`"),
    ({"ignore_index": None}, TypeError, "`ignore_index`"),
    ({"weight": 2.0}, TypeError, "`weight`"),
    ({"weight": torch.ones(3, 1)}, ValueError, "`weight`"),
]
BAD_VALUES = [torch.tensor([1.0, value, 1.0]) for value in (-1.0, torch.nan, torch.inf)]


@LOSSES
@pytest.mark.parametrize(("arguments", "error", "match"), BAD, ids=str)
def test_bad_arguments_raise_at_construction(module, function, arguments, error, match):
    with pytest.raises(error, match=match):
        module(**arguments)
    with pytest.raises(error, match=match):
        function(*draw(), **arguments)


@pytest.mark.parametrize(("arguments", "error", "match"), BAD_PRICES, ids=str)
def test_bad_prices_raise_at_construction(arguments, error, match):
    test_bad_arguments_raise_at_construction(TverskyLoss, tversky_loss, arguments, error, match)


@LOSSES
@pytest.mark.parametrize("weight", BAD_VALUES, ids=str)
def test_bad_weights_raise_at_construction(module, function, weight):
    with pytest.raises(ValueError, match="`weight` must be finite and >= 0"):
        module(weight=weight)


@FUNCTIONS
def test_bad_input_raises_at_the_call(function):
    logits, target = draw()
    for arguments, error, match in [
        ((logits, target[:-1]), ValueError, "`target`"),
        ((logits, target[:, None]), ValueError, "`target`"),
        ((logits, target.double()), ValueError, "`target`"),
        ((target, target), TypeError, "`logits`"),
        ((logits, [0] * 8), TypeError, "`target`"),
        ((torch.tensor(1.0), torch.tensor(0)), ValueError, "`logits`"),
        ((logits[:, :1], torch.zeros_like(target)), ValueError, "C >= 2"),
        ((logits, target.to("meta")), ValueError, "one device"),
    ]:
        with pytest.raises(error, match=match):
            function(*arguments)
    for arguments, error, match in [
        ({"sample_weight": torch.ones(3)}, ValueError, "`sample_weight`"),
        ({"sample_weight": torch.ones(8, 3)}, ValueError, "`sample_weight`"),
        ({"sample_weight": [1.0] * 8}, TypeError, "`sample_weight`"),
        ({"weight": torch.ones(4)}, ValueError, "`weight`"),
    ]:
        with pytest.raises(error, match=match):
            function(logits, target, **arguments)
    with pytest.raises(ValueError, match="`ignore_index`"):
        function(logits, F.one_hot(target, 3).double(), ignore_index=1)


@LOSSES
def test_compiles_in_one_graph(module, function):
    logits, target = draw(dtype=torch.float32)
    for arguments in ({}, {"weight": WEIGHT.float(), "ignore_index": 1, "reduction": "none"}):
        torch._dynamo.reset()
        loss = module(**arguments)
        fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
        same(fast(logits, target, torch.ones(8)), loss(logits, target, torch.ones(8)), logits)
    torch._dynamo.reset()


def test_other_prices_compile_too():
    torch._dynamo.reset()
    logits, target = draw()
    for price in (0.1, 0.2, 0.4):  # from the second on, torch.compile makes such numbers symbolic
        loss = TverskyLoss(alpha=price, beta=1 - price)
        same(torch.compile(loss, fullgraph=True, backend="aot_eager")(logits, target), loss(logits, target), logits)
    torch._dynamo.reset()
