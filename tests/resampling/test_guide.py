"""The examples of the guides can be pasted, in order, into one session; every resampler has a section."""

import re
from pathlib import Path

import pytest

from imbalance_torch import resampling

GUIDES = Path(__file__).parents[2] / "docs" / "guide"
METHODS = (GUIDES / "resampling.md").read_text(encoding="utf-8")
ON_THE_SMOTE_PAGE = {"SMOTE", "BatchOversampler", "smote_from_plan"}
RESULTS = {"Resampled", "Selected", "RealismReport", "RealismShares"}


def blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_examples_of_the_smote_page_run(capsys):
    examples = blocks((GUIDES / "smote.md").read_text(encoding="utf-8"))
    assert len(examples) == 4
    exec("\n".join(examples), {})
    assert capsys.readouterr().out == "tensor([950, 950])\nTrue\n"


@pytest.mark.parametrize("page", ["resampling.md", "scikit-learn.md"])
@pytest.mark.filterwarnings("ignore:Modes with fewer than 20 rows")
def test_the_examples_of_a_page_run(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    session = {}
    examples = blocks((GUIDES / page).read_text(encoding="utf-8"))
    assert len(examples) >= 2
    for example in examples:
        exec(compile(example, page, "exec"), session)


@pytest.mark.parametrize("name", sorted({*resampling.__all__} - ON_THE_SMOTE_PAGE - RESULTS))
def test_every_resampler_has_a_section_with_an_example_and_its_settings(name):
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", METHODS, re.DOTALL | re.MULTILINE)
    assert any(name in block for block in blocks(section))
    assert "| argument |" in section
    assert re.search("Cost|Time", section)
    assert "Differences" in section or name == "realism_report"


@pytest.mark.parametrize("name", sorted(name for name in {*resampling.__all__} - RESULTS if name[0].isupper()))
def test_every_class_is_named_in_a_guide(name):
    assert f"`{name}`" in METHODS + (GUIDES / "smote.md").read_text(encoding="utf-8")
