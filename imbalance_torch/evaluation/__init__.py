"""Comparison of techniques, its statistics and its report."""

from imbalance_torch.evaluation._advice import Advice, advise
from imbalance_torch.evaluation._arms import ESTIMATORS, parse_technique
from imbalance_torch.evaluation._compare import Comparison, compare
from imbalance_torch.evaluation._facts import DataFacts, data_facts
from imbalance_torch.evaluation._inspect import inspect
from imbalance_torch.evaluation._plots_decisions import plot_alerts, plot_confusion, plot_threshold_cost
from imbalance_torch.evaluation._plots_probabilities import plot_drift, plot_reliability
from imbalance_torch.evaluation._plots_ranking import plot_pr, plot_roc, plot_score_histogram
from imbalance_torch.evaluation._plots_training import (
    plot_embedding_neighbours,
    plot_gradient_share,
    plot_training_prior,
)
from imbalance_torch.evaluation._race import Race, race
from imbalance_torch.evaluation._report import Report, write_report
from imbalance_torch.evaluation._reporting import compare_into, load_comparison, report
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.evaluation._statistics import (
    Effect,
    PairedTest,
    corrected_resampled_t_test,
    detectable_difference,
    holm,
    mean_ranks,
    paired_t_test,
    verdicts,
)
from imbalance_torch.evaluation._table import Table, as_text
from imbalance_torch.evaluation._tuning import Tuning, tune
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision

__all__ = [
    "ESTIMATORS",
    "Advice",
    "Comparison",
    "DataFacts",
    "Effect",
    "PairedTest",
    "Race",
    "Report",
    "Scored",
    "Table",
    "Tuning",
    "advise",
    "as_text",
    "bootstrap_average_precision",
    "compare",
    "compare_into",
    "corrected_resampled_t_test",
    "data_facts",
    "detectable_difference",
    "holm",
    "inspect",
    "load_comparison",
    "mean_ranks",
    "paired_t_test",
    "parse_technique",
    "plot_alerts",
    "plot_confusion",
    "plot_drift",
    "plot_embedding_neighbours",
    "plot_gradient_share",
    "plot_pr",
    "plot_reliability",
    "plot_roc",
    "plot_score_histogram",
    "plot_threshold_cost",
    "plot_training_prior",
    "race",
    "report",
    "tune",
    "verdicts",
    "write_report",
]
