"""Tables: reading, column roles, encoding, splitting and fast loading. Needs the ``train`` extra for files."""

from imbalance_torch.data._encoding import TableEncoder
from imbalance_torch.data._loading import TensorLoader
from imbalance_torch.data._resampling import resample_table
from imbalance_torch.data._schema import Schema
from imbalance_torch.data._splitting import Split, check_split_classes, stratified_split, time_split
from imbalance_torch.data._tables import iterate_table, read_table, write_table

__all__ = [
    "Schema",
    "Split",
    "TableEncoder",
    "TensorLoader",
    "check_split_classes",
    "iterate_table",
    "read_table",
    "resample_table",
    "stratified_split",
    "time_split",
    "write_table",
]
