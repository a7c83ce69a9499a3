"""Adapters to other libraries, imported by name: ``imbalance_torch.integrations.sklearn``."""
