"""Training: a LightningModule, a data module, runs that resume exactly, and the model directory."""

from imbalance_torch.training._callbacks import NonFiniteLossError, RandomState, StepProgress, StopOnNonFiniteLoss
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._datamodule import TabularDataModule
from imbalance_torch.training._elastic import ElasticResume
from imbalance_torch.training._fitting import Settings, fit
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._registry import LOSSES, NETWORKS, RECIPES, RESAMPLERS, SAMPLERS, Technique
from imbalance_torch.training._run import DataOptions, evaluate, resume, score, train
from imbalance_torch.training._tensor_datamodule import TensorDataModule
from imbalance_torch.training._wrapped_datamodule import ImbalancedDataModule

__all__ = [
    "LOSSES",
    "NETWORKS",
    "RECIPES",
    "RESAMPLERS",
    "SAMPLERS",
    "DataOptions",
    "ElasticResume",
    "ImbalancedClassifier",
    "ImbalancedDataModule",
    "NonFiniteLossError",
    "RandomState",
    "Settings",
    "StepProgress",
    "StopOnNonFiniteLoss",
    "TabularDataModule",
    "TabularModel",
    "Technique",
    "TensorDataModule",
    "evaluate",
    "fit",
    "resume",
    "score",
    "train",
]
