"""LeeSMOTE: no row stays where other classes prevail, all else is SMOTE, and rejection without an end is told."""

import numpy as np
import pytest
import torch

from imbalance_torch.resampling import SMOTE, BatchOversampler, LeeSMOTE, smote_from_plan


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 3 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def clouds(seed=0):
    """Two overlapping clouds, where about every second candidate is rejected."""
    X, y = data((50, 40), columns=2, seed=seed)
    X[y == 1] += 1
    return X, y


def share_of_others(X, y, rows, label, k):
    near = torch.cdist(rows, X, compute_mode="donot_use_mm_for_euclid_dist").argsort(dim=1)[:, :k]
    return (y[near] != label).double().mean(1)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.61])
def test_rows_are_smotes_candidates_that_pass(level):
    """The rows of round one are those of plain SMOTE from the same seed, without the rejected ones."""
    X, y = clouds()
    plain = SMOTE({0: 250}, random_state=0).fit(X, y).sample(200)
    passes = share_of_others(X, y, plain.X, 0, 5) < level
    assert 10 < passes.sum() < 200
    info = LeeSMOTE({0: 250}, rejection_level=level, random_state=0).fit(X, y).sample(200)
    assert torch.equal(info.X[: int(passes.sum())], plain.X[passes])
    assert torch.equal(info.gap[: int(passes.sum())], plain.gap[passes])
    assert (share_of_others(X, y, info.X, 0, 5) < level).all()
    assert len(torch.unique(info.X, dim=0)) == 200


def test_a_level_above_one_is_plain_smote():
    X, y = data()
    expected = SMOTE(random_state=3).fit(X, y).sample({1: 40, 2: 30})
    info = LeeSMOTE(rejection_level=1.01, random_state=3).fit(X, y).sample({1: 40, 2: 30})
    for part, same in zip(info, expected, strict=True):
        assert torch.equal(part, same)


def test_a_class_apart_is_plain_smote():
    X, y = data((60, 30))
    X[y == 1] += 1000
    assert torch.equal(LeeSMOTE(random_state=0).fit_resample(X, y)[0], SMOTE(random_state=0).fit_resample(X, y)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = LeeSMOTE(random_state=0, k_neighbors=3).fit(X, y).sample(300)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)
    assert torch.equal(y[info.neighbor_index], info.y)


def test_what_is_counted_is_the_written_row():
    """Integer rows are rounded before their neighbours are counted."""
    X, y = clouds()
    X = (X * 2).round().long() * 2
    info = LeeSMOTE({0: 250}, random_state=0, k_neighbors=5).fit(X, y).sample(150)
    squared = ((info.X[:, None] - X) ** 2).sum(2)
    near = (squared * 1000 + torch.arange(len(X))).argsort(dim=1)[:, :5]
    assert ((y[near] != 0).double().mean(1) < 0.5).all()


def test_counts_are_exact_and_seeds_decide():
    X, y = clouds()
    fitted = LeeSMOTE({0: 90, 1: 90}, random_state=0).fit(X, y)
    assert fitted.sample({0: 3, 1: 211}).y.bincount().tolist() == [3, 211]
    draws = [fitted.sample(30, generator=torch.Generator().manual_seed(1)).X for _ in range(2)]
    assert torch.equal(*draws)
    assert not torch.equal(fitted.sample(30).X, fitted.sample(30).X)


def swamped():
    """Rows of class 1 far apart, each inside a dense cloud of class 0, and nothing of class 0 elsewhere."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [100, 0], [0, 100], [100, 100]], dtype=torch.float64)
    path = torch.linspace(0, 1, 41, dtype=torch.float64)[:, None]
    lines = [a + path * (b - a) for i, a in enumerate(centres) for b in centres[:i]]
    filled = torch.cat((*lines, *lines, *lines))
    X = torch.cat((centres, filled + torch.randn(filled.shape, generator=generator, dtype=torch.float64) / 100))
    return X, (torch.arange(len(X)) < 4).long()


def test_rejection_without_an_end_is_told_once_and_counts_stay_exact():
    X, y = swamped()
    with pytest.warns(UserWarning, match=r"Nearly all candidates of class 1 .* 3 nearest. Using plain SMOTE") as caught:
        _, y_res = LeeSMOTE({1: 304}, k_neighbors=3, rejection_level=0.3, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert y_res.bincount().tolist() == [len(X) - 4, 304]
    with pytest.raises(ValueError, match="try a larger `k_neighbors`"):
        LeeSMOTE({1: 304}, k_neighbors=3, on_degenerate="error", random_state=0).fit_resample(X, y)


def test_the_level_is_raised_after_five_poor_rounds_a_level(monkeypatch):
    X, y = swamped()
    fitted = LeeSMOTE({1: 304}, k_neighbors=3, rejection_level=0.75, random_state=0).fit(X, y)
    rounds = []
    generate = fitted.generate
    monkeypatch.setattr(fitted, "generate", lambda plan: rounds.append(len(plan.gap)) or generate(plan))
    with pytest.warns(UserWarning, match="Using plain SMOTE"):
        fitted.draw({1: 50}, torch.Generator().manual_seed(0))
    assert len(rounds) == 3 * 5 + 1  # at 0.75, 0.85 and 0.95, and then everything at once
    assert max(rounds) <= 50


def test_a_raised_level_ends_with_the_draw():
    """One round at the stated level again in the next draw."""
    X, y = clouds()
    fitted = LeeSMOTE({0: 250}, rejection_level=1e-9, k_neighbors=2, random_state=0).fit(X, y)
    first, second = fitted.sample(60).X, fitted.sample(60).X
    for rows in (first, second):
        assert (share_of_others(X, y, rows, 0, 2) == 0).any()


def test_fitted_rows_are_a_copy():
    X, y = clouds()
    fitted = LeeSMOTE({0: 250}, random_state=0).fit(X, y)
    expected = fitted.sample({0: 50}, generator=torch.Generator().manual_seed(0)).X
    X.zero_()
    assert torch.equal(fitted.sample({0: 50}, generator=torch.Generator().manual_seed(0)).X, expected)


def test_too_few_rows_and_equal_rows():
    X, y = data((40, 5))
    with pytest.raises(ValueError, match="got k_neighbors=5 and 5 rows of class 1"):
        LeeSMOTE().fit(X, y)
    X, y = data((40, 10))
    X[y == 1] = 50.0
    with pytest.warns(UserWarning, match="All 10 rows of class 1 equal their 5 nearest"):
        assert (LeeSMOTE(random_state=0).fit_resample(X, y)[0][50:] == 50).all()


def test_it_serves_batches():
    X, y = data()
    oversampler = BatchOversampler(LeeSMOTE(random_state=0, k_neighbors=3), target_ratio=1.0).fit(X, y)
    first, second = (oversampler(X, y) for _ in range(2))
    assert first[1].bincount().tolist() == [60, 60, 60]
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"rejection_level": 0}, ValueError, "`rejection_level` must be > 0"),
        ({"rejection_level": np.nan}, ValueError, "`rejection_level` must be finite"),
        ({"rejection_level": "0.5"}, TypeError, "`rejection_level`"),
        ({"on_degenerate": "ignore"}, ValueError, "'warn', 'error'"),
    ],
)
def test_wrong_settings_at_construction(arguments, error, words):
    with pytest.raises(error, match=words):
        LeeSMOTE(**arguments)
