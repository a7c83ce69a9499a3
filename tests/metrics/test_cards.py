"""Precision under a daily budget of cards: cases worked by hand, then a loop over Python sets."""

import pytest
import torch

from imbalance_torch.metrics import card_precision_at_k, precision_at_k


def draw(generator, num_rows=2000, num_cards=80, num_days=9, levels=None):
    s = torch.rand(num_rows, generator=generator)
    days, cards = (torch.randint(n, (num_rows,), generator=generator) for n in (num_days, num_cards))
    y = (torch.rand(num_rows, generator=generator) < s**3 / 4).long()
    return ((s * levels).round() / levels if levels else s), y, days * 7 - 20, cards * 10**12 - 5


def by_sets(scores, target, days, cards, k):
    blocked, shares = set(), []
    rows = list(zip(days.tolist(), cards.tolist(), scores.tolist(), target.tolist(), strict=True))
    for day in sorted({row[0] for row in rows}):
        best, bad = {}, set()
        for when, card, score, hit in rows:
            if when == day and card not in blocked:
                best[card] = max(score, best.get(card, score))
                bad |= {card} if hit else set()
        top = sorted(best, key=lambda card: (-best[card], card))[:k]
        shares.append(len(bad & set(top)) / k)
        blocked |= bad & set(top)
    return sum(shares) / len(shares)


@pytest.mark.parametrize("k", [1, 5, 30, 200])
@pytest.mark.parametrize("levels", [None, 4])
def test_equals_a_loop_over_sets(k, levels, generator, device):
    table = draw(generator, levels=levels)
    found = card_precision_at_k(*(column.to(device) for column in table), k=k)
    assert found.item() == pytest.approx(by_sets(*table, k), abs=1e-12)
    assert (found.dtype, found.shape) == (torch.float64, ())


@pytest.mark.parametrize("levels", [None, 4])
def test_the_order_of_rows_is_irrelevant(levels, generator):
    table = draw(generator, levels=levels)
    rows = torch.randperm(len(table[0]), generator=generator)
    assert card_precision_at_k(*(column[rows] for column in table), k=5) == card_precision_at_k(*table, k=5)


def test_one_day_with_a_transaction_per_card_is_precision_at_k(generator):
    s, y, *_ = draw(generator)
    number = torch.arange(len(s))
    assert card_precision_at_k(s, y, torch.zeros_like(number), number, k=100) == precision_at_k(s, y, 100)


def test_a_detected_card_leaves_later_days_and_another_does_not():
    scores, target = torch.tensor([0.9, 0.8, 0.9, 0.8]), torch.tensor([1, 1, 1, 1])
    days, cards = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 2, 1, 2])
    assert card_precision_at_k(scores, target, days, cards, k=1) == 1  # card 1, then card 2
    assert card_precision_at_k(scores, target, days, cards, k=2) == 0.5  # both, then none
    assert card_precision_at_k(scores, torch.tensor([0, 1, 0, 1]), days, cards, k=1) == 0  # card 1 stays on top


def test_a_card_is_compromised_by_any_of_its_transactions():
    scores, target = torch.tensor([0.9, 0.1, 0.5]), torch.tensor([0, 1, 0])
    assert card_precision_at_k(scores, target, torch.zeros(3).long(), torch.tensor([7, 7, 8]), k=1) == 1


def test_bad_input():
    s, y, whole = torch.rand(3), torch.tensor([0, 1, 0]), torch.arange(3)
    with pytest.raises(TypeError, match=r"`cards` must hold integers, got cards\.dtype=torch\.float32\. Number"):
        card_precision_at_k(s, y, whole, torch.rand(3), k=1)
    with pytest.raises(ValueError, match=r"`days` must have shape \(3,\), got \(2,\)"):
        card_precision_at_k(s, y, whole[:2], whole, k=1)
    with pytest.raises(ValueError, match="`k` must be >= 1"):
        card_precision_at_k(s, y, whole, whole, k=0)
    with pytest.raises(ValueError, match="`scores` must be finite"):
        card_precision_at_k(torch.tensor([0.1, float("nan"), 0.2]), y, whole, whole, k=1)
    assert card_precision_at_k(s, torch.zeros(3), whole, whole, k=1) == 0
