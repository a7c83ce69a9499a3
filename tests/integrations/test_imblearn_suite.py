"""imbalanced-learn's own tests of over-, under-sampling and combinations, run against our adapters.

Tests that compare with hard-coded rows run through replay samplers: they draw NumPy's numbers in imbalanced-learn's
order and hand them to our core as its plan, so that our neighbours, selections and arithmetic are what is tested.
"""

import importlib.util
import sys
from pathlib import Path

import imblearn.combine
import imblearn.over_sampling
import numpy as np
import pytest
import torch
from numpy.random import RandomState
from sklearn.base import clone

from imbalance_torch import resampling
from imbalance_torch.integrations import sklearn as ours
from imbalance_torch.resampling._graph import Plan

spec = importlib.util.spec_from_file_location("imblearn_cases", Path(__file__).with_name("imblearn_cases.py"))
imblearn_cases = sys.modules["imblearn_cases"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(imblearn_cases)


def planned(parts):
    base, neighbor, gap = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Plan(torch.as_tensor(base), torch.as_tensor(neighbor), torch.as_tensor(gap))


def draw_pairs(core, counts, generator=None):
    """Draw pairs, then gaps, anew from the seed for each class."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for label, number in counts.items():
        edges, numbers = core.graph_.edges[label], RandomState(core.random_state)
        pair = numbers.randint(0, edges.neighbors.numel(), number)
        gap = numbers.uniform(size=number)
        parts.append((edges.bases[pair // edges.neighbors.shape[1]], edges.neighbors.view(-1)[pair], gap))
    return planned(parts)


class CoreSMOTE(resampling.SMOTE):
    draw = draw_pairs


class CoreKMeansSMOTE(resampling.KMeansSMOTE):
    """With one cluster, which is what is compared."""

    draw = draw_pairs


class CoreADASYN(resampling.ADASYN):
    """Draws neighbours, then gaps, from one stream for all classes; rounded shares say how many start from a row."""

    def draw(self, counts, generator=None):
        parts, numbers = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))], RandomState(self.random_state)
        for label, number in counts.items():
            edges = self.graph_.edges[label]
            row = np.repeat(np.arange(len(edges.bases)), edges.shares.long())
            column = numbers.choice(edges.neighbors.shape[1], number)
            parts.append((edges.bases[row], edges.neighbors[row, column], numbers.uniform(size=number)))
        return planned(parts)


class CoreRandomOverSampler(resampling.RandomOverSampler):
    """Draws rows from one stream for all classes; noise, which no test compares, is our own."""

    def draw(self, counts, generator=None):
        if self._widths.any():
            return super().draw(counts, generator)
        numbers, parts = RandomState(self.random_state), [np.empty(0, np.int64)]
        for label, number in counts.items():
            bases = self.graph_.edges[label].bases
            parts.append(bases[numbers.choice(len(bases), number)])
        base = torch.as_tensor(np.concatenate(parts))
        return Plan(base, base, torch.zeros(len(base), dtype=torch.float64))


class CoreRandomUnderSampler(resampling.RandomUnderSampler):
    """Draws rows from one stream for all classes."""

    def _kept(self, classes, strategy):
        numbers, parts = RandomState(self.random_state), []
        for label, members in classes.members.items():
            if label in strategy:
                members = members[numbers.choice(len(members), strategy[label], self.replacement)]
            parts.append(members)
        return torch.cat(parts)


class ReplayRandomOverSampler(ours.RandomOverSampler):
    def _resampler(self, counts):
        return CoreRandomOverSampler(counts, shrinkage=self.shrinkage_, random_state=self.random_state)


class ReplayRandomUnderSampler(ours.RandomUnderSampler):
    def _resampler(self):
        strategy, replacement = self.sampling_strategy_, self.replacement
        return CoreRandomUnderSampler(strategy, replacement=replacement, random_state=self.random_state)


class ReplaySMOTE(ours.SMOTE):
    def _resampler(self, counts):
        self.nn_k_ = self._searched("k_neighbors")
        return CoreSMOTE(counts, k_neighbors=self.nn_k_.n_neighbors - 1, random_state=self.random_state)


class ReplayADASYN(ours.ADASYN):
    def _resampler(self, counts):
        self.nn_ = self._searched("n_neighbors")
        k = self.nn_.n_neighbors - 1
        return CoreADASYN(counts, n_neighbors=k, exact=False, random_state=self.random_state)


class ReplayKMeansSMOTE(ours.KMeansSMOTE):
    def _resampler(self, counts):
        core = super()._resampler(counts)
        if self.kmeans_estimator_.n_clusters == 1:
            core.__class__ = CoreKMeansSMOTE
        return core


class ReplaySMOTEENN(ours.SMOTEENN):
    def _grower(self):
        default = ReplaySMOTE(sampling_strategy=self.sampling_strategy, random_state=self.random_state)
        return default if self.smote is None else clone(self.smote)


class ReplaySMOTETomek(ours.SMOTETomek):
    _grower = ReplaySMOTEENN._grower


REPLAYS = {
    "SMOTE": ReplaySMOTE,
    "KMeansSMOTE": ReplayKMeansSMOTE,
    "ADASYN": ReplayADASYN,
    "RandomOverSampler": ReplayRandomOverSampler,
    "RandomUnderSampler": ReplayRandomUnderSampler,
    "SMOTEENN": ReplaySMOTEENN,
    "SMOTETomek": ReplaySMOTETomek,
}
ADAPTERS = {name: getattr(ours, name) for name in ours.__all__}
FILES = {
    "over_sampling/_smote/tests/test_smote.py": ["SMOTE"],
    "over_sampling/_smote/tests/test_borderline_smote.py": [],
    "over_sampling/_smote/tests/test_svm_smote.py": [],
    "over_sampling/_smote/tests/test_kmeans_smote.py": ["SMOTE", "KMeansSMOTE"],
    "over_sampling/tests/test_adasyn.py": ["ADASYN"],
    "over_sampling/tests/test_common.py": [],
    "over_sampling/_smote/tests/test_smote_nc.py": [],
    "over_sampling/_smote/tests/test_smoten.py": [],
    "over_sampling/tests/test_random_over_sampler.py": ["RandomOverSampler"],
    "under_sampling/_prototype_selection/tests/test_random_under_sampler.py": ["RandomUnderSampler"],
    "under_sampling/_prototype_selection/tests/test_nearmiss.py": [],
    "under_sampling/_prototype_selection/tests/test_tomek_links.py": [],
    "under_sampling/_prototype_selection/tests/test_edited_nearest_neighbours.py": [],
    "combine/tests/test_smote_enn.py": ["SMOTE", "SMOTEENN"],
    "combine/tests/test_smote_tomek.py": ["SMOTE", "SMOTETomek"],
}
GROWS = "counts are exact: plain SMOTE and a warning, where imbalanced-learn adds nothing or raises"
NO_ERROR = pytest.fail.Exception
DEVIATIONS = {
    "over_sampling/test_borderline_smote::test_borderline_smote_no_in_danger_samples[0]": (AssertionError, GROWS),
    "over_sampling/test_borderline_smote::test_borderline_smote_no_in_danger_samples[1]": (AssertionError, GROWS),
    "over_sampling/test_svm_smote::test_svm_smote_all_noise": (NO_ERROR, GROWS),
    "over_sampling/test_kmeans_smote::test_sample_kmeans_not_enough_clusters": (NO_ERROR, GROWS),
    "over_sampling/test_svm_smote::test_svm_smote_not_svm": (TypeError, "a wrong kind of estimator is a TypeError"),
}
CASES = [
    case
    for file, replayed in FILES.items()
    for case in imblearn_cases.cases(file, ADAPTERS | {name: REPLAYS[name] for name in replayed})
]


def deviates(case):
    """Return the mark of a test that must fail, in the stated way."""
    if case.id not in DEVIATIONS:
        return []
    error, reason = DEVIATIONS[case.id]
    return [pytest.mark.xfail(raises=error, reason=reason, strict=True)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id, marks=deviates(case)) for case in CASES])
def test_of_imbalanced_learn(case):
    case.run()


def test_deviations_are_few_and_name_tests_that_exist():
    assert set(DEVIATIONS) <= {case.id for case in CASES}
    assert len({case.id for case in CASES}) == len(CASES)
    assert len(DEVIATIONS) <= 0.1 * len(CASES)


def test_the_tests_run_on_our_classes():
    assert {*imblearn.over_sampling.__all__, *imblearn.combine.__all__} <= set(ADAPTERS)
    names = {
        (name, case.function.__globals__[name])
        for case in CASES
        for name in ADAPTERS.keys() & case.function.__globals__.keys()
    }
    assert {name for name, _ in names} >= set(imblearn.over_sampling.__all__)
    assert [value for _, value in names if value.__module__.startswith("imblearn.")] == []
