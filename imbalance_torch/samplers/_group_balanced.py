"""Sampling balanced over classes and groups."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imbalance_torch._checks import check_number, check_same_length
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks, quotas_for
from imbalance_torch.samplers._description import SamplerDescription, coverage_of
from imbalance_torch.samplers._labels import ClassRows, class_rows
from imbalance_torch.samplers._mixing import deal_block


class GroupBalancedSampler(AbstractSampler):
    r"""Feed each cell of class x group in chosen shares, equal ones by default.

    .. math:: s_{cg} = n_{cg}^q / \textstyle\sum_{jh} n_{jh}^q

    with :math:`n_{cg}` the rows of class c in group g and :math:`q` = ``power``: a network can then gain nothing from
    an attribute that goes with the class in most of the data (background, site, device, sex). Cells without rows are
    left out; :meth:`describe` names them.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        groups: N groups, of the same kinds.
        power: q in [0, 1]: 0 equal shares, 1 the shares of the data.
        num_samples: rows per epoch over all ranks; None means N.
        batch_size: rows per batch and rank, or None for an order that suits any batch size. With it, each batch holds
            the shares of the cells as evenly as rounding permits.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, the labels or the groups, of the wrong kind.
        ValueError: no labels; another number of groups; a value out of range; too few ``num_samples`` to feed every
            cell.

    Notes:
        Each cell is a shuffled deck, gone through completely, over epochs and ranks, before a row comes again. Beyond
        the labels it holds 4 bytes per row (8 from 2^31 rows). ``classes`` and ``effective_prior`` are those of the
        labels; with empty cells the classes have unequal shares. ``num_samples`` = (number of cells) x (rows of the
        smallest cell) makes epochs of under-sampling that loses no row over the epochs.
        NOTE[DIFF] Idrissi et al. weight rows so that groups are equal in expectation, or drop rows once; here the
        shares are exact and no row is dropped.

    References:
        Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020.
        Idrissi et al., "Simple Data Balancing Achieves Competitive Worst-Group-Accuracy", CLeaR 2022.

    Example:
        >>> labels = ["bird"] * 90 + ["fish"] * 10
        >>> groups = ["land"] * 80 + ["water"] * 19 + ["land"]
        >>> sampler = GroupBalancedSampler(labels, groups)
        >>> rows = list(sampler)
        >>> [sum(groups[row] == "land" and labels[row] == label for row in rows) for label in sampler.classes]
        [25, 25]
    """

    mixed_batches: ClassVar[bool] = True

    def __init__(
        self,
        labels: Any,
        groups: Any,
        *,
        power: float = 0.0,
        num_samples: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        by_class, by_group = class_rows(labels), _group_rows(groups)
        check_same_length(labels=by_class.rows.order, groups=by_group.rows.order)
        self.classes, counts = by_class.classes, by_class.counts
        digest = hashlib.sha256((by_class.digest + by_group.digest).encode()).hexdigest()
        super().__init__(
            int(counts.sum()),
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        every = [(label, group) for label in self.classes for group in by_group.classes]
        codes = _codes(by_class) * len(by_group.classes) + _codes(by_group)
        present, cell_counts, self._cells, _ = class_rows(codes)
        self.cells: tuple[tuple[Any, Any], ...] = tuple(every[code] for code in present)
        """The (class, group) pairs that have rows, in sorted order."""
        self._empty = tuple(cell for code, cell in enumerate(every) if code not in set(present))
        self._rows = Decks(self._cells.order, counts)
        weights = cell_counts.double() ** check_number("power", power, minimum=0, maximum=1)
        rows = int(counts.sum()) if num_samples is None else num_samples
        self._quotas = quotas_for(weights, self.cells, rows)
        self._total = int(self._quotas.sum())
        self._owner = torch.tensor(present) // len(by_group.classes)
        self._shares = torch.zeros_like(counts).index_add_(0, self._owner, self._quotas)
        self._settings = tuple(self._quotas.tolist())

    def describe(self, num_epochs: int = 1) -> SamplerDescription:
        """Draw the next ``num_epochs`` epochs and say what they hold of each class and cell."""
        covered = coverage_of(torch.cat(self._epochs(num_epochs)), len(self.dataset), self.cells, self._cells)  # type: ignore[arg-type]
        return replace(super().describe(num_epochs), cells=covered, empty_cells=self._empty)

    def _draw(self, epoch: int, block: int) -> Tensor:
        return deal_block(
            self._cells,
            self._quotas,
            epoch * self._quotas,
            batch_size=self.batch_size,
            block_rows=self._block_rows,
            block=block,
            seed=self.seed,
            epoch=epoch,
            owner=self._owner,
        )


def _group_rows(groups: Any) -> ClassRows:
    try:
        return class_rows(groups)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("labels", "groups")) from None


def _codes(rows: ClassRows) -> NDArray[np.int64]:
    codes = np.empty(len(rows.rows.order), dtype=np.int64)
    codes[rows.rows.order.numpy()] = np.repeat(np.arange(len(rows.classes)), rows.counts.numpy())
    return codes
