import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from imbalance_torch.samplers import labels_of


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


def test_tables_and_gaps_are_refused():
    with pytest.raises(ValueError, match="shape"):
        labels_of(pd.DataFrame({"y": [0, 1]}))
    with pytest.raises(TypeError, match="without gaps"):
        labels_of(pd.Series([0, None]))
    with pytest.raises(TypeError, match="without gaps"):
        labels_of(pd.Series(["a", None]))
