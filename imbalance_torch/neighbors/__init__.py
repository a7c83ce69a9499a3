"""Exact k nearest neighbours on any device."""

from imbalance_torch.neighbors._knn import Neighbors, knn

__all__ = ["Neighbors", "knn"]
