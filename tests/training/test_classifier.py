"""ImbalancedClassifier with a stock Trainer: tasks, batch forms, prior correction, initial bias, bad scores."""

import copy
import warnings
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler

from imbalance_torch.losses import (
    AsymmetricLoss,
    BalancedSoftmaxLoss,
    ClassWeightedBCEWithLogitsLoss,
    ClassWeightedCrossEntropyLoss,
    DeferredReweighting,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedBCEWithLogitsLoss,
    LogitAdjustedLoss,
    Poly1Loss,
    SigmoidFocalLoss,
    VSLoss,
)
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.samplers import ClassBalancedSampler, RotatingUnderSampler
from imbalance_torch.training import ImbalancedClassifier, TabularDataModule, lightning_cli
from imbalance_torch.training._fitting import quiet_lightning


def trainer(**keywords: Any) -> L.Trainer:
    options = {"accelerator": "cpu", "max_steps": 5, "max_epochs": -1, "num_sanity_val_steps": 0}
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**(options | quiet | keywords))


def run_fit(module: ImbalancedClassifier, loader: Any, val: Any = None, **keywords: Any) -> L.Trainer:
    with quiet_lightning():
        chosen = trainer(**keywords)
        chosen.fit(module, loader, val)
    return chosen


@pytest.fixture
def binary() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    y = (torch.arange(600) % 10 == 0).long()
    return torch.randn(600, 4, generator=generator) + y[:, None], y


LOSSES = {
    "cross_entropy": (nn.CrossEntropyLoss(), 2),
    "weighted cross_entropy": (nn.CrossEntropyLoss(torch.tensor([0.5, 5.0])), 2),
    "smoothed cross_entropy": (nn.CrossEntropyLoss(label_smoothing=0.1), 2),
    "bce": (nn.BCEWithLogitsLoss(), 1),
    "bce pos_weight": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(9.0)), 1),
    "focal": (FocalLoss(gamma=2.0), 2),
    "sigmoid focal": (SigmoidFocalLoss(gamma=2.0, alpha=0.25), 1),
    "class weighted": (ClassWeightedCrossEntropyLoss.from_counts([540, 60]), 2),
    "class weighted bce": (ClassWeightedBCEWithLogitsLoss.from_counts([540, 60]), 1),
    "logit adjusted": (LogitAdjustedLoss.from_counts([540, 60]), 2),
    "logit adjusted bce": (LogitAdjustedBCEWithLogitsLoss(0.1, tau=0.5), 1),
    "balanced softmax": (BalancedSoftmaxLoss([540, 60]), 2),
    "flat: vs": (VSLoss([540, 60]), 2),
    "flat: poly1": (Poly1Loss(), 2),
    "flat: asymmetric": (AsymmetricLoss(), 1),
    "deferred torch": (DeferredReweighting(nn.CrossEntropyLoss(torch.tensor([0.5, 5.0])), start_epoch=0), 2),
    "deferred": (DeferredReweighting(ClassWeightedCrossEntropyLoss.from_counts([540, 60]), start_epoch=0), 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_probabilities_at_the_initial_bias_are_the_prior(name, binary):
    # With zero weights in the head the best constant output is the initial bias; corrected, it must be the true share.
    loss, outputs = LOSSES[name]
    network = nn.Sequential(nn.Linear(4, outputs))
    nn.init.zeros_(network[0].weight)
    module = ImbalancedClassifier(
        network, loss, task="binary", optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0)
    )
    run_fit(module, DataLoader(TensorDataset(*binary), batch_size=60), max_steps=1)
    probabilities = module.probabilities(module(binary[0]))
    assert probabilities.shape == (600,)
    if "focal" in name or "smoothed" in name or "flat" in name:
        # The bias starts at the shares, as documented; a focal optimum is flatter, so its link spreads them.
        assert (probabilities < 0.2).all()
    else:
        torch.testing.assert_close(probabilities, torch.full_like(probabilities, 0.1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_training_on_constant_inputs_learns_the_true_share(name):
    y = (torch.arange(400) % 8 == 0).long()
    loader = DataLoader(TensorDataset(torch.zeros(400, 3), y), batch_size=400)
    loss, outputs = LOSSES[name]
    module = ImbalancedClassifier(
        nn.Linear(3, outputs), loss, task="binary", optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1)
    )
    run_fit(module, loader, max_steps=150)
    assert module.probabilities(module(torch.zeros(1, 3))).item() == pytest.approx(0.125, rel=0.02)


def test_a_loss_without_a_posterior_is_named_and_left_uncorrected(binary):
    module = ImbalancedClassifier(nn.Linear(4, 2), LDAMLoss([540, 60]), task="binary")
    with pytest.warns(UserWarning, match="LDAMLoss has no known link to probabilities"):
        run_fit(module, DataLoader(TensorDataset(*binary), batch_size=60))
    logits = module(binary[0])
    torch.testing.assert_close(module.probabilities(logits), logits.softmax(1)[:, 1])


def test_a_loss_without_a_posterior_is_calibrated_from_ten_positives_on():
    generator = torch.Generator().manual_seed(0)
    odds = 2 * torch.randn(20_000, generator=generator) - 3
    target = (torch.rand(20_000, generator=generator) < odds.sigmoid()).long()
    logits = torch.stack([-odds, odds], dim=1) / 60  # its scale of 30 lets the logits stay this close together
    positives, negatives = target.nonzero()[:, 0], (target == 0).nonzero()[:, 0]

    def calibrated(loss: nn.Module, count: int) -> tuple[str, float]:
        module = ImbalancedClassifier(nn.Linear(4, 2), loss, task="binary", class_counts=[540, 60])
        rows = torch.cat([positives[:count], negatives[: 7 * count]])
        calibration = module.calibrate(logits[rows], target[rows])
        return calibration.name, float(nn.functional.nll_loss(module.log_probabilities(logits), target))

    for count in (10, 20, 49):
        name, loss = calibrated(LDAMLoss([540, 60]), count)
        assert name in ("temperature", "platt")
        assert loss < 0.7 * calibrated(LDAMLoss([540, 60]), 9)[1]
        assert calibrated(nn.CrossEntropyLoss(), count)[0] == "none"
    assert calibrated(LDAMLoss([540, 60]), 9)[0] == "none"
    assert calibrated(nn.CrossEntropyLoss(), 50)[0] != "none"


def test_a_deferred_loss_follows_the_epochs_and_the_checkpoint(binary, tmp_path):
    def build():
        loss = DeferredReweighting(
            ClassWeightedCrossEntropyLoss.from_counts([540, 60]), start_epoch=0, end_epoch=4, schedule="linear"
        )
        return ImbalancedClassifier(nn.Linear(4, 2), loss, task="binary")

    module, loader = build(), DataLoader(TensorDataset(*binary), batch_size=200)
    chosen = run_fit(module, loader, max_steps=-1, max_epochs=3)
    assert module.loss.epoch == 2
    torch.testing.assert_close(module.loss.loss.weight, 1 + 0.5 * (torch.tensor([600 / 1080, 5.0]).double() - 1))
    chosen.save_checkpoint(tmp_path / "c.ckpt")
    twin = build()
    twin.load_state_dict(torch.load(tmp_path / "c.ckpt", weights_only=True)["state_dict"])
    assert twin.loss.epoch == 2
    assert torch.equal(twin.loss.loss.weight, module.loss.loss.weight)


@pytest.mark.parametrize(
    "sampler",
    [
        lambda y: ClassBalancedSampler(y, batch_size=64),
        lambda y: ClassBalancedSampler(y, ratio=0.25, batch_size=64),
        lambda y: RotatingUnderSampler(y, ratio=0.5, batch_size=64),
    ],
)
def test_sampling_is_undone(sampler):
    y = (torch.arange(640) % 8 == 0).long()
    loader = DataLoader(TensorDataset(torch.zeros(640, 3), y), batch_size=64, sampler=sampler(y))
    module = ImbalancedClassifier(
        nn.Linear(3, 2), nn.CrossEntropyLoss(), task="binary", optimizer=lambda p: torch.optim.Adam(p, lr=0.01)
    )
    run_fit(module, loader, max_steps=200)
    assert module.train_prior[1] > 0.15
    assert module.probabilities(module(torch.zeros(1, 3))).item() == pytest.approx(0.125, rel=0.06)


def test_a_batch_sampler_states_its_shares_too(binary):
    x, y = binary
    sampler = ClassBalancedSampler(y, batch_size=64).as_batch_sampler()
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    run_fit(module, DataLoader(TensorDataset(x, y), batch_sampler=sampler))
    assert module.train_prior.tolist() == pytest.approx([0.5, 0.5])


def test_a_sampler_that_keeps_its_shares_to_itself_is_named(binary):
    x, y = binary
    sampler = WeightedRandomSampler(torch.ones(600) + 8 * y, 600)
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    with pytest.warns(UserWarning, match="WeightedRandomSampler does not say which class shares"):
        run_fit(module, DataLoader(TensorDataset(x, y), batch_size=64, sampler=sampler))


def test_oversampling_is_undone_and_happens_only_while_training(binary):
    x, y = binary
    x = torch.zeros_like(x) + torch.arange(4.0)
    module = ImbalancedClassifier(
        nn.Linear(4, 2),
        nn.CrossEntropyLoss(),
        task="binary",
        resampler=BatchOversampler(SMOTE(random_state=0, on_degenerate="warn"), target_ratio=0.5),
        optimizer=lambda p: torch.optim.Adam(p, lr=0.01),
    )
    sizes: dict[str, set[int]] = {"train": set(), "val": set()}

    class Spy(L.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
            sizes["train"].add(len(batch[1]))

        def on_validation_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
            sizes["val"].add(len(batch[1]))

    loader = DataLoader(TensorDataset(x, y), batch_size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # every minority row is the same: SMOTE says so
        run_fit(module, loader, loader, max_steps=200, callbacks=[Spy()])
    assert sizes["val"] == {60}
    assert sizes["train"] == {54 + 27}
    assert module.train_prior.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert module.probabilities(module(x[:1])).item() == pytest.approx(0.1, rel=0.06)


def test_multiclass_and_multilabel():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=generator)
    y = (torch.arange(300) % 10).clamp(max=2)
    module = ImbalancedClassifier(nn.Linear(4, 3), FocalLoss(gamma=1.0), task="multiclass", num_classes=3)
    chosen = run_fit(module, DataLoader(TensorDataset(x, y), batch_size=50))
    assert module.prior.tolist() == pytest.approx([0.1, 0.1, 0.8])
    probabilities = torch.cat(chosen.predict(module, DataLoader(x, batch_size=50)))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(300))

    labels = torch.stack([torch.arange(300) % 10 == 0, torch.arange(300) % 3 == 0], dim=1).float()
    module = ImbalancedClassifier(nn.Linear(4, 2), SigmoidFocalLoss(gamma=2.0), task="multilabel", num_classes=2)
    loader = DataLoader(TensorDataset(x, labels), batch_size=50)
    chosen = run_fit(module, loader, loader, max_steps=6)
    torch.testing.assert_close(module.prior[:, 1], torch.tensor([0.1, 1 / 3], dtype=torch.float64))
    assert {"val/ap", "val/auroc"} <= set(chosen.callback_metrics)
    assert torch.cat(chosen.predict(module, DataLoader(x, batch_size=50))).shape == (300, 2)


class _Dicts(Dataset):
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.targets = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[i], "y": self.targets[i]}


def test_batch_forms(binary):
    x, y = binary
    index = torch.arange(len(y))
    for loader in (
        DataLoader(TensorDataset(x, y), batch_size=100),
        DataLoader(_Dicts(x, y), batch_size=100),
    ):
        module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
        chosen = run_fit(module, loader, loader, max_steps=6)
        assert module.prior.tolist() == pytest.approx([0.9, 0.1])
        assert chosen.callback_metrics["val/ap"] > 0
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary", class_counts=[540, 60])
    chosen = run_fit(module, DataLoader(TensorDataset(x, y, index), batch_size=100))
    assert module.prior.tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.filterwarnings("ignore:BatchOversampler and .* both make up:UserWarning")  # any loss runs with it
@pytest.mark.parametrize("name", LOSSES)
def test_any_device(name, device, binary):
    loss, outputs = LOSSES[name]
    module = ImbalancedClassifier(
        nn.Linear(4, outputs),
        copy.deepcopy(loss),
        task="binary",
        resampler=BatchOversampler(SMOTE(random_state=0)),
    )
    loader = DataLoader(TensorDataset(*binary), batch_size=100)
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    chosen = run_fit(module, loader, loader, accelerator=accelerator, devices=1, max_steps=6)
    with quiet_lightning():
        predicted = torch.cat(chosen.predict(module, loader))
    assert predicted.shape == (600, 2)
    torch.testing.assert_close(predicted.sum(1), torch.ones(600))


def test_prediction_needs_no_labels(binary):
    x, y = binary
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    chosen = run_fit(module, DataLoader(TensorDataset(x, y), batch_size=100))
    with quiet_lightning():
        expected = torch.cat(chosen.predict(module, DataLoader(TensorDataset(x, y), batch_size=100)))
        for loader in (
            DataLoader(TensorDataset(x), batch_size=100),
            DataLoader([{"x": row} for row in x], batch_size=100),
        ):
            torch.testing.assert_close(torch.cat(chosen.predict(module, loader)), expected)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_class_shares_keep_their_precision(precision, binary):
    x, y = binary
    loader = DataLoader(TensorDataset(x, y), batch_size=100, sampler=ClassBalancedSampler(y, batch_size=100))
    module = ImbalancedClassifier(nn.Linear(4, 2), FocalLoss(gamma=1.0), task="binary")
    run_fit(module, loader, loader, max_steps=12, precision=precision)
    assert module.prior.tolist() == [0.9, 0.1]
    assert module.prior.dtype == torch.float64


def test_class_shares_travel_with_the_state_dict(binary):
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    run_fit(module, DataLoader(TensorDataset(*binary), batch_size=100))
    other = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other.probabilities(other(binary[0])), module.probabilities(module(binary[0])))


def test_a_second_fit_takes_the_shares_of_the_new_data(binary):
    x, y = binary
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    run_fit(module, DataLoader(TensorDataset(x, y), batch_size=100))
    run_fit(module, DataLoader(TensorDataset(x, (torch.arange(600) % 4 == 0).long()), batch_size=100))
    assert module.prior.tolist() == [0.75, 0.25]


class _Batches:
    """A loader that keeps its data set to itself."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


@pytest.mark.parametrize(
    ("loss", "class_counts", "text"),
    [
        (nn.CrossEntropyLoss(), None, "Pass `class_counts`"),
        (nn.MultiMarginLoss(), [540, 60], "MultiMarginLoss has no known link"),
    ],
)
def test_unknown_counts_and_unknown_losses_warn_once(binary, loss, class_counts, text):
    module = ImbalancedClassifier(nn.Linear(4, 2), loss, task="binary", class_counts=class_counts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer().fit(module, _Batches(*[binary] * 3))
    assert sum(text in str(warning.message) for warning in caught) == 1
    torch.testing.assert_close(module.probabilities(torch.zeros(2, 2)), torch.full((2,), 0.5), check_dtype=False)


def test_scores_that_are_not_finite_are_refused(binary):
    x, y = binary
    x = x.clone()
    x[7] = torch.nan
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    with pytest.raises(ValueError, match="not finite"), quiet_lightning():
        trainer().validate(module, DataLoader(TensorDataset(x, y), batch_size=100))


def test_a_second_fit_keeps_the_trained_bias(binary):
    loader = DataLoader(TensorDataset(*binary), batch_size=100)
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    run_fit(module, loader)
    bias = module.network.bias.detach().clone()
    module.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)
    run_fit(module, loader)
    torch.testing.assert_close(module.network.bias, bias)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"Did you mean 'multilabel'\?"):
        ImbalancedClassifier(nn.Linear(1, 2), nn.CrossEntropyLoss(), task="multi-label")
    with pytest.raises(ValueError, match="needs `num_classes`"):
        ImbalancedClassifier(nn.Linear(1, 3), nn.CrossEntropyLoss(), task="multiclass")
    with pytest.raises(ValueError, match="binary task has 2 classes"):
        ImbalancedClassifier(nn.Linear(1, 3), nn.CrossEntropyLoss(), task="binary", num_classes=3)


def test_the_data_module_tells_the_resampler_what_it_may_interpolate(data: TabularDataModule):
    from imbalance_torch.models import MLP

    oversampler = BatchOversampler(SMOTE(random_state=0))
    module = ImbalancedClassifier(
        MLP(data.num_dense, data.cardinalities), nn.CrossEntropyLoss(), task="binary", resampler=oversampler
    )
    with quiet_lightning():
        trainer(max_steps=3).fit(module, datamodule=data)
    assert oversampler.columns == data.interpolated_columns
    x, y = data.rows("train")
    new, _ = oversampler(x[:500], y[:500])
    codes = new[500:, data.num_dense :]
    assert len(codes) > 50
    assert torch.equal(codes, codes.round())
    indicators = new[500:, data.encoder.num_blocks : data.num_dense]
    assert set(indicators.unique().tolist()) <= {0.0, 1.0}


def test_yaml_loss_takes_its_weights_from_the_counts():
    loss = lightning_cli.BalancedCrossEntropyLoss([90, 10])
    torch.testing.assert_close(loss.weight, ClassWeightedCrossEntropyLoss.from_counts([90, 10]).weight)
