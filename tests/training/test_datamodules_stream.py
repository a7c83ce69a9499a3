"""A ParquetStream as the training loader of a stock Trainer: its shares are known, a run resumes inside an epoch."""

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from imbalance_torch.data import ParquetStream
from imbalance_torch.training import ImbalancedClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*(does not have many workers|no `val_dataloader`):UserWarning"),
    pytest.mark.filterwarnings("ignore:(The dirpath has|Your `IterableDataset` has `__len__`):UserWarning"),
]
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "rows.parquet"
    row = np.arange(2000)
    pq.write_table(pa.table({"row": row / 2000, "y": row % 20 // 19}), path, row_group_size=150)
    return path


def run(loader, folder, checkpoint=None, epochs=2):
    seen = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batch[0][:, 0].tolist())

    torch.manual_seed(0)
    stream = loader.dataset if isinstance(loader, DataLoader) else loader
    module = ImbalancedClassifier(
        nn.Linear(1, 2), nn.CrossEntropyLoss(), task="binary", class_counts=stream.class_counts
    )
    saved = ModelCheckpoint(folder, "{step}", every_n_train_steps=7, save_top_k=-1, save_on_train_epoch_end=False)
    trainer = L.Trainer(max_epochs=epochs, callbacks=[Watch(), saved], **QUIET)
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    return module, seen


@pytest.mark.parametrize("step", [7, 14])
def test_a_run_goes_on_with_the_next_batch(file, tmp_path, step):
    def stream():
        return ParquetStream(file, target="y", ratio=0.25, batch_size=50, window_rows=100)

    module, whole = run(stream(), tmp_path / "whole")
    assert len(whole) == 2 * len(stream()) == 20
    assert whole == [x[:, 0].tolist() for source in [stream()] for _ in range(2) for x, _ in source]
    assert module.prior.tolist() == pytest.approx([0.95, 0.05])
    assert module.train_prior.tolist() == pytest.approx([0.8, 0.2])
    assert run(stream(), tmp_path / "again", tmp_path / "whole" / f"step={step}.ckpt")[1] == whole[step:]


def test_workers_inside_a_data_loader(file, tmp_path):
    stream = ParquetStream(file, target="y", ratio=0.25, batch_size=50)
    module, seen = run(DataLoader(stream, batch_size=None, num_workers=2), tmp_path, epochs=1)
    assert len(seen) == len(stream) == 10
    assert module.train_prior.tolist() == pytest.approx([0.8, 0.2])
