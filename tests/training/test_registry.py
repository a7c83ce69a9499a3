"""Every registered resampler trains through BatchOversampler, on the columns that may be interpolated."""

import lightning as L
import pytest
import torch
from torch import nn

from imbalance_torch.models import MLP
from imbalance_torch.training import RESAMPLERS, ImbalancedClassifier, Technique
from imbalance_torch.training._fitting import quiet_lightning

resamplers = pytest.mark.parametrize("name", RESAMPLERS)


def test_the_names():
    assert {*RESAMPLERS} == {"smote", "borderline_smote", "adasyn", "random_oversampling"}


@resamplers
def test_training_steps_with_it(name, data):
    oversampler = Technique(resampler=name).build_resampler(data.interpolated_columns, seed=0)
    network = MLP(data.num_dense, data.cardinalities)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    module = ImbalancedClassifier(network, nn.CrossEntropyLoss(), task="binary", resampler=oversampler)
    with quiet_lightning():
        L.Trainer(
            accelerator="cpu",
            max_steps=3,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        ).fit(module, datamodule=data)
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert module.train_prior[1] / module.train_prior[0] == pytest.approx(0.25)


@resamplers
def test_copied_columns_belong_to_a_row_of_the_training_split(name, data):
    x, y = data.rows("train")
    oversampler = Technique(resampler=name).build_resampler(data.interpolated_columns, seed=0).fit(x, y)
    new, labels = oversampler(x[:500], y[:500])
    assert torch.equal(new[:500], x[:500])
    assert len(new) > 550
    assert (labels[500:] == 1).all()
    copied = [j for j in range(x.shape[1]) if j not in data.interpolated_columns]
    rare = {tuple(row) for row in x[y == 1][:, copied].tolist()}
    assert {tuple(row) for row in new[500:][:, copied].tolist()} <= rare


@resamplers
def test_the_seed_decides(name, data):
    x, y = data.rows("train")
    first, again, other = (
        Technique(resampler=name).build_resampler(data.interpolated_columns, seed=seed).fit(x, y)(x[:500], y[:500])[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@resamplers
def test_a_table_of_text_alone_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' needs numeric columns"):
        Technique(resampler=name).build_resampler([], seed=0)


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(ValueError, match="Did you mean 'borderline_smote'"):
        Technique(resampler="borderlinesmote")
