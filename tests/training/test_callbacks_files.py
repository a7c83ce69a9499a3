"""Callbacks and loggers that write: the offending batch, early stopping, the best checkpoint, the logs of a run."""

import csv
import inspect
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchmetrics.classification import BinaryAveragePrecision, BinaryCalibrationError, BinaryConfusionMatrix

from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.training import (
    BestCheckpoint,
    EarlyStopping,
    ImbalancedClassifier,
    NonFiniteLossError,
    StopOnNonFiniteLoss,
    _loggers,
    default_loggers,
)
from imbalance_torch.training._fitting import quiet_lightning

FILE = "non_finite_batch.safetensors"


def run_fit(module: L.LightningModule, loader: Any, val: Any = None, *callbacks: L.Callback, **keywords: Any) -> Any:
    options = {"max_steps": 12, "max_epochs": -1, "logger": False, "enable_checkpointing": False}
    ckpt_path = keywords.pop("ckpt_path", None)
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator="cpu",
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **(options | keywords),
        )
        trainer.fit(module, loader, val, ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    y = (torch.arange(600) % 10 == 0).long()
    return torch.randn(600, 4, generator=generator) + y[:, None], y


def plain(**keywords: Any) -> ImbalancedClassifier:
    return ImbalancedClassifier(
        nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary", class_counts=[540, 60], **keywords
    )


# The offending batch


class Dicts(Dataset):
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.targets = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[i], "y": self.targets[i]}


@pytest.mark.parametrize("form", ["pair", "index", "dictionary"])
def test_the_batch_of_a_loss_that_is_not_finite_is_kept(form, rows, tmp_path):
    x, y = rows
    x[250, 2] = torch.nan
    data: Any = {
        "pair": TensorDataset(x, y),
        "index": TensorDataset(x, y, torch.arange(600)),
        "dictionary": Dicts(x, y),
    }[form]
    with pytest.raises(NonFiniteLossError) as caught:
        run_fit(plain(), DataLoader(data, batch_size=100), None, StopOnNonFiniteLoss(tmp_path / "new"))
    text = str(caught.value)
    assert "became nan at step 3 (batch 2 of epoch 0)" in text
    assert "`x` of the batch is not finite in 1 of 100 rows" in text
    assert str(tmp_path / "new" / FILE) in text
    saved = load_file(tmp_path / "new" / FILE)
    assert set(saved) == ({"x", "y", "index"} if form == "index" else {"x", "y"})
    torch.testing.assert_close(saved["x"], x[200:300], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(saved["y"], y[200:300])
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]


def test_a_resampled_batch_is_kept_as_the_network_saw_it(rows, tmp_path):
    x, y = rows
    loader = DataLoader(TensorDataset(1e30 * x, y), batch_size=100)
    module = plain(
        resampler=BatchOversampler(SMOTE(random_state=0), target_ratio=0.5),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e30),
    )
    module.resampler.fit(x, y)
    with pytest.raises(NonFiniteLossError, match="The batch is finite: lower the learning rate"):
        run_fit(module, loader, None, StopOnNonFiniteLoss(tmp_path))
    saved = load_file(tmp_path / FILE)
    assert saved["x"].shape == (90 + 45, 4)
    assert torch.bincount(saved["y"]).tolist() == [90, 45]


def test_the_batch_goes_beside_the_log_by_default(rows, tmp_path):
    x, y = rows
    x[:] = torch.inf
    loader = DataLoader(TensorDataset(x, y), batch_size=100)
    with pytest.raises(NonFiniteLossError, match="version_0"):
        run_fit(plain(), loader, None, StopOnNonFiniteLoss(), logger=CSVLogger(tmp_path, name="log"))
    assert (tmp_path / "log/version_0" / FILE).is_file()


def test_nothing_is_written_where_the_trainer_writes_nothing(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = rows
    x[:] = torch.inf
    with pytest.raises(NonFiniteLossError, match=r"pass StopOnNonFiniteLoss\(dirpath=...\)"):
        run_fit(plain(), DataLoader(TensorDataset(x, y), batch_size=100), None, StopOnNonFiniteLoss())
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_cannot_be_saved_does_not_hide_the_loss(rows, tmp_path):
    x, y = rows
    x[0] = torch.inf
    (tmp_path / "file").write_text("in the way")
    loader = DataLoader(TensorDataset(x, y), batch_size=100)
    with pytest.raises(NonFiniteLossError, match=r"became nan .* could not be saved"):
        run_fit(plain(), loader, None, StopOnNonFiniteLoss(tmp_path / "file"))
    (tmp_path / FILE).mkdir()
    with pytest.raises(NonFiniteLossError, match=r"became nan .* could not be saved"):
        run_fit(plain(), loader, None, StopOnNonFiniteLoss(tmp_path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", FILE]


class Nested(L.LightningModule):
    """Inputs in several parts, some of them no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"loss": self.layer(batch[0]["a"]).sum() + batch[0]["parts"][1].sum()}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_parts_of_an_input_keep_their_place(tmp_path):
    shared = torch.ones(6, 2)
    batch = ({"a": torch.ones(3, 1), "parts": [shared[::2, 0], torch.tensor(torch.inf)], "name": "b"}, shared[:3])
    loader = DataLoader([batch], batch_size=None)
    with pytest.raises(NonFiniteLossError, match=r"`x\.parts\.1` of the batch is not finite"):
        run_fit(Nested(), loader, None, StopOnNonFiniteLoss(tmp_path))
    saved = load_file(tmp_path / FILE)
    assert {name: tuple(tensor.shape) for name, tensor in saved.items()} == {
        "x.a": (3, 1),
        "x.parts.0": (3,),
        "x.parts.1": (),
        "y": (3, 2),
    }


# The direction of a metric


class Scripted(L.Callback):
    """Lets a classifier validate to given numbers: its network scores rows so that the metric follows a script."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.network.quality = self.values[min(trainer.current_epoch, len(self.values) - 1)]


class Ranker(nn.Module):
    """Scores the one column, which is the label, up to noise that falls with ``quality``."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)
        self.quality = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.quality * x[:, :1] + (1 - self.quality) * x[:, 1:]
        return torch.cat([-score, score], dim=1) + 0 * self.head(score)


def ranked() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(200) % 5 == 0).long()
    x = torch.stack([y.float(), torch.randn(200, generator=generator)], dim=1)
    return DataLoader(TensorDataset(x, y), batch_size=200)


def scripted(*callbacks: L.Callback, script: tuple[float, ...], metrics: Any = None, **keywords: Any) -> L.Trainer:
    module = ImbalancedClassifier(
        Ranker(), nn.CrossEntropyLoss(), task="binary", class_counts=[160, 40], metrics=metrics
    )
    options = {"max_steps": -1, "max_epochs": 8}
    return run_fit(module, ranked(), ranked(), Scripted(*script), *callbacks, **(options | keywords))


RISING, FALLING = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0), (0.9, 0.6, 0.3, 0.2, 0.1, 0.0)


def test_a_rising_metric_goes_on_and_a_falling_one_stops():
    # Lightning's own default would do the opposite of both.
    assert scripted(EarlyStopping("val/ap", patience=2), script=RISING[:6]).current_epoch == 8
    stop = EarlyStopping("val/ap", patience=2, min_delta=0.001)
    assert scripted(stop, script=FALLING).current_epoch == 3
    assert stop.mode == "max"
    assert stop.min_delta == 0.001


def test_a_metric_where_less_is_better_keeps_its_direction():
    metrics = {"ece": BinaryCalibrationError(), "ap": BinaryAveragePrecision()}
    stop = EarlyStopping("val/ece", patience=2)
    scripted(stop, script=RISING, metrics=metrics)
    assert stop.mode == "min"
    assert stop.min_delta == 0
    assert torch.isfinite(stop.best_score)


def test_the_best_checkpoint_is_that_of_the_best_metric(tmp_path):
    best = BestCheckpoint(tmp_path, monitor="val/ap")
    trainer = scripted(best, script=(0.2, 0.5, 0.9, 0.4, 0.1), max_epochs=5, enable_checkpointing=True)
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]
    assert torch.load(best.best_model_path, weights_only=True)["epoch"] == 2
    assert best.mode == "max"
    assert best.best_model_score > trainer.callback_metrics["val/ap"] + 0.1


def test_both_go_on_after_a_resume(tmp_path):
    def callbacks() -> tuple[EarlyStopping, BestCheckpoint]:
        return EarlyStopping("val/ap", patience=3), BestCheckpoint(tmp_path, monitor="val/ap", save_last=True)

    scripted(*callbacks(), script=(0.5, 0.9, 0.1), max_epochs=3, enable_checkpointing=True)
    stop, best = callbacks()
    trainer = scripted(
        stop, best, script=(0, 0, 0, 0.2, 0.3, 0.2, 0.1), enable_checkpointing=True, ckpt_path=tmp_path / "last.ckpt"
    )
    assert trainer.current_epoch == 5  # one poor validation before the break, two after it
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 1
    assert float(stop.best_score) == pytest.approx(float(best.best_model_score))


@pytest.mark.parametrize("build", [EarlyStopping, lambda monitor: BestCheckpoint(monitor=monitor)])
def test_an_unknown_monitor_is_refused_before_the_training(build, tmp_path):
    metrics = {"ap": BinaryAveragePrecision(), "table": BinaryConfusionMatrix()}
    keywords = {"script": (0.5,), "metrics": metrics, "enable_checkpointing": True, "default_root_dir": tmp_path}
    with pytest.raises(
        ValueError, match=r"`monitor` must be one of 'val/ap', 'val/table', got .*Did you mean 'val/ap'"
    ):
        scripted(build("val_ap"), **keywords)
    with pytest.raises(ValueError, match="BinaryConfusionMatrix does not say which is better"):
        scripted(build("val/table"), **keywords)
    with pytest.raises(ValueError, match="Nested has no `val_metrics`"):
        run_fit(Nested(), ranked(), None, build("val/ap"), enable_checkpointing=True, default_root_dir=tmp_path)


def test_a_given_mode_is_kept(rows, tmp_path):
    stop = EarlyStopping("train/loss", mode="min", patience=1, check_on_train_epoch_end=True)
    best = BestCheckpoint(tmp_path, monitor="train/loss", mode="min", save_on_train_epoch_end=True)
    loader = DataLoader(TensorDataset(*rows), batch_size=100)
    run_fit(plain(), loader, None, stop, best, max_steps=-1, max_epochs=2, enable_checkpointing=True)
    assert (stop.mode, best.mode) == ("min", "min")
    assert (tmp_path / "best.ckpt").is_file()


# Loggers


def test_a_run_logs_to_csv_and_tensorboard(rows, tmp_path):
    loader = DataLoader(TensorDataset(*rows), batch_size=100)
    for version in (0, 1):  # as in a resumed run: what is there stays
        run_fit(plain(), loader, loader, logger=default_loggers(tmp_path), log_every_n_steps=2)
        with open(tmp_path / f"log/version_{version}/metrics.csv", newline="") as file:
            table = list(csv.DictReader(file))
        assert [int(row["step"]) for row in table if row["train/loss"]] == [1, 3, 5, 7, 9, 11]
        assert sum(bool(row["val/ap"]) for row in table) == 2
        assert list((tmp_path / f"tensorboard/version_{version}").glob("events*"))
    assert (tmp_path / "log/version_0/metrics.csv").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"log", "tensorboard"}


class Tracker:
    """Takes the place of Lightning's MLflow logger, whose package is not installed."""

    def __init__(self, experiment_name: str, *, tracking_uri: str, artifact_location: str) -> None:
        self.experiment_name, self.places = experiment_name, [tracking_uri, artifact_location]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ([], [CSVLogger]),
        (["tensorboard"], [CSVLogger, TensorBoardLogger]),
        (["mlflow"], [CSVLogger, Tracker]),
        (["tensorboard", "mlflow"], [CSVLogger, TensorBoardLogger, Tracker]),
    ],
)
def test_loggers_are_those_whose_packages_are_installed(installed, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(_loggers, "RequirementCache", lambda requirement, *_: requirement.split(">")[0] in installed)
    monkeypatch.setattr(_loggers, "MLFlowLogger", Tracker)
    loggers = default_loggers(str(tmp_path / "a run"))
    assert [type(logger) for logger in loggers] == expected
    if "mlflow" in installed:
        assert loggers[-1].experiment_name == "a run"
        assert all(str(tmp_path) in place.replace("%20", " ") for place in loggers[-1].places)


def test_the_stub_stands_for_something_real():
    assert _loggers.RequirementCache("tensorboard")
    assert not _loggers.RequirementCache("unheard-of>=1.0.0")
    parameters = inspect.signature(_loggers.MLFlowLogger.__init__).parameters
    assert {"experiment_name", "tracking_uri", "artifact_location"} <= set(parameters)
