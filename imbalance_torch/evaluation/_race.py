"""race: successive halving over techniques on training and validation rows, with "do nothing" as the null."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imbalance_torch._checks import check_int
from imbalance_torch.evaluation._arms import BASELINE, Arm, build_arms
from imbalance_torch.evaluation._compare import BUDGETS, METRICS, compare, with_interval
from imbalance_torch.evaluation._repeats import of_rows
from imbalance_torch.evaluation._statistics import Effect
from imbalance_torch.training import Settings, TabularDataModule

_REPEATS = 3  # of a round before the final
_APART = 1_000  # between the seeds of two rounds


@dataclass(frozen=True)
class Round:
    """One round of a race: the mean difference of each technique to the baseline, and who goes on."""

    budget: int
    repeats: int
    differences: dict[str, float]
    kept: list[str]


@dataclass(frozen=True)
class Race:
    """The outcome of :func:`race`.

    Attributes:
        rounds: the rounds before the final, in order.
        final: the verdict on the one that was left, against the baseline.
        chosen: the technique to use.
        reason: why, in one sentence.
    """

    rounds: list[Round]
    final: Effect
    chosen: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return {**asdict(self), "final": self.final.to_dict()}


def race(
    data: TabularDataModule,
    techniques: Sequence[str | tuple[str, Arm]],
    *,
    settings: Settings | None = None,
    budgets: Sequence[int] = BUDGETS,
    num_repeats: int = 10,
    splits: str = "auto",
    metric: str = "ap",
    directory: str | Path | None = None,
) -> Race:
    """Let techniques race on training and validation rows, and name the one that is better than doing nothing, or none.

    Successive halving: three repeats at the short budget, of which the better half by mean difference goes on, three at
    the long budget, and so on until one is left; two always meet at the long budget. The one left meets the baseline in
    a final of ``num_repeats`` new splits and seeds at the long budget, and is chosen if the corrected resampled t test
    finds it better there; otherwise the baseline, which takes part in every round and cannot be eliminated. Since the
    final has its own splits and seeds, the luck that carried a technique there does not count, and since it tests one
    technique alone, no correction for several is due.

    Args:
        data: the table; its test rows are never looked at.
        techniques: as in :func:`compare`.
        settings: network, batch size and the like of every fit.
        budgets: optimiser steps of the first round, of the second, ...; the last is that of all further rounds.
        num_repeats: of the final.
        splits: as in :func:`compare`.
        metric: as in :func:`compare`.
        directory: where the rounds are kept, to go on after an interruption.

    Raises:
        ValueError: as :func:`compare`; no technique beside the baseline.

    Notes:
        Cost: about ``6 T + 2 num_repeats`` fits for T techniques.

    References:
        Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, 2016.
    """
    check_int("num_repeats", num_repeats, minimum=2)
    settings = settings or Settings(network="mlp")
    arms = build_arms(techniques)
    left = [name for name in arms if name != BASELINE]
    if not left:
        raise ValueError("`techniques` has the baseline alone: there is nothing to race.")
    data.setup()
    pool = of_rows(data, np.sort(np.concatenate([data.split.train, data.split.val])))
    rounds: list[Round] = []
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory()) if directory is None else directory)

        def run(names: list[str], budget: int, repeats: int) -> list[Effect]:
            number = len(rounds)
            own = copy.copy(pool)
            own.seed = pool.seed + _APART * (number + 1)
            return compare(
                own,
                [(name, arms[name]) for name in names],
                settings=replace(settings, seed=settings.seed + _APART * (number + 1)),
                budgets=[budget],
                num_repeats=repeats,
                splits=splits,
                metric=metric,
                directory=place / f"round-{number}",
            ).effects

        while len(left) > 1:
            budget = budgets[min(len(rounds), len(budgets) - 1)] if len(left) > 2 else budgets[-1]
            differences = {effect.technique: effect.difference for effect in run(left, budget, _REPEATS)}
            ranked = sorted(differences, key=differences.__getitem__, reverse=True)
            left = ranked[: math.ceil(len(ranked) / 2)]
            rounds.append(Round(budget, _REPEATS, differences, left))
        (effect,) = run(left, budgets[-1], num_repeats)
    figures = f"{METRICS[metric]} {with_interval(effect)} in {effect.pairs} pairs"
    if effect.verdict == "better":
        return Race(rounds, effect, effect.technique, f"{effect.technique} is better than the baseline: {figures}")
    return Race(rounds, effect, BASELINE, f"nothing beats the baseline; {effect.technique} was left: {figures}")
