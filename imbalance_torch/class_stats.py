"""Labels to counts, and counts to class weights and sample weights."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imbalance_torch._checks import check_choice, check_int, check_number

__all__ = ["class_counts", "class_weights", "describe_weights", "sample_weights"]

SCHEMES = ("balanced", "inverse", "inverse_sqrt", "power", "effective", "median")


def class_counts(labels: Any, num_classes: int | None = None) -> Tensor:
    """Count the rows of each class.

    ``counts[c] = sum_i 1[labels[i] == c]`` for c = 0 .. C - 1.

    Args:
        labels: (N,) tensor, array or list of integers or bools in 0 .. C - 1; floats without fraction are accepted.
        num_classes: C; None takes the largest label plus one.

    Returns:
        (C,) int64 tensor, on the device of a tensor input, otherwise on CPU.

    Raises:
        TypeError: ``labels`` holds neither integers, bools nor whole floats.
        ValueError: ``labels`` is empty, not one-dimensional, NaN, fractional or outside 0 .. C - 1.

    Example:
        >>> class_counts([0, 0, 2], num_classes=4).tolist()
        [2, 0, 1, 0]
    """
    index = _class_index(labels)
    low, high = int(index.min()), int(index.max())
    classes = high + 1 if num_classes is None else check_int("num_classes", num_classes, minimum=1)
    if low < 0 or high >= classes:
        bound = "0 or more" if num_classes is None else f"in 0..{classes - 1}"
        raise ValueError(f"`labels` must be {bound}, got values from {low} to {high}.")
    return torch.bincount(index, minlength=classes)


def class_weights(
    counts: Any,
    scheme: str = "balanced",
    *,
    beta: float = 0.999,
    power: float = 1.0,
    normalize: str | None = "samples",
    max_weight: float | None = None,
    empty: str = "error",
) -> Tensor:
    """Turn class counts into class weights.

    With n_c = ``counts``, n their sum and C the number of classes, the raw weight is

    - ``"balanced"``: n / (C n_c)
    - ``"inverse"``: 1 / n_c; ``"inverse_sqrt"``: n_c^(-1/2); ``"power"``: n_c^(-``power``)
    - ``"effective"``: (1 - ``beta``) / (1 - ``beta``^n_c), the inverse effective number of rows
    - ``"median"``: median(n) / n_c

    Args:
        counts: (C,) tensor, array or list of counts >= 0.
        scheme: One of the names above.
        beta: In [0, 1), for ``"effective"``: near 0 all weights are equal, near 1 they tend to 1 / n_c. It separates
            classes of up to about 1 / (1 - beta) rows.
        power: >= 0, for ``"power"``.
        normalize: ``"samples"`` scales the average over rows, sum_c n_c w_c / n, to 1, which keeps the size of the
            gradient; ``"classes"`` scales the average over classes to 1; None keeps the raw weights.
        max_weight: Upper bound, applied last: a capped set is no longer normalised.
        empty: What a class without rows gets: ``"error"`` raises, ``"zero"`` gives weight 0 and leaves the class out of
            C and of the averages, ``"clamp"`` takes its count as 1.

    Returns:
        (C,) float64 tensor, on the device of a tensor input, otherwise on CPU.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A count is negative or not finite, all counts are zero, or an option is unknown or out of range.

    Warns:
        UserWarning: The counts differ by half or more and the weights, before ``max_weight``, do not within 1 %:
            ``beta`` or ``power`` is too small for these counts. 0 asks for equal weights and gets them in silence.

    Notes:
        1 - beta^n is computed as -expm1(n log beta) in float64, since the plain form loses all digits near beta = 1.

    References:
        Cui et al., Class-balanced loss based on effective number of samples, CVPR 2019.
        Eigen and Fergus, Predicting depth, surface normals and semantic labels, ICCV 2015 (median).

    Example:
        >>> class_weights([100, 10, 1]).tolist()
        [0.37, 3.7, 37.0]
        >>> class_weights([100, 10, 1], "inverse_sqrt", normalize="classes", max_weight=2.0).round(decimals=4).tolist()
        [0.2118, 0.6699, 2.0]
    """
    _, weights, warning = _weigh(counts, scheme, beta, power, normalize, max_weight, empty)
    if warning:
        warnings.warn(warning, UserWarning, stacklevel=2)
    return weights


def describe_weights(
    counts: Any,
    scheme: str = "balanced",
    *,
    beta: float = 0.999,
    power: float = 1.0,
    normalize: str | None = "samples",
    max_weight: float | None = None,
    empty: str = "error",
) -> str:
    """Show what `class_weights` makes of the counts, as a text table with one row per class.

    The share after weighting is n_c w_c / sum_k n_k w_k with n_c = ``counts`` and w the weights: the class shares that
    the weighted loss sees, and the prior of its probabilities before `log_posterior` corrects them.

    Args:
        counts: As in `class_weights`, like every argument that follows.
        scheme: See `class_weights`.
        beta: See `class_weights`.
        power: See `class_weights`.
        normalize: See `class_weights`.
        max_weight: See `class_weights`.
        empty: See `class_weights`.

    Returns:
        The table, then the ratio of the extreme weights, the batch size that holds one row of the rarest class on
        average (both over the classes with rows), and what `class_weights` would warn of.

    Raises:
        TypeError: See `class_weights`.
        ValueError: See `class_weights`.

    Example:
        >>> print(describe_weights([9000, 900, 100], "inverse_sqrt"))
        class   rows  share  weight  share after weighting
            0  9,000   90 %  0.7816                70.34 %
            1    900    9 %   2.472                22.24 %
            2    100    1 %   7.415                7.415 %
        Largest / smallest weight: 9.487. Where their classes are equally likely, the output says 90.46 % for the
        heavier one.
        A batch of 100 rows holds class 2 once on average.
    """
    rows, weights, warning = _weigh(counts, scheme, beta, power, normalize, max_weight, empty)
    weighted = rows * weights
    columns = {
        "class": [str(index) for index in range(len(rows))],
        "rows": [f"{count:,.12g}" for count in rows.tolist()],
        "share": [_percent(share) for share in (rows / rows.sum()).tolist()],
        "weight": [f"{weight:.4g}" for weight in weights.tolist()],
        "share after weighting": [_percent(share) for share in (weighted / weighted.sum()).tolist()],
    }
    widths = [max(map(len, [name, *cells])) for name, cells in columns.items()]
    table = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [tuple(columns), *zip(*columns.values(), strict=True)]
    ]
    seen = torch.nonzero(rows).flatten()
    ratio = _spread(weights[seen])
    rarest = int(seen[rows[seen].argmin()])
    return "\n".join(
        [
            *table,
            f"Largest / smallest weight: {ratio:.4g}. Where their classes are equally likely, the output says "
            f"{_percent(ratio / (1 + ratio))} for the heavier one.",
            f"A batch of {math.ceil(rows.sum() / rows[rarest]):,} rows holds class {rarest} once on average.",
            *([warning] if warning else []),
        ]
    )


def sample_weights(
    labels: Any,
    scheme: str = "balanced",
    *,
    beta: float = 0.999,
    power: float = 1.0,
    normalize: str | None = "samples",
    max_weight: float | None = None,
    empty: str = "error",
) -> Tensor:
    """Give every row the weight of its class: ``class_weights(class_counts(labels), ...)[labels]``.

    For models that take one weight a row, such as trees.

    Args:
        labels: (N,) labels as in `class_counts`.
        scheme: As in `class_weights`, like every argument that follows.
        beta: See `class_weights`.
        power: See `class_weights`.
        normalize: See `class_weights`.
        max_weight: See `class_weights`.
        empty: See `class_weights`; a class without rows is a gap in the labels.

    Returns:
        (N,) float64 tensor, on the device of a tensor input, otherwise on CPU.

    Raises:
        TypeError: See `class_counts`.
        ValueError: See `class_counts` and `class_weights`.

    Example:
        >>> sample_weights([0, 0, 0, 1]).round(decimals=4).tolist()
        [0.6667, 0.6667, 0.6667, 2.0]
    """
    weights = class_weights(
        class_counts(labels),
        scheme,
        beta=beta,
        power=power,
        normalize=normalize,
        max_weight=max_weight,
        empty=empty,
    )
    return weights[_class_index(labels)]


def to_tensor(name: str, value: Any) -> Tensor:
    """Return numbers, lists and arrays as a CPU tensor of their own memory, and a tensor detached."""
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return torch.from_numpy(np.array(value, order="C"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must hold numbers, got {type(value).__name__}.") from error


def _class_index(labels: Any) -> Tensor:
    values = to_tensor("labels", labels)
    if values.ndim != 1 or not values.numel():
        raise ValueError(f"`labels` must have shape (N,) with N > 0, got labels.shape={tuple(values.shape)}.")
    if values.is_complex():
        raise TypeError(f"`labels` must be integers or bools, got labels.dtype={values.dtype}.")
    index = values.to(torch.int64)
    if values.is_floating_point() and not bool((index == values).all()):
        raise ValueError("`labels` must be whole numbers without NaN, got fractions, NaN or infinity.")
    return index


def _counts(counts: Any) -> Tensor:
    rows = to_tensor("counts", counts).to(torch.float64)
    if rows.ndim != 1 or not rows.numel():
        raise ValueError(f"`counts` must have shape (C,) with C > 0, got counts.shape={tuple(rows.shape)}.")
    if not bool((torch.isfinite(rows) & (rows >= 0)).all()) or not bool(rows.any()):
        raise ValueError(f"`counts` must be finite, >= 0 and not all zero, got counts={rows.tolist()}.")
    return rows


def _weigh(
    counts: Any,
    scheme: str,
    beta: float,
    power: float,
    normalize: str | None,
    max_weight: float | None,
    empty: str,
) -> tuple[Tensor, Tensor, str]:
    """Return the counts in float64, their weights, and the text of a warning or an empty string."""
    check_choice("scheme", scheme, SCHEMES)
    check_number("beta", beta, minimum=0)
    check_number("power", power, minimum=0)
    check_choice("empty", empty, ("error", "zero", "clamp"))
    if beta >= 1:
        raise ValueError(f"`beta` must be < 1, got beta={beta}.")
    if normalize is not None:
        check_choice("normalize", normalize, ("samples", "classes"))
    if max_weight is not None:
        check_number("max_weight", max_weight, exclusive_minimum=0)
    rows = _counts(counts)
    if empty == "error" and bool((rows == 0).any()):
        classes = torch.nonzero(rows == 0).flatten().tolist()
        raise ValueError(f'Class {", ".join(map(str, classes))} has no rows. Pass empty="zero" or empty="clamp".')
    size = rows.clamp(min=1.0) if empty == "clamp" else rows
    present = size > 0
    weights = torch.zeros_like(size)
    weights[present] = _raw(size[present], scheme, beta, power)
    if normalize == "samples":
        weights = weights * (rows.sum() / (rows * weights).sum())
    elif normalize == "classes":
        weights = weights / weights[present].mean()
    warning = _futility(size[present], weights[present], scheme, beta, power)
    return rows, weights if max_weight is None else weights.clamp(max=max_weight), warning


def _futility(counts: Tensor, weights: Tensor, scheme: str, beta: float, power: float) -> str:
    """Say how to part weights that are equal within 1 % though the counts are far apart; empty when all is well."""
    if _spread(counts) < 1.5 or _spread(weights) >= 1.01:
        return ""
    if scheme == "effective" and beta > 0:
        digits = max(1, math.ceil(math.log10(float(counts.max()))))
        fix = f"Raise `beta`, here {beta}, towards 1: {1 - 10.0**-digits:.15g} or more parts classes of this size."
    elif scheme == "power" and power > 0:
        fix = f"Raise `power`, here {power}: 1 balances the classes."
    else:
        return ""
    return (
        f"The class weights do nothing: the counts differ by a factor of {_spread(counts):.4g}, the weights by less "
        f"than 1 %. {fix}"
    )


def _spread(values: Tensor) -> float:
    return float(values.max() / values.min())


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _raw(counts: Tensor, scheme: str, beta: float, power: float) -> Tensor:
    if scheme == "effective":
        log_beta = torch.tensor(beta, dtype=torch.float64, device=counts.device).log()
        return (1.0 - beta) / -torch.expm1(counts * log_beta)
    if scheme == "balanced":
        return counts.sum() / (counts.numel() * counts)
    if scheme == "median":
        return counts.quantile(0.5) / counts
    return counts ** -{"inverse": 1.0, "inverse_sqrt": 0.5, "power": power}[scheme]
