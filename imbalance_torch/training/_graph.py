"""A model as one traced graph from numbers and codes to probability and decision, and what its columns look like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from imbalance_torch._random import generator_for
from imbalance_torch.data import TableEncoder
from imbalance_torch.training._model import TabularModel

_ROWS = 64
_LAST_SECOND = 2e9  # the year 2033


class ScoringGraph(nn.Module):
    """Map numbers (N, K) float64 and codes (N, M) int64 to the probability and the index of the decided class."""

    def __init__(self, model: TabularModel) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.classifier = model.classifier
        self.decide = model.decide
        self.eval()

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability, (N,) of the positive class or (N, C), and the decision, (N,) int64."""
        logits = self.classifier(self.encoder(numbers, codes)).double()
        probabilities = self.classifier.log_probabilities(logits).exp()
        binary = probabilities.shape[1] == 2
        return probabilities[:, 1] if binary else probabilities, self.decide(probabilities)


class _KnownValues(TorchFunctionMode):
    """Compute what depends on no input at once instead of tracing it, so that class shares can be checked."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not tensors or any(isinstance(tensor, FakeTensor) for tensor in tensors):
            return func(*args, **kwargs)
        with unset_fake_temporarily(), disable_proxy_modes_tracing():
            return func(*args, **kwargs)


def trace(graph: ScoringGraph, numbers: Tensor, codes: Tensor) -> ExportedProgram:
    """Trace the graph on some rows, for any number of rows."""
    rows = {0: Dim("rows")}
    with torch.no_grad(), _KnownValues():
        program = torch.export.export(graph, (numbers, codes), dynamic_shapes=(rows, rows))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def describe_columns(encoder: TableEncoder) -> list[dict[str, Any]]:
    """Return name and kind of every column in the order of the graph, of a category the code of each text."""
    columns: list[dict[str, Any]] = [{"name": name, "kind": "numeric"} for name in encoder.numeric]
    columns += [{"name": name, "kind": "boolean"} for name in encoder.boolean]
    columns += [{"name": name, "kind": "datetime", "zone": encoder.zones[name]} for name in encoder.datetime]
    return columns + [
        {"name": name, "kind": "categorical", "codes": _codes(name, encoder.categories[name])}
        for name in encoder.categorical
    ]


def synthetic_columns(model: TabularModel, columns: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return raw rows within and beyond the training range, with missing and unseen values; the first has none."""
    encoder, rows = model.encoder, {}
    ranges = dict(zip(encoder.numeric, torch.stack([encoder.low, encoder.high], dim=1).tolist(), strict=True))
    draws = torch.rand(len(columns), 2, _ROWS, dtype=torch.float64, generator=generator_for(0)).numpy()
    for column, (gap, share) in zip(columns, draws, strict=True):
        name, kind = column["name"], column["kind"]
        missing: Any = np.nan
        if kind == "categorical":
            texts = np.array([*column["codes"], "\N{SNOWMAN} unseen"], dtype=object)
            values, missing = texts[(share * len(texts)).astype(int)], ""
        elif kind == "boolean":
            values = share.round()
        else:
            low, high = ranges.get(name, (0.0, _LAST_SECOND))
            values = low * (1 - share) + high * share
        rows[name] = np.where(gap < 0.1, missing, values)
        rows[name][0] = missing
    return rows


def to_tensors(columns: Sequence[Mapping[str, Any]], rows: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Return the numbers (N, K) float64 and codes (N, M) int64 of raw rows."""
    numbers = [rows[column["name"]] for column in columns if column["kind"] != "categorical"]
    codes = [
        [column["codes"].get(text, 0) for text in rows[column["name"]]]
        for column in columns
        if column["kind"] == "categorical"
    ]
    length = len(next(iter(rows.values())))
    return (
        torch.from_numpy(np.array(numbers, dtype=np.float64).reshape(-1, length).T),
        torch.from_numpy(np.array(codes, dtype=np.int64).reshape(-1, length).T),
    )


def _codes(name: str, values: Sequence[str | None]) -> dict[str, int]:
    """Return the code of each text: "" is a missing value, and 7.0, which a gap makes of 7 in pandas, is 7."""
    known = {"" if value is None else value: code for code, value in enumerate(values, start=1)}
    if len(known) < len(values):
        raise ValueError(
            f"Column {name!r} has empty text beside missing values, which an exported model cannot tell apart. Make "
            "empty text missing, and train again."
        )
    whole = {re.sub(r"\.0+$", "", text): code for text, code in known.items() if re.fullmatch(r"-?\d+(\.0+)?", text)}
    return known | whole | {f"{text}.0": code for text, code in whole.items()}
