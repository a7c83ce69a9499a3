"""The decision rules R0 to R17: when each applies, what it speaks for and against, why, and on what evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imbalance_torch._checks import check_choice
from imbalance_torch.evaluation._facts import DataFacts

METRICS = ("ap", "auroc", "balanced_accuracy", "log_loss")
MODELS = ("network", "deep", "trees")
REBALANCING = (
    "class_weighted",
    "focal",
    "logit_adjusted",
    "balanced_softmax",
    "vs",
    "ldam",
    "balanced",
    "rotating_undersampling",
    "smote",
)


@dataclass(frozen=True)
class Goal:
    """What the model is for, as far as the rules ask.

    Attributes:
        metric: "ap", "auroc", "balanced_accuracy" or "log_loss": what counts.
        fixed_threshold: decisions are taken at 0.5, or for the likeliest class, and cannot be moved.
        model: "network" for networks of the size of this package's, "deep" for over-parameterised ones that are trained
            to zero training error, "trees" for gradient boosting.
    """

    metric: str = "ap"
    fixed_threshold: bool = False
    model: str = "network"

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_choice("model", self.model, MODELS)
        if not isinstance(self.fixed_threshold, bool):
            raise TypeError(f"`fixed_threshold` must be a bool, got fixed_threshold={self.fixed_threshold!r}.")

    @property
    def figure(self) -> str:
        """The figure of a comparison that says how well the goal is met."""
        if self.metric == "balanced_accuracy" and self.fixed_threshold:
            return "raw_balanced_accuracy"
        return "neg_log_loss" if self.metric == "log_loss" else self.metric


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: such as "R4".
        when: the condition in words.
        applies: the condition.
        reason: a sentence; ``f`` in braces stands for the facts.
        evidence: experiments and papers behind it.
        favours: techniques it speaks for.
        against: techniques it rules out, a name without a figure for any figure; "baseline" alone is not ruled out but
            loses the first place to ``favours``.
    """

    name: str
    when: str
    applies: Callable[[DataFacts, Goal], bool]
    reason: str
    evidence: str
    favours: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def _always(facts: DataFacts, goal: Goal) -> bool:
    return True


def _few(facts: DataFacts) -> bool:
    return facts.rows_per_mode < 20


def _suits_smote(facts: DataFacts) -> bool:
    continuous = facts.numeric_columns > 0 and facts.categorical_share < 0.2
    return continuous and not _few(facts) and facts.imbalance_ratio >= 40


RULES: tuple[Rule, ...] = (
    Rule(
        "R0",
        "always",
        _always,
        "Start the output bias at the log prior, tune the threshold on validation rows, resample training rows only.",
        "pilot: with the bias cross-entropy has the AP of the logit-adjusted loss (.704 and .706 on mammography, "
        ".745 both at 1:100), without it .670 and .650",
        favours=("baseline",),
    ),
    Rule(
        "R1",
        "metric AP, AUROC or log-loss, threshold free to move",
        lambda f, g: g.metric != "balanced_accuracy" and not g.fixed_threshold,
        "Rankings and probabilities need no rebalancing; take another technique only if its paired interval is above "
        "0.",
        "flights of this package: AP .292 plain, .292 weighted, .249 undersampled, .176 SMOTE; Fraud Detection "
        "Handbook: XGBoost's AP falls from .687 to .630 as scale_pos_weight goes from 1 to 100; van den Goorbergh "
        "2022 and Carriero 2025: same AUROC, risks overestimated",
        favours=("baseline",),
    ),
    Rule(
        "R2",
        "metric balanced accuracy, threshold free to move",
        lambda f, g: g.metric == "balanced_accuracy" and not g.fixed_threshold,
        "Move the threshold instead of the weights: --threshold balanced_accuracy, for three classes or more macro_f1.",
        "flights of this package: balanced accuracy .515 plain and .793 weighted at 0.5, .808 and .811 at tuned "
        "thresholds; pilot, mammography, 3000 steps: .786 and .910 at 0.5, .910 and .905 tuned",
        favours=("baseline",),
    ),
    Rule(
        "R3",
        "threshold fixed at 0.5 or the likeliest class",
        lambda f, g: g.fixed_threshold,
        "At a fixed threshold the class shares must be in the logits: adjust logits rather than weight. The "
        "corrected probabilities take this back, so decide on the raw ones.",
        "pilot: balanced accuracy at 0.5 .887 adjusted and .891 weighted on mammography, .993 both on covtype; AP "
        ".706 and .666, .988 and .971",
        favours=("logit_adjusted", "class_weighted:1"),
        against=("baseline",),
    ),
    Rule(
        "R4",
        "fewer than 10 majority rows per minority row, threshold free to move",
        lambda f, g: f.imbalance_ratio < 10 and not g.fixed_threshold,
        "{f.imbalance_ratio:.1f} majority rows per minority row are too mild an imbalance to do anything about.",
        "pilot at 1:8: every technique's AP at most that of cross-entropy (0 to -.043); CIFAR-10 at 1:10: balanced "
        "softmax 86.94 % after 87.17 % (TooTouch's reproduction)",
        favours=("baseline",),
        against=REBALANCING,
    ),
    Rule(
        "R5",
        "threshold fixed, more than 100 majority rows per minority row, networks",
        lambda f, g: g.fixed_threshold and f.imbalance_ratio > 100 and g.model != "trees",
        "At {f.imbalance_ratio:,.0f} majority rows per minority row full weights are extreme: take their square root "
        "and clip gradients at 1.",
        "pilot: AP .699 and .695 at 1:100, .180 and .126 at 1:1015; with SGD full weights diverged in 3 of 3 runs, "
        "in none once clipped; CIFAR-100 at 1:100: error 67.73 % weighted, 61.68 % plain (Bag of Tricks)",
        favours=("class_weighted:0.5",),
        against=("class_weighted:1",),
    ),
    Rule(
        "R6",
        "deep networks trained to zero training error (model='deep')",
        lambda f, g: g.model == "deep",
        "Weights fade in a network that reaches zero training error: use offsets or margins, or weights for the last "
        "fifth of the run (configs/recipes/deferred.yaml).",
        "Byrd and Lipton 2019; CIFAR-10 at 1:100: error 31.70 % weighted from the start, 25.18 % deferred (Bag of "
        "Tricks)",
        favours=("logit_adjusted", "vs", "ldam"),
        against=("class_weighted",),
    ),
    Rule(
        "R7",
        "positives below one in a thousand, networks (also dense detection and many labels, which are no table of "
        "one target: FocalLoss with gamma 2 there, AsymmetricLoss for many labels)",
        lambda f, g: f.imbalance_ratio > 1000 and g.model != "trees",
        "One minority row in {f.imbalance_ratio:,.0f}: easy negatives may fill the gradient, which focal loss takes "
        "out. Use gamma 2 without alpha.",
        "pilot: easy negatives make .30 to .50 of the gradient under cross-entropy, at most .003 under focal; AP at "
        "1:1000 +.036 (standard error .022) beside cross-entropy without the prior bias, so unproven beside the "
        "baseline; alpha .25 lowered balanced accuracy at 0.5 from .750 to .560 on campaign",
        favours=("focal:2",),
    ),
    Rule(
        "R8",
        "three classes or more, the largest at least 10 times the smallest",
        lambda f, g: f.num_classes > 2 and f.imbalance_ratio >= 10,
        "{f.num_classes} classes with a long tail: adjust the logits afterwards (one threshold for each class, "
        "macro_f1), or in the loss.",
        "CIFAR-10 at 1:100: accuracy .7136 plain, .7732 adjusted afterwards, .7789 in the loss (google-research); "
        "pilot, digits at 1:20, balanced accuracy: .876, .902, .900",
        favours=("baseline", "logit_adjusted", "balanced_softmax"),
    ),
    Rule(
        "R9",
        "SMOTE: categories below 20 % of the columns, 20 minority rows or more per mode, at least 1:40",
        lambda f, g: _suits_smote(f) and g.model == "network",
        "{f.categorical_share:.0%} of the columns are categories, {f.rows_per_mode:.0f} minority rows per mode at "
        "1:{f.imbalance_ratio:.0f}: SMOTE may be tried, beside balanced batches that cost nothing.",
        "pilot at 800 steps: AP +.026 at 1:42, +.006 at 1:108 and +.065 at 1:100 beside cross-entropy without the "
        "prior bias, within .04 of balanced batches, a loss with logistic regression; smote_variants: the ten best "
        "of 85 methods within .004 AUC; flights of this package: AP .176 after .292",
        favours=("balanced:0.25", "smote:0.25"),
    ),
    Rule(
        "R9 otherwise",
        "at least 1:10, and one of these does not hold",
        lambda f, g: not _suits_smote(f) and g.model == "network" and f.imbalance_ratio >= 10,
        "SMOTE wants continuous columns ({f.categorical_share:.0%} are categories), 20 rows per mode (here "
        "{f.rows_per_mode:.0f}) and 1:40 (here 1:{f.imbalance_ratio:.0f}): take balanced batches.",
        "pilot: AP -.010 on one-hot columns at 1:8; balanced batches within .04 of SMOTE's AP at no cost",
        favours=("balanced:0.25",),
        against=("smote",),
    ),
    Rule(
        "R10",
        "fewer than 20 minority rows, in all or per mode",
        lambda f, g: _few(f),
        "{f.minority_rows} minority rows in {f.modes} mode(s): never interpolate, and expect wide intervals.",
        "pilot: 28 % of synthetic rows in the other class's region with 6 rows of two modes, 12 % with 10, at most "
        ".5 % with 20 or more",
        against=("smote", "borderline_smote", "adasyn", "smotenc"),
    ),
    Rule(
        "R11",
        "more than a million majority rows, at least 1:10, networks",
        lambda f, g: f.majority_rows > 1_000_000 and f.imbalance_ratio >= 10 and g.model != "trees",
        "{f.majority_rows:,} majority rows make long epochs: rotate through them at 1:10, not 1:1.",
        "pilot: AP of 1:10 beside cross-entropy without the prior bias +.022, +.004, +.059, of 1:1 -.037, -.010, "
        "-.045; Fraud Detection Handbook: about 20 % faster, best AP at the least rebalancing",
        favours=("rotating_undersampling:0.1",),
    ),
    Rule(
        "R12",
        "gradient boosting (model='trees'), below 1:1000",
        lambda f, g: g.model == "trees" and f.imbalance_ratio < 1000,
        "Plain gradient boosting with a tuned threshold; neither balanced class weights nor 1:1 undersampling.",
        "pilot: AP .702 to .625 and .734 to .691 with balanced class weights, 1:1 undersampling -.029 to -.185, "
        "SMOTE -.020 to +.067 at 3.5 to 5 times the fit",
        favours=("hist_gradient_boosting",),
        against=("baseline", *REBALANCING),
    ),
    Rule(
        "R13",
        "tables",
        lambda f, g: g.model != "deep",
        "Network or gradient boosting is decided by validation rows, and often matters more than any rebalancing.",
        "default detector of this package beside the best of three tuned libraries on twelve splits: 2 wins, 8 ties, "
        "2 losses in AP; TabReD homecredit: AUC .8538 MLP, .8599 TabM",
        favours=("hist_gradient_boosting",),
    ),
    Rule(
        "R14",
        "always",
        _always,
        "Do not stack remedies that do the same: one of resampling, weights and logit adjustment.",
        "pilot: everything at once less the best single technique, AP on six sets: -.002 to -.109",
    ),
    Rule(
        "R15",
        "metric AUROC, networks",
        lambda f, g: g.metric == "auroc" and g.model != "trees",
        "For AUROC alone, PairwiseAUCLoss with ClassBalancedSampler in batches of 128 or more is one more thing to "
        "try; it gives no probabilities and is no arm here.",
        "CIFAR-10 with 10 % positives: best AUROC .9176 plain, .9263 AUCM with a dual sampler (LibAUC)",
    ),
    Rule(
        "R16",
        "more than 20 % of the cells missing, or 15 % of the minority isolated while the rest is together",
        lambda f, g: f.missing_share > 0.2 or (f.isolated_share >= 0.15 and f.core_overlap <= 0.4),
        "{f.missing_share:.0%} of the cells are missing, and {f.isolated_share:.0%} of the minority rows have no "
        "neighbour of their class: look at gaps and labels of these rows before any rebalancing.",
        "CLIMB 2025, 73 sets and 29 methods: label noise and missing values matter more than the ratio",
    ),
    Rule(
        "R17",
        "always",
        _always,
        "Believe a gain only if its interval is above 0 at a short and at a long budget.",
        "pilot, mammography, balanced batches less cross-entropy in AP: +.031 at 800 steps, -.027 at 3000",
    ),
    Rule(
        "drift",
        "the minority's share moves by a quarter, or a column by .1, with p < .01, over the training rows",
        lambda f, g: moved(f),
        "From the first to the last third of the training rows the minority goes from {f.drift.first:.2%} to "
        "{f.drift.last:.2%}, and {f.drift.column!r} moves most ({f.drift.distance:.2f}): keep the split by time, "
        "watch probabilities, and set the threshold on recent rows.",
        "bank_marketing in time order, 5 % to 25 % positives: AUROC .481 after .800 of a random split",
    ),
)


def moved(facts: DataFacts) -> bool:
    """Return whether class shares or a column drift by a size that matters and chance does not explain."""
    if facts.drift is None:
        return False
    shares = sorted((facts.drift.first, facts.drift.last))
    prevalence = facts.drift.p < 0.01 and shares[1] >= 1.25 * shares[0]
    return prevalence or (facts.drift.column_p < 0.01 and facts.drift.distance >= 0.1)
