"""From a file or tensors to batches, beside torch's loader and pyarrow's own reading: time, and memory of the stream.

Run, from the root of the repository:

    python -m benchmarks.data [--quick] [--huge] [--rounds N] [--only NAME] [--json FILE]
    python -m benchmarks.data --markdown FILE    # the tables of the guide, from the figures in that file

``loading``: one epoch of 300,000 rows of 30 float32 columns and a label, one in a hundred of class 1, in memory.
``streaming``: one epoch of a generated Parquet file of four columns in row groups of 262,144 rows, against pyarrow's
two scans of the same columns, of which the faster one judges the target. ``memory``: what the process holds at most
beyond what it held before the stream was built, for one epoch in a process of its own (``--huge``: also for 100
million rows, in a temporary file of 0.9 GB).
``table``: the 3-million-row flights file of the folder in IMBALANCE_TORCH_DATA, or a generated table of the same shape,
read, split and encoded for training, against ``pyarrow.parquet.read_table``; with and without the leak audit.

Once a round, in an order that changes by the round; ``streaming`` takes three times the rounds of the others, as the
times of a threaded scan vary most. In parentheses the median over rounds of the time of the first row
of the table by that of this one, with the least and the largest: more is better. Times taken while other processes
used over a tenth of the CPUs are marked as noisy and not held against the targets.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

from benchmarks._timing import ForeignCPU, alternate, digits, machine, print_titled, status
from imbalance_torch.data import ParquetStream, TensorLoader
from imbalance_torch.samplers import ClassBalancedSampler, ShuffledSampler

PACKAGES = ("numpy", "pyarrow", "pandas", "lightning")
NOISY = 0.1
TORCH, BATCHED, BARE = "DataLoader(TensorDataset, shuffle=True)", "DataLoader(batch_size=None)", "bare index_select"
LOADER = "TensorLoader"
SCAN, DATASET, STREAM = "ParquetFile.iter_batches", "dataset.to_batches", "ParquetStream(ratio=0.25)"
READ, ENCODED = "pyarrow.parquet.read_table", "TabularDataModule, encoded"
BATCH_SIZES = (256, 1024, 4096)
GROUP = 1 << 18
TARGETS = (  # setting, row, against the fastest of, how many times as fast at least, whether it is a gate
    ("loading 300_000 rows, batch size 256", LOADER, [TORCH], 20.0, False),
    ("loading 300_000 rows, batch size 1_024", LOADER, [TORCH], 50.0, True),
    ("loading 300_000 rows, batch size 4_096", LOADER, [TORCH], 90.0, False),
    *((f"loading 300_000 rows, batch size {size:_}", LOADER, [BARE], 1 / 2.5, False) for size in BATCH_SIZES),
    ("streaming 10_000_000 rows", STREAM, [SCAN, DATASET], 1 / 3, False),
    ("table 3_000_000 rows", ENCODED, [READ], 1 / 3, False),
)
SMALL, LARGE, FLAT = "10_000_000 rows", "100_000_000 rows", 1.5  # times the memory for ten times the rows, at most


class Batched(Dataset):
    """Indexed by a tensor of row numbers, a batch at once."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, rows: Tensor) -> list[Tensor]:
        return [tensor.index_select(0, rows) for tensor in self.tensors]


class Batches(Sampler):
    """Row numbers of whole batches."""

    def __init__(self, rows: int, batch_size: int) -> None:
        self.rows, self.batch_size = rows, batch_size

    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.randperm(self.rows).split(self.batch_size))


def run_through(batches: Iterable[object]) -> None:
    """Take every batch, one after another."""
    for _ in batches:
        pass


def select(x: Tensor, y: Tensor, batch_size: int) -> None:
    """Go through a random order by index_select and nothing else."""
    for rows in torch.randperm(len(y)).split(batch_size):
        x.index_select(0, rows)
        y.index_select(0, rows)


def measure(name: str, size: int, steps: dict[str, Callable[[], object]], rounds: int) -> dict:
    """Time every step, the first one the reference."""
    for step in steps.values():
        step()
    gc.collect()
    foreign = ForeignCPU()
    seconds = alternate(steps, rounds, before=gc.collect, sync=lambda: None)
    rows = [{"row": row, "seconds": [round(value, 6) for value in times]} for row, times in seconds.items()]
    return {"setting": name, "size": size, "rounds": rounds, "foreign_cpu_share": foreign.share(), "rows": rows}


def loading(size: int, batch_size: int, rounds: int) -> dict:
    """Measure one epoch from tensors in memory."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 30, generator=generator)
    y = (torch.rand(size, generator=generator) < 0.01).long()
    loaders = {
        TORCH: DataLoader(TensorDataset(x, y), batch_size, shuffle=True),
        BATCHED: DataLoader(Batched(x, y), batch_size=None, sampler=Batches(size, batch_size)),
        LOADER: TensorLoader(x, y, batch_size=batch_size, sampler=ShuffledSampler(y, batch_size=batch_size)),
        f"{LOADER}, ClassBalancedSampler": TensorLoader(
            x, y, batch_size=batch_size, sampler=ClassBalancedSampler(y, batch_size=batch_size)
        ),
        f"{LOADER}, in order": TensorLoader(x, y, batch_size=batch_size),
    }
    steps = {name: partial(run_through, loader) for name, loader in loaders.items()}
    steps[BARE] = partial(select, x, y, batch_size)
    return measure(f"loading {size:_} rows, batch size {batch_size:_}", size, steps, rounds)


def generate(file: Path, size: int) -> Path:
    """Write a table of four columns, one row in a hundred of class 1."""
    random = np.random.Generator(np.random.PCG64(0))
    types = pa.schema([("a", pa.float32()), ("b", pa.int16()), ("c", pa.int8()), ("y", pa.int8())])
    with pq.ParquetWriter(file, types) as writer:
        for start in range(0, size, GROUP):
            rows = min(GROUP, size - start)
            columns = {
                "a": random.standard_normal(rows, dtype=np.float32),
                "b": random.integers(0, 1000, rows, dtype=np.int16),
                "c": random.integers(0, 100, rows, dtype=np.int8),
                "y": (random.random(rows, dtype=np.float32) < 0.01).astype(np.int8),
            }
            writer.write_table(pa.table(columns, types))
    return file


def streaming(file: Path, size: int, rounds: int) -> dict:
    """Measure one epoch of a file against the two scans of it."""
    balanced = ParquetStream(file, target="y", ratio=0.25, batch_size=4096)
    steps = {
        SCAN: lambda: run_through(pq.ParquetFile(file).iter_batches(1 << 16)),
        DATASET: lambda: run_through(pyarrow.dataset.dataset(file).to_batches()),
        STREAM: partial(run_through, balanced),
        "ParquetStream, all rows": partial(run_through, ParquetStream(file, target="y", batch_size=4096)),
        "ParquetStream, construction": partial(ParquetStream, file, target="y"),
    }
    return measure(f"streaming {size:_} rows", size, steps, rounds)


def peak(file: Path) -> int:
    """Return by how many bytes one epoch raises the peak of resident memory; for a process of its own."""
    run_through(pq.ParquetFile(file).iter_batches(1 << 16, row_groups=[0]))  # pyarrow's threads and pools are there
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at what is resident
    held = status("VmRSS")
    run_through(ParquetStream(file, target="y", ratio=0.25, batch_size=4096))
    return status("VmHWM") - held


def memory(files: dict[int, Path]) -> dict:
    """Measure the memory of an epoch for each size."""
    rows = []
    for size, file in files.items():
        command = [sys.executable, "-m", "benchmarks.data", "--peak", str(file)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"row": f"{size:_} rows", "file": file.stat().st_size, "peak": int(run.stdout)})
    return {"setting": "memory", "rows": rows}


def flights() -> tuple[Path | None, str]:
    """Return the flights file, or why it is not there."""
    folder = os.environ.get("IMBALANCE_TORCH_DATA")
    if not folder:
        return None, "IMBALANCE_TORCH_DATA is not set"
    file = Path(folder) / "flights_3m_delay120.parquet"
    return (file, str(file.name)) if file.is_file() else (None, f"{folder} holds no {file.name}")


def like_flights(file: Path, size: int) -> Path:
    """Write a table with the columns of the flights file."""
    random = np.random.Generator(np.random.PCG64(0))

    def airports() -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array(random.integers(0, 230, size, dtype=np.int16)), [f"A{code}" for code in range(230)]
        )

    columns = {
        "minute": np.sort(random.integers(0, 500_000, size, dtype=np.int32)),
        "distance": random.integers(50, 3000, size, dtype=np.int16),
        "origin": airports(),
        "destination": airports(),
        "delay_min": random.integers(-30, 200, size, dtype=np.int16),
        "y": (random.random(size, dtype=np.float32) < 0.0145).astype(np.int8),
    }
    pq.write_table(pa.table(columns), file)
    return file


def table(file: Path, note: str, rounds: int) -> dict:
    """Measure reading, splitting and encoding against reading alone."""
    from imbalance_torch.training import TabularDataModule  # brings Lightning, which the others do not need

    def module() -> TabularDataModule:
        return TabularDataModule(str(file), "y", time="minute", drop=["delay_min"])

    steps = {
        READ: partial(pq.read_table, file),
        "read_table, to_pandas": lambda: pq.read_table(file).to_pandas(),
        ENCODED: lambda: module().x,
        "TabularDataModule, encoded and audited": lambda: module().setup(),
    }
    size = pq.read_metadata(file).num_rows
    return measure(f"table {size:_} rows", size, steps, rounds) | {"note": note}


def ratios(row: dict, other: dict) -> list[float]:
    """Return by round how many times as fast ``row`` is as ``other``."""
    return [theirs / ours for theirs, ours in zip(other["seconds"], row["seconds"], strict=True)]


def cells(result: dict) -> list[list[str]]:
    """Return the cells of a setting, header first."""
    if result["setting"] == "memory":
        lines = [["stream", "file MB", "peak MB"]]
        return lines + [[row["row"], digits(row["file"] / 1e6), digits(row["peak"] / 1e6)] for row in result["rows"]]
    lines = [["one epoch", "ms", "million rows/s", "times as fast"]]
    for row in result["rows"]:
        seconds, by_round = statistics.median(row["seconds"]), ratios(row, result["rows"][0])
        speed = f"{digits(statistics.median(by_round))}x, {digits(min(by_round))}-{digits(max(by_round))}"
        lines.append([row["row"], digits(1e3 * seconds), digits(result["size"] / seconds / 1e6), speed])
    return lines


def targets(measured: dict) -> list[list[str]]:
    """Return each target that was measured, what was found, and whether it was met, header first."""
    results = {result["setting"]: result for result in measured["settings"]}
    lines = [["setting", "row", "against", "target", "found", "worst round", "verdict"]]
    for setting, name, others, least, gate in TARGETS:
        if setting not in results:
            continue
        rows = {row["row"]: row for row in results[setting]["rows"]}
        against = min(others, key=lambda other: statistics.median(rows[other]["seconds"]))
        by_round = ratios(rows[name], rows[against])
        median = statistics.median(by_round)
        met = "met" if median >= least else "GATE MISSED" if gate else "missed"
        verdict = "noisy" if (results[setting]["foreign_cpu_share"] or 0) > NOISY else met
        figures = [f">= {digits(least)}x", f"{digits(median)}x", f"{digits(min(by_round))}x"]
        lines.append([setting, name, against, *figures, verdict])
    peaks = {row["row"]: row["peak"] for row in results.get("memory", {"rows": []})["rows"]}
    if SMALL in peaks:
        found, verdict = "-", "not measured in this file; run with --huge"
        if LARGE in peaks:
            grown = peaks[LARGE] / peaks[SMALL]
            found, verdict = f"{digits(grown)}x", "met" if grown <= FLAT else "missed"
        lines.append(["memory", LARGE, SMALL, f"<= {FLAT}x", found, "-", verdict])
    return lines


def report(found: dict, markdown: bool) -> None:
    """Print everything that was found, as text or as Markdown."""
    for result in found["settings"]:
        title = result["setting"]
        if "size" in result:
            share = result["foreign_cpu_share"]
            noise = " (noisy: times not to be used)" if (share or 0) > NOISY else ""
            foreign = "unknown" if share is None else f"{share:.0%}{noise}"
            source = f", {result['note']}" if "note" in result else ""
            title += f"{source} (rounds: {result['rounds']}, CPU used by others: {foreign})"
        header, *rows = cells(result)
        print_titled(title, header, rows, markdown=markdown)
    lines = targets(found)
    if len(lines) > 1:
        print_titled("Targets", lines[0], lines[1:], markdown=markdown)


def main() -> None:
    """Measure the settings that were asked for and print their tables."""
    parser = argparse.ArgumentParser(description="Loading and streaming beside torch's loader and pyarrow's scan.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, few rounds: shows that it works")
    parser.add_argument("--huge", action="store_true", help="memory for 100 million rows as well")
    parser.add_argument("--rounds", type=int, help="rounds of every setting; streaming takes three times as many")
    parser.add_argument("--only", default="", metavar="NAME", help="settings whose name contains this, as in 'loading'")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="only print the figures of this file")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak(options.peak))
        return
    if options.markdown:
        report(json.loads(options.markdown.read_text()), markdown=True)
        return
    host = machine(torch.device("cpu"), PACKAGES)
    print(json.dumps(host))
    scale = 100 if options.quick else 1
    rounds = options.rounds or (2 if options.quick else 7)
    results = []
    for batch_size in BATCH_SIZES:
        size = 300_000 // scale
        if options.only in f"loading {size:_} rows, batch size {batch_size:_}":
            results.append(loading(size, batch_size, rounds))
    with tempfile.TemporaryDirectory() as folder:
        if options.only in "streaming" or options.only in "memory":
            sizes = [10_000_000 // scale, *([100_000_000 // scale] if options.huge else [])]
            files = {size: generate(Path(folder) / f"{size}.parquet", size) for size in sizes}
            if options.only in "streaming":
                results.append(streaming(files[sizes[0]], sizes[0], 3 * rounds))
            if options.only in "memory":
                results.append(memory(files))
        if options.only in "table":
            file, note = flights()
            if file is None or options.quick:
                note = f"generated ({'--quick' if options.quick else note})"
                file = like_flights(Path(folder) / "flights.parquet", 3_000_000 // scale)
            results.append(table(file, note, rounds))
    found = {"machine": host, "settings": results}
    report(found, markdown=False)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
