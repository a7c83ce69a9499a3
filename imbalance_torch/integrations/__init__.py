"""Adapters to other libraries (scikit-learn, imbalanced-learn, Hugging Face, Ray); none exists yet."""
