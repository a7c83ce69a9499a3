"""What every loss keeps. The cases cover `losses.__all__`: a loss without a case fails the first test."""

import copy
import io
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imbalance_torch import losses
from imbalance_torch.losses import functional

DOUBLE = torch.float64
WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
REDUCTIONS = ["none", "mean", "sum"]


@dataclass(frozen=True)
class Case:
    family: str
    module: type[nn.Module]
    function: Callable[..., Tensor]
    neutral: dict[str, Any] = field(default_factory=dict)  # makes it the torch.nn loss
    settings: dict[str, Any] = field(default_factory=dict)  # a setting far from neutral
    required: dict[str, Any] = field(default_factory=dict)

    def build(self, **arguments: Any) -> nn.Module:
        return self.module(**{**self.required, **arguments})


CASES = {
    "FocalLoss": Case("softmax", losses.FocalLoss, functional.focal_loss, {"gamma": 0.0}, {"gamma": 1.5}),
    "ClassWeightedCrossEntropyLoss": Case(
        "softmax",
        losses.ClassWeightedCrossEntropyLoss,
        functional.weighted_cross_entropy,
        required={"weight": torch.ones(3, dtype=DOUBLE)},
    ),
    "SigmoidFocalLoss": Case(
        "sigmoid",
        losses.SigmoidFocalLoss,
        functional.sigmoid_focal_loss,
        {"gamma": 0.0},
        {"gamma": 1.5, "alpha": 0.3},
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SOFTMAX = pytest.mark.parametrize(
    "case",
    [c for c in CASES.values() if c.family == "softmax"],
    ids=[n for n, c in CASES.items() if c.family == "softmax"],
)
SIGMOID = pytest.mark.parametrize(
    "case",
    [c for c in CASES.values() if c.family == "sigmoid"],
    ids=[n for n, c in CASES.items() if c.family == "sigmoid"],
)


def draw(case: Case, shape: tuple[int, ...] = (8, 3), dtype: torch.dtype = DOUBLE) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    logits = (2 * torch.randn(shape, generator=generator, dtype=DOUBLE)).to(dtype).requires_grad_()
    if case.family == "sigmoid":
        return logits, torch.randint(2, shape, generator=generator)
    return logits, torch.randint(
        shape[min(1, len(shape) - 1)], shape[:1] + shape[2:] if len(shape) > 1 else (), generator=generator
    )


def value_and_gradient(loss: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    up = torch.arange(1.0, loss.numel() + 1, dtype=loss.dtype, device=loss.device).reshape(loss.shape)
    return loss.detach(), torch.autograd.grad(loss, logits, up)[0]


def same(first: Tensor, second: Tensor, logits: Tensor, **tolerance: float) -> None:
    for left, right in zip(value_and_gradient(first, logits), value_and_gradient(second, logits), strict=True):
        torch.testing.assert_close(left, right, **tolerance)


def test_every_loss_has_a_case():
    assert set(CASES) == {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    assert {case.function.__name__ for case in CASES.values()} == set(functional.__all__)


# ------------------------------------------------------------------ one meaning


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_module_equals_function(case, reduction, label_smoothing, device):
    logits, target = (value.to(device) for value in draw(case))
    arguments = {**case.required, **case.settings, "reduction": reduction, "label_smoothing": label_smoothing}
    sample_weight = torch.rand(8, generator=torch.Generator().manual_seed(1)).to(device)
    module = case.module(**arguments).to(device)
    arguments = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in arguments.items()}
    expected = case.function(logits, target, sample_weight=sample_weight, **arguments)
    same(module(logits, target, sample_weight), expected, logits, rtol=0, atol=0)
    assert module(logits, target, sample_weight=None).isfinite().all()


@EVERY
def test_reductions_agree_and_sample_weight_scales_rows(case):
    logits, target = draw(case)
    rows = case.build(**case.settings, reduction="none")(logits, target)
    s = torch.arange(8, dtype=DOUBLE)
    spread = s.reshape(-1, *[1] * (rows.ndim - 1))
    torch.testing.assert_close(case.build(**case.settings, reduction="none")(logits, target, s), rows * spread)
    torch.testing.assert_close(case.build(**case.settings, reduction="sum")(logits, target, s), (rows * spread).sum())
    by_count = case.build(**case.settings, normalizer="count")(logits, target, s)
    torch.testing.assert_close(by_count, (rows * spread).sum() / rows.numel())
    by_weight = case.build(**case.settings, normalizer="weight")(logits, target, s)
    torch.testing.assert_close(by_weight, (rows * spread).sum() / spread.expand_as(rows).sum())
    for normalizer in (7, 7.0, torch.tensor(7.0)):
        torch.testing.assert_close(case.build(**case.settings, normalizer=normalizer)(logits, target), rows.sum() / 7)


@EVERY
def test_sample_weight_may_have_the_full_shape(case):
    logits, target = draw(case, (4, 3, 5))
    rows = case.build(**case.settings, reduction="none")(logits, target)
    s = torch.rand(rows.shape, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    torch.testing.assert_close(case.build(**case.settings, reduction="none")(logits, target, s), rows * s)


# ------------------------------------------------------------------ torch.nn at the neutral setting


@SOFTMAX
@pytest.mark.parametrize("shape", [(8, 3), (3,), (4, 3, 5), (2, 3, 4, 2)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weight"])
def test_softmax_neutral_equals_torch(case, shape, reduction, label_smoothing, weight):
    logits, target = draw(case, shape)
    arguments = {"reduction": reduction, "label_smoothing": label_smoothing}
    ours = case.build(**case.neutral, **({} if weight is None else {"weight": weight}), **arguments)
    same(ours(logits, target), F.cross_entropy(logits, target, weight, **arguments), logits)
    soft = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=DOUBLE).softmax(min(1, len(shape) - 1))
    theirs = F.cross_entropy(logits, soft, weight, **arguments)
    if weight is not None and reduction == "mean":  # stated exception: one-hot targets equal indices
        total = F.cross_entropy(logits, soft, weight, reduction="sum", label_smoothing=label_smoothing)
        spread = weight.reshape(-1, *[1] * (len(shape) - 2))
        same(ours(logits, soft), total / (soft * spread).sum(), logits)
        ours = case.build(**case.neutral, weight=weight, normalizer="count", **arguments)
    same(ours(logits, soft), theirs, logits)


@SOFTMAX
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weight"])
def test_softmax_neutral_ignores_as_torch(case, reduction, ignore_index, weight):
    logits, target = draw(case, (4, 3, 5))
    target = torch.where(torch.arange(20).reshape(4, 5) % 3 == 0, ignore_index, target)
    arguments = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": 0.1}
    ours = case.build(**case.neutral, **({} if weight is None else {"weight": weight}), **arguments)
    same(ours(logits, target), F.cross_entropy(logits, target, weight, **arguments), logits)


@SOFTMAX
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_one_hot_equals_index(case, reduction, label_smoothing):
    logits, target = draw(case)
    loss = case.build(**case.settings, weight=WEIGHT, reduction=reduction, label_smoothing=label_smoothing)
    same(loss(logits, target), loss(logits, F.one_hot(target, 3).to(DOUBLE)), logits)


@SOFTMAX
def test_ignore_index_with_probabilities_raises_as_torch_does(case):
    logits, target = draw(case)
    with pytest.raises(ValueError, match="ignore_index"):
        case.build(ignore_index=1)(logits, F.one_hot(target, 3).to(DOUBLE))


@SIGMOID
@pytest.mark.parametrize("shape", [(8,), (8, 3), (4, 2, 3), ()], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_sigmoid_neutral_equals_torch(case, shape, reduction, weighted, soft):
    logits, target = draw(case, shape)
    target = (target * 0.8 + 0.1 if soft else target).to(DOUBLE)
    weights = {}
    if weighted:
        last = shape[-1:]
        generator = torch.Generator().manual_seed(4)
        weights = {k: torch.rand(last, generator=generator, dtype=DOUBLE) * 3 for k in ("weight", "pos_weight")}
    ours = case.build(**case.neutral, reduction=reduction, **weights)
    same(
        ours(logits, target), F.binary_cross_entropy_with_logits(logits, target, reduction=reduction, **weights), logits
    )
    smooth = case.build(**case.neutral, reduction=reduction, label_smoothing=0.2, **weights)
    theirs = F.binary_cross_entropy_with_logits(logits, target * 0.8 + 0.1, reduction=reduction, **weights)
    same(smooth(logits, target), theirs, logits)


@SIGMOID
def test_sigmoid_takes_bool_and_integer_targets(case):
    logits, target = draw(case)
    loss = case.build(**case.settings)
    for kind in (torch.bool, torch.int32, torch.uint8, torch.float32):
        same(loss(logits, target.to(kind)), loss(logits, target.to(DOUBLE)), logits)


@SOFTMAX
def test_softmax_takes_every_integer_kind(case):
    logits, target = draw(case)
    loss = case.build(**case.settings)
    for kind in (torch.int32, torch.uint8, torch.int8):
        same(loss(logits, target.to(kind)), loss(logits, target), logits)


@SIGMOID
def test_sigmoid_ignore_index_drops_elements(case):
    logits, target = draw(case)
    kept = target.clone()
    kept[::2, 1] = -1
    with torch.no_grad():
        logits[0, 1] = torch.nan
    valid = kept != -1
    whole = case.build(**case.settings, reduction="none")(logits, target)
    for reduction, expected in {
        "none": whole.where(valid, 0.0),
        "sum": whole[valid].sum(),
        "mean": whole[valid].mean(),
    }.items():
        loss = case.build(**case.settings, ignore_index=-1, reduction=reduction)(logits, kept)
        torch.testing.assert_close(loss, expected)
        gradient = value_and_gradient(loss, logits)[1]
        assert gradient.isfinite().all()
        assert (gradient[~valid] == 0).all()


@SIGMOID
def test_positives_normalizer(case):
    logits, target = draw(case)
    total = case.build(**case.settings, reduction="sum")(logits, target)
    loss = case.build(**case.settings, normalizer="positives")
    torch.testing.assert_close(loss(logits, target), total / target.sum())
    for few in (torch.zeros_like(target), torch.full((8, 3), 0.01)):  # less than one positive counts as one
        torch.testing.assert_close(loss(logits, few), case.build(**case.settings, reduction="sum")(logits, few))
    marked = target.clone()
    marked[target == 1] = 5
    marked[0] = 1
    ignoring = case.build(**case.settings, normalizer="positives", ignore_index=5)
    rest = case.build(**case.settings, reduction="sum", ignore_index=5)(logits, marked)
    torch.testing.assert_close(ignoring(logits, marked), rest / 3)


# ------------------------------------------------------------------ numbers


@EVERY
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_gradcheck(case, label_smoothing):
    logits, target = draw(case, (3, 3))
    soft = torch.rand(3, 3, generator=torch.Generator().manual_seed(5), dtype=DOUBLE).softmax(1)
    for reduction in REDUCTIONS:
        loss = case.build(**case.settings, reduction=reduction, label_smoothing=label_smoothing)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target), logits)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, soft), logits)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), logits)
    s = torch.rand(3, generator=torch.Generator().manual_seed(6), dtype=DOUBLE).requires_grad_()
    mean = case.build(**case.settings, normalizer="weight")
    assert torch.autograd.gradcheck(lambda s: mean(logits.detach(), target, s), s)


GRID = [sign * size for size in (0.0, 20.0, 100.0, 1e4) for sign in (1, -1)]


GAMMAS = [0.0, 0.1, 0.5, 1.0, 2.0, 5.0]


def settings_of(case: Case) -> list[dict[str, Any]]:
    return [{**case.settings, "gamma": gamma} for gamma in GAMMAS] if "gamma" in case.settings else [case.settings]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("case", "settings"),
    [pytest.param(case, s, id=f"{name}-{s}") for name, case in CASES.items() for s in settings_of(case)],
)
def test_finite_everywhere(case, settings, dtype, device):
    if case.family == "softmax":
        table = torch.tensor(list(itertools.product(GRID, repeat=3)), dtype=dtype, device=device)
        targets = [torch.full((len(table),), c, device=device) for c in range(3)]
        targets.append(torch.full((len(table), 3), 1 / 3, device=device))
    else:
        table = torch.tensor(GRID, dtype=dtype, device=device)
        targets = [torch.full((len(table),), t, device=device) for t in (0.0, 1.0, 0.3)]
    for target, label_smoothing in itertools.product(targets, (0.0, 0.1)):
        logits = table.clone().requires_grad_()
        rows = case.build(**settings, reduction="none", label_smoothing=label_smoothing).to(device)(logits, target)
        assert rows.dtype == dtype
        assert rows.isfinite().all()
        assert (rows >= 0).all()
        total = case.build(**settings, reduction="sum", label_smoothing=label_smoothing).to(device)(logits, target)
        assert total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        total.backward()
        assert logits.grad.dtype == dtype
        assert logits.grad.isfinite().all()


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_low_precision_input_keeps_one_percent(case, dtype):
    x = torch.arange(-8, 8.5, 0.5, dtype=dtype)
    logits = torch.stack([x, torch.zeros_like(x), -x], 1) if case.family == "softmax" else x
    target = torch.zeros_like(x).long()
    loss = case.build(**case.settings, reduction="sum")  # a row at a time: "none" would round to `dtype`
    for row in range(len(x)):
        exact = loss(logits[row : row + 1].double(), target[row : row + 1])
        torch.testing.assert_close(
            loss(logits[row : row + 1], target[row : row + 1]).double(), exact, rtol=0.01, atol=0
        )


@SOFTMAX
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_weights_scale_the_rows_and_nothing_else(case, scale):
    logits, target = draw(case)
    plain = case.build(**case.settings, reduction="none")(logits, target)
    weight = torch.tensor([1.0, scale, 1 / scale], dtype=DOUBLE)
    heavy = case.build(**case.settings, reduction="none", weight=weight)(logits, target)
    same(heavy / weight[target], plain, logits)
    narrow = case.build(**case.settings, weight=weight)(logits.float(), target)
    torch.testing.assert_close(
        narrow.double(), case.build(**case.settings, weight=weight)(logits, target), rtol=1e-5, atol=0
    )


@SIGMOID
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_pos_weight_scales_positives_and_nothing_else(case, scale):
    logits, target = draw(case)
    plain = case.build(**case.settings, reduction="none")(logits, target)
    heavy = case.build(**case.settings, reduction="none", pos_weight=torch.tensor(scale, dtype=DOUBLE))(logits, target)
    same(heavy, torch.where(target == 1, plain * scale, plain), logits)


@EVERY
@pytest.mark.parametrize("named", ["weight", "count"])
def test_without_valid_elements_the_loss_is_zero_with_a_graph(case, named):
    ignore = {"ignore_index": 1}
    logits, target = draw(case)
    for x, t in ((logits, torch.ones_like(target)), (logits[:0], target[:0])):
        for reduction in REDUCTIONS:
            x = x.detach().requires_grad_()
            loss = case.build(**case.settings, **ignore, reduction=reduction, normalizer=named)(x, t)
            loss.sum().backward()
            assert (loss == 0).all()
            assert (x.grad == 0).all()
            assert loss.shape == (t.shape if reduction == "none" else ())


@EVERY
def test_sample_weights_of_ignored_rows_never_matter(case):
    logits, target = draw(case)
    target[0] = -1
    s = torch.ones(8).index_fill(0, torch.tensor([0]), torch.nan)
    for named in ("weight", "count"):
        loss = case.build(**case.settings, ignore_index=-1, normalizer=named)
        same(loss(logits, target, s), loss(logits, target), logits)


@EVERY
def test_zero_weights_give_zero_not_nan(case):
    logits, target = draw(case)
    loss = case.build(**case.settings, normalizer="weight")(logits, target, torch.zeros(8))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


@EVERY
def test_non_contiguous_input(case):
    logits, target = draw(case, (4, 3, 5))
    loss = case.build(**case.settings)
    turned = logits.detach().transpose(0, 2).contiguous().transpose(0, 2).requires_grad_()
    assert not turned.is_contiguous()
    torch.testing.assert_close(loss(turned, target), loss(logits, target))


@EVERY
def test_no_global_state_changes(case):
    logits, target = draw(case)
    seed = torch.random.get_rng_state()
    before, old = logits.detach().clone(), target.clone()
    with torch.no_grad():
        case.build(**case.settings)(logits, target)
        assert not torch.is_grad_enabled()
    case.build(**case.settings)(logits, target).backward()
    assert torch.is_grad_enabled()
    assert torch.equal(seed, torch.random.get_rng_state())
    assert torch.equal(before, logits.detach())
    assert torch.equal(old, target)


@EVERY
def test_autocast_changes_nothing(case):
    logits, target = draw(case, dtype=torch.bfloat16)
    loss = case.build(**case.settings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(logits, target)
    torch.testing.assert_close(inside, loss(logits, target), rtol=0, atol=0)


# ------------------------------------------------------------------ modules


@EVERY
def test_modules_travel(case, device):
    arguments = {**case.settings, "weight": WEIGHT}
    if "gamma" in arguments:
        arguments["gamma"] = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE)
    loss = case.build(**arguments)
    logits, target = draw(case)
    expected = loss(logits, target)
    assert not loss.state_dict()
    assert not list(loss.parameters())
    saved = io.BytesIO()
    torch.save(loss, saved)
    saved.seek(0)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.load(saved, weights_only=False)):
        assert torch.equal(twin(logits, target), expected)
        assert repr(twin) == repr(loss)
    moved = copy.deepcopy(loss).to(device, torch.float32)
    assert {(buffer.device.type, buffer.dtype) for buffer in moved.buffers()} == {(device.type, torch.float32)}
    torch.testing.assert_close(
        moved(logits.float().to(device), target.to(device)).cpu().double(), expected, rtol=1e-5, atol=0
    )


@EVERY
def test_the_module_owns_its_tensors(case):
    weight = WEIGHT.clone()
    loss = case.build(weight=weight)
    weight.zero_()
    assert torch.equal(loss.weight, WEIGHT)


@EVERY
def test_repr_shows_every_argument(case):
    arguments = {
        **case.settings,
        "weight": WEIGHT,
        "label_smoothing": 0.125,
        "ignore_index": 77,
        "reduction": "sum",
        "normalizer": 3.5,
        "sync_normalizer": True,
    }
    text = repr(case.build(**arguments))
    for name, value in arguments.items():
        shown = "[0.5, 1.0, 2.0]" if name == "weight" else repr(value)
        assert f"{name}={shown}" in text
    assert "shape=(64,)" in repr(case.build(weight=torch.ones(64)))


BAD = [
    ({"reduction": "avg"}, ValueError, "reduction"),
    ({"normalizer": "batch"}, ValueError, "normalizer"),
    ({"normalizer": 0}, ValueError, "normalizer"),
    ({"normalizer": None}, TypeError, "normalizer"),
    ({"normalizer": torch.ones(2)}, ValueError, "normalizer"),
    ({"label_smoothing": 1.5}, ValueError, "label_smoothing"),
    ({"label_smoothing": "0.1"}, TypeError, "label_smoothing"),
    ({"ignore_index": 1.5}, TypeError, "ignore_index"),
    ({"weight": torch.tensor([1.0, -1.0, 1.0])}, ValueError, "weight"),
    ({"weight": torch.tensor([1.0, torch.nan, 1.0])}, ValueError, "weight"),
    ({"weight": torch.tensor([1.0, torch.inf, 1.0])}, ValueError, "weight"),
    ({"weight": 2.0}, TypeError, "weight"),
]


@EVERY
@pytest.mark.parametrize(("arguments", "error", "match"), BAD, ids=str)
def test_bad_arguments_raise_at_construction(case, arguments, error, match):
    with pytest.raises(error, match=f"`{match}`"):
        case.build(**arguments)
    if not isinstance(arguments.get("weight"), Tensor):  # functions never look at the values of tensors
        with pytest.raises(error, match=f"`{match}`"):
            case.function(*draw(case), **{**case.required, **arguments})


@pytest.mark.parametrize("case", [c for c in CASES.values() if "gamma" in c.settings])
@pytest.mark.parametrize("gamma", [-1.0, torch.nan, torch.inf, torch.tensor([1.0, -1.0, 0.0])], ids=str)
def test_bad_gamma_raises_at_construction(case, gamma):
    with pytest.raises(ValueError, match="`gamma`"):
        case.build(gamma=gamma)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, torch.tensor([0.5, 2.0])], ids=str)
def test_bad_alpha_raises_at_construction(alpha):
    with pytest.raises(ValueError, match="`alpha`"):
        losses.SigmoidFocalLoss(alpha=alpha)


@EVERY
def test_bad_input_raises_at_the_call(case):
    logits, target = draw(case)
    loss = case.build(**case.settings)
    for arguments, error in [
        ((logits, target[:-1]), ValueError),
        ((logits, target[:, None]), ValueError),
        ((target, target), TypeError),
        ((logits, [0] * 8), TypeError),
        ((logits, target, torch.ones(3)), ValueError),
        ((logits, target, [1.0] * 8), TypeError),
        ((logits, target, torch.ones(8, 2)), ValueError),
    ]:
        with pytest.raises(error, match="`"):
            loss(*arguments)
    with pytest.raises(ValueError, match="`weight`"):
        case.build(**case.settings, weight=torch.ones(4))(logits, target)
    with pytest.raises(ValueError, match="one device"):
        loss(logits, target.to("meta"))


@SOFTMAX
def test_softmax_bad_input(case):
    for weight in (torch.tensor(2.0), torch.ones(3, 1)):
        with pytest.raises(ValueError, match="`weight`"):
            case.build(weight=weight)
    with pytest.raises(ValueError, match="`logits`"):
        case.build(**case.settings)(torch.tensor(1.0), torch.tensor(1))


def test_softmax_focal_needs_two_classes_and_a_fitting_gamma():
    with pytest.raises(ValueError, match="sigmoid_focal_loss"):
        functional.focal_loss(torch.zeros(4, 1), torch.zeros(4).long())
    for gamma in (torch.ones(2), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="`gamma`"):
            functional.focal_loss(torch.zeros(4, 3), torch.zeros(4).long(), gamma=gamma)


# ------------------------------------------------------------------ compile


def compiled_equals_eager(case: Case, backend: str, **tolerance: float) -> None:
    for label_smoothing, weight in ((0.0, None), (0.1, WEIGHT.float())):
        torch._dynamo.reset()
        loss = case.build(
            **case.settings, label_smoothing=label_smoothing, **({} if weight is None else {"weight": weight})
        )
        logits, target = draw(case, dtype=torch.float32)
        fast = torch.compile(loss, fullgraph=True, backend=backend)
        same(fast(logits, target, torch.ones(8)), loss(logits, target, torch.ones(8)), logits, **tolerance)
    torch._dynamo.reset()


@EVERY
def test_compiles_in_one_graph(case):
    compiled_equals_eager(case, "aot_eager")


@EVERY
def test_a_second_loss_with_other_numbers_compiles_too(case):
    torch._dynamo.reset()
    logits, target = draw(case)
    for number in (0.1, 0.2, 0.4):  # from the second on, torch.compile makes such numbers symbolic
        settings = dict.fromkeys(case.settings, number)
        loss = case.build(**settings, label_smoothing=number, normalizer=1 + number)
        same(torch.compile(loss, fullgraph=True, backend="aot_eager")(logits, target), loss(logits, target), logits)
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch 2.13: inductor's own imports
@EVERY
def test_compiles_with_inductor(case):
    compiled_equals_eager(case, "inductor", rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------ posteriors, for every loss alike


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_log_posterior_is_finite_normalised_and_monotone(case, dtype):
    x = torch.tensor(sorted({*GRID, *range(-30, 31)}), dtype=DOUBLE).to(dtype)
    for gamma in GAMMAS if "gamma" in case.settings else (None,):
        loss = case.build(**({} if gamma is None else {"gamma": gamma}))
        if case.family == "softmax":
            logits = torch.stack([torch.zeros_like(x), x, torch.ones_like(x)], 1)
            rows = loss.log_posterior(logits, prior=[0.5, 0.2, 0.3], train_prior=[0.2, 0.5, 0.3])
            torch.testing.assert_close(rows.exp().sum(1), torch.ones(len(x), dtype=rows.dtype))
            positive = rows[:, 1]
        else:
            rows = positive = loss.log_posterior(x, prior=0.1, train_prior=0.5)
        assert rows.dtype == (DOUBLE if dtype == DOUBLE else torch.float32)
        assert rows.isfinite().all()
        assert (positive.diff() >= -1e-6).all()
        assert (rows <= 1e-6).all()


@EVERY
def test_log_posterior_keeps_its_digits_in_float32(case):
    x = torch.linspace(-40, 40, 81)
    logits = torch.stack([torch.zeros_like(x), x], 1) if case.family == "softmax" else x
    prior = [0.5, 0.5] if case.family == "softmax" else 0.5
    for gamma in GAMMAS if "gamma" in case.settings else (None,):
        loss = case.module(weight=torch.ones(2)) if gamma is None else case.build(gamma=gamma)
        low, exact = (loss.log_posterior(z, prior=prior) for z in (logits, logits.double()))
        torch.testing.assert_close(low.double(), exact, rtol=2e-6, atol=2e-6)


@EVERY
def test_log_posterior_at_the_neutral_setting_is_the_plain_one(case):
    logits, _ = draw(case)
    loss = case.build(**case.neutral)
    plain = F.log_softmax(logits, 1) if case.family == "softmax" else F.logsigmoid(logits)
    prior = [0.7, 0.2, 0.1] if case.family == "softmax" else 0.1
    torch.testing.assert_close(loss.log_posterior(logits, prior=prior), plain)
    torch.testing.assert_close(loss.log_posterior(logits, prior=prior, train_prior=prior), plain)


@EVERY
@pytest.mark.parametrize("prior", [[2.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, torch.nan], [0.5, 0.5], 1.5], ids=str)
def test_log_posterior_refuses_bad_priors(case, prior):
    if case.family == "sigmoid" and prior == [0.5, 0.5]:
        prior = [[0.5, 0.5]] * 2
    with pytest.raises(ValueError, match=r"prior|sigmoid"):
        case.build().log_posterior(torch.zeros(4, 3), prior=prior)
