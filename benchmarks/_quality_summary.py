"""The figures of the quality benchmark, with intervals and verdicts, from the records of its cells."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks._quality_models import GRIDS

UNUSABLE = 0.65  # AUROC below which no model of a set is of use
OTHER = "XGBoost, Handbook settings"


class Cell(NamedTuple):
    """One result: a model on one split of a set, with one seed; the batch size is 0 for what has no batches."""

    part: str
    set: str
    split: str
    seed: int
    model: str
    batch_size: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What the result depends on."""
        return self[1:]


Records = dict[tuple[Any, ...], dict[str, Any]]


def paired(ours: Sequence[dict], theirs: Sequence[dict]) -> dict[str, Any]:
    """Return the difference in AP of two models on one test set, the mean over seeds, and its 95 % interval."""
    replicates = np.subtract(*(np.mean([record["replicates"] for record in side], axis=0) for side in (ours, theirs)))
    difference = np.subtract(*(np.mean([record["ap"] for record in side]) for side in (ours, theirs)))
    return {"difference": float(difference), "replicates": replicates} | interval(replicates)


def interval(replicates: np.ndarray) -> dict[str, Any]:
    """Return what holds 95 % of the replicates, and what it says of a difference."""
    low, high = np.quantile(replicates, [0.025, 0.975]).tolist()
    return {"interval": [low, high], "verdict": "win" if low > 0 else "loss" if high < 0 else "tie"}


def mean_of(compared: Sequence[dict]) -> dict[str, Any]:
    """Average differences on test sets that are drawn independently."""
    replicates = np.mean([each["replicates"] for each in compared], axis=0)
    difference = float(np.mean([each["difference"] for each in compared]))
    return {"difference": difference, "replicates": replicates} | interval(replicates)


def handbook(cells: Sequence[Cell], records: Records) -> list[dict[str, Any]]:
    """Average each model over folds, then over the seeds of which every fold is there; compare with XGBoost."""
    runs: dict[tuple[str, int], dict[int, list[Cell]]] = {}
    for cell in cells:
        runs.setdefault((cell.model, cell.batch_size), {}).setdefault(cell.seed, []).append(cell)
    by_fold: dict[tuple[str, int], list[list[dict]]] = {}
    rows = []
    for (model, batch_size), seeds in runs.items():
        whole = [own for own in seeds.values() if all(cell.key in records for cell in own)]
        found = [[records[cell.key] for cell in own] for own in whole]
        row: dict[str, Any] = {"model": model, "batch_size": batch_size, "seeds": len(found)}
        rows.append(row)
        if not found:
            continue
        by_fold[model, batch_size] = [list(folds) for folds in zip(*found, strict=True)]
        every = [record for folds in found for record in folds]
        row |= {name: mean(every, name) for name in ("ap", "auroc", "card_precision", "fit_seconds", "score_seconds")}
        row["ap_by_seed"] = [mean(folds, "ap") for folds in found]
        row["ap_by_fold"] = [mean(seeds, "ap") for seeds in by_fold[model, batch_size]]
        row["expected_observed"] = mean(every, "expected") / mean(every, "positives")
    theirs = by_fold.get((OTHER, 0))
    for row in rows:
        ours = by_fold.get((row["model"], row["batch_size"]))
        if ours and theirs and row["model"] != OTHER:
            row["against"] = mean_of([paired(*fold) for fold in zip(ours, theirs, strict=True)])
    return rows


def tables(cells: Sequence[Cell], records: Records) -> list[dict[str, Any]]:
    """Compare the recipe with the library that is the best on validation rows, split by split."""
    rows = []
    for place in dict.fromkeys((cell.set, cell.split) for cell in cells):
        own = [cell for cell in cells if (cell.set, cell.split) == place]
        row: dict[str, Any] = {"set": place[0], "split": place[1]}
        rows.append(row)
        ours = [records[cell.key] for cell in own if cell.model == "TabM" and cell.key in records]
        boosted = {cell.model: records.get(cell.key) for cell in own if cell.model in GRIDS}
        if not ours or None in boosted.values():
            continue
        library, picked = max(boosted.items(), key=lambda item: item[1]["validation"])
        every = [candidate for record in boosted.values() for candidate in record["candidates"]]
        row |= {"rows": picked["rows"], "positives": picked["positives"], "prevalence": picked["prevalence"]}
        row |= {"seeds": len(ours), "ap": mean(ours, "ap"), "fit_seconds": mean(ours, "fit_seconds")}
        row["picked"] = {
            "library": library,
            **{name: picked[name] for name in ("class_weights", "settings", "ap", "fit_seconds")},
            "best_on_test": max(candidate["ap"] for candidate in every),
            "search_seconds": sum(candidate["seconds"] for candidate in every),
        }
        row["against"] = paired(ours, [picked])
        if picked["auroc"] is not None:
            row |= {"auroc": mean(ours, "auroc"), "auroc_picked": picked["auroc"]}
            row["expected_observed"] = mean(ours, "expected") / picked["positives"]
            row["unusable"] = max(row["auroc"], row["auroc_picked"]) < UNUSABLE
    return rows


def regularisation(cells: Sequence[Cell], records: Records) -> list[dict[str, Any]]:
    """Compare each variant with the recipe, set by set and over all of them."""
    rows = []
    for name in dict.fromkeys(cell.model for cell in cells if cell.model != "TabM"):
        pairs: dict[str, list[tuple[dict, dict]]] = {}
        for cell in cells:
            both = [records.get(each.key) for each in (cell, cell._replace(model="TabM"))]
            if cell.model == name and None not in both:
                pairs.setdefault(cell.set, []).append(tuple(both))
        found = {place: mean_of([paired([ours], [theirs]) for ours, theirs in own]) for place, own in pairs.items()}
        for place in dict.fromkeys(cell.set for cell in cells):
            row: dict[str, Any] = {"variant": name, "set": place, "splits": len(pairs.get(place, ()))}
            if place in pairs:
                sides = zip(*pairs[place], strict=True)
                row |= dict(zip(("ap", "ap_recipe"), (mean(side, "ap") for side in sides), strict=True))
                row["against"] = found[place]
            rows.append(row)
        if found:
            rows.append({"variant": name, "set": "mean over sets", "against": mean_of(list(found.values()))})
    return rows


def mean(records: Sequence[dict], figure: str) -> float:
    """Average a figure."""
    return statistics.fmean(record[figure] for record in records)


PARTS = {"handbook": handbook, "tables": tables, "regularisation": regularisation}


def summary(cells: Sequence[Cell], records: Records) -> dict[str, Any]:
    """Return the figures of each part, ready for JSON."""
    result: dict[str, Any] = {}
    for part in dict.fromkeys(cell.part for cell in cells):
        own = [cell for cell in cells if cell.part == part]
        if part == "speed":
            result[part] = [{"set": cell.set, **records[cell.key]} for cell in own if cell.key in records]
            continue
        result[part] = PARTS[part](own, records)
        for row in result[part]:
            row.get("against", {}).pop("replicates", None)
    return result
