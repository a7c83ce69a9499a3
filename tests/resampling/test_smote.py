"""SMOTE: rows lie where the method says, equal imbalanced-learn's from the same plan, and bad data is named."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SMOTE as ImblearnSMOTE
from scipy.stats import chisquare
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.resampling import SMOTE, smote_from_plan


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + y[:, None]
    return X.to(device, dtype), y.to(device)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strategy", ["auto", "minority", {0: 70, 1: 41, 2: 25}])
def test_imbalanced_learns_draws_give_its_rows_bit_for_bit(strategy, seed):
    X, y = data(seed=seed)
    k = 4
    expected, labels = ImblearnSMOTE(sampling_strategy=strategy, random_state=seed, k_neighbors=k).fit_resample(
        X.numpy(), y.numpy()
    )
    resampler = SMOTE(strategy, k_neighbors=k).fit(X, y)
    base, neighbor, gap = [], [], []
    for label, number in resampler.sampling_strategy_.items():
        if number:  # imbalanced-learn restarts the same stream in every class
            random_state = np.random.RandomState(seed)
            edges, index = resampler.graph_.edges[label], resampler.graph_.row_index
            pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), number))
            base.append(index[edges.bases[pair // k]])
            neighbor.append(index[edges.neighbors.flatten()[pair]])
            gap.append(random_state.uniform(size=number))
    new = smote_from_plan(X, torch.cat(base), torch.cat(neighbor), np.concatenate(gap))
    assert np.array_equal(new.numpy(), expected[len(X) :])
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = SMOTE(random_state=0).fit(X, y).sample(500)
    wide = torch.promote_types(dtype, torch.float32)
    base, neighbor = X[info.base_index].to(wide), X[info.neighbor_index].to(wide)
    assert info.gap.dtype == wide
    assert torch.equal(info.X, (base + info.gap[:, None] * (neighbor - base)).to(dtype))
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    low, high = torch.minimum(base, neighbor), torch.maximum(base, neighbor)
    slack = 4 * torch.finfo(wide).eps * (base.abs() + neighbor.abs())
    assert ((info.X >= low - slack) & (info.X <= high + slack)).all()
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(y[info.neighbor_index], info.y)
    assert (info.base_index != info.neighbor_index).all()


def test_neighbours_are_the_nearest_of_the_class():
    X, y = data()
    info = SMOTE(k_neighbors=3, random_state=0).fit(X, y).sample(2000)
    for label in (1, 2):
        rows = (y == label).nonzero().flatten().numpy()
        near = NearestNeighbors(n_neighbors=4).fit(X[rows].numpy()).kneighbors(X[rows].numpy())[1][:, 1:]
        allowed = {(rows[i], rows[j]) for i, row in enumerate(near) for j in row}
        drawn = info.y == label
        pairs = zip(info.base_index[drawn].tolist(), info.neighbor_index[drawn].tolist(), strict=True)
        assert set(pairs) == allowed


def test_pairs_and_gaps_are_uniform():
    X, y = data()
    info = SMOTE(k_neighbors=3, random_state=0).fit(X, y).sample({1: 36_000})
    pairs = torch.unique(info.base_index * 1000 + info.neighbor_index, return_counts=True)[1]
    assert len(pairs) == 36
    assert chisquare(pairs.numpy()).pvalue > 1e-4
    assert chisquare((info.gap * 50).long().bincount(minlength=50).numpy()).pvalue > 1e-4
    assert info.gap.min() >= 0
    assert info.gap.max() < 1


def test_classes_have_streams_of_their_own():
    """Twins: two classes with the same rows; imbalanced-learn draws the same rows for both."""
    X = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    X = torch.cat((X, X, torch.zeros(50, 2, dtype=torch.float64)))
    y = torch.tensor([0] * 20 + [1] * 20 + [2] * 50)
    theirs = ImblearnSMOTE(random_state=0).fit_resample(X.numpy(), y.numpy())[0][90:]
    assert np.array_equal(theirs[:30], theirs[30:])
    new = SMOTE(random_state=0).fit_resample(X, y)[0][90:]
    assert (new[:30] != new[30:]).any(1).all()


def test_one_class_draws_the_same_whatever_the_others_draw():
    X, y = data()
    alone = SMOTE({2: 60}, random_state=0).fit_resample(X, y)[0][len(X) :]
    beside = SMOTE("auto", random_state=0).fit_resample(X, y)[0][-35:]
    assert torch.equal(alone, beside)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.bool])
def test_integers_are_rounded_to_the_nearest(dtype):
    X = torch.tensor([[0, 1], [1, 0], [1, 1]]).to(dtype)
    base, neighbor, gap = [0, 0, 1], [1, 1, 2], [0.4, 0.6, 0.6]
    new = smote_from_plan(X, base, neighbor, gap)
    assert new.dtype == dtype
    assert new.tolist() == torch.tensor([[0, 1], [1, 0], [1, 1]]).to(dtype).tolist()
    negative = torch.tensor([[-10], [-7]])
    assert smote_from_plan(negative, [0, 0], [1, 1], [0.1, 0.3]).tolist() == [[-10], [-9]]


def test_a_plan_at_its_ends_gives_the_parents(device):
    X = torch.randn(5, 3, device=device, dtype=torch.float64)
    base, neighbor = torch.arange(4), torch.arange(1, 5)
    assert torch.equal(smote_from_plan(X, base, neighbor, torch.zeros(4)), X[:4])
    torch.testing.assert_close(smote_from_plan(X, base, neighbor, torch.ones(4)), X[1:])
    array = smote_from_plan(X.cpu().numpy(), base.numpy(), neighbor.numpy(), np.full(4, 0.5))
    assert type(array) is np.ndarray
    np.testing.assert_allclose(array, (X[:4] + X[1:]).cpu().numpy() / 2)
    assert smote_from_plan(X, [], [], []).shape == (0, 3)


@pytest.mark.parametrize("plan", [([0], [0, 1], [0.5]), ([0], [1], [0.5, 0.5]), ([[0]], [[1]], [[0.5]])])
def test_a_ragged_plan_is_refused(plan):
    with pytest.raises(ValueError, match="of one length"):
        smote_from_plan(torch.eye(2), *plan)


def test_many_rows_are_written_in_blocks():
    """More rows than one block holds: the same formula row by row."""
    X, y = data((900, 10), columns=2)
    info = SMOTE({1: 600_010}, random_state=0).fit(X, y).sample(600_000)
    base, neighbor = X[info.base_index], X[info.neighbor_index]
    assert torch.equal(info.X, base + info.gap[:, None] * (neighbor - base))


def test_translation_moves_the_rows_along():
    X, y = data()
    expected = SMOTE(random_state=0).fit_resample(X, y)[0]
    torch.testing.assert_close(SMOTE(random_state=0).fit_resample(X + 1e4, y)[0], expected + 1e4)
    float32 = SMOTE(random_state=0).fit_resample((X + 1e4).float(), y, return_info=True)
    expected_plan = SMOTE(random_state=0).fit_resample((X + 1e4).float().double(), y, return_info=True)
    assert torch.equal(float32.neighbor_index, expected_plan.neighbor_index)


@pytest.mark.parametrize("name", ["a", 1])
@pytest.mark.parametrize(
    ("rows", "fix"), [(1, "Use random over"), (2, "Use k_neighbors=1 or"), (5, "k_neighbors=4 or")]
)
def test_too_few_rows_name_class_count_and_fix(rows, fix, name):
    y = np.array([name] * rows + ["b" if name == "a" else 2] * 20)
    words = f"got k_neighbors=5 and {rows} rows? of class {name!r}. .*{fix}"
    with pytest.raises(ValueError, match=words):
        SMOTE().fit(np.random.default_rng(0).normal(size=(len(y), 2)), y)


def test_all_others_may_be_neighbours():
    X, y = data((20, 6))
    assert SMOTE(k_neighbors=5, random_state=0).fit_resample(X, y)[1].bincount().tolist() == [20, 20]


def test_small_classes_that_do_not_grow_are_no_error():
    X, y = data((40, 20, 1))
    assert SMOTE({1: 25}).fit_resample(X, y)[1].bincount().tolist() == [40, 25, 1]
    assert SMOTE({1: 25, 2: 1}).fit_resample(X, y)[1].bincount().tolist() == [40, 25, 1]


def test_equal_rows_warn_or_raise():
    X, y = data((40, 10))
    X[y == 1] = 2.5
    with pytest.warns(UserWarning, match="All 10 rows of class 1 equal their 5 nearest neighbours") as caught:
        X_res, _ = SMOTE(random_state=0).fit_resample(X, y)
    assert caught[0].filename == __file__
    assert torch.equal(X_res[50:], torch.full((30, 4), 2.5, dtype=X.dtype))
    with pytest.raises(ValueError, match="random over-sampling"):
        SMOTE(on_degenerate="error").fit(X, y)


def test_duplicates_join_with_other_rows_not_with_themselves():
    X, y = data((40, 10))
    X[y == 1] = X[y == 1][:5].repeat(2, 1)
    info = SMOTE(k_neighbors=2, random_state=0).fit(X, y).sample(300)
    assert (info.base_index != info.neighbor_index).all()
    assert (info.X != X[info.base_index]).any()


def test_constant_columns_stay_constant():
    X, y = data()
    X[:, 1] = 0.1
    assert (SMOTE(random_state=0).fit_resample(X, y)[0][:, 1] == 0.1).all()


def test_unequal_column_widths_warn_once_per_fit():
    X, y = data()
    X[:, 2] *= 1e5
    X[:, 3] = 7.0
    with pytest.warns(UserWarning, match=r"Column 2 of `X` is .*e\+0\d times as wide .*Standardise") as caught:
        SMOTE().fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_ratio_for_two_classes():
    X, y = data((80, 10))
    assert SMOTE(0.5).fit_resample(X, y)[1].bincount().tolist() == [80, 40]
    with pytest.raises(ValueError, match="only when the type of target is binary"):
        SMOTE(0.5).fit(*data())


def test_a_callable_receives_the_labels():
    X, y = data((80, 10))
    seen = []
    resampler = SMOTE(lambda labels: seen.append(labels) or {1: 30})
    assert resampler.fit_resample(X, y)[1].bincount().tolist() == [80, 30]
    assert seen == [y]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"k_neighbors": 2.0}, TypeError, "`k_neighbors`"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
        ({"random_state": "x"}, TypeError, "`random_state`"),
        ({"random_state": -1}, ValueError, "`random_state`"),
        ({"memory_budget": -1}, ValueError, "`memory_budget`"),
        ({"sampling_strategy": "majority"}, ValueError, "cannot be used with over-sampler"),
        ({"sampling_strategy": None}, TypeError, "`sampling_strategy`"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        SMOTE(**arguments).fit(*data())


def test_a_failed_fit_leaves_the_fitted_state():
    X, y = data()
    resampler = SMOTE(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="finite"):
        resampler.fit(X * torch.nan, y)
    assert len(resampler.sample(5).X) == 5


def test_the_graph_holds_no_view_of_the_data():
    X, y = data()
    resampler = SMOTE(random_state=0).fit(X, y)
    expected = resampler.sample({1: 5}, generator=torch.Generator().manual_seed(0)).X
    X.zero_()
    assert torch.equal(resampler.sample({1: 5}, generator=torch.Generator().manual_seed(0)).X, expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_generator_draws_on_the_device():
    X, y = data(device="cuda")
    resampler = SMOTE(random_state=0).fit(X, y)
    draws = [resampler.sample(50, generator=torch.Generator("cuda").manual_seed(1)).X for _ in range(2)]
    assert draws[0].is_cuda
    assert torch.equal(*draws)
