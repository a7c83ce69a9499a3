"""Does `advise --race` choose well? Six tables: the race sees no test row, the test rows say what was best.

Run, from the root of the repository:

    python -m benchmarks.advice [--data FOLDER] [--only NAME] [--cache FOLDER] [--json FILE ...] [--smoke]
    python -m benchmarks.advice --merge FILE ... --json FILE    # one results file from several

FOLDER (or IMBALANCE_TORCH_DATA) holds the Parquet files; nyc_flights is embedded and the 1:1000 table is generated.
Tables are cut to 60,000 rows (stratified; of those in time order, every n-th row), the generated one has 120,000. For
each: the rules give their advice, the advised techniques race on training and validation rows, and then every one of
them is fitted with eight new seeds on the split and scored on the test rows. With the first three seeds the technique
with the highest mean test AP is named the best; the other five compare it with the race's choice: mean AP, difference
and its 95 % interval (1,000 stratified bootstrap replicates of the test rows, the same for both). The choice holds if
it is within .01 of the best or the interval includes 0. It all takes some 20 minutes on two cores with two processes
(``--only``).
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks._timing import machine, print_titled
from imbalance_torch.data.datasets import load_nyc_flights, make_classification_with_known_posterior
from imbalance_torch.evaluation import advise, race
from imbalance_torch.evaluation._arms import build_arms, fit_estimator, fit_technique
from imbalance_torch.metrics import multiclass_scores
from imbalance_torch.metrics._bootstrap import bootstrap_average_precision
from imbalance_torch.training import Settings, TabularDataModule, Technique

ROWS = 60_000
TOLERANCE = 0.01
DECIDING, COMPARED = range(100, 103), range(200, 205)
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "lightning")


def stratified(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most 60,000 rows with the class shares of the table."""
    share = min(1.0, ROWS / len(frame))
    return frame.groupby("y", group_keys=False).sample(frac=share, random_state=0).sample(frac=1, random_state=0)


def parquet(name: str, folder: Path, drop: tuple[str, ...] = ()) -> TabularDataModule:
    """Return a table of the folder."""
    frame = pd.read_parquet(folder / f"{name}.parquet").drop(columns=[*drop])
    return TabularDataModule(stratified(frame).reset_index(drop=True), "y", audit=False)


def flights(folder: Path) -> TabularDataModule:
    """Return every n-th of the embedded flights, by time."""
    flights = load_nyc_flights()
    frame = flights.frame.iloc[:: -(-len(flights.frame) // ROWS)].reset_index(drop=True)
    return TabularDataModule(frame, flights.target, time=flights.time, audit=False)


def one_in_a_thousand(folder: Path) -> TabularDataModule:
    """Return a generated table with one positive in a thousand rows."""
    data = make_classification_with_known_posterior(2 * ROWS, prior=0.001, random_state=0)
    frame = pd.DataFrame(data.X.numpy(), columns=[f"x{i}" for i in range(data.X.shape[1])])
    return TabularDataModule(frame.assign(y=data.y.numpy()), "y", audit=False)


SETS: dict[str, Callable[[Path], TabularDataModule]] = {
    "mammography": partial(parquet, "mammography"),
    "covtype": partial(parquet, "covtype_cottonwood"),
    "bank_marketing": partial(parquet, "bank_marketing", drop=("duration",)),
    "nyc_flights": flights,
    "htru2": partial(parquet, "htru2_pulsar"),
    "one_in_a_thousand": one_in_a_thousand,
}


def measure(name: str, folder: Path, cache: Path, smoke: bool) -> dict[str, Any]:
    """Advise, race, and judge the choice on test rows."""
    data = SETS[name](folder)
    settings = Settings(network="mlp")
    budgets, repeats, replicates = ([5, 10], 2, 20) if smoke else ([300, 1500], 10, 1_000)
    start = time.perf_counter()
    advice = advise(data)
    seconds = {"advice": time.perf_counter() - start}
    start = time.perf_counter()
    found = race(
        data, advice.techniques, settings=settings, budgets=budgets, num_repeats=repeats, directory=cache / name
    )
    seconds["race"] = time.perf_counter() - start
    scores: dict[str, dict[int, np.ndarray]] = {}
    y = data.rows("test")[1]
    start = time.perf_counter()
    for technique, arm in build_arms(advice.techniques).items():
        for seed in [*DECIDING, *COMPARED]:
            own = replace(settings, seed=seed, max_steps=budgets[-1])
            outcome = fit_technique(arm, data, own) if isinstance(arm, Technique) else fit_estimator(arm, data, seed)
            scores.setdefault(technique, {})[seed] = outcome.corrected.numpy()
            print(f"{name}: {technique}, seed {seed}", flush=True)
    seconds["test"] = time.perf_counter() - start
    ap = {
        technique: {seed: multiclass_ap(p, y) for seed, p in by_seed.items()} for technique, by_seed in scores.items()
    }
    deciding = {technique: float(np.mean([by_seed[s] for s in DECIDING])) for technique, by_seed in ap.items()}
    compared = {technique: float(np.mean([by_seed[s] for s in COMPARED])) for technique, by_seed in ap.items()}
    best = max(deciding, key=deciding.__getitem__)
    both = np.stack([scores[technique][seed][:, 1] for technique in (found.chosen, best) for seed in COMPARED])
    drawn = bootstrap_average_precision(both, y.numpy(), num_replicates=replicates)
    ours, theirs = drawn.reshape(replicates, 2, -1).mean(-1).T
    low, high = np.quantile(ours - theirs, [0.025, 0.975])
    difference = compared[found.chosen] - compared[best]
    return {
        "set": name,
        "rows": len(data.y),
        "positives": int(data.y.sum()),
        "advised": advice.techniques,
        "race": found.to_dict(),
        "chosen": found.chosen,
        "best": best,
        "deciding": deciding,
        "compared": compared,
        "difference": difference,
        "interval": [float(low), float(high)],
        "holds": bool(difference >= -TOLERANCE or low <= 0 <= high),
        "seconds": seconds,
    }


def multiclass_ap(p: np.ndarray, y: torch.Tensor) -> float:
    """Return the AP of the positive class, macro-averaged beyond two."""
    if p.shape[1] > 2:
        return multiclass_scores(torch.from_numpy(p), y)["ap"]
    from imbalance_torch.metrics import average_precision

    return float(average_precision(torch.from_numpy(p[:, 1]), y))


def report(records: list[dict[str, Any]]) -> None:
    """Print the advice, the choices and what was best."""
    cells = [
        [
            one["set"],
            f"{one['rows']:,} ({one['positives']:,})",
            ", ".join(one["advised"]),
            one["chosen"],
            one["best"],
            f"{one['compared'][one['chosen']]:.4f}",
            f"{one['compared'][one['best']]:.4f}",
            f"{one['difference']:+.4f} [{one['interval'][0]:+.4f}, {one['interval'][1]:+.4f}]",
            "holds" if one["holds"] else "FAILS",
            f"{one['seconds']['advice']:.0f} + {one['seconds']['race']:.0f}",
        ]
        for one in records
    ]
    header = ["set", "rows (positives)", "advised", "chosen", "best", "AP chosen", "AP best", "difference", "", "s"]
    print_titled("advise --race", header, cells, markdown=False)
    for one in records:
        print(
            f"{one['set']}: {one['race']['reason']}; test AP "
            + ", ".join(f"{technique} {value:.4f}" for technique, value in one["compared"].items())
        )


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description="The choice of `advise --race` beside what test rows say.")
    parser.add_argument("--data", type=Path, help="folder of the Parquet files (default: IMBALANCE_TORCH_DATA)")
    parser.add_argument("--only", default="", metavar="NAME[,...]", help="sets to measure")
    parser.add_argument("--cache", type=Path, help="folder in which an interrupted race goes on")
    parser.add_argument("--smoke", action="store_true", help="few steps: shows that it works")
    parser.add_argument("--merge", type=Path, nargs="+", help="results files to join instead of measuring")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    folder = options.data or Path(os.environ.get("IMBALANCE_TORCH_DATA", "."))
    if options.merge:
        records = [record for file in options.merge for record in json.loads(file.read_text())["sets"]]
    else:
        with TemporaryDirectory() as temporary:
            cache = options.cache or Path(temporary)
            chosen = options.only.split(",") if options.only else list(SETS)
            records = [measure(name, folder, cache, options.smoke) for name in chosen]
    records.sort(key=lambda one: list(SETS).index(one["set"]))
    report(records)
    if options.json:
        found = {"machine": machine(torch.device("cpu"), PACKAGES), "sets": records}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
