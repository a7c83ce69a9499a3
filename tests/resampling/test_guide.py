"""The examples of the guide can be pasted, in order, into one session."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "smote.md"


def test_the_examples_run(capsys):
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(examples) == 4
    exec("\n".join(examples), {})
    assert capsys.readouterr().out == "tensor([950, 950])\nTrue\n"
