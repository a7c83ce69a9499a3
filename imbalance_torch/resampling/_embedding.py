"""SMOTE between backbone and head: every training batch is topped up in the space of its embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_floating, check_int, check_number, check_same_device, check_tensor, warn
from imbalance_torch._random import RandomState, generator_for, mix, seed_from
from imbalance_torch.neighbors._knn import nearest
from imbalance_torch.resampling._graph import Edges, computing_dtype


class BatchSMOTE(nn.Module):
    r"""SMOTE on the embeddings of a batch, used as a layer between backbone and head.

    .. math:: z_{new} = z_i + \lambda (z_j - z_i), \quad \lambda \sim U[0, 1)

    with z_i an embedding of the class in the batch and z_j one of its ``k_neighbors`` nearest of the same class, both
    uniform. A class c with n_c rows in a batch whose largest class has n_maj rows gets
    ``max(0, round(target_ratio n_maj) - n_c)`` new rows. In ``eval()`` the layer passes its input on.

    Args:
        k_neighbors: Neighbours that a row can be joined with, >= 1; where a class has fewer, all of them.
        target_ratio: Rows of each smaller class per row of the largest class of the batch, in (0, 1].
        bank_size: Embeddings of each class kept from earlier batches, detached, the oldest overwritten first. They
            serve as further neighbours, and as bases for a class that is absent from the batch. 0 keeps none.
        num_features: Width d of the embeddings; needed with ``bank_size``, unused without.
        num_classes: Classes C; needed with ``bank_size``, unused without.
        detach_neighbors: Gradients reach a base row alone; False: the neighbour too, where it is in the batch.
        random_state: Seed, ``torch.Generator`` (used once, for a seed) or None (fresh entropy).

    Attributes:
        random_counter: int64 (2,), the seed and the training batches seen; batch after batch draws new numbers.
        bank: (C, bank_size, d) embeddings kept.
        bank_count: int64 (C,), the embeddings ever kept of each class.

    Raises:
        TypeError: If an argument is of the wrong kind, or ``z`` is not floating-point or ``y`` not integer.
        ValueError: If a value is out of range, ``bank_size`` comes without ``num_features`` and ``num_classes``, or
            shapes, devices or labels do not fit.

    Notes:
        Rows of the batch come first and unchanged, then new rows by class. Halves are interpolated in float32, also
        under autocast. Buffers are in the ``state_dict``, so that training resumes with the same numbers; global
        random state is neither read nor written. A class with one row and no kept ones is copied, with a warning once.
        A batch with NaN or infinite embeddings is passed on as it is and not kept, with a warning once, so that a
        gradient scaler can skip the step. The largest class is that of the batch, of equal ones the lowest label.

        Under DDP nothing is collective here: each rank tops up its own batch, with numbers of its own. DDP copies
        buffers from rank 0 by default, and so the bank: with ``broadcast_buffers=False`` each rank keeps its own.
        Do not put the layer inside a checkpointed (recomputed) segment: a second pass would draw other rows.

        Cost per batch: a search in each class that grows, O(m^2 d) for its m rows with the kept ones; on CUDA a few
        synchronisations. Memory: C ``bank_size`` d numbers.

    NOTE[DIFF]: Published forms draw within the batch alone; the bank is ours. Kept embeddings lag behind the weights:
    keep few. Undo the shift of the class shares with ``effective_prior`` and ``adjust_logits``.

    References:
        Chawla, Bowyer, Hall, Kegelmeyer. SMOTE: Synthetic Minority Over-sampling Technique. JAIR 16, 2002.
        Dablain, Krawczyk, Chawla. DeepSMOTE: Fusing Deep Learning and SMOTE for Imbalanced Data. TNNLS, 2022
        (interpolation in an embedding space).

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(40, 6, generator=generator), torch.tensor([0] * 36 + [1] * 4)
        >>> backbone, smote, head = nn.Linear(6, 3), BatchSMOTE(target_ratio=0.5, random_state=0), nn.Linear(3, 2)
        >>> z, target = smote(backbone(x), y)
        >>> z.shape, target.bincount(), head(z).shape
        (torch.Size([54, 3]), tensor([36, 18]), torch.Size([54, 2]))
        >>> smote.eval()(z, target)[0] is z
        True
    """

    random_counter: Tensor
    bank: Tensor
    bank_count: Tensor

    def __init__(
        self,
        *,
        k_neighbors: int = 5,
        target_ratio: float = 0.25,
        bank_size: int = 0,
        num_features: int | None = None,
        num_classes: int | None = None,
        detach_neighbors: bool = True,
        random_state: RandomState = None,
    ) -> None:
        super().__init__()
        self.k_neighbors = check_int("k_neighbors", k_neighbors, minimum=1)
        self.target_ratio = check_number("target_ratio", target_ratio, exclusive_minimum=0.0, maximum=1.0)
        self.bank_size = check_int("bank_size", bank_size, minimum=0)
        if not isinstance(detach_neighbors, bool):
            raise TypeError(f"`detach_neighbors` must be True or False, got detach_neighbors={detach_neighbors!r}.")
        self.detach_neighbors = detach_neighbors
        if self.bank_size and (num_features is None or num_classes is None):
            raise ValueError("`bank_size` needs the shape of what it keeps. Pass `num_features` and `num_classes` too.")
        classes, features = (
            check_int(name, number, minimum=1) if self.bank_size else 0
            for name, number in (("num_classes", num_classes), ("num_features", num_features))
        )
        self.register_buffer("random_counter", torch.tensor([mix(seed_from(random_state)), 0]))
        self.register_buffer("bank", torch.zeros(classes, self.bank_size, features))
        self.register_buffer("bank_count", torch.zeros(classes, dtype=torch.int64))
        self._warned: set[str] = set()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings and labels, while training followed by synthetic ones.

        Args:
            z: (B, d) embeddings.
            y: (B,) integer labels from 0.

        Returns:
            ``(z, y)`` with B or more rows, dtypes and device kept.
        """
        self._check(z, y)
        if not self.training or not len(y):
            return z, y
        order = y.argsort(stable=True)
        labels, counts = torch.unique_consecutive(y[order], return_counts=True)
        present = dict(zip(map(int, labels.tolist()), counts.tolist(), strict=True))
        if min(present) < 0 or (self.bank_size and max(present) >= len(self.bank)):
            below = f" to {len(self.bank) - 1}" if self.bank_size else ""
            raise ValueError(f"`y` must hold labels from 0{below}, got {min(present)} to {max(present)}.")
        rows = dict(zip(present, torch.split(order, list(present.values())), strict=True))
        seed, call = self.random_counter.tolist()
        self.random_counter[1] += 1
        if not z.detach().isfinite().all():
            self._warn_once(
                "`z` holds NaN or infinite embeddings: the batch is passed on without synthetic rows. Lower the "
                "learning rate, or scale the loss if this lasts."
            )
            return z, y
        new = self._synthetic(z, rows, max(present.values()), (seed, call))
        self._keep(z.detach(), rows)
        if not new:
            return z, y
        added = torch.tensor(list(new), dtype=y.dtype).repeat_interleave(
            torch.tensor([len(part) for part in new.values()])
        )
        return torch.cat((z, *new.values())), torch.cat((y, added.to(y.device)))

    def effective_prior(self, prior: Tensor | Sequence[float]) -> Tensor:
        """Return the class shares that the head sees when batches come with the shares ``prior``.

        ``s_c`` is proportional to ``max(prior_c, target_ratio max(prior))``.

        Args:
            prior: (C,) non-negative shares.

        Returns:
            (C,) float64 shares on the CPU that sum to 1.

        Notes:
            For batches that hold every class, or a bank that does; a class that a batch lacks is not topped up.
        """
        shares = torch.as_tensor(prior, dtype=torch.float64).cpu()
        if shares.ndim != 1 or not bool((shares >= 0).all() and shares.sum().isfinite() and shares.any()):
            raise ValueError(f"`prior` must be (C,) non-negative shares, not all zero, got prior={prior}.")
        shares = shares.clamp(min=self.target_ratio * float(shares.max()))
        return shares / shares.sum()

    def extra_repr(self) -> str:
        """Return the settings, as ``print(model)`` shows them."""
        return f"k_neighbors={self.k_neighbors}, target_ratio={self.target_ratio}, bank_size={self.bank_size}"

    def _synthetic(
        self, z: Tensor, rows: dict[int, Tensor], largest: int, stream: tuple[int, int]
    ) -> dict[int, Tensor]:
        """Return the new embeddings of each class that is to grow, by label."""
        kept = dict(enumerate(self.bank_count.clamp(max=self.bank_size).tolist()))
        wanted = round(self.target_ratio * largest)
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        replica = torch.distributed.get_rank() if distributed else 0
        none, new = rows[next(iter(rows))][:0], {}
        for label in sorted(rows.keys() | kept.keys()):
            here, banked = rows.get(label, none), kept.get(label, 0)
            number = wanted - len(here)
            if number <= 0 or not len(here) + banked:
                continue
            pool = z[here]
            if banked:
                pool = torch.cat((pool, self.bank[label, :banked].to(z.dtype)))
            edges = self._edges(pool.detach(), len(here) or banked, label)
            base, neighbor, gap = edges.draw(number, generator_for(*stream, replica, label))
            wide = computing_dtype(z)
            start = pool[base].to(wide)
            end = (pool.detach() if self.detach_neighbors else pool)[neighbor].to(wide)
            new[label] = (start + gap[:, None].to(wide) * (end - start)).to(z.dtype)
        return new

    def _edges(self, pool: Tensor, bases: int, label: int) -> Edges:
        """Return the pairs of the first ``bases`` rows of a class and their neighbours in all of ``pool``."""
        if len(pool) == 1:
            self._warn_once(
                f"Class {label} has one row in a batch and none to join it with, so that its new rows are copies. "
                "Use larger batches, a sampler with a quota per class, or `bank_size`."
            )
            neighbors = torch.zeros((1, 1), dtype=torch.int64, device=pool.device)
        else:
            neighbors = nearest(pool, pool, min(self.k_neighbors, len(pool) - 1), exclude_self=True).indices[:bases]
        return Edges(label, torch.arange(bases, device=pool.device), neighbors)

    def _keep(self, z: Tensor, rows: dict[int, Tensor]) -> None:
        """Write the last embeddings of each class over the oldest kept ones."""
        if not self.bank_size:
            return
        for label, here in rows.items():
            last = here[-self.bank_size :]
            slots = (self.bank_count[label] + torch.arange(len(last), device=z.device)) % self.bank_size
            self.bank[label, slots] = z[last].to(self.bank.dtype)
            self.bank_count[label] += len(last)

    def _check(self, z: Tensor, y: Tensor) -> None:
        check_same_device(z=check_floating("z", z), y=check_tensor("y", y), bank=self.bank if self.bank_size else None)
        if z.ndim != 2 or z.shape[1] == 0 or y.shape != z.shape[:1]:
            raise ValueError(
                f"`z` and `y` must have shapes (B, d) with d >= 1 and (B,), got {tuple(z.shape)} and {tuple(y.shape)}. "
                "Flatten or pool the embeddings first."
            )
        if self.bank_size and z.shape[1] != self.bank.shape[2]:
            raise ValueError(f"`z` must have the {self.bank.shape[2]} columns of `num_features`, got {z.shape[1]}.")
        if y.is_floating_point() or y.is_complex():
            raise TypeError(f"`y` must hold integer labels, got y.dtype={y.dtype}.")

    def _warn_once(self, message: str) -> None:
        """Warn when a warning of this kind has not been given before."""
        kind = message.split()[0]
        if kind not in self._warned:
            self._warned.add(kind)
            warn(message)
