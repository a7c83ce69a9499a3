"""The flags of every command."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable
from typing import Any, NoReturn

from imbalance_torch import __version__
from imbalance_torch.cli import _commands as commands

LIGHTNING_COMMANDS = ("fit", "validate", "test", "predict")


class _Parser(argparse.ArgumentParser):
    """No abbreviations, and a hint for a mistyped flag or command."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)

    def error(self, message: str) -> NoReturn:
        wrong = re.findall(r"invalid choice: '(.*?)'|(?<=\s)(--?[\w-]+)", message)
        known = self._words()
        hint = ""
        for word in ("".join(pair) for pair in wrong):
            near = [] if word in known else difflib.get_close_matches(word, known, n=1)
            hint = hint or "".join(f" Did you mean {match}?" for match in near)
        self.exit(2, f"error: {message}.{hint}\nSee `{self.prog} --help`.\n")

    def _words(self) -> list[str]:
        words = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action.choices, dict):
                words += [word for name, sub in action.choices.items() for word in (name, *sub._option_string_actions)]
        return words


def build_parser() -> _Parser:
    """Return the parser of every command but those of LightningCLI."""
    parser = _Parser(prog="imbalance-torch", description="Train, compare and use detectors of rare classes.")
    parser.add_argument("--version", action="version", version=f"imbalance_torch {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> _Parser:
        sub: _Parser = subparsers.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    demo = add("demo", commands.demo, "compare the techniques on the embedded flights, in about two minutes")
    demo.add_argument("-o", "--output", default="runs/demo", help="directory of the report and the model")
    demo.add_argument("--fast", action="store_true", help="a small budget, to see that everything works")
    demo.add_argument("--seed", type=int, default=0, help="seed of weights, batches and dropout")

    inspect = add("inspect", commands.inspect, "print roles, class counts, the split and the leak audit of a table")
    _add_data(inspect)

    advise = add("advise", commands.advise, "say which techniques are worth a try on a table, and why")
    _add_data(advise)
    advise.add_argument("--metric", default="ap", help="what counts: ap, auroc, balanced_accuracy or log_loss")
    advise.add_argument(
        "--fixed-threshold", action="store_true", help="decisions are taken at 0.5, or for the likeliest class"
    )
    advise.add_argument(
        "--model", default="network", help="network, deep (trained to zero training error) or trees (gradient boosting)"
    )
    advise.add_argument(
        "--race", action="store_true", help="let the advised techniques race on training and validation rows"
    )
    advise.add_argument(
        "--budgets",
        type=_integers,
        default=[300, 1500],
        metavar="N[,...]",
        help="optimiser steps of the race's rounds; the last is that of the recipe",
    )
    advise.add_argument(
        "--num-repeats", type=int, default=10, help="repeats of the race's final; without --race unused"
    )
    _add_network(advise, "mlp")
    advise.add_argument("-o", "--output", default=None, help="YAML recipe to write, for `fit --config`")

    train = add("train", commands.train, "train a detector and leave a run directory with a model in it")
    _add_data(train)
    _add_training(train, "tabm")
    train.add_argument(
        "--loss",
        default="cross_entropy",
        help="cross_entropy, class_weighted, focal, logit_adjusted, balanced_softmax, vs, ldam, asymmetric or poly1",
    )
    train.add_argument("--sampler", default=None, help="balanced, rotating_undersampling, progressive or weighted")
    train.add_argument(
        "--resampler", default=None, help="smote, borderline_smote, adasyn, smotenc or random_oversampling"
    )
    train.add_argument("--gamma", type=float, default=None, help="of the loss focal; its default is 2")
    train.add_argument(
        "--weight-power", type=float, default=None, help="of the loss class_weighted: 0 is no weights, 1 (default) full"
    )
    train.add_argument(
        "--ratio", type=float, default=0.25, help="minority rows per majority row that sampler or resampler goes to"
    )
    train.add_argument(
        "--threshold",
        default="auto",
        help="chosen on validation rows: auto (f1 for two classes), f1, f2, balanced_accuracy, precision:0.9, "
        "recall:0.8, alerts:20 (a day), cost:FN=10,FP=1, macro_f1 (three classes or more), or a number",
    )
    train.add_argument("--early-stopping", action="store_true", help="stop on the validation AP, keep the best weights")
    train.add_argument("--checkpoint-every", type=int, default=200, help="steps between two checkpoints")
    train.add_argument("-o", "--output", required=True, help="directory of the run; must be empty or new")

    resume = add("resume", commands.resume, "go on with an interrupted run, exactly")
    resume.add_argument("run", help="directory that `train -o` named")
    resume.add_argument("--threshold", default=None, help="another rule than the run began with")

    evaluate = add("evaluate", commands.evaluate, "print the figures of a model on a labelled file")
    evaluate.add_argument("model", help="model directory")
    evaluate.add_argument("file", help="CSV or Parquet file with the target column")
    _add_device(evaluate)

    score = add("score", commands.score, "write score, probability and decision for each row of a file")
    score.add_argument("model", help="model directory")
    score.add_argument("file", help="CSV or Parquet file of raw rows")
    score.add_argument("-o", "--output", required=True, help="CSV or Parquet file to write")
    score.add_argument("--keep", type=_names, default=[], metavar="COLUMN[,...]", help="columns to copy to the output")
    _add_device(score)

    export = add("export", commands.export, "write a model as one ONNX or PyTorch file that needs no imbalance_torch")
    export.add_argument("model", help="model directory")
    export.add_argument("--to", default="onnx", help="onnx or pt2")
    export.add_argument("-o", "--output", default=None, help="file to write; by default beside the model directory")

    resample = add(
        "resample", commands.resample, "write a table with more rows of rare classes, or fewer of the others"
    )
    resample.add_argument("file", help="CSV or Parquet file")
    resample.add_argument("--target", required=True, metavar="COLUMN", help="column of class labels")
    resample.add_argument(
        "--method",
        default="smote",
        help="smote, borderline_smote, adasyn, smotenc, random_oversampling or random_undersampling",
    )
    until = resample.add_mutually_exclusive_group()
    until.add_argument("--ratio", type=float, default=None, help="minority rows per majority row, of two classes")
    until.add_argument(
        "--strategy",
        default="auto",
        help="classes that are resampled: auto, minority, majority, not minority, not majority or all",
    )
    resample.add_argument("--k-neighbors", type=int, default=None, help="neighbours a row can be joined with")
    resample.add_argument(
        "--provenance", action="store_true", help="add the columns is_synthetic, base_row, neighbor_row and gap"
    )
    resample.add_argument("--seed", type=int, default=0, help="seed of everything random")
    _add_device(resample)
    resample.add_argument("-o", "--output", required=True, help="CSV or Parquet file to write")

    compare = add(
        "compare", commands.compare, "fit techniques on the same splits and say whether one beats the baseline"
    )
    _add_data(compare)
    _add_network(compare, "mlp")
    compare.add_argument(
        "--techniques",
        type=_names,
        default=None,
        metavar="NAME[,...]",
        help="recipes (focal, smote, undersample, ...), names joined by + with figures after : (focal:2+smote:0.25), "
        "or models from outside (hist_gradient_boosting, lightgbm, xgboost, ...); by default the five recipes",
    )
    compare.add_argument(
        "--budgets", type=_integers, default=[300, 1500], metavar="N[,...]", help="optimiser steps, short and long"
    )
    compare.add_argument(
        "--num-repeats", type=_integers, default=[10], metavar="N[,...]", help="repeats, of all budgets or of each"
    )
    compare.add_argument("--splits", default="auto", help="auto, random, prequential or fixed")
    compare.add_argument(
        "--metric",
        default="ap",
        help="of the verdicts: ap, auroc, balanced_accuracy, raw_balanced_accuracy (uncorrected, at 0.5), f1 or "
        "neg_log_loss",
    )
    compare.add_argument(
        "-o", "--output", required=True, help="directory of results, report and model; the same command goes on there"
    )

    report = add("report", commands.report, "write the HTML report of a run or a comparison")
    report.add_argument("directory", help="directory that `train` or `compare` wrote")
    report.add_argument("-o", "--output", default=None, help="file to write; by default report.html in the directory")

    tune = add("tune", commands.tune, "search technique and learning rate on validation rows, and say if it helped")
    _add_data(tune)
    _add_training(tune, "mlp")
    tune.add_argument("--num-trials", type=int, default=20, help="trials in total, those of earlier calls included")
    tune.add_argument("--num-seeds", type=int, default=3, help="new seeds for the comparison on test rows at the end")
    tune.add_argument("-o", "--output", required=True, help="directory of the study; the same command goes on with it")

    add("doctor", commands.doctor, "print versions, packages and devices, and whether a small fit works")

    for name in LIGHTNING_COMMANDS:
        subparsers.add_parser(name, help=f"LightningCLI: {name} --config YAML")
    return parser


def _add_data(parser: _Parser) -> None:
    parser.add_argument(
        "file", help="CSV, Parquet, Arrow or NumPy file, a directory or a pattern; nyc_flights for the embedded data"
    )
    parser.add_argument("--target", default=None, metavar="COLUMN", help="target column")
    parser.add_argument("--time", default=None, metavar="COLUMN", help="column that orders the rows: split by time")
    parser.add_argument("--group", default=None, metavar="COLUMN", help="column whose rows stay together in the split")
    parser.add_argument(
        "--role",
        type=_role,
        action="append",
        default=[],
        metavar="COLUMN=ROLE",
        help="numeric, categorical, boolean, datetime, time, group or ignored; may be repeated",
    )
    parser.add_argument("--drop", type=_names, default=[], metavar="COLUMN[,...]", help="columns that are not features")
    parser.add_argument("--positive", default=None, metavar="LABEL", help="positive class of two")
    parser.add_argument("--no-audit", dest="audit", action="store_false", help="do not look for leaks")
    parser.add_argument(
        "--split", type=_numbers, default=[0.6, 0.2, 0.2], metavar="A,B,C", help="train,val,test shares"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")


def _add_training(parser: _Parser, network: str) -> None:
    _add_network(parser, network)
    parser.add_argument("--max-steps", type=int, default=1500, help="optimiser steps")


def _add_network(parser: _Parser, network: str) -> None:
    parser.add_argument("--network", default=network, help="tabm, mlp (the fast form) or resnet")
    parser.add_argument("--batch-size", type=int, default=512, help="rows in a batch")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak of the schedule")
    _add_device(parser)


def _add_device(parser: _Parser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _role(text: str) -> tuple[str, str]:
    column, _, role = text.rpartition("=")
    if not column:
        raise argparse.ArgumentTypeError(f"expected COLUMN=ROLE such as zip=categorical, got {text!r}")
    return column, role


def _integers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 300,1500, got {text!r}") from None


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 0.6,0.2,0.2, got {text!r}") from None
