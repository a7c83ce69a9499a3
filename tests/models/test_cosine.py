"""The cosine head: cosines, whatever the lengths, and a head that trains with the margin loss."""

import pytest
import torch

from imbalance_torch.losses import LDAMLoss
from imbalance_torch.models import CosineClassifier

X = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))


def test_outputs_are_cosines():
    head = CosineClassifier(5, 3)
    expected = torch.nn.functional.cosine_similarity(X[:, None], head.weight[None], dim=-1)
    torch.testing.assert_close(head(X), expected)
    assert (head(X).abs() <= 1 + 1e-6).all()


def test_lengths_do_not_matter_and_a_zero_vector_is_finite():
    head = CosineClassifier(5, 3)
    before = head(X)
    with torch.no_grad():
        head.weight.mul_(torch.tensor([[1e-3], [1.0], [1e3]]))
    torch.testing.assert_close(head(1e3 * X), before)
    zero = torch.zeros(2, 5, requires_grad=True)
    head(zero).sum().backward()
    assert (head(zero) == 0).all()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_dtype_and_leading_shape_stay(dtype):
    head = CosineClassifier(5, 3).to(dtype)
    out = head(X.to(dtype).reshape(4, 10, 5))
    assert out.dtype == dtype
    assert out.shape == (4, 10, 3)
    exact = CosineClassifier(5, 3)
    exact.load_state_dict(head.state_dict())
    torch.testing.assert_close(out.float().reshape(-1, 3), exact(X), rtol=0.02, atol=0.02)


def test_float64_is_not_narrowed():
    head = CosineClassifier(5, 3).double()
    assert torch.autograd.gradcheck(head, X[:3].double().requires_grad_())


def test_it_learns_a_rare_class_with_the_margin_loss():
    generator = torch.Generator().manual_seed(1)
    y = (torch.arange(300) % 20 == 0).long()
    x = torch.randn(300, 5, generator=generator) + 3 * y[:, None]
    head, loss = CosineClassifier(5, 2), LDAMLoss([285, 15])
    with torch.no_grad():
        head.weight.copy_(torch.randn(2, 5, generator=generator))
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        loss(head(x), y).backward()
        optimiser.step()
    assert (head(x).argmax(1)[y == 1] == 1).float().mean() > 0.85


@pytest.mark.parametrize(("arguments", "error"), [((0, 3), ValueError), ((5, 1), ValueError), ((5.0, 3), TypeError)])
def test_bad_arguments(arguments, error):
    with pytest.raises(error, match="`"):
        CosineClassifier(*arguments)


def test_repr():
    assert repr(CosineClassifier(5, 3)) == "CosineClassifier(in_features=5, num_classes=3)"
