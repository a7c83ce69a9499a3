"""ResNet: the block's formula, sizes, two kinds of dropout."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from imbalance_torch.models import ResNet

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_network_is_the_formula():
    network = ResNet(3, width=8, num_blocks=2).double().eval()
    weights = network.state_dict()

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = linear(X, "first")
    for i in range(2):
        x = x + linear(linear(norm(x, f"blocks.{i}.0"), f"blocks.{i}.1").relu(), f"blocks.{i}.4")
    torch.testing.assert_close(network(X), linear(norm(x, "last.0").relu(), "head"))


@pytest.mark.parametrize(("factor", "hidden"), [(2.0, 16), (0.5, 4), (1.3, 10), (0.01, 1), (1, 8)])
def test_sizes(factor, hidden):
    network = ResNet(3, num_outputs=5, width=8, num_blocks=3, hidden_factor=factor)
    assert type(network.head) is nn.Linear
    assert [block[1].out_features for block in network.blocks] == [hidden] * 3
    assert network(X.float()).shape == (7, 5)


def test_without_blocks_a_linear_layer_and_the_head_remain():
    network = ResNet(3, width=8, num_blocks=0).double()
    torch.testing.assert_close(network(X), network.head(F.layer_norm(network.first(X), (8,)).relu()))


def test_residual_dropout_leaves_the_shortcut():
    network = ResNet(3, width=8, dropout=0.0, residual_dropout=1.0).double()
    torch.testing.assert_close(network.train()(X), network.head(network.last(network.first(X))))
    assert not torch.allclose(network.eval()(X), network.head(network.last(network.first(X))))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"width": 1}, ValueError, "`width` must be >= 2"),
        ({"width": 8.0}, TypeError, "`width` must be an integer"),
        ({"num_blocks": -1}, ValueError, "`num_blocks` must be >= 0"),
        ({"hidden_factor": 0.0}, ValueError, "`hidden_factor` must be > 0"),
        ({"hidden_factor": "2"}, TypeError, "`hidden_factor` must be a number"),
        ({"residual_dropout": -0.1}, ValueError, "`residual_dropout` must be >= 0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        ResNet(2, **arguments)
