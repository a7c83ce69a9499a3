import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_torch.samplers import MultiLabelBalancedSampler


def correlated(rows=8000, labels=12, seed=0):
    """Labels of frequency 0.4 down to 0.01 that share causes."""
    generator = torch.Generator().manual_seed(seed)
    causes = torch.randn(rows, 3, generator=generator) @ torch.randn(3, labels, generator=generator)
    scores = causes / 2 + torch.randn(rows, labels, generator=generator)
    frequencies = 0.4 * (0.01 / 0.4) ** (torch.arange(labels) / (labels - 1))
    return scores > torch.stack([scores[:, i].quantile(1 - p) for i, p in enumerate(frequencies.tolist())])


TARGETS = correlated()
NONE = float((~TARGETS.any(1)).double().mean())


def mean_counts(sampler):
    return torch.from_numpy(np.diff(sampler._edges, prepend=0))


def counts(sampler, epochs):
    return torch.stack(
        [torch.bincount(sampler._draw(e, 0), minlength=len(sampler.dataset)) for e in range(epochs)]
    ).double()


def unevenness(frequencies):
    return float(frequencies.std(correction=0) / frequencies.mean())


def test_labels_become_equally_frequent():
    sampler = MultiLabelBalancedSampler(TARGETS, max_repeats=30)
    natural = TARGETS.double().mean(0)
    assert natural.max() > 30 * natural.min()
    assert sampler.effective_prior.max() < 1.001 * sampler.effective_prior.min()
    assert sampler.effective_prior.shape == (12,)
    assert sampler.classes == tuple(range(12))


@pytest.mark.parametrize("power", [0.25, 0.5, 0.75])
def test_power_tempers_the_frequencies(power):
    prior = MultiLabelBalancedSampler(TARGETS, power=power, max_repeats=100).effective_prior
    wanted = TARGETS.sum(0).double() ** power
    torch.testing.assert_close(prior / prior.sum(), wanted / wanted.sum(), rtol=1e-3, atol=0)


def test_power_one_is_every_row_once():
    sampler = MultiLabelBalancedSampler(TARGETS, power=1.0)
    assert sorted(sampler) == list(range(len(TARGETS)))


def test_the_prior_is_what_is_fed_in_expectation():
    targets = TARGETS[:2000]
    sampler = MultiLabelBalancedSampler(targets, num_samples=1500)
    mean = counts(sampler, 400).mean(0)
    torch.testing.assert_close(mean @ targets.double() / 1500, sampler.effective_prior, atol=2e-3, rtol=0)
    torch.testing.assert_close(mean, mean_counts(sampler), atol=0.03, rtol=0)
    torch.testing.assert_close(
        mean_counts(sampler) @ targets.double() / 1500, sampler.effective_prior, atol=1e-4, rtol=0
    )
    drawn = []
    for sampler.seed in range(300):
        drawn.append(counts(sampler, 1)[0])
    mean = torch.stack(drawn).mean(0)
    # a count has variance <= 1/2 beyond its whole part: 5.5 standard errors, 2000 rows, significance 1e-4 in all
    torch.testing.assert_close(mean, mean_counts(sampler), atol=5.5 * (0.5 / 300) ** 0.5, rtol=0)


def test_a_count_stays_within_two_of_its_mean_and_no_row_waits_forever():
    sampler = MultiLabelBalancedSampler(TARGETS[:1000])
    expected, times = mean_counts(sampler), counts(sampler, 400)
    assert ((times - expected).abs() < 2).all()
    assert (times.sum(1) == 1000).all()
    waits = (1 + 4 / expected).floor().long()
    due = waits < 400
    assert due.double().mean() > 0.7
    total = torch.cat([torch.zeros(1, 1000), times.cumsum(0)])
    for row in due.nonzero().flatten().tolist():
        assert (total[waits[row] :, row] - total[: -waits[row], row]).min() >= 1


def test_slices_are_drawn_independently():
    sampler = MultiLabelBalancedSampler(torch.ones(64, 1, dtype=torch.bool), num_samples=32)  # two rows to a slice
    first = torch.stack(
        [
            counts(MultiLabelBalancedSampler(torch.ones(64, 1, dtype=torch.bool), num_samples=32, seed=s), 1)[0]
            for s in range(1000)
        ]
    )
    assert (first[:, ::2] + first[:, 1::2] == 1).all()
    correlation = torch.corrcoef(first[:, ::2].T) - torch.eye(32)
    assert correlation.abs().max() < 5 / 1000**0.5  # 496 pairs, significance 3e-4 in all
    assert sampler.indices().sort().values.diff().min() >= 1


def class_aware(power):
    """Probabilities of picking a label, then one of its rows: Shen et al. 2016, rows without a label as they are."""
    number = TARGETS.sum(0).double()
    odds = TARGETS.double() @ (number**power / (number**power).sum() / number) * (1 - NONE)
    return odds + (~TARGETS.any(1)) / len(TARGETS)


@pytest.mark.parametrize("shares", [0.0, 0.5])
def test_frequencies_are_evener_than_by_class_aware_sampling_at_as_many_repeats(shares):
    theirs = class_aware(shares)
    repeats = float(1 - (len(TARGETS) * theirs).clamp(max=1).mean())
    low, high = 0.0, 1.0  # repeats fall with the power
    for _ in range(12):
        power = (low + high) / 2
        sampler = MultiLabelBalancedSampler(TARGETS, power=power)
        low, high = (power, high) if 1 - mean_counts(sampler).clamp(max=1).mean() > repeats else (low, power)
    assert 1 - mean_counts(sampler).clamp(max=1).mean() == pytest.approx(repeats, abs=0.005)
    assert unevenness(sampler.effective_prior) < 0.8 * unevenness(theirs @ TARGETS.double())


@pytest.mark.parametrize("most", [1, 2.5, 10])
def test_no_row_comes_more_often_than_allowed(most):
    expected = mean_counts(MultiLabelBalancedSampler(TARGETS, max_repeats=most, num_samples=16_000))
    assert expected.max() == pytest.approx(2 * most, rel=1e-5)
    if most == 1:
        torch.testing.assert_close(expected, torch.full_like(expected, 2))


def test_what_cannot_be_balanced_is_balanced_as_far_as_it_goes():
    targets = correlated(seed=1)
    targets[:, 0] = targets.any(1)  # every labelled row has the first label: no other can be as frequent
    sampler = MultiLabelBalancedSampler(targets)
    assert unevenness(sampler.effective_prior) < 0.7 * unevenness(targets.double().mean(0))
    assert mean_counts(sampler).max() < 12
    alike = torch.ones(50, 3, dtype=torch.bool)
    assert sorted(MultiLabelBalancedSampler(alike)) == list(range(50))


@pytest.mark.parametrize("unlabeled", [None, 0, 0.5])
def test_rows_without_a_label_have_a_share_of_their_own(unlabeled):
    sampler = MultiLabelBalancedSampler(TARGETS, unlabeled=unlabeled)
    share = float((~TARGETS[sampler.indices()].any(1)).double().mean())
    assert share == pytest.approx(NONE if unlabeled is None else unlabeled, abs=0.02)
    exact = mean_counts(sampler)[~TARGETS.any(1)].sum() / len(TARGETS)
    assert exact == pytest.approx(NONE if unlabeled is None else unlabeled, abs=1e-5)
    if unlabeled == 0:
        assert share == 0


def test_kinds_of_targets_agree():
    targets = TARGETS[:300]
    expected = MultiLabelBalancedSampler(targets)
    lists = [np.flatnonzero(row).tolist() for row in targets.numpy()]
    kinds = [
        targets.long(),
        targets.numpy().astype(np.uint8),
        targets.T.contiguous().T,
        pd.DataFrame(targets.numpy()),
        lists,
    ]
    for kind in kinds:
        sampler = MultiLabelBalancedSampler(kind)
        assert sampler.state_dict() == expected.state_dict()
        assert sampler.indices().equal(expected.indices())
    frame = pd.DataFrame(targets.numpy(), columns=list("abcdefghijkl"))
    assert list(MultiLabelBalancedSampler(frame).describe().coverage) == list("abcdefghijkl")


def test_a_label_without_rows_is_left_alone():
    targets = torch.cat([torch.zeros(len(TARGETS), 1, dtype=torch.bool), TARGETS], 1)
    prior = MultiLabelBalancedSampler(targets).effective_prior
    assert prior[0] == 0
    torch.testing.assert_close(prior[1:], MultiLabelBalancedSampler(TARGETS).effective_prior, rtol=1e-3, atol=0)


def test_one_row():
    assert MultiLabelBalancedSampler([[1, 2]]).indices().tolist() == [0]
    assert MultiLabelBalancedSampler(torch.tensor([[1]]), num_samples=3).indices().tolist() == [0, 0, 0]


def test_other_settings_are_refused():
    state = MultiLabelBalancedSampler(TARGETS).state_dict()
    for other in ({"power": 0.5}, {"max_repeats": 5}, {"unlabeled": 0.1}, {"num_samples": 100}):
        with pytest.raises(ValueError, match="settings differ"):
            MultiLabelBalancedSampler(TARGETS, **other).load_state_dict(state)


@pytest.mark.parametrize(
    ("targets", "error"),
    [
        ([0, 1], ValueError),
        (torch.tensor([0, 1]), ValueError),
        (torch.zeros(3, 2, dtype=torch.long), ValueError),
        (torch.zeros(3, 0, dtype=torch.long), ValueError),
        (torch.tensor([[0, 2]]), ValueError),
        (torch.rand(3, 2), TypeError),
        (pd.DataFrame({"a": ["x"]}), TypeError),
        ([[1], None], TypeError),
        ([], ValueError),
        (None, ValueError),
    ],
)
def test_bad_targets(targets, error):
    with pytest.raises(error, match="`targets`"):
        MultiLabelBalancedSampler(targets)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"power": -0.1}, ValueError),
        ({"power": 1.1}, ValueError),
        ({"max_repeats": 0.9}, ValueError),
        ({"max_repeats": None}, TypeError),
        ({"unlabeled": 1.0}, ValueError),
        ({"unlabeled": -0.1}, ValueError),
        ({"num_samples": 0}, ValueError),
    ],
)
def test_bad_arguments(kwargs, error):
    with pytest.raises(error, match=f"`{next(iter(kwargs))}`"):
        MultiLabelBalancedSampler(TARGETS, **kwargs)
    with pytest.raises(ValueError, match="`unlabeled`"):
        MultiLabelBalancedSampler([[0], [1]], unlabeled=0.2)
