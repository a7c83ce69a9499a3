"""Fashion-MNIST with a long tail, from files that you have."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from imbalance_torch._checks import require
from imbalance_torch.data.datasets._long_tailed import make_long_tailed

_SOURCE = "Fashion-MNIST, GitHub repository zalandoresearch/fashion-mnist, or Debian package dataset-fashion-mnist"
_SIDE = 28


def load_fashion_mnist_lt(path: str | Path, imbalance_factor: float) -> tuple[TensorDataset, TensorDataset]:
    """Load Fashion-MNIST with a long-tailed training part and its whole, balanced test part.

    The training rows are those of ``make_long_tailed(train, imbalance_factor)``: 6000 of class 0 down to
    6000 / ``imbalance_factor`` of class 9, the same at every call. The images are not part of the package, and
    torchvision is not needed.

    Args:
        path: the folder of the four original files ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, each as it is or with ``.gz`` (of the same
            format: MNIST and KMNIST); or a Parquet file with the columns ``image`` (784 bytes), ``y`` and ``split``
            (0 training, 1 test), whose training rows may already have a tail.
        imbalance_factor: rows of class 0 per row of class 9, >= 1; 1 keeps all rows.

    Returns:
        Training and test data: ``TensorDataset`` of images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) int64.

    Raises:
        FileNotFoundError: a file is missing; the message says where to get it.
        ValueError: a file is damaged or of another format, or the rows of a Parquet file have a longer tail than
            ``imbalance_factor`` asks for.

    Notes:
        3,136 bytes an image: 47 MB for the training part at factor 100, 31 MB for the test part.

    References:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
        2017 (MIT licence).

    Example:
        >>> load_fashion_mnist_lt("no/such/folder", 100)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: no/such/folder has no train-images-idx3-ubyte or ...
    """
    source = Path(path)
    parts = _read_parquet(source) if source.is_file() else [_read_part(source, name) for name in ("train", "t10k")]
    (images, labels), test = parts
    rows = make_long_tailed(labels, imbalance_factor).indices
    if (kept := np.bincount(labels[rows]).max()) < (there := np.bincount(labels).max()):
        raise ValueError(
            f"`imbalance_factor` is {imbalance_factor}, but {source} has a longer tail than that already: only {kept} "
            f"of {there} rows of its largest class could stay. Use a larger factor or the original files ({_SOURCE})."
        )
    return _to_tensors(images[rows], labels[rows]), _to_tensors(*test)


def _to_tensors(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
    return TensorDataset(
        torch.from_numpy(images[:, None].astype(np.float32)).div_(255), torch.from_numpy(labels.astype(np.int64))
    )


def _read_part(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (
        _read_idx(folder / f"{name}-images-idx3-ubyte", 3),
        _read_idx(folder / f"{name}-labels-idx1-ubyte", 1),
    )
    if images.shape != (len(labels), _SIDE, _SIDE):
        raise ValueError(f"{folder}: the {name} images have shape {images.shape} for {len(labels)} labels of 28 x 28.")
    return images, labels


def _read_idx(file: Path, ndim: int) -> np.ndarray:
    """Read unsigned bytes: two zero bytes, type 8, the number of dimensions, sizes as big-endian int32, the values."""
    zipped = file.with_name(file.name + ".gz")
    if not file.is_file() and not zipped.is_file():
        raise FileNotFoundError(f"{file.parent} has no {file.name} or {zipped.name}. Get it from: {_SOURCE}.")
    try:
        content = file.read_bytes() if file.is_file() else gzip.decompress(zipped.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{zipped} is damaged: {error}. Get it from: {_SOURCE}.") from error
    start = 4 + 4 * ndim
    if content[:4] != bytes([0, 0, 8, ndim]) or len(content) < start:
        raise ValueError(
            f"{file} is not an IDX file of bytes with {ndim} dimension(s): it begins {content[:4].hex()!r}."
        )
    shape = np.frombuffer(content, ">i4", ndim, offset=4)
    if (shape < 0).any() or len(content) - start != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{file} is damaged: {shape.tolist()} values announced, {len(content) - start} there.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_parquet(file: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    arrow = require("pyarrow", extra="train")
    try:
        table = require("pyarrow.parquet", extra="train").read_table(file, columns=["image", "y", "split"])
        split, labels = (table[name].to_numpy() for name in ("split", "y"))
        pixels = b"".join(table["image"].to_pylist())
        images = np.frombuffer(pixels, np.uint8).reshape(len(table), _SIDE, _SIDE)
    except (arrow.ArrowException, TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{file} is not a Parquet file of `image` (784 bytes), `y` and `split`: {error}") from error
    return [(images[split == part], labels[split == part]) for part in (0, 1)]
