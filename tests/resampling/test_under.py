"""RandomUnderSampler and NearMiss: exact counts, the rows that the method says, imbalanced-learn's rows."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.under_sampling import NearMiss as ImblearnNearMiss
from imblearn.under_sampling import RandomUnderSampler as ImblearnRandomUnderSampler
from scipy.stats import chisquare
from sklearn.metrics import pairwise_distances

from imbalance_torch.resampling import NearMiss, RandomUnderSampler, Selected


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + y[:, None]
    return X.to(device, dtype), y.to(device)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_exact(replacement, seed):
    X, y = data(seed=seed)
    for strategy, final in (
        ("auto", [12, 12, 12]),
        ("all", [12, 12, 12]),
        ("majority", [12, 12, 25]),
        ("not majority", [60, 12, 12]),
        ({0: 33, 2: 0}, [33, 12, 0]),
        (lambda y: {0: len(y) // 4}, [24, 12, 25]),
    ):
        sampler = RandomUnderSampler(strategy, replacement=replacement, random_state=seed)
        assert sampler.fit_resample(X, y)[1].bincount(minlength=3).tolist() == final
    X, y = data((60, 12), seed=seed)
    assert RandomUnderSampler(0.5, replacement=replacement).fit_resample(X, y)[1].bincount().tolist() == [24, 12]


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("strategy", ["auto", "all", {0: 33, 1: 5}], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_imbalanced_learns_draws_give_its_rows(strategy, replacement, seed, monkeypatch):
    X, y = data(seed=seed)
    theirs = ImblearnRandomUnderSampler(sampling_strategy=strategy, replacement=replacement, random_state=seed)
    X_res, y_res = theirs.fit_resample(X.numpy(), y.numpy())
    random_state = np.random.RandomState(seed)  # one stream over all classes
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.as_tensor(random_state.permutation(n)))
    monkeypatch.setattr(torch, "randint", lambda n, size, **_: torch.as_tensor(random_state.randint(0, n, size)))
    selected = RandomUnderSampler(strategy, replacement=replacement, random_state=0).fit_resample(
        X.numpy(), y.numpy(), return_info=True
    )
    assert type(selected) is Selected
    assert np.array_equal(selected.index, theirs.sample_indices_)
    assert np.array_equal(selected.X, X_res)
    assert np.array_equal(selected.y, y_res)


def test_every_row_is_as_likely_as_any_other():
    X, y = data((50, 10))
    seeds = torch.Generator().manual_seed(0)
    for replacement in (False, True):
        sampler = RandomUnderSampler(replacement=replacement, random_state=seeds)
        times = sum(sampler.fit_resample(X, y, return_info=True).index.bincount(minlength=60) for _ in range(400))
        assert (times[y == 1] == 400).all()
        assert times[y == 0].sum() == 4000
        assert chisquare(times[y == 0].numpy()).pvalue > 1e-4


def test_replacement_draws_rows_twice():
    X, y = data()
    index = RandomUnderSampler({0: 60}, replacement=True, random_state=0).fit_resample(X, y, return_info=True).index
    assert len(index) == 97
    assert len(index.unique()) < 90
    without = RandomUnderSampler({0: 60}, random_state=0).fit_resample(X, y, return_info=True).index
    assert len(without.unique()) == 97


def test_the_seed_decides():
    X, y = data()
    first, again, other, free, freer = (
        RandomUnderSampler(random_state=seed).fit_resample(X, y)[0] for seed in (3, 3, 4, None, None)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(free, freer)


def test_classes_have_streams_of_their_own():
    """Twins of 40 rows: each keeps other rows, and the same ones whatever the other class does."""
    X, y = torch.arange(90.0)[:, None], torch.tensor([0] * 40 + [1] * 40 + [2] * 10)
    index = RandomUnderSampler(random_state=0).fit_resample(X, y, return_info=True).index
    assert set(index[:10].tolist()) != set((index[10:20] - 40).tolist())
    alone = RandomUnderSampler({1: 10}, random_state=0).fit_resample(X, y, return_info=True).index
    assert torch.equal(alone[40:50], index[10:20])


def test_random_rows_may_hold_anything():
    y = np.array([0] * 7 + [1] * 2)
    index = RandomUnderSampler(random_state=0).fit_resample(np.zeros((9, 1)), y, return_info=True).index
    frame = pd.DataFrame(
        {
            "name": [*"abcdefg", None, "x"],
            "value": [np.nan] * 8 + [np.inf],
            "day": [datetime.date(2024, 1, 1 + i) for i in range(9)],
            "kind": pd.Categorical(list("uvuvuvuvw")),
        },
        index=list("rstuvwxyz"),
    )
    selected = RandomUnderSampler(random_state=0).fit_resample(frame, y, return_info=True)
    pd.testing.assert_frame_equal(selected.X, frame.iloc[index])
    objects = frame.to_numpy()
    assert (RandomUnderSampler(random_state=0).fit_resample(objects, y)[0][:, 2] == objects[index, 2]).all()
    images = torch.randn(9, 3, 2, 2)
    assert torch.equal(RandomUnderSampler(random_state=0).fit_resample(images, y)[0], images[index])
    words = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
    assert RandomUnderSampler(random_state=0).fit_resample(words, y)[0].tolist() == [words[i] for i in index]
    with pytest.raises(ValueError, match="must hold rows, got int"):
        RandomUnderSampler().fit_resample(3, y)


def test_wrong_arguments_of_random_under_sampling():
    with pytest.raises(TypeError, match="`replacement`"):
        RandomUnderSampler(replacement=1)
    with pytest.raises(TypeError, match="random_state"):
        RandomUnderSampler(random_state="0").fit_resample(*data())


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("names", [[0, 1, 2], ["no", "yes", "zz"]], ids=str)
@pytest.mark.parametrize("strategy", ["auto", "all", "majority", (30, 7, 12)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_near_miss_keeps_the_rows_of_imbalanced_learn(version, names, strategy, seed):
    X, y = data(seed=seed)
    labels = np.array(names)[y.numpy()]
    if isinstance(strategy, tuple):
        strategy = dict(zip(names, strategy, strict=True))
    arguments = {"version": version, "n_neighbors": 2 + seed % 3, "n_neighbors_ver3": 9}
    theirs = ImblearnNearMiss(sampling_strategy=strategy, **arguments)
    X_res, y_res = theirs.fit_resample(X.numpy(), labels)
    ours = NearMiss(strategy, **arguments).fit_resample(X.numpy(), labels, return_info=True)
    assert np.array_equal(ours.index, theirs.sample_indices_)
    assert np.array_equal(ours.X, X_res)
    assert np.array_equal(ours.y, y_res)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("columns", [2, 3, 20])
def test_near_miss_sorts_by_summed_distances(version, columns, device):
    X, y = data((200, 30), columns, device=device)
    distances = np.sort(pairwise_distances(X[y == 0].cpu(), X[y == 1].cpu()))
    total = (distances[:, :4] if version == 1 else distances[:, -4:]).sum(1)
    index = NearMiss(version=version, n_neighbors=4).fit_resample(X, y, return_info=True).index
    expected = (y == 0).nonzero().flatten().cpu().numpy()[total.argsort()[:30]]
    assert np.array_equal(index[:30].cpu().numpy(), expected)


@pytest.mark.parametrize("scale", [2.0**-700, 1.0, 2.0**700])
@pytest.mark.parametrize("offset", [0.0, 2.0**30])
def test_the_farthest_rows_are_found_at_any_scale(scale, offset):
    X, y = data((100, 20))
    moved = X + offset
    expected = NearMiss(version=2).fit_resample(moved - offset, y, return_info=True).index
    assert torch.equal(NearMiss(version=2).fit_resample(moved * scale, y, return_info=True).index, expected)


def test_version_2_with_one_minority_row_and_with_equal_ones():
    X, y = torch.arange(9.0)[:, None], torch.tensor([0] * 8 + [1])
    assert NearMiss(version=2, n_neighbors=1).fit_resample(X, y)[0].flatten().tolist() == [7.0, 8.0]
    equal = torch.ones(9, 1)
    assert NearMiss({0: 3}, version=2, n_neighbors=1).fit_resample(equal, y, return_info=True).index.tolist() == [
        0, 1, 2, 8,
    ]  # fmt: skip


def test_equal_distances_are_kept_by_row():
    X = torch.tensor([[2.0], [-2.0], [2.0], [-2.0], [0.0], [0.0]])
    y = torch.tensor([0, 0, 0, 0, 1, 1])
    for version in (1, 2, 3):
        sampler = NearMiss(version=version, n_neighbors=1, n_neighbors_ver3=4)
        assert sampler.fit_resample(X, y, return_info=True).index.tolist() == [0, 1, 4, 5]


def test_many_equal_distances_are_kept_by_row():
    X = torch.cat((torch.ones(3000, 1), torch.zeros(500, 1)))
    for version in (1, 3):
        sampler = NearMiss(version=version, n_neighbors=1, n_neighbors_ver3=3000)
        index = sampler.fit_resample(X, np.repeat([0, 1], [3000, 500]), return_info=True).index
        assert index[:500].tolist() == list(range(500))


def test_version_3_says_when_it_takes_too_few_rows():
    X, y = data((100, 12))
    with pytest.warns(UserWarning, match=r"takes \d+ rows of class 0, fewer than the 50") as caught:
        ours = NearMiss({0: 50}, version=3, n_neighbors_ver3=2).fit_resample(X, y, return_info=True)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="larger than the number"):
        theirs = ImblearnNearMiss(sampling_strategy={0: 50}, version=3, n_neighbors_ver3=2).fit_resample(
            X.numpy(), y.numpy()
        )
    assert np.array_equal(ours.X.numpy(), theirs[0])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_integers_and_halves_are_measured_as_numbers(version):
    X, y = data((80, 12))
    X = (X * 20).round().clamp(-120, 120)
    expected = NearMiss(version=version, n_neighbors_ver3=9).fit_resample(X, y)[0]
    for dtype in (torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float32):
        rows = NearMiss(version=version, n_neighbors_ver3=9).fit_resample(X.to(dtype), y)[0]
        assert torch.equal(rows.double(), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"n_neighbors": 13}, "n_neighbors=13 and 12 rows of class 1. Use n_neighbors=12"),
     ({"version": 2, "n_neighbors": 13}, "n_neighbors=13 and 12 rows of class 1"),
     ({"version": 3, "n_neighbors_ver3": 61}, "n_neighbors_ver3=61 and 60 rows of class 0. Use n_neighbors_ver3=60")],
)  # fmt: skip
def test_too_few_rows_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        NearMiss(**arguments).fit_resample(*data((60, 12)))
    least = {"n_neighbors": 12, "n_neighbors_ver3": 60, "version": arguments.get("version", 1)}
    assert NearMiss(**least).fit_resample(*data((60, 12)))[1].bincount().tolist() == [12, 12]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"version": 4}, ValueError, "1, 2 or 3, got version=4"),
        ({"version": "1"}, TypeError, "`version`"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be >= 1"),
        ({"n_neighbors_ver3": 1.5}, TypeError, "`n_neighbors_ver3`"),
    ],
)
def test_wrong_arguments_of_near_miss(arguments, error, words):
    with pytest.raises(error, match=words):
        NearMiss(**arguments)
