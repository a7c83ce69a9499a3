"""SVMSMOTE: bases are the support vectors that are no noise, gaps point the right way, counts are exact."""

import numpy as np
import pytest
import torch
from imblearn.over_sampling import SVMSMOTE as ImblearnSVMSMOTE
from scipy.stats import beta, kstest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from imbalance_torch.resampling import SMOTE, SVMSMOTE, BatchOversampler, _over, smote_from_plan
from imbalance_torch.resampling._graph import Plan, interpolate


def data(counts=(60, 20, 30), columns=3, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64) * 2 + 2 * y[:, None]
    return X.to(device, dtype), y.to(device)


def groups(X, y, label, m=10, svm=None):
    """(danger, safe) support vectors of the class, by scikit-learn alone."""
    support = (svm or SVC(gamma="scale")).fit(X.numpy(), y.numpy()).support_
    near = NearestNeighbors(n_neighbors=m).fit(X.numpy()).kneighbors(return_distance=False)
    others = (y.numpy()[near] != label).sum(1)
    own = [int(row) for row in support if y[row] == label and others[row] < m]
    return {row for row in own if others[row] >= m / 2}, {row for row in own if others[row] < m / 2}


@pytest.mark.parametrize("seed", range(5))
def test_bases_and_gaps_are_those_of_the_two_groups(seed):
    X, y = data(seed=seed)
    resampler = SVMSMOTE(random_state=0, out_step=0.25).fit(X, y)
    for label in (1, 2):
        danger, safe = groups(X, y, label)
        info = resampler.sample({label: 6000})
        assert set(info.base_index.tolist()) == danger | safe
        outwards = torch.tensor([row in safe for row in info.base_index.tolist()])
        assert (info.gap[outwards] <= 0).all()
        assert (info.gap[outwards] > -0.25).all()
        assert (info.gap[~outwards] >= 0).all()
        assert (info.gap[~outwards] < 1).all()
        if safe:
            assert info.gap[outwards].min() < -0.24
        rows = (y == label).nonzero().flatten().numpy()
        near = NearestNeighbors(n_neighbors=5).fit(X[rows].numpy()).kneighbors(return_distance=False)
        allowed = {(rows[i], rows[j]) for i, row in enumerate(near) for j in row if rows[i] in danger | safe}
        assert set(zip(info.base_index.tolist(), info.neighbor_index.tolist(), strict=True)) == allowed


def test_imbalanced_learn_draws_from_the_same_support_vectors():
    """Its rows lie on the lines through our pairs, on the stated side."""
    X, y = data((60, 25), columns=2)
    theirs = ImblearnSVMSMOTE(random_state=0).fit_resample(X.numpy(), y.numpy())[0][len(X) :]
    graph = SVMSMOTE().fit(X, y).graph_
    edges = graph.edges[1]
    base = graph.rows[edges.bases][:, None].expand(-1, 5, -1).reshape(-1, 2)
    way = graph.rows[edges.neighbors].reshape(-1, 2) - base
    offset = torch.as_tensor(theirs)[:, None] - base
    gap = (offset * way).sum(-1) / (way**2).sum(-1)
    on_line = (offset - gap[..., None] * way).norm(dim=-1) < 1e-9
    width = edges.width.reshape(-1)
    inside = torch.where(width > 0, (gap > -1e-9) & (gap < 1), (gap < 1e-9) & (gap > -0.5))
    assert (on_line & inside).any(1).all()


def test_counts_are_exact_where_imbalanced_learn_loses_a_group():
    missed, rng = 0, np.random.default_rng(0)
    for seed in range(60):
        counts = (int(rng.integers(30, 60)), int(rng.integers(8, 25)))
        X, y = data(counts, columns=2, seed=seed)
        X[y == 1] += rng.uniform(0, 4)
        theirs = np.bincount(ImblearnSVMSMOTE(random_state=0).fit_resample(X.numpy(), y.numpy())[1])
        missed += theirs[1] != theirs[0]
        assert SVMSMOTE(random_state=seed).fit_resample(X, y)[1].bincount().tolist() == [counts[0]] * 2
    assert missed > 0


def test_the_split_is_one_beta_draw():
    X, y = data((60, 25), columns=2)
    danger, safe = groups(X, y, 1)
    assert danger
    assert safe
    resampler = SVMSMOTE(random_state=0).fit(X, y)
    share = [float((resampler.sample(4000).gap >= 0).double().mean()) for _ in range(300)]
    assert kstest(share, beta(10, 10).cdf).pvalue > 1e-4
    assert np.std(share) > 0.08
    generator = torch.Generator().manual_seed(5)
    fraction = float(torch.rand(19, generator=generator, dtype=torch.float64).sort().values[9])
    info = resampler.sample(99, generator=torch.Generator().manual_seed(5))
    assert int((info.gap > 0).sum()) == int(fraction * 100)  # int(fraction * (n + 1)), danger first
    assert set(info.base_index[info.gap > 0].tolist()) <= danger
    assert all(len(resampler.sample(number).y) == number for number in (1, 2, 3))


def test_many_rows_are_split_in_parts(monkeypatch):
    X, y = data((60, 25), columns=2)
    monkeypatch.setattr(_over, "_CHUNK", 100)
    info = SVMSMOTE(random_state=0).fit(X, y).sample(1050)
    share = (info.gap[:1000] >= 0).view(10, 100).sum(1)
    assert len(share.unique()) > 3
    assert len(info.y) == 1050


def test_an_empty_danger_group_takes_nothing():
    X, y = data((60, 25), columns=2)
    X[y == 1] += 8
    danger, safe = groups(X, y, 1)
    assert not danger
    info = SVMSMOTE(random_state=0).fit(X, y).sample(500)
    assert (info.gap <= 0).all()
    assert set(info.base_index.tolist()) == safe
    assert SVMSMOTE(random_state=0).fit_resample(X, y)[1].bincount().tolist() == [60, 60]
    theirs = ImblearnSVMSMOTE(random_state=0).fit_resample(X.numpy(), y.numpy())[1]
    assert np.bincount(theirs).tolist() != [60, 60]


def test_an_empty_safe_group_takes_nothing():
    """Pairs of class 1 between rows of class 0: of the two nearest rows one is the partner."""
    place = torch.arange(20, dtype=torch.float64) * 10
    ones, zeros = torch.cat((place, place + 1)), torch.cat((place - 2, place + 3.5, place + 5))
    X, y = torch.cat((zeros, ones))[:, None], torch.tensor([0] * 60 + [1] * 40)
    danger, safe = groups(X, y, 1, m=2)
    assert danger
    assert not safe
    info = SVMSMOTE(m_neighbors=2, random_state=0).fit_resample(X, y, return_info=True)
    assert info.y.bincount().tolist() == [60, 60]
    assert (info.gap >= 0).all()


def test_noise_alone_warns_once_and_is_plain_smote():
    X, y = data((80, 8), columns=2)
    X[y == 1] = X[y == 0][:8] + 1e-3
    with pytest.raises(ValueError, match="noise"):
        ImblearnSVMSMOTE(m_neighbors=1).fit_resample(X.numpy(), y.numpy())
    settings = {"m_neighbors": 1, "random_state": 0}
    with pytest.warns(UserWarning, match="No support vector of class 1 .*plain SMOTE.*`m_neighbors`") as caught:
        X_res, y_res = SVMSMOTE(**settings).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res, SMOTE(random_state=0).fit_resample(X, y)[0])
    assert y_res.bincount().tolist() == [80, 80]
    with pytest.raises(ValueError, match="No support vector"):
        SVMSMOTE(**settings, on_degenerate="error").fit(X, y)


def test_out_step_0_copies_the_safe_ones():
    X, y = data((60, 25), columns=2)
    info = SVMSMOTE(out_step=0, random_state=0).fit(X, y).sample(200)
    safe = groups(X, y, 1)[1]
    copied = torch.tensor([row in safe for row in info.base_index.tolist()])
    assert copied.any()
    assert torch.equal(info.X[copied], X[info.base_index[copied]])


def test_an_estimator_of_ones_own():
    X, y = data((60, 25))
    svm = SVC(kernel="linear", C=0.1)
    danger, safe = groups(X, y, 1, svm=SVC(kernel="linear", C=0.1))
    info = SVMSMOTE(svm_estimator=svm, random_state=0).fit(X, y).sample(4000)
    assert set(info.base_index.tolist()) == danger | safe
    assert danger | safe != set.union(*groups(X, y, 1))
    assert not hasattr(svm, "support_")
    assert svm.random_state is None
    with pytest.raises(TypeError, match="must have `support_` once fitted, got LogisticRegression"):
        SVMSMOTE(svm_estimator=LogisticRegression()).fit(X, y)


def test_no_random_number_of_numpy_is_used():
    X, y = data()
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    SVMSMOTE(svm_estimator=SVC()).fit_resample(X, y)
    assert np.array_equal(np.random.get_state()[1], state)


def test_labels_do_not_matter():
    X, y = data()
    names = np.array(["x", "a", "m"])  # sorted in another order than the codes
    expected = SVMSMOTE({1: 50}, random_state=0).fit(X, y).sample(500)
    named = SVMSMOTE({"a": 50}, random_state=0).fit(X, names[y.numpy()]).sample(500)
    assert set(named.base_index.tolist()) == set(expected.base_index.tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = SVMSMOTE(random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)


def test_batches_can_be_topped_up():
    X, y = data((60, 20))
    oversampler = BatchOversampler(SVMSMOTE(random_state=0), target_ratio=1.0).fit(X, y)
    batch = (y == 0).nonzero().flatten()[:10]
    assert oversampler(X[batch], y[batch])[1].bincount().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"m_neighbors": 0}, ValueError, "`m_neighbors` must be >= 1"),
        ({"svm_estimator": 3}, TypeError, "`svm_estimator`"),
        ({"out_step": -0.1}, ValueError, "`out_step` must be >= 0"),
        ({"out_step": 1.1}, ValueError, "`out_step` must be <= 1"),
        ({"out_step": "x"}, TypeError, "`out_step`"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        SVMSMOTE(**arguments)


def test_too_few_rows():
    with pytest.raises(ValueError, match="got k_neighbors=5 and 4 rows"):
        SVMSMOTE().fit(*data((20, 4)))
    with pytest.raises(ValueError, match=r"got m_neighbors=10 and 10 rows. Use m_neighbors=9"):
        SVMSMOTE(k_neighbors=1).fit(*data((7, 3)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64, torch.bool])
def test_rows_beyond_the_range_of_integers_are_cut_off_and_do_not_wrap(dtype):
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    rows = torch.tensor([[low, high], [high, low]]).to(dtype)
    plan = Plan(torch.tensor([0]), torch.tensor([1]), torch.tensor([-0.5], dtype=torch.float64))
    new = interpolate(rows, plan, rows.new_empty(1, 2))
    assert new[0, 0] == low
    assert new[0, 1].item() >= high - 1024
