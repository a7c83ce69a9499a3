"""One door for tables: every kind of source gives the same rows, in a stable order, in chunks as whole."""

import gzip
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch

from imbalance_torch.data import iterate_table, read_table, write_table
from imbalance_torch.data._sources import files_of, fingerprint
from imbalance_torch.data._tables import read_arrow

ROWS = 50
FRAME = pd.DataFrame(
    {
        "n": np.arange(ROWS) * 1.5,
        "k": np.arange(ROWS),
        "c": [("a", "b, c", "ü")[i % 3] for i in range(ROWS)],
        "f": np.arange(ROWS) % 2 == 0,
        "t": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
    }
)
TABLE = pa.Table.from_pandas(FRAME, preserve_index=False)


def csv_file(folder, name="t.csv"):
    FRAME.to_csv(folder / name, index=False)
    return folder / name


def packed(folder):
    path = folder / "t.csv.gz"
    path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    return path


def parquet(folder):
    pq.write_table(TABLE, folder / "t.parquet", row_group_size=7)
    return folder / "t.parquet"


def directory(folder, name="{:02}.parquet"):
    (folder / "sub").mkdir()
    for i in range(5):
        write = pq.write_table if name.endswith("parquet") else pyarrow.feather.write_feather
        write(TABLE.slice(10 * i, 10), folder / ("sub" if i == 4 else "") / name.format(i))
    (folder / "_SUCCESS").write_text("")
    (folder / "README.md").write_text("no table")
    (folder / ".hidden.parquet").write_text("no table")
    return folder


def new(folder, name):
    (folder / name).mkdir()
    return folder / name


def csv_directory(folder):
    for i in range(5):
        FRAME[10 * i : 10 * i + 10].to_csv(folder / f"{i}.csv", index=False)
    return folder


def stream(folder):
    with pa.OSFile(str(folder / "t.arrow"), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=11)
    return folder / "t.arrow"


def feather(folder):
    pyarrow.feather.write_feather(TABLE, folder / "t.feather", compression="zstd", chunksize=13)
    return folder / "t.feather"


def structured(folder):
    text = FRAME["c"].to_numpy(dtype="U")
    array = np.zeros(ROWS, [("n", "f8"), ("k", "i8"), ("c", text.dtype), ("f", "?"), ("t", "datetime64[us]")])
    for name in FRAME:
        array[name] = text if name == "c" else FRAME[name]
    return array


def npy(folder):
    np.save(folder / "t.npy", structured(folder))
    return folder / "t.npy"


def npz(folder):
    np.savez(folder / "t.npz", **{name: structured(folder)[name] for name in FRAME})
    return folder / "t.npz"


def polars(folder):
    return pytest.importorskip("polars").from_arrow(TABLE)


def lazy(folder):
    return polars(folder).lazy()


def hugging_face(folder):
    """Stand in for `datasets.Dataset`, which gives its rows, in the order of its indices, as an Arrow table."""

    return SimpleNamespace(with_format={"arrow": _Rows()}.__getitem__, data=TABLE.slice(0, 3))


class _Rows:
    def __getitem__(self, rows):
        assert rows == slice(None)
        return TABLE


class _Stream:
    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


SOURCES = {
    "csv": csv_file,
    "csv as text": lambda folder: str(csv_file(folder)),
    "csv.gz": packed,
    "parquet": parquet,
    "parquet directory": directory,
    "csv directory": csv_directory,
    "arrow directory": lambda folder: directory(folder, "{}.arrow"),
    "pattern": lambda folder: str(directory(folder) / "**" / "*.parquet"),
    "pattern of directories": lambda folder: str(directory(new(folder, "x1")).parent / "x*"),
    "arrow stream file": stream,
    "feather": feather,
    "npy": npy,
    "npz": npz,
    "structured array": structured,
    "pandas": lambda folder: FRAME,
    "arrow table": lambda folder: TABLE,
    "record batch": lambda folder: TABLE.to_batches()[0],
    "arrow stream": lambda folder: _Stream(),
    "dict": lambda folder: {"n": torch.tensor(FRAME["n"]), **{name: FRAME[name] for name in "kcft"}},
    "polars": polars,
    "polars lazy": lazy,
    "hugging face": hugging_face,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_table_whole_and_in_chunks(kind, tmp_path):
    source = SOURCES[kind](tmp_path)
    whole = read_table(source)
    pd.testing.assert_frame_equal(whole, FRAME, check_dtype=False)
    chunks = list(iterate_table(source, chunk_rows=8))
    assert max(map(len, chunks)) <= 8
    assert all(list(chunk.index) == list(range(len(chunk))) for chunk in chunks)
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), FRAME, check_dtype=False)
    some = pd.concat(iterate_table(source, columns=["c", "n", "absent"]), ignore_index=True)
    pd.testing.assert_frame_equal(some, FRAME[["n", "c"]], check_dtype=False)
    assert read_arrow(source).num_rows == ROWS


def test_a_data_frame_comes_back_as_it_is():
    assert read_table(FRAME) is FRAME


def test_arrays_and_their_names():
    array = np.arange(6.0).reshape(3, 2)
    assert read_table(array).to_dict("list") == {"x0": [0, 2, 4], "x1": [1, 3, 5]}
    assert list(read_table({"X": array, "y": [1, 2, 3]})) == ["X0", "X1", "y"]
    assert list(read_table(array.T[:, ::-1])) == ["x0", "x1", "x2"]
    assert read_table({"c": np.array([b"a", b"\xc3\xbc"])})["c"].tolist() == ["a", "ü"]


def test_partitions_become_columns_but_not_the_folders_above(tmp_path):
    root = tmp_path / "run=7"
    for year, card in ((2023, "a"), (2024, "b"), (2024, "__HIVE_DEFAULT_PARTITION__")):
        folder = root / f"year={year}" / f"card={card}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"v": [year, 1]}), folder / "part.parquet")
    for source in (root, str(root / "**/*.parquet"), str(root / "year=*")):
        table = read_table(source)
        assert list(table) == ["v", "year", "card"]
        assert table["year"].tolist() == [2023, 2023, 2024, 2024, 2024, 2024]
        assert table["v"].tolist() == [2023, 1, 2024, 1, 2024, 1]
        assert sorted(table["card"].dropna()) == ["a", "a", "b", "b"]
        chunks = pd.concat(iterate_table(source, chunk_rows=1), ignore_index=True)
        pd.testing.assert_frame_equal(chunks, table, check_dtype=False)
    assert list(pd.concat(iterate_table(root, columns=["card"]))) == ["card"]
    assert list(read_table(root / "year=2023" / "card=a" / "part.parquet")) == ["v"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_of_the_file_comes_before_the_name_of_its_folder(tmp_path, suffix):
    for folder, k in (("k=1", ["a"]), ("k=2", ["b"])):
        write_table([pd.DataFrame({"k": k, "v": [0.5]})], tmp_path / folder / f"t.{suffix}")
    for table in (read_table(tmp_path), pd.concat(iterate_table(tmp_path), ignore_index=True)):
        assert table.to_dict("list") == {"k": ["a", "b"], "v": [0.5, 0.5]}


def test_names_of_folders_are_integers_or_text(tmp_path):
    expected = {}
    for row, values in enumerate(("3000000000", "2"), start=1):
        names = {"big": values, "mixed": ("1", "b")[row - 1], "spaced": "a%20b", "sum": "a=b"}
        folder = "/".join(["plain", *(f"{name}={value}" for name, value in names.items())])
        write_table([pd.DataFrame({"row": [row]})], tmp_path / folder / "t.csv")
        for name, value in names.items():
            expected.setdefault(name, []).append(value)
    expected |= {"row": [2, 1], "big": [2, 3_000_000_000], "mixed": ["b", "1"], "spaced": ["a b", "a b"]}
    assert read_table(tmp_path).to_dict("list") == expected


@pytest.mark.parametrize("chosen", [{}, {"text": ["store"]}], ids=["inferred", "text"])
def test_names_of_folders_keep_their_digits(tmp_path, chosen):
    for store in ("007", "7", "__HIVE_DEFAULT_PARTITION__"):
        write_table([pd.DataFrame({"v": [1.5]})], tmp_path / f"store={store}" / "t.csv")
    for table in (read_table(tmp_path, **chosen), pd.concat(iterate_table(tmp_path, **chosen))):
        assert [None if pd.isna(store) else store for store in table["store"]] == ["007", "7", None]
    assert read_table(tmp_path, numbers=["store"])["store"].fillna(-1).tolist() == [7.0, 7.0, -1.0]
    seven = read_table(tmp_path / "store=[7_]*", **chosen)["store"]
    assert seven.fillna(-1).tolist() == [7, -1] if not chosen else seven.dropna().tolist() == ["7"]


def test_columns_are_named_in_a_list():
    with pytest.raises(TypeError, match=r"Columns are named in a list, got 'k'\. Write \['k'\]"):
        read_table(FRAME, text="k")


def test_relative_paths_and_the_order_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/k=2", "b/k=1", "a/k=3"):
        (tmp_path / "d" / name).mkdir(parents=True)
        write_table([pd.DataFrame({"v": [name]})], tmp_path / "d" / name / "t.csv")
    assert read_table("d")["v"].tolist() == ["a/k=3", "b/k=1", "b/k=2"]
    assert read_table("d")["k"].tolist() == [3, 1, 2]
    assert [file.as_posix() for file in files_of("d/b/**/*.csv")] == ["d/b/k=1/t.csv", "d/b/k=2/t.csv"]


def test_files_whose_types_widen_agree_whole_and_in_chunks(tmp_path):
    parts = [{"a": [1], "b": [None]}, {"a": [1.5], "b": ["x"]}, {"b": ["y"], "a": [2]}]
    for suffix in ("csv", "parquet"):
        folder = tmp_path / suffix
        folder.mkdir()
        for i, part in enumerate(parts):
            frame = pd.DataFrame(part)
            frame.to_csv(folder / f"{i}.csv", index=False) if suffix == "csv" else frame.to_parquet(
                folder / f"{i}.parquet"
            )
        whole = read_table(folder)
        assert whole["a"].tolist() == [1, 1.5, 2]
        assert whole["b"].tolist()[1:] == ["x", "y"]
        chunks = list(iterate_table(folder))
        assert {chunk["a"].dtype for chunk in chunks} == {np.dtype(float)}
        pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), whole, check_dtype=False)


READ = {"whole": read_table, "chunks": lambda source, **options: list(iterate_table(source, **options))}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_value_that_the_common_type_does_not_hold_names_its_column_and_file(tmp_path, read, suffix):
    for i, values in enumerate(([1.5, 2.0], [1, 2**53 + 1])):
        part = pa.table({"a": ["x", "y"], "k": values})
        path = tmp_path / f"{i}.{suffix}"
        pq.write_table(part, path) if suffix == "parquet" else pyarrow.feather.write_feather(part, path)
    with pytest.raises(ValueError, match=rf"Column 'k' of .*1\.{suffix} does not fit double.*as text") as caught:
        READ[read](tmp_path)
    assert type(caught.value) is ValueError
    assert list(pd.concat(iterate_table(tmp_path, columns=["a"]))["a"]) == ["x", "y"] * 2


def test_integers_of_a_csv_that_a_float_does_not_hold_are_text_or_rounded_as_asked(tmp_path):
    for i, value in enumerate((2**53 + 1, 2.5)):
        (tmp_path / f"{i}.csv").write_text(f"k\n{value}\n")
    for read in (read_table, lambda source, **options: pd.concat(iterate_table(source, **options))):
        with pytest.raises(ValueError, match=r"Column 'k' of .*0\.csv does not fit double.*in `text` or `numbers`"):
            read(tmp_path)
        assert read(tmp_path, text=["k"])["k"].tolist() == [str(2**53 + 1), "2.5"]
        assert read(tmp_path, numbers=["k"])["k"].tolist() == [2.0**53, 2.5]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("index", [None, [8, 9, 7]], ids=["Arrow", "pandas"])
def test_integers_beside_gaps_keep_their_digits(tmp_path, suffix, index):
    """As float64 the first two rows would be equal; small integers stay float64, the way of pandas."""
    values = {"i": [2**53 + 1, 2**53, None], "u": [2**64 - 1, None, 2**64 - 2], "small": [1, None, 3]}
    table = pa.table({"i": values["i"], "u": pa.array(values["u"], pa.uint64()), "small": values["small"]})
    if index:
        table = table.append_column("row", pa.array(index))
        table = table.replace_schema_metadata(pa.Table.from_pandas(pd.DataFrame({"row": index})).schema.metadata)
        stored = table.schema.pandas_metadata | {"index_columns": ["row"]}
        table = table.replace_schema_metadata({"pandas": json.dumps(stored)})
    path = tmp_path / f"t.{suffix}"
    pq.write_table(table, path) if suffix == "parquet" else pyarrow.feather.write_feather(table, path)
    for frame in (read_table(path), next(iterate_table(path)), read_table(table)):
        assert list(frame) == ["i", "u", "small"]
        for name in ("i", "u"):
            assert [None if pd.isna(value) else int(value) for value in frame[name]] == values[name]
        assert frame["small"].dtype == np.float64


@pytest.mark.parametrize(
    ("first", "second", "hint"),
    [
        ("2024-01-01", "2024-01-01 10:00:00", "--role t=datetime"),
        ("2024-01-01 10:00:00Z", "2024-01-01 10:00:00", "one time zone in all files, or without one"),
        ("2024-01-01", "7", "--role t=categorical"),
        ("2024-01-01", "10:00:00", "--role t=categorical"),
    ],
)
def test_the_hint_for_types_that_differ_is_one_that_works(tmp_path, first, second, hint):
    for i, value in enumerate((first, second)):
        (tmp_path / f"{i}.csv").write_text(f"x,t\n1,{value}\n")
    chosen = {"--role t=datetime": "datetimes", "--role t=categorical": "text"}.get(hint)
    for read in READ.values():
        with pytest.raises(ValueError, match=rf"Column 't' is .*0\.csv but .*1\.csv\. .*{hint}"):
            read(tmp_path)
        if chosen:
            read(tmp_path, **{chosen: ["t"]})


def test_a_file_of_na_alone_has_the_type_of_the_others(tmp_path):
    for country, amount in (("NA", "NA"), ("US", "2")):
        (tmp_path / f"{country}.csv").write_text(f"country,amount,none\n{country},{amount},NA\n")
    for table in (read_table(tmp_path), pd.concat(iterate_table(tmp_path), ignore_index=True)):
        assert table["country"].tolist() == ["NA", "US"]
        assert table["amount"].fillna(-1).tolist() == [-1, 2]
        assert table["none"].isna().all()


def test_categories_of_several_files_are_put_together(tmp_path):
    for i, values in enumerate((["a", "b"], ["c", "a"])):
        pd.DataFrame({"c": pd.Categorical(values)}).to_parquet(tmp_path / f"{i}.parquet")
    assert read_table(tmp_path)["c"].tolist() == ["a", "b", "c", "a"]


TYPED = {"n": "numbers", "z": "text", "b": "booleans", "d": "datetimes", "u": "datetimes"}


def test_nullable_types_widen_and_the_index_of_pandas_is_no_column(tmp_path):
    for i, values in enumerate((pd.array([1, None], "Int64"), pd.array([1.5, 2], "Float64"))):
        pd.DataFrame({"a": values}, index=[5, 7]).to_parquet(tmp_path / f"{i}.parquet")
    for table in (read_table(tmp_path), pd.concat(iterate_table(tmp_path), ignore_index=True)):
        assert list(table) == ["a"]
        assert table["a"].sum() == 4.5
        assert list(table.index) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_types_are_forced_in_files_of_any_kind(tmp_path, name):
    csv = b"n,z,b,d,u\n1,007,1,2024-01-01,2024-01-01T00:00:00Z\n,,0,2024-01-02 10:00:00.5,\n"
    (tmp_path / "t.csv").write_bytes(csv)
    text = read_table(tmp_path / "t.csv", text=list("nzbdu"))
    assert text["z"].tolist()[0] == "007"
    text.to_parquet(tmp_path / "t.parquet")
    options = {option: [column for column, own in TYPED.items() if own == option] for option in set(TYPED.values())}
    if name == "t.parquet":
        options["datetimes"] = ["d"]
    for frame in (read_table(tmp_path / name, **options), next(iterate_table(tmp_path / name, **options))):
        assert frame["n"].dtype == np.float64
        assert frame["z"].tolist()[0] == "007"
        assert frame["b"].tolist() == [True, False]
        assert frame["d"].tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02 10:00:00.5")]
        if name == "t.csv":
            assert str(frame["u"].dt.tz) == "UTC"


def test_numbers_become_text_that_a_csv_would_hold():
    table = pa.table({"zip": pa.array([1010, None]), "x": [1.0, 2.5]})
    assert read_table(table, text=["zip", "x"])["zip"].tolist()[0] == "1010"
    assert read_table(table, text=["x"])["x"].tolist() == ["1", "2.5"]
    with pytest.raises(ValueError, match=r"Column 'c' of the table cannot be read as double: .*much"):
        read_table(pa.table({"c": ["1", "much"]}), numbers=["c"])


def test_the_fingerprint_knows_names_order_and_contents(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        for i in range(3):
            (folder / f"{i}.csv").write_text(f"a\n{i}\n")
    assert fingerprint(first) == fingerprint(second) == fingerprint(str(first / "*.csv"))
    (second / "notes.txt").write_text("no part of the table")
    assert fingerprint(first) == fingerprint(second)
    (second / "1.csv").write_text("a\n7\n")
    assert fingerprint(first) != fingerprint(second)
    (second / "1.csv").write_text("a\n1\n")
    (second / "2.csv").rename(second / "3.csv")
    assert fingerprint(first) != fingerprint(second)
    import hashlib

    assert fingerprint(first / "0.csv") == hashlib.sha256(b"a\n0\n").hexdigest()


def test_a_directory_is_read_in_chunks_in_constant_memory(tmp_path):
    """One chunk is looked at while no other is held: of 40 files of 4 MB, never more than a few are in memory."""
    table = pa.table({"a": np.arange(500_000)})
    for i in range(40):
        pq.write_table(table, tmp_path / f"{i:02}.parquet", compression="none", use_dictionary=False)
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    for chunk in iterate_table(tmp_path, chunk_rows=50_000):
        rows += len(chunk)
        most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 40 * 500_000
    assert most < 30e6


def test_hugging_face_itself(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"a": [1, 2, 3], "c": ["x", "y", "z"]}).select([2, 0])
    assert read_table(data).to_dict("list") == {"a": [3, 1], "c": ["z", "x"]}
