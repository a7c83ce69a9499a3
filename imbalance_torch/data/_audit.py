"""The leak audit: what makes the figures on test rows better than they will be in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from imbalance_torch._checks import check_int
from imbalance_torch.data._audit_columns import identifiers, missing_by_class, single_predictors, unused_times
from imbalance_torch.data._audit_rows import repeated_rows, segments, shared_groups
from imbalance_torch.data._finding import Finding
from imbalance_torch.data._schema import Schema, check_column
from imbalance_torch.data._splitting import Split

if TYPE_CHECKING:
    import pandas as pd


def audit(frame: pd.DataFrame, schema: Schema, split: Split, *, limit: int = 200_000) -> list[Finding]:
    """Look for leaks in a table and its split; nothing is changed.

    ==================  ================================================================================================
    kind                when it is reported
    ==================  ================================================================================================
    shared_group        a group has rows in training and in validation or test: an error, but a warning if the split is
                        by time, where customers come back
    repeated_rows       at least 0.5 % of the validation and test rows equal a training row in all features, where
                        chance hardly explains it: the columns are cut into two halves at random, four times over, and
                        the number of training rows that equal the row in one half, times the share of those that equal
                        it in the other, stays below 1e-4 (4 / rows, if that is more)
    resampled           at least 50 % of the validation and test rows of a class equal a training row of it, five times
                        the share in a class as large or larger, and its rows repeat about equally often (oversampled
                        before the split); or at least 10 % of the rows of a class lie on the segment between two of
                        their 20 nearest rows of it, five times the share in a class as large or larger (SMOTE)
    single_predictor    one column alone has an average precision above .98, mean over all classes but the largest, on
                        training and validation rows: each tenth of the rows is scored by the class shares of its
                        values in the other nine, or, of ordered values, by those of the rows next to it; of two classes
                        also by the values themselves, up or down. Classes of fewer than 10 rows are left out, and about
                        20 are needed where the rows of a class lie between others
    missing_by_class    each class has the column always or never, and not all classes alike
    identifier          text or category that differs in 99 % of the rows (50 or more); whole numbers that grow or fall
                        from row to row (50 or more) or that all differ (1000 or more, no floats)
    unused_time         no time column is set, but the rows are in the order of a column of datetimes
    ==================  ================================================================================================

    Args:
        frame: the table, rows as ``split`` numbers them.
        schema: its roles; only features and the group column are looked at.
        split: training, validation and test rows.
        limit: rows beyond which a check takes a sample: per class for the classes, always the same one. Equal rows,
            groups and missing values are counted over all rows.

    Returns:
        The findings, errors first; an empty list is no proof that there is no leak.

    Raises:
        ValueError: a column that is missing, or labels that the schema does not know.

    Notes:
        About 3 s for a million rows x 30 columns on one core; no step is quadratic. Memory is a 64-bit hash per row
        and copies of the sampled rows; text of more than 5 million values x classes is not tried alone.
        SMOTE is recognised by float columns that were not rounded afterwards, two or more.
        A datetime is one ordered value: a class that its hour, weekday or month alone gives away is not looked for.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"amount": np.arange(100) % 7, "row": np.arange(100), "fraud": [0, 0, 0, 1] * 25})
        >>> split = Split(np.arange(60), np.arange(60, 80), np.arange(80, 100))
        >>> [(finding.kind, finding.column) for finding in audit(table, Schema.infer(table, "fraud"), split)]
        [('identifier', 'row')]
    """
    check_int("limit", limit, minimum=1)
    for name in [*schema.features, *filter(None, [schema.group])]:
        check_column(frame, name)
    labels = schema.encode_target(frame)
    features = frame[schema.features]
    objects = [name for name in schema.numeric if features[name].dtype == object]
    features = features.assign(**{name: features[name].to_numpy(np.float64, na_value=np.nan) for name in objects})
    gaps = missing_by_class(features, labels, schema.classes)
    others = features.drop(columns=[finding.column for finding in gaps])
    findings = [
        *shared_groups(frame, schema, split),
        *repeated_rows(features, labels, split, schema.classes, limit),
        *segments(features[schema.numeric], labels, schema.classes, limit),
        *gaps,
        *single_predictors(others, labels, np.concatenate([split.train, split.val]), limit),
        *identifiers(features.drop(columns=schema.datetime), limit),
        *unused_times(frame, schema),
    ]
    return sorted(findings, key=lambda finding: finding.severity)
