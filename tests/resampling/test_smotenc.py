"""SMOTE-NC: mixed distances against brute force, votes, imbalanced-learn's rows from its draws, and every container."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.over_sampling import SMOTENC as ImblearnSMOTENC
from scipy.stats import chisquare

from imbalance_torch.resampling import SMOTE, SMOTENC, BatchOversampler
from imbalance_torch.resampling._graph import Plan

CATEGORICAL = [1, 3]


def data(counts=(60, 25, 14), numbers=3, categories=2, seed=0, dtype=torch.float64, device="cpu"):
    """Return columns 1 and 3 of categories 0 .. ``categories`` - 1 among columns of numbers of unequal width."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), numbers + 2, generator=generator, dtype=torch.float64) * 2 ** torch.arange(numbers + 2)
    X[:, CATEGORICAL] = torch.randint(categories, (len(y), 2), generator=generator).double()
    X[:, 0] += y
    return X.to(device, dtype), y.to(device)


def table(seed=0):
    """Return a pandas frame of many dtypes, and labels with a name."""
    X, y = data(seed=seed, categories=3)
    frame = pd.DataFrame({
        "amount": X[:, 0].numpy(),
        "shop": np.array(["a", "b", "c"])[X[:, 1].int().numpy()],
        "visits": (X[:, 2].numpy() * 10).round().astype("int16"),
        "kind": pd.Categorical.from_codes(X[:, 3].int().numpy(), ["z", "y", "x", "never"], ordered=True),
        "cost": X[:, 4].float().numpy(),
        "online": X[:, 1].numpy() > 0,
    })  # fmt: skip
    frame["text"] = frame["shop"].astype("string")
    frame["day"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(X[:, 3].numpy(), "D")
    return frame, pd.Series(np.array(["no", "perhaps", "yes"])[y.numpy()], name="fraud")


NAMES = ["shop", "kind", "online", "text", "day"]


def brute(X, y, label, columns=CATEGORICAL):
    """Return the rows of a class and the (n, n) squared mixed distances, infinite on the diagonal."""
    rows = (y == label).nonzero().flatten()
    numbers = np.delete(X[rows].double().numpy(), columns, axis=1)
    codes = X[rows][:, columns].numpy()
    median = np.median(numbers.std(0))
    squared = ((numbers[:, None] - numbers[None]) ** 2).sum(-1) + median**2 * (codes[:, None] != codes[None]).sum(-1)
    np.fill_diagonal(squared, np.inf)
    return rows.numpy(), squared, median


@pytest.mark.parametrize("categories", [2, 20])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int32])
def test_neighbours_are_the_nearest_by_the_mixed_distance(dtype, categories, device):
    X, y = data(dtype=torch.float64, categories=categories)
    X = (X * (1 if dtype.is_floating_point else 1000)).to(dtype)
    fitted = SMOTENC(CATEGORICAL, random_state=0).fit(X.to(device), y.to(device))
    for label in (1, 2):
        rows, squared, median = brute(X, y, label)
        near = np.argsort(squared, 1, kind="stable")[:, :5]
        edges, index = fitted.graph_.edges[label], fitted.graph_.row_index
        assert np.array_equal(index[edges.neighbors].cpu().numpy(), rows[near])
        assert fitted.median_std_[label] == pytest.approx(median, rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("memory_budget", [1, 3000, "auto"])
def test_neither_the_budget_nor_an_offset_shows(memory_budget, offset):
    X, y = data((200, 90), categories=50)
    numbers = torch.tensor([0, 2, 4])
    X[:, numbers] += offset
    fitted = SMOTENC(CATEGORICAL, memory_budget=memory_budget).fit(X, y)
    rows, squared, _ = brute(X, y, 1)
    neighbors = fitted.graph_.row_index[fitted.graph_.edges[1].neighbors].numpy()
    assert np.array_equal(neighbors, rows[np.argsort(squared, 1, kind="stable")[:, :5]])


def test_equally_near_rows_by_index():
    """Whole numbers and few categories: many rows at equal distance, more than the candidates of the first search."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randint(2, (300, 4), generator=generator)
    X[:, 0] *= 3
    y = (torch.arange(300) >= 180).long()
    fitted = SMOTENC(CATEGORICAL, k_neighbors=7).fit(X, y)
    rows, squared, median = brute(X, y, 1)
    assert median > 0
    squared = squared.round(9)
    neighbors = fitted.graph_.row_index[fitted.graph_.edges[1].neighbors].numpy()
    assert np.array_equal(neighbors, rows[np.argsort(squared, 1, kind="stable")[:, :7]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("k", "categories"), [(1, 30), (3, 2), (5, 2)])
@pytest.mark.parametrize("strategy", ["auto", "minority", {0: 70, 1: 41, 2: 25}])
def test_imbalanced_learns_draws_give_its_rows_bit_for_bit(strategy, k, categories, seed):
    """An odd number of votes on two categories, or one vote: no ties, so that nothing but the plan is random."""
    X, y = data(seed=seed, categories=categories)
    expected, labels = ImblearnSMOTENC(
        CATEGORICAL, sampling_strategy=strategy, random_state=seed, k_neighbors=k
    ).fit_resample(X.numpy(), y.numpy())
    resampler = SMOTENC(CATEGORICAL, sampling_strategy=strategy, k_neighbors=k).fit(X, y)
    new = []
    for label, number in resampler.sampling_strategy_.items():
        if number:  # imbalanced-learn restarts the same stream in every class
            random_state = np.random.RandomState(seed)
            edges = resampler.graph_.edges[label]
            pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), number))
            gap = torch.as_tensor(random_state.uniform(size=number))
            new.append(resampler.generate(Plan(edges.bases[pair // k], edges.neighbors.flatten()[pair], gap, seed)))
    assert np.array_equal(torch.cat(new).numpy(), expected[len(X) :])
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)


def test_imbalanced_learn_votes_as_here_where_one_category_leads():
    X, y = data((300, 60), categories=4)
    fitted = SMOTENC(CATEGORICAL).fit(X, y)
    edges = fitted.graph_.edges[1]
    expected = ImblearnSMOTENC(CATEGORICAL, random_state=0).fit_resample(X.numpy(), y.numpy())[0][len(X) :]
    random_state = np.random.RandomState(0)
    pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), len(expected)))
    ballots = fitted.graph_.rows[edges.neighbors[pair // 5]][..., CATEGORICAL]
    votes = torch.stack([(ballots == category).sum(1) for category in range(4)], -1)
    leads = votes.sort(-1).values.diff(dim=-1)[..., -1] > 0
    assert 0.2 < leads.double().mean() < 0.95
    winners = votes.argmax(-1)[leads]
    assert torch.equal(winners.double(), torch.as_tensor(expected)[:, CATEGORICAL][leads])
    plan = Plan(edges.bases[pair // 5], edges.neighbors.flatten()[pair], torch.zeros(len(pair)).double(), 1)
    assert torch.equal(fitted.generate(plan)[:, CATEGORICAL][leads], winners.double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_numbers_lie_between_the_parents_and_categories_come_from_voters(dtype, device):
    X, y = data(categories=4, dtype=dtype, device=device)
    fitted = SMOTENC(CATEGORICAL, random_state=0).fit(X, y)
    info = fitted.sample(500)
    numbers = [0, 2, 4]
    plain = SMOTE(random_state=0).fit(X, y)
    base, neighbor = X[info.base_index][:, numbers].double(), X[info.neighbor_index][:, numbers].double()
    new = base + info.gap[:, None].double() * (neighbor - base)
    exact = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(info.X[:, numbers].double(), new if dtype.is_floating_point else new.round(), **exact)
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(y[info.neighbor_index], info.y)
    assert (info.base_index != info.neighbor_index).all()
    assert plain.graph_.edges.keys() == fitted.graph_.edges.keys()
    position = {int(row): place for place, row in enumerate(fitted.graph_.row_index)}
    place = torch.tensor([position[int(row)] for row in info.base_index], device=X.device)
    ballots = fitted.graph_.rows[fitted.graph_.voters[place]][..., CATEGORICAL]
    votes = (ballots == info.X[:, None, CATEGORICAL]).sum(1)
    most = (ballots[:, None] == ballots[:, :, None]).sum(2).amax(1)
    assert torch.equal(votes, most)
    assert (votes >= 1).all()


def test_equally_frequent_categories_are_drawn_evenly():
    """Four rows in a line and far from the rest: each base of the first has the same three voters, one vote each."""
    X = torch.tensor([[0.0, 9], [1.0, 3], [2.0, 4], [3.0, 5], *[[100.0 + i, 0] for i in range(40)]])
    y = torch.tensor([1] * 4 + [0] * 40)
    info = SMOTENC([1], k_neighbors=3, random_state=0).fit(X, y).sample({1: 12_000})
    drawn = info.X[info.base_index == 0, 1]
    counts = torch.stack([(drawn == category).sum() for category in (3, 4, 5)])
    assert counts.sum() == len(drawn)
    assert chisquare(counts.numpy()).pvalue > 1e-4
    assert 9 in info.X[info.base_index == 1, 1]


def test_equal_categories_give_plain_smote():
    """Where all rows agree in the categories, they neither cost nor change: the numbers are those of SMOTE."""
    X, y = data()
    X[:, CATEGORICAL] = 7
    numbers = [0, 2, 4]
    expected = SMOTE(random_state=0).fit(X[:, numbers], y).sample(300)
    info = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(300)
    assert torch.equal(info.X[:, numbers], expected.X)
    assert (info.X[:, CATEGORICAL] == 7).all()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(info[1:], expected[1:], strict=True))


def test_renamed_categories_and_swapped_columns_change_nothing_else():
    X, y = data(categories=2)
    expected = SMOTENC(CATEGORICAL, k_neighbors=5, random_state=0).fit(X, y).sample(200).X
    renamed = X.clone()
    renamed[:, 1] = 40 - 39 * X[:, 1]
    new = SMOTENC(CATEGORICAL, k_neighbors=5, random_state=0).fit(renamed, y).sample(200).X
    assert torch.equal(new[:, 1], 40 - 39 * expected[:, 1])
    assert torch.equal(new[:, [0, 2, 3, 4]], expected[:, [0, 2, 3, 4]])
    order = [3, 0, 2, 1, 4]
    assert torch.equal(SMOTENC([0, 3], random_state=0).fit(X[:, order], y).sample(200).X, expected[:, order])


def test_widely_numbered_categories_stay_apart():
    X, y = data(categories=4, dtype=torch.int64)
    expected = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(50).X[:, CATEGORICAL]
    X[:, CATEGORICAL] += 2**62  # float64 cannot tell them apart
    assert torch.equal(SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(50).X[:, CATEGORICAL], expected + 2**62)


def test_streams_counts_and_copies():
    X, y = data(categories=6)
    fitted, twin = (SMOTENC(CATEGORICAL, random_state=5).fit(X, y) for _ in range(2))
    draws = [fitted.sample(10).X for _ in range(3)]
    assert not torch.equal(draws[0], draws[1])
    assert all(torch.equal(twin.sample(10).X, draw) for draw in draws)
    for clone in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert torch.equal(clone.sample(10).X, copy.deepcopy(fitted).sample(10).X)
    seeded = [fitted.sample({1: 9}, generator=torch.Generator().manual_seed(7)).X for _ in range(2)]
    assert torch.equal(*seeded)
    assert fitted.sample({2: 3, 1: 5}).y.tolist() == [1] * 5 + [2] * 3
    assert fitted.sample(0).X.shape == (0, 5)
    alone = SMOTENC(CATEGORICAL, sampling_strategy={2: 60}, random_state=0).fit_resample(X, y)[0][len(X) :]
    assert torch.equal(SMOTENC(CATEGORICAL, random_state=0).fit_resample(X, y)[0][-46:], alone)
    out = torch.empty(180, 5, dtype=X.dtype)
    assert SMOTENC(CATEGORICAL, random_state=0).fit_resample(X, y, out=out)[0] is out
    assert torch.equal(out[-46:], alone)


def test_global_randomness_is_left_alone():
    X, y = data()
    torch.manual_seed(1), np.random.seed(1)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(5)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])


def test_devices_draw_the_same_rows(device):
    X, y = data(categories=6)
    expected = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(50).X
    there = SMOTENC(CATEGORICAL, random_state=0).fit(X.to(device), y.to(device)).sample(50).X
    moved = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).to(device).sample(50).X
    for rows in (there, moved):
        assert rows.device.type == torch.device(device).type
        torch.testing.assert_close(rows.cpu(), expected, rtol=1e-10, atol=1e-10)


def test_batches_are_topped_up(device):
    X, y = data(dtype=torch.float32, device=device)
    oversampler = BatchOversampler(SMOTENC(CATEGORICAL, random_state=0), target_ratio=0.5).fit(X, y)
    X_batch, y_batch = oversampler(X[:50], y[:50])
    assert torch.equal(X_batch[:50], X[:50])
    majority = int((y[:50] == 0).sum())
    assert y_batch.bincount().min() >= round(majority / 2)
    assert set(X_batch[50:, CATEGORICAL].flatten().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "float16", ">f4", ">i4"])
def test_other_numpy_dtypes_and_layouts(dtype):
    X, y = data()
    rows = (X.numpy() + 100).astype(dtype)
    expected = SMOTENC(CATEGORICAL, random_state=0).fit_resample(rows, y.numpy())[0]
    assert expected.dtype == rows.dtype.newbyteorder("=")
    assert np.array_equal(expected[: len(X)], rows)
    frozen = rows.copy()
    frozen.flags.writeable = False
    strided = np.asfortranarray(np.repeat(rows, 2, axis=1))[:, ::2]
    for other in (frozen, strided):
        assert np.array_equal(SMOTENC(CATEGORICAL, random_state=0).fit_resample(other, y.numpy())[0], expected)


def test_a_pandas_frame_keeps_dtypes_categories_and_rows():
    frame, y = table()
    X_res, y_res = SMOTENC(NAMES, random_state=0).fit_resample(frame, y)
    assert X_res.dtypes.equals(frame.dtypes)
    assert X_res["kind"].cat.categories.tolist() == ["z", "y", "x", "never"]
    assert X_res["kind"].cat.ordered
    assert X_res.iloc[: len(frame)].equals(frame)
    assert X_res.index.equals(pd.RangeIndex(180))
    assert (y_res.name, y_res.value_counts().tolist()) == ("fraud", [60] * 3)
    new = X_res.iloc[len(frame) :]
    assert set(new["shop"]) == {"a", "b", "c"}
    info = SMOTENC(NAMES, random_state=0).fit_resample(frame, y, return_info=True)
    assert info.X.equals(X_res)
    assert info.is_synthetic.tolist() == [False] * len(frame) + [True] * len(new)
    base, neighbor = frame.iloc[info.base_index], frame.iloc[info.neighbor_index]
    visits = np.rint(base["visits"].to_numpy() + info.gap * (neighbor["visits"].to_numpy() - base["visits"].to_numpy()))
    assert np.array_equal(new["visits"], visits)
    assert (y.to_numpy()[info.base_index] == y_res.to_numpy()[len(frame) :]).all()


def test_every_container_gives_the_same_rows():
    frame, y = table()
    codes = np.empty(frame.shape, np.float64)
    for j, name in enumerate(frame.columns):
        codes[:, j] = frame[name].astype(object).factorize(sort=True)[0] if name in NAMES else frame[name]
    chosen = [name in NAMES for name in frame.columns]
    expected = SMOTENC(chosen, random_state=0).fit_resample(codes, y.to_numpy())[0][len(frame) :]
    results = {
        "names": SMOTENC(NAMES, random_state=0).fit_resample(frame, y)[0],
        "mask": SMOTENC(np.array(chosen), random_state=0).fit_resample(frame, y)[0],
        "negative": SMOTENC([1, 3, 5, -2, -1], random_state=0).fit_resample(frame, y)[0],
        "polars": SMOTENC(NAMES, random_state=0).fit_resample(pl.from_pandas(frame), pl.Series(y.tolist()))[0],
        "objects": SMOTENC([1, 3, 5, 6, 7], random_state=0).fit_resample(frame.to_numpy(), y.to_numpy())[0],
        "lists": SMOTENC([1, 3, 5, 6, 7], random_state=0).fit_resample(frame.to_numpy().tolist(), y.tolist())[0],
    }
    pandas = results["names"]
    assert results["mask"].equals(pandas)
    assert results["negative"].equals(pandas)
    assert results["polars"].schema == pl.from_pandas(frame).schema
    np.testing.assert_allclose(pandas["amount"][len(frame) :], expected[:, 0], rtol=1e-15)
    assert np.array_equal(pandas["visits"][len(frame) :], np.rint(expected[:, 2]))
    for name, j in (("shop", 1), ("kind", 3), ("online", 5), ("day", 7)):
        values = np.array(sorted(set(frame[name].astype(object))), dtype=object)
        assert (pandas[name][len(frame) :].astype(object).to_numpy() == values[expected[:, j].astype(int)]).all()
    for other in ("polars", "objects", "lists"):
        rows = results[other]
        for j, name in enumerate(frame.columns):
            column = pd.Series(rows[name].to_list() if other == "polars" else rows[:, j].tolist())
            assert column.astype(pandas[name].dtype).equals(pandas[name]), (other, name)
    assert type(results["objects"][-1, 2]) is int


def test_auto_finds_text_categories_objects_and_booleans():
    frame, y = table()
    frame = frame.drop(columns="day")
    assert SMOTENC("auto").fit(frame, y).categorical_features_ == [1, 3, 5, 6]
    assert SMOTENC("auto").fit(pl.from_pandas(frame), y).categorical_features_ == [1, 3, 5, 6]
    drawn = SMOTENC("auto", random_state=0).fit(frame, y).sample({"yes": 4})
    assert type(drawn.X) is pd.DataFrame
    assert drawn.X.dtypes.equals(frame.dtypes)
    assert type(drawn.gap) is np.ndarray
    with pytest.raises(TypeError, match="DataFrame or objects"):
        SMOTENC("auto").fit_resample(frame, y, out=np.empty((180, 7)))
    with pytest.raises(TypeError, match="DataFrame or objects"):
        SMOTENC("auto").fit(frame, y).sample(4, out=np.empty((4, 7)))


def test_columns_of_one_name_and_categories_of_several_types():
    frame, y = table()
    twice = frame[["amount", "shop", "cost"]].set_axis(["a", "a", "b"], axis=1)
    X_res = SMOTENC("auto", random_state=0).fit_resample(twice, y)[0]
    assert list(X_res.columns) == ["a", "a", "b"]
    assert X_res.dtypes.tolist() == twice.dtypes.tolist()
    mixed = np.array([[i, ("a", 3, (1, 2))[i % 3]] for i in range(len(y))], dtype=object)
    new = SMOTENC([1], random_state=0).fit_resample(mixed, y)[0][len(y) :]
    assert set(new[:, 1]) == {"a", 3, (1, 2)}


@pytest.mark.parametrize(
    ("X", "columns", "error", "words"),
    [
        (np.eye(4), [9], ValueError, r"got \[9\]. `X` has 4 columns without names"),
        (np.eye(4), ["shop"], ValueError, r"got \['shop'\]"),
        (pd.DataFrame(np.eye(4), columns=list("abcd")), ["shop", "a"], ValueError, r"got \['shop'\].*'a', 'b'"),
        (np.eye(4), [True, False], ValueError, "mask of 4 columns, got 2"),
        (np.eye(4), "auto", ValueError, "reads the dtypes of a DataFrame"),
        (pd.DataFrame(np.eye(4)), "auto", ValueError, "no categorical column.*Use SMOTE"),
        (np.eye(4), [False] * 4, ValueError, "no categorical column.*Use SMOTE"),
        (np.eye(4), [0, 1, 2, 3], ValueError, "All 4 columns.*Use SMOTEN"),
        (pd.DataFrame({"a": ["x"] * 4}), "auto", ValueError, "Use SMOTEN"),
        (np.full((4, 2), np.nan), [0], ValueError, r"0 \(4 values\)"),
        (
            pd.DataFrame({"a": ["x", None, None, "y"], "b": 1.0}),
            "auto",
            ValueError,
            r"1 of 2 columns: 'a' \(2 values\)",
        ),
        (pl.DataFrame({"a": ["x", None, "z", "y"], "b": [1.0] * 4}), "auto", ValueError, r"'a' \(1 values\)"),
        (pd.DataFrame({"a": list("xyzx"), "b": [1, np.nan, 2, 3]}), "auto", ValueError, r"'b' \(1 values\)"),
        (np.array([["x", np.inf]] * 4, dtype=object), [0], ValueError, r"1 \(4 values\)"),
        (np.array([["x", "1"]] * 4, dtype=object), [0], TypeError, "column 1"),
        (np.array([["x", "1"]] * 4), [0], TypeError, "column 1"),
        (pd.DataFrame({"a": list("xyzx"), "b": list("xyzx"), "c": 1}), ["a"], TypeError, "'b'"),
        (np.array(["a", "b", "c", "d"]), [0], ValueError, "shape"),
        (torch.ones(4), [0], ValueError, "shape"),
        (torch.ones(4, 2, dtype=torch.complex64), [0], TypeError, "real"),
        (None, [0], TypeError, "NoneType"),
    ],
)
def test_bad_data_is_refused_with_its_name(X, columns, error, words):
    with pytest.raises(error, match=words):
        SMOTENC(columns).fit_resample(X, np.array([0, 0, 0, 1]))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"categorical_features": 1}, TypeError, "list of positions"),
        ({"categorical_features": "shop"}, TypeError, "list of positions"),
        ({"categorical_features": [1, "a"]}, TypeError, "list of positions"),
        ({"categorical_features": [1, True]}, TypeError, "list of positions"),
        ({"categorical_features": [1.0]}, TypeError, "list of positions"),
        ({"categorical_features": []}, ValueError, "Use SMOTE"),
        ({"categorical_features": [1], "k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"categorical_features": [1], "k_neighbors": 1.5}, TypeError, "`k_neighbors`"),
        ({"categorical_features": [1], "on_degenerate": "stop"}, ValueError, "`on_degenerate`"),
    ],
)
def test_wrong_arguments_are_refused_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        SMOTENC(**arguments)
    with pytest.raises(TypeError, match="categorical_features"):
        SMOTENC()


def test_too_few_rows_and_calls_out_of_order():
    X, y = data((30, 5))
    with pytest.raises(ValueError, match=r"k_neighbors=5 and 5 rows of class 1. Use k_neighbors=4 or random"):
        SMOTENC(CATEGORICAL).fit(X, y)
    with pytest.raises(ValueError, match=r"and 1 row of class 1. Use random"):
        SMOTENC(CATEGORICAL).fit(X[:31], [0] * 30 + [1])
    with pytest.raises(RuntimeError, match=r"fit\(X, y\)"):
        SMOTENC(CATEGORICAL).sample(3)
    for budget, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="`memory_budget`"):
            SMOTENC(CATEGORICAL, k_neighbors=2, memory_budget=budget).fit(X, y)
    assert SMOTENC(CATEGORICAL, k_neighbors=4).fit_resample(X, y)[1].bincount().tolist() == [30, 30]
    fitted = SMOTENC(CATEGORICAL, k_neighbors=4, random_state=0).fit(X, y)
    expected = copy.deepcopy(fitted).sample(5).X
    with pytest.raises(ValueError, match="finite"):
        fitted.fit(X * torch.nan, y)
    assert torch.equal(fitted.sample(5).X, expected)  # a failed fit leaves the last one in place


def test_constant_columns_take_the_weight_of_categories_away():
    X, y = data()
    X[:, [0, 2]] = 3
    with pytest.warns(UserWarning, match=r"class 1.*categories do not count"):
        fitted = SMOTENC(CATEGORICAL, sampling_strategy={1: 40}).fit(X, y)
    rows = (y == 1).nonzero().flatten()
    near = (X[rows, 4][:, None] - X[rows, 4]).abs().fill_diagonal_(torch.inf).argsort(1)[:, :5]
    assert torch.equal(fitted.graph_.row_index[fitted.graph_.edges[1].neighbors], rows[near])
    with pytest.raises(ValueError, match="Drop constant columns"):
        SMOTENC(CATEGORICAL, on_degenerate="error").fit(X, y)


def test_duplicates_are_told_and_a_row_is_never_its_own_neighbour():
    X, y = data((60, 2))
    pair = X[y == 1]
    X, y = torch.cat((X[y == 0], pair.repeat(6, 1))), torch.tensor([0] * 60 + [1] * 12)
    with pytest.warns(UserWarning, match=r"class 1 equal their 5 nearest neighbours"):
        info = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(100)
    assert (info.base_index != info.neighbor_index).all()
    assert (info.X[:, None] == pair).all(-1).any(1).all()
    with pytest.raises(ValueError, match="drop duplicates"):
        SMOTENC(CATEGORICAL, on_degenerate="error").fit(X, y)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e150, 1e300])
def test_scales_do_not_show(scale):
    X, y = data(categories=4)
    X[:, [2, 4]] /= torch.tensor([4.0, 16.0])
    expected = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(100)
    X[:, [0, 2, 4]] *= scale
    info = SMOTENC(CATEGORICAL, random_state=0).fit(X, y).sample(100)
    assert torch.equal(info.neighbor_index, expected.neighbor_index)
    assert torch.equal(info.X[:, CATEGORICAL], expected.X[:, CATEGORICAL])
    torch.testing.assert_close(info.X[:, 0] / scale, expected.X[:, 0])


def test_unequal_widths_of_numbers_are_told_but_not_those_of_codes():
    X, y = data()
    X[:, 1] *= 1e6
    SMOTENC(CATEGORICAL).fit(X, y)
    X[:, 2] *= 1e6
    with pytest.warns(UserWarning, match="Column 2 of `X` is .* times as wide as column 0"):
        SMOTENC(CATEGORICAL).fit(X, y)


MEMORY = """
import resource, sys, numpy as np, torch
from imbalance_torch.resampling import SMOTEN, SMOTENC
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
rng = np.random.default_rng(0)
warm = torch.tensor(np.c_[rng.normal(size=(60, 3)), rng.integers(0, 2, 60)])
SMOTENC([3], random_state=0).fit(warm, torch.arange(60) // 40).sample(9)
X = np.c_[rng.normal(size=(20_000, 4)), rng.integers(0, 10_000, 20_000), rng.integers(0, 9, (20_000, 2))]
y = np.arange(20_000) // 11_000
before = peak()
SMOTENC([4, 5, 6], memory_budget=16 << 20, random_state=0).fit_resample(X, y)
between = peak()
SMOTEN(memory_budget=16 << 20, random_state=0).fit_resample(X[8000:, 4:], np.arange(12_000) // 8000)
print(between - before, peak() - before)
"""


@pytest.mark.slow
def test_many_categories_in_bounded_memory():
    """One-hot encoding would take 1600 MB, all distances 650 and 128 MB."""
    result = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    mixed, categories = map(float, result.stdout.split())
    assert mixed < 60
    assert categories < 70
