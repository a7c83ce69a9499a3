"""Every public name resolves, is documented, and stands in the API pages; the front door lists exactly its names."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import imbalance_torch

PAGES = Path(__file__).parents[1] / "docs" / "api"
SUBPACKAGES = [
    *(
        f"imbalance_torch.{module.name}"
        for module in pkgutil.iter_modules(imbalance_torch.__path__)
        if module.ispkg and module.name != "integrations"  # holds nothing itself
    ),
    "imbalance_torch.data.datasets",
    "imbalance_torch.integrations.sklearn",
    "imbalance_torch.losses.functional",
]
PLAIN_MODULES = {  # modules without __all__: the names that users rely on
    "imbalance_torch.class_stats": ["class_counts", "class_weights", "describe_weights", "sample_weights"],
    "imbalance_torch.priors": ["adjust_logits", "init_prior_bias_"],
    "imbalance_torch.plan": ["largest_remainder", "resolve_over_sampling", "resolve_under_sampling"],
}
TOP_LEVEL = set(
    """
    class_counts class_weights describe_weights sample_weights adjust_logits init_prior_bias_ knn show_versions
    FocalLoss SigmoidFocalLoss ClassWeightedCrossEntropyLoss SMOTE BatchOversampler
    ClassBalancedSampler RotatingUnderSampler ShuffledSampler labels_of make_loader
    Detector ImbalancedClassifier TabularDataModule advise compare losses resampling samplers
    """.split()
)


def public_names():
    for module in SUBPACKAGES:
        yield from ((module, name) for name in importlib.import_module(module).__all__)
    for module, names in PLAIN_MODULES.items():
        yield from ((module, name) for name in names)


NAMES = [(m, n) for m, n in public_names() if not inspect.ismodule(getattr(importlib.import_module(m), n))]


def undocumented(pages: str, names: list[tuple[str, str]]) -> list[str]:
    shown = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    return [f"{module}.{name}" for module, name in names if f"{module}.{name}" not in shown]


def all_pages() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md")))


def test_there_is_something_to_check():
    assert len(SUBPACKAGES) >= 12
    assert len(NAMES) > 50


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_has_a_docstring(module, name):
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}(")  # what dataclass and NamedTuple make up


@pytest.mark.parametrize("module", SUBPACKAGES)
def test_all_has_no_repeats_and_no_private_names(module):
    names = importlib.import_module(module).__all__
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith("_")]


def test_every_public_name_stands_in_the_api_pages():
    assert undocumented(all_pages(), NAMES) == []


def test_the_pages_show_no_name_that_is_gone():
    assert set(re.findall(r"^::: (\S+)$", all_pages(), re.MULTILINE)) == {f"{m}.{n}" for m, n in NAMES}


def test_the_check_of_the_pages_can_fail():
    assert undocumented(all_pages(), [("imbalance_torch.losses", "NoSuchLoss")]) == [
        "imbalance_torch.losses.NoSuchLoss"
    ]


def test_the_front_door_lists_exactly_its_names():
    assert set(imbalance_torch.__all__) == TOP_LEVEL
    assert TOP_LEVEL | {"__version__"} <= set(dir(imbalance_torch))
    for name in TOP_LEVEL:
        assert getattr(imbalance_torch, name) is not None
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    assert [name for name in TOP_LEVEL if f"`{name}`" not in index] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Focal'"):
        _ = imbalance_torch.Focal


def test_every_marked_difference_stands_in_the_docs():
    package = Path(imbalance_torch.__file__).parent
    marked = {
        file.relative_to(package).as_posix(): file.read_text(encoding="utf-8").count("NOTE[DIFF]")
        for file in package.rglob("*.py")
    }
    listed = re.findall(
        r"^\| `([\w/]+\.py)` \|", (PAGES.parent / "differences.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {file: count for file, count in marked.items() if count} == {file: listed.count(file) for file in listed}
