"""imbalanced-learn's own tests, read from the installed package, with other classes in the place of its own."""

import contextlib
import copy
import importlib.util
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import imblearn
import imblearn.combine
import imblearn.over_sampling
import imblearn.under_sampling

HOMES = (imblearn.over_sampling, imblearn.under_sampling, imblearn.combine)


@dataclass(frozen=True)
class Case:
    """One test function with one set of arguments."""

    id: str
    function: Callable[..., None]
    arguments: Mapping[str, Any]
    fixtures: Mapping[str, Callable[[], Any]]

    def run(self) -> None:
        values = copy.deepcopy(dict(self.arguments))
        for name in inspect.signature(self.function).parameters:
            if name not in values:
                values[name] = inspect.unwrap(self.fixtures[name])()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # ours say what imbalanced-learn keeps to itself
            for mark in marks(self.function, "filterwarnings"):
                action, _, message = mark.args[0].partition(":")
                warnings.filterwarnings(action, message)
            self.function(**values)


def cases(file: str, replaced: Mapping[str, type]) -> Iterator[Case]:
    """Yield the tests of one file, imported afresh while the ``replaced`` names stand for other classes."""
    path = Path(imblearn.__file__).parent / file
    spec = importlib.util.spec_from_file_location(f"suite_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with contextlib.ExitStack() as stack:
        for home, name in itertools.product(HOMES, replaced):
            if hasattr(home, name):
                stack.enter_context(mock.patch.object(home, name, replaced[name]))
        spec.loader.exec_module(module)
    fixtures = {name: value for name, value in vars(module).items() if type(value).__name__.startswith("Fixture")}
    folder = "combine" if "combine" in file else file.split("/")[0]
    for name, function in vars(module).items():
        if name.startswith("test_"):
            for label, arguments in expanded(function):
                yield Case(f"{folder}/{path.stem}::{name}{label}", function, arguments, fixtures)


def marks(function: Callable[..., None], name: str) -> list[Any]:
    return [mark for mark in getattr(function, "pytestmark", []) if mark.name == name]


def expanded(function: Callable[..., None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every combination of arguments that ``parametrize`` asks for, and a label for it."""
    axes = []
    for mark in marks(function, "parametrize"):
        names = [name.strip() for name in mark.args[0].split(",")]
        rows = list(mark.args[1])
        labels = mark.kwargs.get("ids") or [str(i) for i in range(len(rows))]
        axes.append(
            [
                (label, dict(zip(names, row if len(names) > 1 else [row], strict=True)))
                for label, row in zip(labels, rows, strict=True)
            ]
        )
    for chosen in itertools.product(*axes):
        label = "-".join(label for label, _ in chosen)
        yield f"[{label}]" if label else "", {name: value for _, part in chosen for name, value in part.items()}
