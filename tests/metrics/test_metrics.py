"""The torchmetrics classes: batches add up to the function on all rows."""

import pickle

import pytest
import torch
from torchmetrics import MetricCollection

from imbalance_torch.metrics import (
    AveragePrecision,
    BinnedAveragePrecision,
    BrierScore,
    CardPrecisionAtK,
    EqualMassCalibrationError,
    ExpectedCost,
    GeometricMean,
    MulticlassAveragePrecision,
    MultilabelAveragePrecision,
    PartialAUROC,
    PrecisionAtK,
    RecallAtPrecision,
    average_precision,
    brier_score,
    calibration_error,
    card_precision_at_k,
    expected_cost,
    geometric_mean,
    multiclass_average_precision,
    multilabel_average_precision,
    partial_auroc,
    precision_at_k,
    recall_at_precision,
)

COSTS = [[0, 1], [30, 2]]
CASES = {
    "brier": (lambda: BrierScore(), brier_score),
    "calibration": (lambda: EqualMassCalibrationError(num_bins=7), lambda p, y: calibration_error(p, y, 7)),
    "recall": (lambda: RecallAtPrecision(0.2), lambda p, y: recall_at_precision(p, y, 0.2)),
    "ap": (lambda: AveragePrecision(), average_precision),
    "partial": (lambda: PartialAUROC(0.8), lambda p, y: partial_auroc(p, y, 0.8)),
    "precision": (lambda: PrecisionAtK(20), lambda p, y: precision_at_k(p, y, 20)),
    "gmean": (lambda: GeometricMean(threshold=0.7), lambda p, y: geometric_mean(p, y, threshold=0.7)),
    "cost": (lambda: ExpectedCost(COSTS, threshold=0.7), lambda p, y: expected_cost(p, y, COSTS, threshold=0.7)),
}
cases = pytest.mark.parametrize(("build", "function"), CASES.values(), ids=list(CASES))


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
    metrics = MetricCollection({name: build() for name, (build, _) in CASES.items()})
    for _ in range(2):
        feed(metrics, *scores)
        values = metrics.compute()
        assert values == {name: function(*scores) for name, (_, function) in CASES.items()}
        metrics.reset()


def test_several_classes_and_labels_in_batches(generator):
    p = torch.rand(90, 3, generator=generator)
    classes, labels = torch.randint(3, (90,), generator=generator), (p > 0.6).long().roll(1, 0)
    for metric, function, y in (
        (MulticlassAveragePrecision(3), multiclass_average_precision, classes),
        (MultilabelAveragePrecision(3), multilabel_average_precision, labels),
        (GeometricMean(3), geometric_mean, classes),
        (ExpectedCost(1 - torch.eye(3)), lambda p, y: expected_cost(p, y, 1 - torch.eye(3)), classes),
    ):
        assert feed(metric, p, y, (40, 0, 50)).compute() == function(p, y)


def test_cards_in_batches(generator):
    s, y = torch.rand(90, generator=generator), torch.randint(2, (90,), generator=generator)
    days, cards = torch.randint(4, (90,), generator=generator), torch.randint(20, (90,), generator=generator)
    metric = CardPrecisionAtK(k=3)
    for rows in torch.arange(90).split(40):
        metric.update(s[rows], y[rows], days=days[rows], cards=cards[rows])
    assert metric.compute() == card_precision_at_k(s, y, days, cards, k=3)


ALL = [
    *(build for build, _ in CASES.values()),
    BinnedAveragePrecision,
    lambda: MulticlassAveragePrecision(3),
    lambda: MultilabelAveragePrecision(3),
    lambda: CardPrecisionAtK(3),
]


@pytest.mark.parametrize("build", ALL, ids=[type(build()).__name__ for build in ALL])
def test_what_torchmetrics_wants_to_know_is_stated(build):
    metric = build()
    assert metric.higher_is_better in (True, False)
    assert metric.is_differentiable is False
    assert metric.full_state_update is False


@pytest.mark.parametrize("build", ALL, ids=[type(build()).__name__ for build in ALL])
@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_without_rows_the_error_says_so(build):
    with pytest.raises(ValueError, match=r"N > 0|at least one (row|positive)"):
        build().compute()


def test_bad_arguments_are_refused_at_once():
    with pytest.raises(ValueError, match="`num_bins` must be >= 1"):
        EqualMassCalibrationError(num_bins=0)
    with pytest.raises(ValueError, match="`precision` must be <= 1"):
        RecallAtPrecision(2.0)
    with pytest.raises(ValueError, match="`recall` must be < 1"):
        PartialAUROC(1.0)
    with pytest.raises(ValueError, match="`k` must be >= 1"):
        PrecisionAtK(0)
    with pytest.raises(ValueError, match="`k` must be >= 1"):
        CardPrecisionAtK(0)
    with pytest.raises(ValueError, match="`num_classes` must be >= 1"):
        MulticlassAveragePrecision(0)
    with pytest.raises(ValueError, match="`num_labels` must be >= 1"):
        MultilabelAveragePrecision(0)
    with pytest.raises(ValueError, match="`cost_matrix` must have shape"):
        ExpectedCost([1.0])


@cases
def test_scores_that_are_no_probabilities_are_refused(build, function):
    metric = build()
    metric.update(torch.tensor([0.5, float("nan")]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]|must be finite|probabilities in \[0, 1\]"):
        metric.compute()
