"""Paired tests, Holm, detectable differences, verdicts and ranks, against definitions, scipy and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from imbalance_torch.evaluation import (
    corrected_resampled_t_test,
    detectable_difference,
    holm,
    mean_ranks,
    paired_t_test,
    verdicts,
)

REPEATS, TEST_TO_TRAIN = 10, 0.25
RHO = TEST_TO_TRAIN / (1 + TEST_TO_TRAIN)  # n_test / (n_train + n_test)


def generator(seed=0):
    return np.random.default_rng(seed)


def simulate(comparisons, techniques, *, effect=0.0, baseline_share=0.0, seed=0):
    """Paired differences of sd .02, of which any two splits share RHO and two techniques `baseline_share`."""
    rng = generator(seed)

    def noise(arms):
        of_the_table = rng.standard_normal((comparisons, arms, 1))
        of_the_split = rng.standard_normal((comparisons, arms, REPEATS))
        return math.sqrt(RHO) * of_the_table + math.sqrt(1 - RHO) * of_the_split

    return effect + 0.02 * (math.sqrt(baseline_share) * noise(1) + math.sqrt(1 - baseline_share) * noise(techniques))


def run(differences, test_to_train=TEST_TO_TRAIN, **options):
    named = {f"t{i}": row for i, row in enumerate(differences)}
    return verdicts(named, budget=300, test_to_train=test_to_train, **options)


def any_verdict_rate(differences, test_to_train=TEST_TO_TRAIN):
    return np.mean([any(e.verdict != "no evidence" for e in run(d, test_to_train)) for d in differences])


# Simulation: the error rate that a verdict promises, and the power behind it.


def test_the_simulated_splits_have_the_stated_spread_and_correlation():
    differences = simulate(20_000, 1)[:, 0]
    assert differences.std() == pytest.approx(0.02, rel=0.02)
    assert np.corrcoef(differences[:, 0], differences[:, 1])[0, 1] == pytest.approx(RHO, abs=0.02)


def test_false_verdicts_of_one_technique_are_rare():
    assert any_verdict_rate(simulate(1_000, 1)) <= 0.067


def test_the_uncorrected_test_breaks_that_bound():
    assert any_verdict_rate(simulate(1_000, 1), test_to_train=None) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("baseline_share", [0.0, 0.5])
def test_false_verdicts_among_nine_techniques_are_rare(baseline_share):
    assert any_verdict_rate(simulate(1_000, 9, baseline_share=baseline_share)) <= 0.067


def test_nine_techniques_without_holm_break_that_bound():
    unadjusted = [
        [corrected_resampled_t_test(row, test_to_train=TEST_TO_TRAIN).p for row in d] for d in simulate(300, 9)
    ]
    assert np.mean(np.min(unadjusted, axis=1) < 0.05) > 0.15


@pytest.mark.parametrize(("effect", "verdict"), [(0.05, "better"), (-0.05, "worse")])
def test_a_planted_difference_is_found(effect, verdict):
    found = [run(d)[0].verdict == verdict for d in simulate(1_000, 1, effect=effect)]
    assert np.mean(found) >= 0.8


@pytest.mark.slow
def test_a_planted_difference_is_found_among_eight_techniques_without_one():
    differences = simulate(400, 9)
    differences[:, 4] += 0.05
    assert np.mean([run(d)[4].verdict == "better" for d in differences]) >= 0.8


def test_the_detectable_difference_is_found_in_four_of_five_comparisons():
    error = 0.02 * math.sqrt(RHO + (1 - RHO) / REPEATS)
    differences = simulate(2_000, 1, effect=detectable_difference(error, REPEATS - 1))[:, 0]
    found = [corrected_resampled_t_test(row, test_to_train=TEST_TO_TRAIN).p < 0.05 for row in differences]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_intervals_cover_the_true_difference():
    tests = [
        corrected_resampled_t_test(row, test_to_train=TEST_TO_TRAIN, level=0.8) for row in simulate(2_000, 1)[:, 0]
    ]
    assert np.mean([t.low <= 0 <= t.high for t in tests]) == pytest.approx(0.8, abs=0.03)


# The t tests.


@pytest.mark.parametrize("pairs", [2, 3, 10, 200])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_paired_t_test_is_scipys(pairs, level):
    differences = generator(pairs).normal(0.01, 0.02, pairs)
    test, reference = paired_t_test(differences, level=level), scipy.stats.ttest_1samp(differences, 0.0)
    interval = reference.confidence_interval(level)
    assert test.p == pytest.approx(reference.pvalue)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert test.degrees_of_freedom == reference.df
    assert test.difference / test.standard_error == pytest.approx(reference.statistic)


def test_corrected_t_test_by_hand():
    differences = [0.01, 0.03, 0.02, 0.04]  # mean .025, variance (.015^2 + .005^2 + .005^2 + .015^2) / 3 = .0005 / 3
    test = corrected_resampled_t_test(differences, test_to_train=1 / 3)
    error = math.sqrt(0.0005 / 3 * (1 / 4 + 1 / 3))
    assert test.standard_error == pytest.approx(error)
    assert test.p == pytest.approx(2 * scipy.stats.t(3).sf(0.025 / error))
    assert test.high == pytest.approx(0.025 + 3.182446 * error)  # Student's table, three degrees of freedom
    assert test.low == pytest.approx(0.025 - 3.182446 * error)


def test_no_overlap_is_the_paired_test_and_overlap_widens():
    differences = generator().normal(size=10)
    assert corrected_resampled_t_test(differences, test_to_train=0) == paired_t_test(differences)
    p = [corrected_resampled_t_test(differences, test_to_train=ratio).p for ratio in (0, 0.1, 0.25, 1, 10)]
    assert p == sorted(p)
    assert p[0] < p[-1]


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e6])
def test_the_test_keeps_scale_and_sign(factor):
    differences = generator().normal(0.3, 1, 10)
    test = corrected_resampled_t_test(differences, test_to_train=TEST_TO_TRAIN)
    scaled = corrected_resampled_t_test(-factor * differences, test_to_train=TEST_TO_TRAIN)
    assert scaled.p == pytest.approx(test.p)
    assert (scaled.low, scaled.difference, scaled.high) == pytest.approx(
        (-factor * test.high, -factor * test.difference, -factor * test.low)
    )


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_the_interval_excludes_zero_where_p_is_below_the_level(level):
    for differences in generator().normal(0.8, 1, (200, 6)):
        test = corrected_resampled_t_test(differences, test_to_train=0.1, level=level)
        assert (test.low > 0 or test.high < 0) == (test.p < 1 - level)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.5, 0.0), (-0.5, 0.0)])
def test_equal_differences_take_the_limit(value, p):
    assert paired_t_test([value] * 4) == (value, value, value, 0.0, 3, p)


@pytest.mark.parametrize(
    ("differences", "error", "message"),
    [
        ([], ValueError, "at least two pairs, got 0"),
        ([0.1], ValueError, "at least two pairs, got 1"),
        ([0.1, math.nan], ValueError, "must be finite"),
        ([0.1, -math.inf], ValueError, "must be finite"),
        ([[0.1, 0.2]], ValueError, r"shape \(J,\)"),
        (["a", "b"], TypeError, "real numbers"),
        ([None, 0.1], TypeError, "real numbers"),
        ([1j, 2j], TypeError, "real numbers"),
    ],
    ids=["none", "one", "nan", "inf", "matrix", "text", "missing", "complex"],
)
def test_differences_that_cannot_be_tested(differences, error, message):
    with pytest.raises(error, match=message):
        paired_t_test(differences)


def test_arguments_out_of_range():
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="`level` must lie strictly between 0 and 1"):
            paired_t_test([0.1, 0.2], level=level)
    with pytest.raises(ValueError, match="`test_to_train` must be >= 0"):
        corrected_resampled_t_test([0.1, 0.2], test_to_train=-0.1)
    with pytest.raises(TypeError, match="`test_to_train` must be a number"):
        corrected_resampled_t_test([0.1, 0.2], test_to_train="a")


# Holm.


def holm_by_definition(p_values):
    """Smallest level at which the step-down procedure, stopping at the first miss, rejects each hypothesis."""
    m, adjusted = len(p_values), []
    for p in p_values:
        smaller = sorted(p_values)[: sorted(p_values).index(p) + 1]
        adjusted.append(min(1.0, max((m - j) * q for j, q in enumerate(smaller))))
    return adjusted


def test_holm_by_hand():
    # .01 * 4, .005 * 5, then .03 * 3, .04 * 2 raised to .09, .9 * 1: as published step-down tables work it out.
    assert holm([0.01, 0.04, 0.03, 0.005, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.9])


@pytest.mark.parametrize("m", [1, 2, 9, 40])
def test_holm_is_the_step_down_procedure(m):
    p = generator(m).random(m) ** 3
    adjusted = holm(p)
    assert adjusted == pytest.approx(holm_by_definition(p.tolist()))
    for level in (0.01, 0.05, 0.3):
        rejected, order = np.zeros(m, bool), np.argsort(p)
        for j, i in enumerate(order):
            if p[i] > level / (m - j):
                break
            rejected[i] = True
        assert ((adjusted <= level) == rejected).all()


def test_holm_is_monotone_between_raw_and_bonferroni_and_keeps_no_order():
    rng = generator()
    for _ in range(50):
        p = rng.random(9).round(1)  # with ties
        adjusted, order = holm(p), rng.permutation(9)
        assert (adjusted >= p).all()
        assert (adjusted <= np.minimum(1, 9 * p) + 1e-12).all()
        assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
        assert (holm(p[order]) == adjusted[order]).all()
        assert (holm(np.minimum(1, p + 0.05)) >= adjusted).all()


def test_holm_of_little():
    assert holm([]).shape == (0,)
    assert holm([0.3]).tolist() == [0.3]
    assert holm([0, 1]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match="p_values"):
        holm([0.5, p])


# Detectable differences.


@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 9])
@pytest.mark.parametrize("degrees", [9, 29, 100])
def test_the_power_at_the_detectable_difference(degrees, level):
    shift = detectable_difference(1.0, degrees, level=level, power=0.8)
    critical = scipy.stats.t.ppf((1 + level) / 2, degrees)
    assert scipy.stats.nct.sf(critical, degrees, shift) == pytest.approx(0.8, abs=0.03)


def test_the_detectable_difference_grows_with_error_level_and_power_and_falls_with_pairs():
    base = detectable_difference(0.01, 9)
    assert base == pytest.approx(0.01 * (2.262157 + 0.883404))  # Student's table, nine degrees of freedom
    assert detectable_difference(0.02, 9) == pytest.approx(2 * base)
    assert detectable_difference(0.0, 9) == 0
    assert detectable_difference(0.01, 9, level=0.99) > base
    assert detectable_difference(0.01, 9, power=0.9) > base
    assert detectable_difference(0.01, 19) < base


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((-0.1, 9), {}, ValueError),
        ((math.inf, 9), {}, ValueError),
        ((0.1, 0), {}, ValueError),
        ((0.1, 2.5), {}, TypeError),
        ((0.1, 9), {"power": 1.0}, ValueError),
        ((0.1, 9), {"level": 0.0}, ValueError),
    ],
    ids=["negative", "infinite", "no-freedom", "fraction", "power", "level"],
)
def test_what_has_no_detectable_difference(arguments, options, error):
    with pytest.raises(error):
        detectable_difference(*arguments, **options)


# Verdicts.


def centred(mean, sd, pairs=REPEATS, seed=0):
    """Differences with exactly this mean and standard deviation."""
    values = generator(seed).normal(size=pairs)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def test_a_verdict_is_its_tests_figures():
    rows = [centred(0.05, 0.02, seed=1), centred(0.012, 0.02, seed=2), centred(-0.06, 0.02, seed=3)]
    effects = run(rows)
    tests = [corrected_resampled_t_test(row, test_to_train=TEST_TO_TRAIN) for row in rows]
    assert [e.technique for e in effects] == ["t0", "t1", "t2"]
    assert [e.verdict for e in effects] == ["better", "no evidence", "worse"]
    assert [e.p_holm for e in effects] == holm([t.p for t in tests]).tolist()
    for effect, test, row in zip(effects, tests, rows, strict=True):
        assert (effect.difference, effect.low, effect.high, effect.p) == (test.difference, test.low, test.high, test.p)
        assert (effect.budget, effect.pairs) == (300, REPEATS)
        assert effect.p_wilcoxon == scipy.stats.wilcoxon(row).pvalue
        assert effect.detectable == detectable_difference(test.standard_error, REPEATS - 1, level=1 - 0.05 / 3)


def test_verdicts_mirror_when_the_sign_turns():
    rows = np.stack([centred(0.05, 0.02, seed=1), centred(-0.004, 0.02, seed=2)])
    for effect, mirrored in zip(run(rows), run(-rows), strict=True):
        assert (effect.p_holm, effect.p_wilcoxon, effect.detectable) == pytest.approx(
            (mirrored.p_holm, mirrored.p_wilcoxon, mirrored.detectable)
        )
        assert {effect.verdict, mirrored.verdict} in ({"better", "worse"}, {"no evidence"})


def test_more_techniques_make_a_verdict_harder():
    row, noise = centred(0.03, 0.02), list(simulate(1, 8)[0])
    alone, among = run([row])[0], run([row, *noise])[0]
    assert (alone.low, alone.high, alone.p) == (among.low, among.high, among.p)
    assert (alone.verdict, among.verdict) == ("better", "no evidence")
    assert among.detectable > alone.detectable
    assert "the interval alone excludes 0, but it does not allow for 9 techniques" in among.statement
    assert "the interval alone" not in alone.statement


def test_verdict_and_interval_never_contradict_silently():
    for rows in simulate(100, 4, effect=0.025):
        for effect in run(rows):
            excluded = effect.low > 0 or effect.high < 0
            assert excluded or effect.verdict == "no evidence"
            assert ("the interval alone" in effect.statement) == (excluded and effect.verdict == "no evidence")


def test_the_signed_rank_test_starts_at_ten_pairs():
    assert run([centred(0.01, 0.02, pairs=9)])[0].p_wilcoxon is None
    assert 0 < run([centred(0.01, 0.02, pairs=10)])[0].p_wilcoxon < 1
    assert run([[0.0] * 9 + [0.1]])[0].p_wilcoxon == 1


def test_the_statement_in_full():
    assert run([centred(0.004, 0.016)], metric="AUROC")[0].statement == (
        "t0: no evidence (AUROC +0.004, 95 % interval [-0.017, +0.025], 10 pairs at 300 steps; "
        "these pairs could detect 0.030, more than 0.02: ask for more repeats)"
    )
    assert run([centred(0.05, 0.01)], level=0.9)[0].statement == (
        "t0: better (AP +0.050, 90 % interval [+0.039, +0.061], 10 pairs at 300 steps; these pairs could detect 0.017)"
    )


@pytest.mark.parametrize("detectable", [0.0199, 0.02001])
def test_the_warning_comes_above_two_hundredths(detectable):
    unit = run([centred(0.0, 1.0)])[0].detectable
    statement = run([centred(0.0, detectable / unit)])[0].statement
    assert ("ask for more repeats" in statement) == (detectable > 0.02)
    shown = float(statement.partition("could detect ")[2].split(",")[0].rstrip(")"))
    assert shown >= detectable


def test_a_fixed_split_says_what_it_speaks_of():
    row = centred(0.02, 0.02)
    fixed, random = run([row], None)[0], run([row])[0]
    test = paired_t_test(row)
    assert (fixed.low, fixed.high, fixed.p) == (test.low, test.high, test.p)
    assert "training noise on this split only" in fixed.statement
    assert "training noise" not in random.statement
    assert "training noise" in run([[0.1]], None)[0].statement


@pytest.mark.parametrize("test_to_train", [None, TEST_TO_TRAIN])
@pytest.mark.parametrize(
    "row", [[0.3], [0.0] * 10, [0.3, 0.3], [0.7 - 0.4, 0.3, 0.9 - 0.6]], ids=["one", "zeros", "ties", "rounding"]
)
def test_pairs_without_spread_give_no_verdict(row, test_to_train):
    effect = run([row], test_to_train)[0]
    assert (effect.verdict, effect.p, effect.p_holm, effect.pairs) == ("no evidence", 1.0, 1.0, len(row))
    assert (effect.low, effect.high, effect.detectable) == (-math.inf, math.inf, math.inf)
    assert effect.p_wilcoxon == (1.0 if len(row) >= 10 else None)
    assert "cannot tell a technique from noise: ask for more repeats" in effect.statement
    assert "inf" not in effect.statement
    assert ("one repeat" in effect.statement) == (len(row) == 1)


def test_techniques_may_have_different_numbers_of_pairs():
    effects = run([centred(0.05, 0.02), [0.01]])
    assert [e.pairs for e in effects] == [10, 1]
    assert [e.verdict for e in effects] == ["better", "no evidence"]


def test_no_technique_no_verdict():
    assert run([]) == []


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ([], ValueError, r"differences\['t0'\]` must hold at least one pair"),
        ([0.1, math.nan], ValueError, r"differences\['t0'\]` must be finite"),
        (["a"], TypeError, "real numbers"),
    ],
    ids=["none", "nan", "text"],
)
def test_what_gets_no_verdict(row, error, message):
    with pytest.raises(error, match=message):
        run([row])


def test_verdicts_refuse_arguments_out_of_range():
    with pytest.raises(ValueError, match="`budget` must be >= 1"):
        verdicts({"t": [0.1, 0.2]}, budget=0, test_to_train=None)
    with pytest.raises(ValueError, match="`level`"):
        run([[0.1, 0.2]], level=1.0)
    with pytest.raises(ValueError, match="`test_to_train`"):
        run([[0.1, 0.2]], -1.0)


# Ranks.


def test_ranks_by_hand():
    scores = {"a": {"x": 0.9, "y": 0.5, "z": 0.5}, "b": {"z": 0.8, "y": 0.1, "x": 0.2}}
    assert mean_ranks(scores) == {"x": 1.5, "z": 1.75, "y": 2.75}
    assert list(mean_ranks(scores)) == ["x", "z", "y"]


def test_ranks_sum_and_ignore_scale():
    table = generator().normal(size=(6, 5))
    scores = {f"d{i}": {f"t{j}": value for j, value in enumerate(row)} for i, row in enumerate(table)}
    ranks = mean_ranks(scores)
    assert sum(ranks.values()) == pytest.approx(15)
    stretched = {d: {t: 100 * i + math.exp(v) for t, v in row.items()} for i, (d, row) in enumerate(scores.items())}
    assert mean_ranks(stretched) == ranks


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "at least one technique"),
        ({"a": {}}, "at least one technique"),
        ({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0}}, "the same techniques"),
        ({"a": {"x": math.nan}}, "must be finite"),
    ],
    ids=["nothing", "no-technique", "gap", "nan"],
)
def test_scores_without_ranks(scores, message):
    with pytest.raises(ValueError, match=message):
        mean_ranks(scores)
