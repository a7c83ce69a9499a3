"""Sampling by the loss of each row."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_number, check_same_length
from imbalance_torch._random import generator_for, mix
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks, quotas_for
from imbalance_torch.samplers._labels import class_rows
from imbalance_torch.samplers._permutation import Array, Permutation, random_bits
from imbalance_torch.samplers._repeat_factor import deal


class HardExampleSampler(AbstractSampler):
    r"""Feed the rows of high loss more often, within class shares that stay as they are.

    .. math:: P(i \mid c) = \frac{1 - \alpha}{n_c} + \alpha\,\frac{s^{-k_i / n_c}}{\sum_{j < n_c} s^{-j / n_c}}

    for a draw from class c, with :math:`\alpha` = ``alpha``, :math:`s` = ``pressure``, :math:`n_c` the rows of the
    class and :math:`k_i` the rank of row i in it by smoothed loss, 0 the highest. Ranks, not the losses themselves,
    decide: a mislabelled row or an outlier, however large its loss, comes at most
    :math:`1 - \alpha + \alpha \ln s / (1 - 1/s)` times as often as the average row of its class, 2.8 times by default.

    Args:
        labels: N labels, integer, boolean or string, or a dataset that :func:`labels_of` understands.
        alpha: share of each class's draws that follow the loss, in [0, 1]; the others go through the class as a
            shuffled deck, so that no row is ever left out. 0.5 is a safe start.
        pressure: s > 1, how much more likely the hardest row of a class is than the easiest in the draws that follow
            the loss; 10 is mild, 100 strong.
        smoothing: share of the old loss, in [0, 1), in the moving average that ``update`` keeps.
        power: q in [0, 1], class shares proportional to :math:`n_c^q`: 1 those of the data, 0 equal ones.
        num_samples: rows per epoch over all ranks; None means N.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the labels, of the wrong kind.
        ValueError: no labels; a value out of range; too few ``num_samples`` to feed every class.

    Notes:
        Losses count from the next epoch on: an epoch is a function of (seed, epoch, losses at its beginning). A row
        without a loss ranks with the mean of its class; equal losses rank in random order, new in every epoch.
        Of a class with q rows in an epoch round(``alpha`` q) follow the loss: none where q = 1.
        It holds 16 bytes per row. Each epoch sorts the losses once, O(N log N). The state is not small: it holds the
        losses now and those at the beginning of the epoch, 8 bytes per row, so that resuming is exact; take it for
        checkpoints, not after every batch.
        Ranks share one stream only while they hold the same losses. With more than one rank either pass
        ``process_group`` to ``update``, or gather index and loss yourself and report all of them on all ranks.
        Probabilities learned from these batches are those of ``effective_prior`` as far as the class shares go, which
        are exact in every epoch; within a class hard rows are over-represented, so calibrate on validation data.
        NOTE[DIFF] Loshchilov and Hutter rank all rows together; ranking within classes keeps the class shares, which
        a loss-driven sampler otherwise shifts from step to step. Their selection is mixed with the deck.

    References:
        Loshchilov and Hutter, "Online Batch Selection for Faster Training of Neural Networks", arXiv:1511.06343.
        Katharopoulos and Fleuret, "Not All Samples Are Created Equal", ICML 2018.

    Example:
        >>> sampler = HardExampleSampler([0] * 900 + [1] * 100, power=0.5, batch_size=50)
        >>> for batch in sampler.as_batch_sampler():
        ...     sampler.update(batch, torch.rand(len(batch)))
        >>> sampler.epoch, sampler.effective_prior
        (1, tensor([0.7500, 0.2500], dtype=torch.float64))
    """

    small_state: ClassVar[bool] = False
    bytes_per_row: ClassVar[int] = 16
    _rows: Decks

    def __init__(
        self,
        labels: Any,
        *,
        alpha: float = 0.5,
        pressure: float = 100.0,
        smoothing: float = 0.5,
        power: float = 1.0,
        num_samples: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.classes, self._counts, self._rows, digest = class_rows(labels)
        num_rows = int(self._counts.sum())
        super().__init__(
            num_rows,
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        check_number("alpha", alpha, minimum=0, maximum=1)
        check_number("pressure", pressure, exclusive_minimum=1)
        if check_number("smoothing", smoothing, minimum=0) >= 1:
            raise ValueError(f"`smoothing` must be < 1, got smoothing={smoothing!r}.")
        shares = self._counts.double() ** check_number("power", power, minimum=0, maximum=1)
        self._shares = quotas_for(shares, self.classes, num_rows if num_samples is None else num_samples)
        self._total = int(self._shares.sum())
        self.pressure, self.smoothing = pressure, smoothing
        self._by_loss = np.rint(alpha * self._shares.numpy()).astype(np.int64)
        self._losses = torch.full((num_rows,), math.nan)
        self._first_losses, self._first_epoch = self._losses.clone(), -1  # what an epoch with updates goes by
        self._ranking: tuple[tuple[int, int, int], Array] | None = None
        self._updates = self._first_updates = 0
        self._settings = (self._shares.tolist(), self._by_loss.tolist(), float(pressure), float(smoothing))

    def update(self, index: Any, loss: Any, *, process_group: Any = None) -> None:
        """Report the losses of rows just trained on; they count from the next epoch on.

        Args:
            index: row numbers, integer, shape (B,); a row named twice gets the mean of its losses.
            loss: loss of each row, unreduced, shape (B,).
            process_group: gather the losses of all ranks of this group (``torch.distributed.group.WORLD``): a
                collective call, which every rank must make equally often. None: nothing is exchanged.

        Raises:
            TypeError: an argument of the wrong kind.
            ValueError: different lengths, a row number out of range, or a loss that is not finite.
        """
        rows, losses = (torch.as_tensor(value).detach().cpu() for value in (index, loss))
        if (rows.is_floating_point() and len(rows)) or rows.dtype == torch.bool:
            raise TypeError(f"`index` must hold integers, got index.dtype={rows.dtype}.")
        if rows.ndim != 1 or losses.ndim != 1:
            raise ValueError(f"Expected shape (B,), got index {tuple(rows.shape)} and loss {tuple(losses.shape)}.")
        check_same_length(index=rows, loss=losses)
        if process_group is not None:
            gathered: list[Any] = [None] * torch.distributed.get_world_size(process_group)
            torch.distributed.all_gather_object(gathered, (rows, losses), group=process_group)
            rows, losses = (torch.cat(parts) for parts in zip(*gathered, strict=True))
        rows, losses = rows.long(), losses.float()
        if len(wrong := rows[(rows < 0) | (rows >= len(self._losses))]):
            raise ValueError(f"`index` must be in [0, {len(self._losses)}), got {int(wrong[0])}.")
        if len(wrong := (~losses.isfinite()).nonzero()):
            place = int(wrong[0])
            raise ValueError(f"`loss` must be finite, got {float(losses[place])} for row {int(rows[place])}.")
        if self._place[1:] != (0, 0) and self._first_epoch != self.epoch:
            self._first_losses.copy_(self._losses)
            self._first_epoch, self._first_updates = self.epoch, self._updates
        seen, place_of, times = np.unique(rows.numpy(), return_inverse=True, return_counts=True)
        new = torch.from_numpy((np.bincount(place_of, losses.double().numpy(), len(seen)) / times).astype(np.float32))
        old = self._losses[seen]
        self._losses[seen] = torch.where(old.isnan(), new, self.smoothing * old + (1 - self.smoothing) * new)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the place reached, the losses now, and those that the epoch goes by."""
        first = self._first_losses if self._first_epoch == self.epoch else self._losses
        return super().state_dict() | {"losses": self._losses.clone(), "first_losses": first.clone()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved place, with the seed and the losses it was saved under; the number of ranks may differ.

        Raises:
            ValueError: the state has another version, or belongs to other labels or settings.
        """
        super().load_state_dict(state_dict)
        self._losses.copy_(state_dict["losses"])
        self._first_losses.copy_(state_dict["first_losses"])
        self._first_epoch, self._ranking = self.epoch if self._place[1:] != (0, 0) else -1, None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_ranking": None}

    def _draw(self, epoch: int, block: int) -> Tensor:
        start = block * self._block_rows
        places = torch.arange(start, min(start + self._block_rows, self._total))
        turns = Permutation(self._total, self.seed, epoch)(places).numpy()
        ends, sizes = self._shares.cumsum(0).numpy(), self._counts.numpy()
        owner = ends.searchsorted(turns, side="right")
        turns -= (ends - self._shares.numpy())[owner]
        chosen = turns < self._by_loss[owner]
        cards = np.empty(len(turns), dtype=np.int64)
        cards[chosen] = self._by_rank(epoch, owner[chosen], turns[chosen])
        by_deck, from_deck = self._shares.numpy() - self._by_loss, owner[~chosen]
        turns = turns[~chosen] - self._by_loss[from_deck] + epoch * by_deck[from_deck]
        cards[~chosen] = deal(from_deck, turns, sizes, mix(self.seed, 2))
        cards += (np.cumsum(sizes) - sizes)[owner]
        rows = self._rows.order.numpy()[cards]
        rows[chosen] = self._ranked(epoch)[cards[chosen]]
        return torch.from_numpy(rows.astype(np.int64))

    def _by_rank(self, epoch: int, owner: Array, turns: Array) -> Array:
        """Return the rank drawn at each turn: one from each of as many equal slices as the class has turns."""
        sizes, ends = self._counts.numpy()[owner], np.cumsum(self._by_loss)
        keys = random_bits(np.array([mix(self.seed, epoch, 3)], dtype=np.uint64), turns + (ends - self._by_loss)[owner])
        uniform = (turns + (keys >> np.uint64(11)) * 2.0**-53) / self._by_loss[owner]
        depth = -np.log1p(-uniform * (1 - 1 / self.pressure)) / math.log(self.pressure)
        ranks: Array = np.minimum((depth * sizes).astype(np.int64), sizes - 1)
        return ranks

    def _ranked(self, epoch: int) -> Array:
        """Return the rows class by class, the hardest first, by the losses that ``epoch`` goes by."""
        fixed = epoch == self._first_epoch
        key = self.seed, epoch, self._first_updates if fixed else self._updates
        if self._ranking is None or self._ranking[0] != key:
            losses = self._first_losses if fixed else self._losses
            ranked = [
                _hardest_first(rows, losses, generator_for(self.seed, epoch, 4, number))
                for number, rows in enumerate(self._rows[:])
            ]
            self._ranking = key, torch.cat(ranked).numpy()
        return self._ranking[1]


def _hardest_first(rows: Tensor, losses: Tensor, generator: torch.Generator) -> Tensor:
    """Return ``rows`` by falling loss, equal ones in random order; a missing loss counts as the mean of the others."""
    rows = rows[torch.randperm(len(rows), generator=generator)]
    mine = losses[rows.long()]
    missing = mine.isnan()
    mean = np.cumsum(mine[~missing].double().numpy())[-1:] / max(1, int((~missing).sum()))
    mine[missing] = float(mean[0]) if len(mean) else 0.0
    return rows[mine.argsort(descending=True, stable=True)]
