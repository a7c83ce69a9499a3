import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from imbalance_torch.samplers import labels_of
from imbalance_torch.samplers._labels import class_rows


class Untouchable(Dataset):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __getitem__(self, index):
        raise AssertionError("a sample was read")

    def __len__(self):
        return 3


TENSORS = TensorDataset(torch.zeros(3, 2), torch.tensor([0, 1, 0]))


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (torch.tensor([0, 1]), [0, 1]),
        (np.array([True, False]), [True, False]),
        (pd.Series([4, 5], index=[9, 8]), [4, 5]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
        (["x", "y"], ["x", "y"]),
        (TENSORS, [0, 1, 0]),
        (Subset(TENSORS, [1, 1, 2]), [1, 1, 0]),
        (Subset(TENSORS, torch.tensor([1])), [1]),
        (Subset(Subset(TENSORS, [2, 1]), [1]), [1]),
        (ConcatDataset([TENSORS, Subset(TENSORS, [1])]), [0, 1, 0, 1]),
        (Untouchable(targets=[1, 2, 3]), [1, 2, 3]),
        (Untouchable(targets=None, labels=np.array([1, 2, 3])), [1, 2, 3]),
        (Subset(Untouchable(labels=torch.tensor([5, 6, 7])), [2]), [7]),
        (Untouchable(samples=[("a.png", 1), ("b.png", 0), ("c.png", 1)]), [1, 0, 1]),
        (Untouchable(targets=[1, 0, 1], samples=[("a.png", 9)]), [1, 0, 1]),
        (Subset(Untouchable(samples=[("a.png", 1), ("b.png", 0), ("c.png", 2)]), [2, 1]), [2, 0]),
        (pd.Series([3, 1], dtype="Int64"), [3, 1]),
        (np.array([True, False], dtype=object), [True, False]),
    ],
)
def test_labels_are_found(dataset, expected):
    assert labels_of(dataset).tolist() == expected


def test_labels_on_a_device(device):
    assert labels_of(torch.tensor([2, 3], device=device)).tolist() == [2, 3]


@pytest.mark.parametrize("dataset", [Untouchable(), Untouchable(targets=None), object(), 3, None])
def test_what_to_pass_is_said(dataset):
    with pytest.raises(TypeError, match="Pass the labels themselves"):
        labels_of(dataset)


class Column:
    """Of a Hugging Face dataset of version 4: a list after slicing."""

    def __init__(self, values):
        self.values = values

    def __getitem__(self, index):
        return self.values[index]


class HuggingFaceDataset:
    """Reads by column name, or decodes a whole sample."""

    features = {"image": "Image", "label": "ClassLabel"}  # noqa: RUF012

    def __init__(self, wrap=list, **columns):
        self.columns, self.wrap = columns, wrap
        self.column_names = ["image", *columns]

    def __len__(self):
        return 3

    def __getitem__(self, name):
        assert name in self.columns, "a sample or another column was read"
        return self.wrap(self.columns[name])


@pytest.mark.parametrize("wrap", [list, Column, torch.tensor, np.array])
@pytest.mark.parametrize("name", ["label", "labels"])
def test_hugging_face_datasets_are_read_by_column(wrap, name):
    dataset = HuggingFaceDataset(wrap, **{name: [2, 0, 1]})
    assert labels_of(dataset).tolist() == [2, 0, 1]
    assert labels_of(Subset(dataset, [2, 2])).tolist() == [1, 1]
    assert labels_of(ConcatDataset([dataset, Subset(dataset, [0])])).tolist() == [2, 0, 1, 2]


def test_the_columns_there_are_get_named():
    with pytest.raises(TypeError, match=r"among \['image', 'target'\]"):
        labels_of(HuggingFaceDataset(target=[0]))


def test_polars_series():
    polars = pytest.importorskip("polars")
    assert labels_of(polars.Series([4, 5])).tolist() == [4, 5]
    assert labels_of(polars.Series(["a", "b"])).tolist() == ["a", "b"]
    assert labels_of(polars.Series(["a", "b"], dtype=polars.Categorical)).tolist() == ["a", "b"]
    with pytest.raises(TypeError, match="without gaps"):
        labels_of(polars.Series([1, None]))
    with pytest.raises(ValueError, match="Pass one column"):
        labels_of(polars.DataFrame({"y": [0, 1]}))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint64])
def test_the_order_of_the_classes_holds_over_the_range_of_a_dtype(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for values in ([low, high], [low, low + 255], [max(low, high - 256), high], [low, low + 1]):
        labels = np.array([values[1], values[0], values[1]], dtype=dtype)
        found = class_rows(labels)
        assert found.classes == tuple(map(int, values))
        assert [rows.tolist() for rows in found.rows] == [[1], [0, 2]]


def test_classes_share_the_memory_of_their_rows():
    found = class_rows(np.arange(1000) % 7)
    assert found.rows[3].untyped_storage().data_ptr() == found.rows.order.untyped_storage().data_ptr()
    assert found.rows.order.dtype == torch.int32


def test_tables_and_gaps_are_refused():
    with pytest.raises(ValueError, match=r"shape.*Pass one column"):
        labels_of(pd.DataFrame({"y": [0, 1]}))
    with pytest.raises(TypeError, match="without gaps"):
        labels_of(pd.Series([0, None]))
    with pytest.raises(TypeError, match="without gaps"):
        labels_of(pd.Series(["a", None]))
