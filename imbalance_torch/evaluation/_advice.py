"""Advice: which techniques are worth a try on a table, in what order, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from imbalance_torch.evaluation._arms import BASELINE, ESTIMATORS
from imbalance_torch.evaluation._facts import DataFacts, data_facts
from imbalance_torch.evaluation._recipe import recipe_text
from imbalance_torch.evaluation._rules import RULES, Goal, Rule
from imbalance_torch.training import DataOptions, Settings, TabularDataModule


@dataclass(frozen=True)
class Reason:
    """Why: a rule that applies, what it says of these data, and the evidence behind it."""

    rule: str
    sentence: str
    evidence: str


@dataclass(frozen=True)
class Recommendation:
    """A technique and the rules that speak for it; ``rank`` 1 is what to start with."""

    rank: int
    technique: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Advice:
    """What :func:`advise` found.

    Attributes:
        facts: the figures of the training rows.
        goal: what the model is for.
        recommendations: techniques by rank, the plain baseline always among them.
        discouraged: technique -> the rules that speak against it.
        notes: rules that hold whatever the technique, and warnings of the data.
        data: arguments of the data module, for a recipe.
    """

    facts: DataFacts
    goal: Goal
    recommendations: tuple[Recommendation, ...]
    discouraged: dict[str, tuple[Reason, ...]]
    notes: tuple[Reason, ...]
    data: dict[str, Any]

    @property
    def techniques(self) -> list[str]:
        """The recommended techniques, by rank."""
        return [recommendation.technique for recommendation in self.recommendations]

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, text, lists and dicts alone, as for JSON."""
        return {
            "facts": self.facts.to_dict(),
            "goal": vars(self.goal),
            "recommendations": [
                {"rank": each.rank, "technique": each.technique, "reasons": [*map(vars, each.reasons)]}
                for each in self.recommendations
            ],
            "discouraged": {name: [*map(vars, reasons)] for name, reasons in self.discouraged.items()},
            "notes": [*map(vars, self.notes)],
        }

    def recipe(self, technique: str | None = None, *, settings: Settings | None = None) -> str:
        """Return the YAML that ``imbalance-torch fit --config`` trains a recommended technique with.

        Args:
            technique: one of ``techniques``; by default the first that is a network.
            settings: network, budget and the like of the training; by default the MLP, and the seed of the data.

        Raises:
            ValueError: the technique is not recommended or no network, or the table is no file.
        """
        networks = [name for name in self.techniques if name not in ESTIMATORS]
        chosen = networks[0] if technique is None else technique
        if chosen not in networks:
            raise ValueError(f"`technique` must be one of {', '.join(networks)}, got technique={chosen!r}.")
        if not isinstance(self.data["source"], str):
            raise ValueError("A recipe names the table's file, and this table came from memory. Write it to a file.")
        reasons = next(each.reasons for each in self.recommendations if each.technique == chosen)
        notes = [f"{chosen}, as `imbalance-torch advise` wrote it. Run: imbalance-torch fit --config FILE"]
        notes += [f"{reason.rule}: {reason.sentence}" for reason in reasons]
        return recipe_text(
            chosen,
            self.data,
            num_classes=self.facts.num_classes,
            settings=settings or Settings(network="mlp", seed=self.data.get("seed", 0)),
            notes=[fill(note, 118) for note in notes],
        )


def advise(
    data: TabularDataModule, *, metric: str = "ap", fixed_threshold: bool = False, model: str = "network"
) -> Advice:
    """Apply the decision rules to a table: nothing is trained, and validation and test rows are not looked at.

    The plain baseline is always among the recommendations, and first unless a rule argues otherwise. Then come the
    techniques by the number of rules that speak for them. One that a rule speaks against is not recommended.

    Args:
        data: the table, its roles and its split.
        metric: "ap", "auroc", "balanced_accuracy" or "log_loss": what counts.
        fixed_threshold: decisions are taken at 0.5, or for the likeliest class, and cannot be moved.
        model: "network", "deep" for over-parameterised networks trained to zero training error, or "trees".

    Returns:
        Facts, recommendations with reasons and evidence, and a recipe.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an unknown metric or model, or whatever makes the table unusable for training.

    Notes:
        Advice is a prior from experiments on other data: few of them, most on one small network and three to five
        seeds. Only :func:`compare` says what holds on this table. Cost: see ``data_facts``.

    Example:
        >>> import numpy as np, pandas as pd
        >>> table = pd.DataFrame({"amount": np.sin(np.arange(4000.0)), "fraud": np.arange(4000) % 50 == 0})
        >>> advice = advise(TabularDataModule(table, "fraud"))
        >>> advice.techniques
        ['baseline', 'balanced:0.25', 'smote:0.25', 'hist_gradient_boosting']
        >>> advice.recommendations[0].reasons[1].sentence.partition(";")[0]
        'Rankings and probabilities need no rebalancing'
    """
    if not isinstance(data, TabularDataModule):
        raise TypeError(
            f"`data` must be a TabularDataModule, got {type(data).__name__}. Build TabularDataModule(table)."
        )
    goal = Goal(metric, fixed_threshold, model)
    facts = data_facts(data)
    fired = [rule for rule in RULES if rule.applies(facts, goal)]
    return Advice(
        facts=facts,
        goal=goal,
        recommendations=_recommendations(fired, facts),
        discouraged=_discouraged(fired, facts),
        notes=tuple(_reason(rule, facts) for rule in fired if not rule.favours and not rule.against),
        data=_data_arguments(data),
    )


def advice_text(advice: Advice) -> str:
    """Return advice for people: facts, recommendations with their reasons, what is discouraged, and notes."""
    lines = [*_fact_lines(advice.facts), "", "try in this order"]
    for each in advice.recommendations:
        lines += [f"{each.rank}. {each.technique}", *_reason_lines(each.reasons)]
    lines += ["", "leave out"] * bool(advice.discouraged)
    for reasons in dict.fromkeys(advice.discouraged.values()):
        alike = [name for name, own in advice.discouraged.items() if own == reasons]
        lines += [", ".join(alike), *_reason_lines(reasons)]
    lines += ["", "in any case", *_reason_lines(advice.notes), "", "evidence"]
    told = [each.reasons for each in advice.recommendations] + [*advice.discouraged.values(), advice.notes]
    evidence = {reason.rule: reason.evidence for reasons in told for reason in reasons}
    return "\n".join([*lines, *(_wrapped(rule, evidence[rule]) for rule in evidence)])


def _fact_lines(facts: DataFacts) -> list[str]:
    lines = [
        f"{facts.train_rows} of {facts.rows} rows train; {facts.num_classes} classes, the rarest {facts.minority!r} "
        f"with {facts.minority_rows} training rows, 1:{facts.imbalance_ratio:.1f}",
        f"{facts.num_features} feature columns, {facts.categorical_share:.0%} of them categories or flags, "
        f"{facts.missing_share:.1%} of the cells missing",
        f"neighbours of minority rows: {facts.overlap:.0%} of other classes; {facts.isolated_share:.0%} of the rows "
        f"have none of their own (by chance {facts.isolated_by_chance:.0%})",
        f"modes of the minority: {facts.modes}, the smallest with {facts.smallest_mode_rows} rows",
    ]
    if facts.drift is not None:
        lines.append(
            f"first to last third: minority {facts.drift.first:.2%} to {facts.drift.last:.2%} (p {facts.drift.p:.2g}); "
            f"{facts.drift.column!r} moves most, by {facts.drift.distance:.2f}"
        )
    return lines


def _reason_lines(reasons: Sequence[Reason]) -> list[str]:
    return [_wrapped(reason.rule, reason.sentence) for reason in reasons]


def _wrapped(rule: str, text: str) -> str:
    return fill(f"{rule}: {text}", 110, initial_indent="   ", subsequent_indent="      ")


def _reason(rule: Rule, facts: DataFacts) -> Reason:
    return Reason(rule.name, rule.reason.format(f=facts), rule.evidence)


def _recommendations(fired: Sequence[Rule], facts: DataFacts) -> tuple[Recommendation, ...]:
    named = dict.fromkeys([BASELINE, *(technique for rule in fired for technique in rule.favours)])
    ruled_out = {entry for rule in fired for entry in rule.against if entry != BASELINE}
    kept = [name for name in named if ruled_out.isdisjoint((name, name.partition(":")[0]))]
    ahead = {technique for rule in fired if BASELINE in rule.against for technique in rule.favours}
    votes = {name: [rule for rule in fired if name in rule.favours] for name in kept}
    ranked = sorted(kept, key=lambda name: (name not in ahead, name != BASELINE, -len(votes[name])))
    return tuple(
        Recommendation(rank, name, tuple(_reason(rule, facts) for rule in votes[name]))
        for rank, name in enumerate(ranked, start=1)
    )


def _discouraged(fired: Sequence[Rule], facts: DataFacts) -> dict[str, tuple[Reason, ...]]:
    against = dict.fromkeys(entry for rule in fired for entry in rule.against if entry != BASELINE)
    return {entry: tuple(_reason(rule, facts) for rule in fired if entry in rule.against) for entry in against}


def _data_arguments(data: TabularDataModule) -> dict[str, Any]:
    """Return what rebuilds the data module, leaving out defaults."""
    default = DataOptions("")
    chosen: dict[str, Any] = {"source": str(data.source) if isinstance(data.source, Path) else data.source}
    for name in DataOptions.__dataclass_fields__:
        value = data.split_shares if name == "split" else getattr(data, name)
        if name != "source" and value != getattr(default, name):
            chosen[name] = list(value) if isinstance(value, tuple) else value
    return chosen
