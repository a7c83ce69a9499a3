"""Whether this installation works: versions, packages, devices, and a small fit."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

import torch

from imbalance_torch import __version__

_OF_DEVELOPERS = {"dev", "docs", "peers"}
_ROWS, _STEPS = 400, 5


def examine() -> dict[str, Any]:
    """Return versions, packages by extra, devices and the outcome of a small fit, ready for JSON.

    ``problems`` names what keeps this package from working; a missing package of another extra than "train" does not.
    """
    packages = _packages()
    cuda, fit = _cuda(), _small_fit()
    return {
        "versions": {"imbalance_torch": __version__, "python": platform.python_version(), "torch": torch.__version__},
        "platform": platform.platform(),
        "packages": packages,
        "missing": {
            extra: f"pip install 'imbalance-torch[{extra}]'"
            for extra, found in packages.items()
            if None in found.values()
        },
        "threads": torch.get_num_threads(),
        "cuda": cuda,
        "fit": fit,
        "problems": [f"{name}: {outcome}" for name, outcome in (("CUDA", cuda), ("fit", fit)) if _failed(outcome)],
    }


def report_text(report: dict[str, Any]) -> str:
    """Return what :func:`examine` found, for people."""
    lines = [f"{name} {number}" for name, number in report["versions"].items()] + [f"on {report['platform']}"]
    for extra, found in report["packages"].items():
        lines += ["", f"extra {extra}", *(f"  {name} {number or 'missing'}" for name, number in found.items())]
        if extra in report["missing"]:
            lines.append(f"  complete it with: {report['missing'][extra]}")
    lines += ["", f"threads {report['threads']}", f"CUDA {report['cuda']}", f"small fit {report['fit']}"]
    return "\n".join(lines)


def _packages() -> dict[str, dict[str, str | None]]:
    """Return extra -> package -> version, None where it is not installed."""
    try:
        extras = metadata("imbalance-torch").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # a source tree on the path
        return {}
    wanted, found = requires("imbalance-torch") or [], {}
    for extra in extras:
        if extra in _OF_DEVELOPERS:
            continue
        lines = [line for line in wanted if re.search(rf"extra == ['\"]{extra}['\"]", line)]
        names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
        found[extra] = {name: _version(name) for name in sorted(names)}
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cuda() -> str:
    if not torch.cuda.is_available():
        return "not available"
    try:
        total = float(torch.arange(1000.0, device="cuda").square().sum())
    except RuntimeError as error:
        return f"failed: {error}"
    right = total == sum(i * i for i in range(1000))
    return f"works: {torch.cuda.get_device_name()}" if right else f"failed: a sum of squares came out as {total}"


def _small_fit() -> str:
    """Train a detector for a few steps and score its own rows."""
    try:
        from imbalance_torch.training import Detector

        x = torch.linspace(-1, 1, 2 * _ROWS).reshape(_ROWS, 2).numpy()
        y = (torch.arange(_ROWS) % 10 == 0).long().numpy()
        p = Detector(max_steps=_STEPS, device="cpu").fit(x, y).predict_proba(x)
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"
    return "works" if p.shape == (_ROWS, 2) else f"failed: probabilities of shape {p.shape}"


def _failed(outcome: str) -> bool:
    return outcome.startswith("failed")
