"""The examples of the pages about detectors can be pasted, in order, into one session for each page."""

import re
from pathlib import Path

import pytest

from imbalance_torch import decision, metrics, models, training

GUIDES = Path(__file__).parents[2] / "docs" / "guide"
PAGES = ["training.md", "networks.md", "decisions.md", "metrics.md", "callbacks.md", "deploy.md"]


def text(page):
    return (GUIDES / page).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::Warning:lightning", "ignore::Warning:torch")
def test_the_examples_of_a_page_run(page, monkeypatch, tmp_path):
    if page == "deploy.md":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    session = {}
    examples = re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), session)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("networks.md", [name for name in models.__all__ if name != "CosineClassifier"]),
        ("networks.md", list(training.NETWORKS)),
        ("decisions.md", [name for name in decision.__all__ if name != "Calibration"]),
        ("metrics.md", [name for name in metrics.__all__ if name not in ("binary_scores", "multiclass_scores")]),
        ("command-line.md", [*training.LOSSES, *training.SAMPLERS, *training.RESAMPLERS, *training.NETWORKS]),
    ],
)
def test_every_name_is_on_its_page(page, names):
    found = text(page)
    assert [name for name in names if not re.search(rf"\b{name}\b", found)] == []
