import pytest
import torch
from torch.utils.data import RandomSampler, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, make_loader

Y = torch.tensor([0] * 9 + [1])
DATA = TensorDataset(torch.arange(10), Y)


def test_the_sampler_sets_the_batch_size():
    loader = make_loader(DATA, ClassBalancedSampler(Y, batch_size=4, drop_last=True), pin_memory=False)
    assert [y.sum().item() for _, y in loader] == [2, 2]
    assert (loader.batch_size, loader.drop_last, len(loader)) == (4, True, 2)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"shuffle": True},
        {"batch_size": 5},
        {"batch_size": None},
        {"batch_sampler": [[0]]},
    ],
)
def test_contradictions_are_refused(kwargs):
    with pytest.raises(ValueError, match=f"`{next(iter(kwargs))}` is settled by the sampler"):
        make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), **kwargs)


def test_a_loader_that_drops_what_the_sampler_keeps_is_refused():
    with pytest.raises(ValueError, match="drop_last"):
        make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), drop_last=True)


def test_agreement_is_accepted():
    loader = make_loader(DATA, ClassBalancedSampler(Y, batch_size=4), batch_size=4, shuffle=False, drop_last=False)
    assert len(list(loader)) == 3


def test_without_a_batch_size_the_loader_has_its_own():
    assert len(list(make_loader(DATA, ClassBalancedSampler(Y), batch_size=3, drop_last=True))) == 3


def test_wrong_sampler_or_dataset():
    with pytest.raises(TypeError, match="sampler"):
        make_loader(DATA, RandomSampler(DATA))
    with pytest.raises(ValueError, match="9 labels"):
        make_loader(DATA, ClassBalancedSampler(Y[1:]))
