"""What `tune` searches over: a technique, its one figure, and the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from imbalance_torch.training import RECIPES, Settings, Technique
from imbalance_torch.training._fitting import EncodedTable

if TYPE_CHECKING:
    import optuna

GAMMAS = (0.5, 1.0, 2.0, 3.0)
WEIGHT_POWERS = (0.25, 0.5, 0.75, 1.0)
RATIOS = (0.05, 0.1, 0.25)
SLOWEST, FASTEST = 0.25, 2.5


@dataclass(frozen=True)
class _Family:
    """A technique and the values of the one figure that is tuned for it."""

    technique: Technique
    figure: str = ""
    grid: Sequence[float] = ()


_FAMILIES = {
    "plain": _Family(Technique()),
    "focal": _Family(Technique(loss="focal", gamma=2.0), "gamma", GAMMAS),
    "class_weighted": _Family(Technique(loss="class_weighted", weight_power=1.0), "weight_power", WEIGHT_POWERS),
    "balanced": _Family(Technique(sampler="balanced"), "ratio", RATIOS),
    "rotating_undersampling": _Family(Technique(sampler="rotating_undersampling"), "ratio", RATIOS),
    "smote": _Family(Technique(resampler="smote"), "ratio", RATIOS),
}


class SearchSpace:
    """The settings that are tried on one table.

    Args:
        data: the table, set up. Ratios that its rarest class has already are left out; a sampler or resampler without
            a ratio left is not tried, nor is SMOTE on a table without numeric columns.
        settings: what stays the same in every trial; its learning rate is the default one.
    """

    def __init__(self, data: EncodedTable, settings: Settings) -> None:
        natural = min(data.class_counts) / max(data.class_counts)
        self._settings = settings
        self._families = {}
        for name, family in _FAMILIES.items():
            grid = [value for value in family.grid if family.figure != "ratio" or value > natural]
            if name == "plain" or (grid and (name != "smote" or data.encoder.num_numeric)):
                self._families[name] = replace(family, grid=grid)

    def first(self) -> list[dict[str, Any]]:
        """Return the parameters of the recipes, the plain baseline first."""
        chosen = []
        for recipe in RECIPES.values():
            name = recipe.sampler or recipe.resampler or recipe.loss.replace("cross_entropy", "plain")
            family = self._families.get(name)
            if family is not None:
                figure = {family.figure: getattr(family.technique, family.figure)} if family.figure else {}
                chosen.append({"technique": name, **figure, "learning_rate": self._settings.learning_rate})
        return chosen

    def suggest(self, trial: optuna.Trial) -> Settings:
        """Return the settings of a trial."""
        family = self._families[trial.suggest_categorical("technique", list(self._families))]
        technique, default = family.technique, self._settings.learning_rate
        if family.figure:
            figure = trial.suggest_categorical(family.figure, family.grid)
            technique = Technique(**{**asdict(technique), family.figure: figure})
        rate = trial.suggest_float("learning_rate", SLOWEST * default, FASTEST * default, log=True)
        return replace(self._settings, technique=technique, learning_rate=rate)
