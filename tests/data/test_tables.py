"""Reading and writing tables: round trips, faults that end in one message, atomic writes."""

import decimal
import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imbalance_torch.data import iterate_table, read_table, write_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    rows = 5000
    return pd.DataFrame(
        {
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "count": rng.integers(0, 2**60, rows),
            "text": rng.choice(["a", "b, c", 'd "e"', "ü"], rows),
            "flag": rng.random(rows) < 0.5,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows), unit="h"),
        }
    )


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.pq", "T.CSV"])
def test_round_trip(tmp_path, frame, name):
    assert write_table(iter([frame[:2000], frame[2000:]]), tmp_path / "new" / name) == 5000
    pd.testing.assert_frame_equal(read_table(tmp_path / "new" / name), frame, check_dtype=False)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("chunk_rows", [1000, 1700, 10**6])
def test_chunked_reading_equals_whole_reading(tmp_path, frame, name, chunk_rows):
    write_table([frame], tmp_path / name)
    chunks = list(iterate_table(tmp_path / name, chunk_rows=chunk_rows))
    assert max(map(len, chunks)) == min(chunk_rows, 5000)
    assert all(list(chunk.index) == list(range(len(chunk))) for chunk in chunks)
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), read_table(tmp_path / name))


def test_chunks_of_a_csv_of_several_blocks_are_the_whole(tmp_path):
    frame = pd.DataFrame({"a": np.arange(200_000), "b": np.arange(200_000) / 7})
    write_table([frame], tmp_path / "big.csv")
    assert (tmp_path / "big.csv").stat().st_size > 2 << 20
    pd.testing.assert_frame_equal(pd.concat(iterate_table(tmp_path / "big.csv"), ignore_index=True), frame)


def test_types_are_forced_whatever_the_first_rows_look_like(tmp_path):
    path = put(tmp_path, "t.csv", b"n,t,b,rest\n1,007,,x\n,,1,y\n2,3,false,z\n")
    chunk = next(iterate_table(path, numbers=["n"], text=["t"], booleans=["b"]))
    assert chunk["n"].dtype == np.float64
    assert chunk["t"].tolist()[0] == "007"
    assert chunk["t"].isna().tolist() == [False, True, False]
    assert chunk["b"].tolist() == [None, True, False]


def test_forced_types_hold_where_inference_from_the_first_block_fails(tmp_path):
    rows = 400_000  # more than one block: the first one sees empty fields only
    path = put(tmp_path, "t.csv", b"id,rare\n" + b"1,\n" * rows + b"1,yes\n")
    with pytest.raises(ValueError, match=r"t\.csv \(column 'rare'\).*'yes'"):
        list(iterate_table(path))
    assert list(iterate_table(path, text=["rare"]))[-1]["rare"].iloc[-1] == "yes"
    assert sum(map(len, iterate_table(path, columns=["id", "absent"]))) == rows + 1


@pytest.mark.parametrize("value", ["1.5", "many"])
@pytest.mark.parametrize("columns", [None, ["count"]], ids=["all", "one"])
def test_a_late_value_of_another_type_names_column_and_fix(tmp_path, value, columns):
    path = put(tmp_path, "t.csv", b"id,count\n" + b"1,2\n" * 400_000 + f"1,{value}\n".encode())
    with pytest.raises(ValueError, match=rf"\(column 'count'\).* int64: .*'{value}'.*name the column in `numbers`"):
        list(iterate_table(path, columns=columns))
    option = {"1.5": "numbers", "many": "text"}[value]
    assert str([*iterate_table(path, **{option: ["count"]})][-1]["count"].iloc[-1]) == value


WHOLE_AND_CHUNKS = {
    "whole": read_table,
    "chunks": lambda path, **options: pd.concat(iterate_table(path, **options), ignore_index=True),
}


@pytest.mark.parametrize("read", WHOLE_AND_CHUNKS)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_an_empty_line_is_a_missing_value_where_there_is_one_column(tmp_path, read, name):
    def values(content):
        path = put(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
        return [None if pd.isna(value) else value for value in WHOLE_AND_CHUNKS[read](path).iloc[:, -1]]

    assert values(b"a\n1\n\n2\n") == [1, None, 2]
    assert values(b"\xef\xbb\xbfa\r\n\r\nx\r\n\r\n") == [None, "x", None]
    assert values(b'"a\nb"\nx\n\n""') == ["x", None, None]
    assert values(b'"a\nb",c\n1,2\n\n3,4\n\n') == [2, 4]
    assert values(b"\na,c\n1,2\n\n3,4\n") == [2, 4]
    assert values(b"a\n\n") == [None]


@pytest.mark.parametrize("read", WHOLE_AND_CHUNKS)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
def test_empty_lines_above_the_header_are_no_rows(tmp_path, read, name, end, mark):
    for lines in ([b"", b"c", b"1", b"", b"2", b""], [b"", b"", b"", b'"c"', b"1", b"", b"2"]):
        content = mark + end.join(lines)
        path = put(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
        table = WHOLE_AND_CHUNKS[read](path)
        assert list(table) == ["c"]
        assert table["c"].fillna(-1).tolist() == [1, -1, 2]


@pytest.mark.parametrize("values", [[1.5, None, 2.5, None], ["x", None, "NA", "null"]], ids=["numbers", "text"])
def test_one_column_with_gaps_comes_back(tmp_path, values):
    frame = pd.DataFrame({"a": values})
    write_table([frame], tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), frame, check_dtype=False)


SPELLED = b'country,amount,flag,day\nNA,NA,NA,NA\nUS,2,true,2024-01-31\n,null,,\nnull,NaN,false,null\n"",N/A,,\n'


@pytest.mark.parametrize("read", WHOLE_AND_CHUNKS)
@pytest.mark.parametrize("typed", [False, True])
def test_na_is_text_where_there_is_text_and_missing_elsewhere(tmp_path, read, typed):
    roles = {"text": ["country"], "numbers": ["amount"], "booleans": ["flag"], "datetimes": ["day"]}
    table = WHOLE_AND_CHUNKS[read](put(tmp_path, "t.csv", SPELLED), **(roles if typed else {}))
    assert [None if pd.isna(c) else c for c in table["country"]] == ["NA", "US", None, "null", None]
    assert table["amount"].dtype == np.float64
    assert table["amount"].isna().tolist() == [True, False, True, True, True]
    assert table["flag"].tolist() == [None, True, None, False, None]
    assert table["day"].isna().tolist() == [True, False, True, True, True]
    as_text = WHOLE_AND_CHUNKS[read](tmp_path / "t.csv", text=["amount"])["amount"]
    assert as_text.dropna().tolist() == ["NA", "2", "null", "NaN", "N/A"]


def test_only_the_columns_asked_for_are_read(tmp_path, frame):
    for name in ("t.csv", "t.parquet"):
        write_table([frame], tmp_path / name)
        chunk = next(iterate_table(tmp_path / name, numbers=["number"], columns=["text", "number", "absent"]))
        assert list(chunk.columns) == ["number", "text"]


def test_the_whole_file_decides_the_type_of_a_csv_column(tmp_path):
    path = put(tmp_path, "t.csv", b"a\n" + b"1\n" * 700_000 + b"1.5\n")
    assert read_table(path)["a"].iloc[-1] == 1.5


def test_decimals_and_dates_become_numbers_and_times(tmp_path):
    table = pa.table({"price": [decimal.Decimal("1.50"), None], "day": pa.array([1, None], pa.date32())})
    pq.write_table(table, tmp_path / "t.parquet")
    for frame in (read_table(tmp_path / "t.parquet"), next(iterate_table(tmp_path / "t.parquet"))):
        assert frame["price"].tolist()[0] == 1.5
        assert frame["day"].tolist()[0] == pd.Timestamp("1970-01-02")
        assert frame.isna().iloc[1].all()


PARQUET = pa.BufferOutputStream()
pq.write_table(pa.table({"a": np.arange(1000.0)}), PARQUET)
PARQUET = PARQUET.getvalue().to_pybytes()
GARBAGE = np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8).tobytes()

FAULTS = {
    "empty csv": ("t.csv", b"", "is empty"),
    "empty parquet": ("t.parquet", b"", "is empty"),
    "newline": ("t.csv", b"\n", "Empty CSV"),
    "header only": ("t.csv", b"a,b\n", "header but no rows"),
    "header without a newline": ("t.csv", b"a,b", "header but no rows"),
    "one name": ("t.csv", b"a", "header but no rows"),
    "no rows": ("t.parquet", None, "header but no rows"),
    "truncated": ("t.parquet", PARQUET[: len(PARQUET) // 2], "Is it complete"),
    "without its beginning": ("t.parquet", PARQUET[100:], "Is it complete"),
    "damaged page": ("t.parquet", PARQUET[:20] + b"\xff" * 60 + PARQUET[80:], "Is it complete"),
    "garbage csv": ("t.csv", GARBAGE, "Is it complete"),
    "garbage parquet": ("t.parquet", GARBAGE, "Is it complete"),
    "csv as parquet": ("t.parquet", b"a,b\n1,2\n", "a Parquet file"),
    "ragged": ("t.csv", b"a,b\n1,2\n1\n", "Expected 2 columns, got 1"),
    "duplicate names": ("t.csv", b"a,b,a\n1,2,3\n", "two columns named 'a'"),
    "latin-1 values": ("t.csv", "a,b\n1,é\n".encode("latin-1"), "Column 'b' of .* is not UTF-8"),
    "latin-1 header": ("t.csv", "a,é\n1,2\n".encode("latin-1"), "a UTF-8 CSV file"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("read", [read_table, lambda path: list(iterate_table(path))], ids=["whole", "chunks"])
def test_a_faulty_file_ends_in_one_message_that_names_it(tmp_path, fault, read):
    name, content, message = FAULTS[fault]
    path = tmp_path / name
    if content is None:
        pq.write_table(pa.table({"a": pa.array([], pa.float64())}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    text = str(caught.value)
    assert type(caught.value) is ValueError
    assert str(path) in text
    assert "\n" not in text
    assert text.isprintable()
    assert len(text) < 600


@pytest.mark.parametrize("read", [read_table, lambda path: list(iterate_table(path))], ids=["whole", "chunks"])
def test_missing_file_and_wrong_suffix(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.csv"):
        read(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"must end in one of \.csv, \.parquet, \.pq, .* or \.csv\.gz, got 't\.txt'"):
        read(put(tmp_path, "t.txt", b"a\n1\n"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder\.csv holds no table"):
        read(tmp_path / "folder.csv")


def test_a_forced_number_that_is_none_names_column_and_value(tmp_path):
    path = put(tmp_path, "t.csv", b"a,amount\n1,2\n1,much\n")
    with pytest.raises(ValueError, match=r"column 'amount'.*'much'"):
        list(iterate_table(path, numbers=["amount"]))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_failure_in_the_middle_keeps_the_older_file_and_leaves_nothing_else(tmp_path, name):
    def chunks():
        yield pd.DataFrame({"a": [1, 2]})
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_table(chunks(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_table([pd.DataFrame({"a": [7]})], tmp_path / name)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_table(chunks(), tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert read_table(tmp_path / name)["a"].tolist() == [7]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})],
        [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})],
        [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["x"]})],
    ],
    ids=["none", "other columns", "other numbers", "other type"],
)
def test_chunks_that_do_not_fit_are_refused(tmp_path, name, chunks):
    with pytest.raises(ValueError, match=r"no rows|field names|Cannot write"):
        write_table(chunks, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_suffix_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="must end in"):
        write_table([pd.DataFrame({"a": [1]})], tmp_path / "new" / "t.xls")
    assert list(tmp_path.iterdir()) == []


def test_chunk_rows_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="`chunk_rows` must be >= 1"):
        next(iterate_table(put(tmp_path, "t.csv", b"a\n1\n"), chunk_rows=0))
