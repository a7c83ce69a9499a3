"""Every rule fires on a table made for it, and is silent on the opposite one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imbalance_torch.evaluation import data_facts
from imbalance_torch.evaluation._advice import advise
from imbalance_torch.evaluation._arms import ESTIMATORS, build_arms
from imbalance_torch.evaluation._drift import Drift
from imbalance_torch.evaluation._facts import DataFacts
from imbalance_torch.evaluation._rules import METRICS, MODELS, REBALANCING, RULES, Goal
from imbalance_torch.training import LOSSES, RESAMPLERS, SAMPLERS, TabularDataModule

PLAIN = DataFacts(
    rows=10_000,
    train_rows=6000,
    num_classes=2,
    minority=1,
    minority_rows=120,
    majority_rows=5880,
    imbalance_ratio=49.0,
    num_features=8,
    numeric_columns=8,
    categorical_share=0.0,
    missing_share=0.0,
    overlap=0.3,
    isolated_share=0.05,
    isolated_by_chance=0.9,
    modes=1,
    smallest_mode_rows=120,
    drift=None,
)
STILL = Drift(first=0.02, last=0.021, p=0.5, column="a", distance=0.03, column_p=0.9)
ALWAYS = ["R0", "R14", "R17"]
# rule -> changes of facts and goal on which it fires, and on which it does not
CASES = {
    "R1": ({}, {"metric": "log_loss"}, {}, {"metric": "balanced_accuracy"}),
    "R2": ({}, {"metric": "balanced_accuracy"}, {}, {"metric": "balanced_accuracy", "fixed_threshold": True}),
    "R3": ({}, {"fixed_threshold": True}, {}, {}),
    "R4": ({"imbalance_ratio": 9.9}, {}, {"imbalance_ratio": 10.0}, {}),
    "R5": (
        {"imbalance_ratio": 101.0},
        {"fixed_threshold": True},
        {"imbalance_ratio": 100.0},
        {"fixed_threshold": True},
    ),
    "R6": ({}, {"model": "deep"}, {}, {}),
    "R7": ({"imbalance_ratio": 1001.0}, {}, {"imbalance_ratio": 1000.0}, {}),
    "R8": ({"num_classes": 3}, {}, {"num_classes": 2}, {}),
    "R9": ({}, {}, {"categorical_share": 0.2}, {}),
    "R9 otherwise": ({"categorical_share": 0.2}, {}, {}, {}),
    "R10": ({"minority_rows": 19, "smallest_mode_rows": 19}, {}, {"minority_rows": 20, "smallest_mode_rows": 20}, {}),
    "R11": ({"majority_rows": 1_000_001}, {}, {"majority_rows": 1_000_000}, {}),
    "R12": ({}, {"model": "trees"}, {"imbalance_ratio": 1000.0}, {"model": "trees"}),
    "R13": ({}, {"model": "trees"}, {}, {"model": "deep"}),
    "R15": ({}, {"metric": "auroc"}, {}, {"metric": "ap"}),
    "R16": ({"isolated_share": 0.2}, {}, {"isolated_share": 0.2, "overlap": 0.6}, {}),
    "drift": ({"drift": replace(STILL, last=0.03, p=1e-4)}, {}, {"drift": STILL}, {}),
}
BY_NAME = {rule.name: rule for rule in RULES}


def test_the_rules_are_those_of_the_framework():
    numbered = [rule.name for rule in RULES if rule.name.startswith("R") and " " not in rule.name]
    assert numbered == [f"R{number}" for number in range(18)]
    assert sorted([*CASES, *ALWAYS]) == sorted(BY_NAME)
    assert len(BY_NAME) == len(RULES)


@pytest.mark.parametrize("name", CASES)
def test_it_fires_and_it_is_silent(name):
    facts, goal, other_facts, other_goal = CASES[name]
    rule = BY_NAME[name]
    assert rule.applies(replace(PLAIN, **facts), Goal(**goal))
    assert not rule.applies(replace(PLAIN, **other_facts), Goal(**other_goal))


@pytest.mark.parametrize(
    "facts",
    [
        {"numeric_columns": 0},
        {"imbalance_ratio": 39.0},
        {"modes": 7},
    ],
)
def test_each_condition_of_smote_counts(facts):
    assert not BY_NAME["R9"].applies(replace(PLAIN, **facts), Goal())
    assert BY_NAME["R9 otherwise"].applies(replace(PLAIN, **facts), Goal())


@pytest.mark.parametrize("drift", [{"distance": 0.2, "column_p": 1e-4}, {"first": 0.03, "p": 1e-4}])
def test_either_drift_counts(drift):
    assert BY_NAME["drift"].applies(replace(PLAIN, drift=replace(STILL, **drift)), Goal())
    chance = {"p": 0.2, "column_p": 0.2}
    assert not BY_NAME["drift"].applies(replace(PLAIN, drift=replace(STILL, **{**drift, **chance})), Goal())


def test_gaps_alone_speak_for_repairing_the_data():
    assert BY_NAME["R16"].applies(replace(PLAIN, missing_share=0.21), Goal())
    assert not BY_NAME["R16"].applies(replace(PLAIN, missing_share=0.2), Goal())


def test_weights_are_no_matter_where_the_threshold_moves():
    assert not BY_NAME["R5"].applies(replace(PLAIN, imbalance_ratio=500.0), Goal())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("fixed", [False, True])
def test_exactly_one_rule_speaks_of_the_goal(metric, fixed):
    goal = Goal(metric, fixed)
    assert sum(BY_NAME[name].applies(PLAIN, goal) for name in ("R1", "R2", "R3")) == 1


def test_sentences_have_the_figures_of_the_data():
    facts = replace(PLAIN, drift=STILL)
    for rule in RULES:
        sentence = rule.reason.format(f=facts)
        assert "{" not in sentence
        assert sentence.endswith(".")
        assert rule.evidence
        assert rule.when
    assert "49 majority rows" in BY_NAME["R5"].reason.format(f=facts)
    assert "2.00% to 2.10%" in BY_NAME["drift"].reason.format(f=facts)


def test_techniques_are_known_ones():
    favoured = list(dict.fromkeys(name for rule in RULES for name in rule.favours))
    assert list(build_arms(favoured)) == favoured  # the baseline is named first
    known = {"baseline", *LOSSES, *SAMPLERS, *RESAMPLERS, *ESTIMATORS}
    opposed = {name.partition(":")[0] for rule in RULES for name in rule.against}
    assert opposed <= known
    rebalancing = {name.partition(":")[0] for name in favoured} & {*LOSSES, *SAMPLERS, *RESAMPLERS}
    assert rebalancing == {*REBALANCING}  # what R4 rules out is all that another rule favours


@pytest.mark.parametrize(
    ("goal", "error", "text"),
    [
        ({"metric": "AP"}, ValueError, "Did you mean|must be one of 'ap'"),
        ({"model": "forest"}, ValueError, "`model` must be one of 'network', 'deep', 'trees'"),
        ({"fixed_threshold": 0.5}, TypeError, "`fixed_threshold` must be a bool"),
    ],
)
def test_a_wrong_goal(goal, error, text):
    with pytest.raises(error, match=text):
        Goal(**goal)
    assert MODELS[0] == Goal().model


def table(ratio=50, rows=6000, categories=0, numbers=4, gaps=0.0, noise=0.0, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    minority = round(rows / (ratio + classes - 1))
    y = np.repeat(np.arange(classes), [rows - minority * (classes - 1), *[minority] * (classes - 1)])
    columns = {f"x{i}": rng.normal(size=rows) + 8 * (y == classes - 1) * (i == 0) for i in range(numbers)}
    columns |= {f"c{i}": rng.choice(list("abc"), rows) for i in range(categories)}
    found = pd.DataFrame(columns)
    found = found.mask(rng.random(found.shape) < gaps)
    flipped = rng.random(rows) < noise
    return found.assign(y=np.where(flipped, rng.permutation(y), y))


def fired(planted, **goal):
    facts = data_facts(TabularDataModule(planted, "y", audit=False))
    return {rule.name for rule in RULES if rule.applies(facts, Goal(**goal))} - {*ALWAYS}


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({}, {"R1", "R9", "R13"}),
        ({"ratio": 5}, {"R1", "R4", "R13"}),
        ({"ratio": 30}, {"R1", "R9 otherwise", "R13"}),
        ({"ratio": 150, "rows": 12_000}, {"R1", "R9", "R13"}),
        ({"ratio": 1500, "rows": 12_000}, {"R1", "R7", "R9 otherwise", "R10", "R13"}),
        ({"categories": 4, "numbers": 1}, {"R1", "R9 otherwise", "R13"}),
        ({"classes": 3, "ratio": 45}, {"R1", "R8", "R9", "R13"}),
        ({"gaps": 0.3}, {"R1", "R9", "R13", "R16"}),
        ({"noise": 0.3}, {"R1", "R9", "R13", "R16"}),
    ],
)
def test_planted_tables(planted, expected):
    assert fired(table(**planted)) == expected


@pytest.mark.slow
def test_a_majority_of_a_million():
    big = table(ratio=20, rows=1_900_000, numbers=1)
    assert "R11" in fired(big)
    assert "rotating_undersampling:0.1" in advise(TabularDataModule(big, "y", audit=False)).techniques
