"""ImbalancedClassifier: a LightningModule that trains any network and reports probabilities that are right."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import BinaryAUROC, MulticlassAUROC, MultilabelAUROC

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch._random import generator_for, seed_from
from imbalance_torch.class_stats import class_counts as count_classes
from imbalance_torch.decision import Calibration, choose_calibration
from imbalance_torch.losses import AsymmetricLoss
from imbalance_torch.metrics import AveragePrecision, MulticlassAveragePrecision, MultilabelAveragePrecision
from imbalance_torch.priors import init_prior_bias_
from imbalance_torch.resampling import BatchOversampler
from imbalance_torch.samplers import labels_of
from imbalance_torch.training._loaders import (
    fed_shares,
    feeder_of,
    own_rows_of_batch,
    tensors_of,
    training_tensors,
    unpack,
)
from imbalance_torch.training._posterior import initial_prior, log_posterior, overcorrected, own_form
from imbalance_torch.training._registry import on_encoded_rows

Task = Literal["binary", "multiclass", "multilabel"]
_HEADS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_KNOWN_LINK_ROWS, _UNKNOWN_LINK_ROWS = 50, 10  # rows of each class before a calibration map is considered


class ImbalancedClassifier(L.LightningModule):
    r"""Train a classifier under imbalance with a stock :class:`lightning.Trainer`.

    The loss, the sampler and the resampler each change the class shares that the network sees. Their shift is known:
    with logits z, true shares :math:`\pi`, fed shares s and class weights w the corrected log-posterior is
    ``z + offset - log w - log(s / pi)`` up to a constant (a focal loss maps its logits through its inverse link
    first). It is applied whenever the module validates, tests or predicts, and the output bias starts at the constant
    that is best under the training objective.

    Args:
        network: any module from a batch of inputs to logits: (N, C) for a softmax loss, (N,) or (N, 1) for a binary
            and (N, L) for a multi-label sigmoid loss. Its attribute ``head``, or else its last linear or convolutional
            layer, receives the initial bias. A network with an attribute ``num_members`` = k, such as
            :class:`imbalance_torch.models.TabM`, gives (N, k, ...): the loss is the mean over its members, the
            probability the mean of theirs.
        loss: ``loss(logits, target)``; of this package, or ``nn.CrossEntropyLoss`` / ``nn.BCEWithLogitsLoss``. For any
            other loss probabilities stay uncorrected, and one warning says so.
        task: "binary", "multiclass" or "multilabel".
        num_classes: C, or L for multi-label; 2 for a binary task; read off ``class_counts`` where that is given.
        class_counts: rows of each class in the training data before any sampling, (C,), or (L, 2) with columns
            [without, with] for multi-label. By default the data module's ``class_counts``, else counted from the
            labels of the training loader's data set.
        resampler: a ``BatchOversampler``, applied on the batch's device and only while training. If it is not fitted
            yet, that happens at the start of the training, on the data module's ``interpolated_columns`` where it has
            them and ``columns`` is None.
        optimizer: factory from parameters to an optimizer; default AdamW with learning rate 2e-3, weight decay 1e-4.
        scheduler: factory from that optimizer to a scheduler, stepped every batch.
        metrics: name -> torchmetrics metric on probabilities, logged as ``val/name`` and ``test/name``; default "ap"
            and "auroc" (macro averages beyond binary).

    Batches are ``(x, y)``, ``(x, y, index)`` or a dictionary with the keys "x" and "y", and for training perhaps
    "sample_weight", (N,), which goes to the loss.

    Raises:
        ValueError: an unknown task, no number of classes, or (while evaluating) scores that are not finite.

    Example:
        >>> from imbalance_torch.losses import FocalLoss
        >>> module = ImbalancedClassifier(
        ...     nn.Linear(3, 2), FocalLoss(gamma=2.0), task="binary", class_counts=[970, 30]
        ... )
        >>> module(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """

    calibration: Calibration | None

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        *,
        task: Task,
        num_classes: int | None = None,
        class_counts: Sequence[float] | None = None,
        resampler: BatchOversampler | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.task = check_choice("task", task, ("binary", "multiclass", "multilabel"))
        self.class_counts = None if class_counts is None else torch.as_tensor(class_counts)
        self.num_classes = self._num_classes(num_classes)
        self.resampler = resampler
        self.optimizer = optimizer
        self.scheduler = scheduler
        shape = (self.num_classes, 2) if task == "multilabel" else (self.num_classes,)
        # No buffers: class shares stay float64 on the CPU whatever precision and device the trainer moves the rest to.
        self.prior = self.train_prior = torch.full(shape, torch.nan, dtype=torch.float64)
        self.__dict__["calibration"] = None
        self._draws = {
            "seed": seed_from(getattr(getattr(resampler, "resampler", None), "random_state", None)),
            "batches": 0,
        }
        chosen: dict[str, Metric | MetricCollection] = {**(self._default_metrics() if metrics is None else metrics)}
        collection = MetricCollection(chosen)
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")

    @property
    def num_members(self) -> int:
        """Members of a network that is an ensemble, else 0."""
        return getattr(self.network, "num_members", 0)

    def forward(self, x: Any) -> Tensor:
        """Return the raw logits."""
        return self.network(x)  # type: ignore[no-any-return]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the corrected probabilities: (N,) of class 1 if binary, (N, C) if multi-class, (N, L) if multi-label.

        Before the class shares are known (no training yet) the link of the loss is applied alone.
        """
        return self._positive(self.log_probabilities(logits).exp())

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return the corrected log-probabilities: (N, C) of every class, (N, L) of each label if multi-label."""
        flat = self._flat(logits)
        log_p = self._log_posterior(flat)
        log_p = self._mean_of_members(self._link(flat) if log_p is None else log_p)
        if self.task == "multilabel":
            return log_p
        if log_p.ndim == 1:
            log_p = torch.stack([torch.log1p(-log_p.exp()), log_p], dim=1)
        if self.calibration is None:
            return log_p
        calibrated = self.calibration.to(log_p.device)(_log_odds(log_p)).to(log_p.dtype)
        if self.task == "binary":
            return torch.stack([nn.functional.logsigmoid(-calibrated), nn.functional.logsigmoid(calibrated)], dim=1)
        return calibrated.log_softmax(dim=1)  # type: ignore[no-any-return]

    def calibrate(self, logits: Tensor, target: Tensor) -> Calibration:
        """Choose and fit a calibration map on validation rows; from then on every probability goes through it.

        The closed form undoes shifts of the class shares. What else an objective or a resampler does to the
        probabilities (SMOTE on one-hot columns, a loss without a known link) only data can tell, and a map is taken
        only where it lowers the validation log-loss by a margin: see
        :func:`imbalance_torch.decision.choose_calibration`. Candidates need 50 rows of every class, 10 under a loss
        without a known link, whose probabilities nothing else corrects.

        Args:
            logits: of the network on validation rows with their natural class shares, as `forward` gives them.
            target: class indices, (N,).

        Returns:
            The map, with the reason for it; also the attribute ``calibration``, part of ``state_dict``.

        Raises:
            ValueError: a multi-label task (fit one map per label yourself), or rows that cannot be used.
        """
        if self.task == "multilabel":
            raise ValueError("A multi-label task needs one calibration map per label: use choose_calibration on each.")
        self.__dict__["calibration"] = None
        logits = logits.detach()
        chosen = choose_calibration(
            _log_odds(self.log_probabilities(logits)),
            target,
            min_rows=_UNKNOWN_LINK_ROWS if self._log_posterior(self._flat(logits[:1])) is None else _KNOWN_LINK_ROWS,
        )
        self.__dict__["calibration"] = chosen
        return chosen

    def raw_probabilities(self, logits: Tensor) -> Tensor:
        """Return what softmax or sigmoid makes of the logits, without any correction; shapes as `probabilities`."""
        probabilities = self._mean_of_members(self._link(self._flat(logits))).exp()
        return self._positive(probabilities)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        x, y, weight = unpack(batch)
        logits = self._flat(self(x))
        if self.num_members:
            y = y.repeat_interleave(self.num_members, 0)
            weight = None if weight is None else weight.repeat_interleave(self.num_members, 0)
        y = y.to(logits.dtype) if y.shape == logits.shape else y
        loss: Tensor = self.loss(logits, y) if weight is None else own_form(self.loss)(logits, y, weight)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the loss at the steps that loggers write and at the end of an epoch: a logged value is costly."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.global_step % every == 0 or self.trainer.is_last_batch:
            self.log("train/loss", outputs["loss"])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Add one batch to the validation metrics."""
        self._evaluate(batch, self.val_metrics, self.trainer.val_dataloaders, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Add one batch to the test metrics."""
        self._evaluate(batch, self.test_metrics, self.trainer.test_dataloaders, batch_idx)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the corrected probabilities of one batch, (N, C); (N, L) if multi-label."""
        if isinstance(batch, Mapping):
            batch = batch["x"]
        x = batch[0] if isinstance(batch, list | tuple) else batch
        probabilities = self.probabilities(self(x))
        return torch.stack([1 - probabilities, probabilities], dim=1) if self.task == "binary" else probabilities

    def configure_optimizers(self) -> Any:
        """Build the optimizer and, where given, the scheduler."""
        if self.optimizer is None:
            optimizer: Optimizer = torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=1e-4)
        else:
            optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler(optimizer), "interval": "step"}}

    def on_train_start(self) -> None:
        """Fit the resampler, find the class shares, and start the output bias there unless it was trained before."""
        loader = self.trainer.train_dataloader
        if self.resampler is not None and not self.resampler.is_fitted:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if self.resampler.columns is None and hasattr(data, "encoder"):
                on_encoded_rows(self.resampler, data.encoder)
            self.resampler.fit(*training_tensors(loader))
        self.__dict__["calibration"] = None  # it belongs to the weights that it was fitted on
        untrained = bool(self.prior.isnan().any())
        counts = self._counts(loader)
        if counts is None and untrained:
            warnings.warn(
                "Probabilities will not be corrected for the loss and the sampler: the class counts of the training "
                "data are unknown. Pass `class_counts` to ImbalancedClassifier.",
                stacklevel=1,
            )
        if counts is None:
            return
        prior = counts.to(self.prior) / counts.sum(-1, keepdim=True).to(self.prior)
        fed = fed_shares(loader)
        self.prior = prior
        self._follow(prior if fed is None else fed)
        if untrained:
            self._start_bias()

    def on_train_epoch_start(self) -> None:
        """Tell a loss with a schedule which epoch begins, and follow a sampler whose class shares move."""
        if hasattr(self.loss, "set_epoch"):
            self.loss.set_epoch(self.current_epoch)  # type: ignore[operator]
        feeder = feeder_of(self.trainer.train_dataloader)
        if feeder is not None and not self.prior.isnan().any():
            self._follow(feeder.effective_prior)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the class shares and the calibration: part of ``state_dict``, but never cast or moved."""
        calibration = None if self.calibration is None else self.calibration.to_dict()
        return {"prior": self.prior, "train_prior": self.train_prior, "calibration": calibration}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over the class shares and the calibration of a ``state_dict``."""
        self.prior, self.train_prior = state["prior"].cpu(), state["train_prior"].cpu()
        calibration = state.get("calibration")
        self.__dict__["calibration"] = None if calibration is None else Calibration.from_dict(calibration)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Add synthetic rows to a training batch, drawn from (seed, batch, rank): a resumed run draws the same ones."""
        if self.resampler is None or not self.trainer.training:
            return batch
        x, y, weight = unpack(batch)
        if weight is not None:
            raise ValueError("A batch with `sample_weight` cannot be resampled: synthetic rows have none. Drop one.")
        generator = generator_for(self._draws["seed"], self._draws["batches"], self.global_rank)
        self._draws["batches"] += 1
        return self.resampler(x, y, generator=generator)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save where the stream of synthetic rows stands."""
        checkpoint["resampling"] = self._draws

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the stream of synthetic rows."""
        self._draws = checkpoint["resampling"]

    def _evaluate(self, batch: Any, metrics: MetricCollection, loader: Any, batch_idx: int) -> None:
        x, y, _ = unpack(batch)
        probabilities = self.probabilities(self(x))
        if not torch.isfinite(probabilities).all():
            raise ValueError(
                "The network gave scores that are not finite. Check the inputs for NaN and lower the learning rate."
            )
        if self.trainer.sanity_checking:  # its few rows may be of one class
            return
        rows = own_rows_of_batch(loader, batch_idx)
        metrics.update(probabilities[:rows], y[:rows].long())
        self.log_dict(metrics, prog_bar=True, on_step=False, on_epoch=True)

    def _follow(self, fed: Tensor) -> None:
        pairs = self.task == "multilabel" and fed.ndim == 1  # the frequency of each label
        self.train_prior = (torch.stack([1 - fed, fed], dim=1) if pairs else fed).to(self.prior)
        if self.resampler is not None:
            self.train_prior = self.resampler.effective_prior(self.train_prior).to(self.prior)

    def _start_bias(self) -> None:
        head = getattr(self.network, "head", None)
        if getattr(head, "bias", None) is None:
            layers = [module for module in self.network.modules() if isinstance(module, _HEADS)]
            head = layers[-1] if layers else None
        if head is None or head.bias is None:
            return
        shares = initial_prior(self.loss, head.bias.shape[-1], self.prior, self.train_prior)
        if shares is None:
            warnings.warn(
                f"{type(self.loss).__name__} has no known link to probabilities: they stay uncorrected. "
                "Use a loss of imbalance_torch.losses, or calibrate on validation data.",
                stacklevel=1,
            )
        else:
            self._warn_of_double_correction(shares)
            init_prior_bias_(head, shares)

    def _warn_of_double_correction(self, shares: Tensor) -> None:
        found = overcorrected(self.prior, self.train_prior, shares)
        if found is None or isinstance(self.loss, AsymmetricLoss):  # raises positives by its form, whatever the counts
            return
        index, factor = found
        feeder = feeder_of(self.trainer.train_dataloader) if self.resampler is None else self.resampler
        what = f"class {index} counts {factor:.3g} times as much as the largest class"
        if self.task == "multilabel":
            what = f"the rarer side of label {index} counts {factor:.3g} times as much as the other"
        warnings.warn(
            f"{type(feeder).__name__} and {type(self.loss).__name__} both make up for the class counts of the data: "
            f"{what}. Drop one of the two, or build the loss from the class shares that are fed "
            "(`effective_prior` of the sampler).",
            stacklevel=1,
        )

    def _counts(self, loader: Any) -> Tensor | None:
        if self.class_counts is not None:
            return self.class_counts
        counts = getattr(self.trainer.datamodule, "class_counts", None)  # type: ignore[attr-defined]
        if counts is not None:
            return torch.as_tensor(counts)
        tensors = tensors_of(loader)
        try:
            labels = torch.as_tensor(tensors[1] if tensors else labels_of(loader.dataset))
        except (AttributeError, IndexError, TypeError, ValueError):
            return None
        if self.task == "multilabel":
            positives = (labels > 0).sum(0)
            return torch.stack([len(labels) - positives, positives], dim=1)
        return count_classes(labels, self.num_classes)

    def _num_classes(self, num_classes: int | None) -> int:
        if num_classes is None and self.class_counts is not None:
            num_classes = len(self.class_counts)
        if num_classes is None and self.task == "binary":
            num_classes = 2
        if num_classes is None:
            raise ValueError(f"A {self.task} task needs `num_classes` (or `class_counts`).")
        if self.task == "binary" and num_classes != 2:
            raise ValueError(f"A binary task has 2 classes, got num_classes={num_classes}. Use task='multiclass'.")
        return check_int("num_classes", num_classes, minimum=1)

    def _flat(self, logits: Tensor) -> Tensor:
        """Make every member's logits rows of their own, (N, 1) logits of two classes (N,), and half precision float."""
        logits = logits.flatten(0, 1) if self.num_members else logits
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return logits.squeeze(1) if self.task == "binary" and logits.ndim == 2 and logits.shape[1] == 1 else logits

    def _log_posterior(self, flat: Tensor) -> Tensor | None:
        prior, train_prior = self.prior, self.train_prior
        if prior.isnan().any():
            prior = train_prior = torch.full_like(prior, 1 / prior.shape[-1])
        return log_posterior(self.loss, flat, prior, train_prior)

    def _link(self, flat: Tensor) -> Tensor:
        softmax = self.task != "multilabel" and flat.ndim > 1
        return flat.log_softmax(dim=1) if softmax else nn.functional.logsigmoid(flat)

    def _mean_of_members(self, log_p: Tensor) -> Tensor:
        if not self.num_members:
            return log_p
        members = log_p.reshape(-1, self.num_members, *log_p.shape[1:])
        return members.logsumexp(1) - math.log(self.num_members)

    def _positive(self, probabilities: Tensor) -> Tensor:
        return probabilities[:, 1] if self.task == "binary" and probabilities.ndim > 1 else probabilities

    def _default_metrics(self) -> dict[str, Metric]:
        if self.task == "binary":
            return {"ap": AveragePrecision(), "auroc": BinaryAUROC()}
        if self.task == "multiclass":
            return {"ap": MulticlassAveragePrecision(self.num_classes), "auroc": MulticlassAUROC(self.num_classes)}
        return {"ap": MultilabelAveragePrecision(self.num_classes), "auroc": MultilabelAUROC(self.num_classes)}


def _log_odds(log_p: Tensor) -> Tensor:
    """Return the log-odds (N,) of two classes, the log-probabilities (N, C) of more."""
    return log_p[:, 1] - log_p[:, 0] if log_p.shape[1] == 2 else log_p
