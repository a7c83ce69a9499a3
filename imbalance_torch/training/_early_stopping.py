"""Early stopping and the best checkpoint, whose direction comes from the metric that they watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning as L
from lightning.pytorch import callbacks

from imbalance_torch._checks import check_choice

Mode = Literal["min", "max"]


class EarlyStopping(callbacks.EarlyStopping):
    """Stop when a validation metric no longer improves, in the direction that the metric itself calls better.

    NOTE[DIFF] Lightning's class of this name takes lower as better unless told, and would stop a run whose average
    precision rises.

    Args:
        monitor: what to watch: ``val/`` and the name of one of the module's ``metrics``.
        mode: "min" or "max"; None asks the metric (``higher_is_better``). Needed for what is no metric of the module,
            such as "train/loss".
        **kwargs: those of Lightning's class: ``patience`` (validations without improvement, 3), ``min_delta``,
            ``stopping_threshold``, ...

    Raises:
        ValueError: at the start of the training, without ``mode``: ``monitor`` is no metric of the module (the message
            lists them), or the metric does not say which direction is better.

    Example:
        >>> stop = EarlyStopping("val/ap", patience=5)
        >>> trainer = L.Trainer(callbacks=[stop], logger=False, enable_checkpointing=False)
    """

    def __init__(self, monitor: str = "val/ap", *, mode: Mode | None = None, **kwargs: Any) -> None:
        super().__init__(monitor, mode=mode or "min", **kwargs)
        self._ask_metric = mode is None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take over the metric's direction."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and self._ask_metric:
            self._ask_metric = False
            if _mode_of(pl_module, self.monitor) == "max":
                self.mode = "max"
                self.min_delta, self.best_score = -self.min_delta, -self.best_score


class BestCheckpoint(callbacks.ModelCheckpoint):
    """Keep the checkpoint with the best validation metric, in the direction that the metric itself calls better.

    NOTE[DIFF] Lightning's ``ModelCheckpoint`` takes lower as better unless told, and would keep the worst average
    precision.

    Args:
        dirpath: directory of the checkpoint; None means the trainer's.
        filename: its name without the ending.
        monitor: what to watch: ``val/`` and the name of one of the module's ``metrics``.
        mode: "min" or "max"; None asks the metric (``higher_is_better``). Needed for what is no metric of the module,
            such as "train/loss".
        **kwargs: those of ``ModelCheckpoint``: ``save_last``, ``save_top_k`` (1), ``every_n_train_steps``, ...

    Raises:
        ValueError: at the start of the training, without ``mode``: ``monitor`` is no metric of the module (the message
            lists them), or the metric does not say which direction is better.

    Example:
        >>> best = BestCheckpoint("run/checkpoints", monitor="val/ap")
        >>> trainer = L.Trainer(callbacks=[best], logger=False)
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str = "best",
        monitor: str = "val/ap",
        *,
        mode: Mode | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dirpath, filename, monitor, mode=mode or "min", **kwargs)
        self._ask_metric = mode is None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take over the metric's direction."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and self._ask_metric:
            self.mode = _mode_of(pl_module, str(self.monitor))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state; of a directory that has moved, with its files where they are now.

        NOTE[DIFF] Lightning's class forgets the best score then, and a resumed run keeps a worse checkpoint.
        """
        before, now = str(state_dict["dirpath"]), str(self.dirpath)
        best = {path.replace(before, now, 1): score for path, score in state_dict["best_k_models"].items()}
        if all(Path(path).exists() for path in best):
            names = ("best_model_path", "kth_best_model_path", "last_model_path")
            paths = {name: state_dict[name].replace(before, now, 1) for name in names}
            state_dict = {**state_dict, **paths, "dirpath": now, "best_k_models": best}
        super().load_state_dict(state_dict)


def _mode_of(pl_module: L.LightningModule, monitor: str) -> Mode:
    metrics = dict(getattr(pl_module, "val_metrics", {}).items())
    if not metrics:
        raise ValueError(f"{type(pl_module).__name__} has no `val_metrics` to ask for the direction. Pass `mode`.")
    higher = metrics[check_choice("monitor", monitor, metrics)].higher_is_better
    if higher is None:
        raise ValueError(
            f"`mode` must be 'min' or 'max' for monitor={monitor!r}: {type(metrics[monitor]).__name__} does not say "
            "which is better."
        )
    return "max" if higher else "min"
