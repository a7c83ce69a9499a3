import numpy as np
import pytest
import torch

from imbalance_torch.samplers import GroupBalancedSampler

LABELS = np.array([0] * 800 + [1] * 200)
GROUPS = np.array(["land"] * 790 + ["water"] * 10 + ["land"] * 40 + ["water"] * 160)
CELLS = [((LABELS == label) & (GROUPS == group)).nonzero()[0] for label in (0, 1) for group in ("land", "water")]


def fed(rows, cells=CELLS):
    return [int(np.isin(rows, cell).sum()) for cell in cells]


@pytest.mark.parametrize("batch_size", [None, 40])
def test_cells_have_equal_shares(batch_size):
    sampler = GroupBalancedSampler(LABELS, GROUPS, batch_size=batch_size)
    for _ in range(3):
        assert fed(list(sampler)) == [250] * 4
    assert sampler.classes == (0, 1)
    assert sampler.cells == ((0, "land"), (0, "water"), (1, "land"), (1, "water"))
    assert sampler.effective_prior.tolist() == [0.5, 0.5]


def test_every_batch_holds_the_shares_of_the_cells():
    sampler = GroupBalancedSampler(LABELS, GROUPS, batch_size=40)
    assert all(fed(rows) == [10] * 4 for rows in sampler.indices().split(40))


def test_power_goes_from_equal_cells_to_the_data():
    assert sorted(GroupBalancedSampler(LABELS, GROUPS, power=1)) == list(range(1000))
    weights = [len(cell) ** 0.5 for cell in CELLS]
    got = fed(list(GroupBalancedSampler(LABELS, GROUPS, power=0.5)))
    assert got == pytest.approx([weight / sum(weights) * 1000 for weight in weights], abs=1)


def test_each_cell_is_a_deck():
    sampler = GroupBalancedSampler(LABELS, GROUPS, num_samples=40)
    rows = np.concatenate([list(sampler) for _ in range(79)])
    assert sorted(rows[np.isin(rows, CELLS[0])]) == CELLS[0].tolist()  # under-sampled, and yet all 790 are fed
    smallest = rows[np.isin(rows, CELLS[1])].reshape(79, 10)
    assert (np.sort(smallest, 1) == CELLS[1]).all()


def test_empty_cells_are_absent_and_named():
    groups = np.where(LABELS == 0, "land", GROUPS)
    sampler = GroupBalancedSampler(LABELS, groups, num_samples=900)
    rows = list(sampler)
    assert fed(rows, [CELLS[2], CELLS[3], np.arange(800)]) == [300, 300, 300]
    assert sampler.effective_prior.tolist() == pytest.approx([1 / 3, 2 / 3])
    sampler.set_epoch(0)
    said = sampler.describe()
    assert said.empty_cells == ((0, "water"),)
    assert said.cells == {(0, "land"): 300 / 800, (1, "land"): 1.0, (1, "water"): 1.0}
    assert said.coverage == {0: 300 / 800, 1: 1.0}
    text = str(said)
    assert "class 0, group water: no rows" in text
    assert "class 0, group land: 37.5%" in text


def test_other_groups_are_other_settings():
    state = GroupBalancedSampler(LABELS, GROUPS).state_dict()
    with pytest.raises(ValueError, match="settings differ"):
        GroupBalancedSampler(LABELS, GROUPS[::-1]).load_state_dict(state)
    with pytest.raises(ValueError, match="settings differ"):
        GroupBalancedSampler(LABELS, np.where(GROUPS == "land", "sea", GROUPS)).load_state_dict(state)


def test_kinds_of_groups():
    expected = GroupBalancedSampler(LABELS, GROUPS).indices()
    for groups in (GROUPS.tolist(), GROUPS == "water", torch.tensor(GROUPS == "water").int() * 3):
        assert GroupBalancedSampler(torch.tensor(LABELS), groups).indices().equal(expected)


@pytest.mark.parametrize(
    ("groups", "kwargs", "error", "match"),
    [
        (GROUPS[:-1], {}, ValueError, "groups"),
        ([], {}, ValueError, "`groups`"),
        (np.zeros((1000, 2), dtype=int), {}, ValueError, "`groups`"),
        (np.zeros(1000), {}, TypeError, "`groups`"),
        (None, {}, TypeError, "groups"),
        (GROUPS, {"power": 2}, ValueError, "power"),
        (GROUPS, {"num_samples": 3}, ValueError, "num_samples.*\\(1, 'water'\\)"),
    ],
)
def test_bad_arguments(groups, kwargs, error, match):
    with pytest.raises(error, match=match):
        GroupBalancedSampler(LABELS, groups, **kwargs)
