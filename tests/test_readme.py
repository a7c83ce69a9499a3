"""The Python blocks of the README run as they stand, each in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_four_short_quick_starts():
    assert len(BLOCKS) == 4
    assert [len(block.splitlines()) for block in BLOCKS if len(block.splitlines()) > 12] == []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=name, marks=[pytest.mark.slow] if name in ("detector", "trainer") else [])
        for name, block in zip(["loss", "sampler", "detector", "trainer"], BLOCKS, strict=True)
    ],
)
def test_the_block_runs(block, tmp_path):
    result = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
