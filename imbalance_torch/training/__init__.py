"""Training: a LightningModule, a data module, runs that resume exactly, and the model directory."""

from imbalance_torch.training._callbacks import RandomState, StepProgress
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._datamodule import TabularDataModule
from imbalance_torch.training._detector import Detector
from imbalance_torch.training._early_stopping import BestCheckpoint, EarlyStopping
from imbalance_torch.training._elastic import ElasticResume
from imbalance_torch.training._export import export
from imbalance_torch.training._fitting import Settings, fit
from imbalance_torch.training._gradient_share import GradientShareMonitor
from imbalance_torch.training._loggers import default_loggers
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._non_finite import NonFiniteLossError, StopOnNonFiniteLoss
from imbalance_torch.training._registry import LOSSES, NETWORKS, RECIPES, RESAMPLERS, SAMPLERS, Technique
from imbalance_torch.training._run import DataOptions, evaluate, resume, score, train
from imbalance_torch.training._schedules import LossSchedule
from imbalance_torch.training._tensor_datamodule import TensorDataModule
from imbalance_torch.training._weight_guard import WeightGuard
from imbalance_torch.training._wrapped_datamodule import ImbalancedDataModule

__all__ = [
    "LOSSES",
    "NETWORKS",
    "RECIPES",
    "RESAMPLERS",
    "SAMPLERS",
    "BestCheckpoint",
    "DataOptions",
    "Detector",
    "EarlyStopping",
    "ElasticResume",
    "GradientShareMonitor",
    "ImbalancedClassifier",
    "ImbalancedDataModule",
    "LossSchedule",
    "NonFiniteLossError",
    "RandomState",
    "Settings",
    "StepProgress",
    "StopOnNonFiniteLoss",
    "TabularDataModule",
    "TabularModel",
    "Technique",
    "TensorDataModule",
    "WeightGuard",
    "default_loggers",
    "evaluate",
    "export",
    "fit",
    "resume",
    "score",
    "train",
]
