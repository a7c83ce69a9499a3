"""TableEncoder: against scikit-learn on the training rows, and what unseen rows may bring."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from imbalance_torch.data import TableEncoder, iterate_table, read_table, write_table
from imbalance_torch.resampling import SMOTE, BatchOversampler


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    rows = 400
    return pd.DataFrame(
        {
            "a": rng.normal(100, 5, rows),
            "b": np.where(rng.random(rows) < 0.2, np.nan, rng.exponential(2, rows)),
            "i": rng.integers(-5, 6, rows),
            "c": rng.choice(["x", "y", "z"], rows, p=[0.6, 0.3, 0.1]),
            "d": np.where(rng.random(rows) < 0.3, None, rng.choice(["u", "v"], rows)),
            "f": rng.random(rows) < 0.2,
        }
    )


def fitted(frame):
    return TableEncoder(["a", "b", "i"], ["c", "d", "f"]).fit(frame)


def test_layout(frame):
    encoder = fitted(frame)
    encoded = encoder.encode(frame)
    assert (encoder.num_numeric, encoder.num_dense, encoder.cardinalities) == (3, 4, [4, 4, 3])
    assert encoded.shape == (400, 7)
    assert encoded.dtype == torch.float32
    assert torch.equal(encoded[:, 3], torch.tensor(frame["b"].isna().to_numpy(), dtype=torch.float32))
    for column, (name, size) in enumerate(zip("cdf", encoder.cardinalities, strict=True), start=4):
        codes = encoded[:, column].long()
        assert codes.min() >= 1
        assert codes.max() == size - 1
        decoded = [encoder.categories[name][code - 1] for code in codes]
        assert decoded == [None if pd.isna(value) else str(value) for value in frame[name]]


def test_numbers_equal_scikit_learn_on_imputed_data(frame):
    numbers = frame[["a", "b", "i"]].to_numpy(dtype=float)
    expected = StandardScaler().fit_transform(SimpleImputer(strategy="median").fit_transform(numbers))
    np.testing.assert_allclose(fitted(frame).encode(frame)[:, :3].numpy(), expected, rtol=1e-6, atol=1e-6)


def test_only_the_training_rows_are_learnt_from(frame):
    train = frame.iloc[:200]
    changed = frame.copy()
    changed.loc[200:, ["a", "b"]] = 1e6
    changed.loc[200:, "c"] = "new"
    for one, other in zip(
        fitted(train).state_dict().values(), fitted(changed.iloc[:200]).state_dict().values(), strict=True
    ):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    numbers = SimpleImputer(strategy="median").fit(train[["b"]])
    scaler = StandardScaler().fit(numbers.transform(train[["b"]]))
    inside = frame["b"].fillna(numbers.statistics_[0]).between(train["b"].min(), train["b"].max()).to_numpy()
    expected = scaler.transform(numbers.transform(frame[["b"]]))[inside, 0]
    np.testing.assert_allclose(fitted(train).encode(frame)[:, 1].numpy()[inside], expected, rtol=1e-5, atol=1e-6)


def test_values_outside_the_training_range_are_clipped():
    encoder = TableEncoder(["a"], []).fit(pd.DataFrame({"a": [0.0, 1.0, 2.0]}))
    outside = encoder.encode(pd.DataFrame({"a": [-1.0, -1e9, 3.0, 1e9]}))[:, 0]
    sd = np.std([0, 1, 2])
    np.testing.assert_allclose(outside.numpy(), np.array([-2, -2, 2, 2]) / sd, rtol=1e-6)
    spike = TableEncoder(["a"], []).fit(pd.DataFrame({"a": [0.0] * 999 + [1.0]}))
    assert spike.encode(pd.DataFrame({"a": [1.0]})).item() == 10


def test_new_missing_values_take_the_median_and_no_indicator(frame):
    encoder = fitted(frame)
    row = frame.iloc[[0]].assign(a=np.nan, d=None, c=None)
    encoded = encoder.encode(row)[0]
    assert encoded[0] == pytest.approx((frame["a"].median() - frame["a"].mean()) / frame["a"].std(ddof=0), abs=1e-6)
    assert encoded[4] == 0  # no row of the training part lacked `c`
    assert encoder.categories["d"][int(encoded[5]) - 1] is None  # some lacked `d`


def test_unseen_and_rare_categories_share_code_zero():
    frame = pd.DataFrame({"c": ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["d"]})
    encoder = TableEncoder([], ["c"], max_categories=2).fit(frame)
    assert encoder.cardinalities == [3]
    assert encoder.encode(frame)[:, 0].tolist() == [1.0] * 5 + [2.0] * 3 + [0.0] * 3
    assert encoder.encode(pd.DataFrame({"c": ["never", None, "b"]}))[:, 0].tolist() == [0, 0, 2]


def test_columns_in_another_order_and_extra_ones(frame):
    encoder = fitted(frame)
    shuffled = frame.assign(extra="?")[["extra", "f", "d", "i", "c", "b", "a"]]
    assert torch.equal(encoder.encode(shuffled), encoder.encode(frame))


def test_another_index_changes_nothing(frame):
    encoder = fitted(frame)
    odd = frame.set_index(np.arange(400)[::-1] * 7)
    assert torch.equal(encoder.encode(odd), encoder.encode(frame))
    assert torch.equal(fitted(odd).encode(frame), encoder.encode(frame))
    assert torch.equal(encoder.encode(frame.iloc[::3]), encoder.encode(frame)[::3])


def test_missing_columns_are_named(frame):
    with pytest.raises(ValueError, match=r"lacks the column\(s\) 'b', 'f'"):
        fitted(frame).encode(frame.drop(columns=["b", "f"]))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) 'a'"):
        fitted(frame.drop(columns="a"))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_name_column_and_row(frame, value):
    encoder = fitted(frame)
    frame.loc[17, "b"] = value
    with pytest.raises(ValueError, match=r"Column 'b' has an infinite value \(first: row 17\)"):
        encoder.encode(frame)
    with pytest.raises(ValueError, match=r"Column 'b' has an infinite value \(first: row 17\)"):
        fitted(frame.iloc[10:])


def test_text_in_a_numeric_column_is_named(frame):
    encoder = fitted(frame)
    with pytest.raises(ValueError, match=r"Column 'a' must be numeric, got .*'much'"):
        encoder.encode(frame.assign(a="much"))
    assert torch.equal(encoder.encode(frame.assign(i=frame["i"].astype(str))), encoder.encode(frame))


def test_nothing_to_fit_on(frame):
    with pytest.raises(ValueError, match="no rows to fit"):
        fitted(frame.iloc[:0])
    with pytest.raises(ValueError, match="Column 'b' has no value in the training rows"):
        fitted(frame.assign(b=np.nan))
    with pytest.raises(ValueError, match="`max_categories` must be >= 1"):
        TableEncoder([], ["c"], max_categories=0)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e300, -1e-300, 123456789.123])
def test_a_constant_column_is_zero(value):
    encoder = TableEncoder(["a"], []).fit(pd.DataFrame({"a": [value] * 1001}))
    assert encoder.encode(pd.DataFrame({"a": [value, np.nan, 5.0]})).tolist() == [[0.0], [0.0], [0.0]]


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, 1e307])
def test_any_scale_is_standardised_alike(scale):
    values = np.random.default_rng(0).uniform(-1, 1, 500)
    plain = TableEncoder(["a"], []).fit(pd.DataFrame({"a": values})).encode(pd.DataFrame({"a": values}))
    frame = pd.DataFrame({"a": values * scale})
    encoder = TableEncoder(["a"], [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded = encoder.fit(frame).encode(frame)
    torch.testing.assert_close(encoded, plain, rtol=1e-5, atol=1e-5)


def test_the_largest_doubles_stay_finite():
    frame = pd.DataFrame({"a": [1.7e308, -1.7e308, 0.0]})
    assert TableEncoder(["a"], []).fit(frame).encode(frame)[:, 0].sign().tolist() == [1, -1, 0]


def test_huge_identifiers_do_not_fail():
    frame = pd.DataFrame({"a": np.array([2**53 + 1, 2**62, -(2**62)], dtype=np.int64)})
    encoded = TableEncoder(["a"], []).fit(frame).encode(frame)
    assert encoded.isfinite().all()
    assert encoded[2] < encoded[0] < encoded[1]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, 3], "Int64"),
        ([1.0, None, 3.0], "Float64"),
        ([1, None, 3], object),
        (["1", None, "3"], "string"),
        ([1.0, np.nan, 3.0], "float32"),
    ],
)
def test_every_kind_of_number(values, dtype):
    frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    sd = np.std([1, 2, 3])
    expected = [[-1 / sd, 0], [0, 1], [1 / sd, 0]]
    np.testing.assert_allclose(TableEncoder(["a"], []).fit(frame).encode(frame), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([True, False, None, True], object),
        ([True, False, None, True], "boolean"),
        (["True", "False", None, "True"], "category"),
        (["True", "False", None, "True"], "string"),
        (["True", "False", None, "True"], object),
    ],
)
def test_every_kind_of_category(values, dtype):
    encoder = TableEncoder([], ["c"]).fit(pd.DataFrame({"c": [True, True, False, None]}))
    assert encoder.categories == {"c": ["True", "False", None]}
    assert encoder.encode(pd.DataFrame({"c": pd.Series(values, dtype=dtype)}))[:, 0].tolist() == [1, 2, 3, 1]


def test_unused_categories_of_a_category_column_get_no_code():
    frame = pd.DataFrame({"c": pd.Categorical(["a", "b", "b"], categories=["z", "a", "b"])})
    assert TableEncoder([], ["c"]).fit(frame).categories == {"c": ["b", "a"]}


def test_values_of_the_same_text_are_one_category():
    frame = pd.DataFrame({"c": pd.Series([1, "1", "x", 1], dtype=object)})
    encoder = TableEncoder([], ["c"]).fit(frame)
    assert encoder.categories == {"c": ["1", "x"]}
    assert encoder.encode(frame)[:, 0].tolist() == [1, 1, 2, 1]


def test_zero_rows_and_zero_columns(frame):
    assert fitted(frame).encode(frame.iloc[:0]).shape == (0, 7)
    assert TableEncoder(["a"], []).fit(frame).encode(frame).shape == (400, 1)
    assert TableEncoder([], ["c"]).fit(frame).encode(frame).shape == (400, 1)


def test_a_hundred_thousand_categories():
    frame = pd.DataFrame({"c": [f"v{i}" for i in range(100_000)]})
    encoder = TableEncoder([], ["c"], max_categories=200_000).fit(frame)
    assert encoder.encode(frame)[:, 0].tolist() == list(range(1, 100_001))
    assert TableEncoder([], ["c"]).fit(frame).cardinalities == [255]


def test_state_round_trip(frame):
    encoder = fitted(frame)
    record = json.loads(json.dumps(encoder.get_extra_state()))
    again = TableEncoder([], [])
    again.set_extra_state(record)
    for name, value in encoder.named_buffers():
        again.register_buffer(name, value.clone())
    assert torch.equal(again.encode(frame), encoder.encode(frame))
    assert (again.num_dense, again.cardinalities) == (encoder.num_dense, encoder.cardinalities)
    loaded = TableEncoder(["a", "b", "i"], ["c", "d", "f"])
    loaded.load_state_dict(encoder.state_dict())
    assert torch.equal(loaded.encode(frame), encoder.encode(frame))


def test_a_file_read_in_chunks_gives_the_same_rows(tmp_path, frame):
    write_table([frame], tmp_path / "t.csv")
    whole = read_table(tmp_path / "t.csv")
    encoder = fitted(whole)
    chunks = iterate_table(tmp_path / "t.csv", numbers=encoder.numeric, text=["c", "d"], booleans=["f"], chunk_rows=33)
    assert torch.equal(torch.cat([encoder.encode(chunk) for chunk in chunks]), encoder.encode(whole))
    assert torch.equal(encoder.encode(whole), fitted(frame).encode(frame))


def test_forward_on_raw_tensors_of_any_device(frame, device):
    encoder = fitted(frame)
    expected = encoder.encode(frame)
    numbers = torch.tensor(frame[["a", "b", "i"]].to_numpy(dtype=float))
    encoder.to(device)
    encoded = encoder(numbers.to(device), expected[:, 4:].to(device))
    assert encoded.device.type == device.type
    torch.testing.assert_close(encoded.cpu(), expected, rtol=1e-6, atol=1e-6)
    assert encoder.encode(frame).device.type == device.type


EVERYTHING = {"boolean": ["f"], "datetime": ["w"], "blocks": ["standard", "robust", "log", "quantile", "bins"]}


@pytest.fixture
def everything(frame):
    """A table with every role, and an encoder with every block."""
    rng = np.random.default_rng(1)
    times = pd.Series(pd.date_range("2022-01-01", periods=400, freq="55h", tz="Europe/Berlin"))
    frame = frame.assign(
        f=pd.Series(frame["f"]).astype(object).where(rng.random(400) > 0.1, None), w=times.mask(rng.random(400) < 0.1)
    )
    encoder = TableEncoder(["a", "b", "i"], ["c", "d"], **EVERYTHING)
    return frame, encoder.fit(frame, (frame["a"] > 105).to_numpy())


def raw_tensors(encoder, frame):
    from imbalance_torch.data._columns import numbers, truth, wall_seconds

    columns = [numbers(frame[name]) for name in encoder.numeric] + [truth(frame[name]) for name in encoder.boolean]
    columns += [wall_seconds(frame[name], encoder.zones[name]) for name in encoder.datetime]
    stacked = np.stack(columns, axis=1) if columns else np.zeros((len(frame), 0))
    return torch.tensor(stacked), encoder.encode(frame)[:, encoder.num_dense :]


def test_the_layout_with_every_role(everything):
    frame, encoder = everything
    x = encoder.encode(frame)
    blocks = 12 + encoder.bins_low.numel()
    assert x.shape[1] == encoder.num_dense + 2 == blocks + 3 + 1 + 6 + 2
    gaps = frame[["b", "f", "w"]].isna().to_numpy()
    np.testing.assert_array_equal(x[:, blocks : blocks + 3], gaps)
    known = ~gaps[:, 1]
    np.testing.assert_array_equal(x[known, blocks + 3], frame["f"][known].astype(float))
    assert encoder.num_numeric == 6


def test_state_of_every_role_round_trips_through_files(everything, tmp_path):
    from safetensors.torch import load_file, save_file

    frame, encoder = everything
    save_file(dict(encoder.named_buffers()), tmp_path / "e.safetensors")
    record = json.loads(json.dumps(encoder.get_extra_state()))
    again = TableEncoder([], [])
    again.load_state_dict({**load_file(tmp_path / "e.safetensors"), "_extra_state": record})
    assert torch.equal(again.encode(frame), encoder.encode(frame))
    assert again.get_extra_state() == encoder.get_extra_state()
    refitted = again.fit(frame, (frame["a"] > 105).to_numpy())
    assert torch.equal(refitted.encode(frame), encoder.encode(frame))


def test_chunks_do_not_change_rows(everything, monkeypatch):
    frame, encoder = everything
    whole = encoder.encode(frame)
    monkeypatch.setattr("imbalance_torch.data._encoding._CHUNK", 37)
    assert torch.equal(encoder.encode(frame), whole)
    assert torch.equal(encoder.encode(frame.iloc[5:6]), whole[5:6])
    assert torch.equal(encoder.encode(frame.sample(frac=1, random_state=0)).sort(dim=0)[0], whole.sort(dim=0)[0])


def test_every_block_and_role_exports(everything):
    frame, encoder = everything
    numbers, codes = raw_tensors(encoder, frame)
    expected = encoder.encode(frame)
    assert torch.equal(encoder(numbers, codes), expected)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            encoder, (numbers[:4], codes[:4]), dynamic_shapes={"numbers": {0: batch}, "codes": {0: batch}}
        )
    assert torch.equal(program.module()(numbers, codes), expected)


NUMBERS, CATEGORIES = ["a", "b", "i", "y"], ["c", "d"]
EXPORTED = ["standard", "robust", "log", "bins"]
ONNX_CASES = {
    "every role": (NUMBERS, CATEGORIES, {**EVERYTHING, "blocks": EXPORTED}),
    "no categories": (NUMBERS, [], {"blocks": ["standard"]}),
    "no numbers": ([], CATEGORIES, {"datetime": ["w"]}),
    "categories alone": ([], CATEGORIES, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ONNX_CASES)
def test_onnx(everything, case):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    frame = pd.concat([everything[0]] * 3, ignore_index=True).iloc[:1000]
    frame["y"] = 2022.0 + np.arange(1000) % 3  # a small spread around a large number needs float64
    numeric, categorical, options = ONNX_CASES[case]
    encoder = TableEncoder(numeric, categorical, **options).fit(frame, (frame["a"] > 105).to_numpy())
    numbers, codes = raw_tensors(encoder, frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            encoder,
            (numbers[:4], codes[:4]),
            dynamo=True,
            dynamic_shapes={"numbers": {0: torch.export.Dim.DYNAMIC}, "codes": {0: torch.export.Dim.DYNAMIC}},
            verbose=False,
        )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    for rows in (numbers, numbers[:1], numbers * 2, torch.full_like(numbers, torch.nan)):
        feeds = {"numbers": rows.numpy(), "codes": codes[: len(rows)].numpy()}
        (result,) = session.run(None, feeds)
        np.testing.assert_allclose(result, encoder(rows, codes[: len(rows)]), rtol=0, atol=1e-6)


def test_rare_values_share_the_bucket_of_unseen_ones():
    frame = pd.DataFrame({"c": ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + [None]})
    encoder = TableEncoder([], ["c"], min_category_rows=3).fit(frame)
    assert encoder.encode(frame)[:, 0].tolist() == [1.0] * 5 + [2.0] * 3 + [0.0] * 3


def test_a_column_with_two_roles_and_an_encoder_that_is_not_fitted(frame):
    with pytest.raises(ValueError, match="Column 'a' has two roles"):
        TableEncoder(["a"], [], boolean=["a"])
    for encoder in (TableEncoder(["a"], []), TableEncoder([], ["c"])):
        with pytest.raises(RuntimeError, match="not fitted"):
            encoder.encode(frame)


@pytest.mark.parametrize(
    "fitted", [[1, 2, 2, 7], [1.0, 2.0, 2.0, None], ["1.0", "2.0", "2.0", "7"], ["1", "2", "2", "7"]]
)
@pytest.mark.parametrize("seen", [[1, 2], [1.0, 2.0], ["1", "2"], ["1.0", "2.0"], np.array([1, 2], dtype=np.float32)])
def test_whole_numbers_are_one_category_whatever_they_are_written_as(fitted, seen):
    encoder = TableEncoder([], ["k"]).fit(pd.DataFrame({"k": fitted}))
    assert encoder.encode(pd.DataFrame({"k": seen})).flatten().tolist() == [2, 1]
    assert encoder.encode(pd.DataFrame({"k": ["007", "1.5"]})).flatten().tolist() == [0, 0]


ODD = {
    "pareto": lambda rng: rng.pareto(0.5, 2000),
    "lognormal": lambda rng: rng.lognormal(0, 4, 2000),
    "zeros": lambda rng: np.where(rng.random(2000) < 0.6, 0.0, rng.exponential(1, 2000)),
    "integers": lambda rng: rng.integers(0, 5, 2000).astype(float),
    "huge": lambda rng: np.where(rng.random(2000) < 0.002, 1e300, rng.normal(size=2000)),
    "constant": lambda rng: np.full(2000, 3.0),
    "signed": lambda rng: rng.standard_cauchy(2000),
}


@pytest.mark.parametrize("column", ODD)
@pytest.mark.parametrize("lead", ["standard", "robust"])
def test_blocks_of_rows_that_did_not_move_stay(column, lead):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": ODD[column](rng), "z": rng.normal(size=2000)})
    encoder = TableEncoder(["x", "z"], [], blocks=(lead, "log", "quantile", "bins")).fit(table, rng.random(2000) < 0.1)
    encoded = encoder.encode(table)
    assert torch.equal(encoder.rebuild(encoded, encoded), encoded)


@pytest.mark.parametrize("column", ["pareto", "lognormal", "zeros", "signed", "huge"])
@pytest.mark.parametrize("lead", ["standard", "robust"])
def test_rebuilt_blocks_lie_between_those_of_the_two_rows(column, lead):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": ODD[column](rng)})
    encoder = TableEncoder(["x"], [], blocks=(lead, "log", "bins")).fit(table, rng.random(2000) < 0.1)
    base = encoder.encode(table)
    other, gap = base[rng.permutation(2000)], torch.from_numpy(rng.random((2000, 1))).float()
    mixed = base.clone()
    mixed[:, :1] += gap * (other[:, :1] - base[:, :1])
    rebuilt = encoder.rebuild(mixed, base)
    low, high = torch.minimum(base, other), torch.maximum(base, other)
    assert ((rebuilt >= low - 2e-3) & (rebuilt <= high + 2e-3)).all()


WHOLE = {
    "month": lambda rng: rng.integers(1, 13, 2000),
    "signed": lambda rng: rng.integers(-4, 5, 2000),
    "flag": lambda rng: rng.integers(0, 2, 2000),
    "minutes": lambda rng: rng.integers(0, 1440, 2000),
    "tail": lambda rng: np.floor(rng.pareto(1.0, 2000)),
    "text": lambda rng: rng.integers(0, 9, 2000).astype(str),
}


@pytest.mark.parametrize("column", WHOLE)
@pytest.mark.parametrize(
    "blocks", [("standard",), ("standard", "log", "bins"), ("robust", "quantile"), ("standard", "robust")]
)
def test_a_column_of_whole_numbers_keeps_to_them(column, blocks):
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"x": WHOLE[column](rng), "half": rng.integers(0, 9, 2000) + 0.5})
    encoder = TableEncoder(["x", "half"], [], blocks=blocks).fit(table, rng.random(2000) < 0.1)
    base, order = encoder.encode(table), rng.permutation(2000)
    gap, width = torch.from_numpy(rng.random((2000, 1))).float(), encoder.num_numeric
    mixed = base.clone()
    mixed[:, :width] += gap * (base[order, :width] - base[:, :width])
    rebuilt = encoder.rebuild(mixed, base)
    real = encoder.encode(pd.DataFrame({"x": np.arange(-4, table["x"].astype(float).max() + 1), "half": 0.5}))
    known = {tuple(row) for row in real[:, _columns_of(encoder, 0)].tolist()}
    assert {tuple(row) for row in rebuilt[:, _columns_of(encoder, 0)].tolist()} <= known
    lead, ends = rebuilt[:, 0], torch.stack([base[:, 0], base[order, 0]])
    assert ((lead >= ends.amin(0)) & (lead <= ends.amax(0))).all()
    assert (lead != base[:, 0]).sum() > 200
    torch.testing.assert_close(rebuilt[:, 1], mixed[:, 1], atol=1e-3, rtol=0)


def _columns_of(encoder, position):
    """Return which columns of the numeric blocks are those of one numeric column."""
    owner = [encoder.bins_column if block == "bins" else torch.arange(len(encoder.numeric)) for block in encoder.blocks]
    return torch.nonzero(torch.cat(owner) == position)[:, 0]


def test_a_value_that_the_base_row_lacks_stays_lacking():
    rng = np.random.default_rng(4)
    values = np.where(rng.random((500, 2)) < [0.3, 0.0], np.nan, rng.normal(size=(500, 2)))
    table = pd.DataFrame(values, columns=["gaps", "z"])
    encoder = TableEncoder(["z", "gaps"], [], blocks=("standard", "log", "bins")).fit(table, rng.random(500) < 0.2)
    base = encoder.encode(table)
    mixed = base.clone()
    mixed[:, :2] = (base[:, :2] + base[rng.permutation(500), :2]) / 2
    rebuilt, lacking = encoder.rebuild(mixed, base), torch.from_numpy(np.isnan(values[:, 0]))
    own = _columns_of(encoder, 1)
    assert torch.equal(rebuilt[lacking][:, own], base[lacking][:, own])
    torch.testing.assert_close(rebuilt[~lacking, 1], mixed[~lacking, 1], atol=2e-3, rtol=0)
    torch.testing.assert_close(rebuilt[:, 0], mixed[:, 0], atol=2e-3, rtol=0)
    assert not torch.equal(mixed[lacking, 1], base[lacking, 1])


def test_an_older_state_has_no_columns_of_whole_numbers():
    table = pd.DataFrame({"x": np.arange(20), "y": np.arange(20) / 3})
    encoder = TableEncoder(["x", "y"], []).fit(table)
    assert encoder.whole.tolist() == [True, False]
    state = encoder.state_dict()
    again = TableEncoder([], [])
    again.load_state_dict(state)
    assert torch.equal(again.whole, encoder.whole)
    del state["whole"]
    again.load_state_dict(state)
    assert again.whole.tolist() == [False, False]
    x = encoder.encode(table)
    assert torch.equal(again.encode(table), x)
    between = (x + x.roll(1, 0)) / 2
    torch.testing.assert_close(again.rebuild(between, x), between)
    assert not torch.allclose(encoder.rebuild(between, x), between)


def test_new_rows_of_a_class_in_the_tail_stay_in_its_range():
    rng = np.random.default_rng(2)
    values = np.concatenate([np.exp(rng.normal(size=20_000)), rng.normal(1000, 100, 60)])
    labels = np.arange(len(values)) >= 20_000
    encoder = TableEncoder(["x"], [], blocks=("standard", "log", "bins")).fit(pd.DataFrame({"x": values}), labels)
    x = encoder.encode(pd.DataFrame({"x": values}))
    batch = BatchOversampler(SMOTE(random_state=0), columns=[0], finish=encoder.rebuild)
    with pytest.warns(UserWarning, match="equal their 5 nearest neighbours"):  # all of them at the limit of 10
        batch.fit(x, labels.astype(int))
    new = batch(x[-500:], torch.from_numpy(labels[-500:]).long())[0][500:]
    real = x[20_000:]
    assert len(new) > 20
    assert ((new >= real.min(0).values) & (new <= real.max(0).values)).all()
