"""MLP: its layers, widths of embeddings, the linear case, names of saved weights."""

import pytest
import torch
from torch import nn

from imbalance_torch.models import MLP


def batch(num_rows=6):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(num_rows, 3, generator=generator)
    codes = torch.randint(0, 4, (num_rows, 2), generator=generator)
    return torch.cat([dense, codes], dim=1)


@pytest.mark.parametrize("num_outputs", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 4, 4)])
@pytest.mark.parametrize("num_rows", [0, 1, 6])
def test_shapes(num_outputs, hidden, num_rows):
    network = MLP(3, [4, 5], num_outputs, hidden=hidden)
    assert network(batch(num_rows)).shape == (num_rows, num_outputs)
    assert type(network.head) is nn.Linear
    assert network.head.out_features == num_outputs
    assert sum(isinstance(layer, nn.Linear) for layer in network.body) == len(hidden)


@pytest.mark.parametrize(("size", "width"), [(1, 1), (2, 1), (9, 5), (1000, 16)])
def test_width_of_an_embedding(size, width):
    assert MLP(0, [size]).embeddings["0"].embedding_dim == width
    assert MLP(0, [size], max_embedding_dim=2).embeddings["0"].embedding_dim == min(width, 2)


def test_a_linear_network_is_the_formula():
    network = MLP(3, [4, 5], hidden=()).double()
    x = batch().double()
    first, second = network.embeddings.values()
    columns = torch.cat([x[:, :3], first.weight[x[:, 3].long()], second.weight[x[:, 4].long()]], dim=1)
    torch.testing.assert_close(network(x), columns @ network.head.weight.T + network.head.bias)


def test_names_of_saved_weights():
    names = ["embeddings.0.weight", "embeddings.1.weight"]
    names += [f"body.{i}.{kind}" for i in (0, 3) for kind in ("weight", "bias")]
    assert list(MLP(3, [4, 5]).state_dict()) == [*names, "head.weight", "head.bias"]


@pytest.mark.parametrize(("hidden", "error"), [([8, 0], ValueError), ([8, 2.5], TypeError)])
def test_bad_widths(hidden, error):
    with pytest.raises(error, match="`hidden` must be"):
        MLP(2, hidden=hidden)
