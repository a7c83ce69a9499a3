"""What every loss keeps. The cases cover `losses.__all__`: a loss without a case fails the first test."""

import copy
import importlib.util
import inspect
import io
import itertools
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from imbalance_torch import losses
from imbalance_torch.losses import functional

spec = importlib.util.spec_from_file_location("loss_cases", Path(__file__).with_name("loss_cases.py"))
loss_cases = importlib.util.module_from_spec(spec)
sys.modules["loss_cases"] = loss_cases  # dataclasses and pickles look it up
spec.loader.exec_module(loss_cases)
from loss_cases import CASES, DOUBLE, NOT_LOSSES, SHARES, WEIGHT, Case, draw  # noqa: E402

REDUCTIONS = ["none", "mean", "sum"]


def over(keep: Callable[[Case], bool]) -> pytest.MarkDecorator:
    chosen = {name: case for name, case in CASES.items() if keep(case)}
    return pytest.mark.parametrize("case", chosen.values(), ids=chosen)


EVERY = over(lambda case: True)
POINTWISE = over(lambda case: case.family != "batch")
WEIGHTED = over(lambda case: case.takes_weight)
WEIGHTED_POINTWISE = over(lambda case: case.takes_weight and case.family != "batch")
SOFTMAX = over(lambda case: case.family == "softmax")
WEIGHTED_SOFTMAX = over(lambda case: case.family == "softmax" and case.takes_weight)
LIKE_CROSS_ENTROPY = over(lambda case: case.family == "softmax" and case.neutral is not None)
SIGMOID = over(lambda case: case.family == "sigmoid")
POSTERIOR = over(lambda case: case.has_posterior and case.family != "batch")
NO_POSTERIOR = over(lambda case: not case.has_posterior or case.family == "batch")


def on(device: torch.device, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in arguments.items()}


def value_and_gradient(loss: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    up = torch.arange(1.0, loss.numel() + 1, dtype=loss.dtype, device=loss.device).reshape(loss.shape)
    return loss.detach(), torch.autograd.grad(loss, logits, up)[0]


def same(first: Tensor, second: Tensor, logits: Tensor, **tolerance: float) -> None:
    for left, right in zip(value_and_gradient(first, logits), value_and_gradient(second, logits), strict=True):
        torch.testing.assert_close(left, right, **tolerance)


def test_every_loss_has_a_case():
    assert set(CASES) == {name for name in losses.__all__ if isinstance(getattr(losses, name), type)} - NOT_LOSSES
    assert {case.function.__name__ for case in CASES.values()} == set(functional.__all__)


# ------------------------------------------------------------------ one meaning


@EVERY
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_module_equals_function(case, reduction, label_smoothing, device):
    logits, target = (value.to(device) for value in draw(case))
    arguments = {**case.required, **case.settings, "reduction": reduction}
    if case.family != "batch":
        arguments["label_smoothing"] = label_smoothing
    sample_weight = torch.rand(8, generator=torch.Generator().manual_seed(1)).to(device)
    module = case.module(**arguments).to(device)
    expected = case.function(logits, target, sample_weight=sample_weight, **on(device, arguments))
    same(module(logits, target, sample_weight), expected, logits, rtol=0, atol=0)
    assert module(logits, target, sample_weight=None).isfinite().all()


@EVERY
def test_constructor_and_function_have_the_same_keywords(case):
    of_module = inspect.signature(case.module).parameters
    of_function = inspect.signature(case.function).parameters
    assert set(of_module) - {"sync_normalizer"} == set(of_function) - {"logits", "target", "sample_weight"}
    assert list(of_function)[:2] == ["logits", "target"]
    for name, parameter in of_function.items():
        if name in of_module:
            assert parameter.default == of_module[name].default
    assert of_module["sync_normalizer"].default is False


@POINTWISE
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


@POINTWISE
def test_sample_weight_may_have_the_full_shape(case):
    logits, target = draw(case, (4, 3, 5))
    rows = case.build(**case.settings, reduction="none")(logits, target)
    s = torch.rand(rows.shape, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    torch.testing.assert_close(case.build(**case.settings, reduction="none")(logits, target, s), rows * s)


# ------------------------------------------------------------------ torch.nn at the neutral setting


@LIKE_CROSS_ENTROPY
@pytest.mark.parametrize("shape", [(8, 3), (3,), (4, 3, 5), (2, 3, 4, 2)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weight"])
def test_softmax_neutral_equals_torch(case, shape, reduction, label_smoothing, weight):
    logits, target = draw(case, shape)
    arguments = {"reduction": reduction, "label_smoothing": label_smoothing}
    ours = case.build(**case.neutral, **({} if weight is None else {"weight": weight}), **arguments)
    same(ours(logits, target), F.cross_entropy(logits, target, weight, **arguments), logits)
    if case.index_only:
        return
    soft = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=DOUBLE).softmax(min(1, len(shape) - 1))
    theirs = F.cross_entropy(logits, soft, weight, **arguments)
    if weight is not None and reduction == "mean":  # stated exception: one-hot targets equal indices
        total = F.cross_entropy(logits, soft, weight, reduction="sum", label_smoothing=label_smoothing)
        spread = weight.reshape(-1, *[1] * (len(shape) - 2))
        same(ours(logits, soft), total / (soft * spread).sum(), logits)
        ours = case.build(**case.neutral, weight=weight, normalizer="count", **arguments)
    same(ours(logits, soft), theirs, logits)


@LIKE_CROSS_ENTROPY
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignore_index", [-100, 1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weight"])
def test_softmax_neutral_ignores_as_torch(case, reduction, ignore_index, weight):
    logits, target = draw(case, (4, 3, 5))
    target = torch.where(torch.arange(20).reshape(4, 5) % 3 == 0, ignore_index, target)
    arguments = {"reduction": reduction, "ignore_index": ignore_index, "label_smoothing": 0.1}
    ours = case.build(**case.neutral, **({} if weight is None else {"weight": weight}), **arguments)
    same(ours(logits, target), F.cross_entropy(logits, target, weight, **arguments), logits)


@over(lambda case: case.family == "softmax" and not case.index_only)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_one_hot_equals_index(case, reduction, label_smoothing):
    logits, target = draw(case)
    weight = {"weight": WEIGHT} if case.takes_weight else {}
    loss = case.build(**case.settings, **weight, reduction=reduction, label_smoothing=label_smoothing)
    same(loss(logits, target), loss(logits, F.one_hot(target, 3).to(DOUBLE)), logits)


@SOFTMAX
def test_ignore_index_with_probabilities_raises_as_torch_does(case):
    logits, target = draw(case)
    with pytest.raises(ValueError, match=r"ignore_index|class indices"):
        case.build(ignore_index=1)(logits, F.one_hot(target, 3).to(DOUBLE))


@over(lambda case: case.index_only)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_margins_refuse_probabilities(case, label_smoothing):
    logits, target = draw(case)
    with pytest.raises(ValueError, match="class indices"):
        case.build(label_smoothing=label_smoothing)(logits, F.one_hot(target, 3).to(DOUBLE))


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


def test_two_class_softmax_equals_sigmoid_of_the_difference():
    pair, target = torch.randn(8, 2, generator=torch.Generator().manual_seed(8), dtype=DOUBLE), torch.arange(8) % 2
    pair.requires_grad_()
    twins = [
        (losses.FocalLoss(gamma=1.5), losses.SigmoidFocalLoss(gamma=1.5)),
        (losses.LogitAdjustedLoss([0.9, 0.1], tau=1.5), losses.LogitAdjustedBCEWithLogitsLoss(0.1, tau=1.5)),
        (losses.BalancedSoftmaxLoss([9, 1]), losses.LogitAdjustedBCEWithLogitsLoss([0.9, 0.1])),
        (losses.Poly1Loss(epsilon=0.7), losses.Poly1FocalLoss(epsilon=0.7, gamma=0.0)),
    ]
    for softmax, sigmoid in twins:
        same(softmax(pair, target), sigmoid(pair[:, 1] - pair[:, 0], target), pair)
    weight = torch.tensor([0.5, 2.0], dtype=DOUBLE)
    softmax = losses.ClassWeightedCrossEntropyLoss(weight, normalizer="count")
    sigmoid = losses.ClassWeightedBCEWithLogitsLoss(weight=weight[0], pos_weight=weight[1] / weight[0])
    same(softmax(pair, target), sigmoid(pair[:, 1] - pair[:, 0], target), pair)


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


@over(lambda case: case.family == "softmax" or case.module.__name__ in ("TverskyLoss", "SoftF1Loss", "SmoothAPLoss"))
def test_no_class_of_a_small_integer_kind_is_taken_for_the_ignored_one(case):
    logits = torch.randn(4, 200, generator=torch.Generator().manual_seed(9), dtype=DOUBLE)
    target = torch.tensor([156, 3, 156, 199])  # -100 as uint8 is 156
    many = {"prior": [0.005] * 200, "class_counts": [5] * 200, "cost_matrix": 1 - torch.eye(200, dtype=DOUBLE)}
    required = {name: many.get(name, torch.ones(200, dtype=DOUBLE)) for name in case.required}
    loss = case.module(**{**required, **case.settings})
    torch.testing.assert_close(loss(logits, target.to(torch.uint8)), loss(logits, target))
    ignoring = case.module(**{**required, **case.settings, "ignore_index": -57})  # as uint8: 199
    torch.testing.assert_close(ignoring(logits, target.to(torch.uint8)), ignoring(logits, target))


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


@POINTWISE
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_gradcheck(case, label_smoothing):
    logits, target = draw(case, (3, 3))
    soft = torch.rand(3, 3, generator=torch.Generator().manual_seed(5), dtype=DOUBLE).softmax(1)
    for reduction in REDUCTIONS:
        loss = case.build(**case.settings, reduction=reduction, label_smoothing=label_smoothing)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target), logits)
        if not case.index_only:
            assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, soft), logits)
    s = torch.rand(3, generator=torch.Generator().manual_seed(6), dtype=DOUBLE).requires_grad_()
    mean = case.build(**case.settings, normalizer="weight")
    assert torch.autograd.gradcheck(lambda s: mean(logits.detach(), target, s), s)


@EVERY
def test_gradgradcheck(case):
    logits, target = draw(case, (6, 3))
    for reduction in ("mean", "none"):
        loss = case.build(**case.settings, reduction=reduction)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, target), logits)
        assert torch.autograd.gradgradcheck(lambda x, loss=loss: loss(x, target), logits)


GRID = [sign * size for size in (0.0, 20.0, 100.0, 1e4) for sign in (1, -1)]


def _widened(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


SETTINGS = [
    pytest.param(case, settings, id=f"{name}-{settings}")
    for name, case in CASES.items()
    for settings in (case.settings, *case.grid)
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("case", "settings"), SETTINGS)
def test_finite_everywhere(case, settings, dtype, device):
    if case.family == "sigmoid":
        table = torch.tensor(GRID, dtype=dtype, device=device)
        targets = [torch.full((len(table),), t, device=device) for t in (0.0, 1.0, 0.3)]
    else:
        table = torch.tensor(list(itertools.product(GRID, repeat=3)), dtype=dtype, device=device)
        targets = [torch.full((len(table),), c, device=device) for c in range(3)]
        if case.family == "batch":
            targets = [torch.arange(len(table), device=device) % 3]
        elif not case.index_only:
            targets.append(torch.full((len(table), 3), 1 / 3, device=device))
    for target, label_smoothing in itertools.product(targets, (0.0, 0.1)):
        arguments = settings if case.family == "batch" else {**settings, "label_smoothing": label_smoothing}
        logits = table.clone().requires_grad_()
        rows = case.build(**arguments, reduction="none").to(device)(logits, target)
        assert rows.dtype == dtype
        wide = case.build(**arguments, reduction="none").to(device)(_widened(logits), target)
        assert wide.isfinite().all()
        assert rows.isfinite()[wide < 65504].all()  # a larger value has no float16
        assert (rows >= 0).all()
        total = case.build(**arguments, reduction="sum").to(device)(logits, target)
        assert total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert total.isfinite()
        total.backward()
        assert logits.grad.dtype == dtype
        assert logits.grad.isfinite().all()


@POINTWISE
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


@WEIGHTED_SOFTMAX
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
    arguments = {**case.settings, "ignore_index": 1}
    if case.family != "batch":
        arguments["normalizer"] = named
    logits, target = draw(case)
    for x, t in ((logits, torch.ones_like(target)), (logits[:0], target[:0])):
        for reduction in REDUCTIONS:
            x = x.detach().requires_grad_()
            loss = case.build(**arguments, reduction=reduction)(x, t)
            loss.sum().backward()
            assert (loss == 0).all()
            assert (x.grad == 0).all()
            rows = (3,) if case.family == "batch" else t.shape
            assert loss.shape == (rows if reduction == "none" else ())


@EVERY
def test_sample_weights_of_ignored_rows_never_matter(case):
    logits, target = draw(case)
    target[0] = -1
    s = torch.ones(8).index_fill(0, torch.tensor([0]), torch.nan)
    for named in ("weight", "count"):
        normalizer = {} if case.family == "batch" else {"normalizer": named}
        loss = case.build(**case.settings, ignore_index=-1, **normalizer)
        same(loss(logits, target, s), loss(logits, target), logits)


@POINTWISE
def test_zero_weights_give_zero_not_nan(case):
    logits, target = draw(case)
    loss = case.build(**case.settings, normalizer="weight")(logits, target, torch.zeros(8))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


@POINTWISE
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
    soft = torch.rand(8, 3, generator=torch.Generator().manual_seed(5)).softmax(1)
    variants = [({}, target)]
    if case.family != "batch":
        variants += [({"label_smoothing": 0.1}, target), *([] if case.index_only else [({}, soft)])]
    for arguments, labels in variants:
        loss = case.build(**case.settings, **arguments)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = loss(logits, labels)
        torch.testing.assert_close(inside, loss(logits, labels), rtol=0, atol=0)


# ------------------------------------------------------------------ modules


@EVERY
def test_modules_travel(case, device):
    arguments = {**case.settings, **({"weight": WEIGHT} if case.takes_weight else {})}
    if "FocalLoss" in repr(case.module) and "Poly" not in repr(case.module):
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
    assert list(moved.buffers())
    assert {(buffer.device.type, buffer.dtype) for buffer in moved.buffers()} == {(device.type, torch.float32)}
    torch.testing.assert_close(
        moved(logits.float().to(device), target.to(device)).cpu().double(), expected, rtol=1e-5, atol=0
    )


@WEIGHTED
def test_the_module_owns_its_tensors(case):
    weight = WEIGHT.clone()
    loss = case.build(weight=weight)
    weight.zero_()
    assert torch.equal(loss.weight, WEIGHT)


@EVERY
def test_repr_shows_every_argument(case):
    arguments = {**case.settings, "ignore_index": 77, "reduction": "sum", "sync_normalizer": True}
    if case.takes_weight:
        arguments["weight"] = WEIGHT
    if case.family != "batch":
        arguments |= {"label_smoothing": 0.125, "normalizer": 3.5}
    text = repr(case.build(**arguments))
    for name, value in arguments.items():
        shown = "[0.5, 1.0, 2.0]" if name == "weight" else repr(value)
        assert f"{name}={shown}" in text
    for name in inspect.signature(case.module).parameters:
        assert f"{name}=" in text


@WEIGHTED
def test_repr_of_a_long_vector_is_its_shape(case):
    assert "weight=tensor(shape=(64,))" in repr(case.build(weight=torch.ones(64)))


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
    if not set(arguments) <= set(inspect.signature(case.module).parameters):
        with pytest.raises(TypeError, match=match):
            case.build(**arguments)
        return
    with pytest.raises(error, match=f"`{match}`"):
        case.build(**arguments)
    if not isinstance(arguments.get("weight"), Tensor):  # functions never look at the values of tensors
        with pytest.raises(error, match=f"`{match}`"):
            case.function(*draw(case), **{**case.required, **arguments})


NUMBERS = [
    pytest.param(case, name, id=f"{of}-{name}")
    for of, case in CASES.items()
    for name in case.settings
    if isinstance(case.settings[name], float)
]


@pytest.mark.parametrize(("case", "name"), NUMBERS)
def test_bad_numbers_raise_at_construction_and_at_the_call(case, name):
    for value, error in [(-1.5, ValueError), (torch.nan, ValueError), (torch.inf, ValueError), ("1", TypeError)]:
        with pytest.raises(error, match=f"`{name}`"):
            case.build(**{name: value})
        with pytest.raises(error, match=f"`{name}`"):
            case.function(*draw(case), **{**case.required, name: value})


@pytest.mark.parametrize("module", [losses.FocalLoss, losses.SigmoidFocalLoss])
def test_a_bad_gamma_vector_raises_at_construction(module):
    with pytest.raises(ValueError, match="`gamma`"):
        module(gamma=torch.tensor([1.0, -1.0, 0.0]))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("class_counts", [10, 0, 1]),
        ("class_counts", [10, -1, 1]),
        ("class_counts", [10, torch.nan, 1]),
        ("class_counts", 5),
        ("class_counts", torch.ones(3, 1)),
        ("prior", [2.0, 1.0, 1.0]),
        ("prior", [0.5, 0.5, 0.0]),
        ("prior", torch.full((3, 1), 1 / 3)),
        ("cost_matrix", [[0.0, 1.0]]),
        ("cost_matrix", [[0.0, -1.0], [1.0, 0.0]]),
        ("cost_matrix", [[0.0, torch.nan], [1.0, 0.0]]),
        ("cost_matrix", 3.0),
    ],
)
def test_what_a_loss_cannot_do_without_is_checked_at_construction(name, bad):
    having = [case for case in CASES.values() if name in case.required]
    assert having
    for case in having:
        with pytest.raises(ValueError, match=name):
            case.build(**{name: bad})


@over(lambda case: case.required and case.family == "softmax")
def test_a_wrong_number_of_classes_raises_at_the_call(case):
    logits, target = draw(case)
    name, value = next(iter(case.required.items()))
    wrong = value[:2] if name != "cost_matrix" else [row[:2] for row in value[:2]]
    with pytest.raises(ValueError, match="3 classes"):
        case.function(logits, target, **{name: wrong if name != "prior" else [0.5, 0.5]})


def test_a_prior_of_one_output_names_the_binary_loss():
    with pytest.raises(ValueError, match="LogitAdjustedBCEWithLogitsLoss"):
        losses.LogitAdjustedLoss(0.1)
    with pytest.raises(ValueError, match="`prior`"):
        functional.logit_adjusted_cross_entropy(torch.zeros(4, 2), torch.zeros(4).long(), 0.1)
    with pytest.raises(ValueError, match="`clip`"):
        losses.AsymmetricLoss(clip=1.0)


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
    if case.takes_weight:
        with pytest.raises(ValueError, match="`weight`"):
            case.build(**case.settings, weight=torch.ones(4))(logits, target)
    with pytest.raises(ValueError, match="one device"):
        loss(logits, target.to("meta"))


@WEIGHTED_SOFTMAX
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
    variants: list[dict[str, Any]] = [{}]
    if case.family != "batch":
        variants.append({"label_smoothing": 0.1, **({"weight": WEIGHT.float()} if case.takes_weight else {})})
    for arguments in variants:
        torch._dynamo.reset()
        loss = case.build(**case.settings, **arguments)
        logits, target = draw(case, dtype=torch.float32)
        fast = torch.compile(loss, fullgraph=True, backend=backend)
        same(fast(logits, target, torch.ones(8)), loss(logits, target, torch.ones(8)), logits, **tolerance)
    torch._dynamo.reset()


@EVERY
def test_compiles_in_one_graph(case):
    compiled_equals_eager(case, "aot_eager")


@POINTWISE
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

POSTERIORS = [
    pytest.param(case, settings, id=f"{name}-{settings}")
    for name, case in CASES.items()
    if case.has_posterior and case.family != "batch"
    for settings in ({}, case.settings, *case.grid)
    if "gamma_neg" not in settings or settings["gamma_neg"] * settings["gamma_pos"] or not settings.get("clip", 0.05)
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("case", "settings"), POSTERIORS)
def test_log_posterior_is_finite_normalised_and_monotone(case, settings, dtype):
    x = torch.tensor(sorted({*GRID, *range(-30, 31)}), dtype=DOUBLE).to(dtype)
    loss = case.build(**settings)
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


@pytest.mark.parametrize(("case", "settings"), POSTERIORS)
def test_log_posterior_keeps_its_digits_in_float32(case, settings):
    x = torch.linspace(-40, 40, 81)
    logits = torch.stack([torch.zeros_like(x), x, x / 2], 1) if case.family == "softmax" else x
    prior = SHARES if case.family == "softmax" else 0.3
    loss = case.build(**settings)
    low, exact = (loss.log_posterior(z, prior=prior) for z in (logits, logits.double()))
    if settings.get("clip", "clip" in inspect.signature(case.module).parameters):  # near p = clip, p - clip cancels
        low, exact = low[logits.sigmoid() > 0.2], exact[logits.sigmoid() > 0.2]
    torch.testing.assert_close(low.double(), exact, rtol=4e-6, atol=4e-6)


@over(lambda case: case.has_posterior and case.neutral is not None)
def test_log_posterior_at_the_neutral_setting_is_the_plain_one(case):
    logits, _ = draw(case)
    loss = case.build(**case.neutral)
    plain = F.log_softmax(logits, 1) if case.family == "softmax" else F.logsigmoid(logits)
    prior = SHARES if case.family == "softmax" else 0.1
    torch.testing.assert_close(loss.log_posterior(logits, prior=prior), plain)
    torch.testing.assert_close(loss.log_posterior(logits, prior=prior, train_prior=prior), plain)


@POSTERIOR
@pytest.mark.parametrize("prior", [[2.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.5, 0.5, torch.nan], [0.5, 0.5], 1.5], ids=str)
def test_log_posterior_refuses_bad_priors(case, prior):
    if case.family == "sigmoid" and prior == [0.5, 0.5]:
        prior = [[0.5, 0.5]] * 2
    with pytest.raises(ValueError, match=r"prior|sigmoid"):
        case.build().log_posterior(torch.zeros(4, 3), prior=prior)


@NO_POSTERIOR
def test_what_has_no_posterior_says_why_and_names_calibration(case):
    with pytest.raises(losses.NoPosteriorError, match=f"{case.module.__name__}.*: .*calibration"):
        case.build().log_posterior(torch.zeros(4, 3), prior=SHARES)
    assert issubclass(losses.NoPosteriorError, ValueError)
