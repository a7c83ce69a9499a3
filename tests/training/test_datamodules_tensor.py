"""TensorDataModule: the split, the parts given, the sampler in training alone, with a stock Trainer and from YAML."""

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from torch import nn

from imbalance_torch.losses import FocalLoss
from imbalance_torch.samplers import ClassBalancedSampler, RotatingUnderSampler
from imbalance_torch.training import ImbalancedClassifier, TensorDataModule

pytestmark = [
    pytest.mark.filterwarnings("ignore:You have overridden `on_after_batch_transfer`:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
]
QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


@pytest.fixture
def arrays():
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    return x, (torch.arange(500) % 10 == 0).long()


def test_the_parts_are_every_row_once_and_stratified(arrays):
    x, y = torch.arange(500.0)[:, None], arrays[1]
    data = TensorDataModule(x, y)
    parts = [data.rows(part) for part in ("train", "val", "test")]
    assert sorted(torch.cat([rows for rows, _ in parts]).flatten().tolist()) == list(range(500))
    assert [len(labels) for _, labels in parts] == [300, 100, 100]
    assert [int(labels.sum()) for _, labels in parts] == [30, 10, 10]
    for rows, labels in parts:
        assert torch.equal(labels, y[rows.flatten().long()])
    assert data.class_counts == [270, 30]
    assert (data.num_classes, data.num_dense, data.cardinalities) == (2, 1, [])
    other = TensorDataModule(x, y, seed=1)
    assert not torch.equal(other.rows("train")[0], parts[0][0])


def test_only_training_is_sampled(arrays):
    data = TensorDataModule(*arrays, batch_size=20, sampler=ClassBalancedSampler)
    assert all(int(y.sum()) == 10 for _, y in data.train_dataloader())
    for part in ("val", "test"):
        for loader in (getattr(data, f"{part}_dataloader")(),):
            x, y = (torch.cat(column) for column in zip(*loader, strict=True))
            assert torch.equal(x, data.rows(part)[0])
            assert torch.equal(y, data.rows(part)[1])
    assert torch.equal(next(iter(data.predict_dataloader()))[0], data.rows("test")[0])


@pytest.mark.parametrize("kind", ["tensor", "numpy", "file"])
def test_given_parts_and_any_kind_of_array(arrays, tmp_path, kind):
    def given(name, array):
        if kind == "file":
            np.save(tmp_path / name, array.numpy())
            return tmp_path / f"{name}.npy"
        return array.numpy() if kind == "numpy" else array

    x, y = arrays[0].double(), arrays[1].to(torch.int16)
    data = TensorDataModule(
        given("x", x[:300]), given("y", y[:300]), X_val=given("xv", x[300:]), y_val=given("yv", y[300:])
    )
    assert torch.equal(data.rows("train")[0], arrays[0][:300])
    assert torch.equal(data.rows("val")[1], arrays[1][300:])
    assert data.rows("val")[1].dtype == torch.int64
    assert data.class_counts == [270, 30]
    with pytest.raises(ValueError, match=r"There are no test rows\. Pass `X_test` and `y_test`"):
        data.test_dataloader()


def test_images_bytes_stay_bytes(arrays):
    data = TensorDataModule(torch.zeros(500, 8, 8, dtype=torch.uint8), arrays[1] == 1, batch_size=7)
    x, y = next(iter(data.train_dataloader()))
    assert (x.shape, x.dtype, y.dtype) == ((7, 8, 8), torch.uint8, torch.int64)


def test_the_device_is_where_batches_are(arrays, device):
    data = TensorDataModule(*arrays, device=str(device))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert {tensor.device.type for batch in loader for tensor in batch} == {device.type}


def test_a_stock_trainer_fits_validates_and_corrects(arrays):
    data = TensorDataModule(*arrays, batch_size=32, sampler=RotatingUnderSampler)
    module = ImbalancedClassifier(nn.Linear(4, 2), FocalLoss(gamma=1.0), task="binary")
    trainer = L.Trainer(max_epochs=2, **QUIET)
    trainer.fit(module, datamodule=data)
    assert module.prior.tolist() == pytest.approx([0.9, 0.1])
    assert module.train_prior.tolist() == pytest.approx([0.8, 0.2])
    assert trainer.global_step == 2 * len(data.train_dataloader())
    assert set(trainer.test(module, datamodule=data, verbose=False)[0]) == {"test/ap", "test/auroc"}
    assert torch.cat(trainer.predict(module, datamodule=data)).shape == (100, 2)


def test_from_yaml_with_a_class_path(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fit"])
    for name, array in zip("xy", arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array.numpy())
    (tmp_path / "run.yaml").write_text(
        f"""
data:
  class_path: imbalance_torch.training.TensorDataModule
  init_args:
    X: {tmp_path / "x.npy"}
    y: {tmp_path / "y.npy"}
    batch_size: 32
    sampler:
      class_path: imbalance_torch.samplers.RotatingUnderSampler
      init_args:
        ratio: 0.5
model:
  task: binary
  network: {{class_path: torch.nn.Linear, init_args: {{in_features: 4, out_features: 2}}}}
  loss: {{class_path: torch.nn.CrossEntropyLoss}}
trainer:
  max_epochs: 1
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  enable_model_summary: false
"""
    )
    cli = LightningCLI(
        ImbalancedClassifier,
        L.LightningDataModule,
        subclass_mode_data=True,
        args=["fit", "--config", str(tmp_path / "run.yaml")],
        save_config_callback=None,
        auto_configure_optimizers=False,
        seed_everything_default=False,
    )
    assert cli.model.train_prior.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_errors(arrays):
    x, y = arrays
    with pytest.raises(ValueError, match="Pass `X_val` and `y_val` together"):
        TensorDataModule(x, y, X_val=x)
    with pytest.raises(ValueError, match="`X_test` needs `X_val`"):
        TensorDataModule(x, y, X_test=x, y_test=y)
    with pytest.raises(ValueError, match=r"len\(X\)=500, len\(y\)=499"):
        TensorDataModule(x, y[1:]).setup()
    with pytest.raises(ValueError, match="`y` must hold classes 0 to C-1"):
        TensorDataModule(x, y.float()).setup()
    with pytest.raises(ValueError, match="`y` must hold classes 0 to C-1"):
        TensorDataModule(x, y - 1).setup()
    with pytest.raises(ValueError, match="`y` must hold classes 0 to C-1"):
        TensorDataModule(x[:0], y[:0]).setup()
    with pytest.raises(ValueError, match=r"`X` must have shape \(N, ...\)"):
        TensorDataModule(x[:, 0], y).setup()
    with pytest.raises(ValueError, match="Class 1 has no training row"):
        _ = TensorDataModule(x, 2 * y).class_counts
    with pytest.raises(
        ValueError, match=r"`y` must hold .* for one or more labels.*got torch\.int64 of shape \(500, 0\)"
    ):
        TensorDataModule(x, y[:, None][:, :0]).setup()
    labels = torch.stack([y, 1 - y], 1)
    with pytest.raises(ValueError, match="Label 1 has no positive training row"):
        _ = TensorDataModule(x, labels * torch.tensor([1, 0]), X_val=x, y_val=labels).class_counts
    with pytest.raises(ValueError, match="`batch_size` must be >= 1"):
        TensorDataModule(x, y, batch_size=0)


@pytest.mark.parametrize("part", ["val", "test"])
def test_parts_of_different_shapes_are_named_together(arrays, part):
    x, y = arrays
    labels = torch.stack([y, 1 - y, y], 1)

    def data(x_train, y_train, x_other, y_other):
        given = {"X_val": x_train, "y_val": y_train} | {f"X_{part}": x_other, f"y_{part}": y_other}
        return TensorDataModule(x_train, y_train, **given)

    for first, second in ((labels, labels[:, :2]), (labels, y), (y, labels)):
        shapes = [str(tuple(array.shape)).replace("(", r"\(").replace(")", r"\)") for array in (second, first)]
        with pytest.raises(ValueError, match=rf"`y_{part}` has shape {shapes[0]}, but `y` has {shapes[1]}"):
            data(x, first, x, second).setup()
    with pytest.raises(ValueError, match=rf"`X_{part}` has shape \(500, 2\), but `X` has \(500, 4\)"):
        data(x, y, x[:, :2], y).setup()
    data(x, labels, x[:100], labels[:100]).setup()
