"""Plots against scikit-learn: the drawn lines hold its numbers, ties included; bands, bins and windows hold theirs."""

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from imbalance_torch import evaluation
from imbalance_torch.evaluation import (
    Scored,
    plot_alerts,
    plot_confusion,
    plot_drift,
    plot_embedding_neighbours,
    plot_gradient_share,
    plot_pr,
    plot_reliability,
    plot_roc,
    plot_score_histogram,
    plot_threshold_cost,
    plot_training_prior,
)
from imbalance_torch.evaluation._curves import cuts, precision_band, recall_band, wilson
from tests.evaluation.report_cases import many_classes, two_classes

OF_ONE_MODEL = [
    plot_alerts,
    plot_confusion,
    plot_drift,
    plot_pr,
    plot_reliability,
    plot_roc,
    plot_score_histogram,
    plot_threshold_cost,
    plot_training_prior,
]
TIED = [0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.7, 0.7, 0.9]
LOG = {
    "step": [0, 9, 19],
    "train/gradient_share_minority": [np.nan, 0.2, 0.4],
    "train/gradient_share_easy_negatives": [np.nan, 0.6, 0.3],
}


def small(p, target, **changes):
    both = np.stack([1 - np.asarray(p), p], 1)
    shares = [0.5, 0.5]
    values = ["small", np.asarray(target), both, both, ["no", "yes"], 0.5, shares, shares, "none", ""]
    return replace(Scored(*values), **changes)


@pytest.fixture
def tied():
    return small(TIED, [0, 0, 1, 0, 1, 0, 0, 1, 1])


def line(ax, name):
    return next(found for found in ax.get_lines() if str(found.get_label()).startswith(name))


def area_under_steps(drawn):
    """Return the area under a line that reaches its next height at once."""
    assert drawn.get_drawstyle() == "steps-pre"
    x, y = drawn.get_data()
    return float((np.diff(x) * y[1:]).sum())


@pytest.mark.parametrize("make", [two_classes, many_classes])
def test_the_area_under_the_drawn_pr_curve_is_the_average_precision(make):
    scored = make()
    index = scored.positive
    drawn = line(plot_pr(scored), scored.name)
    expected = average_precision_score(scored.target == index, scored.corrected[:, index])
    assert_allclose(area_under_steps(drawn), expected)
    assert f"AP {expected:.3f}" in drawn.get_label()


def test_the_pr_curve_has_the_points_of_scikit_learn_at_ties(tied):
    precision, recall, _ = precision_recall_curve(tied.target, TIED)
    drawn = line(plot_pr(tied), "small")
    assert_allclose(drawn.get_xdata()[1:], recall[:-1][::-1])
    assert_allclose(drawn.get_ydata()[1:], precision[:-1][::-1])
    assert len(drawn.get_xdata()) == 5


def test_curves_do_not_depend_on_the_order_of_tied_rows(tied):
    backwards = small(TIED[::-1], tied.target[::-1])
    for plot in (plot_pr, plot_roc, plot_threshold_cost, plot_reliability):
        for first, second in zip(plot(tied).get_lines(), plot(backwards).get_lines(), strict=True):
            assert_allclose(first.get_xydata(), second.get_xydata())


@pytest.mark.parametrize("make", [two_classes, many_classes])
def test_the_roc_curve_is_that_of_scikit_learn(make):
    scored = make()
    positive, p = scored.target == scored.positive, scored.corrected[:, scored.positive]
    fall_out, recall, _ = roc_curve(positive, p, drop_intermediate=False)
    drawn = line(plot_roc(scored), scored.name)
    assert_allclose(drawn.get_xdata(), fall_out)
    assert_allclose(drawn.get_ydata(), recall)
    assert f"AUROC {roc_auc_score(positive, p):.3f}" in drawn.get_label()


def test_the_label_chooses_the_class():
    scored = many_classes()
    drawn = line(plot_pr(scored, label="cover 1"), scored.name)
    assert_allclose(area_under_steps(drawn), average_precision_score(scored.target == 1, scored.corrected[:, 1]))
    with pytest.raises(ValueError, match="one of"):
        plot_pr(scored, label="cover 9")


def test_a_class_without_rows_has_no_curve():
    scored = many_classes(3)
    target = np.where(scored.target == 2, 0, scored.target)
    with pytest.raises(ValueError, match="no test rows"):
        plot_roc(replace(scored, target=target), label="cover 2")
    assert replace(scored, target=target).positive == 1


def rows_resampled(positive, p, value, replicates, seed):
    """Return the 2.5 and 97.5 % points of a value over rows drawn with replacement within classes."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    drawn = (np.concatenate([rng.choice(side, len(side)) for side in sides]) for _ in range(replicates))
    return np.quantile([value(positive[rows], p[rows]) for rows in drawn], [0.025, 0.975], axis=0)


def test_bands_are_those_of_resampled_rows():
    scored = two_classes(rows=1500, prevalence=0.1)
    positive, p, grid = scored.target == 1, np.round(scored.corrected[:, 1], 2), np.array([0.1, 0.3, 0.6, 0.9])

    def precision_at(positive, p):
        precision, recall, _ = precision_recall_curve(positive, p)
        return [precision[np.flatnonzero(recall >= at - 1e-9)[-1]] for at in grid]

    def recall_at(positive, p):
        return np.interp(grid, *roc_curve(positive, p, drop_intermediate=False)[:2])

    curve = cuts(positive, p)
    for band, value in ((precision_band, precision_at), (recall_band, recall_at)):
        expected = rows_resampled(positive, p, value, 600, seed=3)
        width = expected[1] - expected[0]
        assert np.all(np.abs(np.array(band(curve, grid)) - expected) < 0.25 * width + 0.005)


def test_bands_hold_the_curve_and_are_the_same_twice(tied):
    scored, grid = two_classes(), np.linspace(0.05, 1, 20)
    curve = cuts(scored.target == 1, scored.corrected[:, 1])
    low, high = precision_band(curve, grid)
    at = curve.precision[np.searchsorted(curve.recall, grid - 1e-9)]
    assert np.all((low <= at) & (at <= high))
    assert_array_equal(precision_band(curve, grid), (low, high))
    assert np.all(np.isfinite(precision_band(cuts(tied.target == 1, np.array(TIED)), grid)))


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (3, 10), (10, 10), (7, 20_000)])
def test_wilson_intervals_are_those_of_scipy(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert_allclose(wilson(np.array([hits]), np.array([count])), [[expected.low], [expected.high]], atol=1e-12)


@pytest.mark.parametrize("corrected", [True, False])
def test_reliability_has_the_bins_of_scikit_learn(corrected):
    scored = two_classes(rows=4002)  # edges of the bins fall between rows, where both definitions agree
    p = (scored.corrected if corrected else scored.raw)[:, 1]
    observed, predicted = calibration_curve(scored.target, p, n_bins=15, strategy="quantile")
    ax = plot_reliability(scored, corrected=corrected)
    drawn = ax.containers[0].lines[0]
    assert_allclose(drawn.get_xdata(), predicted)
    assert_allclose(drawn.get_ydata(), observed)
    assert len(predicted) == 15


def test_cost_is_that_of_the_decisions():
    scored = two_classes(rows=300)
    drawn = line(plot_threshold_cost(scored, false_negative_cost=7, false_positive_cost=2), "focal")
    p = scored.corrected[:, 1]
    for threshold, cost in list(zip(*drawn.get_data(), strict=True))[1::23]:
        missed = ((p < threshold) & (scored.target == 1)).sum()
        alarms = ((p >= threshold) & (scored.target == 0)).sum()
        assert_allclose(cost, (7 * missed + 2 * alarms) / 300)
    assert_allclose(drawn.get_ydata()[0], 7 * scored.target.mean())


def test_alerts_are_counted_per_day_where_there_are_days(tied):
    assert plot_alerts(tied).get_ylabel() == "alerts"
    assert plot_alerts(replace(tied, time=np.arange(9))).get_ylabel() == "alerts"
    time = np.datetime64("2024-01-01T23:00") + np.arange(9) * np.timedelta64(1, "h")
    ax = plot_alerts(replace(tied, time=time))
    assert ax.get_ylabel() == "alerts per day"
    assert_allclose(line(ax, "alerts").get_ydata(), np.array([0, 1, 3, 6, 9]) / 2)
    right = next(other for other in ax.figure.axes if other is not ax)
    assert_allclose(right.get_lines()[0].get_ydata()[1:], [1, 2 / 3, 3 / 6, 4 / 9])


def test_confusion_counts_the_decisions():
    for scored in (two_classes(), many_classes()):
        counts = [int(text.get_text().split("\n")[0].replace(",", "")) for text in plot_confusion(scored).texts]
        assert counts == confusion_matrix(scored.target, scored.decided).ravel().tolist()


def test_confusion_pools_what_is_beyond_the_rarest():
    scored = many_classes(8)
    ax = plot_confusion(scored, max_classes=3)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["cover 5", "cover 6", "cover 7", "others"]
    assert sum(int(text.get_text().split("\n")[0].replace(",", "")) for text in ax.texts) == len(scored.target)


def test_drift_windows_hold_prevalence_mean_and_ap():
    scored = two_classes(rows=1000, prevalence=0.2)
    ax = plot_drift(scored, num_windows=4)
    parts = np.array_split(np.arange(1000), 4)
    assert_allclose(line(ax, "prevalence").get_ydata(), [scored.target[part].mean() for part in parts])
    assert_allclose(line(ax, "mean").get_ydata(), [scored.corrected[part, 1].mean() for part in parts])
    right = next(other for other in ax.figure.axes if other is not ax)
    expected = [average_precision_score(scored.target[part], scored.corrected[part, 1]) for part in parts]
    assert_allclose(right.get_lines()[0].get_ydata(), expected)


def test_drift_keeps_equal_times_together_and_bears_windows_without_positives(tied):
    ax = plot_drift(replace(tied, time=np.zeros(9)))
    assert_allclose(line(ax, "prevalence").get_ydata(), [4 / 9])
    sorted_by_class = small([0.2] * 6, [0, 0, 0, 0, 1, 1], time=np.arange(6.0))
    right = plot_drift(sorted_by_class, num_windows=3).figure.axes[1]
    assert np.isnan(right.get_lines()[0].get_ydata()).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="no time"):
        plot_drift(tied)


@pytest.mark.parametrize("step", ["1ms", "1s", "7s", "3m", "1h", "5h", "1D", "9D", "40D", "400D", "4000D"])
def test_drift_has_dates_of_any_span(step, tied):
    time = pd.date_range("1901-01-01", periods=9, freq=step.replace("m", "min") if step.endswith("m") else step)
    ax = plot_drift(replace(tied, time=time.to_numpy()))
    ax.figure.savefig("/dev/null", format="svg")
    assert 2 <= len(ax.get_xticks()) <= 9


def test_the_training_prior_goes_from_frequent_to_rare():
    scored = replace(many_classes(3), prior=[0.1, 0.7, 0.2])
    ax = plot_training_prior(scored)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cover 1", "cover 2", "cover 0"]
    assert_allclose(line(ax, "data").get_ydata(), [0.7, 0.2, 0.1])
    assert_allclose(line(ax, "mean raw").get_ydata(), scored.raw.mean(0)[[1, 2, 0]])


def test_gradient_shares_come_from_a_table_or_a_file(tmp_path):
    table = pd.DataFrame(LOG)
    table.to_csv(tmp_path / "metrics.csv", index=False)
    for log in (table, tmp_path / "metrics.csv", str(tmp_path / "metrics.csv")):
        ax = plot_gradient_share(log)
        assert_allclose(line(ax, "rarest").get_xydata(), [[9, 0.2], [19, 0.4]])
        assert_allclose(line(ax, "easy").get_xydata(), [[9, 0.6], [19, 0.3]])
    with pytest.raises(ValueError, match="GradientShareMonitor"):
        plot_gradient_share(table.drop(columns="train/gradient_share_minority"))


def test_neighbours_are_counted_among_real_rows():
    rows = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [1.9, 0, 0]])
    ax = plot_embedding_neighbours(rows, [0, 0, 1, 1, 1], k_neighbors=2, is_synthetic=[False] * 4 + [True])
    shares = {points.get_label(): points.get_array().tolist() for points in ax.collections[:3]}
    assert shares == {"0": [0.5, 0.5], "1": [0.5, 0.5], "1, synthetic": [0.5]}


def test_an_embedding_of_one_column_is_drawn_and_nan_is_refused():
    ax = plot_embedding_neighbours(np.array([[0.0], [1.0], [5.0], [6.0]]), ["a", "a", "b", "b"], k_neighbors=1)
    assert sum(len(points.get_offsets()) for points in ax.collections[:2]) == 4
    with pytest.raises(ValueError, match="NaN"):
        plot_embedding_neighbours(np.array([[0.0], [np.nan], [5.0]]), [0, 0, 1], k_neighbors=1)
    with pytest.raises(ValueError, match="same number of rows"):
        plot_embedding_neighbours(np.zeros((3, 2)), [0, 1])


@pytest.mark.parametrize("plot", OF_ONE_MODEL)
def test_axes_in_and_out_without_pyplot(plot):
    before, figure = plt.get_fignums(), Figure()
    ax = figure.subplots()
    assert plot(two_classes(), ax) is ax
    assert ax.get_title()
    assert isinstance(plot(two_classes()), Axes)
    assert plt.get_fignums() == before


@pytest.mark.parametrize("plot", [plot_pr, plot_roc, plot_reliability, plot_threshold_cost])
def test_models_differ_in_colour_and_in_line(plot):
    found = [replace(two_classes(), name=f"model {index}") for index in range(3)]
    ax = plot(found)
    drawn = [element for element in ax.get_lines() if str(element.get_label()).startswith("model")]
    drawn += [container.lines[0] for container in ax.containers]
    looks = {(element.get_color(), element.get_linestyle()) for element in drawn}
    assert len({color for color, _ in looks}) == len({style for _, style in looks}) == 3
    with pytest.raises(TypeError, match="Scored"):
        plot([])


@pytest.mark.parametrize("plot", [plot_threshold_cost, plot_alerts])
def test_costs_and_alerts_are_of_two_classes(plot):
    with pytest.raises(ValueError, match="two classes"):
        plot(many_classes())


@pytest.mark.parametrize(("argument", "value"), [("false_negative_cost", 0), ("false_positive_cost", -1.0)])
def test_a_cost_is_positive(argument, value):
    with pytest.raises(ValueError, match=argument):
        plot_threshold_cost(two_classes(), **{argument: value})


@pytest.mark.parametrize("plot", OF_ONE_MODEL)
@pytest.mark.parametrize(
    "p", [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [1e-300, 2e-300]], ids=["right", "constant", "wrong", "tiny"]
)
def test_two_rows_are_drawn(plot, p):
    scored = small(p, [0, 1], name="_$x^$", classes=["_a$", "b$^{"], time=np.arange(2.0))
    plot(scored).figure.savefig("/dev/null", format="svg")


@pytest.mark.parametrize("plot", [plot_pr, plot_roc])
def test_a_name_that_starts_with_an_underscore_stands_in_the_legend(plot):
    texts = [text.get_text() for text in plot(replace(two_classes(), name="_$a$")).get_legend().get_texts()]
    assert any(r"_\$a\$" in text for text in texts)


@pytest.mark.parametrize("threshold", [0.0, 1.0, np.inf, 5])
def test_thresholds_at_the_ends_are_drawn(threshold, tied):
    scored = replace(tied, threshold=threshold)
    for plot in (plot_alerts, plot_threshold_cost, plot_score_histogram, plot_confusion):
        plot(scored).figure.savefig("/dev/null", format="svg")
    assert scored.decided.tolist() == [int(value >= threshold) for value in TIED]


def test_decisions_are_those_of_the_model():
    p = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]], dtype=torch.float64)
    shares = [0.4, 0.3, 0.3]
    scored = Scored("m", torch.tensor([0, 2]), p, p, list("abc"), [0.9, 0.9, 0.1], shares, shares, "none", "")
    assert scored.decided.tolist() == [2, 2]
    assert replace(scored, threshold=None).decided.tolist() == [0, 1]


BAD = [
    ({"target": [0.0, 1.0, 0.0]}, TypeError, "integers"),
    ({"target": [0, 1]}, ValueError, "number of rows"),
    ({"target": [0, 0, 0]}, ValueError, "two classes"),
    ({"target": [0, 1, 2]}, ValueError, "0..1"),
    ({"target": [0, 1, -1]}, ValueError, "0..1"),
    ({"target": [[0], [1], [0]]}, ValueError, "shape"),
    ({"corrected": [[0.5, 0.5], [np.nan, 0.5], [0.5, 0.5]]}, ValueError, "NaN"),
    ({"raw": [[0.5, 0.5], [1.2, 0.5], [0.5, 0.5]]}, ValueError, "raw"),
    ({"raw": [0.5, 0.5, 0.5]}, ValueError, "shape"),
    ({"classes": ["a", "b", "c"]}, ValueError, "shape"),
    ({"threshold": np.nan}, ValueError, "threshold"),
    ({"threshold": -0.1}, ValueError, "threshold"),
    ({"threshold": [0.5, 0.0]}, ValueError, "threshold"),
    ({"prior": [0.5]}, ValueError, "prior"),
    ({"train_shares": [0.5, np.nan]}, ValueError, "train_shares"),
    ({"time": ["a", "b", "c"]}, TypeError, "time"),
    ({"time": [0.0, np.nan, 1.0]}, ValueError, "missing"),
    ({"time": np.array(["2024-01-01", "NaT", "2024-01-02"], dtype="datetime64[s]")}, ValueError, "missing"),
    ({"time": [0.0, 1.0]}, ValueError, "number of rows"),
    ({"group": ["a"]}, ValueError, "number of rows"),
]


@pytest.mark.parametrize(
    ("change", "error", "text"), BAD, ids=[f"{next(iter(c))}-{i}" for i, (c, _, _) in enumerate(BAD)]
)
def test_bad_rows_are_refused(change, error, text):
    with pytest.raises(error, match=re.escape(text)):
        replace(small([0.2, 0.8, 0.4], [0, 1, 0]), **change)


def test_rows_are_copied_and_times_lose_their_zone():
    p = np.array([[0.8, 0.2], [0.1, 0.9]])
    days = pd.Series(pd.date_range("2024-01-01 23:30", periods=2, freq="h", tz="America/New_York"))
    shares = [0.5, 0.5]
    for time in (days, days.to_numpy()):
        scored = Scored("m", np.array([0, 1]), p, p, ["a", "b"], 0.5, shares, shares, "none", "", time=time)
        assert_array_equal(scored.time, np.array(["2024-01-02T04:30", "2024-01-02T05:30"], dtype="datetime64[ns]"))
        assert scored.days == 1
    p[:] = 0
    assert scored.corrected[0, 0] == 0.8


def test_every_plot_is_tested_here():
    names = {name for name in evaluation.__all__ if name.startswith("plot_")}
    assert names == {plot.__name__ for plot in [*OF_ONE_MODEL, plot_gradient_share, plot_embedding_neighbours]}
