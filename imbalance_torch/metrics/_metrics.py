"""The same measures as :class:`torchmetrics.Metric`: accumulated over batches, gathered over ranks."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.metrics._functional import brier_score, calibration_error, recall_at_precision


class _BinaryScores(Metric):
    """Keeps every score and target; memory is O(N)."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Add the probabilities of the positive class, (N,), and the targets, (N,)."""
        self.probabilities.append(probabilities)  # type: ignore[union-attr,operator]
        self.target.append(target)  # type: ignore[union-attr,operator]

    def _scores(self) -> tuple[Tensor, Tensor]:
        return dim_zero_cat(self.probabilities), dim_zero_cat(self.target)  # type: ignore[arg-type]


class BrierScore(_BinaryScores):
    """Brier score of binary probabilities, see :func:`brier_score`.

    Example:
        >>> import torch
        >>> metric = BrierScore()
        >>> metric.update(torch.tensor([0.1, 0.8]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor(0.0250, dtype=torch.float64)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Return the score over everything seen."""
        return brier_score(*self._scores())


class EqualMassCalibrationError(_BinaryScores):
    """Calibration error of binary probabilities over bins of equal mass, see :func:`calibration_error`.

    Args:
        num_bins: number of bins.
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = EqualMassCalibrationError(num_bins=2)
        >>> metric.update(torch.tensor([0.1, 0.1, 0.7, 0.9]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.1500, dtype=torch.float64)
    """

    higher_is_better = False

    def __init__(self, num_bins: int = 15, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_bins = check_int("num_bins", num_bins, minimum=1)

    def compute(self) -> Tensor:
        """Return the error over everything seen."""
        return calibration_error(*self._scores(), num_bins=self.num_bins)


class RecallAtPrecision(_BinaryScores):
    """Highest recall at a precision floor, 0 where it is never reached, see :func:`recall_at_precision`.

    Args:
        precision: the floor, in (0, 1].
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = RecallAtPrecision(0.6)
        >>> metric.update(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]))
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, precision: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.precision = check_number("precision", precision, exclusive_minimum=0.0, maximum=1.0)

    def compute(self) -> Tensor:
        """Return the recall over everything seen."""
        return recall_at_precision(*self._scores(), precision=self.precision)
