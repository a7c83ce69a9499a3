"""Smooth-AP and pairwise AUC: identities, references in plain Python, then the values of other libraries."""

import copy
import io
import itertools
import math
import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score

from imbalance_torch.losses._arguments import NoPosteriorError
from imbalance_torch.losses._pairwise_auc import PairwiseAUCLoss, pairwise_auc_loss
from imbalance_torch.losses._smooth_ap import SmoothAPLoss, smooth_ap_loss

DOUBLE = torch.float64
WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
REDUCTIONS = ["none", "mean", "sum"]
CASES = {
    "smooth_ap": (SmoothAPLoss, smooth_ap_loss, {"temperature": 0.7}),
    "squared_hinge": (PairwiseAUCLoss, pairwise_auc_loss, {"margin": 2.0}),
    "logistic": (PairwiseAUCLoss, pairwise_auc_loss, {"surrogate": "logistic"}),
}
MODULES = pytest.mark.parametrize(("module", "function", "settings"), CASES.values(), ids=CASES)
EVERY = pytest.mark.parametrize("function", [partial(f, **s) for _, f, s in CASES.values()], ids=CASES)
AUC = pytest.mark.parametrize(
    "function", [pairwise_auc_loss, partial(pairwise_auc_loss, surrogate="logistic")], ids=["squared_hinge", "logistic"]
)
EACH_REDUCTION = pytest.mark.parametrize("reduction", REDUCTIONS)


def draw(shape=(8, 3), dtype=DOUBLE):
    generator = torch.Generator().manual_seed(7)
    logits = (2 * torch.randn(shape, generator=generator, dtype=DOUBLE)).to(dtype).requires_grad_()
    return logits, torch.randint(2, shape, generator=generator)


def rows_of(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) + 0.5


def same(first, second, logits, **tolerance):
    up = torch.arange(1.0, first.numel() + 1, dtype=first.dtype).reshape(first.shape)
    torch.testing.assert_close(first, second, **tolerance)
    one, two = (torch.autograd.grad(loss, logits, up, retain_graph=True)[0] for loss in (first, second))
    torch.testing.assert_close(one, two, **tolerance)


def smooth_ap_of(x, y, s, temperature):
    positives = [i for i in range(len(x)) if y[i] == 1]
    total = 0.0
    for i in positives:
        above = {j: s[j] / (1 + math.exp((x[i] - x[j]) / temperature)) for j in range(len(x)) if j != i}
        rank_of_positives = s[i] + sum(w for j, w in above.items() if y[j] == 1)
        total += s[i] * rank_of_positives / (s[i] + sum(above.values()))
    return 1 - total / sum(s[i] for i in positives)


def pairwise_auc_of(x, y, s, price):
    pairs = [(i, j) for i in range(len(x)) for j in range(len(x)) if y[i] == 1 and y[j] == 0]
    return sum(s[i] * s[j] * price(x[i] - x[j]) for i, j in pairs) / sum(s[i] * s[j] for i, j in pairs)


REFERENCES = [
    pytest.param(
        partial(smooth_ap_loss, temperature=temperature), partial(smooth_ap_of, temperature=temperature), id=f"T{power}"
    )
    for power, temperature in enumerate((0.1, 1.0, 10.0))
] + [
    pytest.param(
        partial(pairwise_auc_loss, margin=0.5),
        partial(pairwise_auc_of, price=lambda d: max(0.0, 0.5 - d) ** 2),
        id="squared_hinge",
    ),
    pytest.param(
        partial(pairwise_auc_loss, surrogate="logistic"),
        partial(pairwise_auc_of, price=lambda d: math.log(1 + math.exp(-d))),
        id="logistic",
    ),
]


# ------------------------------------------------------------------ identities


@pytest.mark.parametrize(("function", "reference"), REFERENCES)
@pytest.mark.parametrize("full", [False, True], ids=["row weights", "element weights"])
def test_equals_the_loop_over_rows(function, reference, full):
    logits, target = draw()
    s = rows_of(8, 3) if full else rows_of(8)
    columns = [
        reference(logits[:, c].tolist(), target[:, c].tolist(), (s[:, c] if full else s).tolist()) for c in range(3)
    ]
    expected = torch.tensor(columns, dtype=DOUBLE)
    arguments = {"weight": WEIGHT, "sample_weight": s}
    torch.testing.assert_close(function(logits, target, **arguments, reduction="none"), expected * WEIGHT)
    torch.testing.assert_close(function(logits, target, **arguments, reduction="sum"), (expected * WEIGHT).sum())
    torch.testing.assert_close(function(logits, target, **arguments), (expected * WEIGHT).sum() / WEIGHT.sum())


@EVERY
def test_labels_are_scored_one_by_one(function):
    logits, target = draw()
    s = rows_of(8)
    whole = function(logits, target, sample_weight=s, reduction="none")
    columns = [function(logits[:, c], target[:, c], sample_weight=s, reduction="none") for c in range(3)]
    assert [column.shape for column in columns] == [()] * 3
    same(whole, torch.stack(columns), logits)
    for reduction in ("mean", "sum"):
        same(function(logits[:, 0], target[:, 0], sample_weight=s, reduction=reduction), columns[0], logits)
    weighted = function(logits[:, 0], target[:, 0], sample_weight=s, weight=WEIGHT[2:], reduction="sum")
    same(weighted, 2 * columns[0], logits)


@EVERY
@EACH_REDUCTION
def test_classes_stand_against_the_rest(function, reduction):
    logits, _ = draw()
    target = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    expected = function(logits, F.one_hot(target, 3), weight=WEIGHT, reduction=reduction)
    for kind in (torch.int64, torch.int32, torch.uint8, torch.int8):
        same(function(logits, target.to(kind), weight=WEIGHT, reduction=reduction), expected, logits)
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        function(logits, target + 1)


@EVERY
@EACH_REDUCTION
def test_every_kind_of_zero_and_one_is_the_same(function, reduction):
    logits, target = draw()
    expected = function(logits, target, reduction=reduction)
    for kind in (torch.bool, torch.int32, torch.uint8, torch.float32, torch.bfloat16):
        same(function(logits, target.to(kind), reduction=reduction), expected, logits)


@EVERY
@EACH_REDUCTION
def test_order_of_rows_and_a_shift_change_nothing(function, reduction):
    logits, target = draw()
    s, order = rows_of(8), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    loss = function(logits, target, sample_weight=s, reduction=reduction)
    same(function(logits[order], target[order], sample_weight=s[order], reduction=reduction), loss, logits)
    same(function(logits + 4 * WEIGHT, target, sample_weight=s, reduction=reduction), loss, logits)
    turned = logits.t().contiguous().t()
    same(function(turned, target, sample_weight=s, reduction=reduction), loss, logits)


@EVERY
def test_a_perfect_order_is_nearly_free_and_a_reversed_one_costs_most(function):
    target = torch.tensor([1, 1, 0, 0, 0])
    right = 40.0 * torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0], dtype=DOUBLE)
    losses = [
        function(x, target) for x in (right, right[[0, 2, 1, 3, 4]], right[[4, 1, 2, 3, 0]], right[[4, 3, 2, 1, 0]])
    ]
    assert 0 <= losses[0] < 1e-15
    assert losses == sorted(losses)


def test_a_narrow_smooth_ap_is_the_weighted_average_precision_of_sklearn():
    logits, target = draw((60,))
    s = rows_of(60)
    for weight in (None, s):
        ap = average_precision_score(target, logits.detach(), sample_weight=weight)
        ours = smooth_ap_loss(logits, target, temperature=1e-9, sample_weight=weight)
        torch.testing.assert_close(ours, torch.tensor(1 - ap, dtype=DOUBLE))


def test_smooth_ap_depends_on_the_ratio_of_logits_and_temperature():
    logits, target = draw()
    same(smooth_ap_loss(3 * logits, target, temperature=0.3), smooth_ap_loss(logits, target), logits)


def test_pairwise_prices_bound_one_minus_auc():
    logits, target = draw((60,))
    for scale in (0.1, 1.0, 10.0):
        x, s = logits.detach() * scale, rows_of(60)
        errors = 1 - roc_auc_score(target, x, sample_weight=s)
        assert pairwise_auc_loss(x, target, sample_weight=s) >= errors
        assert pairwise_auc_loss(x, target, sample_weight=s, surrogate="logistic") >= errors * math.log(2)


def test_a_wide_logistic_counts_wrong_pairs_by_their_distance():
    x, target = torch.tensor([1.0, 4.0, 0.0]) * 1e6, torch.tensor([1, 0, 0])
    torch.testing.assert_close(pairwise_auc_loss(x, target, surrogate="logistic"), torch.tensor(1.5e6))


@EVERY
@EACH_REDUCTION
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_weight_zero_drops_a_row_and_the_scale_does_not_matter(function, reduction, scale):
    logits, target = draw()
    s = rows_of(8).masked_fill(torch.arange(8) % 3 == 0, 0.0)
    kept = s > 0
    expected = function(logits[kept], target[kept], sample_weight=s[kept], reduction=reduction)
    same(function(logits, target, sample_weight=scale * s, reduction=reduction), expected, logits)


@AUC
@EACH_REDUCTION
def test_a_pairwise_weight_counts_rows(function, reduction):
    logits, target = draw()
    s = torch.tensor([2, 1, 0, 1, 1, 3, 1, 1])
    rows = torch.arange(8).repeat_interleave(s)
    expected = function(logits[rows], target[rows], reduction=reduction)
    same(function(logits, target, sample_weight=s, reduction=reduction), expected, logits)


@EVERY
def test_mean_is_weighted_over_the_labels_that_count(function):
    logits, target = draw()
    target[:, 1] = 0
    losses = function(logits, target, reduction="none")
    assert losses[1] == 0
    torch.testing.assert_close(function(logits, target), (losses[0] + losses[2]) / 2)
    torch.testing.assert_close(function(logits, target, weight=WEIGHT), (0.5 * losses[0] + 2 * losses[2]) / 2.5)
    assert function(logits, target, weight=torch.tensor([0.0, 1.0, 0.0])) == 0
    weightless = draw()[1]
    s = torch.ones(8, 3).masked_fill((torch.arange(3) == 1) & (weightless == 1), 0.0)  # the positives of one label
    assert function(logits, weightless, sample_weight=s, reduction="none")[1] == 0
    without = function(logits[:, [0, 2]], weightless[:, [0, 2]])
    torch.testing.assert_close(function(logits, weightless, sample_weight=s), without)


def test_a_label_of_positives_only_is_perfect_for_ap_and_nothing_for_auc():
    logits, target = draw()
    target[:, 1] = 1
    losses = smooth_ap_loss(logits, target, reduction="none")
    assert losses[1] == 0
    torch.testing.assert_close(smooth_ap_loss(logits, target), losses.sum() / 3)
    losses = pairwise_auc_loss(logits, target, reduction="none")
    assert losses[1] == 0
    torch.testing.assert_close(pairwise_auc_loss(logits, target), losses.sum() / 2)


@EVERY
@EACH_REDUCTION
@pytest.mark.parametrize("ignore_index", [-100, 2, 255])
@pytest.mark.parametrize("by_class", [False, True], ids=["elements", "rows"])
def test_ignored_values_may_stand_beside_anything(function, reduction, ignore_index, by_class):
    logits, target = draw()
    if by_class:
        target = torch.tensor([0, 1, 0, 0, 1, 1, 0, 0])
        dropped = torch.arange(8) % 4 == 0
        expected = function(logits[~dropped], target[~dropped], reduction=reduction, sample_weight=rows_of(8)[~dropped])
        elements = dropped.unsqueeze(1)
    else:
        dropped = elements = torch.arange(24).reshape(8, 3) % 5 == 0
        s = rows_of(8).unsqueeze(1) * ~dropped
        expected = function(logits, target, reduction=reduction, sample_weight=s)
    marked = target.masked_fill(dropped, ignore_index)
    s = rows_of(8) if by_class else rows_of(8).unsqueeze(1).expand(8, 3)
    arguments = {"ignore_index": ignore_index, "reduction": reduction}
    same(function(logits, marked, sample_weight=s, **arguments), expected, logits)
    broken = logits.detach().masked_fill(elements, torch.nan).requires_grad_()
    loss = function(broken, marked, sample_weight=s.masked_fill(dropped, torch.nan), **arguments)
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    assert broken.grad.abs().sum() > 0
    assert (broken.grad[elements.expand(8, 3)] == 0).all()


@EVERY
@EACH_REDUCTION
def test_nothing_to_rank_gives_zero_with_a_graph(function, reduction):
    logits, target = draw()
    for x, t, s in (
        (logits, torch.full_like(target, -100), None),
        (logits, torch.full((8,), -100), None),
        (logits, torch.zeros_like(target), None),
        (logits, target, torch.zeros(8)),
        (logits[:0], target[:0], None),
        (logits[:0], target[:0, 0], None),
        (logits[:0, 0], target[:0, 0], None),
        (logits[:1, 0], torch.ones(1), None),
        (logits[:1, 0], torch.zeros(1), None),
    ):
        x = x.detach().requires_grad_()
        loss = function(x, t, sample_weight=s, reduction=reduction, ignore_index=-100)
        loss.sum().backward()
        assert (loss == 0).all()
        assert (x.grad == 0).all()
        assert loss.shape == (x.shape[1:] if reduction == "none" else ())


# ------------------------------------------------------------------ values of other libraries

X = torch.tensor([[2, -1, 0.5], [0.1, 0.2, -0.3], [-1.5, 3, 0], [0.7, -0.4, 1.1]], dtype=DOUBLE)
T = torch.tensor([0, 1, 2, 2])
S = torch.tensor([0.1, 0.4, 0.35, 0.8, -0.2, 0.6], dtype=DOUBLE)
B = torch.tensor([0, 0, 1, 1, 0, 1])


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        (smooth_ap_loss, (S, B), 0.090452401),  # imbalanced-losses 0.6.0, queue_size=0
        (partial(smooth_ap_loss, temperature=0.01), (S, B), 0.082914329),
        (smooth_ap_loss, (X, T), 0.224329239),  # classes against the rest, on the logits as they are
        (pairwise_auc_loss, (S, B), 0.360833333),  # LibAUC 2.0.1
        (partial(pairwise_auc_loss, surrogate="logistic"), (S, B), 0.491407895),
    ],
)
def test_values_of_ranking_libraries(function, inputs, expected):
    torch.testing.assert_close(function(*inputs), torch.tensor(expected, dtype=DOUBLE), rtol=0, atol=1e-9)


# ------------------------------------------------------------------ numbers


@EVERY
def test_gradients(function):
    logits, target = draw((5, 3))
    s = rows_of(5).requires_grad_()
    for reduction, t in itertools.product(REDUCTIONS, (target, torch.tensor([0, 1, 2, 0, 1]))):

        def loss(x, s, t=t, reduction=reduction):
            return function(x, t, weight=WEIGHT, sample_weight=s, reduction=reduction)

        assert torch.autograd.gradcheck(loss, (logits, s))
        assert torch.autograd.gradgradcheck(loss, (logits, s))


GRID = [sign * size for size in (0.0, 20.0, 100.0, 1e4) for sign in (1, -1)]


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.float16],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.parametrize("function", [smooth_ap_loss, pairwise_auc_loss, CASES["logistic"][1]], ids=CASES)
def test_finite_everywhere(function, dtype, device):
    table = torch.tensor(GRID, dtype=dtype, device=device).unsqueeze(1).expand(8, 256)
    target = torch.tensor(list(itertools.product((0, 1), repeat=8)), device=device).t()
    for reduction in REDUCTIONS:
        x = table.clone().requires_grad_()
        loss = function(x, target, reduction=reduction)
        wide = DOUBLE if dtype == DOUBLE else torch.float32
        assert loss.dtype == (dtype if reduction == "none" else wide)
        loss.sum().backward()
        assert (loss >= 0).all()
        assert x.grad.isfinite().all()
        assert x.grad.dtype == dtype
        if not (reduction == "none" and dtype == torch.float16 and function is pairwise_auc_loss):
            assert loss.isfinite().all()


def test_the_square_of_a_wide_gap_is_beyond_float16_in_none_only():
    x, target = torch.tensor([0.0, 254.0], dtype=torch.float16), torch.tensor([1, 0])
    assert pairwise_auc_loss(x, target, reduction="none").isfinite()
    x = torch.tensor([0.0, 1e4], dtype=torch.float16)
    assert pairwise_auc_loss(x, target, reduction="none").isinf()
    assert pairwise_auc_loss(x, target) == (1 + 1e4) ** 2


@EVERY
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda value: getattr(value, "__name__", str(value))
)
def test_low_precision_input_is_computed_wide(function, dtype):
    logits, target = draw((16, 3), dtype)
    exact = function(logits.double(), target, sample_weight=rows_of(16))
    torch.testing.assert_close(function(logits, target, sample_weight=rows_of(16)).double(), exact, rtol=1e-5, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(
            function(logits, target, sample_weight=rows_of(16)).double(), exact, rtol=1e-5, atol=0
        )


def test_a_nearly_perfect_order_keeps_its_digits_in_float32():
    x, target = torch.tensor([2.5, 2.0, 0.0, -0.5]), torch.tensor([1, 1, 0, 0])
    exact = smooth_ap_loss(x.double(), target)
    assert exact < 1e-8  # one minus a sum would give 0 or 6e-8
    torch.testing.assert_close(smooth_ap_loss(x, target).double(), exact, rtol=1e-5, atol=0)


@EVERY
def test_nothing_global_changes(function):
    logits, target = draw()
    before = torch.random.get_rng_state()
    with torch.no_grad():
        assert not function(logits, target).requires_grad
        assert not torch.is_grad_enabled()
    function(logits, target, ignore_index=0).backward()
    assert torch.is_grad_enabled()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(target, draw()[1])


@EVERY
def test_no_value_is_read_on_the_host(function):
    logits, target = (value.to("meta") for value in draw())
    for reduction, shape in (("none", (3,)), ("mean", ()), ("sum", ())):
        for t in (target, target[:, 0]):
            loss = function(logits, t, reduction=reduction, sample_weight=t, ignore_index=-1)
            assert loss.shape == shape


# ------------------------------------------------------------------ modules


@MODULES
@EACH_REDUCTION
def test_module_equals_function(module, function, settings, reduction, device):
    logits, target = (value.to(device) for value in draw())
    arguments = {**settings, "weight": WEIGHT, "ignore_index": 5, "reduction": reduction}
    loss = module(**arguments).to(device)
    arguments["weight"] = WEIGHT.to(device)
    s = rows_of(8).to(device)
    assert torch.equal(loss(logits, target, s), function(logits, target, sample_weight=s, **arguments))
    marked = target.masked_fill(target == 0, 5)
    assert torch.equal(loss(logits, marked), function(logits, marked, **arguments))
    assert function(logits, target, **settings) != function(logits, target)


@MODULES
def test_modules_travel(module, function, settings):
    weight = WEIGHT.clone()
    loss = module(**settings, weight=weight, ignore_index=5, reduction="sum", sync_normalizer=True)
    weight.zero_()
    logits, target = draw()
    expected = function(logits, target, **settings, weight=WEIGHT, ignore_index=5, reduction="sum")
    saved = io.BytesIO()
    torch.save(loss, saved)
    saved.seek(0)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.load(saved, weights_only=False)):
        assert torch.equal(twin(logits, target), expected)
        assert repr(twin) == repr(loss)
    assert not loss.state_dict()
    assert not list(loss.parameters())
    assert copy.deepcopy(loss).to(torch.float32).weight.dtype == torch.float32
    assert "weight=[0.5, 1.0, 2.0], ignore_index=5, reduction='sum', sync_normalizer=True" in repr(loss)
    for name, value in settings.items():
        assert f"{name}={value!r}" in repr(loss)


@MODULES
def test_no_posterior(module, function, settings):
    with pytest.raises(NoPosteriorError, match=f"{module.__name__} .*only the order of the logits matters"):
        module().log_posterior(draw()[0], prior=0.1)


BAD = [
    ({"reduction": "avg"}, ValueError, "`reduction`"),
    ({"ignore_index": 1.5}, TypeError, "`ignore_index`"),
    ({"weight": 2.0}, TypeError, "`weight`"),
    ({"weight": torch.ones(3, 1)}, ValueError, "`weight`"),
]
BAD_SETTINGS = [
    (smooth_ap_loss, SmoothAPLoss, {"temperature": 0.0}, ValueError, "`temperature` must be > 0, got temperature=0.0"),
    (smooth_ap_loss, SmoothAPLoss, {"temperature": torch.inf}, ValueError, "`temperature`"),
    (smooth_ap_loss, SmoothAPLoss, {"temperature": None}, TypeError, "`temperature`"),
    (pairwise_auc_loss, PairwiseAUCLoss, {"margin": -1.0}, ValueError, "`margin` must be > 0, got margin=-1.0"),
    (pairwise_auc_loss, PairwiseAUCLoss, {"margin": "1"}, TypeError, "`margin`"),
    (pairwise_auc_loss, PairwiseAUCLoss, {"surrogate": "hinge"}, ValueError, "`surrogate` must be one of"),
]


@MODULES
@pytest.mark.parametrize(("arguments", "error", "match"), BAD, ids=lambda value: getattr(value, "__name__", str(value)))
def test_bad_arguments_raise_at_construction(module, function, settings, arguments, error, match):
    with pytest.raises(error, match=match):
        module(**settings, **arguments)
    with pytest.raises(error, match=match):
        function(*draw(), **settings, **arguments)


@pytest.mark.parametrize(
    ("function", "module", "arguments", "error", "match"),
    BAD_SETTINGS,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_bad_settings_raise_at_construction(function, module, arguments, error, match):
    test_bad_arguments_raise_at_construction(module, function, {}, arguments, error, match)


@MODULES
@pytest.mark.parametrize("value", [-1.0, torch.nan, torch.inf])
def test_bad_weights_raise_at_construction(module, function, settings, value):
    with pytest.raises(ValueError, match="`weight` must be finite and >= 0"):
        module(weight=torch.tensor([1.0, value, 1.0]))


@EVERY
def test_bad_input_raises_at_the_call(function):
    logits, target = draw()
    for arguments, error, match in [
        ((logits, target[:-1]), ValueError, "`target`"),
        ((logits, target[:, :1]), ValueError, "`target`"),
        ((logits, target[:, 0].double()), ValueError, "`target`"),
        ((logits, target[:, 0].bool()), ValueError, "`target`"),
        ((logits[:, 0], target), ValueError, "`target`"),
        ((target, target), TypeError, "`logits`"),
        ((logits, [0] * 8), TypeError, "`target`"),
        ((torch.tensor(1.0), torch.tensor(0)), ValueError, "`logits`"),
        ((logits[None], target[None]), ValueError, "`logits`"),
        ((logits[:, :1], target[:, 0]), ValueError, "squeeze"),
        ((logits, target.to("meta")), ValueError, "one device"),
    ]:
        with pytest.raises(error, match=match):
            function(*arguments)
    for arguments, error, match in [
        ({"sample_weight": torch.ones(3)}, ValueError, "`sample_weight`"),
        ({"sample_weight": torch.ones(8, 2)}, ValueError, "`sample_weight`"),
        ({"sample_weight": [1.0] * 8}, TypeError, "`sample_weight`"),
        ({"weight": torch.ones(4)}, ValueError, "`weight`"),
    ]:
        with pytest.raises(error, match=match):
            function(logits, target, **arguments)
    with pytest.raises(ValueError, match="`weight`"):
        function(logits[:, 0], target[:, 0], weight=torch.ones(2))


@MODULES
def test_compiles_in_one_graph(module, function, settings):
    logits, target = draw(dtype=torch.float32)
    for arguments, t in (
        ({}, target),
        ({"weight": WEIGHT.float(), "ignore_index": 1, "reduction": "none"}, target[:, 0]),
    ):
        torch._dynamo.reset()
        loss = module(**settings, **arguments)
        fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
        same(fast(logits, t, torch.ones(8)), loss(logits, t, torch.ones(8)), logits)
    torch._dynamo.reset()


@pytest.mark.parametrize(("module", "name"), [(SmoothAPLoss, "temperature"), (PairwiseAUCLoss, "margin")])
def test_other_numbers_compile_too(module, name):
    torch._dynamo.reset()
    logits, target = draw()
    for number in (0.1, 0.2, 0.4):  # from the second on, torch.compile makes such numbers symbolic
        loss = module(**{name: number})
        same(torch.compile(loss, fullgraph=True, backend="aot_eager")(logits, target), loss(logits, target), logits)
    torch._dynamo.reset()
