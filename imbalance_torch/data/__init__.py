"""Tables: reading, column roles, encoding, splitting and fast loading. Needs the ``train`` extra for files."""

from imbalance_torch.data._audit import audit
from imbalance_torch.data._encoding import TableEncoder
from imbalance_torch.data._finding import Finding
from imbalance_torch.data._folds import Fold, prequential_folds
from imbalance_torch.data._group_split import group_split
from imbalance_torch.data._loading import TensorLoader
from imbalance_torch.data._multilabel_split import multilabel_stratified_split
from imbalance_torch.data._resampling import resample_table
from imbalance_torch.data._schema import Schema
from imbalance_torch.data._splitting import Split, check_split_classes, stratified_split, time_split
from imbalance_torch.data._streaming import ParquetStream
from imbalance_torch.data._tables import iterate_table, read_table, write_table

__all__ = [
    "Finding",
    "Fold",
    "ParquetStream",
    "Schema",
    "Split",
    "TableEncoder",
    "TensorLoader",
    "audit",
    "check_split_classes",
    "group_split",
    "iterate_table",
    "multilabel_stratified_split",
    "prequential_folds",
    "read_table",
    "resample_table",
    "stratified_split",
    "time_split",
    "write_table",
]
