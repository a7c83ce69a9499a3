"""The examples of the guide can be pasted, in order, into one session."""

import re
from pathlib import Path

import pytest

from imbalance_torch import losses

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "losses.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def test_every_block_runs():
    assert len(BLOCKS) > 12
    session = {}
    for block in BLOCKS:
        exec(compile(block, "guide/losses.md", "exec"), session)
    assert session["probability"].shape == (8,)


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name.endswith("Loss")])
def test_every_loss_is_in_the_table_and_in_an_example(name):
    table = GUIDE[: GUIDE.index("## ")]
    assert f"`{name}`" in table
    assert any(re.search(rf"\b{name}\b", block) for block in BLOCKS)


def test_every_section_says_when_defaults_and_probabilities():
    sections = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
    of_losses = [section for section in sections if "- **When**" in section]
    assert len(of_losses) >= 13
    for section in of_losses:
        assert "- **Defaults**" in section
        assert "- **Probabilities**" in section
