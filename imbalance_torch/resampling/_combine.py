"""SMOTE followed by cleaning: rows are added first, then those that neighbours of other classes contradict go."""

from __future__ import annotations

import copy
from typing import Any, Literal

from imbalance_torch._checks import check_choice
from imbalance_torch._random import RandomState
from imbalance_torch.plan import SamplingStrategy
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._edited import EditedNearestNeighbours
from imbalance_torch.resampling._over import OverSampler, Resampled
from imbalance_torch.resampling._smote import SMOTE
from imbalance_torch.resampling._tomek import TomekLinks
from imbalance_torch.resampling._under import Selected, UnderSampler


class Combined:
    """The base of both combinations: an over-sampler adds rows, a cleaner removes some.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Label to rows that are added before cleaning.
        smote_: The over-sampler that added rows.
        sample_indices_: Rows of the given ``X`` that are left, in the order of the result.
    """

    class_counts_: dict[Any, int]
    sampling_strategy_: dict[Any, int]
    smote_: OverSampler
    sample_indices_: Rows

    def __init__(
        self,
        sampling_strategy: SamplingStrategy,
        smote: OverSampler | None,
        random_state: RandomState,
        memory_budget: int | Literal["auto"],
        on_degenerate: str,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.smote = _checked("smote", smote, OverSampler)
        self.random_state = random_state
        self.memory_budget = memory_budget
        self.on_degenerate = check_choice("on_degenerate", on_degenerate, ("warn", "error"))

    def fit_resample(self, X: Rows, y: Rows, *, return_info: bool = False) -> tuple[Rows, ...]:
        """Add rows, clean, and return what is left.

        Args:
            X: (N, d) finite numbers.
            y: (N,) labels of any kind that ``numpy.unique`` takes.
            return_info: Return a ``Resampled`` of the rows that are left in place of ``(X, y)``.

        Returns:
            ``(X_res, y_res)``, or a ``Resampled``, whose provenance is that of the synthetic rows that are left.
        """
        smote = copy.copy(self.smote) or SMOTE(
            self.sampling_strategy,
            random_state=self.random_state,
            memory_budget=self.memory_budget,
            on_degenerate=self.on_degenerate,
        )
        grown = Resampled(*smote.fit_resample(X, y, return_info=True))
        kept = Selected(*self._cleaner().fit_resample(grown.X, grown.y, return_info=True))
        is_synthetic = grown.is_synthetic[kept.index]
        synthetic = kept.index[is_synthetic] - sum(smote.class_counts_.values())
        self.smote_, self.class_counts_, self.sampling_strategy_ = smote, smote.class_counts_, smote.sampling_strategy_
        self.sample_indices_ = kept.index[~is_synthetic]
        X_res, y_res = (rows.reset_index(drop=True) if containers.is_pandas(rows) else rows for rows in kept[:2])
        if not return_info:
            return X_res, y_res
        return Resampled(X_res, y_res, is_synthetic, *(part[synthetic] for part in grown[3:]))

    def _cleaner(self) -> UnderSampler:
        """Return a new cleaner."""
        raise NotImplementedError


class SMOTEENN(Combined):
    """SMOTE, then ``EditedNearestNeighbours`` on all classes: rows in the zone where classes mix go.

    Args:
        sampling_strategy: Which classes grow and to what count before cleaning; see ``SMOTE``. Not used with ``smote``.
        smote: Over-sampler of this package that adds rows; None is ``SMOTE`` with the other arguments.
        enn: ``EditedNearestNeighbours`` that removes rows; None is one with ``sampling_strategy="all"``.
        random_state: Seed, ``torch.Generator`` (used once per call, for a seed) or None (fresh entropy); for ``smote``
            None alone.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``, of the default ``smote`` and
            ``enn``; see ``knn``.
        on_degenerate: ``"warn"`` or ``"error"``, for the default ``smote``; see ``SMOTE``.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Label to rows that are added before cleaning.
        smote_: The over-sampler that added rows: a copy of ``smote``, fitted.
        enn_: The cleaner that removed rows: a copy of ``enn``.
        sample_indices_: Rows of the given ``X`` that are left, in the order of the result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows is too small for ``smote``.

    Warns:
        UserWarning: What ``smote`` and ``enn`` warn of, such as a class that has no row left.

    Notes:
        Counts after cleaning are what cleaning leaves: classes are not equal, and where they overlap widely the former
        majority may become the smaller one. Rows are grouped by sorted class, within it originals first. Containers,
        dtypes and seeds are as in ``SMOTE``. Time O(M^2 d) for the M rows after SMOTE.

    NOTE[DIFF]: ``smote`` may be any over-sampler of this package, not only SMOTE itself.

    References:
        Batista, Prati, Monard. A study of the behavior of several methods for balancing machine learning training
        data. SIGKDD Explorations 6, 2004.

    Example:
        >>> import torch
        >>> X, y = torch.tensor([[0.0], [1.0], [2.0], [3.0], [8.0], [9.0]]), torch.tensor([0, 0, 0, 0, 1, 1])
        >>> cleaned = SMOTEENN(smote=SMOTE(k_neighbors=1, random_state=0)).fit_resample(X, y, return_info=True)
        >>> cleaned.y.bincount(), int(cleaned.is_synthetic.sum())
        (tensor([4, 4]), 2)
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        smote: OverSampler | None = None,
        enn: EditedNearestNeighbours | None = None,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, smote, random_state, memory_budget, on_degenerate)
        self.enn = _checked("enn", enn, EditedNearestNeighbours)

    def _cleaner(self) -> UnderSampler:
        self.enn_ = copy.copy(self.enn) or EditedNearestNeighbours("all", memory_budget=self.memory_budget)
        return self.enn_


class SMOTETomek(Combined):
    """SMOTE, then removal of the Tomek links of all classes: pairs of rows that face each other across the border go.

    Args:
        sampling_strategy: Which classes grow and to what count before cleaning; see ``SMOTE``. Not used with ``smote``.
        smote: Over-sampler of this package that adds rows; None is ``SMOTE`` with the other arguments.
        tomek: ``TomekLinks`` that removes rows; None is one with ``sampling_strategy="all"``.
        random_state: Seed, ``torch.Generator`` (used once per call, for a seed) or None (fresh entropy); for ``smote``
            None alone.
        memory_budget: Bytes of working memory for the neighbour search, or ``"auto"``, of the default ``smote`` and
            ``tomek``; see ``knn``.
        on_degenerate: ``"warn"`` or ``"error"``, for the default ``smote``; see ``SMOTE``.

    Attributes:
        class_counts_: Label to rows in the given ``y``.
        sampling_strategy_: Label to rows that are added before cleaning.
        smote_: The over-sampler that added rows: a copy of ``smote``, fitted.
        tomek_: The cleaner that removed rows: a copy of ``tomek``.
        sample_indices_: Rows of the given ``X`` that are left, in the order of the result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a value is out of range, ``X`` holds NaN or infinities, ``y`` holds one class, or a class that
            grows is too small for ``smote``.

    Warns:
        UserWarning: What ``smote`` and ``tomek`` warn of, such as a class that has no row left.

    Notes:
        Counts after cleaning are what cleaning leaves; with two classes equally many rows of both go. Originals come
        first, then synthetic rows by sorted class. Containers, dtypes and seeds are as in ``SMOTE``. Time O(M^2 d) for
        the M rows after SMOTE.

    NOTE[DIFF]: ``smote`` may be any over-sampler of this package, not only SMOTE itself.

    References:
        Batista, Bazzan, Monard. Balancing training data for automated annotation of keywords: a case study. WOB 2003.

    Example:
        >>> import torch
        >>> X, y = torch.tensor([[0.0], [1.0], [2.0], [7.9], [8.0], [9.0]]), torch.tensor([0, 0, 0, 0, 1, 1])
        >>> X_res, y_res = SMOTETomek(smote=SMOTE(k_neighbors=1, random_state=0)).fit_resample(X, y)
        >>> y_res.bincount()
        tensor([3, 3])
    """

    def __init__(
        self,
        sampling_strategy: SamplingStrategy = "auto",
        *,
        smote: OverSampler | None = None,
        tomek: TomekLinks | None = None,
        random_state: RandomState = None,
        memory_budget: int | Literal["auto"] = "auto",
        on_degenerate: str = "warn",
    ) -> None:
        super().__init__(sampling_strategy, smote, random_state, memory_budget, on_degenerate)
        self.tomek = _checked("tomek", tomek, TomekLinks)

    def _cleaner(self) -> UnderSampler:
        self.tomek_ = copy.copy(self.tomek) or TomekLinks("all", memory_budget=self.memory_budget)
        return self.tomek_


def _checked(name: str, value: Any, kind: type) -> Any:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"`{name}` must be of class {kind.__name__} or None, got {type(value).__name__}.")
    return value
