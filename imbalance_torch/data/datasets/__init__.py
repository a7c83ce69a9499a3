"""Data sets that ship with the package, each with its card."""

from imbalance_torch.data.datasets._nyc_flights import Dataset, load_nyc_flights

__all__ = ["Dataset", "load_nyc_flights"]
