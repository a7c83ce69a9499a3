"""The command line: flat flags, nothing heavy imported before a command runs.

Exit codes: 0 done, 2 usage or data error, 3 training diverged, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence

from imbalance_torch.cli._parser import LIGHTNING_COMMANDS, build_parser

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: the words after the program's name; default ``sys.argv[1:]``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in LIGHTNING_COMMANDS:
        return _guarded(lambda: _lightning(words), debug="--debug" in words)
    parser = build_parser()
    namespace = parser.parse_args(words)
    return _guarded(lambda: namespace.command(namespace), debug=namespace.debug)


def _guarded(command: Callable[[], None], *, debug: bool) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain(
            "interrupted. `imbalance-torch resume DIR` goes on with a run, the same `tune` or `compare` with theirs."
        )
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


def _lightning(words: list[str]) -> None:
    from imbalance_torch.training.lightning_cli import run

    run([word for word in words if word != "--debug"])
