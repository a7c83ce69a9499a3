"""The loggers of a run."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning_utilities.core.imports import RequirementCache


def default_loggers(directory: str | Path) -> list[Logger]:
    """Return a CSV logger and, where their packages are installed, one for TensorBoard and one for MLflow.

    All of them write below ``directory`` and nowhere else: ``log/version_0/metrics.csv``, ``tensorboard/version_0/``,
    and ``mlflow.db`` with the directory's name as experiment. Look at them with
    ``tensorboard --logdir DIRECTORY/tensorboard`` and ``mlflow ui --backend-store-uri sqlite:///DIRECTORY/mlflow.db``.

    Args:
        directory: of the run; made where it is missing.

    Returns:
        The loggers, the CSV logger first: ``Trainer(logger=default_loggers("run"))``.

    Notes:
        A resumed run writes to the next version (with MLflow: to another run) and leaves what is there.
        Loggers see the values of a step every ``log_every_n_steps`` steps (50) of the trainer. MLflow gets a database
        since it refuses new file stores; making one takes about a second. ``mlflow-skinny`` alone is not enough.

    Example:
        >>> default_loggers("run")[0].log_dir
        'run/log/version_0'
    """
    directory = Path(directory)
    loggers: list[Logger] = [CSVLogger(directory, name="log")]
    if RequirementCache("tensorboard"):
        loggers.append(TensorBoardLogger(directory, name="tensorboard"))
    if RequirementCache("mlflow>=1.0.0", "mlflow"):
        directory = directory.resolve()
        directory.mkdir(parents=True, exist_ok=True)
        database, artifacts = f"sqlite:///{directory}/mlflow.db", (directory / "mlartifacts").as_uri()
        loggers.append(MLFlowLogger(directory.name, tracking_uri=database, artifact_location=artifacts))
    return loggers
