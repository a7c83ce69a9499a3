"""TomekLinks and EditedNearestNeighbours: the rows that a plain loop removes, and imbalanced-learn removes."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from imblearn.under_sampling import EditedNearestNeighbours as ImblearnENN
from imblearn.under_sampling import TomekLinks as ImblearnTomekLinks

from imbalance_torch.resampling import EditedNearestNeighbours, TomekLinks

STRATEGIES = ["auto", "all", "majority", "not majority", (0, 2), (1,)]


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + 4 * y[:, None]
    return X.to(device, dtype), y.to(device)


def named(strategy, names):
    return [names[rank] for rank in strategy] if isinstance(strategy, tuple) else strategy


@pytest.mark.parametrize("names", [[0, 1, 2], ["no", "yes", "zz"]], ids=str)
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_tomek_links_keeps_the_rows_of_imbalanced_learn(names, strategy, seed):
    X, y = data(seed=seed)
    labels, strategy = np.array(names)[y.numpy()], named(strategy, names)
    theirs = ImblearnTomekLinks(sampling_strategy=strategy)
    X_res, y_res = theirs.fit_resample(X.numpy(), labels)
    ours = TomekLinks(strategy).fit_resample(X.numpy(), labels, return_info=True)
    assert np.array_equal(ours.index, theirs.sample_indices_)
    assert np.array_equal(ours.X, X_res)
    assert np.array_equal(ours.y, y_res)


def test_some_links_are_removed():
    """What the comparisons stand on: there are links, of every pair of classes."""
    X, y = data((200, 100, 100))
    left = TomekLinks("all").fit_resample(X, y)[1].bincount()
    assert ((y.bincount() - left) >= 2).all()


@pytest.mark.parametrize("kind_sel", ["all", "mode"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
@pytest.mark.parametrize("n_neighbors", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_edited_keeps_the_rows_of_imbalanced_learn(kind_sel, strategy, n_neighbors, seed):
    X, y = data(seed=seed)
    strategy = named(strategy, [0, 1, 2])
    arguments = {"n_neighbors": n_neighbors, "kind_sel": kind_sel}
    theirs = ImblearnENN(sampling_strategy=strategy, **arguments)
    X_res, y_res = theirs.fit_resample(X.numpy(), y.numpy())
    sampler = EditedNearestNeighbours(strategy, **arguments)
    with pytest.warns(UserWarning, match="removes all") if len(np.unique(y_res)) < 3 else nullcontext():
        ours = sampler.fit_resample(X.numpy(), y.numpy(), return_info=True)
    assert np.array_equal(ours.index, theirs.sample_indices_)
    assert np.array_equal(ours.X, X_res)
    assert np.array_equal(ours.y, y_res)


@pytest.mark.parametrize("kind_sel", ["all", "mode"])
def test_edited_takes_strings(kind_sel):
    X, y = data()
    names = np.array(["no", "yes", "zz"])[y.numpy()]
    expected = EditedNearestNeighbours("all", kind_sel=kind_sel).fit_resample(X, y)[0]
    sampler = EditedNearestNeighbours(["zz", "no", "yes"], kind_sel=kind_sel)
    assert torch.equal(sampler.fit_resample(X, names)[0], expected)
    assert sampler.sampling_strategy_ == ["no", "yes", "zz"]


def test_mode_removes_no_more_than_all():
    X, y = data((100, 40, 60))
    strict = set(EditedNearestNeighbours("all").fit_resample(X, y, return_info=True).index.tolist())
    mode = set(EditedNearestNeighbours("all", kind_sel="mode").fit_resample(X, y, return_info=True).index.tolist())
    assert strict < mode < set(range(200))
    one = [EditedNearestNeighbours(n_neighbors=1, kind_sel=kind).fit_resample(X, y)[0] for kind in ("all", "mode")]
    assert torch.equal(*one)


def test_equal_votes_go_to_the_first_class():
    X = torch.tensor([[0.0], [1.0], [-1.1], [50.0], [51.0], [48.9], [90.0], [91.0], [92.1]])
    y = torch.tensor([0, 0, 1, 1, 1, 0, 1, 1, 1])  # rows 0 and 3 have one neighbour of each class
    sampler = EditedNearestNeighbours("all", n_neighbors=2, kind_sel="mode")
    index = sampler.fit_resample(X, y, return_info=True).index.tolist()
    assert 0 in index
    assert 3 not in index


def test_removed_rows_still_vote():
    """0 and 1 alternate: every row goes, though each would stay once its neighbours have gone."""
    X, y = torch.arange(6.0)[:, None], torch.tensor([0, 1, 0, 1, 0, 1])
    with pytest.warns(UserWarning, match="Cleaning removes all 3 rows of class") as caught:
        assert len(EditedNearestNeighbours("all", n_neighbors=1).fit_resample(X, y)[0]) == 0
    assert len(caught) == 2


def test_clouds_far_apart_stay_whole():
    X, y = data()
    X += 1000 * y[:, None]
    for sampler in (TomekLinks("all"), EditedNearestNeighbours("all"), EditedNearestNeighbours(kind_sel="mode")):
        index = sampler.fit_resample(X, y, return_info=True).index
        assert sorted(index.tolist()) == list(range(97))


@pytest.mark.parametrize("cleaner", [TomekLinks, EditedNearestNeighbours])
def test_a_class_without_rows_left_is_named(cleaner):
    X = torch.tensor([[0.0], [5.0], [10.0], [10.1]])
    y = np.array(["a", "a", "a", "b"])
    arguments = {} if cleaner is TomekLinks else {"n_neighbors": 1}
    with pytest.warns(UserWarning, match="removes all 1 rows of class 'b'") as caught:
        cleaner("all", **arguments).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_two_rows_are_a_link():
    X, y = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    with pytest.warns(UserWarning, match="removes all"):
        assert len(TomekLinks("all").fit_resample(X, y)[0]) == 0
    with pytest.warns(UserWarning, match="class 1"):
        assert TomekLinks().fit_resample(X, y)[1].tolist() == [0]


def test_duplicates_are_no_neighbours_of_themselves():
    """Three equal rows: the first two have each other, the third has the first; a loop over indices says the same."""
    X = torch.zeros(3, 1)
    for y, left in (([0, 0, 1], [0, 0, 1]), ([0, 1, 1], [1, 1]), ([1, 0, 1], [1, 1])):
        with nullcontext() if left == [0, 0, 1] else pytest.warns(UserWarning, match="class 0"):
            assert TomekLinks([0]).fit_resample(X, torch.tensor(y))[1].tolist() == left
    many = torch.cat((torch.zeros(30, 2), torch.ones(3, 2)))
    labels = torch.tensor([0] * 30 + [1] * 3)
    assert len(EditedNearestNeighbours("all", n_neighbors=2).fit_resample(many, labels)[0]) == 33


@pytest.mark.parametrize("seed", range(5))
def test_a_plain_loop_on_a_grid_full_of_ties(seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randint(5, (60, 2), generator=generator)
    y = torch.randint(3, (60,), generator=generator)
    distances = torch.cdist(X.double(), X.double()).square().round()
    distances.fill_diagonal_(torch.inf)
    near = distances.argsort(dim=1, stable=True)
    first = near[:, 0]
    links = {i for i in range(60) if first[first[i]] == i and y[first[i]] != y[i]}
    index = TomekLinks("all").fit_resample(X, y, return_info=True).index
    assert index.tolist() == [i for i in range(60) if i not in links]
    stay = [i for label in range(3) for i in range(60) if y[i] == label and (y[near[i, :2]] == label).all()]
    sampler = EditedNearestNeighbours("all", n_neighbors=2)
    lost = len({int(y[i]) for i in stay}) < 3
    with pytest.warns(UserWarning, match="removes all") if lost else nullcontext():
        assert sampler.fit_resample(X, y, return_info=True).index.tolist() == stay


@pytest.mark.parametrize("k", [97, 1000])
def test_too_many_neighbours_are_named(k):
    with pytest.raises(ValueError, match=f"`n_neighbors` .* got n_neighbors={k} and 97 rows. Use n_neighbors=96"):
        EditedNearestNeighbours(n_neighbors=k).fit_resample(*data())


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be >= 1"),
        ({"n_neighbors": 2.0}, TypeError, "`n_neighbors`"),
        ({"kind_sel": "mod"}, ValueError, "Did you mean 'mode'"),
    ],
)
def test_wrong_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        EditedNearestNeighbours(**arguments)


@pytest.mark.parametrize("cleaner", [TomekLinks, EditedNearestNeighbours])
@pytest.mark.parametrize(
    ("strategy", "words"),
    [("minority", "cannot be used with"), (0.5, "do not let the user specify"), ({0: 3}, "dict for cleaning methods"),
     ([0, 7], "7 target class is/are not present")],
)  # fmt: skip
def test_strategies_that_no_cleaner_takes(cleaner, strategy, words):
    with pytest.raises(ValueError, match=words):
        cleaner(strategy).fit_resample(*data((60, 12)))
