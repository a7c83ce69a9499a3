"""Data whose class probabilities are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_number
from imbalance_torch._random import RandomState, mix, seed_from
from imbalance_torch.priors import shares_of


class KnownPosterior(NamedTuple):
    """Rows, their classes, and the probabilities that the classes were drawn with.

    Attributes:
        X: (N, D) float32.
        y: (N,) int64.
        posterior: p(y = c | x), (N, C) float64.
    """

    X: Tensor
    y: Tensor
    posterior: Tensor


def make_classification_with_known_posterior(
    num_rows: int,
    *,
    num_features: int = 8,
    prior: float | Sequence[float] = 0.05,
    num_modes: int = 2,
    separation: float = 2.0,
    random_state: RandomState = None,
) -> KnownPosterior:
    r"""Draw rows from mixtures of Gaussians, with the exact probability of each class at each row.

    .. math:: y \sim \pi, \qquad x \mid y \sim \frac1M \sum_{m=1}^{M} \mathcal N(\mu_{ym}, I), \qquad
              p(y \mid x) = \frac{\pi_y \sum_m e^{-\lVert x - \mu_{ym} \rVert^2 / 2}}
                                 {\sum_c \pi_c \sum_m e^{-\lVert x - \mu_{cm} \rVert^2 / 2}}

    with :math:`\pi` = ``prior``, M = ``num_modes`` and centres :math:`\mu_{cm}` uniform on the sphere of radius
    ``separation`` in ``num_features`` dimensions. One mode per class is the model of linear discriminant analysis: the
    log-odds are linear in x. With several the boundary is curved. The classes are drawn independently row by row, so
    their counts vary around N ``prior``, and a perfect model is calibrated up to that.

    Args:
        num_rows: N.
        num_features: D.
        prior: share of class 1 of two, or the shares of all C >= 2 classes, which sum to 1.
        num_modes: modes of each class.
        separation: distance of every mode from the origin in standard deviations; two modes lie about 1.4 times as
            far from each other. With 0 the features tell nothing.
        random_state: int, ``torch.Generator`` or None (fresh entropy); settles centres and rows.

    Returns:
        :class:`KnownPosterior` ``(X, y, posterior)`` on the CPU.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: a size below 1, a negative separation, or shares outside (0, 1) or with another sum than 1.

    Notes:
        Beside the result 16 N C M bytes of working memory. The posterior is that of the float32 row returned.

    Example:
        >>> X, y, posterior = make_classification_with_known_posterior(10_000, prior=[0.9, 0.08, 0.02], random_state=0)
        >>> X.shape, posterior.shape
        (torch.Size([10000, 8]), torch.Size([10000, 3]))
        >>> bool((posterior.mean(0) - torch.bincount(y) / len(y)).abs().max() < 0.01)
        True
    """
    for name, value in {"num_rows": num_rows, "num_features": num_features, "num_modes": num_modes}.items():
        check_int(name, value, minimum=1)
    check_number("separation", separation, minimum=0)
    shares = shares_of("prior", prior).double()
    if shares.ndim == 0:
        shares = torch.stack([1 - shares, shares])
    if shares.ndim != 1 or len(shares) < 2:
        raise ValueError(f"`prior` must be a number or the shares of at least two classes, got prior={prior!r}.")
    shares = shares / shares.sum()
    generator = np.random.Generator(np.random.PCG64(mix(seed_from(random_state))))
    centres = generator.standard_normal((len(shares), num_modes, num_features))
    centres *= separation / np.linalg.norm(centres, axis=-1, keepdims=True)
    y = np.searchsorted(shares.cumsum(0)[:-1].numpy(), generator.random(num_rows), side="right")
    x = centres[y, generator.integers(num_modes, size=num_rows)]
    x += generator.standard_normal(x.shape)
    X = torch.from_numpy(x.astype(np.float32))
    # |x - mu|^2 / 2 less |x|^2 / 2 and separation^2 / 2, which are common to all modes
    scores = torch.einsum("nd,cmd->ncm", X.double(), torch.from_numpy(centres))
    posterior = (scores.logsumexp(-1) + shares.log()).softmax(-1)
    return KnownPosterior(X, torch.from_numpy(y.astype(np.int64)), posterior)
