"""The layout and the dependency direction of docs/architecture.md, read off the source. Each rule is shown to bite."""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import imbalance_torch

PACKAGE = Path(imbalance_torch.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A layer may import from the lines above its own, never from its own line or from below.
LINES = [
    ["_checks"],
    ["_reduction", "_random", "_threads"],
    ["class_stats"],
    ["plan", "priors", "neighbors"],
    ["losses", "resampling", "samplers", "models", "metrics", "decision"],
    ["data"],
    ["training"],
    ["evaluation", "integrations", "_doctor"],
    ["cli"],
    ["__main__"],
]
RANK = {layer: rank for rank, line in enumerate(LINES) for layer in line}
# The front door resolves names of every layer at first use; the version report stands outside the order.
OUTSIDE = {"__init__", "_versions"}
MAY_NEED_EXTRAS = {"training", "evaluation", "metrics", "integrations"}
CORE_PACKAGES = {"torch", "numpy", "imbalance_torch"}

# The trainer seeds weights and dropout inside `torch.random.fork_rng`, and its checkpoints carry that forked state.
RANDOM_EXCEPTIONS = {
    ("training/_fitting.py", "torch.manual_seed"),
    ("training/_callbacks.py", "torch.get_rng_state"),
    ("training/_callbacks.py", "torch.set_rng_state"),
    ("training/_callbacks.py", "torch.cuda.get_rng_state_all"),
    ("training/_callbacks.py", "torch.cuda.set_rng_state_all"),
}
NUMPY_RANDOM_TYPES = {"Generator", "BitGenerator", "PCG64", "Philox", "SeedSequence"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "multinomial", "normal", "bernoulli", "poisson"}
TENSOR_DRAWS = {"uniform_", "normal_", "random_", "exponential_", "bernoulli_", "geometric_", "cauchy_", "multinomial"}


def relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def layer_of(name: str) -> str:
    """Return the layer of "losses/_focal.py" or "cli.py"."""
    return name.split("/")[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def at_module_level(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that run on import: outside functions and outside `if TYPE_CHECKING`."""
    reached: set[ast.AST] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        reached.add(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(node):
            continue
        todo += ast.iter_child_nodes(node)
    return reached


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported_layers(module: str, names: list[str]) -> list[str]:
    """Return the layers that one import statement touches; "" for a name taken from the front door."""
    parts = module.split(".")
    if parts[0] != "imbalance_torch":
        return []
    if len(parts) > 1:
        return [parts[1]]
    return [name if name in RANK else "" for name in names if name != "__version__"]


def direction_breaches(name: str, source: str) -> list[str]:
    layer, tree, found = layer_of(name), ast.parse(source), []
    if layer in OUTSIDE:
        return []
    for node, module, names in imports(tree):
        if module.startswith("."):
            found.append(f"{name}:{node.lineno} imports relatively")
        for target in imported_layers(module, names):
            if target == layer:
                continue
            if target not in RANK or RANK[target] >= RANK[layer]:
                found.append(f"{name}:{node.lineno} imports {module} {names}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "imbalance_torch":
            if node.attr != "__version__":
                found.append(f"{name}:{node.lineno} uses imbalance_torch.{node.attr}")
    return found


def extra_breaches(name: str, source: str) -> list[str]:
    layer, tree, found = layer_of(name), ast.parse(source), []
    if layer in MAY_NEED_EXTRAS:
        return []
    allowed = {"imbalance_torch"} if layer in ("cli", "__main__") else CORE_PACKAGES
    on_import = at_module_level(tree)
    typing_only = {inner for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    for node, module, _ in imports(tree):
        top = module.split(".")[0]
        if node in typing_only or top in sys.stdlib_module_names or top in allowed:
            continue
        how = "at module level" if node in on_import else "past `_checks.require`"
        found.append(f"{name}:{node.lineno} imports {module} {how}")
    return found


def randomness_breaches(name: str, source: str) -> list[str]:
    tree, found = ast.parse(source), []
    forked = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "torch.random.fork_rng" in ast.unparse(node.items[0])
        for inner in ast.walk(node)
    }
    for node, module, names in imports(tree):
        if module == "random" or module.startswith("numpy.random") or (module == "numpy" and "random" in names):
            found.append(f"{name}:{node.lineno} imports {module}")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        seeded = any(keyword.arg == "generator" for keyword in node.keywords)
        is_global = (
            ("seed" in last and called.startswith("torch."))
            or "rng_state" in last
            or "seed_everything" in called
            or (called.startswith(("np.random.", "numpy.random.")) and last not in NUMPY_RANDOM_TYPES)
            or (called.startswith("torch.") and last in TORCH_DRAWS and not seeded)
            or (isinstance(node.func, ast.Attribute) and last in TENSOR_DRAWS and not seeded)
        )
        excepted = (name, called) in RANDOM_EXCEPTIONS and (called != "torch.manual_seed" or node in forked)
        if is_global and not excepted:
            found.append(f"{name}:{node.lineno} calls {called}")
    return found


def code_lines(source: str) -> int:
    """Count the lines that hold code: no blank lines, comments or docstrings."""
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in quiet:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def length_breaches(name: str, source: str) -> list[str]:
    total, code = len(source.splitlines()), code_lines(source)
    return [f"{name}: {code} lines of code, {total} in all"] if code > 300 or total > 450 else []


RULES = [direction_breaches, extra_breaches, randomness_breaches, length_breaches]


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule):
    assert len(FILES) > 50
    assert [breach for file in FILES for breach in rule(relative(file), file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (direction_breaches, "losses/_x.py", "from imbalance_torch.data import Schema"),
        (direction_breaches, "losses/_x.py", "from imbalance_torch.samplers._base import AbstractSampler"),
        (direction_breaches, "losses/_x.py", "def f():\n    import imbalance_torch.training"),
        (direction_breaches, "losses/_x.py", "from imbalance_torch import samplers"),
        (direction_breaches, "losses/_x.py", "from imbalance_torch import FocalLoss"),
        (direction_breaches, "losses/_x.py", "from . import functional"),
        (direction_breaches, "losses/_x.py", "import imbalance_torch\nimbalance_torch.compare()"),
        (direction_breaches, "integrations/x.py", "from imbalance_torch.evaluation import compare"),
        (direction_breaches, "_random.py", "from imbalance_torch._reduction import reduce_loss"),
        (direction_breaches, "losses/_x.py", "from imbalance_torch.unheard_of import x"),
        (extra_breaches, "losses/_x.py", "import pandas"),
        (extra_breaches, "data/_x.py", "def f():\n    import pandas"),
        (extra_breaches, "samplers/_x.py", "from sklearn.metrics import roc_auc_score"),
        (extra_breaches, "cli.py", "import torch"),
        (randomness_breaches, "losses/_x.py", "import random"),
        (randomness_breaches, "losses/_x.py", "import numpy as np\nnp.random.seed(0)"),
        (randomness_breaches, "losses/_x.py", "import numpy as np\nnp.random.rand(3)"),
        (randomness_breaches, "losses/_x.py", "import torch\ntorch.manual_seed(0)"),
        (randomness_breaches, "training/_fitting.py", "import torch\ntorch.manual_seed(0)"),
        (randomness_breaches, "samplers/_x.py", "import torch\ntorch.randperm(3)"),
        (randomness_breaches, "samplers/_x.py", "import torch\ntorch.empty(3).uniform_()"),
        (randomness_breaches, "samplers/_x.py", "import lightning\nlightning.seed_everything(0)"),
        (length_breaches, "losses/_x.py", "x = 1\n" * 301),
        (length_breaches, "losses/_x.py", '"""' + "text\n" * 451 + '"""'),
    ],
)
def test_the_rule_can_fail(rule, name, source):
    assert rule(name, source)


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (direction_breaches, "evaluation/x.py", "from imbalance_torch.losses import FocalLoss"),
        (direction_breaches, "training/x.py", "import imbalance_torch\nprint(imbalance_torch.__version__)"),
        (extra_breaches, "data/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas"),
        (randomness_breaches, "samplers/x.py", "import torch\ntorch.randperm(3, generator=torch.Generator())"),
        (length_breaches, "losses/x.py", '"""' + "text\n" * 200 + '"""\n' + "x = 1\n" * 200),
    ],
)
def test_the_rule_lets_sound_code_pass(rule, name, source):
    assert rule(name, source) == []


def test_every_layer_has_its_place():
    missing = [
        layer
        for layer in [*RANK, *OUTSIDE, "losses/functional", "data/datasets"]
        if not (PACKAGE / f"{layer}.py").is_file() and not (PACKAGE / layer / "__init__.py").is_file()
    ]
    assert missing == []


def test_no_module_stands_outside_the_layers():
    assert {layer_of(relative(file)) for file in FILES} == {*RANK, *OUTSIDE}


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()
