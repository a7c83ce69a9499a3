"""Every registered resampler trains through BatchOversampler, on the columns that may be interpolated; every sampler
feeds the moderate ratio."""

import lightning as L
import pytest
import torch
from torch import nn

from imbalance_torch.data import TableEncoder
from imbalance_torch.data._numeric import BLOCKS
from imbalance_torch.models import MLP
from imbalance_torch.training import RESAMPLERS, SAMPLERS, ImbalancedClassifier, Settings, Technique, fit
from imbalance_torch.training._fitting import quiet_lightning

resamplers = pytest.mark.parametrize("name", RESAMPLERS)
samplers = pytest.mark.parametrize("name", SAMPLERS)
LABELS = torch.tensor([0] * 9000 + [1] * 900 + [2] * 4500)[
    torch.randperm(14_400, generator=torch.Generator().manual_seed(0))
]
MODERATE = torch.tensor([9000, 2250, 4500], dtype=torch.float64) / 15_750


def test_the_names():
    assert {*RESAMPLERS} == {"smote", "borderline_smote", "adasyn", "smotenc", "random_oversampling"}
    assert {*SAMPLERS} == {"balanced", "rotating_undersampling", "progressive", "weighted"}


def fed(sampler):
    counts = LABELS[list(sampler)].bincount(minlength=3).double()
    return counts / counts.sum()


@pytest.mark.parametrize("name", ["balanced", "weighted"])
def test_rare_classes_are_raised_to_a_quarter_of_the_largest(name):
    sampler = Technique(sampler=name).build_sampler(LABELS, max_steps=100, batch_size=64, seed=0)
    assert sampler.effective_prior.tolist() == pytest.approx(MODERATE.tolist(), abs=1e-3)
    assert fed(sampler).tolist() == pytest.approx(MODERATE.tolist(), abs=0.02)
    assert len(sampler) == len(LABELS)


@pytest.mark.parametrize(("max_steps", "stages"), [(100, 10), (95, 10), (25, 9), (7, 7), (1, 1)])
def test_progressive_spends_the_budget_on_the_way_to_a_quarter(max_steps, stages):
    sampler = Technique(sampler="progressive").build_sampler(LABELS, max_steps=max_steps, batch_size=64, seed=0)
    shares = [fed(sampler) for _ in range(stages)]
    steps = len(sampler) // 64
    assert len(sampler) == 64 * steps
    assert steps * (stages - 1) < max_steps <= steps * stages
    assert shares[0].tolist() == pytest.approx([0.625, 0.0625, 0.3125], abs=0.5 / 64)
    rare = [float(share[1]) for share in shares]
    assert rare == sorted(rare)
    if stages > 1:
        assert float(shares[-1][1] / shares[-1][0]) == pytest.approx(0.25, abs=0.04)
    assert torch.equal(sampler.effective_prior, fed(sampler))  # what comes later stays at the end


def test_progressive_makes_stages_long_enough_for_very_rare_classes():
    labels = (torch.arange(100_000) % 20_000 == 0).long()  # 5 rows in 100,000; a batch of 64 at a time
    sampler = Technique(sampler="progressive").build_sampler(labels, max_steps=1000, batch_size=64, seed=0)
    assert len(sampler) == 64 * 313
    rare = [int(labels[list(sampler)].sum()) for _ in range(4)]
    assert rare == sorted(rare)
    assert rare[0] == 1
    assert rare[-1] == pytest.approx(0.2 * len(sampler), rel=0.01)


@pytest.mark.parametrize("name", ["balanced", "progressive", "weighted"])
def test_what_is_moderate_already_stays(name):
    even = torch.arange(3000) % 3
    sampler = Technique(sampler=name).build_sampler(even, max_steps=30, batch_size=30, seed=0)
    for _ in range(4):
        assert sampler.effective_prior.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)
        list(sampler)


@samplers
def test_training_undoes_the_shares_of_the_last_epoch(name, data):
    settings = Settings(Technique(sampler=name), network="mlp", max_steps=20, batch_size=128)
    model = fit(data, settings)
    prior, train_prior = model.classifier.prior, model.classifier.train_prior
    share = float(data.rows("train")[1].double().mean())
    assert prior.tolist() == pytest.approx([1 - share, share])
    assert train_prior[1] / train_prior[0] == pytest.approx(0.25, abs=0.01)


@resamplers
def test_training_steps_with_it(name, data):
    oversampler = Technique(resampler=name).build_resampler(data.encoder, seed=0)
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


@pytest.mark.parametrize("name", [name for name in RESAMPLERS if name != "smotenc"])
def test_copied_columns_belong_to_a_row_of_the_training_split(name, data):
    x, y = data.rows("train")
    oversampler = Technique(resampler=name).build_resampler(data.encoder, seed=0).fit(x, y)
    new, labels = oversampler(x[:500], y[:500])
    assert torch.equal(new[:500], x[:500])
    assert len(new) > 550
    assert (labels[500:] == 1).all()
    copied = slice(data.encoder.num_blocks, None)
    rare = {tuple(row) for row in x[y == 1][:, copied].tolist()}
    assert {tuple(row) for row in new[500:][:, copied].tolist()} <= rare


@pytest.mark.parametrize("name", [name for name in RESAMPLERS if name != "random_oversampling"])
def test_every_block_of_a_new_row_is_that_of_its_interpolated_numbers(name, data):
    x, y = data.rows("train")
    oversampler = Technique(resampler=name).build_resampler(data.encoder, seed=0).fit(x, y)
    new = oversampler(x[:500], y[:500])[0][500:]
    n, encoder = len(data.schema.numeric), data.encoder
    assert encoder.blocks == ["standard", "log", "bins"]
    raw = new[:, :n].double() * encoder.standard_scale + encoder.standard_mean
    log = BLOCKS["log"].apply(raw, *(encoder.get_buffer(f"log_{name}") for name in BLOCKS["log"].statistics))
    exact = (new[:, n : 2 * n] - log).abs() < 1e-3
    assert exact.double().mean() > 0.95  # the rest hardly moved, and keeps the value of its base row
    for j in range(n):
        kept = new[~exact[:, j], n + j]
        assert {*kept.tolist()} <= {*x[y == 1][:, n + j].tolist()}


def test_smotenc_votes_on_categories_and_keeps_codes_whole(data):
    x, y = data.rows("train")
    new = Technique(resampler="smotenc").build_resampler(data.encoder, seed=0).fit(x, y)(x[:500], y[:500])[0][500:]
    others = slice(data.encoder.num_blocks, None)
    for j in range(x.shape[1])[others]:
        assert {*new[:, j].tolist()} <= {*x[y == 1][:, j].tolist()}


def test_figures_belong_to_their_technique():
    assert Technique("focal", gamma=0.5).build_loss([9, 1]).gamma == 0.5
    weights = Technique("class_weighted", weight_power=0.5).build_loss([90, 10]).weight
    assert float(weights[1] / weights[0]) == pytest.approx(3.0)
    assert Technique(sampler="balanced", ratio=1.0).build_sampler(
        LABELS, max_steps=9, batch_size=64, seed=0
    ).effective_prior.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)
    with pytest.raises(ValueError, match="`gamma` belongs to loss='focal'"):
        Technique("cross_entropy", gamma=2.0)
    with pytest.raises(ValueError, match="`weight_power` belongs to loss='class_weighted'"):
        Technique("focal", weight_power=1.0)
    with pytest.raises(ValueError, match="`ratio` must be > 0"):
        Technique(ratio=0.0)


@resamplers
def test_the_seed_decides(name, data):
    x, y = data.rows("train")
    first, again, other = (
        Technique(resampler=name).build_resampler(data.encoder, seed=seed).fit(x, y)(x[:500], y[:500])[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@resamplers
def test_a_table_of_text_alone_is_refused(name, data):
    encoder = TableEncoder([], ["carrier"]).fit(data.frame)
    with pytest.raises(ValueError, match="needs numeric columns"):
        Technique(resampler=name).build_resampler(encoder, seed=0)


def test_smotenc_without_categories_is_refused(data):
    encoder = TableEncoder(["distance"], []).fit(data.frame)
    with pytest.raises(ValueError, match="SMOTENC needs categories"):
        Technique(resampler="smotenc").build_resampler(encoder, seed=0)


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(ValueError, match="Did you mean 'borderline_smote'"):
        Technique(resampler="borderlinesmote")
