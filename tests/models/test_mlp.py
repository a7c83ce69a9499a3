"""MLP: shapes, the embedding of unseen codes, compilation, bad widths."""

import pytest
import torch
from torch import nn

from imbalance_torch.models import MLP


def batch(num_rows=6, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(num_rows, 3, generator=generator)
    codes = torch.randint(0, 4, (num_rows, 2), generator=generator)
    return torch.cat([dense, codes], dim=1).to(device)


@pytest.mark.parametrize("num_outputs", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 4, 4)])
@pytest.mark.parametrize("num_rows", [0, 1, 6])
def test_shapes(device, num_outputs, hidden, num_rows):
    network = MLP(3, [4, 5], num_outputs, hidden=hidden).to(device)
    assert network(batch(num_rows, device)).shape == (num_rows, num_outputs)
    assert type(network.head) is nn.Linear
    assert network.head.out_features == num_outputs
    assert sum(isinstance(layer, nn.Linear) for layer in network.body) == len(hidden)


def test_only_dense_or_only_categorical_columns():
    assert MLP(3)(torch.zeros(2, 3)).shape == (2, 2)
    assert MLP(0, [4])(torch.zeros(2, 1)).shape == (2, 2)


@pytest.mark.parametrize(("size", "width"), [(1, 1), (2, 1), (9, 5), (1000, 16)])
def test_width_of_an_embedding(size, width):
    assert MLP(0, [size]).embeddings[0].embedding_dim == width
    assert MLP(0, [size], max_embedding_dim=2).embeddings[0].embedding_dim == min(width, 2)


def test_a_linear_network_is_the_formula():
    network = MLP(3, [4, 5], hidden=()).double()
    x = batch().double()
    first, second = network.embeddings
    columns = torch.cat([x[:, :3], first.weight[x[:, 3].long()], second.weight[x[:, 4].long()]], dim=1)
    torch.testing.assert_close(network(x), columns @ network.head.weight.T + network.head.bias)


def test_an_unseen_code_is_the_zero_vector_and_never_learns():
    network = MLP(1, [4, 3])
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    x = torch.tensor([[0.5, 0.0, 1.0], [0.1, 2.0, 0.0]])
    for _ in range(3):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()
    for embedding, seen in zip(network.embeddings, (2, 1), strict=True):
        assert not embedding.weight[0].any()
        assert not embedding.weight.grad[0].any()
        assert embedding.weight.grad[seen].any()


def test_dropout_only_while_training():
    network = MLP(3, [4, 5], dropout=0.5)
    x = batch(50)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_it_compiles_as_one_graph():
    network = MLP(3, [4, 5]).eval()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(batch()), network(batch()))


def test_state_round_trip():
    network, other = MLP(3, [4, 5]).eval(), MLP(3, [4, 5]).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(batch()), other(batch()))


@pytest.mark.parametrize("shape", [(6, 4), (6, 6), (5,), (2, 3, 5)])
def test_a_bad_width_is_named(shape):
    with pytest.raises(ValueError, match=r"`x` must have shape \(N, 5\), got"):
        MLP(3, [4, 5])(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_dense": 0}, ValueError, "at least one input column"),
        ({"num_dense": -1}, ValueError, "`num_dense` must be >= 0"),
        ({"num_dense": 2.5}, TypeError, "`num_dense` must be an integer"),
        ({"cardinalities": [3, 0]}, ValueError, "`cardinalities` must be >= 1, got cardinalities=0"),
        ({"num_outputs": 0}, ValueError, "`num_outputs` must be >= 1"),
        ({"hidden": [8, 0]}, ValueError, "`hidden` must be >= 1"),
        ({"dropout": 1.5}, ValueError, "`dropout` must be <= 1"),
        ({"max_embedding_dim": 0}, ValueError, "`max_embedding_dim` must be >= 1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        MLP(**({"num_dense": 2} | arguments))
