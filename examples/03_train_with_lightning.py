"""Your own Lightning trainer around a class-weighted detector, on the embedded flights (2.45 % cancelled).

ImbalancedClassifier is a LightningModule and TabularDataModule a LightningDataModule: bring any trainer, logger,
callback or strategy. Metrics and predictions are corrected for the weights; set num_sanity_val_steps=0, since before
training there are no class shares to correct for.
"""

import argparse

import lightning as L
from torchmetrics.classification import BinaryAveragePrecision

from imbalance_torch import ClassWeightedCrossEntropyLoss, ImbalancedClassifier, TabularDataModule
from imbalance_torch.metrics import EqualMassCalibrationError
from imbalance_torch.models import MLP


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--max-steps", type=int, default=400)
    options = parser.parse_args()

    L.seed_everything(0, verbose=False)
    data = TabularDataModule("nyc_flights", batch_size=512)
    data.setup()
    module = ImbalancedClassifier(
        MLP(data.num_dense, data.cardinalities),
        ClassWeightedCrossEntropyLoss.from_counts(data.class_counts),
        task="binary",
        metrics={"ap": BinaryAveragePrecision(), "calibration_error": EqualMassCalibrationError()},
    )
    trainer = L.Trainer(
        accelerator=options.accelerator,
        devices=1,
        max_steps=options.max_steps,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    trainer.validate(module, data)
    trainer.test(module, data)


if __name__ == "__main__":
    main()
