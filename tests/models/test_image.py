"""ConvNet: shapes at any size, rows that stand alone, prior start, compilation, precision, learning a rare spot."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from imbalance_torch.models import ConvNet
from imbalance_torch.priors import init_prior_bias_


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("num_rows", [0, 1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (28, 28)], ids=str)
def test_shapes(device, size, num_rows, training):
    network = ConvNet(3, 5).to(device).train(training)
    assert network(torch.randn(num_rows, 3, *size, device=device)).shape == (num_rows, 5)
    assert type(network.head) is nn.Linear


@pytest.mark.parametrize("widths", [(1,), (2, 3), (8, 12, 40, 7)], ids=str)
def test_any_widths_keep_the_signal_at_the_smallest_size(widths):
    network = ConvNet(1, widths=widths).eval()
    x = torch.randn(2, 1, 2 ** len(widths), 2 ** len(widths))
    assert not torch.allclose(network(x[:1]), network(x[1:]), atol=1e-4)


def test_the_network_is_the_formula():
    network = ConvNet(2, 3, widths=(4, 6)).double().eval()
    weights = network.state_dict()
    images = torch.randn(5, 2, 12, 9, dtype=torch.float64)
    x = images
    for stage, groups in ((0, 4), (1, 2)):
        for layer in (7 * stage, 7 * stage + 3):
            x = F.conv2d(x, weights[f"body.{layer}.weight"], padding=1)
            grouped = x.reshape(5, groups, -1)
            centred = grouped - grouped.mean(2, keepdim=True)
            x = (centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()).reshape(x.shape)
            scale, offset = (weights[f"body.{layer + 1}.{name}"][:, None, None] for name in ("weight", "bias"))
            x = (x * scale + offset).relu()
        x = x[..., : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        x = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(network(images), x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"])


def test_an_image_does_not_depend_on_the_rest_of_its_batch():
    network = ConvNet(3, dropout=0.0).double().train()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(x), torch.cat([network(image[None]) for image in x]))


def test_dropout_only_while_training():
    network, x = ConvNet(1, dropout=0.5), torch.randn(8, 1, 8, 8)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_head_starts_at_the_prior():
    network = ConvNet(3, 2)
    head = init_prior_bias_(network.head, [0.99, 0.01])
    torch.testing.assert_close(head(torch.zeros(1, 128)).softmax(1), torch.tensor([[0.99, 0.01]]))


def test_gradients_reach_every_parameter():
    network = ConvNet(3)
    network(torch.randn(4, 3, 16, 16)).square().sum().backward()
    assert [name for name, each in network.named_parameters() if not each.grad.any()] == []


def test_compiled_and_exported_networks_give_the_same_logits():
    network, x = ConvNet(3).eval(), torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(torch.compile(network, fullgraph=True, backend="eager")(x), network(x))
    exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim("rows")},)).module()
    torch.testing.assert_close(exported(x[:2]), network(x[:2]))


def test_bfloat16_autocast(device):
    network, x = ConvNet(3, dropout=0.0).to(device), torch.randn(4, 3, 16, 16, device=device)
    exact = network(x)
    with torch.autocast(device.type, torch.bfloat16):
        logits = network(x)
    torch.testing.assert_close(logits.float(), exact, rtol=0.05, atol=0.05)
    logits.float().square().sum().backward()
    assert all(each.grad.isfinite().all() for each in network.parameters())


def test_state_round_trip():
    network, other = ConvNet(3).eval(), ConvNet(3).eval()
    x = torch.randn(2, 3, 8, 8)
    assert not torch.equal(network(x), other(x))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(x), other(x))


def test_it_learns_a_rare_bright_spot():
    y = (torch.arange(200) % 10 == 0).long()
    x = torch.randn(200, 1, 12, 12)
    rows, columns = torch.randint(0, 10, (2, 200))
    for i in y.nonzero().flatten():
        x[i, 0, rows[i] : rows[i] + 3, columns[i] : columns[i] + 3] += 2.5
    network = ConvNet(1, widths=(8, 16))
    init_prior_bias_(network.head, [0.9, 0.1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    score = network.eval()(x).softmax(1)[:, 1]
    assert score[y == 1].median() > 0.8
    assert score[y == 0].mean() < 0.1


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 7, 8), (2, 3, 8, 7), (3, 8, 8), (2, 3, 8), (1, 2, 3, 8, 8)])
def test_a_bad_input_is_named(shape):
    with pytest.raises(ValueError, match=r"`x` must have shape \(N, 3, H, W\) with H and W >= 8, got"):
        ConvNet(3)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"in_channels": 0}, ValueError, "`in_channels` must be >= 1"),
        ({"in_channels": 3.0}, TypeError, "`in_channels` must be an integer"),
        ({"num_outputs": 0}, ValueError, "`num_outputs` must be >= 1"),
        ({"widths": []}, ValueError, "`widths` must name at least one stage"),
        ({"widths": [8, 0]}, ValueError, "`widths` must be >= 1"),
        ({"dropout": 1.5}, ValueError, "`dropout` must be <= 1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        ConvNet(**({"in_channels": 3} | arguments))
