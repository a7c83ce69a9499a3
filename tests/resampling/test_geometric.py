"""GeometricSMOTE: rows lie in the stated ball, factors cut and squeeze it as stated, and rows equal a scalar replay."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare, kstest

from imbalance_torch.resampling import BatchOversampler, GeometricSMOTE, _geometric, smote_from_plan

STRATEGIES = ("combined", "majority", "minority")


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def parts(X, info):
    """The offset of each row from its centre, its radius, and the offset along the axis and across it, over it."""
    offset, axis = info.X - X[info.base_index], X[info.neighbor_index] - X[info.base_index]
    radius = axis.norm(dim=1)
    along = (offset * axis).sum(1) / radius**2
    return offset, radius, along, (offset - along[:, None] * axis).norm(dim=1) / radius


def scalar_row(center, surface, truncation, deformation, normal, uniform):
    """One row, as Douzas and Bacao state it, in loops and dot products."""
    radius = np.linalg.norm(surface - center)
    if radius == 0:
        return center
    point = uniform ** (1 / len(center)) * normal / np.linalg.norm(normal)
    axis = (surface - center) / radius
    if abs(truncation - point @ axis) > 1:
        point = point - 2 * (point @ axis) * axis
    parallel = (point @ axis) * axis
    return center + radius * (parallel + (1 - deformation) * (point - parallel))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_lie_in_the_ball_of_their_parents(strategy, dtype, device):
    X, y = data(dtype=dtype, device=device)
    eps = torch.finfo(dtype).eps * 100
    info = GeometricSMOTE(selection_strategy=strategy, random_state=0).fit(X, y).sample(1000)
    offset, radius, along, _ = parts(X, info)
    torch.testing.assert_close(offset.norm(dim=1), info.gap * radius, rtol=eps, atol=eps)
    assert (along >= -eps).all()
    assert torch.equal(y[info.base_index], info.y)
    squeezed = (
        GeometricSMOTE(selection_strategy=strategy, deformation_factor=0.4, random_state=0).fit(X, y).sample(1000)
    )
    offset, radius, *_ = parts(X, squeezed)
    assert (offset.norm(dim=1) <= squeezed.gap * radius * (1 + eps) + eps).all()


def test_surface_points_are_those_of_the_strategy():
    X, y = data()
    for strategy in STRATEGIES:
        info = GeometricSMOTE(k_neighbors=3, selection_strategy=strategy, random_state=0).fit(X, y).sample(4000)
        for label in (1, 2):
            rows, allowed = (y == label).nonzero().flatten().tolist(), set()
            for row in rows:
                distance = (X - X[row]).norm(dim=1)
                order = distance.argsort().tolist()
                friends = [other for other in order if y[other] == label and other != row][:3]
                enemy = next(other for other in order if y[other] != label)
                pairs = {
                    "minority": friends,
                    "majority": [enemy],
                    "combined": [friend if distance[friend] <= distance[enemy] else enemy for friend in friends],
                }
                allowed |= {(row, other) for other in pairs[strategy]}
            drawn = info.y == label
            assert (
                set(zip(info.base_index[drawn].tolist(), info.neighbor_index[drawn].tolist(), strict=True)) == allowed
            )


def test_equally_near_rows_are_settled_for_the_same_class():
    X = torch.tensor([[0.0, 0], [1, 0], [-1, 0], [9, 9], [9, 8], [8, 8]])
    y = torch.tensor([1, 1, 0, 0, 0, 0])
    info = GeometricSMOTE(k_neighbors=1, random_state=0).fit(X, y).sample(50)
    assert {(0, 1), (1, 0)} == set(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("factors", [(1.0, 0.0), (0.3, 0.2), (0.0, 0.0), (-0.6, 0.7), (-1, 1)])
def test_rows_equal_a_scalar_replay(strategy, factors, monkeypatch):
    X, y = data()
    resampler = GeometricSMOTE(
        k_neighbors=4, truncation_factor=factors[0], deformation_factor=factors[1], selection_strategy=strategy
    ).fit(X, y)
    normals = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plan = resampler.draw({1: 120, 2: 80}, torch.Generator().manual_seed(2))
    monkeypatch.setattr(torch, "randn", lambda shape, **_: normals)
    new = resampler.generate(plan).numpy()
    index = resampler.graph_.row_index
    for i in range(200):
        center, surface = X[index[plan.base[i]]].numpy(), X[index[plan.neighbor[i]]].numpy()
        expected = scalar_row(center, surface, *factors, normals[i].numpy(), float(plan.gap[i]) ** 4)
        np.testing.assert_allclose(new[i], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(3))
def test_the_draws_of_imbalanced_learn_extra_give_its_rows(strategy, seed, monkeypatch):
    peer = pytest.importorskip("imblearn_extra.gsmote").GeometricSMOTE
    X, y = data((50, 14), seed=seed)
    settings = {
        "k_neighbors": 4, "truncation_factor": 0.5 - seed / 2, "deformation_factor": 0.3, "selection_strategy": strategy
    }  # fmt: skip
    expected = peer(random_state=seed, **settings).fit_resample(X.numpy(), y.numpy())[0][64:]
    resampler = GeometricSMOTE(**settings).fit(X, y)
    edges, random_state = resampler.graph_.edges[1], np.random.RandomState(seed)
    pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), 36))
    draws = [(random_state.normal(size=4), random_state.uniform(size=1)) for _ in range(36)]
    plan = resampler.draw({1: 36})._replace(
        base=edges.bases[pair // edges.neighbors.shape[1]],
        neighbor=edges.neighbors.flatten()[pair],
        gap=torch.tensor(np.concatenate([uniform for _, uniform in draws]) ** 0.25),
    )
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.tensor(np.stack([n for n, _ in draws])))
    np.testing.assert_allclose(resampler.generate(plan).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_full_deformation_and_truncation_stay_on_the_segment(device):
    X, y = data(device=device)
    info = GeometricSMOTE(deformation_factor=1, random_state=0).fit(X, y).sample(1000)
    _, _, along, across = parts(X, info)
    assert across.max() < 1e-12
    assert along.min() >= 0
    assert (along <= info.gap).all()
    assert along.unique().numel() == 1000


def test_one_column_is_plain_smote():
    X, y = data(columns=1)
    info = GeometricSMOTE(selection_strategy="minority", random_state=0).fit(X, y).sample(500)
    expected = smote_from_plan(X, info.base_index, info.neighbor_index, info.gap)
    torch.testing.assert_close(info.X, expected, rtol=1e-14, atol=1e-14)
    assert kstest(info.gap.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("truncation", [-1, -0.3, 0, 0.5, 1])
def test_truncation_cuts_the_ball_and_mirrors_what_it_cuts(truncation):
    X, y = data()
    low, high = max(-1, truncation - 1), min(1, truncation + 1)
    new = GeometricSMOTE(truncation_factor=truncation, random_state=0).fit(X, y).sample(4000)
    _, _, along, across = parts(X, new)
    assert low - 1e-12 <= along.min()
    assert along.max() <= high + 1e-12
    whole = GeometricSMOTE(truncation_factor=0, random_state=0).fit(X, y).sample(4000)
    _, _, whole_along, whole_across = parts(X, whole)
    torch.testing.assert_close(across, whole_across, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(along.abs(), whole_along.abs(), rtol=1e-9, atol=1e-9)


def test_deformation_shrinks_the_part_across_alone():
    X, y = data()
    drawn = [GeometricSMOTE(deformation_factor=f, random_state=0).fit(X, y).sample(500) for f in (0, 0.25, 1)]
    whole, squeezed, line = (parts(X, info) for info in drawn)
    torch.testing.assert_close(squeezed[3], 0.75 * whole[3])
    torch.testing.assert_close(squeezed[2], whole[2])
    torch.testing.assert_close(line[2], whole[2])


def test_points_are_uniform_in_the_ball():
    X, y = data((40, 12), columns=3)
    info = GeometricSMOTE(truncation_factor=0, random_state=0).fit(X, y).sample(20_000)
    offset, radius, along, _ = parts(X, info)
    assert kstest(info.gap.numpy() ** 3, "uniform").pvalue > 1e-4
    # In three dimensions the cosine of a uniform direction with any axis is uniform.
    assert kstest((along / info.gap).numpy(), "uniform", (-1, 2)).pvalue > 1e-4
    for column in (offset / (info.gap * radius)[:, None]).T:
        assert kstest(column.numpy(), "uniform", (-1, 2)).pvalue > 1e-4
    pairs = torch.unique(info.base_index, return_counts=True)[1]
    assert chisquare(pairs.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_move_scale_and_turn_along(strategy):
    X, y = data()
    settings = {"truncation_factor": 0, "selection_strategy": strategy, "random_state": 0}
    expected = GeometricSMOTE(**settings).fit_resample(X, y)[0]
    torch.testing.assert_close(GeometricSMOTE(**settings).fit_resample(X + 1e4, y)[0] - 1e4, expected)
    for scale in (1e-200, 1e-30, 1e30, 1e200):
        torch.testing.assert_close(GeometricSMOTE(**settings).fit_resample(X * scale, y)[0] / scale, expected)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=X.dtype, generator=torch.Generator().manual_seed(3)))[0]
    info = GeometricSMOTE(random_state=0, selection_strategy=strategy).fit(X @ turn, y).sample(300)
    plain = GeometricSMOTE(random_state=0, selection_strategy=strategy).fit(X, y).sample(300)
    assert torch.equal(info.neighbor_index, plain.neighbor_index)
    torch.testing.assert_close(parts(X @ turn, info)[0].norm(dim=1), parts(X, plain)[0].norm(dim=1))


def test_rows_do_not_depend_on_memory_or_threads():
    X, y = data((200, 40), columns=60, dtype=torch.float32)
    expected = GeometricSMOTE({1: 9_000}, random_state=0).fit_resample(X, y)[0]
    assert torch.equal(
        GeometricSMOTE({1: 9_000}, random_state=0, memory_budget=1 << 16).fit_resample(X, y)[0], expected
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(GeometricSMOTE({1: 9_000}, random_state=0).fit_resample(X, y)[0], expected)
    finally:
        torch.set_num_threads(threads)


def test_blocks_have_directions_of_their_own(monkeypatch):
    X, y = data((40, 12))
    monkeypatch.setattr(_geometric, "_BLOCK", 4 * 50)
    resampler = GeometricSMOTE(random_state=0).fit(X, y)
    plan = resampler.draw({1: 100})
    same = plan._replace(**{name: getattr(plan, name)[:50].repeat(2) for name in ("base", "neighbor", "gap")})
    rows = resampler.generate(same)
    assert (rows[:50] != rows[50:]).any(1).all()
    assert torch.equal(resampler.generate(same), rows)
    assert not torch.equal(resampler.generate(same._replace(noise_seed=1)), rows)


def test_a_plan_of_two_classes_serves_a_batch():
    X, y = data()
    oversampler = BatchOversampler(GeometricSMOTE(random_state=0), target_ratio=1.0).fit(X, y)
    first, second = (oversampler(X, y) for _ in range(2))
    assert first[1].bincount().tolist() == [60, 60, 60]
    assert (first[0][len(X) :] != second[0][len(X) :]).any(1).all()
    given = [oversampler(X, y, generator=torch.Generator().manual_seed(1))[0] for _ in range(2)]
    assert torch.equal(*given)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.bool, torch.float16])
def test_values_outside_the_range_of_a_dtype_are_cut_to_it(dtype):
    X, y = data(dtype=torch.float64)
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(torch.uint8 if dtype == torch.bool else dtype)
    low, high = (0, 1) if dtype == torch.bool else (info.min, info.max)
    X = torch.where(X > 1, high, low).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resampler = GeometricSMOTE(k_neighbors=11, truncation_factor=0, selection_strategy="minority").fit(X, y)
    plan, graph = resampler.draw({1: 300, 2: 300}, torch.Generator().manual_seed(0)), resampler.graph_
    new = resampler.generate(plan)
    assert new.dtype == dtype
    resampler.graph_ = replace(graph, rows=graph.rows.double())
    free = resampler.generate(plan._replace(gap=plan.gap.double()))
    assert free.min() < low
    assert free.max() > high
    whole = dtype != torch.float16
    torch.testing.assert_close(
        new.double(), (free.round() if whole else free).clamp(low, high), rtol=0 if whole else 2e-3, atol=0
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_integers_do_not_wrap_around(sign):
    X, y = data((40, 12), columns=1)
    X = torch.where(X > 1, sign * (2**63 - 1), sign * 2**62)
    new = GeometricSMOTE(k_neighbors=11, truncation_factor=0, selection_strategy="minority").fit(X, y).sample(300).X
    assert (new.sign() == sign).float().mean() > 0.7
    assert (new.double().abs() > 2**62.9).any()
    assert (new.double() * sign > -(2**62)).all()


def test_few_rows_suffice_where_no_neighbour_of_the_class_is_needed():
    X, y = data((40, 1))
    info = GeometricSMOTE(selection_strategy="majority", random_state=0).fit(X, y).sample(20)
    assert set(info.base_index.tolist()) == {int((y == 1).nonzero())}
    for strategy in ("combined", "minority"):
        with pytest.raises(ValueError, match="got k_neighbors=5 and 1 row of class 1"):
            GeometricSMOTE(selection_strategy=strategy).fit(X, y)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_copies_are_told_once(strategy):
    X, y = data((40, 12))
    X[y == 1] = X[y == 0][0]
    told = "equal a row of another class" if strategy == "majority" else "equal their 5 nearest neighbours"
    with pytest.warns(UserWarning, match=told) as caught:
        X_res, _ = GeometricSMOTE(selection_strategy=strategy, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res[52:], X[y == 1][:1].expand(28, 4))
    with pytest.raises(ValueError, match=told):
        GeometricSMOTE(selection_strategy=strategy, on_degenerate="error").fit(X, y)


def test_rows_that_equal_the_other_class_are_told():
    X, y = data((40, 12))
    X[y == 1] = X[y == 0][:12]
    with pytest.warns(UserWarning, match=r"All 12 rows of class 1 equal a row of another class.*minority"):
        GeometricSMOTE(random_state=0).fit(X, y)
    assert GeometricSMOTE(selection_strategy="minority", random_state=0).fit_resample(X, y)[0].isfinite().all()


def test_constant_columns_stay_constant_along_the_segment():
    X, y = data()
    X[:, 1] = 0.5
    line = GeometricSMOTE(deformation_factor=1, random_state=0).fit_resample(X, y)[0]
    torch.testing.assert_close(line[:, 1], X[:1, 1].expand(len(line)))


def test_frames_keep_names_and_dtypes():
    X, y = data(dtype=torch.float32)
    frame = pd.DataFrame(X.numpy(), columns=list("abcd"))
    labels = np.array(["x", "y", "z"])[y.numpy()]
    X_res, y_res = GeometricSMOTE(random_state=0).fit_resample(frame, labels)
    assert np.array_equal(X_res.to_numpy(), GeometricSMOTE(random_state=0).fit_resample(X, y)[0].numpy())
    assert list(X_res.columns) == list("abcd")
    assert np.unique(y_res, return_counts=True)[1].tolist() == [60, 60, 60]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"k_neighbors": 2.0}, TypeError, "`k_neighbors`"),
        ({"truncation_factor": 1.1}, ValueError, "`truncation_factor` must be <= 1"),
        ({"truncation_factor": -1.1}, ValueError, "`truncation_factor` must be >= -1"),
        ({"truncation_factor": "1"}, TypeError, "`truncation_factor`"),
        ({"deformation_factor": -0.1}, ValueError, "`deformation_factor` must be >= 0"),
        ({"deformation_factor": 2}, ValueError, "`deformation_factor` must be <= 1"),
        ({"deformation_factor": float("nan")}, ValueError, "`deformation_factor` must be finite"),
        ({"selection_strategy": "minorty"}, ValueError, "Did you mean 'minority'"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        GeometricSMOTE(**arguments)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_generator_draws_on_the_device():
    X, y = data(device="cuda")
    resampler = GeometricSMOTE(random_state=0).fit(X, y)
    draws = [resampler.sample(50, generator=torch.Generator("cuda").manual_seed(1)).X for _ in range(2)]
    assert draws[0].is_cuda
    assert torch.equal(*draws)
