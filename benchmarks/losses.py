"""Forward plus backward of the losses beside torch.nn and the peer libraries: time, memory kept, agreement.

Run, from the root of the repository:

    pip install '.[peers]'
    pip install --no-deps timm     # timm.loss needs torch alone; torchvision's wheel fails beside CPU torch
    python -m benchmarks.losses [--quick] [--repeats N] [--json FILE] [--device cpu|cuda] [--only NAME]
    python -m benchmarks.losses --only 10_000 --profile SigmoidFocalLoss    # where the time of one row goes

Every loss runs once a round, in an order that changes by the round, on the same float32 logits with a fresh gradient.
Columns: median, least and most milliseconds; ``ratio``, the median over rounds of the time over that of the first row;
``kept B``, bytes per logit that autograd keeps for the backward pass beside logits, targets and weights; ``d value``
and ``d grad``, the largest difference from our loss that computes the same quantity (``same as``), after the factor
that the notes give, over the largest magnitude of ours. ``-``: no loss of ours computes that quantity with those
settings. A peer that is not installed, or fails, is listed as such. Times taken while other processes
used over a tenth of the CPUs are marked as noisy and not held against the targets.
"""

import argparse
import cProfile
import importlib
import importlib.util
import json
import pstats
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._timing import ForeignCPU, alternate, kept_bytes, machine, print_table
from imbalance_torch import losses

Loss = Callable[[Tensor], Tensor]
PEERS = ("imbalanced-losses", "pytorch-focalloss", "balanced-loss", "kornia", "monai", "timm")
TARGETS = (  # setting, row, column, at most; for the CPU
    ("binary 1_000_000", "SigmoidFocalLoss", "ratio", 1.3),
    ("binary 10_000", "SigmoidFocalLoss", "ratio", 1.8),
    ("binary 1_000_000", "SigmoidFocalLoss", "kept", 4.0),
    ("binary 1_000_000", "SigmoidFocalLoss compiled", "ratio", 0.9),
    ("65_536 x 10", "FocalLoss", "ratio", 1.0),
    ("65_536 x 1_000", "FocalLoss", "ratio", 1.0),
    ("65_536 x 10", "FocalLoss compiled", "ratio", 0.35),
    ("65_536 x 1_000", "FocalLoss compiled", "ratio", 0.8),
)
NOISY = 0.1


@dataclass(frozen=True)
class Row:
    """One loss. ``make`` builds it; times ``factor`` it is ``same``, a row of ours; ``shape`` brings the logits."""

    name: str
    make: Callable[[], Loss]
    same: str | None = None
    note: str = ""
    factor: float = 1.0
    shape: Callable[[Tensor], Tensor] | None = None

    def input(self, logits: Tensor) -> Tensor:
        """Return the logits as the loss wants them."""
        return logits if self.shape is None else self.shape(logits)


@dataclass(frozen=True)
class Setting:
    """Rows, the first of them the reference, on the same logits; ``data`` are the targets and weights."""

    name: str
    logits: Tensor
    data: tuple[Tensor, ...]
    rows: tuple[Row, ...]
    rounds: int


def on(loss: Callable[..., Tensor], *data: Tensor, compiled: bool = False, **options) -> Callable[[], Loss]:
    """Return what makes logits -> loss(logits, *data, **options), with a module moved to the device of the data."""
    if isinstance(loss, nn.Module):
        loss.to(data[0].device)
    call = torch.compile(loss, dynamic=False) if compiled else loss
    return lambda: lambda logits: call(logits, *data, **options)


def ours(name: str, *data: Tensor, compiled: bool = False, **options) -> Callable[[], Loss]:
    """Return what makes a loss of ours; an AttributeError if there is none of this name."""
    return lambda: on(getattr(losses, name)(**options), *data, compiled=compiled)()


def peer(module: str, name: str, *data: Tensor, **options) -> Callable[[], Loss]:
    """Return what makes the loss of a peer; an ImportError if it is not installed."""
    return lambda: on(getattr(_import(module), name)(**options), *data)()


def _import(module: str):
    """Import a module; timm.loss by its files, because ``import timm`` wants torchvision."""
    if module != "timm.loss" or module in sys.modules:
        return importlib.import_module(module)
    timm = importlib.util.find_spec("timm")
    if timm is None:
        raise ModuleNotFoundError("No module named 'timm'")
    spec = importlib.util.spec_from_file_location(module, Path(timm.origin).parent / "loss" / "__init__.py")
    sys.modules[module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]


def torchvision_formula(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Return the mean of (1 - p_t)^gamma BCE, as torchvision.ops.sigmoid_focal_loss defines it, without alpha."""
    p = torch.sigmoid(logits)
    p_t = p * target + (1 - p) * (1 - target)
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * (1 - p_t) ** gamma).mean()


def binary(size: int, rounds: int, device: torch.device) -> Setting:
    """Return the sigmoid losses on ``size`` logits with 1 % positives."""
    generator = torch.Generator().manual_seed(0)
    logits = (2 * torch.randn(size, generator=generator)).to(device)
    t = (torch.rand(size, generator=generator) < 0.01).float().to(device)
    index, column, pos_weight = t.long(), t.unsqueeze(1), torch.tensor(99.0, device=device)
    focal, bce, asl = "SigmoidFocalLoss", "ClassWeightedBCEWithLogitsLoss", "AsymmetricLoss"
    plain = F.binary_cross_entropy_with_logits

    def as_column(x: Tensor) -> Tensor:
        return x.unsqueeze(1)

    def as_pair(x: Tensor) -> Tensor:
        return torch.stack([-x, x], 1)

    kornia = peer("kornia.losses", "BinaryFocalLossWithLogits", column, alpha=None, reduction="mean")
    timm_asl = peer("timm.loss", "AsymmetricLossMultiLabel", t, reduction="mean")
    rows = (
        Row("F.bce_with_logits(pos_weight)", on(plain, t, pos_weight=pos_weight), bce),
        Row("F.bce_with_logits", on(plain, t)),
        Row(focal, ours(focal, t), focal, "gamma 2 without alpha, as in every focal row that says nothing else"),
        Row(f"{focal} gamma 1.5", ours(focal, t, gamma=1.5)),
        Row(f"{focal} alpha .25", ours(focal, t, alpha=0.25)),
        Row(f"{focal} pos_weight", ours(focal, t, pos_weight=pos_weight)),
        Row(f"{focal} compiled", ours(focal, t, compiled=True), focal),
        Row(bce, ours(bce, t, pos_weight=pos_weight), bce),
        Row(asl, ours(asl, t), asl, "gammas 4 and 1, clip .05"),
        Row("torchvision formula", on(torchvision_formula, t), focal, "written out here, alpha left out"),
        Row("torchvision formula compiled", on(torchvision_formula, t, compiled=True), focal),
        Row(
            "imbalanced-losses sigmoid", peer("imbalanced_losses", focal, t, alpha=-1), focal, "alpha=-1 is none of .25"
        ),
        Row("kornia binary focal", kornia, focal, "alpha=None, not its .25; logits (N, 1)", shape=as_column),
        Row("monai focal", peer("monai.losses", "FocalLoss", column), focal, "logits (N, 1)", shape=as_column),
        Row("pytorch-focalloss binary", peer("torch_focalloss", "BinaryFocalLoss", t), focal),
        Row(
            "balanced-loss focal",
            peer("balanced_loss", "Loss", index, loss_type="focal_loss"),
            focal,
            "two logits (-x, x): value / 2",
            0.5,
            as_pair,
        ),
        Row("timm poly", peer("timm.loss", "PolyBinaryCrossEntropy", t, epsilon=0.0, gamma=2.0), focal, "epsilon=0"),
        Row("timm bce", peer("timm.loss", "BinaryCrossEntropy", t, smoothing=0.0, pos_weight=pos_weight), bce),
        Row("timm asymmetric", timm_asl, asl, "gammas 4 and 1, clip .05; log p is clamped at log 1e-8"),
    )
    return Setting(f"binary {size:_}", logits, (t, index, pos_weight), rows, rounds)


def multiclass(size: int, classes: int, rounds: int, device: torch.device) -> Setting:
    """Return the softmax losses on (``size``, ``classes``) logits, class c with a share proportional to 1 / (c + 1)."""
    generator = torch.Generator().manual_seed(0)
    logits = (2 * torch.randn(size, classes, generator=generator)).to(device)
    share = 1 / torch.arange(1.0, classes + 1)
    t = torch.multinomial(share, size, replacement=True, generator=generator)
    counts = t.bincount(minlength=classes).clamp(min=1).tolist()
    weight = 1 / (1 - 0.999 ** torch.tensor(counts, dtype=torch.float64))
    weight = (weight * classes / weight.sum()).float()
    per_weight = size / float(weight[t].sum())
    t, weight, prior = t.to(device), weight.to(device), (share / share.sum()).tolist()
    focal, ce, poly = "FocalLoss", "ClassWeightedCrossEntropyLoss", "Poly1Loss"
    divided = {"note": "divides by N C: value x C", "factor": float(classes)}
    kornia = peer("kornia.losses", "FocalLoss", t, alpha=None, reduction="mean")
    monai = peer("monai.losses", "FocalLoss", t.unsqueeze(1), use_softmax=True, to_onehot_y=True)
    balanced = {"class_balanced": True, "samples_per_class": counts}
    same_weights = "the same weights (effective number, beta .999), divides by N: value x N / sum of weights"
    rows = (
        Row("F.cross_entropy(weight)", on(F.cross_entropy, t, weight), ce),
        Row("F.cross_entropy(weight) compiled", on(F.cross_entropy, t, weight, compiled=True), ce),
        Row(focal, ours(focal, t), focal, "gamma 2 without weight, as in every focal row that says nothing else"),
        Row(f"{focal} weight", ours(focal, t, weight=weight)),
        Row(f"{focal} compiled", ours(focal, t, compiled=True), focal),
        Row(ce, ours(ce, t, weight=weight), ce),
        Row("LogitAdjustedLoss", ours("LogitAdjustedLoss", t, prior=prior)),
        Row("LDAMLoss", ours("LDAMLoss", t, class_counts=counts)),
        Row(poly, ours(poly, t), poly, "epsilon 1"),
        Row("imbalanced-losses softmax", peer("imbalanced_losses", "SoftmaxFocalLoss", t), focal),
        Row("kornia focal", kornia, focal, **divided),
        Row("monai softmax focal", monai, focal, **divided),
        Row("pytorch-focalloss multiclass", peer("torch_focalloss", "MultiClassFocalLoss", t), focal),
        Row("balanced-loss ce", peer("balanced_loss", "Loss", t, **balanced), ce, same_weights, per_weight),
        Row(
            "balanced-loss focal",
            peer("balanced_loss", "Loss", t, loss_type="focal_loss"),
            note="another quantity: one sigmoid per class against one-hot, it has no softmax focal",
        ),
        Row("timm poly", peer("timm.loss", "PolyCrossEntropy", t, epsilon=1.0), poly),
    )
    return Setting(f"{size:_} x {classes:_}", logits, (t, weight), rows, rounds)


def value_and_gradient(row: Row, call: Loss, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss times its factor, and its gradient along the logits of the setting."""
    x = logits.clone().requires_grad_()
    loss = call(row.input(x)) * row.factor
    return loss.detach(), torch.autograd.grad(loss, x)[0]


def difference(value: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest expected magnitude."""
    return float((value - expected).abs().max() / expected.abs().max())


def measure(setting: Setting, repeats: int, sync: Callable[[], object]) -> dict:
    """Build, warm up and time every row; return the figures, and why rows are missing."""
    torch.compiler.reset()
    calls: dict[str, Loss] = {}
    leaves: dict[str, Tensor] = {}
    missing: dict[str, str] = {}
    by_name = {row.name: row for row in setting.rows}
    shared = setting.logits.clone().requires_grad_()
    for name, row in by_name.items():
        leaf = shared if row.shape is None else row.shape(setting.logits).detach().requires_grad_()
        try:
            call = row.make()
            for _ in range(3):
                call(leaf).backward()
        except Exception as error:  # a peer may fail in any way
            kind = {ModuleNotFoundError: "not installed", AttributeError: "not available"}.get(type(error), "failed")
            missing[name] = f"{kind} ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
            continue
        calls[name], leaves[name] = call, leaf

    def drop_gradients() -> None:
        for leaf in leaves.values():
            leaf.grad = None

    def step(call: Loss, leaf: Tensor) -> None:
        call(leaf).backward()

    steps = {name: partial(step, call, leaves[name]) for name, call in calls.items()}
    foreign = ForeignCPU()
    seconds = alternate(steps, repeats, before=drop_gradients, sync=sync)
    result = {"setting": setting.name, "rounds": repeats, "foreign_cpu_share": foreign.share(), "rows": []}
    drop_gradients()
    reference = seconds[setting.rows[0].name]
    for name, call in calls.items():
        row, times, leaf = by_name[name], seconds[name], leaves[name]
        figures = {
            "row": name,
            "ms": 1e3 * statistics.median(times),
            "min": 1e3 * min(times),
            "max": 1e3 * max(times),
            "ratio": statistics.median(a / b for a, b in zip(times, reference, strict=True)),
            "kept": kept_bytes(partial(call, leaf), [leaf, *setting.data]) / setting.logits.numel(),
        }
        if row.same in calls:
            expected = value_and_gradient(by_name[row.same], calls[row.same], setting.logits)
            pairs = zip(value_and_gradient(row, call, setting.logits), expected, strict=True)
            figures["d_value"], figures["d_grad"] = (difference(*pair) for pair in pairs)
            figures["same_as"] = row.same
        result["rows"].append(figures)
    notes = {row.name: row.note for row in setting.rows if row.note and row.name in calls}
    return {**result, "notes": notes, "missing": missing}


def report(result: dict) -> None:
    """Print the table of a setting, what the rows compute and which are missing."""
    share = result["foreign_cpu_share"]
    foreign = "unknown" if share is None else f"{share:.0%}{' (noisy: times not to be used)' if share > NOISY else ''}"
    print(f"\n{result['setting']}: float32, {result['rounds']} rounds, CPU used by others {foreign}")
    table = []
    for row in result["rows"]:
        times = [f"{row[key]:.3f}" if row[key] < 10 else f"{row[key]:.1f}" for key in ("ms", "min", "max")]
        apart = [f"{row[key]:.0e}" if row.get(key) else "0" if key in row else "-" for key in ("d_value", "d_grad")]
        table.append([row["row"], *times, f"{row['ratio']:.2f}", f"{row['kept']:.1f}", *apart, row.get("same_as", "-")])
    print_table(["loss", "ms", "min", "max", "ratio", "kept B", "d value", "d grad", "same as"], table)
    for name, text in {**result["notes"], **result["missing"]}.items():
        print(f"  {name}: {text}")


def profile(setting: Setting, name: str, calls: int = 2000) -> None:
    """Print the functions in which forward passes of one row spend most time, per call."""
    row = next(row for row in setting.rows if row.name == name)
    leaf, call = row.input(setting.logits.clone()).requires_grad_(), row.make()
    call(leaf)
    profiler = cProfile.Profile()
    profiler.runcall(lambda: [call(leaf) for _ in range(calls)])
    entries = sorted(pstats.Stats(profiler).stats.items(), key=lambda item: -item[1][2])[:12]
    total = pstats.Stats(profiler).total_tt
    print(f"\n{setting.name}, {name}: {1e6 * total / calls:.0f} us a forward pass under the profiler")
    rows = [
        [f"{Path(file).name}:{line} {what}", f"{count / calls:.0f}", f"{1e6 * own / calls:.1f}"]
        for (file, line, what), (_, count, own, _, _) in entries
    ]
    print_table(["function", "calls", "own us"], rows)


def targets(results: list[dict]) -> list[dict]:
    """Return each target that was measured, with its value and whether it was met."""
    found = []
    for setting, name, column, limit in TARGETS:
        for result in results:
            for row in result["rows"]:
                if (result["setting"], row["row"]) == (setting, name):
                    noisy = column != "kept" and (result["foreign_cpu_share"] or 0) > NOISY
                    verdict = "noisy" if noisy else "met" if round(row[column], 2) <= limit else "missed"
                    entry = {"setting": setting, "row": name, "column": column, "at_most": limit}
                    found.append({**entry, "measured": row[column], "verdict": verdict})
    return found


def main() -> None:
    """Measure the settings that were asked for and print their tables."""
    parser = argparse.ArgumentParser(description="Forward plus backward of the losses beside torch.nn and the peers.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: shows that it works, not how fast it is")
    parser.add_argument("--repeats", type=int, help="rounds of every setting")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", default="", metavar="NAME", help="settings whose name contains this, as in 'x 10'")
    parser.add_argument("--profile", metavar="ROW", help="only print where the time of this row goes")
    options = parser.parse_args()
    device = torch.device(options.device)
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    settings = {
        "binary 10_000": lambda: binary(10_000, 300, device),
        "binary 1_000_000": lambda: binary(1_000_000, 51, device),
        "65_536 x 10": lambda: multiclass(65_536, 10, 15, device),
        "65_536 x 1_000": lambda: multiclass(65_536, 1000, 7, device),
    }
    host = machine(device, PEERS)
    print(json.dumps(host))
    results = []
    for name, make in settings.items():
        if options.only in name:
            setting = make()
            if options.profile:
                profile(setting, options.profile)
                continue
            rounds = options.repeats or (max(2, setting.rounds // 10) if options.quick else setting.rounds)
            results.append(measure(setting, rounds, sync))
            report(results[-1])
    reached = targets(results) if device.type == "cpu" else []
    if reached:
        print("\nTargets")
        table = [
            [x["setting"], x["row"], x["column"], f"{x['at_most']:g}", f"{x['measured']:.2f}", x["verdict"]]
            for x in reached
        ]
        print_table(["setting", "loss", "column", "at most", "measured", "verdict"], table)
    if options.json:
        options.json.write_text(json.dumps({"machine": host, "settings": results, "targets": reached}, indent=1) + "\n")


if __name__ == "__main__":
    main()
