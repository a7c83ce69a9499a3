"""The command line: flat flags, nothing heavy imported before a command runs.

Exit codes: 0 done, 2 usage or data error, 3 training diverged, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from imbalance_torch import __version__

if TYPE_CHECKING:
    from imbalance_torch.training import DataOptions, Settings

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: the words after the program's name; default ``sys.argv[1:]``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in LIGHTNING_COMMANDS:
        return _guarded(lambda: _lightning(words), debug="--debug" in words)
    parser = _parser()
    namespace = parser.parse_args(words)
    return _guarded(lambda: namespace.command(namespace), debug=namespace.debug)


def _guarded(command: Callable[[], None], *, debug: bool) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("interrupted. A training run goes on with `imbalance-torch resume DIR`.")
        return 130
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough; what is left in the buffer must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ArithmeticError as error:
        if debug:
            raise
        _complain(str(error))
        return 3
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        _complain(str(error))
        return 2
    return 0


def _complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def _parser() -> _Parser:
    parser = _Parser(prog="imbalance-torch", description="Train, compare and use detectors of rare classes.")
    parser.add_argument("--version", action="version", version=f"imbalance_torch {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> _Parser:
        sub: _Parser = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return sub

    demo = add("demo", _demo, "compare the techniques on the embedded flights, in about two minutes")
    demo.add_argument("-o", "--output", default="runs/demo", help="directory of the report and the model")
    demo.add_argument("--fast", action="store_true", help="a small budget, to see that everything works")
    demo.add_argument("--seed", type=int, default=0, help="seed of weights, batches and dropout")

    inspect = add("inspect", _inspect, "print column roles, class counts, the split and the leak audit of a table")
    _add_data(inspect)

    train = add("train", _train, "train a detector and leave a run directory with a model in it")
    _add_data(train)
    _add_training(train)
    train.add_argument(
        "--loss",
        default="cross_entropy",
        help="cross_entropy, class_weighted, focal, logit_adjusted, balanced_softmax, vs or poly1",
    )
    train.add_argument("--sampler", default=None, help="balanced, rotating_undersampling, progressive or weighted")
    train.add_argument("--resampler", default=None, help="smote, borderline_smote, adasyn or random_oversampling")
    train.add_argument(
        "--threshold",
        default="f1",
        help="chosen on validation rows: f1, balanced_accuracy, cost:FN=10,FP=1, or a number",
    )
    train.add_argument("--checkpoint-every", type=int, default=200, help="steps between two checkpoints")
    train.add_argument("-o", "--output", required=True, help="directory of the run; must be empty or new")

    resume = add("resume", _resume, "go on with an interrupted run, exactly")
    resume.add_argument("run", help="directory that `train -o` named")

    evaluate = add("evaluate", _evaluate, "print the figures of a model on a labelled file")
    evaluate.add_argument("model", help="model directory")
    evaluate.add_argument("file", help="CSV or Parquet file with the target column")

    score = add("score", _score, "write score, probability and decision for each row of a file")
    score.add_argument("model", help="model directory")
    score.add_argument("file", help="CSV or Parquet file of raw rows")
    score.add_argument("-o", "--output", required=True, help="CSV or Parquet file to write")
    score.add_argument("--keep", type=_names, default=[], metavar="COLUMN[,...]", help="columns to copy to the output")

    resample = add("resample", _resample, "write a table with more rows of the rare classes, or fewer of the others")
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
    resample.add_argument("--device", default="auto", help="auto, cpu or cuda")
    resample.add_argument("-o", "--output", required=True, help="CSV or Parquet file to write")

    compare = add("compare", _compare, "train every technique on one split and say whether one helps")
    _add_data(compare)
    _add_training(compare)
    compare.add_argument(
        "--recipes", type=_names, default=None, metavar="NAME[,...]", help="techniques; default all five"
    )
    compare.add_argument("--num-seeds", type=int, default=2, help="fits per technique")
    compare.add_argument("-o", "--output", required=True, help="directory of the report and the model")

    for name in LIGHTNING_COMMANDS:
        commands.add_parser(name, help=f"LightningCLI: {name} --config YAML")
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


def _add_training(parser: _Parser) -> None:
    parser.add_argument("--network", default="mlp", help="mlp")
    parser.add_argument("--max-steps", type=int, default=1500, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, default=512, help="rows in a batch")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak of the schedule")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _role(text: str) -> tuple[str, str]:
    column, _, role = text.rpartition("=")
    if not column:
        raise argparse.ArgumentTypeError(f"expected COLUMN=ROLE such as zip=categorical, got {text!r}")
    return column, role


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as 0.6,0.2,0.2, got {text!r}") from None


def _data_options(namespace: argparse.Namespace) -> DataOptions:
    from imbalance_torch.training import DataOptions

    names = ("target", "time", "group", "drop", "positive", "split", "seed", "audit")
    chosen = {name: getattr(namespace, name) for name in names}
    return DataOptions(namespace.file, **chosen, roles=dict(namespace.role))


def _settings(namespace: argparse.Namespace) -> Settings:
    from imbalance_torch.training import Settings, Technique

    names = ("network", "max_steps", "batch_size", "learning_rate", "seed", "device", "checkpoint_every")
    chosen = {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
    if hasattr(namespace, "loss"):
        chosen["technique"] = Technique(namespace.loss, namespace.sampler, namespace.resampler)
    return Settings(**chosen)


def _demo(namespace: argparse.Namespace) -> None:
    from imbalance_torch.training import DataOptions, Settings

    steps, seeds = (150, 1) if namespace.fast else (1500, 3)
    options = DataOptions("nyc_flights")
    _compare_into(
        options, Settings(max_steps=steps, seed=namespace.seed), None, seeds, namespace.output, namespace.json
    )


def _inspect(namespace: argparse.Namespace) -> None:
    from imbalance_torch.evaluation._inspect import inspect, inspection_text

    report = inspect(_data_options(namespace).build())
    print(json.dumps(report) if namespace.json else inspection_text(report))


def _train(namespace: argparse.Namespace) -> None:
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


def _resume(namespace: argparse.Namespace) -> None:
    from imbalance_torch.training import resume

    _print_figures(resume(namespace.run), namespace.json)
    _next(f"model {namespace.run}/model", namespace.json)


def _evaluate(namespace: argparse.Namespace) -> None:
    from imbalance_torch.training import evaluate

    _print_figures(evaluate(namespace.model, namespace.file), namespace.json)


def _score(namespace: argparse.Namespace) -> None:
    from imbalance_torch.training import score

    rows = score(namespace.model, namespace.file, namespace.output, keep=namespace.keep)
    print(
        json.dumps({"rows": rows, "output": namespace.output})
        if namespace.json
        else f"{rows} rows -> {namespace.output}"
    )


def _resample(namespace: argparse.Namespace) -> None:
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


def _compare(namespace: argparse.Namespace) -> None:
    _compare_into(
        _data_options(namespace),
        _settings(namespace),
        namespace.recipes,
        namespace.num_seeds,
        namespace.output,
        namespace.json,
    )


def _compare_into(
    options: DataOptions, settings: Settings, recipes: list[str] | None, seeds: int, output: str, as_json: bool
) -> None:
    from imbalance_torch.evaluation import as_text, compare_into

    comparison, report = compare_into(output, options.build(), settings=settings, recipes=recipes, num_seeds=seeds)
    if as_json:
        print(json.dumps({**comparison.to_dict(), "report": str(report)}))
    else:
        print(as_text(comparison))
        print(f"report:      {report}")
        print(f"model:       {report.parent / 'model'}")


def _print_figures(figures: dict[str, float], as_json: bool) -> None:
    print(json.dumps(figures) if as_json else "\n".join(f"{name:24} {value:.4f}" for name, value in figures.items()))


def _next(text: str, as_json: bool) -> None:
    if not as_json:
        print(text)


def _lightning(words: list[str]) -> None:
    from imbalance_torch.training.lightning_cli import run

    run([word for word in words if word != "--debug"])


if __name__ == "__main__":
    sys.exit(main())
