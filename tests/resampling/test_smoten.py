"""SMOTE-N: the value difference metric, votes, imbalanced-learn's rows from its draws, and every container."""

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.metrics.pairwise import ValueDifferenceMetric
from imblearn.over_sampling import SMOTEN as ImblearnSMOTEN
from scipy import sparse
from scipy.stats import chisquare, mode

from imbalance_torch.resampling import SMOTEN, BatchOversampler
from imbalance_torch.resampling._graph import Plan


def data(counts=(60, 25, 14), columns=6, categories=12, seed=0, dtype=torch.int64, device="cpu"):
    """Return categories that lean to the class; many columns of many values, so that hardly a distance occurs twice."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randint(categories, (len(y), columns), generator=generator) + y[:, None] * (categories // 4)
    return X.to(device, dtype), y.to(device)


def brute(X, y, label):
    """Return the rows of a class and the (n, n) distances that imbalanced-learn measures."""
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in np.asarray(X.cpu()).T], 1)
    metric = ValueDifferenceMetric().fit(codes.astype(np.int32), y.cpu().numpy())
    rows = (y.cpu() == label).nonzero().flatten().numpy()
    return rows, metric.pairwise(codes[rows].astype(np.int32))


def in_order(distances):
    """Return columns by distance, equal ones (up to rounding) by column."""
    return np.argsort(distances.round(10), 1, kind="stable")


@pytest.mark.parametrize("memory_budget", [1, 5000, "auto"])
@pytest.mark.parametrize("categories", [4, 12])
@pytest.mark.parametrize("seed", range(3))
def test_voters_are_the_row_and_the_nearest_by_the_value_difference(memory_budget, categories, seed, device):
    X, y = data(categories=categories, seed=seed, device=device)
    fitted = SMOTEN(memory_budget=memory_budget).fit(X, y)
    for label in (1, 2):
        rows, distances = brute(X, y, label)
        assert np.unique(distances.round(10)).size > len(rows)
        np.fill_diagonal(distances, -1)
        bases = fitted.graph_.edges[label].bases
        voters = fitted.graph_.row_index[fitted.graph_.voters[bases]].cpu().numpy()
        assert np.array_equal(voters, rows[in_order(distances)[:, :6]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strategy", ["auto", "minority", {0: 60, 1: 41, 2: 70}])
def test_imbalanced_learns_draws_give_its_rows(strategy, seed):
    X, y = data(seed=seed, columns=9, categories=30)
    k = 4
    resampler = SMOTEN(strategy, k_neighbors=k).fit(X, y)
    expected, labels = ImblearnSMOTEN(sampling_strategy=strategy, random_state=seed, k_neighbors=k).fit_resample(
        X.numpy(), y.numpy()
    )
    new = []
    for label, number in resampler.sampling_strategy_.items():
        if number:  # imbalanced-learn restarts the same stream in every class
            rows, distances = brute(X, y, label)
            near = np.sort(distances, 1)
            assert (near[:, k + 1] - near[:, k] > 1e-9).all()  # which of equally near rows vote, it leaves to chance
            bases = resampler.graph_.edges[label].bases
            drawn = np.random.RandomState(seed).choice(np.arange(len(rows)), size=number, replace=True)
            base = bases[torch.as_tensor(drawn)]
            new.append(resampler.generate(Plan(base, base, torch.zeros(number))))
    assert np.array_equal(torch.cat(new).numpy(), expected[len(X) :])
    assert np.array_equal(resampler.fit_resample(X, y)[1].numpy(), labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64, torch.uint8])
def test_rows_are_the_modes_of_their_voters_and_bases_are_uniform(dtype, device):
    X, y = data(dtype=dtype, device=device)
    fitted = SMOTEN(random_state=0).fit(X, y)
    info = fitted.sample({1: 5000})
    assert torch.equal(info.base_index, info.neighbor_index)
    assert not info.gap.any()
    assert (y[info.base_index] == 1).all()
    assert chisquare(info.base_index.bincount(minlength=len(y))[y == 1].cpu().numpy()).pvalue > 1e-4
    position = {int(row): place for place, row in enumerate(fitted.graph_.row_index)}
    places = torch.tensor([position[int(row)] for row in info.base_index], device=X.device)
    ballots = fitted.graph_.rows[fitted.graph_.voters[places]].double().cpu().numpy()
    assert info.X.dtype == dtype
    assert np.array_equal(info.X.double().cpu().numpy(), mode(ballots, axis=1).mode)  # the smallest of several


def test_a_column_that_says_the_same_about_the_class_does_not_count():
    X, y = data((60, 25), columns=4)
    expected = SMOTEN().fit(X, y).graph_.voters
    wider = torch.cat((X, torch.full((85, 1), 3), torch.arange(85)[:, None]), 1)  # one value, and one for each row
    assert torch.equal(SMOTEN().fit(wider, y).graph_.voters, expected)


def test_renaming_in_order_and_moving_columns_only_renames():
    X, y = data()
    expected = SMOTEN(random_state=0).fit_resample(X, y)[0]
    assert torch.equal(SMOTEN(random_state=0).fit_resample(X * 1000 - 7, y)[0], expected * 1000 - 7)
    assert torch.equal(SMOTEN(random_state=0).fit_resample(X - 2**62, y)[0], expected - 2**62)
    assert torch.equal(SMOTEN(random_state=0).fit_resample(X.double() / 3, y)[0], expected.double() / 3)
    order = [3, 1, 0, 5, 4, 2]
    assert torch.equal(SMOTEN(random_state=0).fit_resample(X[:, order], y)[0], expected[:, order])


def test_a_row_keeps_its_vote_among_many_at_distance_zero():
    """The value 9 says as much about the class as 8 does, so that all its rows are at distance 0 of each other."""
    X = torch.tensor([[0]] * 30 + [[8]] * 9 + [[9]] * 9)
    y = torch.tensor([0] * 30 + [1] * 18)
    with pytest.warns(UserWarning, match="class 1.*though they differ"):
        fitted = SMOTEN(k_neighbors=2).fit(X, y)
    voters = fitted.graph_.row_index[fitted.graph_.voters]
    assert torch.equal(voters[:, 0], torch.arange(30, 48))
    assert voters[0].tolist() == [30, 31, 32]
    assert voters[2].tolist() == [32, 30, 31]
    assert voters[17].tolist() == [47, 30, 31]


def test_degenerate_data_is_told():
    X, y = data((60, 14))
    X[y == 1] = 3
    with pytest.warns(UserWarning, match="All 14 rows of class 1 equal their 5 nearest neighbours") as caught:
        X_res, _ = SMOTEN().fit_resample(X, y)
    assert len(caught) == 1
    assert (X_res[74:] == 3).all()
    with pytest.raises(ValueError, match="random over-sampling"):
        SMOTEN(on_degenerate="error").fit(X, y)
    numbers = torch.randn(74, 3, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="as values that occur once do") as caught:
        assert SMOTEN().fit_resample(numbers, y)[1].bincount().tolist() == [60, 60]
    assert len(caught) == 1
    with pytest.raises(ValueError, match="Encode numbers as ranges"):
        SMOTEN(on_degenerate="error").fit(numbers, y)


def test_seeds_counts_and_copies(device):
    X, y = data(device=device)
    fitted, twin = (SMOTEN(random_state=5).fit(X, y) for _ in range(2))
    draws = [fitted.sample(20).X for _ in range(3)]
    assert not torch.equal(draws[0], draws[1])
    assert all(torch.equal(twin.sample(20).X, draw) for draw in draws)
    for clone in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert torch.equal(clone.sample(10).X, copy.deepcopy(fitted).sample(10).X)
    assert fitted.sample({2: 3, 1: 5}).y.tolist() == [1] * 5 + [2] * 3
    assert SMOTEN({0: 61, 1: 25, 2: 50}).fit_resample(X, y)[1].bincount().tolist() == [61, 25, 50]
    expected = SMOTEN(random_state=0).fit(X.cpu(), y.cpu()).sample(50).X
    assert torch.equal(SMOTEN(random_state=0).fit(X, y).sample(50).X.cpu(), expected)
    assert torch.equal(SMOTEN(random_state=0).fit(X.cpu(), y.cpu()).to(device).sample(50).X.cpu(), expected)


def test_batches_are_topped_up(device):
    X, y = data(device=device)
    oversampler = BatchOversampler(SMOTEN(random_state=0), target_ratio=0.5).fit(X, y)
    X_batch, y_batch = oversampler(X[:50], y[:50])
    assert torch.equal(X_batch[:50], X[:50])
    assert len(X_batch) == len(y_batch) > 50


def test_every_container_gives_the_same_rows():
    X, y = data(columns=5, categories=8)
    names = np.array([f"v{value:02}" for value in range(30)])
    frame = pd.DataFrame({
        "text": names[X[:, 0].numpy()],
        "category": pd.Categorical.from_codes(X[:, 1].numpy(), names),
        "whole": X[:, 2].numpy().astype("int8"),
        "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(X[:, 3].numpy(), "D"),
        "number": X[:, 4].numpy() / 4,
    })  # fmt: skip
    labels = pd.Series(y.numpy(), name="kind", dtype="category")
    expected = SMOTEN(random_state=0).fit_resample(X, y)[0]
    X_pd, y_pd = SMOTEN(random_state=0).fit_resample(frame, labels)
    assert X_pd.dtypes.equals(frame.dtypes)
    assert (y_pd.dtype, y_pd.name) == (labels.dtype, "kind")
    assert X_pd.iloc[: len(X)].equals(frame)
    assert (X_pd["text"] == names[expected[:, 0].numpy()]).all()
    assert (X_pd["category"] == names[expected[:, 1].numpy()]).all()
    assert X_pd["category"].cat.categories.tolist() == names.tolist()
    assert X_pd["whole"].tolist() == expected[:, 2].tolist()
    assert ((X_pd["day"] - pd.Timestamp("2020-01-01")).dt.days == expected[:, 3].numpy()).all()
    assert (X_pd["number"] == expected[:, 4].numpy() / 4).all()
    X_pl, y_pl = SMOTEN(random_state=0).fit_resample(pl.from_pandas(frame), pl.Series("kind", y.tolist()))
    assert X_pl.schema == pl.from_pandas(frame).schema
    assert X_pl["text"].to_list() == X_pd["text"].tolist()
    assert y_pl.name == "kind"
    objects = SMOTEN(random_state=0).fit_resample(frame.to_numpy(), y.numpy())[0]
    assert objects.dtype == object
    assert (objects == X_pd.to_numpy()).all()
    text = SMOTEN(random_state=0).fit_resample(names[X.numpy()], y.numpy())[0]
    assert text.dtype == names.dtype
    assert (text == names[expected.numpy()]).all()
    info = SMOTEN(random_state=0).fit_resample(names[X.numpy()].tolist(), y.tolist(), return_info=True)
    assert (info.X == names[expected.numpy()]).all()
    assert np.array_equal(info.base_index, info.neighbor_index)
    assert info.is_synthetic.sum() == len(info.gap) == len(expected) - len(X)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (pd.DataFrame({"a": ["x", None, "y", "z"]}), ValueError, r"1 of 1 columns: 'a' \(1 values\). Fill"),
        (pd.DataFrame({"a": [1.0, np.nan, 2, 3], "b": list("abcd")}), ValueError, r"'a' \(1 values\)"),
        (pl.DataFrame({"a": ["x", None, "y", "z"]}), ValueError, r"'a' \(1 values\)"),
        (pl.DataFrame({"a": [1.0, float("nan"), 2.0, None]}), ValueError, r"'a' \(2 values\)"),
        (np.array([["x"], [np.nan], [None], ["y"]], dtype=object), ValueError, r"0 \(2 values\)"),
        (torch.tensor([[1.0], [torch.nan], [2.0], [3.0]]), ValueError, r"0 \(1 values\)"),
        (np.array(list("abcd")), ValueError, "shape"),
        (np.empty((4, 0), object), ValueError, "d >= 1"),
        (sparse.eye_array(4), TypeError, "dia_array"),
        (np.array([["a"], ["b"], ["c"], ["d"]]), ValueError, "1 row of class 1. Use random"),
        (np.array([["a"]] * 3), ValueError, "number of rows"),
    ],
)
def test_bad_data_is_refused_with_its_name(X, error, words):
    with pytest.raises(error, match=words):
        SMOTEN().fit_resample(X, np.array([0, 0, 0, 1]))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"k_neighbors": 0}, ValueError), ({"k_neighbors": "5"}, TypeError), ({"on_degenerate": "stop"}, ValueError)],
)
def test_wrong_arguments_are_refused_at_construction(arguments, error):
    with pytest.raises(error, match=f"`{next(iter(arguments))}`"):
        SMOTEN(**arguments)


@pytest.mark.parametrize(("budget", "error"), [(0, ValueError), (1.5, TypeError)])
def test_a_wrong_budget_is_refused(budget, error):
    with pytest.raises(error, match="`memory_budget`"):
        SMOTEN(memory_budget=budget).fit(*data())
