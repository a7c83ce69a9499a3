"""The eager kernels against the plain formula: value, slope, higher derivatives, transforms, memory."""

import itertools

import pytest
import torch
from torch import func
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

from imbalance_torch.losses import FocalLoss, SigmoidFocalLoss, _fast, _focal, _sigmoid_focal
from imbalance_torch.losses.functional import sigmoid_focal_loss

DOUBLE = torch.float64
GAMMAS = [0.1, 0.5, 1.0, 1.5, 2.0, 5.0]
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE) * 3
INDEX = torch.tensor([0, 1, 2, 2, 1, 0])
HARD = (torch.rand(6, 3, generator=torch.Generator().manual_seed(4)) < 0.3).to(DOUBLE)
SOFT = torch.rand(6, 3, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
PAIRS = [
    *((FocalLoss(gamma=gamma), INDEX) for gamma in GAMMAS),
    *((SigmoidFocalLoss(gamma=gamma), SOFT) for gamma in GAMMAS),
    (SigmoidFocalLoss(gamma=1.5, alpha=0.3, pos_weight=torch.tensor([1.0, 4.0, 0.5])), SOFT),
    *((SigmoidFocalLoss(gamma=gamma), HARD) for gamma in GAMMAS),
    (SigmoidFocalLoss(gamma=1.5, alpha=0.3), HARD),
    (SigmoidFocalLoss(gamma=1.5, pos_weight=torch.tensor([1.0, 4.0, 0.5]), weight=torch.tensor([1.0, 2.0, 3.0])), HARD),
    (SigmoidFocalLoss(gamma=0.5, reduction="sum"), torch.where(torch.arange(18).reshape(6, 3) == 7, 0.5, HARD)),
    (SigmoidFocalLoss(gamma=0.5, label_smoothing=0.1), HARD.bool()),
]
LOSSES = pytest.mark.parametrize(("loss", "target"), PAIRS, ids=lambda value: repr(value)[:40])


@pytest.fixture
def plain(monkeypatch):
    """Switch the kernels off, on call."""

    def switch():
        for module in (_focal, _sigmoid_focal):
            monkeypatch.setattr(module, "is_fast", lambda *_: False)

    return switch


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of the kernels."""
    calls = []
    for module, name in ((_focal, "softmax_focal"), (_sigmoid_focal, "sigmoid_focal")):
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, k=kernel: calls.append(1) or k(*a))
    return calls


def derivatives(loss, target, logits):
    x = logits.clone().requires_grad_()
    value = loss(x, target)
    first = torch.autograd.grad(value, x, create_graph=True)[0]
    second = torch.autograd.grad((first * torch.arange(1.0, first.numel() + 1).reshape(first.shape)).sum(), x)[0]
    return value.detach(), first.detach(), second


@LOSSES
@pytest.mark.parametrize("logits", [X, X * 0, X * 20], ids=["random", "zero", "far"])
def test_the_kernel_equals_the_plain_formula(loss, target, logits, plain, counted):
    ours = derivatives(loss, target, logits)
    assert counted
    plain()
    for fast, slow in zip(ours, derivatives(loss, target, logits), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("gamma", "dtype"), list(itertools.product(GAMMAS, [torch.float32, torch.bfloat16])), ids=str)
def test_the_kernel_keeps_its_digits(gamma, dtype):
    x = torch.arange(-30, 30.5, 0.5, dtype=dtype)  # hard targets and a soft one take different kernels
    for low_target in (torch.zeros(len(x)), torch.ones(len(x)), torch.full((len(x),), 0.25)):
        results = []
        for z in (x.clone().requires_grad_(), x.double().requires_grad_()):
            rows = SigmoidFocalLoss(gamma=gamma, reduction="none")(
                z.to(torch.promote_types(z.dtype, torch.float32)), low_target
            )
            results.append((rows.detach().double(), torch.autograd.grad(rows.sum(), z)[0].double()))
        tolerance = 1e-5 if dtype == torch.float32 else 1e-2
        for low, exact in zip(*results, strict=True):
            torch.testing.assert_close(low, exact, rtol=tolerance, atol=1e-30)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch 2.13: its own forward mode
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch 2.13: its own forward mode
@pytest.mark.parametrize(("loss", "target"), [(SigmoidFocalLoss(), HARD), (SigmoidFocalLoss(gamma=0.5), SOFT)], ids=str)
def test_reverse_over_forward_of_leaves(loss, target, plain):  # torch 2.13 refuses it for its own logsumexp
    def hessian_vector():
        x = X.clone().requires_grad_()
        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(x, torch.ones_like(x)), target)).tangent
            return torch.autograd.grad(tangent, x)[0]

    ours = hessian_vector()
    assert ours.abs().max() > 1e-4
    plain()
    torch.testing.assert_close(ours, hessian_vector())


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch 2.13: its own forward mode
def test_tangents_of_weights_count():
    x, weight = X.clone().requires_grad_(), torch.ones(3, dtype=DOUBLE)
    with forward_ad.dual_level():
        value = sigmoid_focal_loss(x, HARD, pos_weight=forward_ad.make_dual(weight, torch.ones_like(weight)))
        tangent = forward_ad.unpack_dual(value).tangent
    step = 1e-6
    apart = sigmoid_focal_loss(x, HARD, pos_weight=weight + step) - sigmoid_focal_loss(x, HARD, pos_weight=weight)
    torch.testing.assert_close(tangent, apart / step, rtol=1e-5, atol=0)


def test_subclasses_and_fake_tensors_take_the_plain_formula(counted):
    with FakeTensorMode():
        fake = torch.randn(6, 3, requires_grad=True)
        SigmoidFocalLoss()(fake, torch.zeros(6, 3)).backward()
        assert fake.grad.shape == (6, 3)
    assert not counted


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_second_derivatives_stay_finite_in_float32(gamma):
    for x in range(-110, 0):
        logits = torch.tensor([[x + 0.25, x, 0.0]], requires_grad=True)
        first = torch.autograd.grad(FocalLoss(gamma=gamma)(logits, torch.tensor([2])), logits, create_graph=True)[0]
        assert torch.autograd.grad(first.sum() + first[0, 2], logits)[0].isfinite().all()


def test_the_largest_logits_on_the_right_side_cost_nothing():
    largest = torch.finfo(torch.float32).max
    logits = torch.tensor([-largest, largest], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([0.0, 1.0]), reduction="sum")
    loss.backward()
    assert loss == 0
    assert logits.grad.eq(0).all()


def test_targets_outside_0_and_1_are_no_hard_targets(plain):
    x, target = torch.zeros(4, requires_grad=True), torch.tensor([1.5, 0.5, 0.5, 0.5])
    ours = SigmoidFocalLoss(reduction="none")(x + 1, target)
    plain()
    torch.testing.assert_close(ours, SigmoidFocalLoss(reduction="none")(x + 1, target))


@LOSSES
def test_gradcheck_in_every_mode(loss, target):
    logits = X.clone().requires_grad_()
    arguments = {"check_batched_grad": True}
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits, check_forward_ad=True, **arguments)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), logits, **arguments)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch 2.13: its own forward mode
@LOSSES
def test_functional_transforms(loss, target, plain):
    def of(x):
        return loss(x, target)

    def row(x, t):
        return loss(x.unsqueeze(0), t.unsqueeze(0))

    def stack(s):
        return loss(X * s, target)

    scales = torch.tensor([0.5, 1.0, 3.0], dtype=DOUBLE)
    transforms = {
        "grad": lambda: func.grad(of)(X),
        "jvp": lambda: func.jvp(of, (X,), (torch.ones_like(X),))[1],
        "hessian": lambda: func.hessian(of)(X),
        "reverse twice": lambda: func.jacrev(func.jacrev(of))(X),
        "forward over forward": lambda: func.jacfwd(func.jacfwd(of))(X),
        "gradient of each row": lambda: func.vmap(func.grad(row))(X, target),
        "gradient of each scale": lambda: func.vmap(func.grad(stack))(scales),
    }
    ours = {name: transform() for name, transform in transforms.items()}
    plain()
    for name, transform in transforms.items():
        torch.testing.assert_close(ours[name], transform(), rtol=1e-9, atol=1e-12, msg=name)


def test_vmap_over_logits_that_need_a_gradient(counted):
    stack = torch.stack([X, 2 * X]).requires_grad_()
    for loss, target in PAIRS:
        func.vmap(lambda x, loss=loss, target=target: loss(x, target))(stack).sum().backward()
        gradient, stack.grad = stack.grad, None
        for x, g in zip(stack.detach(), gradient, strict=True):
            torch.testing.assert_close(g, func.grad(lambda x, loss=loss, target=target: loss(x, target))(x))
    assert counted


@pytest.mark.parametrize("shape", [(1, _fast.CHUNK + 5), (2, 3, _fast.CHUNK // 4), (1, 1, 2 * _fast.CHUNK)], ids=str)
def test_chunks_run_over_every_dimension(shape, plain):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(5)).requires_grad_()
    target = (torch.rand(shape, generator=torch.Generator().manual_seed(6)) < 0.3).float()
    results = [SigmoidFocalLoss(reduction=reduction)(x, target) for reduction in ("none", "sum")]
    plain()
    for ours, reduction in zip(results, ("none", "sum"), strict=True):
        torch.testing.assert_close(ours, SigmoidFocalLoss(reduction=reduction)(x, target), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, _fast.CHUNK - 1, _fast.CHUNK, _fast.CHUNK + 1, 2 * _fast.CHUNK + 3])
def test_chunks_leave_nothing_out(size, plain):
    x = torch.randn(size, generator=torch.Generator().manual_seed(2)).requires_grad_()
    hard = (torch.arange(size) % 3 == 0).float()
    soft = torch.where(torch.arange(size) == size - 1, 0.5, hard)  # the last chunk alone is soft
    ours = []
    for target, reduction in itertools.product((hard, soft), ("none", "sum", "mean")):
        loss = SigmoidFocalLoss(reduction=reduction)
        ours.append((loss, target, loss(x, target)))
    gradients = [torch.autograd.grad(value.sum(), x)[0] for _, _, value in ours]
    plain()
    for (loss, target, value), gradient in zip(ours, gradients, strict=True):
        torch.testing.assert_close(value, loss(x, target), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, torch.autograd.grad(loss(x, target).sum(), x)[0])


def test_chunks_of_rows_with_many_labels_and_weights_of_full_shape(plain):
    shape = (_fast.CHUNK // 100, 101)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=generator).T.contiguous().T.requires_grad_()
    target = torch.rand(shape, generator=generator)
    loss = SigmoidFocalLoss(alpha=torch.rand(shape, generator=generator), reduction="none")
    rows = loss(x, target)
    plain()
    torch.testing.assert_close(rows, loss(x, target))


def test_the_plain_formula_takes_over(counted):
    x = X.clone().requires_grad_()
    needs = SOFT.clone().requires_grad_()
    SigmoidFocalLoss()(x, needs).backward()  # a target that needs a gradient
    assert needs.grad.abs().sum() > 0
    SigmoidFocalLoss(gamma=torch.tensor([1.0, 2.0, 3.0]))(x, SOFT)
    FocalLoss(gamma=0.0)(x, INDEX)
    FocalLoss(label_smoothing=0.1)(x, INDEX)
    FocalLoss()(x, SOFT)
    with torch.no_grad():
        FocalLoss()(x, INDEX)
    FocalLoss()(X, INDEX)
    assert not counted
    FocalLoss()(x, INDEX)
    assert counted


@pytest.mark.parametrize(
    ("loss", "target"),
    [(FocalLoss(), INDEX), (SigmoidFocalLoss(), SOFT.float()), (SigmoidFocalLoss(), HARD.float())],
    ids=str,
)
def test_one_float_per_logit_is_kept_for_backward(loss, target):
    logits = X.float().requires_grad_()
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss.reduction = "sum"
        result = loss(logits, target)
    inputs = {tensor.untyped_storage().data_ptr() for tensor in (logits, target)}
    extra = sum(size for pointer, size in kept.items() if pointer not in inputs)
    result.backward()
    assert extra <= 4 * logits.numel() + 100  # index columns and flags of the reduction


def test_the_graph_can_be_kept_and_inputs_stay_as_they_are():
    for loss, target in PAIRS:
        x = X.clone().requires_grad_()
        value = loss(x, target)
        first = torch.autograd.grad(value, x, retain_graph=True)[0]
        assert torch.equal(first, torch.autograd.grad(value, x)[0])
        assert torch.equal(x.detach(), X)
