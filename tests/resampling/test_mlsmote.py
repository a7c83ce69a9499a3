"""MLSMOTE: one row per row of a rare label's bag, with ranked labels, whatever container the data comes in."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest

from imbalance_torch.resampling import MLSMOTE, smote_from_plan


def data(rows=120, columns=3, seed=0, dtype=torch.float64, device="cpu"):
    """Labels 0 and 1 are common, 2 and 3 rare."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * 3
    Y = (torch.rand(rows, 4, generator=generator) < torch.tensor([0.8, 0.6, 0.12, 0.15])).long()
    return X.to(device, dtype), Y.to(device)


def stated(X, Y, k):
    """Counts, ratios, bags, and the neighbours of each row in its bag, by the text of the paper."""
    counts = [int(Y[:, j].sum()) for j in range(Y.shape[1])]
    ratios = [max(counts) / count if count else float("inf") for count in counts]
    finite = [ratio for ratio in ratios if ratio < float("inf")]
    mean = sum(finite) / len(finite)
    bags = {
        j: (Y[:, j] == 1).nonzero().flatten().tolist() for j, ratio in enumerate(ratios) if mean < ratio < float("inf")
    }
    near = {}
    for j, bag in bags.items():
        for row in bag:
            others = sorted(
                (other for other in bag if other != row), key=lambda other: float((X[row] - X[other]).norm())
            )
            near[j, row] = others[:k]
    return counts, ratios, mean, bags, near


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 4, 5])
def test_seeds_neighbours_and_labels_are_those_of_the_paper(seed, k, device):
    X, Y = data(seed=seed)
    counts, ratios, mean, bags, near = stated(X, Y, k)
    assert bags.keys() == ({2} if seed == 3 else {2, 3})
    mlsmote = MLSMOTE(k_neighbors=k, random_state=0)
    info = mlsmote.fit_resample(X.to(device), Y.to(device), return_info=True)
    assert mlsmote.label_counts_ == dict(enumerate(counts))
    assert mlsmote.imbalance_ratios_ == pytest.approx(dict(enumerate(ratios)))
    assert mlsmote.mean_imbalance_ratio_ == pytest.approx(mean)
    assert mlsmote.added_ == {j: len(bag) for j, bag in bags.items()}
    assert info.base_index.tolist() == [row for bag in bags.values() for row in bag]
    seeds = [(j, row) for j, bag in bags.items() for row in bag]
    new = info.y[len(X) :].cpu()
    for (j, row), neighbor, labels in zip(seeds, info.neighbor_index.tolist(), new, strict=True):
        assert neighbor in near[j, row]
        votes = Y[row] + Y[near[j, row]].sum(0)
        assert labels.tolist() == (votes > (k + 1) / 2).long().tolist()
        assert labels[j] == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
@pytest.mark.parametrize("label_dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_originals_first_and_rows_from_their_parents(dtype, label_dtype, device):
    X, Y = data(dtype=dtype, device=device)
    Y = Y.to(label_dtype)
    info = MLSMOTE(random_state=0).fit_resample(X, Y, return_info=True)
    assert (info.X.dtype, info.X.device, info.y.dtype, info.y.device) == (X.dtype, X.device, label_dtype, Y.device)
    assert torch.equal(info.X[:120], X)
    assert torch.equal(info.y[:120], Y)
    assert info.is_synthetic.tolist() == [False] * 120 + [True] * (len(info.X) - 120)
    assert torch.equal(info.X[120:], smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert (info.base_index != info.neighbor_index).all()


def test_containers_give_the_same_rows():
    X, Y = data()
    X_res, Y_res = MLSMOTE(random_state=0).fit_resample(X, Y)
    arrays = MLSMOTE(random_state=0).fit_resample(X.numpy(), Y.numpy().astype("int8"), return_info=True)
    assert all(type(part) is np.ndarray for part in arrays)
    assert arrays.y.dtype == np.int8
    assert np.array_equal(arrays.X, X_res.numpy())
    assert np.array_equal(arrays.y, Y_res.numpy())
    lists = MLSMOTE(random_state=0).fit_resample(X.tolist(), Y.tolist())
    assert np.array_equal(lists[0], X_res.numpy())
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    assert np.array_equal(MLSMOTE(random_state=0).fit_resample(np.asfortranarray(frozen), Y.numpy())[0], X_res.numpy())


def test_frames_keep_names_dtypes_and_mixed_containers():
    X, Y = data()
    frame = pd.DataFrame(X.numpy(), columns=["a", "b", "c"], index=range(500, 620))
    labels = pd.DataFrame(Y.numpy(), columns=["u", "v", "rare", "r2"]).astype(
        {"u": bool, "v": "int8", "rare": "Int64", "r2": "float32"}
    )
    mlsmote = MLSMOTE(random_state=0)
    X_res, Y_res = mlsmote.fit_resample(frame, labels)
    expected = MLSMOTE(random_state=0).fit_resample(X, Y)
    assert set(mlsmote.added_) == {"rare", "r2"}
    assert Y_res.dtypes.equals(labels.dtypes)
    assert X_res.index.equals(pd.RangeIndex(len(X_res)))
    assert list(X_res.columns) == ["a", "b", "c"]
    assert np.array_equal(X_res.to_numpy(), expected[0].numpy())
    assert np.array_equal(Y_res.to_numpy(dtype=float), expected[1].numpy())
    assert np.array_equal(MLSMOTE(random_state=0).fit_resample(frame, Y.numpy())[1], expected[1].numpy())


def test_seeds_decide_and_global_randomness_is_left_alone():
    X, Y = data()
    torch.manual_seed(1), np.random.seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    mlsmote = MLSMOTE(random_state=3)
    first = mlsmote.fit_resample(X, Y)[0]
    assert torch.equal(mlsmote.fit_resample(X, Y)[0], first)
    assert not torch.equal(MLSMOTE(random_state=4).fit_resample(X, Y)[0], first)
    assert not torch.equal(MLSMOTE().fit_resample(X, Y)[0], MLSMOTE().fit_resample(X, Y)[0])
    generator = MLSMOTE(random_state=torch.Generator().manual_seed(0))
    assert not torch.equal(generator.fit_resample(X, Y)[0], generator.fit_resample(X, Y)[0])
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


def test_gaps_are_uniform_and_labels_have_streams_of_their_own():
    X, Y = data(rows=20_000)
    info = MLSMOTE(random_state=0).fit_resample(X, Y, return_info=True)
    assert kstest(info.gap.numpy(), "uniform").pvalue > 1e-4
    twins = torch.cat((Y, Y[:, 2:3]), dim=1)[:300]
    info = MLSMOTE(random_state=0).fit_resample(X[:300], twins, return_info=True)
    size = int(twins[:, 2].sum())
    assert torch.equal(info.base_index[:size], info.base_index[-size:])
    assert (info.gap[:size] != info.gap[-size:]).all()


def test_the_order_of_labels_changes_no_bag():
    X, Y = data()
    for order in itertools.permutations(range(4)):
        added = MLSMOTE().fit_resample(X, Y[:, list(order)], return_info=True)
        assert sorted(added.base_index.tolist()) == sorted(
            torch.cat([Y[:, j].nonzero().flatten() for j in (2, 3)]).tolist()
        )


def test_ratios_of_rare_labels_fall():
    X, Y = data(rows=400)
    mlsmote = MLSMOTE(random_state=0)
    X_res, Y_res = mlsmote.fit_resample(X, Y)
    before = dict(mlsmote.imbalance_ratios_)
    mlsmote.fit_resample(X_res, Y_res)
    assert all(mlsmote.imbalance_ratios_[j] < before[j] for j in (2, 3))


@pytest.mark.parametrize("columns", [[[1]] * 9, [[1, 0]] * 5 + [[0, 1]] * 5, [[1, 1, 1]] * 3 + [[0, 0, 0]] * 3])
def test_nothing_is_rare_where_all_ratios_are_equal(columns):
    X, Y = torch.randn(len(columns), 2, generator=torch.Generator().manual_seed(0)), torch.tensor(columns)
    mlsmote = MLSMOTE()
    info = mlsmote.fit_resample(X, Y, return_info=True)
    assert torch.equal(info.X, X)
    assert torch.equal(info.y, Y)
    assert len(info.gap) == 0
    assert mlsmote.added_ == {}


def test_labels_that_nobody_carries_do_not_count():
    X, Y = data()
    with_empty = torch.cat((Y, torch.zeros_like(Y[:, :1])), dim=1)
    mlsmote = MLSMOTE(random_state=0)
    X_res, Y_res = mlsmote.fit_resample(X, with_empty)
    assert torch.equal(X_res, MLSMOTE(random_state=0).fit_resample(X, Y)[0])
    assert mlsmote.imbalance_ratios_[4] == float("inf")
    assert not Y_res[:, 4].any()


def small_bags():
    X = torch.arange(24, dtype=torch.float64)[:, None]
    Y = torch.zeros(24, 4, dtype=torch.int64)
    Y[:, 0] = 1
    Y[:20, 1] = 1
    Y[3:5, 2] = 1
    Y[9, 3] = 1
    return X, Y


def test_small_bags_are_told_once_and_use_what_they_have():
    X, Y = small_bags()
    mlsmote = MLSMOTE(random_state=0)
    with pytest.warns(UserWarning, match="label 2 has 2, label 3 has 1") as caught:
        info = mlsmote.fit_resample(X, Y, return_info=True)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert mlsmote.added_ == {2: 2, 3: 0}
    assert info.base_index.tolist() == [3, 4]
    with pytest.warns(UserWarning, match="label 2 has 2"):
        info = mlsmote.fit_resample(X, Y[:, :3], return_info=True)
    assert mlsmote.added_ == {2: 2}
    assert list(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True)) == [(3, 4), (4, 3)]
    assert info.y[24:].tolist() == [[1, 1, 1]] * 2
    with pytest.raises(ValueError, match="lower `k_neighbors` or drop the labels"):
        MLSMOTE(on_degenerate="error").fit_resample(X, Y)


def test_equal_rows_are_told():
    X, Y = data()
    X[Y[:, 2] == 1] = 7.0
    with pytest.warns(UserWarning, match="all rows of label 2 are equal"):
        info = MLSMOTE(random_state=0).fit_resample(X, Y, return_info=True)
    assert (info.X[120 : 120 + int(Y[:, 2].sum())] == 7).all()


@pytest.mark.parametrize(
    ("X", "Y", "error", "words"),
    [
        (np.eye(3), [0, 1, 0], ValueError, r"shape \(N, L\)"),
        (np.eye(3), np.empty((3, 0)), ValueError, "L >= 1"),
        (np.eye(3), [[0, 2], [1, 0], [0, 0]], ValueError, "0 and 1 only"),
        (np.eye(3), [[0, np.nan], [1, 0], [0, 0]], ValueError, "missing values"),
        (np.eye(3), pd.DataFrame({"u": [1, None, 0]}, dtype="Int64"), (ValueError, TypeError), "`Y`"),
        (np.eye(3), [["a"], ["b"], ["c"]], TypeError, "numbers or booleans"),
        (np.eye(3), [[0, 0]] * 3, ValueError, "must hold a 1"),
        (np.eye(3), np.full((3, 2), 1j), TypeError, "numbers or booleans"),
        (np.eye(3), [[0, 1]] * 2, ValueError, "number of rows"),
        (np.eye(3) * np.nan, [[0, 1]] * 3, ValueError, "finite"),
        (np.empty((0, 2)), np.empty((0, 2)), ValueError, "must hold a 1"),
    ],
)
def test_bad_data_is_refused_with_its_name(X, Y, error, words):
    with pytest.raises(error, match=words):
        MLSMOTE().fit_resample(X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"k_neighbors": 2.0}, TypeError, "`k_neighbors`"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        MLSMOTE(**arguments)
