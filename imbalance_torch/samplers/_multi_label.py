"""Balanced sampling of rows that have several labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import mix
from imbalance_torch.samplers._base import AbstractSampler
from imbalance_torch.samplers._deck import Decks
from imbalance_torch.samplers._labels import off_device
from imbalance_torch.samplers._permutation import Array, Permutation, random_bits

_STEPS = 300
_TOLERANCE = 1e-4
_LARGEST_LOG = 15.0
_QUANTUM = 2.0**-20
_GOLDEN = 0x9E3779B97F4A7C15


class MultiLabelBalancedSampler(AbstractSampler):
    r"""Feed rows so often that the labels become equally frequent although they occur together.

    .. math:: m_l = \textstyle\sum_i p_i y_{il} \;\propto\; n_l^{\,q}, \qquad
        p_i = \min\bigl(\kappa,\ Z^{-1} \textstyle\prod_l a_l^{\,y_{il}}\bigr), \qquad
        \kappa = k\,(1 - u) / N_+

    with :math:`y` = ``targets``, :math:`n_l` the rows with label l, :math:`N_+` those with any, :math:`q` = ``power``,
    :math:`k` = ``max_repeats``, :math:`u` = ``unlabeled``. Among all row probabilities with the wanted label
    frequencies these are the ones nearest to uniform (maximum entropy); the factors :math:`a_l` come from iterative
    scaling. Where the cap or the co-occurrence forbids the frequencies (a rare label that never comes without a
    frequent one), they are met as nearly as the iteration gets; ``effective_prior`` states the result.

    Args:
        targets: binary (N, L) tensor, array or data frame, integer or boolean, or a list with one sequence of class
            names or numbers for each row. Labels without a row are left alone.
        power: q in [0, 1]: 0 equal label frequencies, 1 those of the data.
        max_repeats: k >= 1, how much more often than the average labelled row a row may come; 10 suits most data,
            lower it when few rows carry the rare labels.
        unlabeled: share of the draws, in [0, 1), that go to rows without a label; None leaves them their share.
        num_samples: rows per epoch over all ranks; None means N.
        batch_size: rows per batch and rank, or None for an order that suits any batch size.
        seed: selects the streams; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.
        drop_last: leave out the last, incomplete step of an epoch.

    Raises:
        TypeError: an argument, or the targets, of the wrong kind.
        ValueError: no positive, or a value out of range.

    Notes:
        It holds 8 bytes per row and 4 for each label of a row; a draw takes O(log N). Building it takes up to 300
        passes over the distinct sets of labels.
        An epoch takes one row from each of ``num_samples`` equal slices of the cumulative probabilities: the count of
        a row differs from its mean r by less than 2, and no row waits longer than 1 + 4 / r epochs.
        Probabilities learned from these batches shift label by label: ``effective_prior``, shape (L,), is the share of
        rows fed that have each label (:math:`m_l`), exact in expectation.
        NOTE[DIFF] Shen et al. pick a label, then one of its rows; labels that come along with others then stay too
        frequent. At as many repeats the frequencies here differ less, unless the co-occurrence forbids equal ones.

    References:
        Shen, Lin and Huang, "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks",
        ECCV 2016 (class-aware sampling).
        Darroch and Ratcliff, "Generalized Iterative Scaling for Log-Linear Models", Ann. Math. Statist. 1972.

    Example:
        >>> targets = torch.tensor([[1, 0]] * 90 + [[1, 1]] * 10 + [[0, 1]] * 10)
        >>> (targets.double().mean(0), MultiLabelBalancedSampler(targets).effective_prior)  # frequencies
        (tensor([0.9091, 0.1818], dtype=torch.float64), tensor([0.5881, 0.5880], dtype=torch.float64))
    """

    exact_shares: ClassVar[bool] = False
    bytes_per_row: ClassVar[int] = 12
    _rows: Decks

    def __init__(
        self,
        targets: Any,
        *,
        power: float = 0.0,
        max_repeats: float = 10.0,
        unlabeled: float | None = None,
        num_samples: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        parsed = label_rows("targets", targets)
        if parsed is None:
            raise ValueError(
                "`targets` must be a binary (N, L) table or one sequence of labels for each row, got one label per "
                "row. For those use ClassBalancedSampler."
            )
        num_rows, self.classes, self._rows, digest = parsed
        super().__init__(
            num_rows,
            digest,
            batch_size=batch_size,
            seed=seed,
            num_replicas=num_replicas,
            rank=rank,
            drop_last=drop_last,
        )
        check_number("power", power, minimum=0, maximum=1)
        check_number("max_repeats", max_repeats, minimum=1)
        self._total = num_rows if num_samples is None else check_int("num_samples", num_samples, minimum=1)
        labelled = np.zeros(num_rows, dtype=np.bool_)
        labelled[self._rows.order.numpy()] = True
        number = int(labelled.sum())
        if unlabeled is None:
            unlabeled = 1 - number / num_rows
        elif not 0 <= check_number("unlabeled", unlabeled) < 1 or (unlabeled and number == num_rows):
            raise ValueError(
                f"`unlabeled` must be in [0, 1), and 0 where every row has a label, got unlabeled={unlabeled}."
            )
        times = _balanced(self._rows[:], num_rows, power, max_repeats) * ((1 - unlabeled) * self._total)
        times[~labelled] = unlabeled * self._total / max(1, num_rows - number)
        np.copyto(times, np.maximum(np.rint(times / _QUANTUM), 1) * _QUANTUM, where=times > 0)
        self._shares = torch.tensor([times[rows.numpy()].sum() for rows in self._rows[:]], dtype=torch.float64)
        self._edges = np.cumsum(times, out=times)
        self._settings = (float(power), float(max_repeats), None if unlabeled is None else float(unlabeled))

    @property
    def effective_prior(self) -> Tensor:
        """Share of the rows fed that have each label, in expectation, float64, shape (L,)."""
        return self._shares / float(self._edges[-1])

    def _draw(self, epoch: int, block: int) -> Tensor:
        start = block * self._block_rows
        places = torch.arange(start, min(start + self._block_rows, self._total))
        slices = Permutation(self._total, self.seed, epoch)(places).numpy()
        bits = random_bits(np.array([mix(self.seed, 1)], dtype=np.uint64), slices)
        bits += np.uint64(epoch * _GOLDEN % 2**64)  # the golden ratio spreads the epochs evenly over a slice
        drawn = (slices + (bits >> np.uint64(11)) * 2.0**-53) * (self._edges[-1] / self._total)
        np.minimum(drawn, np.nextafter(self._edges[-1], 0), out=drawn)
        return torch.from_numpy(self._edges.searchsorted(drawn, side="right"))


def label_rows(name: str, targets: Any) -> tuple[int, tuple[Any, ...], Decks, str] | None:
    """Return the number of rows, the labels, the rows of each and a digest; None where a row has one label only."""
    if isinstance(targets, list | tuple) and any(map(_is_sequence, targets)):
        number, classes, rows = len(targets), *_of_sequences(name, targets)
    else:
        table = off_device(targets)
        if getattr(table, "ndim", 1) != 2:
            return None
        classes, table = tuple(getattr(table, "columns", range(table.shape[1]))), np.asarray(table)
        if table.dtype.kind not in "biu":
            raise TypeError(f"`{name}` must be integers or booleans, got {name}.dtype={table.dtype}.")
        if table.size and not 0 <= table.min() <= table.max() <= 1:
            raise ValueError(f"`{name}` must be 0 or 1, got values from {table.min()} to {table.max()}.")
        number, rows = len(table), [np.flatnonzero(column) for column in table.T]
    if not any(len(members) for members in rows):
        raise ValueError(f"`{name}` must have at least one positive.")
    order = np.concatenate(rows).astype(np.int32 if number < 2**31 else np.int64)
    counts = [len(members) for members in rows]
    digest = hashlib.sha256(repr((number, classes, counts)).encode())
    digest.update(order.data)
    return number, classes, Decks(torch.from_numpy(order), torch.tensor(counts)), digest.hexdigest()


def _is_sequence(row: Any) -> bool:
    return isinstance(row, list | tuple | set | frozenset) or getattr(row, "ndim", 0) == 1


def _of_sequences(name: str, targets: Sequence[Any]) -> tuple[tuple[Any, ...], list[Array]]:
    if not all(map(_is_sequence, targets)):
        raise TypeError(f"`{name}` must have a sequence of labels for every row, got a single label among them.")
    found: dict[Any, list[int]] = {}
    for number, row in enumerate(targets):
        for label in set(row.tolist() if isinstance(row, Tensor | np.ndarray) else row):
            found.setdefault(label, []).append(number)
    classes = tuple(sorted(found))
    return classes, [np.array(found[label]) for label in classes]


def _balanced(rows: Sequence[Tensor], num_rows: int, power: float, max_repeats: float) -> Array:
    """Return the probability of each labelled row, 0 for the others."""
    codes = random_bits(np.array([0], dtype=np.uint64), np.arange(len(rows)))
    code = np.zeros(num_rows, dtype=np.uint64)
    for members, bits in zip(rows, codes, strict=True):
        code[members.numpy()] += bits
    distinct, first, kind, number = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
    number[distinct == 0] = 0
    wanted = np.array([max(1, len(members)) for members in rows]) ** float(power)
    is_example = np.zeros(num_rows, dtype=np.bool_)
    is_example[first] = True
    examples = [members[is_example[members]] for members in map(Tensor.numpy, rows)]
    kinds = kind[np.concatenate(examples)]
    labels = np.repeat(np.arange(len(rows)), [len(members) for members in examples])
    step = 1 / max(2, np.bincount(kinds).max())
    factors, best, error = np.zeros(len(rows)), np.zeros(0), np.inf
    present = np.bincount(labels, minlength=len(rows)) > 0
    for _ in range(_STEPS):
        logits = np.bincount(kinds, factors[labels], len(number))
        odds = np.exp(np.maximum(logits - logits.max(), -600))
        chances = _capped(odds, number, max_repeats / number.sum())
        shares = np.bincount(labels, (number * chances)[kinds], len(rows))[present] / wanted[present]
        lacking = -np.log(shares / shares.mean())
        if (spread := np.ptp(lacking)) < error:
            best, error = chances, spread
        if spread < _TOLERANCE:
            break
        factors[present] = np.clip(factors[present] + step * lacking, -_LARGEST_LOG, _LARGEST_LOG)
    return np.where(code > 0, best[kind], 0)


def _capped(odds: Array, number: Array, most: float) -> Array:
    """Scale ``odds`` to sum to 1 over ``number`` rows each, with nothing above ``most``."""
    order = (-odds).argsort(kind="stable")
    mass, rows = (number * odds)[order], number[order]
    rest = np.cumsum(mass[::-1])[::-1]
    scale = np.divide(1 - most * (np.cumsum(rows) - rows), rest, out=np.zeros(len(rest)), where=rest > 0)
    fits = np.flatnonzero((scale * odds[order] <= most * (1 + 1e-12)) & (scale > 0))
    return np.minimum(odds * scale[fits[0]], most) if len(fits) else np.full_like(odds, most)
