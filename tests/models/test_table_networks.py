"""What all table networks share: input convention, embeddings, prior start, compilation, export, precision, state."""

import copy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from imbalance_torch.models import MLP, ResNet, TabM
from imbalance_torch.priors import init_prior_bias_

NETWORKS = [MLP, ResNet, TabM]
EMBEDDINGS = [None, "linear_relu", "periodic"]
every_network = pytest.mark.parametrize("network_class", NETWORKS)
every_embedding = pytest.mark.parametrize("num_embedding", EMBEDDINGS)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch(num_rows=6, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(num_rows, 3, generator=generator)
    codes = torch.randint(0, 4, (num_rows, 2), generator=generator)
    return torch.cat([dense, codes], dim=1).to(device)


def logits_shape(network, num_rows, num_outputs):
    members = [network.num_members] if isinstance(network, TabM) else []
    return (num_rows, *members, num_outputs)


@every_network
@every_embedding
@pytest.mark.parametrize("num_rows", [0, 1, 6])
@pytest.mark.parametrize("training", [True, False])
def test_shapes(device, network_class, num_embedding, num_rows, training):
    for num_outputs in (1, 2, 5):
        network = network_class(3, [4, 5], num_outputs, num_embedding=num_embedding).to(device).train(training)
        assert network(batch(num_rows, device)).shape == logits_shape(network, num_rows, num_outputs)


@every_network
@every_embedding
def test_only_dense_or_only_categorical_columns(network_class, num_embedding):
    for network, columns in (
        (network_class(3, num_embedding=num_embedding), 3),
        (network_class(0, [4], num_embedding=num_embedding), 1),
    ):
        assert network(torch.zeros(2, columns)).shape == logits_shape(network, 2, 2)


@every_network
def test_features_are_numbers_and_embeddings_in_order(network_class):
    embeddings = network_class(3, [4, 5]).embeddings
    x = batch()
    first, second = embeddings["0"].weight, embeddings["1"].weight
    expected = torch.cat([x[:, :3], first[x[:, 3].long()], second[x[:, 4].long()]], dim=1)
    assert torch.equal(embeddings(x), expected)


@every_network
def test_embedded_numbers_follow_the_formula(network_class):
    x = batch()
    linear = network_class(3, [4, 5], num_embedding="linear_relu", num_embedding_dim=7).embeddings
    weight, bias = linear["numeric"][0].linear.weight, linear["numeric"][0].linear.bias
    expected = torch.stack([(x[:, i, None] * weight[i] + bias[i]).relu() for i in range(3)], dim=1)
    torch.testing.assert_close(linear(x)[:, :21], expected.flatten(1))
    categories = torch.cat([linear["0"](x[:, 3].long()), linear["1"](x[:, 4].long())], dim=1)
    assert torch.equal(linear(x)[:, 21:], categories)

    periodic = network_class(3, [4, 5], num_embedding="periodic", num_embedding_dim=7).embeddings
    part = periodic["numeric"][0]
    angle = 2 * torch.pi * x[:, :3, None] * part.periodic.weight
    waves = torch.cat([angle.cos(), angle.sin()], dim=2)
    expected = torch.stack([(waves[:, i] @ part.linear.weight[i] + part.linear.bias[i]).relu() for i in range(3)], 1)
    torch.testing.assert_close(periodic(x)[:, :21], expected.flatten(1))


@every_network
def test_an_unseen_code_is_the_zero_vector_and_never_learns(network_class):
    network = network_class(1, [4, 3], dropout=0.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    x = torch.tensor([[0.5, 0.0, 1.0], [0.1, 2.0, 0.0]])
    for _ in range(3):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()
    for key, seen in (("0", 2), ("1", 1)):
        weight = network.embeddings[key].weight
        assert not weight[0].any()
        assert not weight.grad[0].any()
        assert weight.grad[seen].any()


@every_network
@every_embedding
def test_gradients_reach_every_parameter(network_class, num_embedding):
    network = network_class(3, [4, 5], num_embedding=num_embedding, dropout=0.0)
    network(batch(64)).square().sum().backward()
    assert [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()] == []


@every_network
def test_a_row_does_not_depend_on_the_rest_of_its_batch(network_class):
    network = network_class(3, [4, 5], dropout=0.0).double().train()
    x = batch().double()
    torch.testing.assert_close(network(x), torch.cat([network(row[None]) for row in x]))


@every_network
def test_dropout_only_while_training(network_class):
    network = network_class(3, [4, 5], dropout=0.5)
    x = batch(50)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@every_network
@pytest.mark.parametrize("prior", [[0.97, 0.03], [0.7, 0.2, 0.1], 0.01], ids=str)
def test_the_head_starts_at_the_prior(network_class, prior):
    shares = torch.tensor(prior)
    network = network_class(3, [4, 5], max(shares.numel(), 1))
    features = []
    network.head.register_forward_pre_hook(lambda head, inputs: features.append(inputs[0]))
    network(batch())
    before = network.head.weight.clone()
    assert init_prior_bias_(network.head, prior) is network.head
    assert torch.equal(network.head.weight, before)
    logits = network.head(torch.zeros_like(features[0]))
    probabilities = logits.softmax(-1) if shares.ndim else logits.sigmoid()
    torch.testing.assert_close(probabilities, shares.expand_as(probabilities))


@every_network
@every_embedding
def test_compiled_and_exported_networks_give_the_same_logits(network_class, num_embedding):
    network = network_class(3, [4, 5], num_embedding=num_embedding).eval()
    torch.testing.assert_close(torch.compile(network, fullgraph=True, backend="eager")(batch()), network(batch()))
    exported = torch.export.export(network, (batch(),), dynamic_shapes=({0: torch.export.Dim("rows")},)).module()
    for rows in (2, 6, 50):
        torch.testing.assert_close(exported(batch(rows)), network(batch(rows)))


@every_network
@every_embedding
def test_bfloat16_autocast(network_class, num_embedding, device):
    network = network_class(3, [4, 5], num_embedding=num_embedding, dropout=0.0).to(device)
    x = batch(50, device)
    exact = network(x)
    with torch.autocast(device.type, torch.bfloat16):
        logits = network(x)
    torch.testing.assert_close(logits.float(), exact, rtol=0.05, atol=0.05)
    logits.float().square().sum().backward()
    assert all(each.grad.isfinite().all() for each in network.parameters())


@every_network
@every_embedding
def test_state_round_trip_and_copy(network_class, num_embedding):
    network, other = (network_class(3, [4, 5], num_embedding=num_embedding).eval() for _ in range(2))
    assert not torch.equal(network(batch()), other(batch()))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(batch()), other(batch()))
    assert torch.equal(network(batch()), copy.deepcopy(network)(batch()))


@every_network
def test_a_seed_decides_the_weights(network_class):
    def build(seed):
        torch.manual_seed(seed)
        return network_class(3, [4, 5], num_embedding="periodic").eval()(batch())

    assert torch.equal(build(1), build(1))
    assert not torch.equal(build(1), build(2))


@every_network
def test_it_learns_a_rare_interaction(network_class):
    x = torch.cat([torch.randn(1000, 3), torch.randint(1, 3, (1000, 2))], dim=1)
    y = ((x[:, 0] * (2 * x[:, 3] - 3) > 1.0) & (x[:, 1] > 0)).long()
    assert 0.02 < y.float().mean() < 0.12
    network = network_class(3, [4, 5])
    init_prior_bias_(network.head, [1 - y.float().mean(), y.float().mean()])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        logits = network(x)
        members = logits.shape[1] if logits.ndim == 3 else 1
        F.cross_entropy(logits.reshape(-1, 2), y.repeat_interleave(members)).backward()
        optimizer.step()
    probabilities = network.eval()(x).softmax(-1)
    score = probabilities.reshape(len(x), -1, 2).mean(1)[:, 1]
    assert score[y == 1].median() > 0.8
    assert score[y == 0].mean() < 0.05


@every_network
@pytest.mark.parametrize("shape", [(6, 4), (6, 6), (5,), (2, 3, 5)])
def test_a_bad_width_is_named(network_class, shape):
    with pytest.raises(ValueError, match=r"`x` must have shape \(N, 5\), got"):
        network_class(3, [4, 5])(torch.zeros(shape))


@every_network
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_dense": 0}, ValueError, "at least one input column"),
        ({"num_dense": -1}, ValueError, "`num_dense` must be >= 0"),
        ({"num_dense": 2.5}, TypeError, "`num_dense` must be an integer"),
        ({"cardinalities": [3, 0]}, ValueError, "`cardinalities` must be >= 1, got cardinalities=0"),
        ({"num_outputs": 0}, ValueError, "`num_outputs` must be >= 1"),
        ({"dropout": 1.5}, ValueError, "`dropout` must be <= 1"),
        ({"max_embedding_dim": 0}, ValueError, "`max_embedding_dim` must be >= 1"),
        ({"num_embedding_dim": 0}, ValueError, "`num_embedding_dim` must be >= 1"),
        ({"num_embedding": "periodical"}, ValueError, "Did you mean 'periodic'"),
    ],
)
def test_bad_arguments(network_class, arguments, error, message):
    with pytest.raises(error, match=message):
        network_class(**({"num_dense": 2} | arguments))


@pytest.mark.parametrize(
    ("package", "build"),
    [
        ("tabm", lambda: TabM(2)),
        ("rtdl_num_embeddings", lambda: MLP(2, num_embedding="periodic")),
        ("rtdl_num_embeddings", lambda: ResNet(2, num_embedding="linear_relu")),
    ],
)
def test_a_missing_package_is_named(package, build, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"`{package}`: pip install 'imbalance-torch\[train\]'"):
        build()
    assert isinstance(MLP(2), nn.Module)
