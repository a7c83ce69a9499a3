"""Containers: polars beside pandas, NumPy and tensors; what is refused, and that nothing of the caller changes."""

import datetime
import inspect
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from imbalance_torch import resampling
from imbalance_torch.resampling import MLSMOTE, SMOTE, BatchOversampler, RandomUnderSampler, smote_from_plan
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._over import OverSampler

RARE = np.repeat([False, True], [45, 15])
DRAWS = np.random.default_rng(0)
TABLE = pl.DataFrame(
    {
        "count": DRAWS.integers(-50, 100, 60).astype(np.int8),
        "big": DRAWS.integers(0, 9, 60) + 2**53 + 1,
        "narrow": DRAWS.normal(size=60).astype(np.float32),
        "flag": DRAWS.random(60) > 0.5,
        "wide": DRAWS.normal(size=60),
        "small": DRAWS.integers(0, 9, 60).astype(np.uint16),
    }
)
LABELS = pl.Series("kind", np.where(RARE, "rare", "usual"))

OVER = [
    thing
    for name in resampling.__all__
    if inspect.isclass(thing := getattr(resampling, name))
    and issubclass(thing, OverSampler)
    and all(p.default is not p.empty for p in inspect.signature(thing).parameters.values())
]
OTHER = [  # MLSMOTE takes a matrix of labels
    thing
    for name in resampling.__all__
    if hasattr(thing := getattr(resampling, name), "fit_resample") and not issubclass(thing, OverSampler | MLSMOTE)
]
oversamplers = pytest.mark.parametrize("oversampler", OVER)


def test_there_is_something_to_check():
    assert SMOTE in OVER
    assert RandomUnderSampler in OTHER


@oversamplers
@pytest.mark.filterwarnings("ignore:Column .* times as wide:UserWarning")
def test_a_polars_frame_comes_back_as_one_with_the_rows_of_a_pandas_frame(oversampler):
    table, labels = TABLE.drop("big"), LABELS
    X, y = oversampler(random_state=0).fit_resample(table, labels)
    X_pd, y_pd = oversampler(random_state=0).fit_resample(table.to_pandas(), labels.to_pandas())
    assert (type(X), type(y)) == (pl.DataFrame, pl.Series)
    assert (X.schema, y.dtype, y.name) == (table.schema, pl.String, "kind")
    assert X.head(60).equals(table)
    assert y.head(60).equals(labels)
    assert y.value_counts()["count"].to_list() == [45, 45]
    pd.testing.assert_frame_equal(X.to_pandas(), X_pd)
    assert y.to_list() == y_pd.tolist()


@pytest.mark.parametrize("sampler", OTHER)
@pytest.mark.filterwarnings("ignore:Column .* times as wide:UserWarning")
def test_under_samplers_and_combinations_give_polars_back(sampler):
    table = TABLE.drop("big")
    seed = {"random_state": 0} if "random_state" in inspect.signature(sampler).parameters else {}
    X, y = sampler(**seed).fit_resample(table, LABELS)
    X_pd, y_pd = sampler(**seed).fit_resample(table.to_pandas(), LABELS.to_pandas())
    assert (type(X), type(y)) == (pl.DataFrame, pl.Series)
    assert (X.schema, y.dtype, y.name) == (table.schema, pl.String, "kind")
    pd.testing.assert_frame_equal(X.to_pandas(), X_pd.reset_index(drop=True))
    assert y.to_list() == y_pd.tolist()


def test_random_under_sampling_of_any_polars_columns():
    table = TABLE.with_columns(word=pl.lit("a"), day=pl.lit(datetime.date(2020, 1, 1)), none=pl.lit(None))
    sampler = RandomUnderSampler(random_state=0)
    X, y = sampler.fit_resample(table, LABELS)
    assert X.equals(table[sampler.sample_indices_])
    assert y.value_counts()["count"].to_list() == [15, 15]


def test_originals_that_float64_cannot_hold_stay_as_they_are():
    odd = TABLE.select("big")
    assert (odd["big"] != odd["big"].cast(pl.Float64).cast(pl.Int64)).any()
    for table in (odd, odd.to_pandas()):
        X, _ = SMOTE(random_state=0).fit_resample(table, LABELS)
        assert X[:60].equals(table)
        assert len(X) == 90


def test_whole_number_columns_are_rounded_and_the_others_are_not():
    table = TABLE.drop("big")
    X = SMOTE(random_state=0).fit(table, LABELS).sample(30).X
    plain = SMOTE(random_state=0).fit(table.cast(pl.Float64).to_numpy(), LABELS).sample(30).X
    for j, name in enumerate(table.columns):
        column = plain[:, j] if name in ("narrow", "wide") else np.rint(plain[:, j])
        assert np.array_equal(X[name].to_numpy().astype(float), column.astype(X[name].to_numpy().dtype).astype(float))
    assert not np.array_equal(plain, np.rint(plain))


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int16, pl.UInt32, pl.Int64, pl.UInt64], ids=str)
@pytest.mark.parametrize("kind", ["polars", "numpy", "nullable"])
def test_whole_numbers_beyond_the_dtype_end_at_its_limits(dtype, kind):
    limits = pl.select(low=dtype.min(), high=dtype.max())
    like = containers.template(limits if kind == "polars" else limits.to_pandas())
    if kind == "nullable":
        like = like.convert_dtypes()
    ends = limits.to_numpy().astype(float) if dtype != pl.UInt64 else np.array([[0.0, 2.0**64]])
    new = containers.rows_as(like, torch.from_numpy(ends + [[-0.4, 0.4]] + ends * 0.2))
    assert list(new.dtypes) == list(like.dtypes)
    low, high = (
        int(column.to_numpy(dtype=object)[0] if kind != "polars" else column[0]) for column in (new["low"], new["high"])
    )
    assert low == limits["low"][0]
    assert limits["high"][0] * (1 - 1e-12) <= high <= limits["high"][0]


def test_128_bits_are_too_many():
    with pytest.raises(TypeError, match=r"other columns: \['count'\]"):
        SMOTE().fit_resample(TABLE.with_columns(pl.col("count").cast(pl.Int128)), LABELS)


def test_float32_columns_alone_are_read_as_float32():
    narrow = TABLE.select("narrow", pl.col("wide").cast(pl.Float32))
    assert containers.features(narrow).dtype == torch.float32
    assert containers.features(narrow.with_columns(TABLE["count"])).dtype == torch.float64
    assert containers.features(TABLE).dtype == torch.float64
    assert containers.features(narrow.to_pandas().astype("Float32")).dtype == torch.float32


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        (pl.String, ["no", "yes"]),
        (pl.Categorical, ["no", "yes"]),
        (pl.Enum(["z", "yes", "no"]), ["no", "yes"]),
        (pl.Boolean, [False, True]),
        (pl.Int8, [-1, 3]),
        (pl.UInt64, [2**63 + 5, 1]),
        (pl.Float32, [0.1, 1.5]),
        (pl.Date, [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]),
        (pl.Binary, [b"no", b"yes"]),
    ],
    ids=str,
)
def test_labels_of_every_kind(dtype, names):
    y = pl.Series("kind", [names[rare] for rare in RARE.astype(int)], dtype=dtype)
    before = y.clone()
    _, y_res = SMOTE(random_state=0).fit_resample(TABLE, y)
    assert (y_res.dtype, y_res.name, len(y_res)) == (y.dtype, "kind", 90)
    assert y_res.head(60).equals(y)
    assert y_res.tail(30).to_list() == [y[-1]] * 30
    assert y.equals(before)
    assert len(y) == 60


def test_frames_and_other_labels_mix():
    for y in (RARE, RARE.tolist(), pd.Series(RARE), torch.from_numpy(RARE), LABELS):
        X_res, y_res = SMOTE(random_state=0).fit_resample(TABLE, y)
        assert type(X_res) is pl.DataFrame
        assert type(y_res) is (np.ndarray if isinstance(y, list) else type(y))
    X_res, y_res = SMOTE(random_state=0).fit_resample(containers.features(TABLE), LABELS)
    assert (type(X_res), type(y_res)) == (torch.Tensor, pl.Series)


def test_sample_and_provenance_of_a_polars_frame():
    fitted = SMOTE(random_state=0).fit(TABLE, LABELS)
    drawn = fitted.sample(4)
    assert (type(drawn.X), type(drawn.y)) == (pl.DataFrame, pl.Series)
    assert all(type(part) is np.ndarray for part in drawn[2:])
    assert RARE[drawn.base_index].all()
    nothing = fitted.sample(0)
    assert (nothing.X.schema, len(nothing.X), nothing.y.dtype, len(nothing.y)) == (TABLE.schema, 0, pl.String, 0)
    with pytest.raises(TypeError, match="DataFrame"):
        SMOTE().fit_resample(TABLE, LABELS, out=np.empty((90, 6)))


def test_a_plan_over_a_polars_frame():
    X = pl.DataFrame({"a": [0, 10], "b": [0.0, 1.0]})
    new = smote_from_plan(X, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.26], dtype=torch.float64))
    assert new.rows() == [(3, 0.26)]


def test_the_batch_over_sampler_reads_polars():
    fitted = BatchOversampler(SMOTE(random_state=0), columns=[4]).fit(TABLE, RARE.astype(int))
    X, y = fitted(torch.zeros(20, 6, dtype=torch.float64), torch.zeros(20, dtype=torch.int64))
    assert y.sum() == 5
    assert X.shape == (25, 6)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (TABLE.lazy(), TypeError, r"Collect it first: `X.collect\(\)`"),
        (TABLE["wide"], ValueError, r"shape \(N, d\) with d >= 1, got \(60,\)"),
        (TABLE["wide"].to_pandas(), ValueError, r"shape \(N, d\) with d >= 1, got \(60,\)"),
        (TABLE.with_columns(word=pl.lit("a"), day=pl.lit(datetime.date(2020, 1, 1))), TypeError, r"\['word', 'day'\]"),
        (TABLE.with_columns(pl.when("flag").then("count").alias("count")), ValueError, r"1 of 6 columns: 'count' \("),
        (TABLE.with_columns(pl.when(pl.Series(RARE)).then("flag").alias("flag")), ValueError, r"'flag' \(45 values\)"),
        (TABLE.with_columns(wide=pl.lit(float("inf"))), ValueError, r"'wide' \(60 values\)"),
        (TABLE.select([]), ValueError, "d >= 1"),
    ],
)
def test_bad_features_are_refused_by_name(X, error, words):
    with pytest.raises(error, match=words):
        SMOTE().fit_resample(X, RARE)


@pytest.mark.parametrize(
    "y",
    [
        pl.Series([None, "a"] * 30),
        pl.Series([None, 1] * 30),
        pl.Series([float("nan"), 1.0] * 30),
        pd.Series([None, "a"] * 30),
        pd.Series([None, "a"] * 30, dtype="category"),
        pd.Series([None, True] * 30, dtype="boolean"),
    ],
    ids=lambda y: f"{type(y).__module__.partition('.')[0]}-{y.dtype}",
)
def test_missing_labels_are_refused(y):
    with pytest.raises(ValueError, match="Drop the rows without a label"):
        SMOTE().fit_resample(TABLE, y)


@pytest.mark.parametrize("y", [TABLE, TABLE.lazy(), TABLE.select("count"), TABLE.select("count").to_pandas()])
def test_a_frame_is_no_label_vector(y):
    with pytest.raises(ValueError, match=r"`y` must have shape \(N,\)"):
        SMOTE().fit_resample(TABLE, y)


def test_columns_may_be_called_like_a_method():
    table = TABLE.select(pl.col("wide").alias("collect"), pl.col("narrow").alias("iloc"))
    assert SMOTE(random_state=0).fit_resample(table, LABELS)[0].columns == ["collect", "iloc"]
    frame = table.to_pandas().rename(columns={"collect": "gather_every", "iloc": "to_frame"})
    assert list(SMOTE(random_state=0).fit_resample(frame, LABELS)[0]) == ["gather_every", "to_frame"]
    series = pd.Series(RARE, index=["columns", *range(59)])
    assert len(SMOTE(random_state=0).fit_resample(table, series)[1]) == 90


def test_polars_is_not_imported_without_a_polars_object():
    code = (
        "import sys, numpy as np\nfrom imbalance_torch.resampling import SMOTE\n"
        "SMOTE(k_neighbors=1).fit_resample(np.arange(6.0)[:, None], [0, 0, 0, 0, 1, 1])\n"
        "assert not {'polars', 'pandas'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
