"""ParquetStream: exact shares, every row in its turn, shards that agree, exact resume, numbers as Arrow has them."""

import json
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from imbalance_torch.data import ParquetStream, TableEncoder, read_table

ROWS = 3000


def table(start=0, rows=ROWS):
    row = np.arange(start, start + rows)
    return pa.table({"row": row.astype(np.int32), "half": row / 2, "y": (row % 50 == 7).astype(np.int8)})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.parquet"
    pq.write_table(table(), path, row_group_size=170)
    return path


def stream(file, **options):
    return ParquetStream(file, **{"target": "y", "batch_size": 32, "window_rows": 400} | options)


def rows_of(batches):
    return torch.cat([x[:, 0] for x, _ in batches]).long().tolist()


def test_without_a_ratio_every_row_comes_once_an_epoch(file):
    loader = stream(file)
    first, second = list(loader), list(loader)
    assert len(loader) == len(first) == -(-ROWS // 32)
    assert sorted(rows_of(first)) == sorted(rows_of(second)) == list(range(ROWS))
    assert rows_of(first) != rows_of(second)
    assert loader.epoch == 2
    assert loader.class_counts == [2940, 60]
    assert loader.effective_prior.tolist() == pytest.approx([0.98, 0.02])


def test_features_and_labels_stay_together(file):
    for x, y in stream(file, ratio=0.5):
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert torch.equal(y, (x[:, 0] % 50 == 7).long())
        assert torch.equal(x[:, 1], x[:, 0] / 2)


@pytest.mark.parametrize("ratio", [1.0, 0.25, 0.1])
def test_a_ratio_keeps_the_minority_and_rotates_through_the_majority(tmp_path, ratio):
    pq.write_table(table(rows=1000), tmp_path / "a.parquet", row_group_size=190)
    loader = stream(tmp_path / "a.parquet", ratio=ratio, batch_size=10)
    majority = round(20 / ratio)
    times = np.zeros(1000, dtype=int)
    epochs = -(-980 // majority) + 3  # a row group has a deck of its own, and its part is rounded
    for _ in range(epochs):
        rows = rows_of(loader)
        assert len(rows) == len(set(rows)) == 20 + majority
        assert sum(row % 50 == 7 for row in rows) == 20
        times[rows] += 1
    assert times.min() == 1
    assert times[np.arange(1000) % 50 != 7].max() <= 2
    assert loader.effective_prior.tolist() == pytest.approx([majority / (20 + majority), 20 / (20 + majority)])


def test_row_groups_too_small_for_a_row_an_epoch_get_their_turn(tmp_path):
    pq.write_table(table(rows=300), tmp_path / "a.parquet", row_group_size=5)
    loader = stream(tmp_path / "a.parquet", ratio=1.0)
    assert {row for _ in range(80) for row in rows_of(loader)} == set(range(300))


def test_batches_hold_the_shares(file):
    counts = [int(y.sum()) for _, y in stream(file, ratio=0.25, batch_size=20, window_rows=10_000)]
    assert len(counts) == 15
    assert all(3 <= count <= 5 for count in counts)


def test_rows_are_shuffled_within_a_window_and_row_groups_between_windows(file):
    rows = rows_of(stream(file))
    assert rows != sorted(rows)
    assert len({row // 170 for row in rows[:32]}) > 1
    assert rows == rows_of(stream(file))
    assert rows != rows_of(stream(file, seed=1))
    loader = stream(file)
    loader.set_epoch(3)
    again = stream(file)
    again._place = (3, 0)
    assert rows_of(loader) == rows_of(again) != rows


@pytest.mark.parametrize("stop", [0, 1, 13, 14, 50, 93, 94])
@pytest.mark.parametrize("options", [{}, {"ratio": 0.05, "batch_size": 13}])
def test_a_restored_stream_goes_on_with_the_next_batch(file, stop, options):
    whole = stream(file, **options)
    batches = [*whole, *whole]
    loader = stream(file, **options)
    for _, _batch in zip(range(stop), loader, strict=False):
        pass
    iterator = iter(loader)
    state = json.loads(json.dumps(loader.state_dict()))
    assert len(json.dumps(state)) < 1024
    again = stream(file, **options, seed=9)
    again.load_state_dict(state)
    done = state["epoch"] * len(whole) + state["batches"]
    assert done == stop % len(whole) + stop // len(whole) * len(whole)
    for (x, y), (expected_x, expected_y) in zip(again, batches[done:], strict=False):
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)
    if stop < len(whole):
        assert torch.equal(next(iterator)[0], batches[stop][0])  # a loop left early goes on as well


def test_a_state_of_other_settings_or_files_is_refused(file, tmp_path):
    state = stream(file).state_dict()
    for other in ({"batch_size": 31}, {"ratio": 0.5}, {"columns": ["row"]}, {"window_rows": 3}, {"drop_last": True}):
        with pytest.raises(ValueError, match="state is not of this stream"):
            stream(file, **other).load_state_dict(state)
    pq.write_table(table(rows=ROWS + 1), tmp_path / "rows.parquet", row_group_size=170)
    with pytest.raises(ValueError, match="state is not of this stream"):
        stream(tmp_path / "rows.parquet").load_state_dict(state)
    with pytest.raises(ValueError, match="version 1"):
        stream(file).load_state_dict({**state, "version": 2})


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_have_different_rows_and_equally_many(file, ranks, drop_last):
    loaders = [stream(file, num_replicas=ranks, rank=rank, drop_last=drop_last) for rank in range(ranks)]
    parts = [list(loader) for loader in loaders]
    assert {len(loader) for loader in loaders} == {len(part) for part in parts} == {len(parts[0])}
    sizes = [[len(y) for _, y in part] for part in parts]
    assert all(size == sizes[0] for size in sizes)
    assert sum(sizes[0]) == (ROWS // ranks // 32 * 32 if drop_last else -(-ROWS // ranks))
    rows = [set(rows_of(part)) for part in parts]
    assert sum(map(len, rows)) == len(set.union(*rows))


def test_drop_last(file):
    loader = stream(file, drop_last=True)
    sizes = [len(y) for _, y in loader]
    assert sizes == [32] * (ROWS // 32)
    assert len(loader) == len(sizes)
    assert loader.epoch == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_share_the_row_groups(file, workers):
    loader = DataLoader(stream(file), batch_size=None, num_workers=workers)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sum(len(y) for _, y in batches) == ROWS
    rows = rows_of(batches)
    assert len(set(rows)) > 0.9 * ROWS
    if workers == 1:
        assert rows == rows_of(stream(file))


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
def test_torchdata_resumes_with_workers(file):
    from torchdata.stateful_dataloader import StatefulDataLoader

    def make():
        return StatefulDataLoader(stream(file), batch_size=None, num_workers=2)

    loader = make()
    iterator = iter(loader)
    for _ in range(11):
        next(iterator)
    state = loader.state_dict()
    rest = rows_of(iterator)
    again = make()
    again.load_state_dict(state)
    assert rows_of(again) == rest


def test_other_numbers_of_shards_in_the_middle_of_an_epoch_are_refused(file):
    one = stream(file)
    next(iter(one))
    two = stream(file, num_replicas=2, rank=0)
    two.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="1 batches of this epoch were fed with 1 shard"):
        next(iter(two))
    two.set_epoch(1)
    next(iter(two))


def test_more_shards_than_row_groups(tmp_path):
    pq.write_table(table(), tmp_path / "one.parquet")
    with pytest.raises(ValueError, match="1 row groups with rows to feed for 2 shards"):
        next(iter(stream(tmp_path / "one.parquet", num_replicas=2, rank=1)))


def test_a_directory_and_a_pattern_are_one_table(tmp_path, file):
    (tmp_path / "part").mkdir()
    for i, start in enumerate(range(0, ROWS, 1000)):
        pq.write_table(table(start, 1000), tmp_path / "part" / f"{i}.parquet", row_group_size=100)
    whole, pattern = stream(tmp_path / "part"), stream(str(tmp_path / "part" / "*.parquet"))
    assert sorted(rows_of(whole)) == list(range(ROWS))
    assert pattern.state_dict() == stream(tmp_path / "part").state_dict()


def test_a_stream_can_be_pickled_in_the_middle(file):
    loader = stream(file)
    iterator = iter(loader)
    next(iterator)
    again = pickle.loads(pickle.dumps(loader))
    assert rows_of(again) == rows_of(iterator)


def test_two_loops_do_not_disturb_each_other(file):
    loader = stream(file)
    outer, inner = iter(loader), iter(loader)
    next(outer)
    next(inner)  # begins where the outer loop stands, and takes over
    next(outer)
    assert loader.state_dict()["batches"] == 2
    loader.set_epoch(4)
    next(outer)
    assert loader.state_dict()["batches"] == 0


@pytest.mark.parametrize("labels", [["no", "yes"], [False, True], [3, 8], [0.0, 1.0]])
@pytest.mark.parametrize("dictionary", [False, True])
def test_any_kind_of_label(tmp_path, labels, dictionary):
    row = np.arange(200)
    y = pa.array([labels[int(i % 10 == 0)] for i in row])
    y = y.dictionary_encode() if dictionary and isinstance(labels[0], str) else y
    pq.write_table(pa.table({"row": row, "y": y}), tmp_path / "a.parquet", row_group_size=33)
    loader = stream(tmp_path / "a.parquet")
    assert loader.classes == tuple(labels)
    assert all(torch.equal(y, (x[:, 0] % 10 == 0).long()) for x, y in loader)
    turned = stream(tmp_path / "a.parquet", classes=labels[::-1])
    assert turned.class_counts == [20, 180]
    assert all(torch.equal(y, (x[:, 0] % 10 != 0).long()) for x, y in turned)


def test_many_classes_of_which_some_are_absent_from_a_row_group(tmp_path):
    y = np.sort(np.random.default_rng(0).integers(0, 40, 2000))
    pq.write_table(pa.table({"row": np.arange(2000), "y": y}), tmp_path / "a.parquet", row_group_size=90)
    loader = stream(tmp_path / "a.parquet", ratio=1.0)
    fed = torch.cat([part for _, part in loader])
    assert fed.bincount().tolist() == [min(np.bincount(y))] * 40
    assert all(torch.equal(labels, torch.from_numpy(y)[x[:, 0].long()]) for x, labels in loader)


def test_numbers_booleans_decimals_and_gaps(tmp_path):
    columns = {
        "small": pa.array([1, None, -3], pa.int8()),
        "flag": pa.array([True, False, None]),
        "price": pa.array([1, None, 3]).cast(pa.decimal128(25, 2)),
        "whole": pa.array([1, 2, 3], pa.uint64()),
        "y": pa.array([0, 1, 0]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    ((x, _),) = stream(tmp_path / "a.parquet")
    rows = {tuple(row) for row in x.nan_to_num(-1).tolist()}
    assert rows == {(1, 1, 1, 1), (-1, 0, -1, 2), (-3, -1, 3, 3)}
    ((x, _),) = stream(tmp_path / "a.parquet", columns=["whole", "small"])
    assert {tuple(row) for row in x.nan_to_num(-1).tolist()} == {(1, 1), (2, -1), (3, -3)}


def test_an_encoder_sees_the_same_rows_as_in_memory(tmp_path):
    frame = table().to_pandas().assign(card=lambda t: np.where(t["row"] % 3 == 0, "a", "b"))
    frame.to_parquet(tmp_path / "cards.parquet", row_group_size=300)
    encoder = TableEncoder(["half", "row"], ["card"]).fit(frame, frame["y"])
    loader = stream(tmp_path / "cards.parquet", encoder=encoder)
    assert loader.columns == encoder.columns
    x = torch.cat([x for x, _ in loader])
    expected = encoder.encode(read_table(tmp_path / "cards.parquet"))
    assert torch.equal(torch.unique(x, dim=0), torch.unique(expected, dim=0))


def test_memory_is_that_of_the_window(tmp_path, monkeypatch):
    pq.write_table(table(rows=100_000), tmp_path / "a.parquet", row_group_size=1000)
    held = []
    read = ParquetStream._read

    def watched(self, *arguments):
        x, y = read(self, *arguments)
        held.append(len(x))
        return x, y

    monkeypatch.setattr(ParquetStream, "_read", watched)
    for _ in stream(tmp_path / "a.parquet", window_rows=5000, batch_size=1000):
        pass
    assert sum(held) == 100_000
    assert max(held) <= 6000
    held.clear()
    loader = stream(tmp_path / "a.parquet", window_rows=5000, batch_size=1000)
    loader.load_state_dict({**loader.state_dict(), "batches": 98})
    assert len(list(loader)) == 2
    assert sum(held) <= 6000  # what was fed before is not read again


def test_bad_arguments_and_files(tmp_path, file):
    def write(name="a.parquet", **columns):
        pq.write_table(pa.table(columns), tmp_path / name)
        return tmp_path / name

    with pytest.raises(ValueError, match="no column 'x'; its columns are row, half, y"):
        stream(file, columns=["x"])
    with pytest.raises(ValueError, match="no column 'z'"):
        stream(file, target="z")
    with pytest.raises(ValueError, match="cannot be a feature"):
        stream(file, columns=["row", "y"])
    with pytest.raises(ValueError, match="`ratio` must be > 0"):
        stream(file, ratio=0.0)
    with pytest.raises(ValueError, match="`ratio` must be <= 1"):
        stream(file, ratio=2.0)
    with pytest.raises(ValueError, match="Pass both or none"):
        stream(file, rank=1)
    with pytest.raises(ValueError, match="rank=2, num_replicas=2"):
        stream(file, rank=2, num_replicas=2)
    with pytest.raises(ValueError, match="`columns` or `encoder`"):
        stream(file, columns=["row"], encoder=TableEncoder(["row"], []))
    with pytest.raises(ValueError, match="has the label 1; the classes are \\[0\\]"):
        stream(file, classes=[0])
    with pytest.raises(ValueError, match=r"`classes` must differ, got classes=\[0, 1, 1\]"):
        stream(file, classes=[0, 1, 1])
    with pytest.raises(ValueError, match="no feature column beside the target 'y'"):
        stream(file, columns=[])
    with pytest.raises(ValueError, match="no feature column beside the target 'y'"):
        stream(write(y=[0, 1]))
    with pytest.raises(ValueError, match="Class 2 has no row"):
        stream(file, classes=[0, 1, 2], ratio=0.5)
    with pytest.raises(ValueError, match="has no label in 1 rows"):
        stream(write(x=[1.0, 2.0], y=pa.array([1, None])))
    with pytest.raises(ValueError, match="is continuous"):
        stream(write(x=[1.0, 2.0], y=[0.5, 1.5]))
    with pytest.raises(ValueError, match=r"Column 'name' of .* is string, no number"):
        stream(_names(tmp_path))
    with pytest.raises(ValueError, match="has no rows"):
        stream(write(x=pa.array([], pa.float64()), y=pa.array([], pa.int8())))
    with pytest.raises(ValueError, match="Column 'x' has a value beyond float32"):
        list(stream(write(x=[1e300, 1.0], y=[0, 1])))
    (tmp_path / "cut.parquet").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"Cannot read .*cut\.parquet"):
        stream(tmp_path / "cut.parquet")
    (tmp_path / "a.csv").write_text("x,y\n1,0\n")
    with pytest.raises(ValueError, match=r"from Parquet files, got 'a\.csv'"):
        stream(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError):
        stream(tmp_path / "none.parquet")


def _names(folder):
    pq.write_table(pa.table({"name": ["a", "b"], "y": [0, 1]}), folder / "names.parquet")
    return folder / "names.parquet"


def test_two_values_of_one_label(tmp_path):
    pq.write_table(pa.table({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, -0.0, 1.0, 0.0]}), tmp_path / "a.parquet")
    loader = stream(tmp_path / "a.parquet", ratio=0.5)
    assert loader.class_counts == [3, 1]
    ((x, y),) = loader
    assert sorted(y.tolist()) == [0, 0, 1]
    assert x[y == 1].tolist() == [[2.0]]


def test_one_row_and_one_class(tmp_path):
    pq.write_table(pa.table({"x": [4.0], "y": [0]}), tmp_path / "a.parquet")
    ((x, y),) = stream(tmp_path / "a.parquet", ratio=1.0)
    assert (x.tolist(), y.tolist()) == ([[4.0]], [0])


def hive(folder, parts):
    """Write each table below its folder, such as ``year=2024/card=a``."""
    for number, (place, columns) in enumerate(parts):
        (folder / place).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), folder / place / f"{number}.parquet", row_group_size=2)
    return folder


PARTS = [
    ("year=2023/card=a", {"x": [1.5, 2.5, 3.5], "y": [0, 1, 0]}),
    ("year=2024/card=b", {"x": [4.5], "y": [1]}),
    ("year=2024/card=__HIVE_DEFAULT_PARTITION__", {"x": [5.5, 6.5], "y": [0, 0]}),
]


@pytest.mark.parametrize("pattern", ["", "**/*.parquet", "year=*"])
def test_the_names_of_folders_are_columns_as_in_read_table(tmp_path, pattern):
    source = str(hive(tmp_path, PARTS) / pattern)
    frame = read_table(source)
    loader = stream(source, columns=["year", "x"])
    x = torch.cat([x for x, _ in loader])
    assert sorted(x.tolist()) == sorted(frame[["year", "x"]].to_numpy().tolist())
    encoder = TableEncoder(["x", "year"], ["card"]).fit(frame, frame["y"])
    x = torch.cat([x for x, _ in stream(source, encoder=encoder, batch_size=4)])
    assert sorted(x.tolist()) == sorted(encoder.encode(frame).tolist())
    with pytest.raises(ValueError, match=r"Column 'card' of .* is string, no number"):
        stream(source)


def test_folders_and_integers_keep_their_digits_for_an_encoder(tmp_path):
    card = [2**53 + 1, 2**53, None]
    hive(tmp_path, [(f"store={store}", {"card": card, "y": [0, 1, 0]}) for store in ("007", "7")])
    frame = read_table(tmp_path)
    encoder = TableEncoder([], ["store", "card"]).fit(frame, frame["y"])
    x = torch.cat([x for x, _ in stream(tmp_path, encoder=encoder)])
    assert sorted(x.tolist()) == sorted(encoder.encode(frame).tolist())
    assert len(x.unique(dim=0)) == 6


def test_a_folder_may_be_the_target_or_all_there_is(tmp_path):
    hive(tmp_path, [("y=0/k=7", {"x": [1.0, 2.0, 3.0]}), ("y=1/k=8", {"x": [4.0]})])
    loader = pickle.loads(pickle.dumps(stream(tmp_path)))
    assert (loader.columns, loader.classes, loader.class_counts) == (["x", "k"], (0, 1), [3, 1])
    ((x, y),) = loader
    assert {(*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True)} == {
        (1, 7, 0),
        (2, 7, 0),
        (3, 7, 0),
        (4, 8, 1),
    }
    ((x, y),) = stream(tmp_path, columns=["k"])
    assert sorted(x.flatten().tolist()) == [7, 7, 7, 8]
    with pytest.raises(ValueError, match="has no label in 2 rows"):
        stream(hive(tmp_path / "gap", [("y=__HIVE_DEFAULT_PARTITION__", {"x": [1.0, 2.0]}), ("y=1", {"x": [4.0]})]))


def test_a_column_of_a_later_file_is_not_passed_over(tmp_path):
    hive(tmp_path, [("", {"x": [1.0], "y": [0]}), ("", {"w": [7], "x": [2.0], "y": [1]})])
    with pytest.raises(ValueError, match=r"0\.parquet has no column 'w', which .*1\.parquet has.*add it"):
        stream(tmp_path)
    with pytest.raises(ValueError, match=r"0\.parquet has no column 'w'; its columns are x, y"):
        stream(tmp_path, columns=["w"])
    ((x, _),) = stream(tmp_path, columns=["x"])
    assert sorted(x.flatten().tolist()) == [1, 2]


def test_types_widen_as_in_read_table(tmp_path):
    parts = [
        {"n": [1, 2], "e": pa.nulls(2), "c": pa.array(["a", "b"]).dictionary_encode(), "y": [0, 1]},
        {"n": [1.5, 2.0], "e": [3, 4], "c": pa.array(["c", "a"]).cast(pa.dictionary(pa.int8(), "string")), "y": [0, 1]},
    ]
    frame = read_table(hive(tmp_path, [("", part) for part in parts]))
    x = torch.cat([x for x, _ in stream(tmp_path, columns=["n", "e"])])
    assert sorted(x.nan_to_num(-1).tolist()) == [[1, -1], [1.5, 3], [2, -1], [2, 4]]
    encoder = TableEncoder(["e"], ["n", "c"]).fit(frame, frame["y"])
    x = torch.cat([x for x, _ in stream(tmp_path, encoder=encoder)])
    assert sorted(x.tolist()) == sorted(encoder.encode(frame).tolist())
    hive(tmp_path, [("z", {**parts[0], "n": [2**53 + 1, 1]})])
    with pytest.raises(ValueError, match=r"Column 'n' of .*z/0\.parquet does not fit double.*as text"):
        list(stream(tmp_path, columns=["n"]))


def test_integers_with_gaps_keep_their_digits_for_an_encoder(tmp_path):
    frame = pd.DataFrame({"c": pd.array([2**53 + 1, None, 2**53], "Int64"), "y": [0, 1, 0]})
    frame.to_parquet(tmp_path / "a.parquet")
    encoder = TableEncoder([], ["c"]).fit(read_table(tmp_path), frame["y"])
    x = torch.cat([x for x, _ in stream(tmp_path, encoder=encoder)])
    assert sorted(x.tolist()) == sorted(encoder.encode(frame).tolist())
    assert len(x.unique(dim=0)) == 3


@pytest.mark.parametrize("index", [[5, 9], pd.Index([5, 9], name="id")], ids=["plain", "named"])
def test_the_index_of_pandas_is_no_feature(tmp_path, index):
    pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}, index=index).to_parquet(tmp_path / "a.parquet")
    assert stream(tmp_path).columns == ["x"]


@pytest.mark.parametrize(
    "labels",
    [[[1], [0]], [{"a": 1}, {"a": 0}], pa.array([1, 2], pa.date32()), pa.array([1, 2], pa.timestamp("s"))],
    ids=["lists", "records", "dates", "times"],
)
def test_a_target_that_is_no_label(tmp_path, labels):
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": labels}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"Target 'y' of .* is .*\. A class label is a whole number"):
        stream(tmp_path)


def test_decimals_are_labels_when_they_are_whole(tmp_path):
    for name, values in (("a", ["1.0", "2.0"]), ("b", ["1.5", "2.0"])):
        labels = pa.array(values).cast(pa.decimal128(25, 1))
        pq.write_table(pa.table({"x": [1.0, 2.0], "y": labels}), tmp_path / f"{name}.parquet")
    assert stream(tmp_path / "a.parquet").classes == (1, 2)
    with pytest.raises(ValueError, match="is continuous"):
        stream(tmp_path / "b.parquet")
