"""The measures of decisions as :class:`torchmetrics.Metric`: states are counts, of any number of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.metrics._decisions import confusion, cost_table, decisions, expected_cost_of, geometric_mean_of


class _Decisions(Metric):
    """Counts the pairs of true and decided class; memory is O(C^2)."""

    is_differentiable = False
    full_state_update = False

    pairs: Tensor

    def __init__(self, num_classes: int, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = check_int("num_classes", num_classes, minimum=1)
        self.threshold = check_number("threshold", threshold)
        self.add_state("pairs", torch.zeros(num_classes**2 + 1, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, target: Tensor) -> None:
        """Add predictions, labels or probabilities (N,) or scores (N, C), and the true classes, (N,)."""
        self.pairs += confusion(*decisions(predictions, target, self.threshold), self.num_classes)


class GeometricMean(_Decisions):
    """Geometric mean of the recalls, see :func:`geometric_mean`.

    Args:
        num_classes: C; 2 for binary probabilities.
        threshold: of binary probabilities.
        **kwargs: of :class:`torchmetrics.Metric`.

    Notes:
        A batch is checked without waiting for the device; the error comes in ``compute``.

    Example:
        >>> import torch
        >>> metric = GeometricMean()
        >>> metric.update(torch.tensor([0.1, 0.7, 0.2, 0.9]), torch.tensor([0, 0, 0, 1]))
        >>> metric.compute()
        tensor(0.8165, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, num_classes: int = 2, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(num_classes, threshold, **kwargs)

    def compute(self) -> Tensor:
        """Return the mean over everything seen."""
        return geometric_mean_of(self.pairs)


class ExpectedCost(_Decisions):
    """Mean cost of the decisions, see :func:`expected_cost`.

    Args:
        cost_matrix: (C, C) finite numbers, true class by decision.
        threshold: of binary probabilities.
        **kwargs: of :class:`torchmetrics.Metric`.

    Notes:
        A batch is checked without waiting for the device; the error comes in ``compute``.

    Example:
        >>> import torch
        >>> metric = ExpectedCost([[0.0, 1.0], [50.0, 0.0]])
        >>> metric.update(torch.tensor([0.1, 0.7, 0.2]), torch.tensor([0, 0, 1]))
        >>> metric.compute()
        tensor(17., dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, cost_matrix: Any, threshold: float = 0.5, **kwargs: Any) -> None:
        costs = cost_table(cost_matrix)
        super().__init__(len(costs), threshold, **kwargs)
        self.costs = costs

    def compute(self) -> Tensor:
        """Return the cost per row over everything seen."""
        return expected_cost_of(self.pairs, self.costs)
