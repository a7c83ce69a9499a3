"""Callbacks that act on the loss: schedule by steps, gradient share, weight guard."""

import copy
import csv
import warnings
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from imbalance_torch.losses import (
    ClassWeightedBCEWithLogitsLoss,
    ClassWeightedCrossEntropyLoss,
    DeferredReweighting,
    FocalLoss,
    LDAMLoss,
    SigmoidFocalLoss,
)
from imbalance_torch.resampling import SMOTE, BatchOversampler
from imbalance_torch.training import GradientShareMonitor, ImbalancedClassifier, LossSchedule, WeightGuard
from imbalance_torch.training._fitting import quiet_lightning

MINORITY, EASY = "train/gradient_share_minority", "train/gradient_share_easy_negatives"


def run_fit(module: L.LightningModule, loader: Any, *callbacks: L.Callback, **keywords: Any) -> L.Trainer:
    options = {"max_steps": 5, "max_epochs": -1, "logger": False, "enable_checkpointing": False}
    ckpt_path = keywords.pop("ckpt_path", None)
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator="cpu",
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            **(options | keywords),
        )
        trainer.fit(module, loader, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.05)


def gaussians(rows: int, every: int, features: int = 4, shift: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    y = (torch.arange(rows) % every == 0).long()
    return torch.randn(rows, features, generator=generator) + shift * y[:, None], y


def mlp(outputs: int, features: int = 4, seed: int = 0, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, outputs))


class Batches:
    """A loader of given batches."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


class Weights(L.Callback):
    """Keeps the class weights that each step was trained under."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        self.seen.append(float(pl_module.loss.loss.weight[1]))


# Schedules


def deferred(start: float, end: float | None = None) -> ImbalancedClassifier:
    loss = DeferredReweighting(
        ClassWeightedCrossEntropyLoss(torch.tensor([1.0, 5.0])),
        start_epoch=start,
        end_epoch=end,
        schedule="step" if end is None else "linear",
    )
    return ImbalancedClassifier(nn.Linear(4, 2), loss, task="binary", optimizer=adam)


@pytest.mark.parametrize("batch_size", [600, 60, 7])
@pytest.mark.parametrize(("num_epochs", "start"), [(1, 0.8), (200, 160)])
def test_the_weights_come_after_a_share_of_the_steps_whatever_an_epoch_is(batch_size, num_epochs, start):
    spy = Weights()
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=batch_size)
    run_fit(deferred(start), loader, LossSchedule(num_epochs), spy, max_steps=10)
    assert spy.seen == [1.0] * 8 + [5.0] * 2


def test_a_ramp_is_linear_in_the_steps_and_stands_still_while_gradients_accumulate():
    spy = Weights()
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=20)
    run_fit(deferred(0.25, 0.75), loader, LossSchedule(), spy, max_steps=8, accumulate_grad_batches=2)
    assert spy.seen[::2] == pytest.approx([1, 1, 1, 2, 3, 4, 5, 5])
    assert spy.seen[::2] == spy.seen[1::2]


def test_a_limit_in_epochs_gives_the_length_too():
    spy = Weights()
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=100)
    run_fit(deferred(0.5), loader, LossSchedule(), spy, max_steps=-1, max_epochs=2)
    assert spy.seen == [1.0] * 6 + [5.0] * 6


def test_a_resumed_schedule_goes_on_where_it_was(tmp_path):
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=60)

    class Save(L.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 10:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    spy = Weights()
    whole = deferred(0.0, 1.0)
    run_fit(whole, loader, LossSchedule(), Save(), spy, max_steps=20)
    resumed, again = deferred(0.0, 1.0), Weights()
    run_fit(resumed, loader, LossSchedule(), again, max_steps=20, ckpt_path=tmp_path / "half.ckpt")
    assert again.seen == spy.seen[10:]
    for expected, value in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(value, expected)
    # Rebuilt from the checkpoint alone, probabilities are corrected by the weights that were in force.
    rebuilt = deferred(0.0, 1.0)
    rebuilt.load_state_dict(torch.load(tmp_path / "half.ckpt", weights_only=True)["state_dict"])
    assert rebuilt.loss.epoch == 9 / 20
    assert float(rebuilt.loss.loss.weight[1]) == spy.seen[9]


def test_probabilities_are_right_after_the_switch():
    y = (torch.arange(400) % 8 == 0).long()
    loader = DataLoader(TensorDataset(torch.zeros(400, 4), y), batch_size=400)
    module = deferred(0.3)
    run_fit(module, loader, LossSchedule(), max_steps=200)
    raw = module(torch.zeros(1, 4)).softmax(1)[0, 1].item()
    assert raw > 0.35  # the weights did act
    assert module.probabilities(module(torch.zeros(1, 4))).item() == pytest.approx(0.125, rel=0.02)


def test_a_schedule_needs_a_loss_and_an_end():
    loader = DataLoader(TensorDataset(*gaussians(100, 10)), batch_size=50)
    plain = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    with pytest.raises(ValueError, match="needs a loss with `set_epoch`, got CrossEntropyLoss"):
        run_fit(plain, loader, LossSchedule())
    with pytest.raises(ValueError, match="Set `max_steps`"):
        run_fit(deferred(0.5), loader, LossSchedule(), max_steps=-1, max_time="00:00:00:01")
    with pytest.raises(ValueError, match="`num_epochs` must be > 0"):
        LossSchedule(0)


# Gradient share


def reference(logits: torch.Tensor, loss: Any, y: torch.Tensor, groups: Any) -> list[float]:
    """Shares by a loop over rows, from the loss itself."""
    z = logits.detach().double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z, y), z)
    total = sum(abs(float(g)) for g in gradient.flatten())
    return [sum(float(gradient[i].abs().sum()) for i in range(len(z)) if group(i)) / total for group in groups]


class Snapshot(L.Callback):
    """Keeps the weights before, and the batch of, the measured step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.batch, self.network = batch, copy.deepcopy(pl_module.network)


@pytest.mark.parametrize("task", ["binary", "one logit", "multiclass"])
def test_shares_are_those_of_the_loss_gradient(task):
    x, y = gaussians(600, 10)
    loss: Any = {"one logit": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))}.get(task, FocalLoss(gamma=1.0))
    outputs = {"binary": 2, "one logit": 1, "multiclass": 3}[task]
    if task == "multiclass":
        y = (torch.arange(600) % 20).clamp(max=2)  # class 2 is frequent, 0 and 1 are rare
        y[0] = 1
    module = ImbalancedClassifier(
        mlp(outputs),
        loss,
        task="multiclass" if task == "multiclass" else "binary",
        num_classes=3 if task == "multiclass" else None,
        optimizer=adam,
    )
    spy = Snapshot(step=5)
    trainer = run_fit(module, DataLoader(TensorDataset(x, y), 100), GradientShareMonitor(6), spy, max_steps=9)
    x, y = spy.batch
    logits = spy.network(x).detach()
    rarest = 0 if task == "multiclass" else 1
    if outputs == 1:
        logits = logits[:, 0]
        own = torch.where(y == 1, logits.sigmoid(), 1 - logits.sigmoid())
        target: Any = y.double()
    else:
        own, target = logits.softmax(1)[torch.arange(len(y)), y], y
    expected = reference(
        logits,
        loss.double(),
        target,
        [lambda i: y[i] == rarest, lambda i: y[i] != rarest and float(own[i]) > 0.9],
    )
    assert 0 < expected[0] < 1
    assert [float(trainer.callback_metrics[name]) for name in (MINORITY, EASY)] == pytest.approx(expected, rel=1e-4)


def test_labels_count_one_by_one():
    x, _ = gaussians(600, 10)
    y = torch.stack([torch.arange(600) % 10 == 0, torch.arange(600) % 10 > 1], dim=1).float()  # the second is frequent
    loss = SigmoidFocalLoss(gamma=0.5)
    module = ImbalancedClassifier(mlp(2), loss, task="multilabel", num_classes=2, optimizer=adam)
    spy = Snapshot(step=11)
    trainer = run_fit(module, DataLoader(TensorDataset(x, y), 100), GradientShareMonitor(12), spy, max_steps=12)
    x, y = spy.batch
    logits = spy.network(x).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, y), logits)
    size, own = gradient.abs(), torch.where(y == 1, logits.sigmoid(), 1 - logits.sigmoid())
    rare = torch.stack([y[:, 0] == 1, y[:, 1] == 0], dim=1)
    easy = ~rare & (own > 0.9)
    assert easy.any()
    assert float(trainer.callback_metrics[MINORITY]) == pytest.approx(float(size[rare].sum() / size.sum()), rel=1e-4)
    assert float(trainer.callback_metrics[EASY]) == pytest.approx(float(size[easy].sum() / size.sum()), rel=1e-4)


class Ensemble(nn.Module):
    """Three linear members."""

    num_members = 3

    def __init__(self, outputs: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.members = nn.ModuleList(nn.Linear(4, outputs) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(4 * x) for member in self.members], dim=1)


@pytest.mark.parametrize("outputs", [1, 2])
def test_members_count_as_rows(outputs):
    loss = nn.BCEWithLogitsLoss() if outputs == 1 else nn.CrossEntropyLoss()
    module = ImbalancedClassifier(Ensemble(outputs), loss, task="binary", optimizer=adam)
    spy = Snapshot(step=2)
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=100)
    trainer = run_fit(module, loader, GradientShareMonitor(3), WeightGuard(every_n_steps=1), spy, max_steps=4)
    x, y = spy.batch
    logits = spy.network(x).detach()
    y = y[:, None].expand(100, 3).flatten()
    if outputs == 1:
        logits, target = logits.flatten(), y.double()
        own = torch.where(y == 1, logits.sigmoid(), 1 - logits.sigmoid())
    else:
        logits, target = logits.flatten(0, 1), y
        own = logits.softmax(1)[torch.arange(300), y]
    expected = reference(logits, loss, target, [lambda i: y[i] == 1, lambda i: y[i] == 0 and float(own[i]) > 0.9])
    assert expected[1] > 0
    assert [float(trainer.callback_metrics[name]) for name in (MINORITY, EASY)] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_measuring_changes_no_weight_and_no_random_state(dropout):
    def trained(*callbacks: L.Callback) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        x, y = gaussians(600, 10)
        module = ImbalancedClassifier(
            mlp(2, dropout=dropout),
            FocalLoss(gamma=2.0),
            task="binary",
            resampler=BatchOversampler(SMOTE(random_state=0), target_ratio=0.5),
        )
        with torch.random.fork_rng():
            torch.manual_seed(7)
            loader = DataLoader(TensorDataset(x, y), batch_size=100, shuffle=True)
            run_fit(module, loader, *callbacks, max_steps=12)
            return module.state_dict(), torch.get_rng_state()

    plain, plain_random = trained()
    watched, watched_random = trained(GradientShareMonitor(1), WeightGuard(gradient_clip_val=None, every_n_steps=1))
    assert torch.equal(plain_random, watched_random)
    for name, value in plain.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, watched[name]), name


def test_focal_loss_takes_the_gradient_from_the_easy_negatives():
    def shares(loss: nn.Module) -> float:
        x, y = gaussians(4000, 100, features=8, shift=1.2)
        generator = torch.Generator().manual_seed(0)
        loader = DataLoader(TensorDataset(x, y), batch_size=500, shuffle=True, generator=generator)
        module = ImbalancedClassifier(mlp(2, 8), loss, task="binary", optimizer=lambda p: torch.optim.Adam(p, lr=0.01))
        trainer = run_fit(module, loader, GradientShareMonitor(50), max_steps=50)
        return float(trainer.callback_metrics[EASY])

    easy, focal_easy = shares(nn.CrossEntropyLoss()), shares(FocalLoss(gamma=2.0))
    assert easy > 0.25
    assert focal_easy < 0.1


def test_shares_reach_the_log_at_their_own_steps(tmp_path):
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=100)
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    logger = CSVLogger(tmp_path, name="log")
    run_fit(module, loader, GradientShareMonitor(4), max_steps=13, logger=logger, log_every_n_steps=6)
    with open(tmp_path / "log/version_0/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row[MINORITY]] == [3, 7, 11]
    assert [int(row["step"]) for row in rows if row["train/loss"]] == [5, 11]
    assert all(0 <= float(row[EASY]) <= 1 for row in rows if row[EASY])


class Dicts(Dataset):
    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.targets = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[i], "y": self.targets[i]}


def test_dictionaries_are_batches_too_and_no_hook_stays():
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    loader = DataLoader(Dicts(*gaussians(600, 10)), batch_size=100)
    trainer = run_fit(module, loader, GradientShareMonitor(1), WeightGuard(every_n_steps=1))
    assert {MINORITY, EASY} <= set(trainer.callback_metrics)
    assert not module.network._forward_hooks


class Fails(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no loss today")


@pytest.mark.filterwarnings("ignore:Fails has no known link:UserWarning")
def test_no_hook_stays_after_a_failure():
    module = ImbalancedClassifier(nn.Linear(4, 2), Fails(), task="binary", class_counts=[540, 60])
    with pytest.raises(RuntimeError, match="no loss today"):
        run_fit(module, Batches(gaussians(60, 10)), GradientShareMonitor(1), WeightGuard(every_n_steps=1))
    assert not module.network._forward_hooks


def test_a_batch_without_gradient_gives_no_value():
    module = ImbalancedClassifier(
        nn.Linear(4, 2), FocalLoss(gamma=1.0), task="binary", class_counts=[540, 60], optimizer=adam
    )
    x, y = gaussians(60, 10)
    trainer = run_fit(module, Batches(*[(x, torch.full_like(y, -100))] * 3), GradientShareMonitor(1), max_steps=3)
    assert MINORITY not in trainer.callback_metrics


@pytest.mark.filterwarnings("ignore:Probabilities will not be corrected:UserWarning")
def test_a_share_needs_the_class_counts():
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    with pytest.raises(ValueError, match="needs the class counts"):
        run_fit(module, Batches(*[gaussians(60, 10)] * 3), GradientShareMonitor(1))
    with pytest.raises(ValueError, match="`every_n_steps` must be >= 1"):
        GradientShareMonitor(0)


# Weight guard


HEAVY = torch.tensor([1.0, 700.0])
HEAVY_LOSSES = {
    "class weighted": lambda: (ClassWeightedCrossEntropyLoss(HEAVY), 2),
    "torch": lambda: (nn.CrossEntropyLoss(weight=HEAVY), 2),
    "torch bce": lambda: (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(700.0)), 1),
    "class weighted bce": lambda: (ClassWeightedBCEWithLogitsLoss(pos_weight=torch.tensor(700.0)), 1),
    "focal": lambda: (FocalLoss(HEAVY, gamma=0.0), 2),
    "sigmoid focal": lambda: (SigmoidFocalLoss(gamma=0.0, pos_weight=torch.tensor([700.0])), 1),
    "deferred": lambda: (DeferredReweighting(ClassWeightedCrossEntropyLoss(HEAVY), start_epoch=0), 2),
}


@pytest.mark.parametrize("name", HEAVY_LOSSES)
def test_a_heavy_weight_is_named_and_capped_and_probabilities_stay_right(name):
    y = (torch.arange(400) % 8 == 0).long()
    loader = DataLoader(TensorDataset(torch.zeros(400, 3), y), batch_size=400)
    loss, outputs = HEAVY_LOSSES[name]()
    module = ImbalancedClassifier(nn.Linear(3, outputs), loss, task="binary", optimizer=adam)
    with pytest.warns(UserWarning, match=r"The (weight of class 1|pos_weight.*) is 700: capped at max_weight=20"):
        run_fit(module, loader, WeightGuard(20.0), max_steps=60)
    buffers = [value for path, value in loss.named_buffers() if path.endswith("weight")]
    assert buffers
    assert all(float(value.max()) == 20.0 for value in buffers)
    raw = module(torch.zeros(1, 3))
    raw = raw.softmax(1)[0, 1] if outputs == 2 else raw.sigmoid()[0, 0]
    assert raw.item() == pytest.approx(20 / (20 + 7), rel=0.02)  # the cap is in force
    assert module.probabilities(module(torch.zeros(1, 3))).item() == pytest.approx(0.125, rel=0.03)
    assert HEAVY.tolist() == [1.0, 700.0]  # the caller's


def test_prediction_with_the_guard_undoes_the_capped_weights():
    x, _ = gaussians(200, 8)
    module = ImbalancedClassifier(
        nn.Linear(4, 2), ClassWeightedCrossEntropyLoss(HEAVY), task="binary", class_counts=[175, 25]
    )
    module.prior = module.train_prior = torch.tensor([0.875, 0.125], dtype=torch.float64)
    with quiet_lightning():
        trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[WeightGuard(20.0)])
        with pytest.warns(UserWarning, match="capped"):
            predicted = trainer.predict(module, DataLoader(x, batch_size=100))
    z = module(x).detach() - torch.tensor([1.0, 20.0]).log()
    torch.testing.assert_close(torch.cat(predicted), z.softmax(1))


def test_weights_below_the_cap_stay_and_nothing_is_said():
    loss = DeferredReweighting(LDAMLoss([540, 60], weight=torch.tensor([0.5, 5.0])), start_epoch=2)
    module = ImbalancedClassifier(nn.Linear(4, 2), loss, task="binary")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*has no known link.*")
        run_fit(module, DataLoader(TensorDataset(*gaussians(600, 10)), 100), WeightGuard(5.0, every_n_steps=1))
    assert loss.full_weight.tolist() == [0.5, 5.0]
    heavy = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(HEAVY), task="binary")
    run_fit(heavy, DataLoader(TensorDataset(*gaussians(600, 10)), 100), WeightGuard(None))
    assert heavy.loss.weight.tolist() == HEAVY.tolist()


def test_every_heavy_class_is_named_once_also_of_labels():
    pos_weight = torch.tensor([1.0, 300.0, 2.0, 200.0])
    module = ImbalancedClassifier(
        nn.Linear(4, 4),
        DeferredReweighting(nn.BCEWithLogitsLoss(pos_weight=pos_weight), start_epoch=0),
        task="multilabel",
        class_counts=[[9, 1]] * 4,
    )
    text = "The pos_weight of label 1 is 300, The pos_weight of label 3 is 200: capped at max_weight=100."
    x, y = gaussians(100, 10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_fit(module, DataLoader(TensorDataset(x, y[:, None].expand(-1, 4).float()), 50), WeightGuard())
    assert [str(warning.message) for warning in caught if "capped" in str(warning.message)] == [text]


def test_the_gradient_is_clipped_unless_the_trainer_does():
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary")
    loader = DataLoader(TensorDataset(*gaussians(600, 10)), batch_size=100)
    assert run_fit(module, loader, WeightGuard()).gradient_clip_val == 1.0
    assert run_fit(module, loader, WeightGuard(), gradient_clip_val=0.5).gradient_clip_val == 0.5
    assert run_fit(module, loader, WeightGuard(gradient_clip_val=None)).gradient_clip_val is None


def dead(seed: int, *callbacks: L.Callback) -> bool:
    """Train with SGD under unnormalised weights that kill the ReLUs; return whether the logits are constant."""
    x, y = gaussians(2000, 100, features=8, shift=2.0)
    loss = ClassWeightedCrossEntropyLoss(torch.tensor([1.0, 1000.0]), normalizer="count")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    module = ImbalancedClassifier(
        network, loss, task="binary", optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)
    )
    run_fit(module, DataLoader(TensorDataset(x, y), batch_size=200), *callbacks, max_steps=60)
    return bool(module(x).std(0).max() < 1e-4)


def test_dead_logits_are_reported_and_prevented():
    for seed in (0, 3):
        with pytest.warns(UserWarning, match=r"same logits at 3 looks in a row, up to step \d+: it no longer depends"):
            assert dead(seed, WeightGuard(None, None, every_n_steps=5))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not dead(seed, WeightGuard(None, every_n_steps=5))  # the clipped gradient alone is enough


def test_dead_logits_need_several_looks_and_are_reported_once():
    module = ImbalancedClassifier(nn.Linear(4, 2), nn.CrossEntropyLoss(), task="binary", class_counts=[9, 1])
    constant = [(torch.zeros(10, 4), torch.zeros(10).long())]

    def said(batches: Any) -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run_fit(module, Batches(*batches), WeightGuard(every_n_steps=1, patience=3), max_steps=len(batches))
        return sum("same logits" in str(warning.message) for warning in caught)

    alive = [gaussians(10, 5)]
    assert said(constant * 2 + alive + constant * 2) == 0
    assert said(constant * 9) == 1
    assert said([(torch.zeros(1, 4), torch.zeros(1).long())] * 9) == 0  # one row says nothing


@pytest.mark.parametrize("argument", ["max_weight", "gradient_clip_val"])
def test_guard_arguments(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be > 0"):
        WeightGuard(**{argument: 0.0})
    with pytest.raises(ValueError, match="`patience` must be >= 1"):
        WeightGuard(patience=0)
