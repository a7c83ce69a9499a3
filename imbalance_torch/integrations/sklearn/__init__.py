"""Samplers for scikit-learn and imbalanced-learn: pipelines, searches and cross-validation, computed by torch.

The classes carry the names, parameters and defaults of imbalanced-learn, plus ``device``.
"""

from imbalance_torch._checks import require

require("imblearn", extra="imblearn")

from imbalance_torch.integrations.sklearn._categorical import SMOTEN, SMOTENC  # noqa: E402
from imbalance_torch.integrations.sklearn._combine import SMOTEENN, SMOTETomek  # noqa: E402
from imbalance_torch.integrations.sklearn._extra import GeometricSMOTE, SafeLevelSMOTE  # noqa: E402
from imbalance_torch.integrations.sklearn._kinds import ADASYN, SVMSMOTE, BorderlineSMOTE, KMeansSMOTE  # noqa: E402
from imbalance_torch.integrations.sklearn._neighbors import TorchKNN  # noqa: E402
from imbalance_torch.integrations.sklearn._random_over import RandomOverSampler  # noqa: E402
from imbalance_torch.integrations.sklearn._smote import SMOTE  # noqa: E402
from imbalance_torch.integrations.sklearn._under import (  # noqa: E402
    EditedNearestNeighbours,
    NearMiss,
    RandomUnderSampler,
    TomekLinks,
)

__all__ = [
    "ADASYN",
    "SMOTE",
    "SMOTEENN",
    "SMOTEN",
    "SMOTENC",
    "SVMSMOTE",
    "BorderlineSMOTE",
    "EditedNearestNeighbours",
    "GeometricSMOTE",
    "KMeansSMOTE",
    "NearMiss",
    "RandomOverSampler",
    "RandomUnderSampler",
    "SMOTETomek",
    "SafeLevelSMOTE",
    "TomekLinks",
    "TorchKNN",
]
