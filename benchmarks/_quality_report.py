"""The tables of the quality benchmark, as text or as Markdown, from the figures of its JSON file."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks._quality_speed import BARE, TRAINER
from benchmarks._quality_summary import OTHER, UNUSABLE
from benchmarks._timing import digits, print_titled

MISSING = "not measured"
NOISY = 0.1
EPOCH_TARGET = 1.2  # times the bare loop
PROTOTYPE = {
    "TabM": ".7036 / .8802 / .306 / 1.00",
    "MLP": ".6996 / .876 / .302 / .98",
    OTHER: ".6966 / .873 / .305 / 1.00",
}
FIGURES = {"ap": 4, "auroc": 4, "card_precision": 4, "expected_observed": 2}  # and decimals
NAMES = {"ap": "AP", "auroc": "AUROC", "card_precision": "CP@100", "expected_observed": "expected/observed"}
Tables = Iterator[tuple[str, list[str], list[list[str]]]]  # title, header, lines
TARGETS = (  # model, figure, at least, at most
    ("TabM", "ap", 0.700, math.inf),
    ("TabM", "auroc", 0.880, math.inf),
    ("TabM", "card_precision", 0.305, math.inf),
    ("TabM", "expected_observed", 0.9, 1.1),
    ("MLP", "ap", 0.695, math.inf),
)


def report(found: dict[str, Any], *, markdown: bool) -> None:
    """Print every part that was asked for."""
    for part, rows in found["parts"].items():
        share = found["foreign_cpu_share"][part]
        others = "unknown" if share is None else f"{share:.0%}"
        for title, header, lines in TABLES[part](rows):
            timed = f" (CPU used by others: {others})" if "fit s" in header or "s" in header else ""
            print_titled(title + timed, header, lines, markdown=markdown)
    if found["skipped"]:
        lines = [[name, reason] for name, reason in found["skipped"].items()]
        print_titled("Sets that were skipped", ["set", "reason"], lines, markdown=markdown)


def share(value: float, places: int = 4) -> str:
    """Return a number without the zero in front."""
    return f"{value:.{places}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{places}f}"


def difference(against: dict[str, Any] | None) -> list[str]:
    """Return a difference, its interval and its verdict."""
    if against is None:
        return ["-"] * 3
    low, high = (f"{value:+.4f}".replace("0.", ".", 1) for value in against["interval"])
    return [f"{against['difference']:+.4f}".replace("0.", ".", 1), f"[{low}, {high}]", against["verdict"]]


def handbook(rows: list[dict[str, Any]]) -> Tables:
    """Return the figures under the Handbook's protocol, and what was to be reached."""
    header = [
        "model",
        "seeds",
        "AP",
        "sd",
        "AUROC",
        "CP@100",
        "E/O",
        "fit s",
        "AP less XGBoost's",
        "95 %",
        "",
        "prototype",
    ]
    lines = []
    for row in rows:
        name = label(row)
        if not row["seeds"]:
            lines.append([name, "0", MISSING, *[""] * 8, PROTOTYPE[row["model"]]])
            continue
        spread = share(statistics.stdev(row["ap_by_seed"])) if row["seeds"] > 1 else "-"
        figures = [share(row[figure], places) for figure, places in FIGURES.items()]
        last = [digits(row["fit_seconds"]), *difference(row.get("against")), PROTOTYPE[row["model"]]]
        lines.append([name, str(row["seeds"]), figures[0], spread, *figures[1:], *last])
    yield "The Handbook's transactions, mean over four folds and the seeds", header, lines
    lines = []
    for model, figure, least, most in TARGETS:
        for row in rows:
            if row["model"] != model:
                continue
            value = row.get(figure)
            verdict = "met" if value is not None and least <= value <= most else "missed"
            wanted = f">= {share(least, 3)}" if most == math.inf else f"{share(least, 1)} to {share(most, 1)}"
            shown = [MISSING, ""] if value is None else [share(value), verdict]
            lines.append([label(row), NAMES[figure], wanted, *shown])
    yield "Targets", ["model", "figure", "target", "found", "verdict"], lines


def tables(rows: list[dict[str, Any]]) -> Tables:
    """Return the recipe beside the picked library, and how often it is better."""
    header = [
        "set",
        "split",
        "positives",
        "AP",
        "picked by validation",
        "its AP",
        "(best on test)",
        "difference",
        "95 %",
    ]
    header += ["", "AUROC", "AUROC theirs", "E/O", "fit s", "fit s theirs", "search s"]
    lines = []
    for row in rows:
        start = [row["set"], row["split"]]
        if "ap" not in row:
            lines.append([*start, MISSING, *[""] * 13])
            continue
        picked = row["picked"]
        library = picked["library"] + (", weighted" if picked["class_weights"] else "")
        figures = [share(row["ap"]), library, share(picked["ap"]), f"({share(picked['best_on_test'])})"]
        binary = ("auroc", "auroc_picked", "expected_observed")
        others = [share(row[name], 3) if name in row else "-" for name in binary]
        seconds = [digits(each) for each in (row["fit_seconds"], picked["fit_seconds"], picked["search_seconds"])]
        lines.append([*start, str(row["positives"]), *figures, *difference(row["against"]), *others, *seconds])
    yield "One recipe beside the best of three tuned libraries", header, lines
    counts = Counter(row["against"]["verdict"] for row in rows if "against" in row)
    words = [[verdict, str(counts[verdict])] for verdict in ("win", "tie", "loss")]
    yield "Wins, ties and losses", ["95 % interval of the difference", "splits"], words
    useless = [
        [row["set"], row["split"], *(share(row[name], 3) for name in ("auroc", "auroc_picked", "ap", "prevalence"))]
        for row in rows
        if row.get("unusable")
    ]
    if useless:
        header = ["set", "split", "AUROC", "AUROC theirs", "AP", "AP of a random order"]
        yield f"Nothing is usable here: no AUROC reaches {share(UNUSABLE, 2)}", header, useless


def regularisation(rows: list[dict[str, Any]]) -> Tables:
    """Return each variant less the recipe."""
    lines = []
    for row in rows:
        shown = [row["variant"], row["set"], str(row.get("splits", ""))]
        if "against" not in row:
            lines.append([*shown, MISSING, *[""] * 4])
            continue
        figures = [share(row[name]) if name in row else "" for name in ("ap", "ap_recipe")]
        lines.append([*shown, *figures, *difference(row["against"])])
    yield (
        "Variants of the recipe, on data that it was not decided on",
        ["variant", "set", "splits", "AP", "AP of the recipe", "difference", "95 %", ""],
        lines,
    )


def speed(results: list[dict[str, Any]]) -> Tables:
    """Return the seconds of an epoch, and the target."""
    if not results:
        yield "One epoch", ["way", "s"], [[f"{BARE}, {TRAINER}", MISSING]]
    for result in results:
        seconds = {row["row"]: row["seconds"] for row in result["rows"]}
        lines = []
        for name, times in seconds.items():
            ratio = [own / bare for own, bare in zip(times, seconds[BARE], strict=True)]
            spread = f"{digits(min(ratio))}-{digits(max(ratio))}"
            lines.append([name, digits(statistics.median(times)), f"{statistics.median(ratio):.3f}x, {spread}"])
            if name == TRAINER:
                met = "met" if statistics.median(ratio) <= EPOCH_TARGET else "missed"
        verdict = "noisy" if (result["foreign_cpu_share"] or 0) > NOISY else met
        lines.append([f"target of the trainer: <= {EPOCH_TARGET}x", "", verdict])
        yield f"One epoch of {result['set']}, MLP 256-256, batch size 1_024", ["way", "s", "times the bare loop"], lines


def label(row: dict[str, Any]) -> str:
    """Return a model with its batch size."""
    return f"{row['model']}, batch {row['batch_size']:_}" if row["batch_size"] else row["model"]


TABLES = {"handbook": handbook, "tables": tables, "regularisation": regularisation, "speed": speed}
