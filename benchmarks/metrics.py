"""Average precision beside torchmetrics and scikit-learn: exact values, and from histograms in bounded memory.

Run, from the root of the repository:

    pip install '.[dev]'
    python -m benchmarks.metrics [--quick] [--rounds N] [--only NAME] [--json FILE]
    python -m benchmarks.metrics --markdown FILE    # the tables of the guide, from the figures in that file

float32 scores of normal logits, int64 targets of the prevalence that the title names. Once a round, in an order that
changes by the round, each is timed from the scores to the value. ``faster`` is the median over rounds of the time of
torchmetrics by that of this one, with the least and the largest. ``error``: the value less that of scikit-learn.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision

from benchmarks._timing import ForeignCPU, alternate, digits, machine, print_titled
from imbalance_torch.metrics import BinnedAveragePrecision, average_precision

EXACT, REFERENCE, TRUTH = "average_precision", "torchmetrics, exact", "scikit-learn"
TARGET = 2.5  # at least, EXACT by REFERENCE


def scores(size: int, prevalence: float) -> tuple[Tensor, Tensor]:
    """Return probabilities and targets of so many rows."""
    generator = torch.Generator().manual_seed(0)
    target = (torch.rand(size, generator=generator) < prevalence).long()
    return (torch.randn(size, generator=generator) + 1.5 * target - 4).sigmoid(), target


def binned(p: Tensor, y: Tensor) -> Tensor:
    """Return the value from histograms."""
    metric = BinnedAveragePrecision()
    metric.update(p, y)
    return metric.compute()


def measure(name: str, size: int, prevalence: float, rounds: int) -> dict:
    """Time every implementation on the same scores."""
    p, y = scores(size, prevalence)
    steps: dict[str, Callable[[], float]] = {
        REFERENCE: lambda: float(binary_average_precision(p, y)),
        TRUTH: lambda: float(average_precision_score(y.numpy(), p.numpy())),
        EXACT: lambda: float(average_precision(p, y)),
        "BinnedAveragePrecision": lambda: float(binned(p, y)),
    }
    values = {row: step() for row, step in steps.items()}  # warms up
    foreign = ForeignCPU()
    seconds = alternate(steps, rounds, before=lambda: None, sync=lambda: None)
    rows = [{"row": row, "seconds": seconds[row], "error": values[row] - values[TRUTH]} for row in steps]
    return {
        "setting": name,
        "rounds": rounds,
        "foreign_cpu_share": foreign.share(),
        "average_precision": values[TRUTH],
        "rows": rows,
    }


def ratios(result: dict, name: str) -> list[float]:
    """Return the time of the reference by that of one row, for each round."""
    seconds = {row["row"]: row["seconds"] for row in result["rows"]}
    return [theirs / own for theirs, own in zip(seconds[REFERENCE], seconds[name], strict=True)]


def report(found: dict, markdown: bool) -> None:
    """Print everything that was found, as text or as Markdown."""
    verdicts = []
    for result in found["settings"]:
        lines = []
        for row in result["rows"]:
            by_round = ratios(result, row["row"])
            faster = f"{digits(statistics.median(by_round))}x [{digits(min(by_round))}, {digits(max(by_round))}]"
            lines.append(
                [row["row"], f"{digits(1000 * statistics.median(row['seconds']))}", faster, f"{row['error']:+.0e}"]
            )
        share = result["foreign_cpu_share"]
        used = "unknown" if share is None else f"{share:.0%}"
        notes = f"AP {result['average_precision']:.3f}, rounds: {result['rounds']}, CPU used by others: {used}"
        title = f"{result['setting']} ({notes})"
        print_titled(title, ["implementation", "ms", "faster", "error"], lines, markdown=markdown)
        median = statistics.median(ratios(result, EXACT))
        verdicts.append(
            [result["setting"], f">= {TARGET}x", f"{digits(median)}x", "met" if median >= TARGET else "missed"]
        )
    if verdicts:
        print_titled("Targets, exact value", ["setting", "target", "found", "verdict"], verdicts, markdown=markdown)


def main() -> None:
    """Measure the settings that were asked for and print their tables."""
    parser = argparse.ArgumentParser(description="Average precision beside torchmetrics and scikit-learn.")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows, two rounds: shows that it works")
    parser.add_argument("--rounds", type=int, help="rounds of every setting")
    parser.add_argument("--only", default="", metavar="NAME", help="settings whose name contains this")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="only print the figures of this file")
    options = parser.parse_args()
    if options.markdown:
        report(json.loads(options.markdown.read_text()), markdown=True)
        return
    host = machine(torch.device("cpu"), ["numpy", "torchmetrics", "scikit-learn"])
    print(json.dumps(host))
    settings = [
        (f"{size // (100 if options.quick else 1):_} rows, {prevalence:.1%} positive", size, prevalence, rounds)
        for size, rounds in ((1_000_000, 9), (10_000_000, 3))
        for prevalence in (0.005, 0.05, 0.5)
    ]
    results = [
        measure(
            name, size // (100 if options.quick else 1), prevalence, options.rounds or (2 if options.quick else rounds)
        )
        for name, size, prevalence, rounds in settings
        if options.only in name
    ]
    found = {"machine": host, "settings": results}
    report(found, markdown=False)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
