"""Resamplers: SMOTE on any device, and over-sampling inside the training loop."""

from imbalance_torch.resampling._adasyn import ADASYN
from imbalance_torch.resampling._batch import BatchOversampler
from imbalance_torch.resampling._borderline import BorderlineSMOTE
from imbalance_torch.resampling._combine import SMOTEENN, SMOTETomek
from imbalance_torch.resampling._edited import EditedNearestNeighbours
from imbalance_torch.resampling._embedding import BatchSMOTE
from imbalance_torch.resampling._expansive import ExpansiveOversampler
from imbalance_torch.resampling._geometric import GeometricSMOTE
from imbalance_torch.resampling._kmeans import KMeansSMOTE
from imbalance_torch.resampling._lee import LeeSMOTE
from imbalance_torch.resampling._mlsmote import MLSMOTE
from imbalance_torch.resampling._near_miss import NearMiss
from imbalance_torch.resampling._over import Resampled
from imbalance_torch.resampling._polynom_fit import PolynomFitSMOTE
from imbalance_torch.resampling._prowsyn import ProWSyn
from imbalance_torch.resampling._random_over import RandomOverSampler
from imbalance_torch.resampling._random_under import RandomUnderSampler
from imbalance_torch.resampling._realism import RealismReport, RealismShares, realism_report
from imbalance_torch.resampling._safe_level import SafeLevelSMOTE
from imbalance_torch.resampling._smote import SMOTE, smote_from_plan
from imbalance_torch.resampling._smoten import SMOTEN
from imbalance_torch.resampling._smotenc import SMOTENC
from imbalance_torch.resampling._svm import SVMSMOTE
from imbalance_torch.resampling._tomek import TomekLinks
from imbalance_torch.resampling._under import Selected

__all__ = [
    "ADASYN",
    "MLSMOTE",
    "SMOTE",
    "SMOTEENN",
    "SMOTEN",
    "SMOTENC",
    "SVMSMOTE",
    "BatchOversampler",
    "BatchSMOTE",
    "BorderlineSMOTE",
    "EditedNearestNeighbours",
    "ExpansiveOversampler",
    "GeometricSMOTE",
    "KMeansSMOTE",
    "LeeSMOTE",
    "NearMiss",
    "PolynomFitSMOTE",
    "ProWSyn",
    "RandomOverSampler",
    "RandomUnderSampler",
    "RealismReport",
    "RealismShares",
    "Resampled",
    "SMOTETomek",
    "SafeLevelSMOTE",
    "Selected",
    "TomekLinks",
    "realism_report",
    "smote_from_plan",
]
