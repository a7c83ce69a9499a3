"""TabM: every member is a plain perceptron, the start of the adapters, the prior at every member."""

import pytest
import torch
from tabm import LinearBatchEnsemble, LinearEnsemble

from imbalance_torch.models import MLP, TabM
from imbalance_torch.priors import init_prior_bias_


def batch(num_rows=9):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(num_rows, 3, generator=generator)
    codes = torch.randint(0, 4, (num_rows, 2), generator=generator)
    return torch.cat([dense, codes], dim=1).double()


def adapted(network):
    return [layer for layer in network.body if isinstance(layer, LinearBatchEnsemble)]


def randomised(network):
    """Move every adapter and weight away from its start."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return network


def member(network, j, hidden):
    """Return the plain perceptron whose weights are those of member j with the adapters multiplied in."""
    plain = MLP(3, [4, 5], network.head.out_features, hidden=hidden).double().eval()
    with torch.no_grad():
        for key in ("0", "1"):
            plain.embeddings[key].weight.copy_(network.embeddings[key].weight)
        for linear, source in zip(plain.body[::3], adapted(network), strict=True):
            linear.weight.copy_(source.s[j][:, None] * source.weight * source.r[j])
            linear.bias.copy_(source.bias[j])
        plain.head.weight.copy_(network.head.weight[j].T)
        plain.head.bias.copy_(network.head.bias[j])
    return plain


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6, 4)], ids=str)
@pytest.mark.parametrize("num_outputs", [1, 3])
@pytest.mark.parametrize("k", [1, 4])
def test_every_member_is_a_plain_perceptron(hidden, num_outputs, k):
    network = randomised(TabM(3, [4, 5], num_outputs, k=k, hidden=hidden).double()).eval()
    logits = network(batch())
    assert logits.shape == (9, k, num_outputs)
    assert network.num_members == k
    for j in range(k):
        torch.testing.assert_close(logits[:, j], member(network, j, hidden)(batch()))


def test_one_member_with_neutral_adapters_is_the_shared_weights_alone():
    network = TabM(3, [4, 5], k=1, hidden=(8, 6)).double().eval()
    plain = MLP(3, [4, 5], hidden=(8, 6)).double().eval()
    with torch.no_grad():
        adapted(network)[0].r.fill_(1.0)
        for key in ("0", "1"):
            plain.embeddings[key].weight.copy_(network.embeddings[key].weight)
        for linear, source in zip(plain.body[::3], adapted(network), strict=True):
            linear.weight.copy_(source.weight)
            linear.bias.copy_(source.bias[0])
        plain.head.weight.copy_(network.head.weight[0].T)
        plain.head.bias.copy_(network.head.bias[0])
    torch.testing.assert_close(network(batch())[:, 0], plain(batch()))


def test_the_start_has_one_random_sign_per_column_and_ones():
    network = TabM(30, [9, 9], k=16)
    first, second = adapted(network)
    assert (first.r.abs() == 1).all()
    assert 0.3 < (first.r[:, :30] > 0).float().mean() < 0.7
    for start, stop in ((30, 35), (35, 40)):
        signs = first.r[:, start:stop]
        assert (signs == signs[:, :1]).all()
    assert len(first.r.unique(dim=0)) == 16
    for ones in (first.s, second.r, second.s):
        assert (ones == 1).all()
    assert len(network.head.weight.flatten(1).unique(dim=0)) == 16


@pytest.mark.parametrize("num_embedding", ["linear_relu", "periodic"])
def test_embedded_numbers_start_with_a_normal_draw_per_column(num_embedding):
    first = adapted(TabM(30, [9], k=16, num_embedding=num_embedding, num_embedding_dim=4))[0].r
    assert first.shape == (16, 30 * 4 + 5)
    numbers = first[:, :120].reshape(16, 30, 4)
    assert (numbers == numbers[..., :1]).all()
    assert 0.7 < numbers[..., 0].std() < 1.3
    assert (first.abs() != 1).all()
    assert (first[:, 120:] == first[:, 120:121]).all()


def test_every_member_starts_at_the_prior():
    head = TabM(3, [4, 5], 3, k=4).head
    init_prior_bias_(head, [0.9, 0.09, 0.01])
    expected = torch.tensor([0.9, 0.09, 0.01]).expand(4, 3)
    torch.testing.assert_close(head.bias.softmax(-1), expected)
    labels = init_prior_bias_(TabM(3, num_outputs=2, k=4).head, [[0.9, 0.1], [0.4, 0.6]])
    torch.testing.assert_close(labels.bias.sigmoid(), torch.tensor([0.1, 0.6]).expand(4, 2))
    one = init_prior_bias_(TabM(3, num_outputs=1, k=4).head, 0.01)
    torch.testing.assert_close(one.bias.sigmoid(), torch.full((4, 1), 0.01))
    with pytest.raises(ValueError, match="does not fit a head with 3 output"):
        init_prior_bias_(head, [0.25] * 4)
    with pytest.raises(ValueError, match="bias=True"):
        init_prior_bias_(LinearEnsemble(3, 3, False, k=4), [0.9, 0.09, 0.01])


def test_every_member_receives_its_own_gradient():
    network = TabM(3, [4, 5], k=4, dropout=0.0).double()
    network(batch())[:, 1].square().sum().backward()
    for layer in adapted(network):
        for own in (layer.r, layer.s, layer.bias):
            assert own.grad.any(dim=1).tolist() == [False, True, False, False]
        assert layer.weight.grad.any()
    assert network.head.weight.grad.flatten(1).any(dim=1).tolist() == [False, True, False, False]


def test_each_member_drops_its_own_units():
    network = TabM(3, [4, 5], k=4, hidden=(64,), dropout=0.5)
    kept = network.body(network.embeddings(batch().float())) != 0
    assert not torch.equal(kept[:, 0], kept[:, 1])


def test_number_of_parameters():
    # 134 dense columns, two layers of 64 and 8 members: the network of the TabM recipe measured on simulated
    # card transactions; 72 weights per column and 7,176 others.
    assert sum(each.numel() for each in TabM(134, num_outputs=1).parameters()) == 16_824


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "`k` must be >= 1"),
        ({"k": 2.0}, TypeError, "`k` must be an integer"),
        ({"hidden": [8, 0]}, ValueError, "`hidden` must be >= 1"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        TabM(2, **arguments)
