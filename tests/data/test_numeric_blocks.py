"""Numeric blocks: against scikit-learn, as identities, and on the values that break floating point."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer, RobustScaler
from sklearn.tree import DecisionTreeClassifier

from imbalance_torch.data import TableEncoder

BLOCKS = ["standard", "robust", "log", "quantile", "bins"]
ROWS = 3000


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "normal": rng.normal(100, 5, ROWS),
            "gaps": np.where(rng.random(ROWS) < 0.2, np.nan, rng.exponential(2, ROWS)),
            "zeros": np.where(rng.random(ROWS) < 0.6, 0.0, rng.exponential(1, ROWS)),
            "whole": rng.integers(-5, 6, ROWS).astype(float),
        }
    )


@pytest.fixture(scope="module")
def labels(frame):
    return ((frame["normal"] > 108) | (frame["whole"] == 4)).to_numpy().astype(int)


def encoded(frame, labels, *blocks, on=None, **options):
    encoder = TableEncoder(list(frame.columns), [], blocks=blocks, **options).fit(frame, labels)
    return encoder.encode(frame if on is None else on)[:, : encoder.num_dense - encoder.indicators.numel()].numpy()


def test_blocks_concatenate_in_one_order_with_one_indicator_per_column(frame, labels):
    encoder = TableEncoder(list(frame.columns), [], blocks=BLOCKS[::-1]).fit(frame, labels)
    whole = encoder.encode(frame)
    assert encoder.blocks == BLOCKS
    assert encoder.num_dense == whole.shape[1]
    single = np.hstack([encoded(frame, labels, block) for block in BLOCKS])
    np.testing.assert_array_equal(whole[:, :-1], single)
    np.testing.assert_array_equal(whole[:, -1], frame["gaps"].isna())


@pytest.mark.parametrize("block", BLOCKS)
def test_a_missing_value_is_the_median(frame, labels, block):
    filled = frame.fillna(frame.median())
    expected = encoded(frame, labels, block, on=filled)
    np.testing.assert_allclose(encoded(frame, labels, block), expected, atol=1e-6)
    new = frame.assign(normal=np.nan)
    expected = encoded(frame, labels, block, on=filled.assign(normal=frame["normal"].median()))
    np.testing.assert_allclose(encoded(frame, labels, block, on=new), expected, atol=1e-6)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_keeps_the_order_of_values(frame, labels, block):
    values = np.linspace(-500, 500, 2001)
    codes = encoded(frame, labels, block, on=pd.DataFrame(dict.fromkeys(frame.columns, values)))
    assert (np.diff(codes, axis=0) >= 0).all()
    assert (codes[-1] > codes[0]).all()


def test_robust_equals_scikit_learn(frame):
    expected = RobustScaler().fit_transform(frame[["normal", "gaps", "whole"]])
    actual = encoded(frame[["normal", "gaps", "whole"]], None, "robust")
    present = ~np.isnan(expected)
    np.testing.assert_allclose(actual[present], expected.clip(-10, 10)[present], rtol=1e-5, atol=1e-6)


def test_robust_scales_by_the_standard_deviation_where_the_quartiles_coincide():
    values = np.array([0.0] * 90 + [1000.0] * 10)
    actual = encoded(pd.DataFrame({"a": values}), None, "robust")[:, 0]
    np.testing.assert_allclose(actual, values / values.std(), rtol=1e-6)


def test_quantile_equals_scikit_learn_at_the_stored_quantiles_and_between(frame):
    peer = QuantileTransformer(output_distribution="normal", n_quantiles=1000, subsample=None).fit(frame)
    outside = pd.DataFrame(dict.fromkeys(frame.columns, np.linspace(-20, 130, 997)))
    for rows in (pd.DataFrame(peer.quantiles_, columns=frame.columns), frame.fillna(frame.median()), outside):
        np.testing.assert_allclose(encoded(frame, None, "quantile", on=rows), peer.transform(rows), atol=1e-6)


def test_log_is_the_published_form(frame):
    actual = encoded(frame[["zeros", "whole"]], None, "log")
    zeros, whole = frame["zeros"].to_numpy(), frame["whole"].to_numpy()
    z = (whole - np.median(whole)) / whole.std()
    expected = np.stack([np.log(zeros / np.median(zeros[zeros > 0]) + 0.1), np.sign(z) * np.log(1 + 4 * abs(z))], 1)
    np.testing.assert_allclose(actual, (expected - expected.mean(0)) / expected.std(0), rtol=1e-5, atol=1e-6)


def test_bins_are_piecewise_linear_between_the_cuts_of_a_tree(frame, labels):
    column = frame[["normal"]]
    leaf = int(np.clip(0.02 * labels.sum(), 8, 64))
    tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=leaf, random_state=0).fit(column, labels).tree_
    cuts = np.sort(tree.threshold[tree.children_left >= 0])
    edges = np.array([column.min().item(), *cuts, column.max().item()])
    values = np.linspace(edges[0] - 5, edges[-1] + 5, 501)
    expected = np.clip((values[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    np.testing.assert_allclose(
        encoded(column, labels, "bins", on=pd.DataFrame({"normal": values})), expected, atol=2e-4
    )  # scikit-learn cuts float32 values


def test_bins_sum_to_the_place_among_the_edges(frame, labels):
    codes = encoded(frame[["whole"]], labels, "bins")
    assert (codes.sum(axis=1) <= codes.shape[1]).all()
    full = (codes == 1).sum(axis=1)
    np.testing.assert_array_equal(codes > 0, np.arange(codes.shape[1]) < np.ceil(codes.sum(axis=1))[:, None])
    assert full.max() == codes.shape[1]
    assert full.min() == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1e6, 1e300])
def test_bins_do_not_depend_on_unit_and_origin(frame, labels, scale):
    plain = frame[["normal"]] - 100
    np.testing.assert_allclose(
        encoded(plain * scale, labels, "bins"), encoded(plain, labels, "bins"), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        encoded(plain + 2**30, labels, "bins"), encoded(plain, labels, "bins"), rtol=1e-4, atol=1e-4
    )


def test_rare_positives_make_edges():
    values = np.arange(100_000.0)
    labels = (values >= 99_980).astype(int)
    codes = encoded(pd.DataFrame({"a": values}), labels, "bins", num_bins=2)
    assert codes.shape[1] == 2
    np.testing.assert_array_equal(codes[:, 1] > 0, labels == 1)


@pytest.mark.parametrize("bins", [2, 3, 8, 20])
def test_number_of_bins(frame, labels, bins):
    encoder = TableEncoder(["normal", "whole"], [], blocks=["bins"], num_bins=bins).fit(frame, labels)
    assert (torch.bincount(encoder.bins_column) <= bins).all()
    assert torch.bincount(encoder.bins_column)[0] >= min(bins, 3)


def test_labels_of_one_class_or_many_or_text(frame):
    assert encoded(frame, np.zeros(ROWS), "bins").shape == (ROWS, 4)
    many = np.digitize(frame["normal"], [95, 100, 105])
    text = np.array(["a", "b", "c", "d"])[many]
    np.testing.assert_array_equal(encoded(frame, text, "bins"), encoded(frame, many, "bins"))
    np.testing.assert_array_equal(encoded(frame, torch.from_numpy(many), "bins"), encoded(frame, many, "bins"))


@pytest.mark.parametrize("blocks", [(block,) for block in BLOCKS])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e300, -1e-300])
def test_a_constant_column_is_zero_or_has_no_bins(blocks, value):
    frame = pd.DataFrame({"a": [value] * 1001})
    codes = encoded(frame, np.arange(1001) % 2, *blocks, on=pd.DataFrame({"a": [value, np.nan, 5.0]}))
    assert codes.tolist() == ([[], [], []] if blocks == ("bins",) else [[0], [0], [0]])


EXTREME = {
    "largest": [1.7e308, -1.7e308, 0.0, 1.0],
    "all scales": [1e-300, 1e300, 1.0, 0.0, 1e-5],
    "signed scales": [-1e300, 1e-300, -1e-300, 5e-324],
    "smallest": [5e-324, 1e-323, 0.0],
    "neighbours": [1.0, np.nextafter(1, 2), np.nextafter(1, 0)],
    "one row": [3.0],
    "one value": [np.nan, 2.0, np.nan],
}


@pytest.mark.parametrize("repeats", [1, 30])
@pytest.mark.parametrize("name", EXTREME)
def test_extreme_values_stay_finite_without_a_warning(name, repeats):
    frame = pd.DataFrame({"a": EXTREME[name] * repeats})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = TableEncoder(["a"], [], blocks=BLOCKS).fit(frame, np.arange(len(frame)) % 2)
        odd = pd.DataFrame({"a": [1.7e308, -1.7e308, 0.0, np.nan, 5e-324]})
        for rows in (frame, odd):
            assert encoder.encode(rows).isfinite().all()
            assert encoder.encode(rows).abs().max() <= 10


def test_the_columns_that_smote_may_interpolate(frame, labels):
    expected = {("standard",): 4, ("log", "standard"): 4, ("robust", "bins", "standard"): 8, ("log", "bins"): 4}
    expected |= {("bins",): 0, ("quantile",): 4, ("log", "quantile"): 4}
    for blocks, number in expected.items():
        assert TableEncoder(list(frame.columns), [], blocks=blocks).num_numeric == number, blocks


@pytest.mark.parametrize("blocks", [("standard", "robust"), ("log",), ("quantile",)])
def test_an_interpolated_row_is_the_encoding_of_a_row(blocks):
    frame = pd.DataFrame({"a": np.random.default_rng(0).exponential(1, 2000)})
    encoder = TableEncoder(["a"], [], blocks=blocks).fit(frame)
    grid = encoder.encode(pd.DataFrame({"a": np.linspace(frame["a"].min(), 4, 20_001)}))
    one, other = encoder.encode(pd.DataFrame({"a": [0.3, 3.5]}))
    middle = torch.lerp(one, other, 0.4)[: encoder.num_numeric]
    assert len(middle) == grid.shape[1]
    assert torch.cdist(middle[None], grid).min() < 2e-3


def test_bad_arguments(frame, labels):
    with pytest.raises(ValueError, match="Did you mean 'bins'"):
        TableEncoder(["a"], [], blocks=["bin"])
    for blocks in ([], ["log", "log"], "log"):
        with pytest.raises(ValueError, match="`blocks` must name different blocks"):
            TableEncoder(["a"], [], blocks=blocks)
    with pytest.raises(ValueError, match="`num_bins` must be >= 2"):
        TableEncoder(["a"], [], num_bins=1)
    with pytest.raises(ValueError, match="learns its edges from the labels"):
        TableEncoder(["normal"], [], blocks=["bins"]).fit(frame)
    with pytest.raises(ValueError, match=r"`labels` must have shape \(3000,\), got \(2999,\)"):
        TableEncoder(["normal"], [], blocks=["bins"]).fit(frame, labels[1:])


def test_fitting_leaves_the_table_and_the_global_generators_alone(frame, labels):
    states, copy = (np.random.get_state()[1].copy(), torch.get_rng_state()), frame.copy()
    one = TableEncoder(list(frame.columns), [], blocks=BLOCKS).fit(frame, labels)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    np.random.random(5)
    other = TableEncoder(list(frame.columns), [], blocks=BLOCKS).fit(frame, labels)
    for a, b in itertools.zip_longest(one.buffers(), other.buffers()):
        assert torch.equal(a, b)
    pd.testing.assert_frame_equal(frame, copy)
