"""Statistics of a comparison: paired tests over repeats, Holm's correction, detectable differences, verdicts, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata, wilcoxon

from imbalance_torch._checks import check_int, check_number

_WILCOXON_PAIRS = 10
_POOR_RESOLUTION = 0.02
_SPREAD = 1e-9


class PairedTest(NamedTuple):
    """The outcome of a paired t test.

    Attributes:
        difference: mean difference.
        low: lower end of its confidence interval.
        high: upper end.
        standard_error: of the mean difference.
        degrees_of_freedom: pairs minus one.
        p: two-sided p-value of "the expected difference is zero".
    """

    difference: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: int
    p: float


@dataclass(frozen=True)
class Effect:
    """One technique at one budget against the baseline, as :func:`verdicts` returns it.

    Attributes:
        technique: its name.
        budget: gradient steps of each fit.
        pairs: how many repeats had both the technique and the baseline.
        difference: mean of the metric's paired differences, technique minus baseline.
        low: lower end of the confidence interval of this one difference (95 % unless asked otherwise).
        high: upper end. Without spread among the pairs the interval is infinite.
        p: two-sided p-value of the paired t test.
        p_holm: the same, adjusted for all techniques of this budget.
        p_wilcoxon: two-sided p-value of the signed-rank test; None under ten pairs. It does not enter the verdict.
        detectable: smallest true difference that pairs with this spread find with 80 % power, at the level that Holm's
            first step asks for; infinite without spread.
        verdict: "better" or "worse" where ``p_holm`` is below 1 - level, else "no evidence".
        statement: all of it in one plain sentence.
    """

    technique: str
    budget: int
    pairs: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    p_wilcoxon: float | None
    detectable: float
    verdict: Literal["better", "no evidence", "worse"]
    statement: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object; what is infinite is None."""
        return {name: finite(value) for name, value in asdict(self).items()}


def finite(value: Any) -> Any:
    """Return None for a number that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def paired_t_test(differences: Sequence[float] | np.ndarray, *, level: float = 0.95) -> PairedTest:
    """Test whether the mean of independent paired differences is zero.

    ``t = mean(d) / (s / sqrt(J))`` with J - 1 degrees of freedom, where d are the ``differences``, J their number and s
    their standard deviation with denominator J - 1. For repeats on one fixed split that differ in the seed alone: the
    answer then speaks of training noise on that split, not of other rows.

    Args:
        differences: one per pair, finite, (J,) with J >= 2.
        level: of the confidence interval, strictly between 0 and 1.

    Returns:
        A :class:`PairedTest`. Differences that are all equal have standard error 0 and an interval of width 0; p is
        then the limit of the formula, 1 if they are zero and else 0. Cost O(J).

    Raises:
        TypeError: differences that are not real numbers.
        ValueError: fewer than two differences, one that is not finite, a level outside (0, 1).

    References:
        Student, The probable error of a mean, Biometrika 1908.

    Example:
        >>> test = paired_t_test([0.01, 0.03, 0.02, 0.04])
        >>> print(f"{test.difference:.3f} [{test.low:.3f}, {test.high:.3f}], p {test.p:.3f}")
        0.025 [0.004, 0.046], p 0.030
    """
    return corrected_resampled_t_test(differences, test_to_train=0.0, level=level)


def corrected_resampled_t_test(
    differences: Sequence[float] | np.ndarray, *, test_to_train: float, level: float = 0.95
) -> PairedTest:
    """Test whether the mean of paired differences over random, overlapping splits is zero.

    ``t = mean(d) / (s * sqrt(1 / J + test_to_train))`` with J - 1 degrees of freedom, where d are the ``differences``,
    J their number and s their standard deviation with denominator J - 1. Splits of one table share training rows, so
    their differences are correlated; the term ``test_to_train`` is rho / (1 - rho) for the correlation
    ``rho = n_test / (n_test + n_train)``. Without it, the error rate of the test grows with every repeat.

    Args:
        differences: one per split, finite, (J,) with J >= 2. For r times k folds J is r * k.
        test_to_train: n_test / n_train, test rows over training rows of a split, >= 0; 1 / (k - 1) for k folds, and 0
            is :func:`paired_t_test`.
        level: of the confidence interval, strictly between 0 and 1.

    Returns:
        A :class:`PairedTest`, for equal differences as in :func:`paired_t_test`. Cost O(J).

    Raises:
        TypeError: differences that are not real numbers.
        ValueError: fewer than two differences, one that is not finite, a negative ratio, a level outside (0, 1).

    Notes:
        The correlation is an assumption of the paper for random splits, not an estimate. More repeats narrow the
        interval only down to the share ``test_to_train`` of the variance, which stands for the table at hand.

    References:
        Nadeau and Bengio, Inference for the generalization error, Machine Learning 2003.
        Bouckaert and Frank, Evaluating the replicability of significance tests for comparing learning algorithms,
        PAKDD 2004.

    Example:
        >>> test = corrected_resampled_t_test([0.01, 0.03, 0.02, 0.04], test_to_train=0.25)
        >>> print(f"{test.difference:.3f} [{test.low:.3f}, {test.high:.3f}], p {test.p:.3f}")
        0.025 [-0.004, 0.054], p 0.071
    """
    values = _finite(differences)
    if len(values) < 2:
        raise ValueError(f"`differences` must hold at least two pairs, got {len(values)}. Add repeats.")
    check_number("test_to_train", test_to_train, minimum=0.0)
    _check_fraction("level", level)
    mean, degrees = float(values.mean()), len(values) - 1
    error = float(values.std(ddof=1)) * math.sqrt(1 / len(values) + test_to_train)
    margin = float(stdtrit(degrees, (1 + level) / 2)) * error
    p = 2 * float(stdtr(degrees, -abs(mean) / error)) if error > 0 else float(mean == 0)
    return PairedTest(mean, mean - margin, mean + margin, error, degrees, p)


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for their number by Holm's step-down method.

    With ``p_(1) <= ... <= p_(m)`` the sorted ``p_values``, the i-th adjusted one is
    ``max over j <= i of min(1, (m - j + 1) * p_(j))``. Rejecting where it is below a level keeps the probability of any
    false rejection below that level, whatever the dependence of the tests.

    Args:
        p_values: in [0, 1], (m,); none is allowed.

    Returns:
        Adjusted p-values in the order given, (m,) float64. Cost O(m log m).

    Raises:
        TypeError: p-values that are not real numbers.
        ValueError: one outside [0, 1] or not finite.

    References:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = _finite(p_values, "p_values")
    if ((values < 0) | (values > 1)).any():
        raise ValueError(f"`p_values` must lie in [0, 1], got {values.tolist()}.")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1.0)
    return adjusted


def detectable_difference(
    standard_error: float, degrees_of_freedom: int, *, level: float = 0.95, power: float = 0.8
) -> float:
    """Return the smallest true difference that a two-sided t test finds with the given power.

    ``(t_(1 - a / 2) + t_power) * standard_error``, with ``a = 1 - level`` and t_q the q-quantile of Student's t with
    ``degrees_of_freedom``.

    Args:
        standard_error: of the mean difference, >= 0.
        degrees_of_freedom: pairs minus one, >= 1.
        level: one minus the test's level, strictly between 0 and 1. For m tests under Holm's correction the first
            step asks for ``1 - 0.05 / m``.
        power: probability that the difference is found, strictly between 0 and 1.

    Returns:
        The difference, in the metric's unit.

    Raises:
        TypeError: an argument that is not a number.
        ValueError: an argument out of its range.

    Notes:
        Student's t stands in for the noncentral t distribution, as in sample-size formulas. The result is slightly low:
        at the level .05 by 0.1 % for ten pairs and 5 % for three, at .05 / 9 by 2.5 % and 15 %. The standard error is
        itself an estimate, so take it as a guide.

    References:
        Snedecor and Cochran, Statistical Methods, 1989 (sample size from the power of a t test).

    Example:
        >>> print(f"{detectable_difference(0.01, 9):.4f}")
        0.0315
    """
    check_number("standard_error", standard_error, minimum=0.0)
    degrees = check_int("degrees_of_freedom", degrees_of_freedom, minimum=1)
    _check_fraction("level", level)
    _check_fraction("power", power)
    return float(stdtrit(degrees, (1 + level) / 2) + stdtrit(degrees, power)) * standard_error


def verdicts(
    differences: Mapping[str, Sequence[float] | np.ndarray],
    *,
    budget: int,
    test_to_train: float | None,
    metric: str = "AP",
    level: float = 0.95,
) -> list[Effect]:
    """Say of each technique whether it is better than the baseline, worse, or neither can be shown.

    Each technique gets a two-sided paired t test, and Holm's correction runs over the techniques of the call: the
    probability that any technique without an effect is called better or worse stays below ``1 - level``. Call it once
    per budget; a question asked at two budgets is two questions.

    Args:
        differences: of each technique, the metric of the technique minus the baseline's, one per repeat with the same
            split and seed; higher is better.
        budget: gradient steps of each fit, >= 1.
        test_to_train: n_test / n_train where each repeat has a random split of its own
            (:func:`corrected_resampled_t_test`). None for one fixed split over seeds (:func:`paired_t_test`); each
            statement then says that it speaks of training noise on this split.
        metric: its name in the statements.
        level: one minus the probability of a false verdict, and the level of the intervals, strictly between 0 and 1.

    Returns:
        An :class:`Effect` per technique, in the order given. One pair, and pairs that differ by no more than 1e-9, have
        no spread to hold a difference against: p is then 1, the verdict "no evidence", interval and detectable
        difference are infinite. Equal pairs are mostly copies of a fit that no seed changes, and ties of a coarse
        metric otherwise.

    Raises:
        TypeError: differences that are not real numbers.
        ValueError: a technique without pairs, a difference that is not finite, an argument out of its range.

    Notes:
        The interval is that of one difference, not adjusted for the number of techniques; where it excludes 0 while
        Holm's correction keeps "no evidence", the statement says so. A detectable difference over .02 comes with a
        warning, whatever the verdict. The signed-rank test ignores the overlap of random splits, and under ten pairs
        it has too few distinct values; it is a second opinion only.

    References:
        Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 2006.
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
        Nadeau and Bengio, Inference for the generalization error, Machine Learning 2003.
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945.

    Example:
        >>> effects = verdicts(
        ...     {"focal": [0.03, -0.02, 0.01, 0.0, -0.01], "smote": [0.052, 0.049, 0.051, 0.05, 0.048]},
        ...     budget=300,
        ...     test_to_train=0.25,
        ... )
        >>> for effect in effects:
        ...     print(effect.statement)
        focal: no evidence (AP +0.002, 95 % interval [-0.034, +0.038], 5 pairs at 300 steps; these pairs could detect
        0.058, more than 0.02: ask for more repeats)
        smote: better (AP +0.0500, 95 % interval [+0.0471, +0.0529], 5 pairs at 300 steps; these pairs could detect
        0.0048)
    """
    check_int("budget", budget, minimum=1)
    _check_fraction("level", level)
    pairs = {name: _finite(values, f"differences[{name!r}]") for name, values in differences.items()}
    tests = {}
    for name, values in pairs.items():
        if len(values) == 0:
            raise ValueError(f"`differences[{name!r}]` must hold at least one pair. Leave the technique out.")
        if np.ptp(values) > _SPREAD:
            tests[name] = corrected_resampled_t_test(values, test_to_train=test_to_train or 0.0, level=level)
        else:
            tests[name] = PairedTest(float(values.mean()), -math.inf, math.inf, math.inf, len(values) - 1, 1.0)
    effects = []
    for (name, test), p_holm in zip(tests.items(), holm([test.p for test in tests.values()]), strict=True):
        values, has_spread = pairs[name], math.isfinite(test.standard_error)
        p_wilcoxon, detectable = None, math.inf
        if len(values) >= _WILCOXON_PAIRS:
            p_wilcoxon = float(wilcoxon(values).pvalue) if has_spread else 1.0
        if has_spread:
            first_step = 1 - (1 - level) / len(tests)
            detectable = detectable_difference(test.standard_error, test.degrees_of_freedom, level=first_step)
        effect = Effect(
            technique=name,
            budget=budget,
            pairs=len(values),
            difference=test.difference,
            low=test.low,
            high=test.high,
            p=test.p,
            p_holm=float(p_holm),
            p_wilcoxon=p_wilcoxon,
            detectable=detectable,
            verdict="no evidence" if p_holm >= 1 - level else "better" if test.difference > 0 else "worse",
            statement="",
        )
        statement = _statement(
            effect, metric=metric, level=level, techniques=len(tests), fixed_split=test_to_train is None
        )
        effects.append(replace(effect, statement=statement))
    return effects


def mean_ranks(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each technique's rank among the techniques, averaged over data sets.

    On each data set the highest score has rank 1, and ties share the mean of their ranks. Descriptive only: data sets
    chosen by hand are no sample, so no test follows.

    Args:
        scores: data set -> technique -> score, finite, higher is better; the same techniques on every data set.

    Returns:
        Technique -> mean rank, in [1, number of techniques], lowest first.

    Raises:
        ValueError: no data set, no technique, techniques that differ between data sets, a score that is not finite.

    References:
        Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 2006.

    Example:
        >>> mean_ranks({"a": {"focal": 0.7, "smote": 0.8}, "b": {"focal": 0.6, "smote": 0.6}})
        {'smote': 1.25, 'focal': 1.75}
    """
    techniques = list(next(iter(scores.values()), {}))
    if not techniques:
        raise ValueError("`scores` must hold at least one technique on one data set.")
    for data_set, row in scores.items():
        if set(row) != set(techniques):
            raise ValueError(
                f"`scores` must hold the same techniques on every data set, got {', '.join(techniques)} on the first "
                f"and {', '.join(row)} on {data_set!r}. Leave out techniques that did not run everywhere."
            )
    table = [_finite([row[name] for name in techniques], f"scores[{data_set!r}]") for data_set, row in scores.items()]
    ranks = rankdata(-np.stack(table), axis=1).mean(axis=0)
    return {techniques[i]: float(ranks[i]) for i in np.argsort(ranks, kind="stable")}


def _statement(effect: Effect, *, metric: str, level: float, techniques: int, fixed_split: bool) -> str:
    digits, parts = 3, []
    if fixed_split:
        parts.append("this speaks of training noise on this split only")
    if effect.verdict == "no evidence" and effect.p < 1 - level:
        parts.append(
            f"the interval alone excludes 0, but it does not allow for {techniques} techniques as Holm's test does"
        )
    if math.isfinite(effect.detectable):
        digits = max(3, math.ceil(-math.log10(effect.detectable)) + 1)
        shown = math.ceil(effect.detectable * 10**digits) / 10**digits
        more = f", more than {_POOR_RESOLUTION}: ask for more repeats" if effect.detectable > _POOR_RESOLUTION else ""
        interval = f", {100 * level:g} % interval [{effect.low:+.{digits}f}, {effect.high:+.{digits}f}]"
        parts.append(f"these pairs could detect {shown:.{digits}f}{more}")
    else:
        interval = ""
        why = "one repeat" if effect.pairs == 1 else "pairs without spread"
        parts.append(f"{why} cannot tell a technique from noise: ask for more repeats")
    pairs = f"{effect.pairs} pair{'s' * (effect.pairs > 1)} at {effect.budget} steps"
    figures = f"{metric} {effect.difference:+.{digits}f}{interval}, {pairs}"
    return f"{effect.technique}: {effect.verdict} ({'; '.join([figures, *parts])})"


def _finite(values: Any, name: str = "differences") -> np.ndarray:
    """Return ``values`` as a float64 vector."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must hold real numbers, got {name}={values!r}.")
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have shape (J,), got {name}.shape={array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {array.tolist()}. A fit that diverged has no score to compare.")
    return array.astype(np.float64)


def _check_fraction(name: str, value: float) -> None:
    if not 0 < check_number(name, value) < 1:
        raise ValueError(f"`{name}` must lie strictly between 0 and 1, got {name}={value!r}.")
