"""What a table holds, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from textwrap import shorten
from typing import Any

import numpy as np

from imbalance_torch.data import Finding
from imbalance_torch.data._roles import remarks
from imbalance_torch.training import TabularDataModule


def inspect(data: TabularDataModule) -> dict[str, Any]:
    """Return rows, roles, class counts, missing shares, split, leak audit and remarks of a table, ready for JSON.

    ``split`` has the ``kind`` (time, group or stratified), the ``reason``, and the rows of each class in each part.

    Raises:
        ValueError: whatever makes the table unusable for training, such as a constant target.
    """
    schema, labels = data.schema, data.y.numpy()
    counts = np.bincount(labels, minlength=schema.num_classes)
    missing = data.frame[schema.features].isna().mean()
    return {
        "rows": len(labels),
        "target": schema.target,
        "classes": {str(label): int(count) for label, count in zip(schema.classes, counts, strict=True)},
        "imbalance": f"1:{counts.max() / counts.min():.1f}",
        "time": schema.time,
        "group": schema.group,
        "numeric": schema.numeric,
        "boolean": schema.boolean,
        "datetime": schema.datetime,
        "categorical": schema.categorical,
        "ignored": schema.ignored,
        "missing": {name: round(float(share), 4) for name, share in missing[missing > 0].items()},
        "split": _split(data),
        "audit": [asdict(finding) for finding in data.findings] if data.audit else None,
        "remarks": remarks(data.frame, schema.features),
    }


def inspection_text(report: Mapping[str, Any]) -> str:
    """Return what :func:`inspect` found, for people."""
    rows, classes = report["rows"], report["classes"]
    lines = [f"{rows} rows; target {report['target']!r}, imbalance {report['imbalance']}", "", "class counts"]
    lines += _table([[label, str(count), f"{count / rows:.2%}"] for label, count in classes.items()])
    lines += ["", "column roles", *_roles(report)]
    if report["missing"]:
        gaps = sorted(report["missing"].items(), key=lambda item: -item[1])
        lines += ["", "missing", *_table([[name, f"{share:.1%}"] for name, share in gaps[:20]])]
        lines += [f"  and {len(gaps) - 20} columns more"] * (len(gaps) > 20)
    lines += ["", *_split_lines(report["split"], classes), "", "leak audit"]
    lines += _findings(report["audit"])
    if report["remarks"]:
        lines += ["", "remarks", *(f"  {remark}" for remark in report["remarks"])]
    return "\n".join(lines)


def data_summary(data: TabularDataModule) -> str:
    """Return roles, split and leak audit in a few lines, for the start of a training run."""
    schema = data.schema
    findings = [asdict(finding) for finding in data.findings] if data.audit else None
    lines = ["column roles", *_roles(schema.to_dict()), *_split_lines(_split(data), map(str, schema.classes))]
    return "\n".join([*lines, "leak audit", *_findings(findings), ""])


def _split(data: TabularDataModule) -> dict[str, Any]:
    time, group = data.schema.time, data.schema.group
    if time is not None:
        kind, reason = "time", f"{time!r} orders the rows: the oldest train, the newest test"
    elif group is not None:
        kind, reason = "group", f"all rows of one {group!r} are in one part"
    else:
        kind, reason = "stratified", "there is no time and no group column: random rows, each class in the same shares"
    labels, num_classes = data.y.numpy(), data.schema.num_classes
    parts = {
        name: np.bincount(labels[rows], minlength=num_classes).tolist() for name, rows in data.split._asdict().items()
    }
    return {"kind": kind, "reason": reason, **parts}


def _split_lines(split: Mapping[str, Any], classes: Iterable[str]) -> list[str]:
    names = list(classes)
    binary = len(names) == 2
    table = []
    for part in ("train", "val", "test"):
        counts = split[part]
        rare = f"{counts[1]} positive" if binary else f"{min(counts)} of the rarest class"
        table.append(
            [part, f"{sum(counts)} rows", f"{rare} ({(counts[1] if binary else min(counts)) / sum(counts):.2%})"]
        )
    positive = f"; positive is {names[1]!r}" if binary else ""
    return [
        f"split by {split['kind']}: {split['reason']}{positive}".replace("by stratified", "stratified"),
        *_table(table),
    ]


def _roles(report: Mapping[str, Any]) -> list[str]:
    columns = {role: [report[role]] for role in ("target", "time", "group") if report[role]}
    columns |= {role: report[role] for role in ("numeric", "boolean", "datetime", "categorical") if report[role]}
    rows = [
        [role, str(len(names)), shorten(", ".join(names), 90, placeholder=" ...")] for role, names in columns.items()
    ]
    ignored = [["ignored", "", f"{name}: {reason}"] for name, reason in report["ignored"].items()]
    return _table(rows + ignored[:20]) + [f"  and {len(ignored) - 20} ignored columns more"] * (len(ignored) > 20)


def _findings(findings: Iterable[Mapping[str, Any]] | None) -> list[str]:
    if findings is None:
        return ["  switched off"]
    return [f"  {Finding(**finding)}" for finding in findings] or [
        "  nothing found, which is no proof that there is no leak"
    ]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
