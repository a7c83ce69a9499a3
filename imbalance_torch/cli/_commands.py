"""What every command does with its flags."""

from __future__ import annotations

import argparse
import json
import shlex
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imbalance_torch.training import DataOptions, Settings


def _data_options(namespace: argparse.Namespace) -> DataOptions:
    from imbalance_torch.training import DataOptions

    names = ("target", "time", "group", "drop", "positive", "split", "seed", "audit")
    chosen = {name: getattr(namespace, name) for name in names}
    return DataOptions(namespace.file, **chosen, roles=dict(namespace.role))


def _settings(namespace: argparse.Namespace) -> Settings:
    from imbalance_torch.training import Settings, Technique

    names = (
        "network",
        "max_steps",
        "batch_size",
        "learning_rate",
        "seed",
        "device",
        "checkpoint_every",
        "early_stopping",
    )
    chosen = {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
    if hasattr(namespace, "loss"):
        chosen["technique"] = Technique(
            namespace.loss,
            namespace.sampler,
            namespace.resampler,
            gamma=namespace.gamma,
            weight_power=namespace.weight_power,
            ratio=namespace.ratio,
        )
    return Settings(**chosen)


def demo(namespace: argparse.Namespace) -> None:
    """Compare the techniques on the embedded flights."""
    from imbalance_torch.training import DataOptions, Settings

    plan = {"budgets": [150], "num_repeats": 1} if namespace.fast else {"budgets": [300, 1500], "num_repeats": 3}
    _compare_into(
        DataOptions("nyc_flights"),
        namespace,
        settings=Settings(network="mlp", seed=namespace.seed),
        splits="fixed",
        **plan,
    )


def inspect(namespace: argparse.Namespace) -> None:
    """Print roles, class counts, the split and the leak audit of a table."""
    from imbalance_torch.evaluation._inspect import inspect, inspection_text

    report = inspect(_data_options(namespace).build())
    print(json.dumps(report) if namespace.json else inspection_text(report))


def advise(namespace: argparse.Namespace) -> None:
    """Print which techniques are worth a try on a table and why, and write the recipe of the first."""
    from imbalance_torch.evaluation import ESTIMATORS, advise, race
    from imbalance_torch.evaluation._advice import advice_text
    from imbalance_torch.training._run import write_text

    data, settings = _data_options(namespace).build(), _settings(namespace)
    advice = advise(data, metric=namespace.metric, fixed_threshold=namespace.fixed_threshold, model=namespace.model)
    recipe = next(name for name in advice.techniques if name not in ESTIMATORS)
    record, text = advice.to_dict(), advice_text(advice)
    if namespace.race and len(advice.techniques) > 1:
        found = race(
            data,
            advice.techniques,
            settings=settings,
            budgets=namespace.budgets,
            num_repeats=namespace.num_repeats,
            metric=advice.goal.figure,
        )
        record, text = {**record, "race": found.to_dict()}, f"{text}\n\nrace: {found.reason}"
        if found.chosen not in ESTIMATORS:
            recipe = found.chosen
        elif namespace.output is not None:
            text += f"; {found.chosen} has no recipe, the one written is that of the first network"
    elif namespace.race:
        text += "\n\nrace: no technique is advised beside the baseline, so nothing was raced"
    record["recipe"] = None if namespace.output is None else recipe
    print(json.dumps(record) if namespace.json else text)
    if namespace.output is not None:
        settings = replace(settings, max_steps=namespace.budgets[-1])
        write_text(Path(namespace.output), advice.recipe(recipe, settings=settings))
        command = f"imbalance-torch fit --config {shlex.quote(namespace.output)}"
        _next(f"recipe of {recipe}; train it with: {command}", namespace.json)


def train(namespace: argparse.Namespace) -> None:
    """Train a detector into a run directory and print its figures."""
    from imbalance_torch.evaluation._inspect import data_summary
    from imbalance_torch.training import train

    if not namespace.json:  # the summary has it
        warnings.filterwarnings("ignore", message="Leak audit")
    figures = train(
        _data_options(namespace),
        _settings(namespace),
        namespace.output,
        threshold=namespace.threshold,
        started=None if namespace.json else lambda data: print(data_summary(data), flush=True),
    )
    _print_figures(figures, namespace.json)
    _next(
        f"model {namespace.output}/model; score rows with: "
        f"imbalance-torch score {namespace.output}/model FILE -o scored.parquet",
        namespace.json,
    )


def resume(namespace: argparse.Namespace) -> None:
    """Go on with an interrupted run and print its figures."""
    from imbalance_torch.training import resume

    _print_figures(resume(namespace.run, threshold=namespace.threshold), namespace.json)
    _next(f"model {namespace.run}/model", namespace.json)


def evaluate(namespace: argparse.Namespace) -> None:
    """Print the figures of a model on a labelled file."""
    from imbalance_torch.training import evaluate

    _print_figures(evaluate(namespace.model, namespace.file, device=namespace.device), namespace.json)


def score(namespace: argparse.Namespace) -> None:
    """Write score, probability and decision of each row."""
    from imbalance_torch.training import score

    rows = score(namespace.model, namespace.file, namespace.output, keep=namespace.keep, device=namespace.device)
    print(
        json.dumps({"rows": rows, "output": namespace.output})
        if namespace.json
        else f"{rows} rows -> {namespace.output}"
    )


def export(namespace: argparse.Namespace) -> None:
    """Write a model as one ONNX or PyTorch file."""
    from imbalance_torch.training import export

    file = str(export(namespace.model, namespace.output, to=namespace.to))
    print(json.dumps({"output": file}) if namespace.json else file)


def resample(namespace: argparse.Namespace) -> None:
    """Write a table with more rows of rare classes, or fewer of the others."""
    from imbalance_torch.data import resample_table

    report = resample_table(
        namespace.file,
        namespace.output,
        namespace.target,
        method=namespace.method,
        sampling_strategy=namespace.strategy if namespace.ratio is None else namespace.ratio,
        k_neighbors=namespace.k_neighbors,
        provenance=namespace.provenance,
        device=namespace.device,
        seed=namespace.seed,
    )
    if namespace.json:
        print(json.dumps(report))
        return
    print(f"{report['rows']} rows -> {report['output']}")
    for label, before in report["before"].items():
        print(f"{namespace.target} = {label}: {before} -> {report['after'][label]} rows")


def compare(namespace: argparse.Namespace) -> None:
    """Fit techniques on the same splits and print whether one beats the baseline."""
    names = ("budgets", "splits", "metric") + ("techniques",) * (namespace.techniques is not None)
    counts = namespace.num_repeats
    _compare_into(
        _data_options(namespace),
        namespace,
        settings=_settings(namespace),
        num_repeats=counts if len(counts) > 1 else counts[0],
        **{name: getattr(namespace, name) for name in names},
    )


def _compare_into(options: DataOptions, namespace: argparse.Namespace, **keywords: Any) -> None:
    from imbalance_torch.evaluation import as_text, compare_into

    comparison, report = compare_into(namespace.output, options.build(), **keywords)
    if namespace.json:
        print(json.dumps({**comparison.to_dict(), "report": str(report)}))
        return
    print(as_text(comparison))
    print(f"report:      {report}")
    if comparison.recommended in comparison.models:
        print(f"model:       {report.parent / 'model'}")


def report(namespace: argparse.Namespace) -> None:
    """Write the HTML report of a run or a comparison."""
    from imbalance_torch.evaluation import report

    file = str(report(namespace.directory, namespace.output))
    print(json.dumps({"report": file}) if namespace.json else file)


def tune(namespace: argparse.Namespace) -> None:
    """Search technique and learning rate, and print whether it helped."""
    from imbalance_torch.evaluation import tune
    from imbalance_torch.evaluation._tuning import tuning_text

    options, settings = _data_options(namespace), _settings(namespace)
    tuning = tune(options, settings, namespace.output, num_trials=namespace.num_trials, num_seeds=namespace.num_seeds)
    command = _train_command(options, tuning.best)
    if namespace.json:
        print(json.dumps({**tuning.to_dict(), "command": command}))
    else:
        print(tuning_text(tuning))
        print(f"train the best trial with: {command}")


def _train_command(options: DataOptions, settings: Settings) -> str:
    """Return the `train` command line of these data and settings, for a shell."""
    default = type(options)(options.source, split=[0.6, 0.2, 0.2])
    flags = [
        (name, ",".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in options.__dict__.items()
        if name not in ("source", "roles", "audit", "seed") and value != getattr(default, name)
    ]
    flags += [("role", f"{column}={role}") for column, role in options.roles.items()]
    names = ("network", "max_steps", "batch_size", "learning_rate", "device", "seed")
    flags += [(name, getattr(settings, name)) for name in names]
    flags += [(name, value) for name, value in settings.technique.__dict__.items() if value is not None]
    words = [f"--{name.replace('_', '-')}={value}" for name, value in flags]
    words += ["--no-audit"] * (not options.audit)
    return shlex.join(["imbalance-torch", "train", options.source, *words, "-o", "runs/best"])


def doctor(namespace: argparse.Namespace) -> None:
    """Print versions, packages and devices, and whether a small fit works."""
    from imbalance_torch._doctor import examine, report_text

    report = examine()
    print(json.dumps(report) if namespace.json else report_text(report))
    if report["problems"]:
        raise OSError("; ".join(report["problems"]))


def _print_figures(figures: dict[str, float], as_json: bool) -> None:
    print(json.dumps(figures) if as_json else "\n".join(f"{name:24} {value:.4f}" for name, value in figures.items()))


def _next(text: str, as_json: bool) -> None:
    if not as_json:
        print(text)
