"""Comparison of techniques, its statistics and its report."""

from imbalance_torch.evaluation._compare import Arm, Comparison, compare
from imbalance_torch.evaluation._inspect import inspect
from imbalance_torch.evaluation._report import compare_into, write_report
from imbalance_torch.evaluation._table import as_text
from imbalance_torch.evaluation._tuning import Tuning, tune
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision

__all__ = [
    "Arm",
    "Comparison",
    "Tuning",
    "as_text",
    "bootstrap_average_precision",
    "compare",
    "compare_into",
    "inspect",
    "tune",
    "write_report",
]
