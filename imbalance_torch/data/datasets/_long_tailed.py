"""Long-tailed versions of balanced data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Subset

from imbalance_torch._checks import check_choice, check_int, check_number
from imbalance_torch._random import mix
from imbalance_torch.samplers import labels_of

_ROUNDING = 1e-12  # of a power of a float, so that exact quotients are not floored to the integer below


def make_long_tailed(dataset: Any, imbalance_factor: float, *, kind: str = "exp", seed: int = 0) -> Subset[Any]:
    r"""Take rows of each class of a data set so that the class sizes fall off: the standard long-tailed protocol.

    .. math:: n_c = \lfloor n_{\max} \, \mu^{c / (C - 1)} \rfloor \quad\text{("exp")}, \qquad
              n_c = n_{\max} \text{ for } c < \lfloor C / 2 \rfloor, \text{ else } \lfloor n_{\max} \, \mu \rfloor
              \quad\text{("step")}

    with classes c = 0..C-1 in sorted order, :math:`\mu` = 1 / ``imbalance_factor`` and :math:`n_{\max}` the largest
    integer for which every class has enough rows: the common class size where the data are balanced.

    Args:
        dataset: anything that :func:`~imbalance_torch.samplers.labels_of` understands; no sample of it is read.
        imbalance_factor: rows of the first class per row of the last, >= 1.
        kind: "exp" or "step".
        seed: settles which rows of a class are taken. With one seed a larger factor takes some of the rows that a
            smaller one takes.

    Returns:
        A ``Subset`` of ``dataset`` with the rows in the order of ``dataset``.

    Raises:
        TypeError: as ``labels_of``, or an argument of the wrong kind.
        ValueError: fewer than two classes, a factor below 1, or one that leaves a class without rows.

    Notes:
        NOTE[DIFF]: Cui et al. and the code that follows them take N / C as the largest class size and silently give
        fewer rows where a class has fewer; here the counts are exact for unbalanced data too.

    References:
        Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on effective number of samples", CVPR 2019; the
        step form: Buda, Maki and Mazurowski, "A systematic study of the class imbalance problem", 2018.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> y = torch.arange(3).repeat(100)
        >>> tail = make_long_tailed(TensorDataset(torch.zeros(300, 2), y), imbalance_factor=25)
        >>> torch.bincount(y[tail.indices]).tolist()
        [100, 20, 4]
    """
    check_number("imbalance_factor", imbalance_factor, minimum=1)
    check_choice("kind", kind, ("exp", "step"))
    check_int("seed", seed, minimum=0)
    classes, labels, available = np.unique(labels_of(dataset), return_inverse=True, return_counts=True)
    if (num_classes := len(classes)) < 2:
        raise ValueError(f"A long tail needs at least two classes, got {num_classes}.")
    rank = np.arange(num_classes)
    exponent = rank / (num_classes - 1) if kind == "exp" else (rank >= num_classes // 2).astype(float)
    divisor = float(imbalance_factor) ** exponent
    largest = np.ceil((available + 1) * divisor * (1 - _ROUNDING)).min() - 1
    counts = np.minimum(np.floor(largest / divisor * (1 + _ROUNDING)).astype(np.int64), available)
    if counts[-1] == 0:
        raise ValueError(
            f"`imbalance_factor` must be <= {int(largest)} for class sizes {available[:10].tolist()}, "
            f"got imbalance_factor={imbalance_factor}: the last class would have no rows."
        )
    generators = (np.random.Generator(np.random.PCG64(mix(seed, c))) for c in range(num_classes))
    rows = [generator.permutation(np.flatnonzero(labels == c))[: counts[c]] for c, generator in enumerate(generators)]
    return Subset(dataset, np.sort(np.concatenate(rows)).tolist())
