import pytest
import torch

from imbalance_torch.samplers import ClassBalancedSampler, SquareRootSampler

LABELS = torch.tensor([0] * 900 + [1] * 100)


@pytest.mark.parametrize("batch_size", [None, 40])
def test_it_is_class_balancing_of_power_one_half(batch_size):
    sampler = SquareRootSampler(LABELS, batch_size=batch_size, num_samples=800)
    assert sampler.effective_prior.tolist() == [0.75, 0.25]
    assert sampler.indices().equal(
        ClassBalancedSampler(LABELS, power=0.5, batch_size=batch_size, num_samples=800).indices()
    )


def test_too_few_rows_for_a_class():
    with pytest.raises(ValueError, match="class 1 gets no row"):
        SquareRootSampler(LABELS, num_samples=1)
    with pytest.raises(TypeError, match="num_samples"):
        SquareRootSampler(LABELS, num_samples=2.5)
