"""Long-tailed Fashion-MNIST: IDX files as they are or zipped, Parquet, and damage."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from imbalance_torch.data.datasets import load_fashion_mnist_lt, make_long_tailed

PER_CLASS = 100


def idx(values):
    return struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def part(per_class, seed):
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(10), per_class)).astype(np.uint8)
    images = generator.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    images[:, 0, 0] = labels  # so that an image knows its label
    return images, labels


PARTS = {"train": part(PER_CLASS, 0), "t10k": part(7, 1)}


def write(folder, zipped=()):
    for name, (images, labels) in PARTS.items():
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            file, content = folder / f"{name}-{kind}-ubyte", idx(values)
            if kind in zipped:
                file.with_name(file.name + ".gz").write_bytes(gzip.compress(content))
            else:
                file.write_bytes(content)
    return folder


@pytest.mark.parametrize("zipped", [(), ("images-idx3",), ("images-idx3", "labels-idx1")])
def test_idx_files(tmp_path, zipped):
    train, test = load_fashion_mnist_lt(write(tmp_path, zipped), 50)
    x, y = train.tensors
    rows = make_long_tailed(PARTS["train"][1], 50).indices
    assert torch.bincount(y).tolist() == [100, 64, 41, 27, 17, 11, 7, 4, 3, 2]
    assert (x.dtype, y.dtype, x.shape[1:]) == (torch.float32, torch.int64, (1, 28, 28))
    assert torch.equal(x, torch.from_numpy(PARTS["train"][0][rows]).float()[:, None] / 255)
    assert torch.equal(y, (x[:, 0, 0, 0] * 255).round().long())
    assert 0 <= x.min() < x.max() == 1
    assert torch.bincount(test.tensors[1]).tolist() == [7] * 10
    again = load_fashion_mnist_lt(str(tmp_path), 50)[0]
    assert all(torch.equal(a, b) for a, b in zip(train.tensors, again.tensors, strict=True))


def test_factor_one_keeps_all_rows(tmp_path):
    train, _ = load_fashion_mnist_lt(write(tmp_path), 1)
    assert torch.equal(train.tensors[1], torch.from_numpy(PARTS["train"][1]).long())


def parquet(folder, rows, **columns):
    images = np.concatenate([PARTS["train"][0][rows], PARTS["t10k"][0]])
    labels = np.concatenate([PARTS["train"][1][rows], PARTS["t10k"][1]])
    table = {
        "image": pa.array([image.tobytes() for image in images], pa.binary(784)),
        "y": labels.astype(np.int8),
        "split": np.repeat([0, 1], [len(rows), 70]).astype(np.int8),
    }
    file = folder / "images.parquet"
    pq.write_table(pa.table(table | columns), file, row_group_size=100)
    return file


def test_parquet_gives_the_same_rows(tmp_path):
    file = parquet(tmp_path, np.arange(1_000))
    ours, theirs = load_fashion_mnist_lt(file, 20), load_fashion_mnist_lt(write(tmp_path), 20)
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.tensors, b.tensors, strict=True))


def test_parquet_that_has_a_tail_already(tmp_path):
    rows = np.asarray(make_long_tailed(PARTS["train"][1], 20).indices)
    file = parquet(tmp_path, rows)
    assert len(load_fashion_mnist_lt(file, 20)[0]) == len(rows)
    assert len(load_fashion_mnist_lt(file, 50)[0]) < len(rows)
    with pytest.raises(ValueError, match=r"has a longer tail than that already: only .* of 100 rows"):
        load_fashion_mnist_lt(file, 10)


def test_missing_files_say_where_to_get_them(tmp_path):
    (write(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"no t10k-labels-idx1-ubyte or .*\.gz.*zalandoresearch/fashion-mnist"):
        load_fashion_mnist_lt(tmp_path, 10)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x08\x03\x00", "not an IDX file"),
        (b"\x00\x00\x0d\x03" + bytes(2_000), "not an IDX file"),  # floats
        (idx(PARTS["train"][1]), "not an IDX file"),  # labels in the place of images
        (idx(PARTS["train"][0])[:-1], "is damaged"),
        (idx(PARTS["train"][0]) + b"x", "is damaged"),
        (idx(PARTS["train"][0][:-1]), "have shape"),
        (idx(PARTS["train"][0][:, :14]), "have shape"),
        (b"\x00\x00\x08\x03" + struct.pack(">3i", -1, -28, 28) + bytes(784), "is damaged"),
    ],
)
def test_damaged_files(tmp_path, content, match):
    (write(tmp_path) / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=match):
        load_fashion_mnist_lt(tmp_path, 10)


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(bytes(5_000))[:-12]], ids=["no archive", "cut off"])
def test_damaged_archives(tmp_path, content):
    write(tmp_path, ("images-idx3",))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"\.gz is damaged"):
        load_fashion_mnist_lt(tmp_path, 10)


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "a.parquet"
    text.write_text("no parquet")
    for file in (
        text,
        parquet(tmp_path, np.arange(1_000), image=pa.array([b"short"] * 1_070)),
        parquet(tmp_path, np.arange(1_000), image=pa.nulls(1_070, pa.binary())),
    ):
        with pytest.raises(ValueError, match="is not a Parquet file of `image`"):
            load_fashion_mnist_lt(file, 10)


def test_the_real_images():
    folder = os.environ.get("IMBALANCE_TORCH_DATA")
    if not folder:
        pytest.skip("IMBALANCE_TORCH_DATA is not set")
    train, test = load_fashion_mnist_lt(Path(folder) / "fashion_mnist_lt100.parquet", 100)
    assert torch.bincount(train.tensors[1]).tolist() == [6000, 3596, 2156, 1292, 774, 464, 278, 166, 100, 60]
    assert torch.bincount(test.tensors[1]).tolist() == [1_000] * 10
    assert test.tensors[0].mean() == pytest.approx(0.2868, abs=1e-3)
