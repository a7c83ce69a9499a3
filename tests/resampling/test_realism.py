"""The realism report counts what it says it counts, and only for the data that the rows were drawn from."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imbalance_torch.resampling import (
    SMOTE,
    BorderlineSMOTE,
    ExpansiveOversampler,
    RealismReport,
    Resampled,
    realism_report,
)
from imbalance_torch.resampling._realism import _components


def data(counts=(200, 30, 60), columns=3, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    return (torch.randn(len(y), columns, generator=generator) + y[:, None]).to(device, dtype), y.to(device)


def made(X, y, rows, label=1, base=None):
    """Rows made by hand, as an over-sampler would return them."""
    rows = torch.as_tensor(rows, dtype=X.dtype)
    base = (y == label).nonzero().flatten()[:1].repeat(len(rows)) if base is None else torch.as_tensor(base)
    return Resampled(
        rows,
        torch.full((len(rows),), label),
        torch.ones(len(rows), dtype=torch.bool),
        base,
        base,
        torch.zeros(len(rows)),
    )


def by_hand(new, labels, X, y, k, label, skip=None):
    """The three shares of the rows ``new`` of a class by plain loops; ``skip[i]`` is the row that i is itself."""
    members = [i for i in range(len(X)) if y[i] == label]
    distance = np.linalg.norm(X[:, None] - X[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    scale = np.sort([distance[i, [j for j in members if j != i]].min() for i in members])[(len(members) - 1) // 2]
    verdicts = []
    for i, row in enumerate(new):
        away = np.linalg.norm(X - row, axis=1)
        others = X[members]
        if skip is not None:
            away[skip[i]] = np.inf
            others = X[[j for j in members if j != skip[i]]]
        near = np.argsort(away, kind="stable")[:k]
        outside = (row < others.min(0) - 1e-12) | (row > others.max(0) + 1e-12)
        verdicts.append((2 * (y[near] != label).sum() > k, away[near[0]] <= 1e-3 * scale, outside.any()))
    return np.mean(verdicts, axis=0).tolist()


@pytest.mark.filterwarnings("ignore:.*fewer than 20:UserWarning")
@pytest.mark.parametrize("k", [1, 4, 5])
@pytest.mark.parametrize("resampler", [SMOTE, BorderlineSMOTE, ExpansiveOversampler])
def test_shares_are_those_of_plain_loops(resampler, k):
    X, y = data()
    info = resampler(random_state=0).fit(X, y).sample({1: 150, 2: 90})
    report = realism_report(info, X, y, k_neighbors=k)
    for label in (1, 2):
        shares, drawn, members = report.classes[label], info.y == label, (y == label).nonzero().flatten().numpy()
        assert (shares.synthetic_rows, shares.real_rows) == (int(drawn.sum()), len(members))
        synthetic = by_hand(info.X[drawn].numpy(), None, X.numpy(), y.numpy(), k, label)
        real = by_hand(X.numpy()[members], None, X.numpy(), y.numpy(), k, label, skip=members)
        assert [shares.enemy, shares.copies, shares.outside] == pytest.approx(synthetic)
        assert [shares.real_enemy, shares.real_copies, shares.real_outside] == pytest.approx(real)
    assert set(report.classes) == {1, 2}
    weights = [(part.synthetic_rows, part.enemy) for part in report.classes.values()]
    assert report.overall.enemy == pytest.approx(sum(n * share for n, share in weights) / 240)
    assert report.overall.real_rows == 90


def test_each_share_sees_its_own_fault():
    X = torch.cat((torch.arange(40.0).double(), 1000 + torch.arange(30.0).double()))[:, None].repeat(1, 2)
    y = (torch.arange(70) >= 40).long()
    inside, enemy, copy, outside = [1010.3, 1010.3], [20.3, 20.3], [1010.0, 1010.0005], [1010.3, 1030.0]
    for row, expected in [(inside, (0, 0, 0)), (enemy, (1, 0, 1)), (copy, (0, 1, 0)), (outside, (0, 0, 1))]:
        shares = realism_report(made(X, y, [row]), X, y).classes[1]
        assert (shares.enemy, shares.copies, shares.outside) == expected
    shares = realism_report(made(X, y, [inside, enemy, copy, outside]), X, y).overall
    assert (shares.enemy, shares.copies, shares.outside) == (0.25, 0.25, 0.5)
    assert (shares.real_enemy, shares.real_copies) == (0, 0)
    assert shares.real_outside == pytest.approx(2 / 30)


def test_half_of_the_neighbours_is_no_majority():
    X = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    y = torch.tensor([0, 1, 0, 1])
    with pytest.warns(UserWarning, match="fewer than 20"):
        report = realism_report(made(X, y, [[1.1]]), X, y, k_neighbors=2)
    assert report.overall.enemy == 0
    assert report.overall.real_enemy == 0.5  # the row at 2.0 lies between rows of the other class


@pytest.mark.filterwarnings("ignore:.*fewer than 20:UserWarning")
def test_smote_never_leaves_the_range_nor_does_half_precision():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.int64):
        X, y = data(dtype=torch.float64)
        X = (X * 10).to(dtype)
        X[:, 0] *= 50
        report = realism_report(SMOTE(random_state=0).fit_resample(X, y, return_info=True), X, y)
        assert report.overall.outside == 0
        assert report.overall.synthetic_rows == 170 + 140
        below = X[y == 1].amin(0, keepdim=True) - X[y == 1].abs().amax(0) / 8
        assert realism_report(made(X, y, below.to(dtype)), X, y).overall.outside == 1


def test_a_rounding_beyond_the_range_does_not_count():
    X, y = data(dtype=torch.float32)
    top = X[y == 1].amax(0, keepdim=True)
    assert realism_report(made(X, y, top.nextafter(top + 1)), X, y).overall.outside == 0
    assert realism_report(made(X, y, top * (1 + 1e-5)), X, y).overall.outside == 1


def test_original_rows_as_synthetic_ones_are_copies():
    X, y = data()
    members = (y == 1).nonzero().flatten()
    report = realism_report(made(X, y, X[members], base=members), X, y)
    assert (report.overall.copies, report.overall.outside) == (1, 0)
    assert report.overall.real_copies == 0


def test_modes_are_told_apart():
    """Two clouds of a class, one of them among the majority: only that mode is at fault."""
    generator = torch.Generator().manual_seed(0)
    clouds = [(300, 0.0, 1.0), (30, 0.0, 0.5), (50, 40.0, 0.5)]
    X = torch.cat([at + spread * torch.randn(rows, 2, generator=generator) for rows, at, spread in clouds])
    y = torch.cat((torch.zeros(300), torch.ones(80))).long()
    info = SMOTE(random_state=0).fit(X, y).sample(400)
    report = realism_report(info, X, y)
    large, small = report.modes[1]
    assert (large.real_rows, small.real_rows) == (50, 30)
    assert large.synthetic_rows == int((info.base_index >= 330).sum())
    assert large.enemy == large.real_enemy == 0
    assert small.enemy > 0.3
    assert small.real_enemy > 0.3
    assert large.synthetic_rows + small.synthetic_rows == 400


def test_a_mode_that_no_row_came_from_has_no_shares():
    X = torch.cat((torch.arange(30.0), 500 + torch.arange(25.0), 1000 + torch.arange(90.0)))[:, None]
    y = torch.tensor([1] * 55 + [0] * 90)
    report = realism_report(made(X, y, [[3.5]], base=[3]), X, y)
    assert [mode.synthetic_rows for mode in report.modes[1]] == [1, 0]
    assert report.modes[1][1].enemy is None
    assert report.modes[1][1].real_enemy == 0
    assert str(report).splitlines()[3].split() == ["1", "0", "25", "-", "0.0%", "-", "0.0%", "-", "4.0%"]


@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_of_the_graph(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, links = 200, seed % 3
    near = torch.randint(rows, (rows, links), generator=generator)
    near[torch.rand(near.shape, generator=generator) < 0.6] = 0
    near = torch.where(near == 0, torch.arange(rows)[:, None], near)  # many rows stay alone
    source = torch.arange(rows).repeat_interleave(links)
    graph = coo_array((np.ones(len(source)), (source.numpy(), near.flatten().numpy())), shape=(rows, rows))
    number, expected = connected_components(graph, directed=False)
    found = _components(near)
    assert len(found.unique()) == number
    assert len(set(zip(found.tolist(), expected.tolist(), strict=True))) == number
    assert all(int((found == least).nonzero()[0]) == least for least in found.unique().tolist())


def test_a_long_chain_is_one_component():
    chain = (torch.arange(10_000) - 1).clamp(min=0)[torch.randperm(10_000, generator=torch.Generator().manual_seed(0))]
    assert (_components((torch.arange(10_000) - 1).clamp(min=0)[:, None]) == 0).all()
    assert len(_components(chain[:, None])) == 10_000


def test_few_rows_per_mode_warn_once():
    X, y = data((80, 8, 30))
    with pytest.warns(UserWarning, match=r"^1 mode .*fewer than 20 original rows \(8 of class 1\)") as caught:
        realism_report(SMOTE(random_state=0).fit(X, y).sample(50), X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("whole", [True, False])
def test_containers_and_kinds_of_result_agree(whole):
    X, y = data(dtype=torch.float32)

    def report(rows, labels):
        fitted = SMOTE(random_state=0)
        if whole:
            return realism_report(fitted.fit_resample(rows, labels, return_info=True), rows, labels)
        return realism_report(fitted.fit(rows, labels).sample(310), rows, labels)

    expected = report(X, y)
    assert report(X.numpy(), y.numpy()) == expected
    names = pd.Series(np.array(["a", "b", "c"])[y.numpy()], index=range(7, 7 + len(y)))
    frame = report(pd.DataFrame(X.numpy(), index=names.index), names)
    assert frame.overall == expected.overall
    assert list(frame.classes) == ["b", "c"]
    assert frame.classes["b"] == expected.classes[1]
    pl = pytest.importorskip("polars")
    assert report(pl.DataFrame(X.numpy()), pl.Series(names.tolist())).classes == frame.classes


def test_the_report_reads_as_a_table_and_as_json():
    X, y = data()
    report = realism_report(SMOTE(random_state=0).fit(X, y).sample(50), X, y)
    lines = str(report).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split()[0] for line in lines] == ["class", "1", "2", "overall"]
    found = json.loads(json.dumps(report.to_dict()))
    assert found["k_neighbors"] == 5
    assert [part["label"] for part in found["classes"]] == [1, 2]
    assert found["classes"][0]["enemy"] == report.classes[1].enemy
    assert found["classes"][1]["modes"][0]["real_rows"] == 60
    with pytest.raises(AttributeError):
        report.k_neighbors = 3
    assert isinstance(report, RealismReport)


def test_nothing_is_written_to_and_no_global_number_is_drawn():
    X, y = data()
    info = SMOTE(random_state=0).fit(X, y).sample(50)
    before, state = (X.clone(), info.X.clone()), torch.random.get_rng_state()
    first = realism_report(info, X, y)
    assert realism_report(info, X, y, memory_budget=1 << 14) == first
    assert torch.equal(X, before[0])
    assert torch.equal(info.X, before[1])
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_place_and_order_do_not_matter(scale):
    X, y = data()
    info = SMOTE(random_state=0).fit(X, y).sample(100)
    expected = realism_report(info, X, y)
    assert realism_report(info._replace(X=info.X * scale), X * scale, y) == expected
    assert realism_report(info._replace(X=info.X + 100), X + 100, y) == expected
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    moved = info._replace(base_index=place[info.base_index], neighbor_index=place[info.neighbor_index])
    assert realism_report(moved, X[order], y[order]) == expected


@pytest.mark.filterwarnings("ignore:.*fewer than 20:UserWarning")
def test_one_row_and_equal_rows_of_a_class():
    X, y = data((30, 1))
    report = realism_report(made(X, y, torch.cat((X[y == 1], X[y == 1] + 1e-9))), X, y)
    assert report.overall.copies == 0.5
    assert report.overall.real_outside == 0
    X[y == 0] = 1.0
    equal = realism_report(made(X, y, [[1.0] * 3, [1.0, 1.0, 1.5]], label=0), X, y).classes[0]
    assert (equal.copies, equal.real_copies, equal.outside, equal.real_outside) == (0.5, 1, 0.5, 0)


def test_wrong_arguments_are_named():
    X, y = data()
    info = SMOTE(random_state=0).fit(X, y).sample(50)
    with pytest.raises(TypeError, match="return_info=True"):
        realism_report(SMOTE(random_state=0).fit_resample(X, y), X, y)
    with pytest.raises(ValueError, match="got none"):
        realism_report(SMOTE(random_state=0).fit(X, y).sample(0), X, y)
    for wrong_X, wrong_y in [(X[:, :2], y), (X[:40], y[:40]), (X, y.flip(0)), (X, y + 5)]:
        with pytest.raises(ValueError, match="was drawn from"):
            realism_report(info, wrong_X, wrong_y)
    with pytest.raises(ValueError, match="`k_neighbors` must be >= 1"):
        realism_report(info, X, y, k_neighbors=0)
    with pytest.raises(ValueError, match="k_neighbors=290"):
        realism_report(info, X, y, k_neighbors=290)
    with pytest.raises(ValueError, match="finite"):
        realism_report(info._replace(X=info.X * float("nan")), X, y)


def test_devices_agree(device):
    X, y = data()
    expected = realism_report(SMOTE(random_state=0).fit(X, y).sample(80), X, y)
    there = SMOTE(random_state=0).fit(X.to(device), y.to(device)).sample(80)
    assert realism_report(there, X.to(device), y.to(device)) == expected
