"""A sampling policy ("auto", a ratio, a dict, a callable) resolved once into explicit rows per class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from numbers import Real
from typing import Any, TypeAlias, TypeVar

from imbalance_torch._checks import check_int

SamplingStrategy: TypeAlias = "str | float | Mapping[Any, int] | Callable[[Any], Mapping[Any, int]]"
CleaningStrategy: TypeAlias = "str | list[Any] | Callable[[Any], str | list[Any]]"
__all__ = [
    "CleaningStrategy",
    "SamplingStrategy",
    "largest_remainder",
    "resolve_cleaning",
    "resolve_over_sampling",
    "resolve_under_sampling",
]

Label = TypeVar("Label", bound=Hashable)

_NAMES = ("all", "auto", "majority", "minority", "not majority", "not minority")


def largest_remainder(total: int, shares: Mapping[Label, int]) -> dict[Label, int]:
    """Split ``total`` into whole numbers that are proportional to ``shares`` and sum to ``total`` exactly.

    Every label gets ``floor(total * share / sum)``; what is left goes to the largest remainders, ties to the
    label that comes first.

    Args:
        total: The number to split, >= 0.
        shares: Label to non-negative integer share; the sum is positive.

    Returns:
        Label to whole number, in the order of ``shares``.

    Example:
        >>> largest_remainder(10, {"a": 1, "b": 1, "c": 1})
        {'a': 4, 'b': 3, 'c': 3}
    """
    scale = sum(shares.values())
    parts = {label: total * share // scale for label, share in shares.items()}
    by_remainder = sorted(shares, key=lambda label: -(total * shares[label] % scale))
    for label in by_remainder[: total - sum(parts.values())]:
        parts[label] += 1
    return parts


def resolve_over_sampling(
    counts: Mapping[Label, int], sampling_strategy: SamplingStrategy = "auto", *, y: Any = None
) -> dict[Label, int]:
    """Resolve an over-sampling policy into the rows to ADD per targeted class.

    With ``n_c = counts[c]`` and ``n_max`` the largest count, a name gives ``n_max - n_c`` rows to each class it
    targets, a ratio gives ``int(ratio * n_max - n_c)`` and a dict of final counts gives ``final_c - n_c``.

    Args:
        counts: Label to rows present (at least one), two classes or more. The majority is the largest class; of
            equal ones, the first in sorted order.
        sampling_strategy: ``"auto"`` = ``"not majority"``, ``"minority"``, ``"not minority"``, ``"all"``; a ratio of
            minority rows to majority rows in (0, 1], for two classes only; a dict of final counts; or a callable
            that receives ``y`` and returns such a dict.
        y: The labels, handed to a callable.

    Returns:
        Label to rows to add, sorted by label; classes that are not targeted are absent.

    Raises:
        TypeError: If the strategy is none of these kinds.
        ValueError: If it cannot be met, in the words that imbalanced-learn uses.

    References:
        The meaning of every value follows imbalanced-learn's ``sampling_strategy``.

    Example:
        >>> resolve_over_sampling({"ok": 90, "fraud": 10}, 0.5)
        {'fraud': 35}
    """
    labels = _checked_labels(counts)
    majority = max(labels, key=counts.__getitem__)
    strategy = sampling_strategy(y) if callable(sampling_strategy) else sampling_strategy
    if isinstance(strategy, Mapping):
        return {label: _final(strategy[label], counts[label], over=True) for label in _known(strategy, labels)}
    if isinstance(strategy, str):
        if strategy == "majority":
            raise ValueError("'sampling_strategy'='majority' cannot be used with over-sampler.")
        return {label: counts[majority] - counts[label] for label in _named(strategy, counts, labels, "not majority")}
    ratio = _checked_ratio(strategy, labels)
    add = {label: int(counts[majority] * ratio - counts[label]) for label in labels if label != majority}
    if any(number <= 0 for number in add.values()):
        raise ValueError(
            "The specified ratio required to remove samples from the minority class while trying to generate new "
            f"samples. Please increase the ratio, got sampling_strategy={strategy!r}."
        )
    return add


def resolve_under_sampling(
    counts: Mapping[Label, int], sampling_strategy: SamplingStrategy = "auto", *, y: Any = None
) -> dict[Label, int]:
    """Resolve an under-sampling policy into the rows to KEEP per targeted class.

    With ``n_c = counts[c]`` and ``n_min`` the smallest count, a name keeps ``n_min`` rows of each class it targets,
    a ratio keeps ``int(n_min / ratio)`` majority rows, and a dict states the final counts itself.

    Args:
        counts: Label to rows present (at least one), two classes or more. The minority is the smallest class; of
            equal ones, the first in sorted order.
        sampling_strategy: ``"auto"`` = ``"not minority"``, ``"majority"``, ``"not majority"``, ``"all"``; a ratio of
            minority rows to majority rows in (0, 1], for two classes only; a dict of final counts; or a callable
            that receives ``y`` and returns such a dict.
        y: The labels, handed to a callable.

    Returns:
        Label to rows to keep, sorted by label; classes that are not targeted are absent and stay whole.

    Raises:
        TypeError: If the strategy is none of these kinds.
        ValueError: If it cannot be met, in the words that imbalanced-learn uses.

    References:
        The meaning of every value follows imbalanced-learn's ``sampling_strategy``.

    Example:
        >>> resolve_under_sampling({"ok": 90, "fraud": 10}, 0.25)
        {'ok': 40}
    """
    labels = _checked_labels(counts)
    minority = min(labels, key=counts.__getitem__)
    strategy = sampling_strategy(y) if callable(sampling_strategy) else sampling_strategy
    if isinstance(strategy, Mapping):
        return {label: _final(strategy[label], counts[label], over=False) for label in _known(strategy, labels)}
    if isinstance(strategy, str):
        if strategy == "minority":
            raise ValueError("'sampling_strategy'='minority' cannot be used with under-sampler and clean-sampler.")
        return {label: counts[minority] for label in _named(strategy, counts, labels, "not minority")}
    ratio = _checked_ratio(strategy, labels)
    keep = {label: int(counts[minority] / ratio) for label in labels if label != minority}
    if any(number > counts[label] for label, number in keep.items()):
        raise ValueError(
            "The specified ratio required to generate new sample in the majority class while trying to remove "
            f"samples. Please increase the ratio, got sampling_strategy={strategy!r}."
        )
    return keep


def resolve_cleaning(
    counts: Mapping[Label, int], sampling_strategy: CleaningStrategy = "auto", *, y: Any = None
) -> list[Label]:
    """Resolve a cleaning policy into the classes that can lose rows; how many go is up to the method.

    Args:
        counts: Label to rows present (at least one), two classes or more. The minority is the smallest class, the
            majority the largest; of equal ones, the first in sorted order.
        sampling_strategy: ``"auto"`` = ``"not minority"``, ``"majority"``, ``"not majority"``, ``"all"``; a list of
            classes; or a callable that receives ``y`` and returns one of these.
        y: The labels, handed to a callable.

    Returns:
        The targeted labels, sorted.

    Raises:
        TypeError: If the strategy is none of these kinds.
        ValueError: If it cannot be met (a ratio, a dict, an unknown class), in the words that imbalanced-learn uses.

    NOTE[DIFF]: imbalanced-learn refuses whatever a callable returns.

    References:
        The meaning of every value follows imbalanced-learn's ``sampling_strategy``.

    Example:
        >>> resolve_cleaning({"ok": 90, "odd": 30, "fraud": 10})
        ['odd', 'ok']
    """
    labels = _checked_labels(counts)
    strategy: Any = sampling_strategy(y) if callable(sampling_strategy) else sampling_strategy
    if isinstance(strategy, list):
        return _known(strategy, labels)
    if isinstance(strategy, str):
        if strategy == "minority":
            raise ValueError("'sampling_strategy'='minority' cannot be used with under-sampler and clean-sampler.")
        return _named(strategy, counts, labels, "not minority")
    if isinstance(strategy, Mapping):
        raise ValueError(
            "'sampling_strategy' as a dict for cleaning methods is not supported. "
            "Please give a list of the classes to be targeted by the sampling."
        )
    _checked_ratio(strategy, labels)
    raise ValueError(
        "'clean-sampling' methods do not let the user specify the sampling ratio. Name the classes that lose rows."
    )


def _checked_labels(counts: Mapping[Label, int]) -> list[Label]:
    if len(counts) <= 1:
        raise ValueError(f"The target 'y' needs to have more than 1 class. Got {len(counts)} class instead.")
    return sorted(counts)  # type: ignore[type-var]


def _named(name: str, counts: Mapping[Label, int], labels: list[Label], auto: str) -> list[Label]:
    if name not in _NAMES:
        raise ValueError(
            f"When 'sampling_strategy' is a string, it needs to be one of {', '.join(map(repr, _NAMES))}. "
            f"Got {name!r} instead."
        )
    _, negated, extreme = (auto if name == "auto" else name).rpartition("not ")
    if extreme == "all":
        return labels
    chosen = (max if extreme == "majority" else min)(labels, key=counts.__getitem__)
    return [label for label in labels if (label == chosen) != bool(negated)]


def _known(strategy: Collection[Any], labels: list[Label]) -> list[Label]:
    unknown = sorted(set(strategy) - set(labels), key=repr)
    if unknown:
        raise ValueError(
            f"The {', '.join(map(repr, unknown))} target class is/are not present in the data, "
            f"whose classes are {', '.join(map(repr, labels))}."
        )
    return [label for label in labels if label in strategy]


def _final(asked: int, present: int, *, over: bool) -> int:
    """Return the rows to add (``over``) or to keep for one class, from its final count."""
    asked = check_int("sampling_strategy", asked)
    if asked < 0:
        raise ValueError(f"The number of samples in a class cannot be negative, got {asked}.")
    if (asked < present) if over else (asked > present):
        raise ValueError(
            f"With {'over' if over else 'under'}-sampling methods, the number of samples in a class should be "
            f"{'greater' if over else 'less'} or equal to the original number of samples. "
            f"Originally, there is {present} samples and {asked} samples are asked."
        )
    return asked - present if over else asked


def _checked_ratio(strategy: Any, labels: list[Label]) -> float:
    if isinstance(strategy, list):
        raise ValueError("'sampling_strategy' cannot be a list for samplers which are not cleaning methods.")
    if not isinstance(strategy, Real):
        raise TypeError(
            f"`sampling_strategy` must be a string, a number, a dict or a callable, got {type(strategy).__name__}."
        )
    ratio = float(strategy)
    if not 0 < ratio <= 1:
        raise ValueError(
            f"When 'sampling_strategy' is a float, it should be in the range (0, 1]. Got {strategy} instead."
        )
    if len(labels) != 2:
        raise ValueError(
            '"sampling_strategy" can be a float only when the type of target is binary. For multi-class, use a dict.'
        )
    return ratio
