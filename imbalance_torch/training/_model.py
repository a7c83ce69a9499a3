"""The model directory: everything that scoring raw rows needs, in two files that cannot run code, and their hashes."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

import imbalance_torch
from imbalance_torch._checks import check_choice
from imbalance_torch.data import Schema, TableEncoder
from imbalance_torch.training._classifier import ImbalancedClassifier
from imbalance_torch.training._non_finite import NonFiniteLossError
from imbalance_torch.training._registry import NETWORKS, Technique

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 3
_FILES = ("model.json", "model.safetensors")
_CARD = "MODEL_CARD.md"


@dataclass
class TabularModel:
    """A trained detector with its encoder, its prior correction and its threshold.

    Attributes:
        schema: column roles and class names.
        encoder: fitted table encoder.
        classifier: trained network, loss and class shares.
        network: registry name and arguments of the network.
        technique: registry names of loss, sampler and resampler.
        threshold: of two classes, a row is positive from this corrected probability on. Of more, one number per class
            (the largest ``probability / threshold`` wins), or None (the likeliest wins).
        card: what else the model card tells: data, metrics, settings.
    """

    schema: Schema
    encoder: TableEncoder
    classifier: ImbalancedClassifier
    network: dict[str, Any]
    technique: Technique
    threshold: float | list[float] | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    @torch.inference_mode()
    def logits(self, x: Tensor, *, batch_size: int = 65_536) -> Tensor:
        """Return the raw logits of encoded rows, (N, C); (N, 1) of a sigmoid loss; (N, k, ...) of k members.

        Raises:
            NonFiniteLossError: some of them are not finite.
        """
        self.classifier.eval()
        device = self.classifier.device
        logits = torch.cat([self.classifier(rows.to(device)).cpu() for rows in torch.split(x, batch_size)])
        if not torch.isfinite(logits).all():
            raise NonFiniteLossError("The network gives scores that are not finite. Lower the learning rate.")
        return logits

    @torch.inference_mode()
    def raw_probabilities(self, logits: Tensor) -> Tensor:
        """Return what the network's logits say without the correction, in the shape of `probabilities`."""
        return self.classifier.raw_probabilities(logits.to(self.classifier.device).double()).cpu()

    @torch.inference_mode()
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the corrected probabilities, (N,) of the positive class if binary, else (N, C)."""
        return self.classifier.probabilities(logits.to(self.classifier.device).double()).cpu()

    def score(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        """Score raw rows.

        Returns:
            ``score`` (log-odds of the positive or of the winning class), ``probability`` (its corrected probability)
            and ``decision`` (a class label), each (N,); beyond two classes also ``probability_<label>``.

        Raises:
            ValueError: a missing column or a value that cannot be encoded.
        """
        log_p = self.log_probabilities(self.encoder.encode(frame))
        probabilities = log_p.exp()
        winner = self.decide(probabilities)
        scored = torch.ones_like(winner) if self.schema.num_classes == 2 else winner
        others = log_p.scatter(1, scored[:, None], -torch.inf).logsumexp(dim=1)
        log_top = log_p.gather(1, scored[:, None])[:, 0]
        result = {
            "score": (log_top - others).numpy(),
            "probability": log_top.exp().numpy(),
            "decision": np.array([self.schema.classes[index] for index in winner.tolist()]),
        }
        if self.schema.num_classes > 2:
            result |= {
                f"probability_{label}": probabilities[:, i].numpy() for i, label in enumerate(self.schema.classes)
            }
        return result

    @torch.inference_mode()
    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the corrected log-probabilities of encoded rows, (N, C) float64."""
        logits = self.logits(x).to(self.classifier.device).double()
        return self.classifier.log_probabilities(logits).cpu()

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the index of the class that the threshold gives each row, (N,), from probabilities (N, C)."""
        if isinstance(self.threshold, float):
            return (probabilities[:, 1] >= self.threshold).long()
        weights = 1.0 if self.threshold is None else torch.tensor(self.threshold, dtype=torch.float64).reciprocal()
        return (probabilities * weights).argmax(dim=1)

    def save(self, directory: str | Path) -> Path:
        """Write the model directory; it appears whole or not at all, and replaces an older model.

        Raises:
            FileExistsError: the path holds something else than a model.
        """
        target = Path(directory).resolve()
        check_replaceable(target)
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        tensors = {f"encoder.{name}": value for name, value in self.encoder.named_buffers()}
        tensors |= {f"network.{name}": value for name, value in self.classifier.network.state_dict().items()}
        tensors |= {f"loss.{name}": value for name, value in self.classifier.loss.named_buffers()}
        tensors |= {"prior": self.classifier.prior, "train_prior": self.classifier.train_prior}
        contents = {
            "model.safetensors": save_tensors(
                {name: value.cpu().contiguous().clone() for name, value in tensors.items()}
            ),
            "model.json": _json(self._record()),
        }
        contents["MODEL_CARD.md"] = self._card().encode()
        contents["manifest.json"] = _manifest(contents)
        for name, content in contents.items():
            (part / name).write_bytes(content)
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        return target

    @classmethod
    def load(cls, directory: str | Path) -> TabularModel:
        """Load a model directory after checking its hashes; nothing in it can run code.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file differs from the manifest, or was written by a newer version.
        """
        folder = Path(directory)
        contents = _verified(folder)
        record = json.loads(contents["model.json"])
        if record["format"] > FORMAT:
            raise ValueError(
                f"{folder} has model format {record['format']}, this version reads 1 to {FORMAT}. Upgrade."
            )
        tensors = load_tensors(contents["model.safetensors"])
        encoder = TableEncoder([], [])
        state = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}
        state["_extra_state"] = record["encoder"]
        encoder.load_state_dict(_state_of_format_1(state) if record["format"] == 1 else state)
        built = record["network"]
        if record["format"] < 3:  # what an MLP was then
            built["arguments"] = {"hidden": (128, 64), **built["arguments"]}
        with torch.random.fork_rng(devices=()):  # the initial weights are drawn, and thrown away
            network = NETWORKS[check_choice("network", built["name"], NETWORKS)](**built["arguments"])
        network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
        counts = record["class_counts"]
        technique = Technique(**record["technique"]) if record["format"] > 2 else Technique(record["loss"])
        loss = technique.build_loss(counts)
        task = "binary" if len(counts) == 2 else "multiclass"
        classifier = ImbalancedClassifier(network, loss, task=task, class_counts=counts)  # type: ignore[arg-type]
        classifier.set_extra_state({**tensors, "calibration": record.get("calibration")})
        for name, buffer in loss.named_buffers():
            buffer.copy_(tensors[f"loss.{name}"])
        return cls(
            Schema(**record["schema"]),
            encoder,
            classifier,
            built,
            technique,
            record["threshold"],
            record["card"],
        )

    def _record(self) -> dict[str, Any]:
        counts = self.classifier.class_counts
        return {
            "format": FORMAT,
            "schema": self.schema.to_dict(),
            "encoder": self.encoder.get_extra_state(),
            "network": self.network,
            "technique": asdict(self.technique),
            "class_counts": [] if counts is None else counts.tolist(),
            "threshold": self.threshold,
            "calibration": self.classifier.get_extra_state()["calibration"],
            "card": dict(self.card),
            "versions": {
                "imbalance_torch": imbalance_torch.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    def _card(self) -> str:
        record = self._record()
        shares = ", ".join(
            f"{label!r}: {share:.4%}"
            for label, share in zip(self.schema.classes, self.classifier.prior.tolist(), strict=True)
        )
        fed = ", ".join(f"{share:.4%}" for share in self.classifier.train_prior.tolist())
        lines = [
            "# Model card",
            f"- Target: `{self.schema.target}`, classes {self.schema.classes}",
            f"- Training rows by class: {record['class_counts']}; shares {shares}",
            f"- Shares fed in training: {fed}; loss `{self.technique.loss}`; probabilities are corrected for both",
            f"- Threshold on the corrected probability, chosen on validation rows: {self.threshold}",
            f"- Features: {len(self.schema.numeric)} numeric, {len(self.schema.boolean)} boolean, "
            f"{len(self.schema.datetime)} datetime, {len(self.schema.categorical)} categorical",
            f"- Numeric blocks: {', '.join(self.encoder.blocks)}",
            *(f"- Ignored column `{name}`: {reason}" for name, reason in self.schema.ignored.items()),
            f"- Versions: {record['versions']}",
            *(f"- {name}: {value}" for name, value in self.card.items()),
        ]
        return "\n".join(lines) + "\n"


def check_replaceable(directory: Path) -> None:
    """Raise when ``directory`` exists and holds something else than a model."""
    if directory.exists() and not (directory / "manifest.json").is_file():
        if directory.is_dir() and not any(directory.iterdir()):
            return
        raise FileExistsError(
            f"{directory} exists and is not a model directory. Move it away, or choose another output."
        )


def _state_of_format_1(state: dict[str, Any]) -> dict[str, Any]:
    """Translate the state of an encoder that had the standard block and categories only."""
    extra = TableEncoder(state["_extra_state"]["numeric"], [*state["_extra_state"]["categories"]]).get_extra_state()
    return {
        "low": state["low"],
        "high": state["high"],
        "unit": torch.ones_like(state["low"]),
        "fill": state["median"],
        "indicators": state["indicator_columns"].nonzero().flatten(),
        "calendar_features": torch.zeros(0, dtype=torch.int64),
        "standard_mean": state["mean"],
        "standard_scale": state["scale"],
        "_extra_state": extra | state["_extra_state"],
    }


def _json(record: object) -> bytes:
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def _manifest(contents: Mapping[str, bytes]) -> bytes:
    return _json({name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())})


def _verified(folder: Path) -> dict[str, bytes]:
    missing = [name for name in (*_FILES, "manifest.json") if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} is not a model directory: {', '.join(missing)} is missing.")
    manifest = (folder / "manifest.json").read_bytes()
    names = [*_FILES, _CARD] if _CARD.encode() in manifest else _FILES  # the card has a hash since format 3
    contents = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    if manifest != _manifest(contents):
        raise ValueError(f"{folder} is damaged: its files do not match manifest.json. Copy the model directory again.")
    return contents
