"""ImbalancedDataModule: any map-style data set, the sampler swapped in training alone, from Python and from YAML."""

import lightning as L
import pytest
import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from torch import nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler, Subset, TensorDataset

from imbalance_torch.samplers import ClassBalancedSampler, ShuffledSampler
from imbalance_torch.training import ImbalancedClassifier, ImbalancedDataModule
from imbalance_torch.training.lightning_cli import ALLOWED_IMPORTS

pytestmark = [
    pytest.mark.filterwarnings("ignore:You have overridden `on_after_batch_transfer`:UserWarning"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
]
QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


class Pictures(Dataset):
    """Small pictures whose labels are known without reading one; every read is counted."""

    def __init__(self, rows: int = 120, every: int = 6) -> None:
        self.targets = [int(row % every == 0) for row in range(rows)]
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        self.read.append(row)
        return torch.full((1, 4, 4), float(row)), self.targets[row]


class Hidden(Dataset):
    """Three rows that keep their labels to themselves."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, row: int) -> tuple[int, int]:
        return row, int(row > 0)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def test_only_training_is_sampled():
    train, val = Pictures(), Pictures(30)
    data = ImbalancedDataModule(train, val, sampler=ClassBalancedSampler, batch_size=12)
    assert data.class_counts == [100, 20]
    assert data.num_classes == 2
    assert train.read == []
    assert all(int(y.sum()) == 6 for _, y in data.train_dataloader())
    loader = data.val_dataloader()
    assert isinstance(loader.sampler, SequentialSampler)
    assert torch.cat([x[:, 0, 0, 0] for x, _ in loader]).tolist() == list(range(30))


def test_the_default_is_plain_shuffling_and_options_reach_every_loader():
    data = ImbalancedDataModule(Pictures(), Pictures(), Pictures(30), batch_size=10, collate_fn=len, num_workers=0)
    assert isinstance(data.train_dataloader().sampler, ShuffledSampler)
    assert list(data.train_dataloader()) == list(data.val_dataloader()) == [10] * 12
    assert list(data.predict_dataloader()) == [10] * 3


def test_workers_read_ahead():
    data = ImbalancedDataModule(Pictures(), sampler=ClassBalancedSampler, batch_size=12, num_workers=1)
    here = ImbalancedDataModule(Pictures(), sampler=ClassBalancedSampler, batch_size=12)
    for (x, y), (expected, labels) in zip(data.train_dataloader(), here.train_dataloader(), strict=True):
        assert torch.equal(x, expected)
        assert torch.equal(y, labels)


def test_labels_of_subsets_or_given():
    part = Subset(Pictures(), range(60))
    assert ImbalancedDataModule(part).class_counts == [50, 10]
    hidden = Hidden()
    assert ImbalancedDataModule(hidden, labels=[0, 1, 1]).class_counts == [1, 2]
    with pytest.raises(TypeError, match="labels"):
        _ = ImbalancedDataModule(hidden).class_counts


def test_a_stock_trainer_fits_without_validation_and_with():
    for val in (None, Pictures(30)):
        data = ImbalancedDataModule(Pictures(), val, val, sampler=ClassBalancedSampler, batch_size=12)
        module = ImbalancedClassifier(network(), nn.CrossEntropyLoss(), task="binary")
        trainer = L.Trainer(max_epochs=1, enable_checkpointing=False, **QUIET)
        trainer.fit(module, datamodule=data)
        assert trainer.global_step == 10
        assert module.prior.tolist() == pytest.approx([5 / 6, 1 / 6])
        assert module.train_prior.tolist() == [0.5, 0.5]
    assert set(trainer.test(module, datamodule=data, verbose=False)[0]) == {"test/ap", "test/auroc"}


def test_a_run_stopped_inside_an_epoch_goes_on_with_the_next_batch(tmp_path):
    def run(checkpoint=None):
        seen = []

        class Watch(L.Callback):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                seen.append(batch[0][:, 0, 0, 0].tolist())

        torch.manual_seed(0)
        data = ImbalancedDataModule(Pictures(), sampler=ClassBalancedSampler, batch_size=12)
        module = ImbalancedClassifier(network(), nn.CrossEntropyLoss(), task="binary")
        folder = tmp_path / ("again" if checkpoint else "whole")
        saved = ModelCheckpoint(folder, "{step}", every_n_train_steps=13, save_top_k=-1, save_on_train_epoch_end=False)
        trainer = L.Trainer(max_epochs=3, callbacks=[Watch(), saved], **QUIET)
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        return seen

    whole = run()
    assert len(whole) == 30
    assert run(tmp_path / "whole" / "step=13.ckpt") == whole[13:]


def test_from_yaml_with_class_paths(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fit"])
    (tmp_path / "run.yaml").write_text(
        """
data:
  class_path: imbalance_torch.training.ImbalancedDataModule
  init_args:
    train_dataset: {class_path: tests.training.test_datamodules_wrapped.Pictures, init_args: {rows: 60}}
    val_dataset: {class_path: tests.training.test_datamodules_wrapped.Pictures, init_args: {rows: 30}}
    sampler: {class_path: imbalance_torch.samplers.ClassBalancedSampler, init_args: {ratio: 0.5}}
    batch_size: 15
    pin_memory: false
model:
  task: binary
  network:
    class_path: torch.nn.LazyLinear
    init_args: {out_features: 2}
  loss: {class_path: torch.nn.CrossEntropyLoss}
trainer: {logger: false, accelerator: cpu}
""".replace("tests.training.test_datamodules_wrapped", __name__)
    )
    cli = _parsed(tmp_path / "run.yaml")
    data = cli.datamodule
    assert data.class_counts == [50, 10]
    assert [int(y.sum()) for _, y in data.train_dataloader()] == [5] * 4
    assert isinstance(data.val_dataloader(), DataLoader)


def _parsed(config):
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED_IMPORTS, __name__])
    return LightningCLI(
        ImbalancedClassifier,
        L.LightningDataModule,
        subclass_mode_data=True,
        args=["--config", str(config)],
        save_config_callback=None,
        auto_configure_optimizers=False,
        seed_everything_default=False,
        run=False,
    )


def test_errors():
    for name in ("shuffle", "drop_last", "batch_sampler"):
        with pytest.raises(ValueError, match=f"`{name}` is settled by the sampler"):
            ImbalancedDataModule(Pictures(), **{name: True})
    with pytest.raises(ValueError, match=r"There are no test samples\. Pass `test_dataset`"):
        ImbalancedDataModule(Pictures()).test_dataloader()
    with pytest.raises(ValueError, match=r"must be 0 to C-1 without gaps, got 0, 3\."):
        _ = ImbalancedDataModule(TensorDataset(torch.zeros(4), torch.tensor([0, 0, 3, 3]))).class_counts
