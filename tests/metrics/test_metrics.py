"""The torchmetrics classes: batches add up to the function on all rows."""

import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from imbalance_torch.metrics import (
    BrierScore,
    EqualMassCalibrationError,
    RecallAtPrecision,
    brier_score,
    calibration_error,
    recall_at_precision,
)

CASES = [
    (lambda: BrierScore(), brier_score),
    (lambda: EqualMassCalibrationError(num_bins=7), lambda p, y: calibration_error(p, y, 7)),
    (lambda: RecallAtPrecision(0.2), lambda p, y: recall_at_precision(p, y, 0.2)),
]
cases = pytest.mark.parametrize(("build", "function"), CASES, ids=["brier", "calibration", "recall"])


@pytest.fixture
def scores(generator):
    p = (torch.rand(501, generator=generator) * 50).round() / 50
    return p, (torch.rand(501, generator=generator) < p / 4).long()


def feed(metric, p, y, sizes=(1, 100, 0, 300, 100)):
    for batch in zip(p.split(sizes), y.split(sizes), strict=True):
        metric.update(*batch)
    return metric


@cases
def test_batches_add_up_to_the_function_on_all_rows(build, function, scores, device):
    p, y = (tensor.to(device) for tensor in scores)
    metric = feed(build().to(device), p, y)
    assert metric.compute() == function(p, y)
    metric.reset()
    assert feed(metric, p[:100], y[:100], [50, 50]).compute() == function(p[:100], y[:100])


@cases
def test_forward_gives_the_value_of_the_batch_and_keeps_the_rest(build, function, scores):
    p, y = scores
    metric = build()
    metric(p[:200], y[:200])
    assert metric(p[200:], y[200:]) == function(p[200:], y[200:])
    assert metric.compute() == function(p, y)


@cases
def test_pickling_keeps_what_was_seen(build, function, scores):
    metric = pickle.loads(pickle.dumps(feed(build(), *scores)))
    assert metric.compute() == function(*scores)


@cases
def test_the_direction_is_stated(build, function, scores):
    p, y = scores
    perfect = function(y.double(), y)
    assert (perfect > function(p, y)) == build().higher_is_better
    assert build().higher_is_better in (True, False)


def test_in_a_collection(scores):
    metrics = MetricCollection({str(i): build() for i, (build, _) in enumerate(CASES)})
    for _ in range(2):
        feed(metrics, *scores)
        values = metrics.compute()
        assert [values[str(i)].item() for i in range(3)] == [function(*scores).item() for _, function in CASES]
        metrics.reset()


@cases
def test_gathered_over_ranks(build, function, scores, monkeypatch):
    p, y = scores
    metric = feed(build(), p[:200], y[:200], [200])
    other = {200: (p[200:], y[200:])}

    def gather(tensor, group=None):
        rest = next(rest for rest in other[200] if rest.dtype == tensor.dtype)
        return [tensor, rest]

    metric.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert metric._scores()[0].shape == (501,)
    metric.unsync()
    metric.dist_sync_fn, metric.distributed_available_fn = gather, lambda: True
    assert metric.compute() == function(p, y)


def test_bad_arguments_are_refused_at_once():
    with pytest.raises(ValueError, match="`num_bins` must be >= 1"):
        EqualMassCalibrationError(num_bins=0)
    with pytest.raises(ValueError, match="`precision` must be <= 1"):
        RecallAtPrecision(2.0)


@cases
def test_scores_that_are_no_probabilities_are_refused(build, function):
    metric = build()
    metric.update(torch.tensor([0.5, float("nan")]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        metric.compute()
