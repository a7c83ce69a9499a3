"""Export a model directory as one file for programs without this package; it is checked against the model first."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

import imbalance_torch
from imbalance_torch._checks import check_choice
from imbalance_torch.training._graph import ScoringGraph, describe_columns, synthetic_columns, to_tensors, trace
from imbalance_torch.training._model import TabularModel
from imbalance_torch.training._onnx import check_for_onnx, quiet_exporter, run_onnx, to_onnx

_TOLERANCE = 1e-6
_FILE = "metadata.json"


def export(model: str | Path, output: str | Path | None = None, *, to: str = "onnx") -> Path:
    """Write a model directory as one file that maps the columns of a table to corrected probability and decision.

    Encoder, network, correction of the probabilities (in float64, as in :func:`score`) and threshold are all in it.
    Before the file appears it is run on 64 synthetic rows, with missing and unseen values, and compared with the model.

    ``to="onnx"``, for ONNX Runtime in any language. One input per column, by its name, (N,):

    ===========  ========  ============================================================================
    column       type      value
    ===========  ========  ============================================================================
    numeric      float64   NaN is missing
    boolean      float64   0 or 1; NaN is missing
    datetime     float64   seconds from 1970-01-01 to what the clock of the column's zone shows; NaN is
                           missing
    categorical  string    its text, as ``str`` writes it (``7``, ``True``); ``""`` is missing
    ===========  ========  ============================================================================

    Outputs: ``probability``, float64, (N,) of the positive class, the second of two, or (N, C); and ``decision``, (N,),
    the label of a class.

    ``to="pt2"``, for ``torch.export.load``. A tensor holds no text: the inputs are ``numbers`` (N, K) float64, the
    numeric, boolean and datetime columns, and ``codes`` (N, M) int64, the categorical ones; the outputs are the
    probability and the index of the decided class. How to read one::

        import json, torch
        files = {"metadata.json": ""}
        module = torch.export.load("model.pt2", extra_files=files).module()
        metadata = json.loads(files["metadata.json"])
        numbers = [rows[c["name"]] for c in metadata["columns"] if c["kind"] != "categorical"]
        codes = [[c["codes"].get(text, 0) for text in rows[c["name"]]]
                 for c in metadata["columns"] if c["kind"] == "categorical"]
        n = 2  # rows
        probability, index = module(
            torch.tensor(numbers, dtype=torch.float64).reshape(-1, n).T,
            torch.tensor(codes, dtype=torch.int64).reshape(-1, n).T,
        )
        labels = [metadata["classes"][i] for i in index]

    Both carry ``metadata`` as JSON, ONNX under the key "imbalance_torch" of its properties: the columns in order with
    their kind, time zone and codes, ``classes``, ``threshold``, ``prior``, ``calibration``, versions, and the sha256
    of the model's files.

    Args:
        model: model directory.
        output: file to write, ending in ``.onnx`` or ``.pt2``; an older one is replaced. By default it lies beside
            the model directory and has its name.
        to: "onnx" or "pt2".

    Returns:
        The file.

    Raises:
        FileNotFoundError, ValueError: the model is incomplete or damaged, the output has another suffix, the block
            "quantile", a column name that ONNX cannot have ("", "probability", "decision"), a column of empty text
            beside missing values, or a file that would give other numbers than the model. Nothing is written then.
        ImportError: ``to="onnx"`` without the extra "export".

    Notes:
        Probabilities agree to 1e-6, so a row whose probability lies that close to the threshold may be decided
        otherwise. Columns are not checked as :func:`score` does: an infinite number is clipped as a very large one.
        NOTE[DIFF]: `torch.onnx.export` rounds the numbers of the traced code to float32; here they stay float64.
    """
    folder, kind = Path(model), check_choice("to", to, _KINDS)
    detector = TabularModel.load(folder)
    file = folder.absolute().with_name(f"{folder.absolute().name}.{kind}") if output is None else Path(output)
    if file.suffix != f".{kind}":
        raise ValueError(f"`output` must end in .{kind}, got {file.name!r}.")
    if kind == "onnx":
        check_for_onnx(detector.encoder)
    metadata = _metadata(detector, folder)
    convert, run = _KINDS[kind]
    graph, rows = ScoringGraph(detector), synthetic_columns(detector, metadata["columns"])
    tensors = to_tensors(metadata["columns"], rows)
    with quiet_exporter():
        content = convert(trace(graph, *tensors), metadata)
        with torch.no_grad():
            expected = graph(*tensors)[0].numpy()
        _check(detector, expected, *run(content, rows))
    _write(file, content)
    return file


def _metadata(model: TabularModel, folder: Path) -> dict[str, Any]:
    calibration = model.classifier.calibration
    return {
        "columns": describe_columns(model.encoder),
        "classes": model.schema.classes,
        "threshold": model.threshold,
        "prior": model.classifier.prior.tolist(),
        "calibration": None if calibration is None else calibration.name,
        "network": model.network["name"],
        "loss": model.technique.loss,
        "versions": {"imbalance_torch": imbalance_torch.__version__, "torch": torch.__version__},
        "sha256": json.loads((folder / "manifest.json").read_text()),
    }


def _to_pt2(program: ExportedProgram, metadata: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={_FILE: json.dumps(metadata)})
    return buffer.getvalue()


def _run_pt2(content: bytes, rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    files: dict[str, Any] = {_FILE: ""}
    module = torch.export.load(io.BytesIO(content), extra_files=files).module()
    metadata = json.loads(files[_FILE])
    with torch.no_grad():
        probability, index = module(*to_tensors(metadata["columns"], rows))
    return probability.numpy(), np.array(metadata["classes"])[index.numpy()]


def _check(model: TabularModel, expected: np.ndarray, probability: np.ndarray, decision: np.ndarray) -> None:
    """Raise unless probabilities are those of the model, and each decision the model's on these probabilities."""
    error = float(np.abs(probability - expected).max())
    p = torch.from_numpy(probability)
    index = model.decide(torch.stack([1 - p, p], dim=1) if p.ndim == 1 else p)
    decided = np.array(model.schema.classes)[index.numpy()]
    if not error <= _TOLERANCE or not (decided == decision).all():
        raise ValueError(
            f"The exported file would not decide as the model does: probabilities differ by up to {error:.3g} on "
            f"synthetic rows, {_TOLERANCE:g} is allowed. Nothing was written. Train at a lower learning rate, or "
            "export to the other kind."
        )


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


_KINDS = {"onnx": (to_onnx, run_onnx), "pt2": (_to_pt2, _run_pt2)}
