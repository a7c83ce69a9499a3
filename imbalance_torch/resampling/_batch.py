"""Over-sampling inside the training loop: every batch is topped up with new rows from a graph fitted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from imbalance_torch._checks import check_generator, check_int, check_number, check_same_device, check_tensor
from imbalance_torch.resampling import _containers as containers
from imbalance_torch.resampling._containers import Rows
from imbalance_torch.resampling._graph import Graph
from imbalance_torch.resampling._over import OverSampler


class BatchOversampler:
    """Append synthetic minority rows to each training batch, drawn from a graph over the whole training split.

    A class c that the resampler grows and that has n_c rows in a batch with n_maj rows of the majority class gets
    ``max(0, round(target_ratio n_maj) - n_c)`` new rows. The data set does not grow, an epoch does not get longer,
    and no two epochs see the same synthetic rows.

    Args:
        resampler: An over-sampler such as ``SMOTE``; fitted here by ``fit``, or already fitted on integer labels when
            ``columns`` is None.
        target_ratio: Rows of each minority class per majority row of the batch, in (0, 1].
        columns: Indices of the columns that count in distances and are interpolated; the others are copied from the
            base row (codes of categories, say). None means all columns.
        finish: ``finish(new, base)`` -> new rows, (n, d) each: what they go through before they join the batch, such as
            to make columns that are computed from the interpolated ones agree with them again; ``base`` are the rows
            they were made from. None leaves them.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If ``target_ratio`` is out of range or ``columns`` repeats an index.

    Notes:
        The majority is the largest class of the training data. Nothing is ever removed from a batch. The number of
        rows depends on the labels, so that on CUDA each batch costs one synchronisation. Call it on training
        batches only, and undo the shift of the class shares with ``effective_prior``.

    Example:
        >>> from imbalance_torch.resampling import SMOTE
        >>> generator = torch.Generator().manual_seed(0)
        >>> X, y = torch.randn(100, 3, generator=generator), (torch.arange(100) >= 90).long()
        >>> oversampler = BatchOversampler(SMOTE(random_state=0), target_ratio=0.5).fit(X, y)
        >>> X_batch, y_batch = oversampler(X[70:91], y[70:91])
        >>> y_batch.bincount(), oversampler.effective_prior([0.9, 0.1])
        (tensor([20, 10]), tensor([0.6667, 0.3333], dtype=torch.float64))
    """

    def __init__(
        self,
        resampler: OverSampler,
        *,
        target_ratio: float = 0.25,
        columns: Sequence[int] | None = None,
        finish: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        if not isinstance(resampler, OverSampler):
            raise TypeError(f"`resampler` must be an over-sampler such as SMOTE, got {type(resampler).__name__}.")
        self.resampler = resampler
        self.target_ratio = check_number("target_ratio", target_ratio, exclusive_minimum=0.0, maximum=1.0)
        self.columns = None if columns is None else [check_int("columns", j, minimum=0) for j in columns]
        if self.columns is not None and len(set(self.columns)) != len(self.columns):
            raise ValueError(f"`columns` must not repeat an index, got columns={self.columns}.")
        self.finish = finish
        self._parents: Tensor | None = None  # with `columns`: the whole rows of the graph
        self._graph: Graph | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether batches can be topped up."""
        return self.resampler.is_fitted and (self.columns is None or self._parents is not None)

    def fit(self, X: Rows, y: Rows) -> BatchOversampler:
        """Fit the resampler on the training split.

        Args:
            X: (N, d) finite numbers: tensor, NumPy array or DataFrame.
            y: (N,) integer labels from 0 to C - 1.

        Returns:
            The fitted over-sampler.
        """
        table = containers.features(X)
        if self.columns is None:
            self.resampler.fit(table, y)
        else:
            if not self.columns or max(self.columns) >= table.shape[1]:
                raise ValueError(
                    f"`columns` must name columns of the {table.shape[1]} in `X`, got columns={self.columns}."
                )
            self.resampler.fit(table[:, self.columns], y)
            self._parents, self._graph = table[self.resampler.graph_.row_index], self.resampler.graph_
        self._class_counts()
        return self

    def __call__(self, X: Tensor, y: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the batch, its rows first and unchanged, followed by the synthetic rows.

        Args:
            X: (B, d) rows on any device; the graph moves to the device of the first batch and stays.
            y: (B,) integer labels.
            generator: Where the plan is drawn from; None draws from the ``random_state`` of the resampler, new rows
                at every call.

        Returns:
            ``(X, y)`` with B or more rows, dtypes and device kept.

        Raises:
            RuntimeError: Before ``fit``.
            TypeError: If labels are not integers, or ``X`` is not of the kind (floating-point, integer) fitted on.
            ValueError: If shapes do not fit, or a label is unknown.
        """
        class_counts = self._class_counts()
        if self._parents is not None and self.resampler.graph_ is not self._graph:
            raise RuntimeError("`resampler` was fitted again elsewhere. Call `fit(X, y)` of this over-sampler.")
        check_same_device(X=check_tensor("X", X), y=check_tensor("y", y))
        self._check_batch(X, y)
        if len(y) and int(y.min()) < 0:
            raise ValueError(f"`y` must hold labels from 0 to {len(class_counts) - 1}, got {int(y.min())}.")
        present = torch.bincount(y.long(), minlength=len(class_counts)).tolist()
        if len(present) > len(class_counts):
            raise ValueError(f"`y` must hold labels below {len(class_counts)}, got {len(present) - 1}.")
        wanted = round(self.target_ratio * present[class_counts.index(max(class_counts))])
        graph = self.resampler.graph_
        counts = {label: wanted - present[label] for label in graph.edges if wanted > present[label]}
        if not counts:
            return X, y
        if graph.rows.device != X.device:
            self.to(X.device)
        plan = self.resampler.draw(counts, check_generator("generator", generator))
        new = self.resampler.generate(plan)
        base = (graph.rows if self._parents is None else self._parents)[plan.base]
        if self._parents is not None:
            rows = base.clone()
            rows[:, self.columns] = new
            new = rows
        if self.finish is not None:
            new = self.finish(new, base)
        return torch.cat((X, new.to(X.dtype))), torch.cat((y, containers.labels_as(y, counts, y.device)))

    def wrap(self, loader: Any) -> _ToppedUpLoader:
        """Return a loader of the same length over topped-up batches of ``loader``, whose batches are ``(X, y)``."""
        return _ToppedUpLoader(self, loader)

    def effective_prior(self, prior: Tensor | Sequence[float]) -> Tensor:
        """Return the class shares that the network sees when batches come with the shares ``prior``.

        ``s_c`` is proportional to ``max(prior_c, target_ratio prior_maj)`` for the classes that grow and to
        ``prior_c`` for the others.

        Args:
            prior: (C,) non-negative shares.

        Returns:
            (C,) float64 shares on the CPU that sum to 1.

        Notes:
            Exact for large batches; where a batch holds few rows of a class that already is near its target, chance
            (which is topped up, but not cut) and rounding lift the share a little.
        """
        class_counts = self._class_counts()
        shares = torch.as_tensor(prior, dtype=torch.float64).cpu()
        if shares.shape != (len(class_counts),) or not bool((shares >= 0).all() and shares.sum().isfinite()):
            raise ValueError(f"`prior` must be ({len(class_counts)},) non-negative shares, got prior={prior}.")
        if not shares.any():
            raise ValueError("`prior` must not be zero for every class.")
        growing = torch.tensor([label in self.resampler.graph_.edges for label in range(len(class_counts))])
        least = self.target_ratio * shares[class_counts.index(max(class_counts))]
        shares = torch.where(growing, shares.clamp(min=least), shares)
        return shares / shares.sum()

    def to(self, device: torch.device | str) -> BatchOversampler:
        """Move the stored rows and the graph to ``device``."""
        self.resampler.to(device)
        if self._parents is not None:
            self._parents, self._graph = self._parents.to(device), self.resampler.graph_
        return self

    def _class_counts(self) -> list[int]:
        """Return the rows of each class 0..C-1 in the training data."""
        if not self.is_fitted:
            raise RuntimeError("BatchOversampler has no neighbour graph yet. Call `fit(X, y)` on the training split.")
        if getattr(getattr(self.resampler.graph_, "coding", None), "lexicons", None) is not None:
            raise TypeError(
                "`resampler` was fitted on a table of text or objects. Fit it on a numeric tensor of codes."
            )
        counts = self.resampler.class_counts_
        if not all(type(label) in (int, bool) and label >= 0 for label in counts):
            raise TypeError(f"`y` must hold integer labels from 0 to C - 1, got the classes {list(counts)[:5]}.")
        return [counts.get(label, 0) for label in range(max(counts) + 1)]

    def _check_batch(self, X: Tensor, y: Tensor) -> None:
        rows = self.resampler.graph_.rows if self._parents is None else self._parents
        if X.ndim != 2 or X.shape[1] != rows.shape[1] or y.shape != X.shape[:1]:
            raise ValueError(
                f"`X` and `y` must have shapes (B, {rows.shape[1]}) and (B,), "
                f"got {tuple(X.shape)} and {tuple(y.shape)}."
            )
        if y.is_floating_point() or y.is_complex():
            raise TypeError(f"`y` must hold integer labels, got y.dtype={y.dtype}.")
        if X.is_floating_point() != rows.is_floating_point():
            raise TypeError(f"`X` must be of the kind that was fitted on, got {X.dtype} after {rows.dtype}.")


class _ToppedUpLoader:
    """A sized, re-iterable view of a loader whose batches are topped up."""

    def __init__(self, oversampler: BatchOversampler, loader: Any) -> None:
        self.oversampler = oversampler
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.loader:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                held = f"{len(batch)} elements" if isinstance(batch, tuple | list) else type(batch).__name__
                raise ValueError(f"`loader` must give (X, y) batches, got {held}. Extra elements have no new rows.")
            yield self.oversampler(*batch)
