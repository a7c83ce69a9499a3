"""How well the default detector ranks beside tuned gradient boosting: the fraud benchmark, real tables, open questions.

Run, from the root of the repository:

    python -m benchmarks.quality [--data FOLDER] [--part handbook|tables|regularisation|speed|all] [--only NAME]
                                 [--batch-size N ...] [--cache FILE] [--minutes N] [--json FILE] [--smoke]
    python -m benchmarks.quality --markdown FILE    # the tables of the guide, from the figures in that file

FOLDER (or IMBALANCE_TORCH_DATA) holds one Parquet file for each set; a set whose file is not there is listed. Every
result goes to the cache at once, a line of JSON each, and is not measured again: an interrupted run goes on, and
``--minutes 0`` prints the tables of what the cache has, with "not measured" for the rest. All of it takes some 40
minutes on two cores that nothing else uses.

``handbook``: the published transactions of the Fraud Detection Handbook, four prequential folds from 25 July 2018 on (7
days of training, 7 of delay, 7 of test without the cards whose fraud is known by then), five seeds, beside XGBoost with
the best of nine settings on the Handbook's validation folds. ``tables``: 56 % training, 14 % validation and 30 % test,
in time order or stratified. Our recipe is one for all sets and sees no validation row; of LightGBM, XGBoost and
HistGradientBoosting, each with four settings, with and without balanced class weights, early stopping and the choice
use the validation rows of the set. ``regularisation``: variants of the recipe on what it was not decided on, fresh
simulations of card transactions and splits not used before: dropout .2 and weight decay .1 for .1 and 1e-4 ("heavy"),
and without the logarithms. ``speed``: one epoch on a million rows beside a bare loop over the same tensors, with the
trainer's CSV logger, checkpoint and progress bar.

AP is the average precision, macro-averaged beyond two classes. Intervals hold 95 % of 1,000 stratified bootstrap
replicates of the test rows, the same rows for both models; with several seeds, of the mean over seeds. They tell of the
sampling of test rows. Test rows of the splits of one set overlap, so intervals of means over splits are too narrow.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks._quality_data import DAY, load, split
from benchmarks._quality_models import (
    GRIDS,
    HANDBOOK,
    NETWORKS,
    PATIENCE,
    Budget,
    average_precision,
    handbook_xgboost,
    tuned,
)
from benchmarks._quality_report import report
from benchmarks._quality_speed import BATCH_SIZE, speed
from benchmarks._quality_summary import OTHER, Cell, Records, summary
from benchmarks._timing import ForeignCPU, machine
from imbalance_torch.metrics import card_precision_at_k
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision
from imbalance_torch.training import Settings
from imbalance_torch.training._datamodule import DEFAULT_BLOCKS

PARTS = ("handbook", "tables", "regularisation", "speed")
BATCHES = "batch size of the networks; of several the Handbook's table has all, the others the first"
PACKAGES = ("numpy", "pandas", "scikit-learn", "lightgbm", "xgboost", "lightning", "tabm")
DIFFERS = (
    "1,500 steps on the Handbook too (prototype: 12 epochs, 1,572 steps)",
    "the batch size that is named (512)",
    "range clip on every set (none in the Handbook's runs)",
    "softmax over two logits (one sigmoid logit)",
    "cosine warm-up from a 25th of the learning rate (linear)",
    "embeddings of categories (one-hot)",
    "weekend and night as numbers in all three blocks (the same columns)",
)
TABLES = {  # (set, split) -> seeds of the network
    **{("mammography", f"split {seed}"): (seed,) for seed in range(3)},
    **{("htru2", f"split {seed}"): (seed,) for seed in range(3)},
    ("bank_marketing", "split 0"): (0,),
    ("bank_marketing", "time"): (0, 1),
    ("covtype, 100_000 rows", "split 0"): (0,),
    ("fars_severity", "split 0"): (0,),
    ("ulb_creditcard", "time"): (0, 1),
    ("nyc_flights", "time"): (0, 1),
}
FRESH = {
    **{(f"cards {seed}", "fold 0"): (0,) for seed in (100, 101, 102)},
    ("mammography", "split 3"): (3,),
    ("mammography", "split 4"): (4,),
    ("htru2", "split 3"): (3,),
    ("covtype, 100_000 rows", "split 0"): (0,),
    ("fars_severity", "split 0"): (0,),
}
VARIANTS = ("TabM", "TabM, heavy", "TabM, without log")


def plan(parts: list[str], batch_sizes: list[int], only: str, smoke: bool) -> list[Cell]:
    """Return every result that the tables need."""
    folds, seeds, tables, fresh, size = range(4), range(5), TABLES, FRESH, 1_000_000
    cards, first = "handbook", batch_sizes[0]
    if smoke:
        folds, seeds, cards, size = range(1), range(1), "smoke cards", 5_000
        tables = fresh = {("smoke flights", "split 0"): (0,)}
    cells = [
        Cell("handbook", cards, f"fold {fold}", seed, model, batch_size)
        for seed in seeds
        for fold in folds
        for model, sizes in (("TabM", batch_sizes), ("MLP", batch_sizes), (OTHER, [0]))
        for batch_size in sizes
    ]
    for place, own in tables.items():
        cells += [Cell("tables", *place, 0, library, 0) for library in GRIDS]
        cells += [Cell("tables", *place, seed, "TabM", first) for seed in own]
    for place, own in fresh.items():
        cells += [Cell("regularisation", *place, seed, model, first) for seed in own for model in VARIANTS]
    cells.append(Cell("speed", f"{size:_} rows", "", 0, "MLP", BATCH_SIZE))
    return [cell for cell in cells if cell.part in parts and only in cell.set]


def measure(cell: Cell, folder: Path, budget: Budget, replicates: int) -> dict[str, Any]:
    """Fit one model on one split and return its figures on the test rows."""
    table = load(cell.set, folder)
    parts = split(table, cell.split)
    train, test = table.take(parts.train), table.take(parts.test)
    X, y = test
    foreign = ForeignCPU()
    if cell.model in GRIDS:
        fitted = tuned(cell.model, train, table.take(parts.val), test, budget)
    elif cell.model == OTHER:
        fitted = handbook_xgboost(train, X, cell.seed, budget)
    else:
        fitted = NETWORKS[cell.model](train, X, cell.seed, replace(budget, batch_size=cell.batch_size))
    binary = table.y.max() == 1
    positive = fitted.probability[:, 1]
    record = {
        "rows": [0 if rows is None else len(rows) for rows in parts],
        "positives": int(np.bincount(y)[1:].min()),
        "prevalence": float((y > 0).mean()),
        "ap": average_precision(fitted.probability, y),
        "auroc": float(roc_auc_score(y, positive)) if binary else None,
        "expected": float(positive.sum()) if binary else None,
        "fit_seconds": round(fitted.fit_seconds, 3),
        "score_seconds": round(fitted.score_seconds, 3),
        "foreign_cpu_share": foreign.share(),
        **fitted.facts,
        "replicates": bootstrap(fitted.probability, y, f"{cell.set} {cell.split}", replicates).round(6).tolist(),
    }
    if cell.split.startswith("fold"):
        days, cards = (torch.from_numpy(column[parts.test]) for column in (table.time // DAY, table.card))
        scores = torch.from_numpy(positive).double()
        record["card_precision"] = float(card_precision_at_k(scores, torch.from_numpy(y), days, cards.long(), 100))
    return record


def bootstrap(probability: np.ndarray, y: np.ndarray, place: str, number: int) -> np.ndarray:
    """Return replicates of the average precision: the same rows for every model of a place, other rows elsewhere.

    Beyond two classes each class is drawn on its own.
    """
    seed = zlib.crc32(place.encode())
    classes = [1] if probability.shape[1] == 2 else np.unique(y).tolist()
    drawn = [
        bootstrap_average_precision(probability[None, :, label], y == label, num_replicates=number, seed=seed + label)
        for label in classes
    ]
    return np.mean(drawn, axis=0)[:, 0]


class Cache:
    """Records by what they depend on, in a file (None: in memory) that grows by one line each."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        text = file.read_text() if file and file.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # an interruption left half a line
            file.write_text(whole)
        lines = [json.loads(line) for line in whole.splitlines()]
        self.records: Records = {tuple(line["key"]): line["record"] for line in lines}

    def add(self, cell: Cell, record: dict[str, Any]) -> None:
        """Keep a record."""
        self.records[cell.key] = record
        if self.file:
            with self.file.open("a") as stream:
                stream.write(json.dumps({"key": cell.key, "record": record}) + "\n")


def run(cells: list[Cell], cache: Cache, measure: Callable[[Cell], dict[str, Any]], minutes: float) -> dict[str, str]:
    """Measure what the cache lacks, until the time is over or Ctrl-C; return what could not be measured and why."""
    skipped: dict[str, str] = {}
    todo = list({cell.key: cell for cell in cells if cell.key not in cache.records}.values())
    end = time.monotonic() + 60 * minutes
    for number, cell in enumerate(todo, start=1):
        name = " ".join(str(part) for part in cell if part != "")
        if cell.set in skipped:
            continue
        if time.monotonic() >= end:
            break
        start = time.perf_counter()
        try:
            record = measure(cell)
        except KeyboardInterrupt:
            break
        except FileNotFoundError as error:
            skipped[cell.set] = str(error)
            continue
        except Exception as error:  # the other results are worth having
            skipped[name] = f"{type(error).__name__}: {error}"
            continue
        cache.add(cell, record)
        figure = f" AP {record['ap']:.4f}" if "ap" in record else ""
        print(f"[{number}/{len(todo)}] {name}{figure} {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return skipped


def main() -> None:
    """Measure what was asked for and print its tables."""
    parser = argparse.ArgumentParser(description="The default detector beside tuned gradient boosting.")
    parser.add_argument("--data", type=Path, help="folder of the Parquet files (default: IMBALANCE_TORCH_DATA)")
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all", help="part to measure")
    parser.add_argument("--only", default="", metavar="NAME", help="sets whose name contains this")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[Budget().batch_size], metavar="N", help=BATCHES)
    parser.add_argument("--cache", type=Path, help="file of all results, in which an interrupted run goes on")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing later; 0: only the tables")
    parser.add_argument("--smoke", action="store_true", help="a few seconds on small data: shows that it works")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="only print the figures of this file")
    options = parser.parse_args()
    if options.markdown:
        report(json.loads(options.markdown.read_text()), markdown=True)
        return
    environment = os.environ.get("IMBALANCE_TORCH_DATA")
    folder = options.data or (Path(environment) if environment else None)
    budget, replicates, rounds = (Budget(20, rounds=10, grid=1), 20, 1) if options.smoke else (Budget(), 1_000, 3)
    parts = list(PARTS) if options.part == "all" else [options.part]
    cells = plan(parts, options.batch_size, options.only, options.smoke)

    def result(cell: Cell) -> dict[str, Any]:
        return (
            speed(int(cell.set.split()[0]), rounds)
            if cell.part == "speed"
            else measure(cell, folder, budget, replicates)
        )

    cache = Cache(options.cache)
    skipped = run(cells, cache, result, options.minutes)
    shares = {part: foreign_share(cells, cache.records, part) for part in parts}
    found = {
        "machine": machine(torch.device("cpu"), PACKAGES),
        "settings": {
            "recipe": {
                **asdict(Settings(max_steps=budget.max_steps, batch_size=options.batch_size[0])),
                "blocks": DEFAULT_BLOCKS,
            },
            "batch_sizes": options.batch_size,
            "boosting": {"grids": GRIDS, "rounds": budget.rounds, "patience": PATIENCE, "handbook": HANDBOOK},
            "replicates": replicates,
            "differs_from_prototype": DIFFERS,
        },
        "foreign_cpu_share": shares,
        "parts": summary(cells, cache.records),
        "skipped": skipped,
    }
    report(found, markdown=False)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def foreign_share(cells: list[Cell], records: Records, part: str) -> float | None:
    """Return the median share of the CPUs that others used while a part was measured."""
    every = [records[cell.key]["foreign_cpu_share"] for cell in cells if cell.part == part and cell.key in records]
    known = [share for share in every if share is not None]
    return statistics.median(known) if known else None


if __name__ == "__main__":
    main()
