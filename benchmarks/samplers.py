"""Samplers beside torch's own and the peer libraries: first index, whole epochs, memory kept, what they really feed.

Run, from the root of the repository:

    pip install '.[dev,peers]'
    pip install --no-deps torchsampler libauc    # both want torchvision, whose wheel fails beside CPU torch
    python -m benchmarks.samplers [--quick] [--rounds N] [--only NAME] [--json FILE]
    python -m benchmarks.samplers --markdown FILE    # the tables of the guide, from the figures in that file

Binary int64 labels, one row in a hundred a minority row. Every sampler is iterated one index after another, as
``DataLoader`` does. Once a round, in an order that changes by the round and with the garbage collector held: ``built``,
construction from the labels and the first index (for torch's weighted sampler that includes its weights, made by one
gather); ``later``, the first index of another epoch; ``epoch``, all indices of a fresh epoch. In parentheses
the median over rounds of the time of the first sampler of the table by that of this one, more is better; for epochs per
row fed, with the least and the largest. ``kept B/row``: memory that the
sampler holds per row of the data after an epoch, beside the labels. ``share off``: the largest difference between the
class shares of one epoch and those wanted. ``repeats``: rows of that epoch fed again although their class had others
left. A peer that is not installed, or fails, is listed as such. Times taken while other processes used over a tenth of
the CPUs are marked as noisy and not held against the targets.
"""

import argparse
import gc
import importlib
import importlib.util
import itertools
import json
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import RandomSampler, WeightedRandomSampler

from benchmarks._timing import ForeignCPU, alternate, digits, machine, print_titled, status
from imbalance_torch import samplers

PEERS = ("numpy", "imbalanced-learn", "torchsampler", "pytorch-metric-learning", "libauc")
NOISY = 0.1
WEIGHTED, SHUFFLED, UNDER = "torch WeightedRandomSampler", "torch RandomSampler", "imbalanced-learn RandomUnderSampler"
BALANCED, ROTATING, DRAWN = "ClassBalancedSampler", "RotatingUnderSampler", "WeightedSampler"
TORCHSAMPLER, PER_CLASS = "torchsampler ImbalancedDatasetSampler", "pytorch-metric-learning MPerClassSampler"
LIMIT = 1 << 24  # categories of torch.multinomial
TARGETS = (  # setting, sampler, against, figure, at least, whether it is a gate
    ("1_000_000 rows", BALANCED, WEIGHTED, "epoch", 3.0, True),
    ("10_000_000 rows", BALANCED, WEIGHTED, "epoch", 5.0, False),
    ("1_000_000 rows", BALANCED, WEIGHTED, "built", 4.0, False),
    ("10_000_000 rows", BALANCED, WEIGHTED, "built", 4.0, False),
    ("1_000_000 rows", BALANCED, WEIGHTED, "later", 50.0, False),
    ("10_000_000 rows", BALANCED, WEIGHTED, "later", 50.0, False),
    ("100_000 rows", BALANCED, TORCHSAMPLER, "epoch", 20.0, False),
    ("100_000 rows", BALANCED, PER_CLASS, "epoch", 20.0, False),
    ("under-sampling 1_000_000 rows", ROTATING, UNDER, "epoch", 30.0, False),
)
LATER_MS, KEPT, KEPT_GATE = 10.0, 5.0, 9.0  # at most; the slowest sampler of ours at each size; BALANCED


@dataclass(frozen=True)
class Row:
    """One sampler; ``minority`` is the share of minority rows that it is asked for."""

    name: str
    make: Callable[[], Iterable[int]]
    minority: float
    own: bool = False
    most: int = 1 << 62
    """The largest number of rows that it is measured on."""


class UnderSampled:
    """imbalanced-learn's under-sampling of the row numbers, drawn anew for every epoch."""

    def __init__(self, labels: Tensor, ratio: float) -> None:
        self.labels, self.rows = labels.numpy(), np.arange(len(labels))[:, None]
        self.sampler = importlib.import_module("imblearn.under_sampling").RandomUnderSampler(sampling_strategy=ratio)

    def __iter__(self) -> Iterator[int]:
        return iter(self.sampler.fit_resample(self.rows, self.labels)[0].ravel().tolist())


def labels_with(size: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """Return labels of which one in a hundred is 1."""
    positive = torch.randperm(size, generator=torch.Generator().manual_seed(0))[: size // 100]
    return torch.zeros(size, dtype=dtype).index_fill_(0, positive, 1)


def row_weights(labels: Tensor) -> Tensor:
    """Return 1 / n_c for each row of class c."""
    return (1 / labels.bincount().double())[labels.int()]


def peer(module: str, name: str, *args: object, **options: object) -> Callable[[], Iterable[int]]:
    """Return what makes the sampler of a peer; an ImportError if it is not installed."""
    return lambda: getattr(_import(module), name)(*args, **options)


def _import(module: str) -> ModuleType:
    """Import a module, with an empty torchvision where there is none: these samplers import it and do not use it."""
    if importlib.util.find_spec("torchvision"):
        return importlib.import_module(module)
    sys.modules["torchvision"] = ModuleType("torchvision")
    try:
        return importlib.import_module(module)
    finally:
        del sys.modules["torchvision"]


def rows_for(labels: Tensor, num_samples: int | None = None) -> list[Row]:
    """Return the samplers to compare, the first of them the reference; ``num_samples`` shortens some epochs."""
    size, array = len(labels), labels.numpy()
    share, length = float(labels.double().mean()), num_samples or len(labels)
    repeated = share * (0.1 / share) ** 0.5  # of a class below the threshold .1
    ours = partial(Row, own=True)
    return [
        Row(WEIGHTED, lambda: WeightedRandomSampler(row_weights(labels), length), 0.5),
        Row(SHUFFLED, lambda: RandomSampler(range(size), num_samples=num_samples), share),
        ours(BALANCED, lambda: samplers.ClassBalancedSampler(labels, num_samples=num_samples), 0.5),
        ours(
            f"{BALANCED}, batch_size=64",
            lambda: samplers.ClassBalancedSampler(labels, num_samples=num_samples, batch_size=64),
            0.5,
        ),
        ours(
            "BalancedBatchSampler",
            lambda: samplers.BalancedBatchSampler(labels, 64, positive_fraction=0.5, num_samples=num_samples),
            0.5,
        ),
        ours(DRAWN, lambda: samplers.WeightedSampler(row_weights(labels), length), 0.5),
        ours(ROTATING, lambda: samplers.RotatingUnderSampler(labels, ratio=0.25), 0.2),
        ours(
            "RepeatFactorSampler",
            lambda: samplers.RepeatFactorSampler(labels, threshold=0.1),
            repeated / (repeated + 1 - share),
        ),
        Row(TORCHSAMPLER, peer("torchsampler", "ImbalancedDatasetSampler", range(size), array), 0.5, most=100_000),
        Row(
            PER_CLASS,
            peer("pytorch_metric_learning.samplers", "MPerClassSampler", array, 32, 64, size),
            0.5,
            most=100_000,
        ),
        Row("LibAUC DualSampler", peer("libauc.sampler", "DualSampler", None, 64, array), 0.5, most=1_000_000),
    ]


def under_rows(labels: Tensor) -> list[Row]:
    """Return the under-samplers at four majority rows per minority row, the first of them the reference."""
    return [
        Row(UNDER, lambda: UnderSampled(labels, 0.25), 0.2),
        Row(ROTATING, lambda: samplers.RotatingUnderSampler(labels, ratio=0.25), 0.2, own=True),
    ]


def kept_bytes(sampler: object, labels: Tensor) -> int:
    """Return the bytes that a sampler holds: each storage but that of the labels once, lists with their numbers."""
    known, seen, total, queue = {labels.untyped_storage().data_ptr()}, set(), 0, [sampler]
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, type | ModuleType):
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            item = torch.from_numpy(item)
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            total += 0 if storage.data_ptr() in known else storage.nbytes()
            known.add(storage.data_ptr())
            continue
        total += sys.getsizeof(item)
        if isinstance(item, Mapping):
            queue += item.values()
        elif isinstance(item, list | tuple | set):
            queue += item
        elif hasattr(item, "__dict__"):
            queue.append(vars(item))
    return total


def feeds(sampler: Iterable[int], labels: Tensor, minority: float) -> dict[str, float]:
    """Draw one epoch and say what is in it."""
    rows = torch.from_numpy(np.fromiter(sampler, np.int64))
    counts, fed = labels.bincount(minlength=2), labels[rows].bincount(minlength=2)
    again = len(rows) - int((rows.bincount(minlength=len(labels)) > 0).sum())
    return {
        "rows": len(rows),
        "share_off": abs(float(fed[1]) / len(rows) - minority),
        "duplicates": again,
        "repeats": again - int((fed - counts).clamp(min=0).sum()),
        "above_limit": float((rows >= LIMIT).double().mean()),
    }


def next_epoch(sampler: Iterable[int], numbers: Iterator[int]) -> None:
    """Go to the beginning of an epoch not seen before; the peers do so by themselves."""
    if isinstance(sampler, torch.utils.data.DistributedSampler):
        sampler.set_epoch(next(numbers))


def run_through(sampler: Iterable[int]) -> None:
    """Take every index, one after another."""
    for _ in sampler:
        pass


def measure(name: str, labels: Tensor, rows: list[Row], rounds: int) -> dict:
    """Look at an epoch of every sampler, then time them all; return the figures, and why rows are missing."""
    made: dict[str, Iterable[int]] = {}
    figures: dict[str, dict] = {}
    missing: dict[str, str] = {}
    for row in rows:
        try:
            made[row.name] = sampler = row.make()
            figures[row.name] = {"row": row.name, "own": row.own, **feeds(sampler, labels, row.minority)}
        except Exception as error:  # a peer may fail in any way
            made.pop(row.name, None)
            missing[row.name] = reason(error)
            continue
        figures[row.name]["kept"] = kept_bytes(sampler, labels) / len(labels)
    alive: list[Iterator[int]] = []  # what is left of an epoch is freed outside the clock
    numbers = itertools.count(10)

    def before() -> None:
        alive.clear()
        gc.collect()

    def built(make: Callable[[], Iterable[int]]) -> None:
        alive.append(iter(make()))
        next(alive[0])

    def later(sampler: Iterable[int]) -> None:
        next_epoch(sampler, numbers)
        alive.append(iter(sampler))
        next(alive[0])

    def epoch(sampler: Iterable[int]) -> None:
        next_epoch(sampler, numbers)
        run_through(sampler)

    steps = {(row.name, "built"): partial(built, row.make) for row in rows if row.name in made}
    steps |= {(row, what.__name__): partial(what, sampler) for row, sampler in made.items() for what in (later, epoch)}
    gc.freeze()
    gc.disable()
    foreign = ForeignCPU()
    seconds = alternate(steps, rounds, before=before, sync=lambda: None)
    share = foreign.share()
    gc.enable()
    gc.unfreeze()
    for (row, what), times in seconds.items():
        figures[row][what] = [round(1e3 * value, 5) for value in times]
    return {
        "setting": name,
        "rounds": rounds,
        "foreign_cpu_share": share,
        "rows": list(figures.values()),
        "missing": missing,
    }


def reason(error: Exception) -> str:
    """Say why a sampler is missing."""
    kind = {ModuleNotFoundError: "not installed", AttributeError: "not available"}.get(type(error), "failed")
    return f"{kind} ({type(error).__name__}: {' '.join(str(error).split())[:160]})"


def large(name: str, size: int) -> dict:
    """Measure one sampler once on uint8 labels, with the peak of resident memory; for a process of its own."""
    labels = labels_with(size, torch.uint8)
    row = next(row for row in rows_for(labels, num_samples=size // 30) if row.name == name)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is resident
    held, foreign, figures = status("VmRSS"), ForeignCPU(), {"row": name, "own": row.own}

    def clock(what: str, call: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = call()
        figures[what] = [1e3 * (time.perf_counter() - start)]
        return result

    try:
        sampler = clock("construction", row.make)
        alive = iter(sampler)
        clock("first", partial(next, alive))
        next_epoch(sampler, itertools.count(1))
        alive = iter(sampler)
        clock("later", partial(next, alive))
        next_epoch(sampler, itertools.count(2))
        clock("epoch", partial(run_through, sampler))
    except RuntimeError as error:
        return {**figures, "missing": reason(error)}
    figures["peak"] = (status("VmHWM") - held) / size
    figures["foreign_cpu_share"] = foreign.share()
    if row.own:
        state = sampler.state_dict()
        figures |= {"pickled": len(pickle.dumps(state)), "json": len(json.dumps(state))}
    figures["kept"] = kept_bytes(sampler, labels) / size
    return {**figures, **feeds(sampler, labels, row.minority)}


def measure_large(size: int, rounds: int) -> dict:
    """Run ``large`` for torch's samplers and ours, in turn, ``rounds`` times each."""
    found: dict[str, dict] = {}
    for _ in range(rounds):
        for name in (WEIGHTED, SHUFFLED, BALANCED, DRAWN, ROTATING):
            command = [sys.executable, "-m", "benchmarks.samplers", "--large", name, str(size)]
            run = subprocess.run(command, capture_output=True, text=True)
            figures = json.loads(run.stdout) if run.returncode == 0 else {"missing": run.stderr.splitlines()[-1]}
            before = found.setdefault(name, figures)
            if before is not figures:
                for key in ("construction", "first", "later", "epoch"):
                    if key in figures:
                        before[key] += figures[key]
    rows = [row for row in found.values() if "missing" not in row]
    return {
        "setting": f"{size:_} rows, uint8",
        "size": size,
        "rounds": rounds,
        "foreign_cpu_share": max((row["foreign_cpu_share"] or 0.0 for row in rows), default=None),
        "rows": rows,
        "missing": {name: row["missing"] for name, row in found.items() if "missing" in row},
    }


def limits() -> list[dict]:
    """Draw from equal weights on both sides of 2^24 rows: the share of the upper half, or what was raised."""
    makers = {WEIGHTED: WeightedRandomSampler, DRAWN: getattr(samplers, DRAWN, None)}
    found = []
    for name, size in itertools.product([name for name, make in makers.items() if make], (LIMIT, LIMIT + 1)):
        try:
            rows = np.fromiter(makers[name](torch.ones(size), 100_000), np.int64)
            outcome = f"{(rows >= size // 2).mean():.3f} of the draws in the upper half"
        except RuntimeError as error:
            outcome = reason(error)
        found.append({"row": name, "size": size, "outcome": outcome})
    return found


def ratios(row: dict, other: dict, what: str) -> list[float]:
    """Return by round how many times sooner ``row`` is done than ``other``, for epochs per row fed."""
    scale = row["rows"] / other["rows"] if what == "epoch" else 1.0
    return [scale * theirs / ours for theirs, ours in zip(other[what], row[what], strict=True)]


def table(result: dict) -> list[list[str]]:
    """Return the cells of a setting, header first."""
    lines = [["sampler", "rows", "built ms", "later ms", "epoch ms", "kept B/row", "share off", "repeats"]]
    for row in result["rows"]:
        cells = []
        for what in ("built", "later", "epoch"):
            by_round = ratios(row, result["rows"][0], what)
            spread = f", {digits(min(by_round))}-{digits(max(by_round))}" if what == "epoch" else ""
            median = digits(statistics.median(by_round))
            cells.append(f"{digits(statistics.median(row[what]))} ({median}x{spread})")
        fed = [digits(row["kept"]), f"{row['share_off']:.4f}", f"{row['repeats']:_}"]
        lines.append([row["row"], f"{row['rows']:_}", *cells, *fed])
    return lines


def large_table(result: dict) -> list[list[str]]:
    """Return the cells of the large setting, header first."""
    times = ["construction", "first", "later", "epoch"]
    lines = [
        ["sampler", "rows", *(f"{what} ms" for what in times), "kept B/row", "peak B/row", "state B", "above 2^24"]
    ]
    for row in result["rows"]:
        cells = [digits(statistics.median(row[what])) for what in times]
        state = f"{row['pickled']} pickled, {row['json']} JSON" if "pickled" in row else "none"
        bytes_per_row = [digits(row["kept"]), digits(row["peak"])]
        lines.append([row["row"], f"{row['rows']:_}", *cells, *bytes_per_row, state, f"{row['above_limit']:.4f}"])
    return lines


def targets(found: dict) -> list[list[str]]:
    """Return each target that was measured, what was found, and whether it was met, header first."""
    results = {result["setting"]: result for result in found["settings"]}
    figures = {(name, row["row"]): row for name, result in results.items() for row in result["rows"]}
    lines = [["setting", "sampler", "figure", "target", "found", "worst round", "verdict"]]

    def judge(setting: str, met: bool, gate: bool) -> str:
        noisy = (results[setting]["foreign_cpu_share"] or 0) > NOISY
        return "noisy" if noisy else "met" if met else "GATE MISSED" if gate else "missed"

    for setting, name, against, what, least, gate in TARGETS:
        if (setting, name) in figures and (setting, against) in figures:
            by_round = ratios(figures[setting, name], figures[setting, against], what)
            median = statistics.median(by_round)
            verdict = judge(setting, round(median, 2) >= least, gate)
            figure, worst = f"{what}, {against} by this", f"{digits(min(by_round))}x"
            lines.append([setting, name, figure, f">= {least:g}x", f"{digits(median)}x", worst, verdict])
    for setting, result in results.items():
        own = [(statistics.median(row["later"]), row["row"], max(row["later"])) for row in result["rows"] if row["own"]]
        if own:
            median, name, worst = max(own)
            cells = [f"<= {LATER_MS:g} ms", f"{digits(median)} ms", f"{digits(worst)} ms"]
            lines.append([setting, name, "later, slowest of ours", *cells, judge(setting, median <= LATER_MS, False)])
    if ("1_000_000 rows", BALANCED) in figures:
        kept = figures["1_000_000 rows", BALANCED]["kept"]
        verdict = "met" if kept <= KEPT else "GATE MISSED" if kept >= KEPT_GATE else "missed"
        cells = [f"<= {KEPT:g} B", f"{digits(kept)} B", "-", verdict]
        lines.append(["1_000_000 rows", BALANCED, "kept per row", *cells])
    return lines


def report(found: dict, markdown: bool) -> None:
    """Print everything that was found, as text or as Markdown."""
    for result in found["settings"]:
        share = result["foreign_cpu_share"]
        noise = " (noisy: times not to be used)" if (share or 0) > NOISY else ""
        foreign = "unknown" if share is None else f"{share:.0%}{noise}"
        title = f"{result['setting']} (rounds: {result['rounds']}, CPU used by others: {foreign})"
        header, *rows = (large_table if "size" in result else table)(result)
        print_titled(title, header, rows, markdown=markdown)
        for name, text in result["missing"].items():
            print(f"\n{name}: {text}")
    if found["limits"]:
        outcomes = [[x["row"], f"{x['size']:_}", x["outcome"]] for x in found["limits"]]
        header = ["sampler", "weights", "outcome"]
        print_titled("Equal weights, 100_000 draws", header, outcomes, markdown=markdown)
    lines = targets(found)
    if len(lines) > 1:
        print_titled("Targets", lines[0], lines[1:], markdown=markdown)


def main() -> None:
    """Measure the settings that were asked for and print their tables."""
    parser = argparse.ArgumentParser(description="Samplers beside those of torch and the peers.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, few rounds: shows that it works")
    parser.add_argument("--rounds", type=int, help="rounds of every setting")
    parser.add_argument(
        "--only", default="", metavar="NAME", help="settings whose name contains this, as in '10_000_000'"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="only print the figures of this file")
    parser.add_argument("--large", nargs=2, metavar=("NAME", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large:
        print(json.dumps(large(options.large[0], int(options.large[1]))))
        return
    if options.markdown:
        report(json.loads(options.markdown.read_text()), markdown=True)
        return
    host = machine(torch.device("cpu"), PEERS)
    print(json.dumps(host))
    scale = 100 if options.quick else 1

    def rounds_of(usual: int) -> int:
        return options.rounds or (2 if options.quick else usual)

    results = []
    for full, usual in ((100_000, 7), (1_000_000, 9), (10_000_000, 3)):
        size = full // scale
        if options.only in (name := f"{size:_} rows"):
            labels = labels_with(size)
            rows = [row for row in rows_for(labels) if full <= row.most]
            results.append(measure(name, labels, rows, rounds_of(usual)))
    size = 1_000_000 // scale
    if options.only in (name := f"under-sampling {size:_} rows"):
        labels = labels_with(size)
        results.append(measure(name, labels, under_rows(labels), rounds_of(15)))
    size = 30_000_000 // scale
    if options.only in f"{size:_} rows, uint8":
        results.append(measure_large(size, options.rounds or (1 if options.quick else 3)))
    found = {"machine": host, "settings": results, "limits": limits() if options.only in "limits" else []}
    report(found, markdown=False)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
