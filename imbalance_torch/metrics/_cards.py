"""Precision under a daily budget of cards."""

from __future__ import annotations

import torch
from torch import Tensor

from imbalance_torch._checks import check_int, check_tensor
from imbalance_torch.metrics._arguments import binary_scores_of


def card_precision_at_k(scores: Tensor, target: Tensor, days: Tensor, cards: Tensor, k: int) -> Tensor:
    """Return the share of compromised cards among the k that investigators can look at in a day: the mean over days.

    ``CP@k = mean over days d of |{compromised cards in the top k of d}| / k``. On each day a card has the score of its
    highest transaction and is compromised if one of its transactions is; a compromised card that was among the top k
    is blocked and leaves all later days.

    Args:
        scores: of transactions, (N,) floating point, finite.
        target: 0 or 1 per transaction, (N,).
        days: day of each transaction, (N,) integers in the order of time.
        cards: card or customer of each transaction, (N,) integers.
        k: cards that can be looked at in a day. On a day with fewer cards the missing ones count as misses.

    Returns:
        Scalar float64 tensor in [0, 1]. The best possible value may lie far below 1: it is limited by how many cards
        are compromised.

    Raises:
        TypeError: days or cards are not integers.
        ValueError: as :func:`precision_at_k`, or another length.

    Notes:
        NOTE[DIFF]: of equal scores the card with the lower number comes first, so that the order of rows is irrelevant
        (the Handbook: whichever the sort leaves first).
        Every day on which a transaction took place counts, also one whose cards are all blocked.
        Time O(N log N) and a loop over the days.

    References:
        Le Borgne, Siblini, Lebichot and Bontempi, Reproducible machine learning for credit card fraud detection:
        practical handbook, 2022.

    Example:
        >>> scores, target = torch.tensor([0.9, 0.2, 0.8, 0.95, 0.7]), torch.tensor([1, 0, 0, 1, 1])
        >>> days, cards = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([1, 2, 3, 1, 2])
        >>> card_precision_at_k(scores, target, days, cards, k=1)
        tensor(1., dtype=torch.float64)
    """
    check_int("k", k, minimum=1)
    s, y = binary_scores_of(scores, target)
    _, card = torch.unique(_integers("cards", cards, s), return_inverse=True)
    _, per_day = torch.unique(_integers("days", days, s), return_counts=True)
    blocked = torch.zeros(len(card), dtype=torch.bool, device=s.device)
    found = []
    for rows in torch.split(days.argsort(stable=True), per_day.tolist()):
        seen, index = torch.unique(card[rows], return_inverse=True)
        highest = s.new_full(seen.shape, -torch.inf).scatter_reduce(0, index, s[rows], "amax")
        compromised = torch.zeros_like(highest).index_add(0, index, y[rows].to(highest)) > 0
        highest[blocked[seen]] = -torch.inf
        top = highest.argsort(descending=True, stable=True)[:k]
        detected = seen[top[compromised[top] & ~blocked[seen[top]]]]
        blocked[detected] = True
        found.append(len(detected) / k)
    return torch.tensor(found, dtype=torch.float64, device=s.device).mean()


def _integers(name: str, value: Tensor, scores: Tensor) -> Tensor:
    numbers = check_tensor(name, value)
    if numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise TypeError(f"`{name}` must hold integers, got {name}.dtype={numbers.dtype}. Number them first.")
    if numbers.shape != scores.shape:
        raise ValueError(f"`{name}` must have shape {tuple(scores.shape)}, got {tuple(numbers.shape)}.")
    return numbers
