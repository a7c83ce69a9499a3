"""KMeansSMOTE: pairs stay inside usable clusters, which share the rows by their sparsity; counts are exact."""

import math

import numpy as np
import pytest
import torch
from imblearn.over_sampling import KMeansSMOTE as ImblearnKMeansSMOTE
from sklearn.cluster import DBSCAN, KMeans, MiniBatchKMeans
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from imbalance_torch.resampling import SMOTE, BatchOversampler, KMeansSMOTE, smote_from_plan
from imbalance_torch.resampling._graph import apportion


def data(counts=(70, 40), columns=3, seed=0, dtype=torch.float64, device="cpu"):
    """Class 1 in two clouds of unequal width, apart from class 0."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator, dtype=torch.float64)
    for label in range(1, len(counts)):
        rows = (y == label).nonzero().flatten()
        X[rows[::2]] += 10 * label
        X[rows[1::2]] = 3 * X[rows[1::2]] - 30 * label
    return X.to(device, dtype), y.to(device)


def expected_shares(X, y, label, labels, k, threshold, exponent):
    """Usable cluster to share, in imbalanced-learn's formula and in NumPy."""
    sparsity = {}
    for cluster in np.unique(labels):
        own = X.numpy()[(labels == cluster) & (y.numpy() == label)]
        if len(own) > k and len(own) / (labels == cluster).sum() >= threshold:
            mean = pairwise_distances(own).sum() / (len(own) ** 2 - len(own))
            power = 0.16 * math.log(len(own), 1.6) ** 1.8 if exponent == "auto" else exponent
            sparsity[cluster] = mean**power / len(own)
    return {cluster: value / sum(sparsity.values()) for cluster, value in sparsity.items()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("exponent", ["auto", 0, 1.5])
def test_clusters_pairs_and_shares(exponent, seed):
    X, y = data(seed=seed)
    labels = MiniBatchKMeans(n_clusters=5, random_state=seed).fit_predict(X.numpy())
    shares = expected_shares(X, y, 1, labels, 3, 0.5, exponent)
    assert len(shares) > 1
    settings = {"k_neighbors": 3, "kmeans_estimator": 5, "density_exponent": exponent}
    info = KMeansSMOTE(**settings, random_state=seed).fit(X, y).sample(5000)
    cluster = labels[info.base_index.numpy()]
    assert np.array_equal(cluster, labels[info.neighbor_index.numpy()])
    drawn = {int(c): int((cluster == c).sum()) for c in np.unique(cluster)}
    for one, share in shares.items():
        assert abs(drawn.get(one, 0) - 5000 * share) < 1
    assert set(drawn) <= set(shares)
    assert 0 <= info.gap.min()
    assert 0.99 < info.gap.max() < 1
    for one in drawn:
        rows = np.flatnonzero((labels == one) & (y.numpy() == 1))
        near = NearestNeighbors(n_neighbors=3).fit(X[rows].numpy()).kneighbors(return_distance=False)
        allowed = {(rows[i], rows[j]) for i, row in enumerate(near) for j in row}
        inside = cluster == one
        pairs = zip(info.base_index[inside].tolist(), info.neighbor_index[inside].tolist(), strict=True)
        assert set(pairs) <= allowed


@pytest.mark.parametrize("seed", range(3))
def test_imbalanced_learn_draws_from_the_same_pairs(seed):
    X, y = data(seed=seed, columns=2)
    theirs = ImblearnKMeansSMOTE(random_state=seed).fit_resample(X.numpy(), y.numpy())[0][len(X) :]
    graph = KMeansSMOTE(random_state=seed).fit(X, y).graph_
    edges = graph.edges[1]
    base = graph.rows[edges.bases].repeat_interleave(2, 0)
    way = graph.rows[edges.neighbors].reshape(-1, 2) - base
    offset = torch.as_tensor(theirs)[:, None] - base
    gap = (offset * way).sum(-1) / (way**2).sum(-1)
    on_segment = ((offset - gap[..., None] * way).norm(dim=-1) < 1e-9) & (gap > -1e-9) & (gap < 1)
    assert on_segment.any(1).all()


def test_counts_are_exact_where_imbalanced_learn_rounds_up():
    missed = 0
    for seed in range(60):
        X, y = data((50 + seed, 20 + seed // 4), columns=2, seed=seed)
        theirs = np.bincount(ImblearnKMeansSMOTE(random_state=seed).fit_resample(X.numpy(), y.numpy())[1])
        missed += theirs[1] != theirs[0]
        assert KMeansSMOTE(random_state=seed).fit_resample(X, y)[1].bincount().tolist() == [50 + seed] * 2
    assert missed > 0


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_the_threshold_is_the_least_share_of_a_usable_cluster(threshold):
    X, y = data((60, 50), columns=2)
    X = X / 6
    labels = MiniBatchKMeans(n_clusters=6, random_state=1).fit_predict(X.numpy())
    shares = expected_shares(X, y, 1, labels, 2, threshold, 0)
    settings = {"kmeans_estimator": 6, "cluster_balance_threshold": threshold, "density_exponent": 0}
    info = KMeansSMOTE({1: 90}, **settings, random_state=1).fit(X, y).sample(3000)
    assert set(labels[info.base_index.numpy()]) == set(shares)


def test_the_automatic_threshold_is_half_the_share_of_the_rows_to_add():
    decides = 0
    for seed in range(4):
        X, y = data((60, 30, 20), columns=2, seed=seed)
        X = X / 12 + torch.randn(X.shape, generator=torch.Generator().manual_seed(seed), dtype=X.dtype)
        labels = MiniBatchKMeans(random_state=0).fit_predict(X.numpy())
        for strategy in ("auto", {1: 60, 2: 200}, {1: 200, 2: 60}):
            resampler = KMeansSMOTE(strategy, density_exponent=0, random_state=0).fit(X, y)
            add = resampler.sampling_strategy_
            for label in (1, 2):
                share = add[label] / sum(add.values())
                drawn, lower, higher = (expected_shares(X, y, label, labels, 2, share / d, 0) for d in (2, 3, 1.5))
                base = resampler.sample({label: 3000}).base_index
                assert set(labels[base.numpy()]) == set(drawn)
                decides += set(lower) != set(drawn) and set(higher) != set(drawn)
    assert decides


def test_a_single_cluster_has_the_pairs_of_smote():
    X, y = data((60, 12), columns=2)
    one, plain = (r.fit(X, y).graph_ for r in (KMeansSMOTE(kmeans_estimator=1), SMOTE(k_neighbors=2)))
    assert torch.equal(one.edges[1].bases, plain.edges[1].bases)
    assert torch.equal(one.edges[1].neighbors, plain.edges[1].neighbors)
    assert torch.equal(one.row_index, plain.row_index)
    assert KMeansSMOTE(kmeans_estimator=1, cluster_balance_threshold=1.0).fit(X, y).graph_.edges[1].ends is not None


def test_without_a_usable_cluster_it_warns_once_and_is_plain_smote():
    X, y = data((60, 12), columns=2)
    X[y == 1] = X[y == 0][:12] + 0.01
    settings = {"cluster_balance_threshold": 0.9, "k_neighbors": 4}
    with pytest.raises(RuntimeError, match="No clusters found"):
        ImblearnKMeansSMOTE(**settings, random_state=0).fit_resample(X.numpy(), y.numpy())
    words = "No cluster has more than 4 rows of class 1 .*plain SMOTE.*`cluster_balance_threshold`"
    with pytest.warns(UserWarning, match=words) as caught:
        X_res, y_res = KMeansSMOTE(**settings, random_state=0).fit_resample(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(X_res, SMOTE(k_neighbors=4, random_state=0).fit_resample(X, y)[0])
    assert y_res.bincount().tolist() == [60, 60]
    with pytest.raises(ValueError, match="No cluster"):
        KMeansSMOTE(**settings, on_degenerate="error").fit(X, y)


def clumps(width):
    """Class 1 in two clumps of equal rows, or of that width."""
    X, y = data((60, 20), columns=2)
    rows = (y == 1).nonzero().flatten()
    X[rows] *= 0
    X[rows[:8]] += 100
    X[rows[8:]] -= 100
    X[rows] += width * torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return X, y


def test_where_all_distances_are_0_clusters_share_evenly():
    X, y = clumps(0.0)
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="NaN"):
        ImblearnKMeansSMOTE(kmeans_estimator=3, random_state=0).fit_resample(X.numpy(), y.numpy())
    with pytest.warns(UserWarning, match="All rows of class 1 in usable clusters .* copies") as caught:
        info = KMeansSMOTE(kmeans_estimator=3, random_state=0).fit(X, y).sample(101)
    assert len(caught) == 1
    assert sorted([int((info.X > 0).all(1).sum()), int((info.X < 0).all(1).sum())]) == [50, 51]
    with pytest.raises(ValueError, match="copies"):
        KMeansSMOTE(kmeans_estimator=3, random_state=0, on_degenerate="error").fit(X, y)


@pytest.mark.parametrize(("width", "exponent"), [(1e-3, 500.0), (1.0, 1e6)])
def test_extreme_exponents_do_not_overflow(width, exponent):
    X, y = clumps(width)
    resampler = KMeansSMOTE(kmeans_estimator=3, density_exponent=exponent, random_state=0)
    assert resampler.fit_resample(X, y)[1].bincount().tolist() == [60, 60]
    assert resampler.graph_.edges[1].shares.sum() == 1


def test_sparsity_in_blocks_equals_the_whole():
    rows = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1e3
    whole = pairwise_distances(rows.numpy()).sum() / (3000**2 - 3000)
    for factor in (1.0, 1e-200, 1e200):
        found = KMeansSMOTE(density_exponent=2)._log_sparsity(rows * factor)
        assert found == pytest.approx(2 * math.log(whole * factor) - math.log(3000), rel=1e-9)


@pytest.mark.parametrize("estimator", [KMeans(4, random_state=3), KMeans(4, n_init=1), DBSCAN(eps=1.2, min_samples=3)])
def test_an_estimator_of_ones_own(estimator):
    X, y = data(columns=2)
    info = KMeansSMOTE(kmeans_estimator=estimator, random_state=7).fit(X, y).sample(3000)
    assert not hasattr(estimator, "labels_")
    if estimator.get_params().get("random_state", 7) is None:
        estimator.set_params(random_state=7)
    labels = estimator.fit_predict(X.numpy())
    assert (labels[y == 1] < 0).any() == isinstance(estimator, DBSCAN)
    shares = expected_shares(X, y, 1, np.where(labels < 0, 99, labels), 2, 0.5, "auto")
    shares.pop(99, None)
    base = labels[info.base_index.numpy()]
    assert np.array_equal(base, labels[info.neighbor_index.numpy()])
    assert set(base) <= set(shares)
    assert (base >= 0).all()


def test_the_seed_and_a_generator_decide_the_clusters():
    X, y = data((90, 60), columns=2)
    first, again, other = (KMeansSMOTE(random_state=seed).fit(X, y).graph_.edges[1] for seed in (0, 0, 1))
    assert torch.equal(first.bases, again.bases)
    assert torch.equal(first.ends, again.ends)
    assert not (len(first.bases) == len(other.bases) and torch.equal(first.bases, other.bases))
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    KMeansSMOTE().fit(X, y)
    KMeansSMOTE(kmeans_estimator=KMeans(4)).fit(X, y)
    KMeansSMOTE(random_state=2**62).fit(X, y)
    assert np.array_equal(np.random.get_state()[1], state)


def test_shares_are_those_of_apportion():
    X, y = data()
    resampler = KMeansSMOTE(kmeans_estimator=4, density_exponent=1, random_state=0).fit(X, y)
    edges = resampler.graph_.edges[1]
    ends = edges.ends.tolist()
    index = resampler.graph_.row_index[edges.bases]
    group = {row: g for g, (a, b) in enumerate(zip([0, *ends], ends, strict=False)) for row in index[a:b].tolist()}
    for number in (17, 1001):
        drawn = torch.tensor([group[row] for row in resampler.sample(number).base_index.tolist()])
        assert torch.equal(drawn.bincount(minlength=len(ends)), apportion(number, edges.shares))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32])
def test_rows_follow_from_their_stated_parents(dtype, device):
    X, y = data(dtype=dtype, device=device)
    info = KMeansSMOTE(random_state=0).fit(X, y).sample(500)
    assert torch.equal(info.X, smote_from_plan(X, info.base_index, info.neighbor_index, info.gap))
    assert torch.equal(y[info.base_index], info.y)


def test_batches_can_be_topped_up():
    X, y = data()
    oversampler = BatchOversampler(KMeansSMOTE(random_state=0), target_ratio=1.0).fit(X, y)
    batch = (y == 0).nonzero().flatten()[:10]
    assert oversampler(X[batch], y[batch])[1].bincount().tolist() == [10, 10]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"kmeans_estimator": 0}, ValueError, "`kmeans_estimator` must be >= 1"),
        ({"kmeans_estimator": "x"}, TypeError, "`kmeans_estimator`"),
        ({"cluster_balance_threshold": "half"}, TypeError, "`cluster_balance_threshold`"),
        ({"cluster_balance_threshold": math.nan}, ValueError, "`cluster_balance_threshold`"),
        ({"density_exponent": -1}, ValueError, "`density_exponent` must be >= 0"),
        ({"density_exponent": None}, TypeError, "`density_exponent`"),
        ({"density_exponent": math.inf}, ValueError, "`density_exponent`"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        KMeansSMOTE(**arguments)


def test_fewer_rows_than_clusters():
    with pytest.raises(ValueError, match="got 8 clusters and 7 rows"):
        KMeansSMOTE().fit(*data((4, 3)))
