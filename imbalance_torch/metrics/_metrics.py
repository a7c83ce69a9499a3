"""The same measures as :class:`torchmetrics.Metric`: accumulated over batches, gathered over ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.metrics._cards import card_precision_at_k
from imbalance_torch.metrics._functional import brier_score, calibration_error
from imbalance_torch.metrics._ranking import (
    average_precision,
    check_recall_floor,
    multiclass_average_precision,
    multilabel_average_precision,
    partial_auroc,
    precision_at_k,
    recall_at_precision,
)

_NO_SCORES = torch.empty(0, dtype=torch.float64)
_NO_NUMBERS = torch.empty(0, dtype=torch.int64)
_BINARY = {"probabilities": _NO_SCORES, "target": _NO_SCORES}


class _Rows(Metric):
    """Keeps every row; memory is O(N)."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, empty: dict[str, Tensor] = _BINARY, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._empty = empty
        for name in empty:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Add the probabilities of the positive class, (N,), and the targets, (N,)."""
        self._append(probabilities=probabilities, target=target)

    def _append(self, **columns: Tensor) -> None:
        for name, values in columns.items():
            getattr(self, name).append(values.detach())

    def _columns(self) -> list[Tensor]:
        seen = [(getattr(self, name), empty) for name, empty in self._empty.items()]
        return [dim_zero_cat(rows) if len(rows) else empty.to(self.device) for rows, empty in seen]

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A collective needs the same dtype and number of dimensions everywhere, also where no row was seen.
        for (name, empty), rows in zip(self._empty.items(), self._columns(), strict=True):
            setattr(self, name, [rows.to(empty.dtype)])
        super()._sync_dist(*args, **kwargs)


class BrierScore(_Rows):
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
        return brier_score(*self._columns())


class EqualMassCalibrationError(_Rows):
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
        probabilities, target = self._columns()
        return calibration_error(probabilities, target, num_bins=self.num_bins)


class RecallAtPrecision(_Rows):
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
        probabilities, target = self._columns()
        return recall_at_precision(probabilities, target, precision=self.precision)


class AveragePrecision(_Rows):
    """Exact average precision of binary scores, see :func:`average_precision`.

    For bounded memory see :class:`BinnedAveragePrecision`.

    Example:
        >>> import torch
        >>> metric = AveragePrecision()
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute()
        tensor(0.8333, dtype=torch.float64)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Return the value over everything seen."""
        return average_precision(*self._columns())


class MulticlassAveragePrecision(_Rows):
    """Exact macro average precision, one class against the rest, see :func:`multiclass_average_precision`.

    Args:
        num_classes: columns of the scores.
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = MulticlassAveragePrecision(num_classes=3)
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.1, 0.4]])
        >>> metric.update(p, torch.tensor([0, 1, 2]))
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        width = check_int("num_classes", num_classes, minimum=1)
        super().__init__({"probabilities": _NO_SCORES.new_empty(0, width), "target": _NO_NUMBERS}, **kwargs)

    def compute(self) -> Tensor:
        """Return the value over everything seen."""
        return multiclass_average_precision(*self._columns())


class MultilabelAveragePrecision(_Rows):
    """Exact macro average precision of labels, see :func:`multilabel_average_precision`.

    Args:
        num_labels: columns of the scores and of the target.
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = MultilabelAveragePrecision(num_labels=2)
        >>> scores = torch.tensor([[0.9, 0.2], [0.8, 0.6], [0.1, 0.7]])
        >>> metric.update(scores, torch.tensor([[1, 0], [0, 1], [1, 0]]))
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, num_labels: int, **kwargs: Any) -> None:
        none = _NO_SCORES.new_empty(0, check_int("num_labels", num_labels, minimum=1))
        super().__init__({"probabilities": none, "target": none}, **kwargs)

    def compute(self) -> Tensor:
        """Return the value over everything seen."""
        return multilabel_average_precision(*self._columns())


class PartialAUROC(_Rows):
    """Area of the ROC above a recall floor, see :func:`partial_auroc`.

    Args:
        recall: the floor, in [0, 1).
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = PartialAUROC(recall=0.5)
        >>> metric.update(torch.tensor([0.9, 0.6, 0.4, 0.3, 0.2]), torch.tensor([1, 0, 1, 0, 0]))
        >>> metric.compute()
        tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, recall: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recall = check_recall_floor(recall)

    def compute(self) -> Tensor:
        """Return the area over everything seen."""
        probabilities, target = self._columns()
        return partial_auroc(probabilities, target, recall=self.recall)


class PrecisionAtK(_Rows):
    """Share of positives among the k highest scores, see :func:`precision_at_k`.

    Args:
        k: rows that can be looked at.
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = PrecisionAtK(k=2)
        >>> metric.update(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.k = check_int("k", k, minimum=1)

    def compute(self) -> Tensor:
        """Return the share over everything seen."""
        probabilities, target = self._columns()
        return precision_at_k(probabilities, target, k=self.k)


class CardPrecisionAtK(_Rows):
    """Share of compromised cards under a daily budget, see :func:`card_precision_at_k`.

    Args:
        k: cards that can be looked at in a day.
        **kwargs: of :class:`torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = CardPrecisionAtK(k=1)
        >>> metric.update(
        ...     torch.tensor([0.9, 0.2, 0.8]),
        ...     torch.tensor([1, 0, 0]),
        ...     days=torch.tensor([0, 0, 1]),
        ...     cards=torch.tensor([1, 2, 3]),
        ... )
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__({**_BINARY, "days": _NO_NUMBERS, "cards": _NO_NUMBERS}, **kwargs)
        self.k = check_int("k", k, minimum=1)

    def update(self, probabilities: Tensor, target: Tensor, days: Tensor, cards: Tensor) -> None:  # type: ignore[override]
        """Add scores, targets, days and cards of transactions, (N,) each."""
        self._append(probabilities=probabilities, target=target, days=days, cards=cards)

    def compute(self) -> Tensor:
        """Return the mean over all days seen."""
        probabilities, target, days, cards = self._columns()
        return card_precision_at_k(probabilities, target, days, cards, k=self.k)
