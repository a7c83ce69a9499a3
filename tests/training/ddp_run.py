"""Run by ``test_ddp.py`` as a real script: a few steps on some ranks, or the figures of all validation rows, served by
the data module and by DataLoaders, which the trainer gives samplers that repeat rows."""

import json
import sys
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset
from torchmetrics.classification import BinaryAUROC

from imbalance_torch.losses import FocalLoss
from imbalance_torch.metrics import (
    AveragePrecision,
    BinnedAveragePrecision,
    BrierScore,
    EqualMassCalibrationError,
    ExpectedCost,
    GeometricMean,
    PartialAUROC,
    PrecisionAtK,
    RecallAtPrecision,
)
from imbalance_torch.models import MLP
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.samplers import RotatingUnderSampler
from imbalance_torch.training import ImbalancedClassifier, TabularDataModule


class OwnBatchSampler(BatchSampler):
    """The trainer builds it anew, around its own sampler."""


def main(file: str, devices: int, steps: int, output: str) -> None:
    torch.manual_seed(0)
    data = TabularDataModule(
        file, "cancelled", time="scheduled_departure", batch_size=64 // devices, sampler=RotatingUnderSampler
    )
    data.setup()
    network = MLP(data.num_dense, data.cardinalities, dropout=0.0)
    module = ImbalancedClassifier(
        network,
        FocalLoss(gamma=1.0),
        task="binary",
        resampler=BatchOversampler(SMOTE(random_state=0), target_ratio=0.5) if steps else None,
        metrics={
            "ap": AveragePrecision(),
            "auroc": BinaryAUROC(),
            "binned": BinnedAveragePrecision(),
            "brier": BrierScore(),
            "calibration": EqualMassCalibrationError(),
            "cost": ExpectedCost([[0.0, 1.0], [10.0, 0.0]]),
            "geometric": GeometricMean(threshold=0.02),
            "at_k": PrecisionAtK(50),
            "partial": PartialAUROC(0.8),
            "recall": RecallAtPrecision(0.05),
        },
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    )
    trainer = L.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        max_steps=steps,
        max_epochs=-1,
        num_sanity_val_steps=0,
        limit_val_batches=0 if steps else None,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if steps:
        trainer.fit(module, datamodule=data)
        figures = {
            "rank": trainer.global_rank,
            "prior": module.prior.tolist(),
            "train_prior": module.train_prior.tolist(),
            "weights": float(sum(p.double().square().sum() for p in network.parameters())),
        }
    else:
        figures = trainer.validate(module, datamodule=data, verbose=False)[0]
        rows = TensorDataset(*data.rows("val"))
        batches = OwnBatchSampler(SequentialSampler(rows), batch_size=64, drop_last=False)
        for name, loaders in {
            "plain": DataLoader(rows, batch_size=64),
            "list": [DataLoader(rows, batch_size=64)],
            "batches": DataLoader(rows, batch_sampler=batches),
        }.items():
            again = trainer.validate(module, loaders, verbose=False)[0]
            figures |= {f"{name}/{figure}": value for figure, value in again.items()}
        figures["rows"] = len(rows)
    Path(f"{output}.{trainer.global_rank}").write_text(json.dumps(figures))
    if devices > 1:
        torch.distributed.destroy_process_group()  # left to the end of the interpreter, its threads abort it at times


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
