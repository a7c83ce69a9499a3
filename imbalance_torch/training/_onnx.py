"""A traced graph as one ONNX model whose inputs are the raw columns, text included."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from imbalance_torch._checks import require
from imbalance_torch.data import TableEncoder

METADATA = "imbalance_torch"
OUTPUTS = ("probability", "decision")
_PREFIX = "model/"  # keeps the names of the graph apart from those of columns
_ML = "ai.onnx.ml"


def check_for_onnx(encoder: TableEncoder) -> None:
    """Raise when ONNX cannot hold the blocks of the encoder, or have inputs with the names of its columns."""
    if "quantile" in encoder.blocks:
        raise ValueError("The block 'quantile' cannot go to ONNX. Export to pt2, or train without it.")
    for name in encoder.columns:
        if not name or name in OUTPUTS:
            raise ValueError(
                f"A column cannot be named {name!r} in an ONNX model. Export to pt2, or rename it and train again."
            )


def to_onnx(program: ExportedProgram, metadata: Mapping[str, Any]) -> bytes:
    """Return the ONNX model of a traced graph, from one input per column of ``metadata`` to label and probability."""
    onnx = require("onnx", extra="export")
    compose, helper = require("onnx.compose", extra="export"), onnx.helper
    model = compose.add_prefix(_translated(program), prefix=_PREFIX)
    graph = model.graph
    nodes, inputs = _columns_to_matrices(helper, metadata["columns"])
    labels = np.array(metadata["classes"])
    labels = labels.astype(object) if labels.dtype.kind == "U" else labels
    probability, index = (value.name for value in graph.output)
    graph.initializer.append(onnx.numpy_helper.from_array(labels, _PREFIX + "labels"))
    results = [
        helper.make_node("Identity", [probability], [OUTPUTS[0]]),
        helper.make_node("Gather", [_PREFIX + "labels", index], [OUTPUTS[1]]),
    ]
    nodes += [*graph.node, *results]
    shape = ["rows"] if len(labels) == 2 else ["rows", len(labels)]
    kind = helper.np_dtype_to_tensor_dtype(labels.dtype)
    outputs = [
        helper.make_tensor_value_info(OUTPUTS[0], onnx.TensorProto.DOUBLE, shape),
        helper.make_tensor_value_info(OUTPUTS[1], kind, ["rows"]),
    ]
    whole = helper.make_graph(nodes, METADATA, inputs, outputs, [*graph.initializer])
    for node in whole.node:
        del node.metadata_props[:]  # names of source files
    opsets = [*model.opset_import, helper.make_opsetid(_ML, 2)]
    whole = helper.make_model(whole, opset_imports=opsets, ir_version=model.ir_version, producer_name=METADATA)
    helper.set_model_props(whole, {METADATA: json.dumps(metadata)})
    onnx.checker.check_model(whole)
    content: bytes = whole.SerializeToString()
    return content


def run_onnx(content: bytes, rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return probability and decided labels that ONNX Runtime computes from raw columns on the CPU."""
    runtime = require("onnxruntime", extra="export")
    probability, decision = runtime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
        [*OUTPUTS], dict(rows)
    )
    return probability, decision


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence what the exporters of torch and onnx say about their own code and about packages they could use."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(copyreg|onnx|onnx_ir|onnxscript|torch)(\.|$)")
            yield
    finally:
        logger.setLevel(level)


def _translated(program: ExportedProgram) -> Any:
    table: dict[Any, Any] = {torch.ops.aten.scalar_tensor.default: _exact_number}
    require("onnxscript", extra="export")
    exported = torch.onnx.export(
        program,
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=["numbers", "codes"],
        custom_translation_table=table,
    )
    return exported.model_proto  # type: ignore[union-attr]


def _exact_number(
    s: float, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False
) -> Any:  # the arguments of aten::scalar_tensor
    """Write a number of the traced code as float64; torch's own translation rounds it to float32."""
    op, ir = require("onnxscript", extra="export").opset20, require("onnx_ir", extra="export")
    return op.Cast(op.Constant(value=ir.tensor(np.float64(s))), to=dtype)


def _columns_to_matrices(helper: Any, columns: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return nodes that make the inputs of the traced graph from one input per column, and those inputs."""
    onnx = require("onnx", extra="export")
    double, integer, text = onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64, onnx.TensorProto.STRING
    inputs, parts = [], {double: list[str](), integer: list[str]()}
    one = helper.make_tensor("one", integer, [1], [1])
    nodes = [helper.make_node("Constant", [], [_PREFIX + "one"], value=one)]
    for position, column in enumerate(columns):
        name, value = column["name"], f"{_PREFIX}column {position}"
        is_text = column["kind"] == "categorical"
        inputs.append(helper.make_tensor_value_info(name, text if is_text else double, ["rows"]))
        if is_text:
            codes = column["codes"]
            # without any code there would be no keys, which the operator refuses
            keys, values = ([*codes], [*codes.values()]) if codes else ([""], [0])
            encoded = {"keys_strings": keys, "values_int64s": values, "default_int64": 0}
            nodes.append(helper.make_node("LabelEncoder", [name], [value + " code"], domain=_ML, **encoded))
            name = value + " code"
        nodes.append(helper.make_node("Unsqueeze", [name, _PREFIX + "one"], [value]))
        parts[integer if is_text else double].append(value)
    for (kind, values), matrix in zip(parts.items(), ("numbers", "codes"), strict=True):
        if values:
            nodes.append(helper.make_node("Concat", values, [_PREFIX + matrix], axis=1))
            continue
        other = parts[integer if kind == double else double][0]  # of which no columns are kept, but the rows
        nodes.append(helper.make_node("Slice", [other, *[_PREFIX + "one"] * 3], [_PREFIX + "none"]))
        nodes.append(helper.make_node("Cast", [_PREFIX + "none"], [_PREFIX + matrix], to=kind))
    return nodes, inputs
