"""Expansive over-sampling: rows lie between a row of the class and a near enemy, pairs as likely as stated."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.resampling import SMOTE, BatchOversampler, ExpansiveOversampler, smote_from_plan


def data(counts=(60, 12, 25), columns=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    return (torch.randn(len(y), columns, generator=generator) + y[:, None]).to(dtype), y


def pairs_by_hand(X, y, label, k):
    """Return base -> its enemies among the k nearest of all other rows, bases without enemies left out."""
    near = NearestNeighbors(n_neighbors=k + 1).fit(X.numpy()).kneighbors(X.numpy())[1][:, 1:]
    found = {i: [j for j in near[i] if y[j] != label] for i in (y == label).nonzero().flatten().tolist()}
    return {base: enemies for base, enemies in found.items() if enemies}


@pytest.mark.parametrize("k", [1, 4, 10])
def test_pairs_are_a_row_and_its_near_enemies(k):
    X, y = data()
    info = ExpansiveOversampler(n_neighbors=k, random_state=0).fit(X, y).sample({1: 4000, 2: 4000})
    for label in (1, 2):
        drawn = info.y == label
        expected = {(base, enemy) for base, near in pairs_by_hand(X, y, label, k).items() for enemy in near}
        assert set(zip(info.base_index[drawn].tolist(), info.neighbor_index[drawn].tolist(), strict=True)) == expected
    assert (y[info.neighbor_index] != info.y).all()
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert info.gap.min() >= 0
    assert info.gap.max() < 1


@pytest.mark.parametrize("batch", [3, 20_000])
def test_bases_are_uniform_and_so_are_the_enemies_of_each(batch):
    """Also when few rows are drawn at a time, as for a batch: no base comes first."""
    X, y = data((40, 14), columns=2)
    by_hand = pairs_by_hand(X, y, 1, 4)
    assert len({len(enemies) for enemies in by_hand.values()}) > 2
    fitted = ExpansiveOversampler(n_neighbors=4, random_state=0).fit(X, y)
    draws = [fitted.sample(batch) for _ in range(max(1, 1500 // batch))]
    base, enemy = (torch.cat([getattr(draw, name) for draw in draws]) for name in ("base_index", "neighbor_index"))
    expected = {(i, j): 1 / len(by_hand) / len(near) for i, near in by_hand.items() for j in near}
    seen = {pair: 0 for pair in expected}
    for pair in zip(base.tolist(), enemy.tolist(), strict=True):
        seen[pair] += 1
    chances = np.array(list(expected.values()))
    assert chisquare(np.array(list(seen.values())), len(base) * chances / chances.sum()).pvalue > 1e-3
    gaps = torch.cat([draw.gap for draw in draws])
    assert chisquare((gaps * 20).long().bincount(minlength=20).numpy()).pvalue > 1e-3


def test_a_class_without_enemies_grows_as_in_smote():
    X, y = data((30, 12))
    X[y == 1] += 1000
    with pytest.warns(UserWarning, match="No row of class 1 has a row of another class among its 5 nearest") as caught:
        ours = ExpansiveOversampler(n_neighbors=5, k_neighbors=3, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    plain = SMOTE(k_neighbors=3, random_state=0).fit_resample(X, y)
    assert torch.equal(ours[0], plain[0])
    with pytest.raises(ValueError, match="class 1"):
        ExpansiveOversampler(n_neighbors=5, on_degenerate="error").fit(X, y)


def test_only_the_class_without_enemies_falls_back():
    X, y = data((60, 12, 25))
    X[y == 2] += 1000
    with pytest.warns(UserWarning, match="class 2"):
        info = ExpansiveOversampler(random_state=0).fit_resample(X, y, return_info=True)
    assert info.y.bincount().tolist() == [60, 60, 60]
    assert (y[info.neighbor_index] == 2).sum() >= 35
    assert (y[info.neighbor_index[:48]] != 1).all()


def test_rows_with_two_labels_give_copies_and_say_so():
    X = torch.cat((torch.arange(8.0), torch.arange(4.0)))[:, None]
    y = torch.tensor([0] * 8 + [1] * 4)
    with pytest.warns(UserWarning, match="two labels"):
        X_res, _ = ExpansiveOversampler(n_neighbors=1, random_state=0).fit_resample(X, y)
    assert torch.isin(X_res[12:], X).all()


def test_a_row_amid_its_own_duplicates_is_not_its_own_neighbour():
    X = torch.tensor([[0.0]] * 4 + [[1.0]] * 6)
    y = torch.tensor([1] * 4 + [0] * 6)
    info = ExpansiveOversampler(n_neighbors=4, random_state=0).fit(X, y).sample(50)
    assert (y[info.neighbor_index] == 0).all()
    assert info.X.min() >= 0
    assert info.X.max() < 1


def test_order_of_rows_and_rigid_motions_change_nothing_but_the_place():
    X, y = data((50, 20), columns=2)
    info = ExpansiveOversampler(random_state=0).fit(X, y).sample(500)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    moved = ExpansiveOversampler(random_state=0).fit(X @ turn + 7, y).sample(500)
    assert torch.equal(moved.neighbor_index, info.neighbor_index)
    torch.testing.assert_close(moved.X, info.X @ turn + 7)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
    shuffled = ExpansiveOversampler(random_state=0).fit(X[order], y[order]).sample(20_000)
    pairs = set(zip(order[shuffled.base_index].tolist(), order[shuffled.neighbor_index].tolist(), strict=True))
    assert pairs == {(base, enemy) for base, near in pairs_by_hand(X, y, 1, 10).items() for enemy in near}


def test_counts_are_exact_in_chunks_and_batches(monkeypatch):
    monkeypatch.setattr("imbalance_torch.resampling._over._CHUNK", 7)
    X, y = data()
    _, y_res = ExpansiveOversampler({1: 333, 2: 26}, random_state=0).fit_resample(X, y)
    assert y_res.bincount().tolist() == [60, 333, 26]
    oversampler = BatchOversampler(ExpansiveOversampler(random_state=0), target_ratio=0.5).fit(X, y)
    assert oversampler(X[y == 0], y[y == 0])[1].bincount().tolist() == [60, 30, 30]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(scale):
    X, y = data()
    expected = ExpansiveOversampler(random_state=0).fit(X, y).sample(40)
    scaled = ExpansiveOversampler(random_state=0).fit(X * scale, y).sample(40)
    assert torch.equal(scaled.neighbor_index, expected.neighbor_index)
    torch.testing.assert_close(scaled.X / scale, expected.X)


def test_one_row_of_a_class_is_enough():
    X, y = data((30, 1))
    X_res, y_res = ExpansiveOversampler(random_state=0).fit_resample(X, y)
    assert y_res.bincount().tolist() == [30, 30]
    assert (X_res[31:] != X[y == 1]).any(1).all()


def test_a_frame_with_named_classes():
    X, y = data((30, 8))
    frame = pd.DataFrame(X.numpy(), columns=list("abc"))
    X_res, y_res = ExpansiveOversampler(random_state=0).fit_resample(frame, pd.Series(y.numpy()).map({0: "n", 1: "p"}))
    assert y_res.value_counts().to_dict() == {"n": 30, "p": 30}
    assert list(X_res.columns) == list("abc")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be >= 1"),
        ({"n_neighbors": 2.0}, TypeError, "`n_neighbors`"),
        ({"k_neighbors": 0}, ValueError, "`k_neighbors`"),
        ({"on_degenerate": "ignore"}, ValueError, "`on_degenerate`"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        ExpansiveOversampler(**arguments)


def test_too_few_rows_and_bad_values_are_named():
    X, y = data((8, 3))
    with pytest.raises(ValueError, match=r"n_neighbors=11 and 11 rows\. Use n_neighbors=10"):
        ExpansiveOversampler(n_neighbors=11).fit(X, y)
    X[0, 0] = math.nan
    with pytest.raises(ValueError, match="finite"):
        ExpansiveOversampler(n_neighbors=3).fit(X, y)
