"""PolynomFitSMOTE: rows lie on the lines of their topology, as many on each, one in each part of it."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from imbalance_torch.resampling import BatchOversampler, PolynomFitSMOTE, smote_from_plan

TOPOLOGIES = ("star", "bus", "mesh")


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def lines_of(y, label, topology):
    rows = (y == label).nonzero().flatten().tolist()
    if topology == "star":
        return {(row, row) for row in rows}
    return set(itertools.pairwise(rows) if topology == "bus" else itertools.combinations(rows, 2))


def pairs_of(info):
    pairs = zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True)
    return [pair if pair[0] <= pair[1] else pair[::-1] for pair in pairs]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("rows", [2, 3, 4, 7, 8])
def test_lines_are_those_of_the_topology_and_share_equally(topology, rows):
    X, y = data((rows, 30))
    lines = lines_of(y, 0, topology)
    fitted = PolynomFitSMOTE(topology=topology, random_state=0).fit(X, y)
    for number in (len(lines), 3 * len(lines), 3 * len(lines) + 1, 5 * len(lines) - 1):
        info = fitted.sample({0: number})
        pairs = pairs_of(info)
        assert set(pairs) == lines
        counts = [pairs.count(line) for line in lines]
        assert max(counts) - min(counts) == (number % len(lines) > 0)
        # Row r of the m rows of a line lies in its part [r, r + 1) / m.
        for line in lines:
            gaps = info.gap[torch.tensor([pair == line for pair in pairs])]
            assert (gaps * len(gaps)).floor().tolist() == list(range(len(gaps)))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_fewer_rows_than_lines_are_on_different_lines_all_as_likely(topology):
    X, y = data((9, 30))
    lines = sorted(lines_of(y, 0, topology))
    fitted = PolynomFitSMOTE(topology=topology, random_state=0).fit(X, y)
    seen = []
    for _ in range(1500):
        pairs = pairs_of(fitted.sample({0: 5}))
        assert len(set(pairs)) == 5
        seen += pairs
    counts = [seen.count(line) for line in lines]
    assert sum(counts) == 7500
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int32, torch.uint8])
@pytest.mark.parametrize("topology", ["bus", "mesh"])
def test_rows_follow_from_their_stated_parents(topology, dtype, device):
    X, y = data(dtype=torch.float64)
    X = (X * 4 + 100).to(device, dtype)
    info = PolynomFitSMOTE(topology=topology, random_state=0).fit(X, y.to(device)).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y.to(device)[info.base_index], info.y)
    assert torch.equal(y.to(device)[info.neighbor_index], info.y)
    assert (info.base_index != info.neighbor_index).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int32, torch.uint8])
def test_star_rows_lie_between_their_base_and_the_mean(dtype, device):
    X, y = data(dtype=torch.float64)
    X, y = (X * 4 + 100).to(device, dtype), y.to(device)
    fitted = PolynomFitSMOTE(random_state=0).fit(X, y)
    info = fitted.sample(500)
    assert torch.equal(info.base_index, info.neighbor_index)
    assert torch.equal(y[info.base_index], info.y)
    means = torch.stack([X[y == label].double().mean(0) for label in (1, 2)])
    torch.testing.assert_close(torch.stack([*fitted.means_.values()]), means, rtol=1e-14, atol=0)
    base = X[info.base_index].double()
    expected = base + info.gap[:, None] * (means[info.y - 1] - base)
    if dtype.is_floating_point:
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(info.X.double(), expected, rtol=2 * eps, atol=2 * eps)
    else:
        assert torch.equal(info.X, expected.round().to(dtype))


def test_star_at_a_constant_class_column_and_at_huge_values():
    X, y = data()
    X[:, 1] = 0.1
    assert (PolynomFitSMOTE(random_state=0).fit_resample(X, y)[0][:, 1] == 0.1).all()
    assert PolynomFitSMOTE(random_state=0).fit_resample(X / X.abs().max() * 8e307, y)[0].isfinite().all()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_rows_move_scale_and_turn_along(topology):
    X, y = data()
    expected = PolynomFitSMOTE(topology=topology, random_state=0).fit_resample(X, y)[0]
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=X.dtype, generator=torch.Generator().manual_seed(3)))[0]
    for change in (lambda Z: Z + 1e4, lambda Z: Z * 1e200, lambda Z: Z @ turn):
        changed = PolynomFitSMOTE(topology=topology, random_state=0).fit_resample(change(X), y)[0]
        torch.testing.assert_close(changed, change(expected))


def test_the_mean_of_star_does_not_depend_on_the_order_of_rows():
    X, y = data()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    means = [PolynomFitSMOTE().fit(*rows).means_ for rows in ((X, y), (X[order], y[order]))]
    for label in (1, 2):
        torch.testing.assert_close(means[0][label], means[1][label])


def test_gaps_are_uniform_over_many_draws():
    X, y = data()
    fitted = PolynomFitSMOTE(random_state=0).fit(X, y)
    gaps = torch.cat([fitted.sample({1: 17}).gap for _ in range(300)])
    assert kstest(gaps.numpy(), "uniform").pvalue > 1e-4


def test_a_mesh_of_many_rows_takes_no_memory_for_its_pairs():
    X, y = data((50_000, 50_010), columns=1, dtype=torch.float32)
    info = PolynomFitSMOTE(topology="mesh", random_state=0).fit(X, y).sample(2000)
    assert (info.base_index != info.neighbor_index).all()
    assert len(set(pairs_of(info))) == 2000
    assert info.base_index.unique().numel() > 1900
    assert chisquare((info.base_index // 10_001).bincount(minlength=10).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_degenerate_classes(topology):
    X, y = data((40, 1))
    with pytest.raises(ValueError, match=r"got 1 row of class 1\. Use random over-sampling"):
        PolynomFitSMOTE(topology=topology).fit(X, y)
    assert PolynomFitSMOTE({0: 50}, topology=topology).fit_resample(X, y)[1].bincount().tolist() == [50, 1]
    X, y = data((40, 10))
    X[y == 1] = 0.1
    with pytest.warns(UserWarning, match="All 10 rows of class 1 are equal") as caught:
        X_res, _ = PolynomFitSMOTE(topology=topology, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (X_res[50:] == 0.1).all()
    with pytest.raises(ValueError, match="drop duplicates"):
        PolynomFitSMOTE(topology=topology, on_degenerate="error").fit(X, y)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_it_serves_batches(topology):
    X, y = data()
    oversampler = BatchOversampler(PolynomFitSMOTE(topology=topology, random_state=0), target_ratio=1.0).fit(X, y)
    first, second = (oversampler(X, y) for _ in range(2))
    assert first[1].bincount().tolist() == [60, 60, 60]
    assert not torch.equal(first[0], second[0])
    new, labels = first[0][len(X) :], first[1][len(X) :]
    if topology == "star":  # a plan of two classes goes to two means
        for label in (1, 2):
            own = X[y == label]
            assert (new[labels == label] <= own.amax(0)).all()
            assert (new[labels == label] >= own.amin(0)).all()


def test_a_failed_fit_leaves_the_fitted_state():
    X, y = data()
    fitted = PolynomFitSMOTE(random_state=0).fit(X, y)
    means = fitted.means_
    with pytest.raises(ValueError, match="got 1 row"):
        fitted.fit(*data((40, 30, 1)))
    assert fitted.means_ is means
    assert len(fitted.sample(5).X) == 5


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"topology": "ring"}, ValueError, "'star', 'bus', 'mesh'"),
        ({"topology": np.int64(1)}, ValueError, "`topology`"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        PolynomFitSMOTE(**arguments)
