"""A stream thinned out to chosen class shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from operator import itemgetter
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from imbalance_torch._checks import check_int, check_number, warn
from imbalance_torch._random import generator_for

_STATE_VERSION = 1
_END = object()


class BalancedIterableDataset(IterableDataset[Any]):
    r"""Feed a stream of samples in chosen class shares, by leaving out what is too much; no sample comes twice.

    .. math:: |m_c(n) - s_c\, n| \le 1 - \frac{1}{2C - 2}

    after every n samples of a shard, with :math:`m_c` the samples of class c among them, :math:`s_c` its share of
    ``target_mix`` and C the number of classes. The class that comes next follows from the shares alone, and the stream
    is read until a sample of that class is there. What is read meanwhile is kept in one reservoir per class, of which
    a random sample is fed, or gives way once the reservoir is full: of a class that is left out, rows at the beginning
    of a finite stream come somewhat more often than those at its end. Neither the class rates nor the length of the
    stream need to be known.

    Args:
        source: gives all its samples, in the same order, each time it is iterated; it may be infinite.
        target_mix: class -> share, > 0, up to a common factor: ``{0: 4, 1: 1}`` feeds one row in five of class 1. It
            names every class of the stream.
        label_of: sample -> label; the second element by default, as in ``(x, y)``.
        reservoir: samples kept of each class at most, >= 1; the larger, the better mixed.
        patience: rows read in search of one class before that is an error.
        seed: selects which samples are left out; >= 0.
        num_replicas: number of ranks; None asks ``torch.distributed``, else 1.
        rank: this rank; None asks ``torch.distributed``, else 0.

    Raises:
        TypeError: an argument of the wrong kind; a ``source`` that can be read only once.
        ValueError: a value out of range; while reading, a class without a share, or none of a class within
            ``patience`` rows.

    Notes:
        Reads :math:`\max_c s_c / p_c` rows for each one fed, with :math:`p_c` the class rates of the stream: to raise
        1% to 20% means reading 20 rows for each one fed. Holds at most ``reservoir`` samples of each class, in each
        worker.
        Row i of the source belongs to shard i modulo (ranks times workers); each worker reads past the rows of the
        others, so the source must not shard itself.
        A pass ends when the class that comes next has run out, which may be earlier on one rank than on another: under
        ``torch.distributed`` give the trainer a number of steps. If that class never came, a warning says so.
        A loop left early goes on where it stopped, and a pass at its end moves on to the next epoch, whose samples are
        others. Workers that live for one loop only start from the place of the main process instead: call
        ``set_epoch`` before each loop. A state counts the samples fed; restoring one reads the source again up to
        there. With workers let ``torchdata``'s ``StatefulDataLoader`` collect the states.
        NOTE[DIFF] ``pytorch_resample`` accepts each row with a probability from the class rates, given or counted so
        far: its shares hold in expectation, and not before the rates are known.

    References:
        Tijdeman, "The Chairman Assignment Problem", Discrete Mathematics 32, 1980.

    Example:
        >>> source = [(float(row), int(row % 50 == 0)) for row in range(1000)]
        >>> dataset = BalancedIterableDataset(source, {0: 4, 1: 1})
        >>> [label for _, label in dataset][:10]
        [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
        >>> dataset.effective_prior
        tensor([0.8000, 0.2000], dtype=torch.float64)
    """

    exact_shares: ClassVar[bool] = False
    """Shares hold within one sample per class and shard, instead of exactly."""
    small_state: ClassVar[bool] = True
    """Whether the state takes less than 1 KB."""
    sized: ClassVar[bool] = False
    """Whether the number of samples is known beforehand, and the same on all ranks."""
    elastic: ClassVar[bool] = False
    """Whether a state is valid for other numbers of ranks and workers."""

    classes: tuple[Any, ...]
    """The classes in sorted order, which is the order of ``effective_prior``."""

    def __init__(
        self,
        source: Iterable[Any],
        target_mix: Mapping[Any, float],
        *,
        label_of: Callable[[Any], Any] = itemgetter(1),
        reservoir: int = 100,
        patience: int = 1_000_000,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        if not isinstance(source, Iterable):
            raise TypeError(f"`source` must be iterable, got {type(source).__name__}.")
        if isinstance(source, Iterator):
            raise TypeError(
                f"`source` must start anew each time it is iterated, got {type(source).__name__}. "
                "Pass an object whose `__iter__` opens the stream."
            )
        if not isinstance(target_mix, Mapping):
            raise TypeError(f"`target_mix` must map classes to shares, got {type(target_mix).__name__}.")
        if not target_mix:
            raise ValueError("`target_mix` must name at least one class, got {}.")
        for label, share in target_mix.items():
            check_number(f"target_mix[{label!r}]", share, exclusive_minimum=0)
        if (num_replicas is None) != (rank is None):
            raise ValueError(f"Pass both or none, got num_replicas={num_replicas}, rank={rank}.")
        if num_replicas is not None and not 0 <= check_int("rank", rank) < check_int("num_replicas", num_replicas):
            raise ValueError(f"`rank` must be in [0, num_replicas), got rank={rank}, num_replicas={num_replicas}.")
        self.source = source
        self.classes = tuple(sorted(target_mix))
        shares = torch.tensor([target_mix[label] for label in self.classes], dtype=torch.float64)
        self.effective_prior: Tensor = shares / shares.sum()
        self.label_of = label_of
        self.reservoir = check_int("reservoir", reservoir, minimum=1)
        self.patience = check_int("patience", patience, minimum=1)
        self.seed = check_int("seed", seed, minimum=0)
        self._replica = None if num_replicas is None or rank is None else (num_replicas, rank)
        self._epoch, self._fed = 0, 0
        self._shards: int | None = None
        self._live: tuple[Any, Iterator[Any]] | None = None

    @property
    def epoch(self) -> int:
        """The pass over the source that the next sample belongs to."""
        return self._epoch

    def __iter__(self) -> Iterator[Any]:
        shard, shards, _ = place = self._shard()
        if self._fed and shards != self._shards:
            raise ValueError(
                f"{self._fed} samples of this pass were fed with {self._shards} shard(s), and now there are {shards}. "
                "Keep the numbers of ranks and workers, or call `set_epoch` to begin another pass."
            )
        if self._live is None or self._live[0] != place:
            self._live = place, islice(self._read(shard, shards), self._fed, None)
        live = self._live
        while True:
            try:
                sample = next(live[1], _END)
            except BaseException:
                self._live = None  # a generator that has raised is at its end: the next loop reads anew up to here
                raise
            if sample is _END:
                break
            if self._live is live:  # otherwise set_epoch or load_state_dict has taken over
                self._fed, self._shards = self._fed + 1, shards
            yield sample
        if self._live is live:
            self.set_epoch(self._epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of pass ``epoch``; when already in it, stay at the place reached (or restored)."""
        if check_int("epoch", epoch, minimum=0) != self._epoch:
            self._go_to(int(epoch), 0, None)

    def state_dict(self) -> dict[str, Any]:
        """Return the place reached by this shard: small, valid for the same numbers of ranks and workers."""
        return {
            "version": _STATE_VERSION,
            "epoch": self._epoch,
            "fed": self._fed,
            "shards": self._shards,
            "seed": self.seed,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a saved place, with the seed it was saved under; the next loop reads the source up to there.

        Raises:
            ValueError: the state has another version, or belongs to other settings.
        """
        if state_dict.get("version") != _STATE_VERSION:
            raise ValueError(f"The state must have version {_STATE_VERSION}, got {state_dict.get('version')!r}.")
        if state_dict["fingerprint"] != self._fingerprint():
            raise ValueError("The state is not of this dataset: `target_mix` or `reservoir` differ.")
        self.seed = check_int("seed", state_dict["seed"], minimum=0)
        self._go_to(
            check_int("epoch", state_dict["epoch"], minimum=0),
            check_int("fed", state_dict["fed"], minimum=0),
            state_dict["shards"],
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the open stream, and with the rank: a worker that is not forked cannot ask for it."""
        return {**self.__dict__, "_live": None, "_replica": self._asked()}

    def _go_to(self, epoch: int, fed: int, shards: int | None) -> None:
        self._epoch, self._fed, self._shards, self._live = epoch, fed, shards, None

    def _asked(self) -> tuple[int, int] | None:
        if self._replica is None and torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_world_size(), torch.distributed.get_rank()
        return self._replica

    def _shard(self) -> tuple[int, int, int | None]:
        ranks, rank = self._asked() or (1, 0)
        worker = get_worker_info()
        if worker is None:
            return rank, ranks, None
        return rank * worker.num_workers + worker.id, ranks * worker.num_workers, worker.id

    def _read(self, shard: int, shards: int) -> Iterator[Any]:
        generator = generator_for(self.seed, self._epoch, shard, shards)
        draws = (draw for _ in count() for draw in torch.rand(1024, generator=generator, dtype=torch.float64).tolist())
        pools: dict[Any, list[Any]] = {label: [] for label in self.classes}
        rows, missing = islice(self.source, shard, None, shards), set(self.classes)
        for label in self._order():
            pool, waited = pools[label], 0
            while not pool:
                if (sample := next(rows, _END)) is _END:
                    if label in missing:
                        warn(f"The stream ended without a row of class {label!r}, for which the others waited.")
                    return
                if waited == self.patience:
                    raise ValueError(
                        f"No row of class {label!r} came within `patience` = {self.patience:,} rows of the stream. "
                        "Take the class out of `target_mix` and of the stream, or raise `patience`."
                    )
                waited += 1
                if (found := self._label(sample)) not in pools:
                    raise ValueError(f"The stream holds class {found!r}, to which `target_mix` gives no share.")
                missing.discard(found)
                if len(pools[found]) < self.reservoir:
                    pools[found].append(sample)
                else:
                    pools[found][int(next(draws) * self.reservoir)] = sample
            place = int(next(draws) * len(pool))
            pool[place], pool[-1] = pool[-1], pool[place]
            yield pool.pop()

    def _order(self) -> Iterator[Any]:
        shares = dict(zip(self.classes, self.effective_prior.tolist(), strict=True))
        slack = 1 / max(2 * len(shares) - 2, 1)
        fed = dict.fromkeys(self.classes, 0)
        for number in count(1):
            # Of the classes that may come without running ahead, the one that has to come first.
            turns = {
                label: (share * number - fed[label] < slack - 1e-9, (fed[label] + 1 - slack) / share)
                for label, share in shares.items()
            }
            label = min(turns, key=turns.__getitem__)
            fed[label] += 1
            yield label

    def _label(self, sample: Any) -> Any:
        label = self.label_of(sample)
        return label.item() if hasattr(label, "item") else label

    def _fingerprint(self) -> str:
        parts = (self.classes, self.effective_prior.tolist(), self.reservoir)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
