"""Data sets, each with its card: embedded, read from files that you have, or generated."""

from imbalance_torch.data.datasets._card_transactions import make_card_transactions
from imbalance_torch.data.datasets._dataset import Dataset
from imbalance_torch.data.datasets._fashion_mnist import load_fashion_mnist_lt
from imbalance_torch.data.datasets._known_posterior import KnownPosterior, make_classification_with_known_posterior
from imbalance_torch.data.datasets._long_tailed import make_long_tailed
from imbalance_torch.data.datasets._nyc_flights import load_nyc_flights
from imbalance_torch.data.datasets._ulb_credit_card import load_ulb_credit_card

__all__ = [
    "Dataset",
    "KnownPosterior",
    "load_fashion_mnist_lt",
    "load_nyc_flights",
    "load_ulb_credit_card",
    "make_card_transactions",
    "make_classification_with_known_posterior",
    "make_long_tailed",
]
