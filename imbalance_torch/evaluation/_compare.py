"""compare: techniques on the same splits, with the same seeds and steps, against the tuned plain baseline."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

import imbalance_torch
from imbalance_torch._checks import check_choice, check_int
from imbalance_torch.evaluation._arms import BASELINE, Arm, build_arms, describe
from imbalance_torch.evaluation._fits import Fits
from imbalance_torch.evaluation._repeats import cut, kind_of_splits, ratio_of_test_to_train
from imbalance_torch.evaluation._results import KEY, Results, content_hash, read_models, read_protocol
from imbalance_torch.evaluation._scored import Scored
from imbalance_torch.evaluation._statistics import Effect, finite, verdicts
from imbalance_torch.training import RECIPES, Settings, TabularDataModule, TabularModel, Technique
from imbalance_torch.training._callbacks import progress_bar, waiting

BUDGETS = (300, 1500)
METRICS = {
    "ap": "AP",
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "raw_balanced_accuracy": "balanced accuracy at 0.5",
    "f1": "F1",
    "neg_log_loss": "negative log-loss",
}
_PACKAGES = ("torch", "lightning", "scikit-learn", "numpy")
_LISTS = ["target", "raw", "corrected", "time", "group", "realism"]


@dataclass
class Comparison:
    """The outcome of :func:`compare`.

    Attributes:
        results: one row per fit: ``technique``, ``budget`` (steps), ``repeat``, ``seed``, the figures, ``threshold``
            (best F1 on validation rows), ``calibration`` and ``calibration_reason``, ``seconds``,
            ``peak_memory_mib``, ``rows_seen``.
        effects: the verdict of each technique at each budget.
        classes: labels of the classes.
        data: facts about the data, as text.
        settings: of every fit, but for technique, budget and seed.
        protocol: splits, repeats and the like.
        scored: test rows of the first repeat at the largest budget, of each technique.
        models: the models of these; none of a model from outside.
        recommended: name of the technique to use.
        reason: why, in one sentence.
    """

    results: pd.DataFrame
    effects: list[Effect]
    classes: list[Any]
    data: dict[str, str]
    settings: Settings
    protocol: dict[str, Any]
    scored: dict[str, Scored]
    models: dict[str, TabularModel]
    recommended: str
    reason: str

    @property
    def techniques(self) -> list[str]:
        """Names of the techniques, the baseline first."""
        return list(self.scored)

    @property
    def budgets(self) -> list[int]:
        """Budgets in steps, the smallest first."""
        return sorted(self.results["budget"].unique().tolist())

    def means(self, budget: int) -> pd.DataFrame:
        """Return the mean of each figure over the repeats, a row per technique."""
        rows = self.results[self.results["budget"] == budget]
        return rows.groupby("technique").mean(numeric_only=True).loc[self.techniques]

    def to_dict(self) -> dict[str, Any]:
        """Return the means and the verdicts as a JSON object."""
        return {
            "data": self.data,
            "settings": self.settings.to_dict(),
            "protocol": self.protocol,
            "recommended": self.recommended,
            "reason": self.reason,
            "threshold": self.scored[self.recommended].threshold,
            "effects": [effect.to_dict() for effect in self.effects],
            "means": {
                str(budget): {
                    technique: {name: finite(value) for name, value in row.items() if name not in (*KEY, "seed")}
                    for technique, row in self.means(budget).to_dict("index").items()
                }
                for budget in self.budgets
            },
        }


def compare(
    data: TabularDataModule,
    techniques: Sequence[str | tuple[str, Arm]] = tuple(RECIPES),
    *,
    settings: Settings | None = None,
    budgets: Sequence[int] = BUDGETS,
    num_repeats: int | Sequence[int] = 10,
    splits: str = "auto",
    metric: str = "ap",
    directory: str | Path | None = None,
) -> Comparison:
    """Fit each technique on the same splits with the same steps and seeds, and say whether one beats the baseline.

    The baseline is cross-entropy with the output bias at the log prior and a tuned threshold; it is always among the
    techniques. Each repeat has its split and its seed, the same for all: differences are paired. Verdicts are those
    of :func:`verdicts`, Holm-adjusted within a budget.

    Args:
        data: the table. Its own split counts with ``splits="fixed"`` alone; the others have the same shares.
        techniques: names of recipes ("focal", "smote", ...), registry names joined by "+" with their figures after ":"
            ("rotating_undersampling:1", "focal:2+smote:0.25"), models from outside ("hist_gradient_boosting",
            "lightgbm", "xgboost", "random_forest", "logistic_regression"), or pairs ``(name, Technique or estimator)``,
            an estimator having ``fit`` and ``predict_proba``.
        settings: network, batch size and the like of every fit; its technique and ``max_steps`` are replaced.
        budgets: optimiser steps; a technique that wins at one budget alone is not recommended. A model from outside
            has its own budget: it is fitted once a repeat, and its figures count at every budget.
        num_repeats: repeats, for each budget or for all.
        splits: "random" (stratified, or whole groups), "prequential" (windows that move on in time) or "fixed" (one
            split, other seeds); "auto" takes prequential with a time column, else random.
        metric: what the verdicts are on: "ap" (macro-averaged beyond two classes), "auroc", "balanced_accuracy" (at the
            tuned threshold), "raw_balanced_accuracy" (uncorrected, at 0.5), "f1" or "neg_log_loss".
        directory: where ``results.parquet`` and the models are kept; each fit is there at once, and the same call goes
            on after an interruption, or adds techniques, budgets and repeats. Windows in time are cut for their number
            of repeats: another number needs another directory.

    Returns:
        A :class:`Comparison`. A technique is recommended over the baseline if its verdict is "better" at every budget.

    Raises:
        ValueError: an unknown technique, a class absent from a part of a split, or a directory with another comparison.
        FileExistsError: the directory holds something else.

    Notes:
        Thresholds and calibration maps come from the validation rows of the repeat. Models from outside see
        standardised numbers, missing-value flags and category codes.

    References:
        Nadeau and Bengio, Inference for the generalization error, 2003; Holm, 1979.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from imbalance_torch.training import TabularDataModule
        >>> table = pd.DataFrame({"amount": np.sin(np.arange(900.0)), "fraud": np.arange(900) % 30 == 0})
        >>> comparison = compare(TabularDataModule(table, "fraud"), ["focal:2"], budgets=[2, 4], num_repeats=2)
        >>> comparison.techniques, comparison.budgets, len(comparison.results)
        (['baseline', 'focal:2'], [2, 4], 8)
    """
    settings = settings or Settings(network="mlp")
    arms, plan = build_arms(techniques), _plan(budgets, num_repeats)
    check_choice("metric", metric, METRICS)
    with waiting("reading and encoding"):
        data.setup()
    kind = kind_of_splits(data, splits)
    cuts = cut(data, kind, max(plan.values()))
    protocol = {
        "splits": kind,
        "windows": len(cuts) if kind == "prequential" else None,
        "data": content_hash(data.frame),
        "target": data.schema.to_dict(),
        "shares": list(data.split_shares),
        "split seed": data.seed,
        "settings": replace(settings, technique=Technique(), max_steps=1, device="auto").to_dict(),
        "facts": facts_of(data, kind),
        "techniques": list(arms),
        "metric": metric,
        "versions": {"imbalance_torch": imbalance_torch.__version__, "python": platform.python_version()}
        | {name: version(name) for name in _PACKAGES},
        "repeats": {str(budget): count for budget, count in plan.items()},
        "test to train": ratio_of_test_to_train(cuts),
    }
    with ExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory()) if directory is None else directory
        results = Results(Path(place), protocol, {name: describe(arm) for name, arm in arms.items()})
        stack.callback(results.close)
        progress = stack.enter_context(progress_bar())
        Fits(data, cuts, plan, settings, results, progress).run(arms)
        rows = results.finish()
        return assemble(rows, read_protocol(results.directory), read_models(results.directory, max(plan)))


def assemble(rows: pd.DataFrame, protocol: dict[str, Any], models: dict[str, TabularModel]) -> Comparison:
    """Turn the rows of all fits into a comparison with its verdicts."""
    techniques, classes = protocol["techniques"], protocol["target"]["classes"]
    repeats = {int(budget): count for budget, count in protocol["repeats"].items()}
    ratio = None if protocol["splits"] == "fixed" else protocol["test to train"]
    effects: list[Effect] = []
    for budget in sorted(repeats):
        own = rows[(rows["budget"] == budget) & (rows["repeat"] < repeats[budget])]
        table = own.pivot_table(index="repeat", columns="technique", values=protocol["metric"])
        differences = {name: (table[name] - table[BASELINE]).tolist() for name in techniques[1:]}
        effects += verdicts(differences, budget=budget, test_to_train=ratio, metric=METRICS[protocol["metric"]])
    first = rows[(rows["budget"] == max(repeats)) & (rows["repeat"] == 0)].set_index("technique")
    scored = {name: _scored(first.loc[name], classes) for name in techniques}
    asked = rows["technique"].isin(techniques) & (rows["repeat"] < rows["budget"].map(repeats))
    return Comparison(
        rows[asked].drop(columns=_LISTS, errors="ignore").reset_index(drop=True),
        effects,
        classes,
        protocol["facts"],
        Settings.from_dict(protocol["settings"]),
        protocol,
        scored,
        {name: model for name, model in models.items() if name in techniques},
        *_recommendation(effects, METRICS[protocol["metric"]]),
    )


def _plan(budgets: Sequence[int], num_repeats: int | Sequence[int]) -> dict[int, int]:
    """Return repeats by budget."""
    counts = [num_repeats] * len(budgets) if isinstance(num_repeats, int) else list(num_repeats)
    if not budgets or len(counts) != len(budgets) or len({*budgets}) != len(budgets):
        raise ValueError(
            f"`budgets` must be different numbers of steps and `num_repeats` one number or one for each, got "
            f"budgets={list(budgets)}, num_repeats={num_repeats}."
        )
    return {
        check_int("budgets", budget, minimum=1): check_int("num_repeats", count, minimum=1)
        for budget, count in sorted(zip(budgets, counts, strict=True))
    }


def _scored(row: pd.Series, classes: list[Any]) -> Scored:
    def matrix(name: str) -> np.ndarray[Any, Any]:
        return np.asarray(row[name]).reshape(-1, len(classes))

    def column(name: str) -> np.ndarray[Any, Any] | None:
        return None if row.get(name) is None else np.asarray(row[name])

    threshold = [float(value) for value in row["threshold"]]
    return Scored(
        str(row.name),
        np.asarray(row["target"]),
        matrix("corrected"),
        matrix("raw"),
        classes,
        threshold[0] if len(threshold) == 1 else threshold,
        list(row["prior"]),
        list(row["train_shares"]),
        row["calibration"],
        row["calibration_reason"],
        column("time"),
        column("group"),
        row.get("realism"),
    )


def with_interval(effect: Effect) -> str:
    """Return the difference with its interval, where the pairs give one."""
    interval = f" [{effect.low:+.3f}, {effect.high:+.3f}]" if math.isfinite(effect.low) else ""
    return f"{effect.difference:+.3f}{interval}"


def _recommendation(effects: list[Effect], metric: str = "AP") -> tuple[str, str]:
    budgets = sorted({effect.budget for effect in effects})
    if not effects:
        return BASELINE, "nothing was compared with it"
    by_name: dict[str, list[Effect]] = {}
    for effect in effects:
        by_name.setdefault(effect.technique, []).append(effect)
    where = f"at {budgets[0]} steps" if len(budgets) == 1 else f"at {' and '.join(map(str, budgets))} steps"
    better = [own for own in by_name.values() if all(effect.verdict == "better" for effect in own)]
    best = max(better or by_name.values(), key=lambda own: own[-1].difference)[-1]
    figures = with_interval(best)
    if better:
        return (
            best.technique,
            f"its {metric} is better than the tuned baseline's {where} ({figures} at {best.budget} steps)",
        )
    if best.pairs < 2:
        return BASELINE, "one repeat cannot tell a technique from noise; ask for two or more"
    return BASELINE, (
        f"no technique beats the tuned baseline {where} (largest {metric} difference at {best.budget} steps: "
        f"{best.technique} {figures})"
    )


def facts_of(data: TabularDataModule, kind: str) -> dict[str, str]:
    schema, labels = data.schema, data.y.numpy()
    counts = np.bincount(labels, minlength=len(schema.classes))
    rare = int(counts.argmin())
    missing = sum(bool(data.frame[name].isna().any()) for name in schema.features)
    how = {
        "fixed": f"one, {'by ' + schema.time if schema.time else 'random'}",
        "random": "random, stratified" if schema.group is None else f"random, whole {schema.group}",
        "prequential": f"windows that move on by {schema.time}",
    }[kind]
    positive = f" (positive: {schema.classes[1]!r})" if len(schema.classes) == 2 else f", {len(schema.classes)} classes"
    return {
        "source": str(data.source) if isinstance(data.source, str | Path) else "a table in memory",
        "target": f"{schema.target}{positive}",
        "rows": f"{len(labels):,}, {counts[rare] / len(labels):.2%} {schema.classes[rare]!r}",
        "features": f"{len(schema.numeric)} numeric, {len(schema.categorical)} categorical; {missing} with gaps",
        "splits": f"{how}; shares of training, validation and test {', '.join(map(str, data.split_shares))}",
    }
