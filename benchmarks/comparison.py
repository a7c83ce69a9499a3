"""The comparison on mammography: ten techniques, killed on the way and resumed, beside what pilots lead to expect.

Run, from the root of the repository:

    python -m benchmarks.comparison [--data FOLDER] [--output DIRECTORY] [--json FILE] [--smoke]

FOLDER (or IMBALANCE_TORCH_DATA) holds mammography.parquet (11,183 rows, 260 positives). The command line is run as
users run it, ``imbalance-torch compare``, with ten seeds at 300 steps and five at 1,500; it is killed with SIGKILL
after a third of its fits and started again. What is expected, with figures of the pilots that the defaults rest on:

- weighting raises the balanced accuracy of uncorrected probabilities at 0.5 by more than .02;
- at a threshold tuned on validation rows the difference of weighted and plain lies within +-.04;
- the AP of class weighting and of 1:1 undersampling is at most the plain baseline's + .01;
- the calibration error of every technique after the prior correction in closed form is at most the larger of 1.5 times
  the baseline's and .004 (for 1:1 undersampling 3 times and .01); the same is asked after the calibration map, which is
  chosen by log-loss and may pay for it with calibration error.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import torch

from benchmarks._timing import ForeignCPU, machine, print_titled

TECHNIQUES = (
    "baseline",
    "class_weighted",
    "class_weighted:0.5",
    "focal",
    "logit_adjusted",
    "balanced",
    "undersample",
    "undersample:1",
    "smote",
    "random_oversampling",
)
BUDGETS, REPEATS = (300, 1500), (10, 5)
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "lightning", "torchmetrics")


def command(file: Path, output: Path, budgets: tuple[int, ...], repeats: tuple[int, ...]) -> list[str]:
    """Return the command line of the comparison."""
    words = {"budgets": budgets, "num-repeats": repeats, "techniques": TECHNIQUES}
    flags = [word for name, values in words.items() for word in (f"--{name}", ",".join(map(str, values)))]
    program = [sys.executable, "-m", "imbalance_torch", "compare"]
    return [*program, str(file), "--target", "y", *flags, "--json", "-o", str(output)]


def killed_and_resumed(words: list[str], output: Path, fits: int) -> dict[str, Any]:
    """Run the command, kill it after a third of its fits, run it again; return seconds and whether rows stayed."""
    start = time.perf_counter()
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while len(list((output / "fits").glob("[!.]*.parquet"))) < fits // 3:
        if first.poll() is not None:
            raise RuntimeError(f"the comparison ended by itself with exit code {first.returncode}")
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = {file.name: file.read_bytes() for file in (output / "fits").glob("[!.]*.parquet")}
    done = time.perf_counter() - start
    kept = pd.concat([pq.read_table(output / "fits" / name).to_pandas() for name in sorted(before)])
    outcome = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    rows = pq.read_table(output / "results.parquet").to_pandas()
    key = ["technique", "budget", "repeat"]
    both = kept.merge(rows, on=key, suffixes=("", "_after"))
    same = len(both) == len(kept) and bool((both["seconds"] == both["seconds_after"]).all())
    return {
        "seconds": time.perf_counter() - start,
        "seconds_until_the_kill": done,
        "fits_before_the_kill": len(before),
        "kept_after_the_kill": same,
        "fits": len(rows),
        "outcome": outcome,
    }


def expectations(means: dict[str, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Return what is expected, what was found, and whether it holds, at each budget."""
    found = []
    for budget, rows in means.items():
        base, weighted = rows["baseline"], rows["class_weighted"]
        gain = weighted["raw_balanced_accuracy"] - base["raw_balanced_accuracy"]
        tuned = weighted["balanced_accuracy"] - base["balanced_accuracy"]
        checks = [
            ("weighting: balanced accuracy at raw 0.5 above the baseline's", gain, "> .02", gain > 0.02),
            ("weighting: the same at tuned thresholds", tuned, "within +-.04", abs(tuned) <= 0.04),
        ]
        for name in ("class_weighted", "undersample:1"):
            difference = rows[name]["ap"] - base["ap"]
            checks.append((f"{name}: AP above the baseline's", difference, "<= .01", difference <= 0.01))
        for key, after in (("shifted_calibration_error", "prior correction"), ("calibration_error", "calibration map")):
            for name, row in rows.items():
                limit = max(3 * base[key], 0.01) if name == "undersample:1" else max(1.5 * base[key], 0.004)
                what = f"{name}: calibration error after the {after}"
                checks.append((what, row[key], f"<= {limit:.4f}", row[key] <= limit))
        found += [
            {"budget": int(budget), "what": what, "value": value, "expected": wanted, "holds": bool(holds)}
            for what, value, wanted, holds in checks
        ]
    return found


def report(found: dict[str, Any]) -> None:
    """Print the figures, the verdicts and the expectations."""
    outcome = found["outcome"]
    names = ("ap", "raw_balanced_accuracy", "balanced_accuracy", "f1", "neg_log_loss")
    names += ("raw_calibration_error", "shifted_calibration_error", "calibration_error")
    for budget, rows in outcome["means"].items():
        cells = [[name, *(f"{row[key]:.4f}" for key in names), f"{row['seconds']:.1f}"] for name, row in rows.items()]
        print_titled(f"mammography, {budget} steps, means", ["technique", *names, "seconds"], cells, markdown=False)
    print("\n".join(effect["statement"] for effect in outcome["effects"]))
    print(f"recommended: {outcome['recommended']}: {outcome['reason']}\n")
    cells = [
        [str(row["budget"]), row["what"], f"{row['value']:+.4f}", row["expected"], "holds" if row["holds"] else "FAILS"]
        for row in found["expectations"]
    ]
    print_titled("Expectations", ["steps", "what", "found", "expected", ""], cells, markdown=False)
    print(
        f"{found['fits']} fits in {found['seconds']:.0f} s, killed after {found['fits_before_the_kill']} fits "
        f"({found['seconds_until_the_kill']:.0f} s); rows from before the kill kept: {found['kept_after_the_kill']}"
    )


def main() -> None:
    """Run the comparison and print its tables."""
    parser = argparse.ArgumentParser(description="Ten techniques on mammography, killed and resumed.")
    parser.add_argument("--data", type=Path, help="folder of mammography.parquet (default: IMBALANCE_TORCH_DATA)")
    parser.add_argument("--output", type=Path, help="new directory for results and report (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--smoke", action="store_true", help="few steps and repeats: shows that it works")
    options = parser.parse_args()
    folder = options.data or Path(os.environ.get("IMBALANCE_TORCH_DATA", "."))
    output = options.output or Path(tempfile.mkdtemp()) / "comparison"
    budgets, repeats = ((5, 10), (2, 2)) if options.smoke else (BUDGETS, REPEATS)
    words = command(folder / "mammography.parquet", output, budgets, repeats)
    foreign = ForeignCPU()
    found = killed_and_resumed(words, output, len(TECHNIQUES) * sum(repeats))
    found["foreign_cpu_share"] = foreign.share()
    found["expectations"] = expectations(found["outcome"]["means"])
    found["machine"] = machine(torch.device("cpu"), PACKAGES)
    found["outcome"].pop("report")
    for facts in (found["outcome"]["data"], found["outcome"]["protocol"]["facts"]):
        facts["source"] = "mammography.parquet"
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if not options.output:
        shutil.rmtree(output.parent)


if __name__ == "__main__":
    main()
