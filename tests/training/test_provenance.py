"""Where every row that a network sees comes from: validation and test rows are the original ones, once a pass, and new
rows have parents in the training part alone."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.models import MLP
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.training import (
    DataOptions,
    ImbalancedClassifier,
    Settings,
    TabularDataModule,
    Technique,
    train,
)
from imbalance_torch.training._fitting import quiet_lightning


class Seen:
    """Inputs of every MLP by its mode, and the plans and rows of every SMOTE."""

    def __init__(self) -> None:
        self.training: list[Tensor] = []
        self.evaluating: list[Tensor] = []
        self.parents: list[tuple[Tensor, Tensor, Tensor]] = []
        self.new: list[Tensor] = []

    def look(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, MLP):
            (self.training if module.training else self.evaluating).append(inputs[0].detach().clone())


@pytest.fixture
def seen(monkeypatch) -> Iterator[Seen]:
    record, original = Seen(), SMOTE.generate

    def generate(self: SMOTE, plan, out=None):
        new = original(self, plan, out)
        index = self.graph_.row_index
        record.parents.append((index[plan.base], index[plan.neighbor], plan.gap))
        record.new.append(new.clone())
        return new

    monkeypatch.setattr(SMOTE, "generate", generate)
    handle = register_module_forward_pre_hook(record.look)
    yield record
    handle.remove()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    generator = np.random.default_rng(0)
    y = (generator.random(1200) < 0.08).astype(int)
    numbers = {name: generator.normal(size=1200) + y for name in ("a", "b")}
    frame = pd.DataFrame({**numbers, "c": generator.choice(["u", "v", "w"], 1200), "y": y})
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.permutation(1200), unit="h")
    file = tmp_path_factory.mktemp("provenance") / "table.parquet"
    frame.to_parquet(file)
    return file


SPLITS = {
    "by time": {"time": "t"},
    "stratified": {"drop": ["t"]},
}


def options(table: Path, split: str) -> DataOptions:
    return DataOptions(str(table), "y", audit=False, **SPLITS[split])


def prepared(table: Path, split: str) -> TabularDataModule:
    data = options(table, split).build()
    data.setup()
    return data


class Audit:
    """Tells rows by their content, which is different for each row of the table."""

    def __init__(self, data: TabularDataModule) -> None:
        self.data = data
        self.place = {row.tobytes(): i for i, row in enumerate(data.x.numpy())}
        assert len(self.place) == len(data.x) == 1200
        self.part = {name: getattr(data.split, name).tolist() for name in ("train", "val", "test")}
        assert sorted(chain(*self.part.values())) == list(range(1200))

    def places(self, batches: list[Tensor]) -> list[int | None]:
        return [self.place.get(row.tobytes()) for row in torch.cat(batches).numpy()]

    def passes(self, seen: Seen) -> list[str]:
        """Return the parts that were evaluated; each time these are all of its rows, once, in order."""
        left, found = self.places(seen.evaluating), []
        while left:
            name = next(name for name in ("val", "test") if self.part[name][0] == left[0])
            rows, left = left[: len(self.part[name])], left[len(self.part[name]) :]
            assert rows == self.part[name]
            found.append(name)
        return found

    def check_training(self, seen: Seen) -> None:
        """Every row is an original training row or a new one; each of these has two parents of the training part."""
        places = self.places(seen.training)
        assert {place for place in places if place is not None} <= {*self.part["train"]}
        x, y = self.data.rows("train")
        columns = self.data.interpolated_columns
        made = torch.cat(seen.new) if seen.new else x[:0, columns]
        synthetic = torch.cat(seen.training)[[place is None for place in places]]
        assert torch.equal(synthetic[:, columns], made)
        for (base, neighbor, gap), new in zip(seen.parents, seen.new, strict=True):
            assert (torch.cat([y[base], y[neighbor]]) == 1).all()
            a, b = x[base][:, columns], x[neighbor][:, columns]
            torch.testing.assert_close(new, a + gap[:, None] * (b - a), rtol=1e-5, atol=1e-6)


TECHNIQUES = {
    "smote": Technique(resampler="smote"),
    "rotating undersampling": Technique(sampler="rotating_undersampling"),
    "balanced": Technique(sampler="balanced"),
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_run_changes_training_rows_alone(name, split, table, tmp_path, seen):
    settings = Settings(TECHNIQUES[name], network="mlp", max_steps=40, batch_size=64, early_stopping=True)
    train(options(table, split), settings, tmp_path / "run")
    audit = Audit(prepared(table, split))
    audit.check_training(seen)
    assert bool(seen.new) == (name == "smote")
    # Looks at the validation part, the choice of the threshold there, and at last the figures of the test part.
    passes = audit.passes(seen)
    assert passes == sorted(passes, reverse=True)
    assert passes.count("val") > 2
    assert "test" in passes


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("form", ["data module", "plain loaders"])
def test_a_stock_trainer_changes_training_rows_alone(form, split, table, seen):
    data = prepared(table, split)
    audit = Audit(data)
    module = ImbalancedClassifier(
        MLP(data.num_dense, data.cardinalities),
        nn.CrossEntropyLoss(),
        task="binary",
        resampler=BatchOversampler(
            SMOTE(random_state=0),
            target_ratio=0.5,
            columns=None if form == "data module" else data.interpolated_columns,
        ),
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    parts = [DataLoader(TensorDataset(*data.rows(part)), batch_size=50) for part in ("train", "val", "test")]
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=2, num_sanity_val_steps=0, enable_model_summary=False, **quiet
        )
        if form == "data module":
            trainer.fit(module, datamodule=data)
            trainer.test(module, datamodule=data, verbose=False)
        else:
            trainer.fit(module, *parts[:2])
            trainer.test(module, parts[2], verbose=False)
    audit.check_training(seen)
    assert seen.new
    assert audit.passes(seen) == ["val", "val", "test"]
    originals = [place for place in audit.places(seen.training) if place is not None]
    assert sorted(originals) == sorted(audit.part["train"] * 2)
