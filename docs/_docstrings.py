"""Make the docstrings' roles and `Example` sections readable for mkdocstrings."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")
_MATH = re.compile(r"^( *)\.\. math:: *(.*)$", re.MULTILINE)
_INLINE_MATH = re.compile(r":math:`([^`]+)`")


class ReadableDocstrings(griffe.Extension):
    """Rewrite docstrings as they are collected."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn roles into code, formulas into code and `Example:` into the section that keeps its prompts."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(r"`\1`", obj.docstring.value)
        text = _INLINE_MATH.sub(r"`\1`", _MATH.sub(r"\1`\2`", text))
        obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
