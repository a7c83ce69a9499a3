"""Raw rows -> one float32 tensor of numbers, indicators and category codes; fitted on the training rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_int
from imbalance_torch.data._calendar import PARTS, calendar, varying_features
from imbalance_torch.data._categories import category_codes, frequent_values
from imbalance_torch.data._columns import numbers, truth, wall_seconds, zone
from imbalance_torch.data._numeric import AFFINE, BLOCKS, LIMIT, fit_column

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

_CHUNK = 16_384
_MOVED = 1e-3  # in units of the leading block
_LISTS = ("numeric", "categorical", "boolean", "datetime", "blocks")
_STATE = (*_LISTS, "num_bins", "max_categories", "min_category_rows", "categories", "zones")


class TableEncoder(nn.Module):
    r"""Encode a table into the tensor that the detectors take.

    The columns of the result are, in this order: numeric blocks, missing indicators, booleans, calendar features,
    category codes.

    A numeric value is clipped to :math:`[\min - r/2, \max + r/2]` of the training rows (:math:`r = \max - \min`), the
    median stands for a missing one, and every block of ``blocks`` maps the outcome :math:`x`:

    =============  ==================================================================================================
    ``standard``   :math:`(x - \text{mean}) / \text{sd}`, clipped to ±10
    ``robust``     :math:`(x - \text{median}) / \text{IQR}`, clipped to ±10; with sd where the quartiles coincide
    ``log``        :math:`\log(x / m + 0.1)` with :math:`m` the median of the positive values, where no training value
                   is negative; else :math:`\operatorname{sign}(z) \log(1 + 4|z|)`, :math:`z = (x - \text{median}) /
                   \text{sd}`. Then standardised, clipped to ±10
    ``quantile``   normal score of the rank among 1000 stored quantiles
    ``bins``       piecewise-linear: for edges :math:`e_0 < \dots < e_T`, the T values
                   :math:`\operatorname{clip}((x - e_{t-1}) / (e_t - e_{t-1}), 0, 1)`. Inner edges are the cuts of a
                   decision tree on this column and the training labels, the outer ones its range
    =============  ==================================================================================================

    A boolean becomes 0 or 1, the more frequent one where it is missing. A time becomes sine and cosine of the hour
    (with its minutes), the weekday and the day of the year, on the clock of the column's own zone; 0 where it is
    missing. Of these only parts that vary in the training rows are kept, the day of the year only when they span a
    year. Every numeric, boolean or time column with missing training values gets one indicator (0 or 1), whatever the
    blocks.

    A category becomes a code, the most frequent value first. Code 0 is the bucket of values without a code: unseen in
    training, or rare. A missing value is a category of its own where training has one. Values are compared as text.

    Args:
        numeric: names of the numeric columns.
        categorical: names of the categorical columns.
        boolean: names of the columns of true and false.
        datetime: names of the columns of dates or times.
        blocks: any of the five blocks; whatever the order here, theirs is that of the table above.
        num_bins: most bins of a column in the block "bins".
        max_categories: most frequent values of a column that keep a code of their own.
        min_category_rows: training rows that a value needs for a code of its own.

    Raises:
        ValueError: an unknown block, none or one twice, a column with two roles, or a number out of range.

    Notes:
        Statistics are buffers, computed in float64. ``forward`` works on raw tensors and exports ("quantile" to
        torch.export alone, not to ONNX), ``encode`` on a table, in chunks: beside the result it keeps one column of
        codes. Fitting holds one numeric column at a time; "bins" sorts each and grows a tree on it.

        A missing value has no learned replacement, because the encoder is fitted before any network is: the weights of
        the first layer on the indicator add what a learned value would. A tree leaf holds at least 2 % of the rows of
        the rarest class, but no fewer than 8 and no more than 64 rows, so that rare positives make edges.

        Sine and cosine rather than codes: 23 and 0 o'clock are neighbours, and every network takes numbers. The month
        is left out, as it is a coarse day of the year. The year has its mean length of 365.2425 days, which moves a
        date by up to a day. A season of which only a part was seen cannot be told from a trend, hence the whole year.

        NOTE[DIFF] Gorishniy et al. let the outer bins grow beyond 1 and below 0; here every bin ends at 0 and 1.
        scikit-learn's RobustScaler leaves columns with equal quartiles unscaled.

    References:
        Gorishniy, Rubachev, Babenko: On Embeddings for Numerical Features in Tabular Deep Learning. NeurIPS 2022.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"amount": [1.0, 2.0, 3.0, None], "card": ["a", "b", "a", "a"]})
        >>> encoder = TableEncoder(["amount"], ["card"]).fit(table)
        >>> encoder.encode(table)
        tensor([[-1.4142,  0.0000,  1.0000],
                [ 0.0000,  0.0000,  2.0000],
                [ 1.4142,  0.0000,  1.0000],
                [ 0.0000,  1.0000,  1.0000]])
    """

    low: Tensor
    high: Tensor
    unit: Tensor
    fill: Tensor
    whole: Tensor
    indicators: Tensor
    calendar_features: Tensor

    def __init__(
        self,
        numeric: Sequence[str],
        categorical: Sequence[str],
        *,
        boolean: Sequence[str] = (),
        datetime: Sequence[str] = (),
        blocks: Sequence[str] = ("standard",),
        num_bins: int = 8,
        max_categories: int = 254,
        min_category_rows: int = 1,
    ) -> None:
        super().__init__()
        if isinstance(blocks, str) or not blocks or len({*blocks}) < len(blocks):
            raise ValueError(f"`blocks` must name different blocks out of {', '.join(BLOCKS)}, got blocks={blocks!r}.")
        chosen = [check_choice("blocks", name, BLOCKS) for name in blocks]
        self.numeric = list(numeric)
        self.categorical = list(categorical)
        self.boolean = list(boolean)
        self.datetime = list(datetime)
        self.blocks = [name for name in BLOCKS if name in chosen]
        self.num_bins = check_int("num_bins", num_bins, minimum=2)
        self.max_categories = check_int("max_categories", max_categories, minimum=1)
        self.min_category_rows = check_int("min_category_rows", min_category_rows, minimum=1)
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise ValueError(f"Column {twice[0]!r} has two roles. Name it once.")
        self.categories: dict[str, list[str | None]] = {}
        self.zones: dict[str, str | None] = {}
        names = [f"{block}_{statistic}" for block in self.blocks for statistic in BLOCKS[block].statistics]
        for name in ["low", "high", "unit", "fill", "whole", "indicators", "calendar_features", *names]:
            self.register_buffer(name, torch.zeros(0))

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return [*self.numeric, *self.boolean, *self.datetime, *self.categorical]

    @property
    def num_numeric(self) -> int:
        """Leading columns that SMOTE may interpolate, because a point between two rows is again a possible row.

        These are the blocks "standard" and "robust"; without them the first one, unless that is "bins".
        :meth:`rebuild` rounds columns of whole numbers and lets the other blocks of a synthetic row follow; all further
        columns are those of its base row.
        """
        leading = [block for block in self.blocks if block in AFFINE] or [b for b in self.blocks[:1] if b != "bins"]
        return len(leading) * len(self.numeric)

    @property
    def num_blocks(self) -> int:
        """Leading columns that are numeric blocks."""
        widths = [
            self.get_buffer("bins_low").numel() if block == "bins" else len(self.numeric) for block in self.blocks
        ]
        return sum(widths)

    @property
    def num_dense(self) -> int:
        """Leading columns that are not category codes."""
        return self.num_blocks + self.indicators.numel() + len(self.boolean) + self.calendar_features.numel()

    @property
    def cardinalities(self) -> list[int]:
        """Codes of each categorical column, the bucket of unseen values included."""
        return [len(self.categories[name]) + 1 for name in self.categorical]

    def fit(self, frame: pd.DataFrame, labels: ArrayLike | None = None) -> TableEncoder:
        """Learn statistics and categories from the training rows.

        Args:
            frame: the training rows, (N, columns).
            labels: class of each row, (N,); only the block "bins" needs them.

        Raises:
            ValueError: no rows, no labels for "bins", a missing column, a column without any value, or a value that
                is infinite or of another type.
        """
        if len(frame) == 0:
            raise ValueError("The table has no rows to fit the encoder on.")
        self._check_columns(frame)
        classes = None if labels is None else np.asarray(labels)
        if classes is None and "bins" in self.blocks:
            raise ValueError("The block 'bins' learns its edges from the labels. Pass `fit(frame, labels)`.")
        if classes is not None and classes.shape != (len(frame),):
            raise ValueError(f"`labels` must have shape ({len(frame)},), got {classes.shape}.")
        learnt: dict[str, list[np.ndarray]] = {name: [] for name, _ in self.named_buffers()}
        missing = []
        for position, name in enumerate(self.numeric):
            values, absent = _with_any_value(numbers(frame[name]), name)
            missing.append(absent)
            for key, value in fit_column(values, classes, self.blocks, self.num_bins, position).items():
                learnt[key].append(value)
        for name in self.boolean:
            values, absent = _with_any_value(truth(frame[name]), name)
            missing.append(absent)
            learnt["fill"].append(np.array([float(np.nanmean(values) > 0.5)]))
        self.zones = {name: zone(frame[name]) for name in self.datetime}
        for position, name in enumerate(self.datetime):
            values, absent = _with_any_value(wall_seconds(frame[name], self.zones[name]), name)
            missing.append(absent)
            features = np.array(varying_features(values), dtype=np.int64)
            learnt["calendar_features"].append(features + 2 * len(PARTS) * position)
        learnt["indicators"].append(np.flatnonzero(missing))
        for name, parts in learnt.items():
            value = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
            self.register_buffer(name, torch.as_tensor(value, device=self.low.device))
        for name in self.categorical:
            self.categories[name] = frequent_values(frame[name], self.max_categories, self.min_category_rows)
        return self

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Encode raw tensors.

        Args:
            numbers: (N, numeric + boolean + datetime columns), NaN for missing: the values, 0 or 1, and seconds since
                1970-01-01 on the clock of the column's zone (float64).
            codes: (N, categorical columns).

        Returns:
            (N, D) float32.
        """
        raw = numbers.to(torch.float64)
        missing = raw.isnan()
        plain, times = raw.tensor_split([len(self.numeric) + len(self.boolean)], dim=1)
        filled = torch.where(plain.isnan(), self.fill, plain)
        x = filled[:, : len(self.numeric)].clamp(self.low, self.high) / self.unit
        parts = [
            BLOCKS[block].apply(x, *(self.get_buffer(f"{block}_{name}") for name in BLOCKS[block].statistics))
            for block in self.blocks
            if self.numeric
        ]
        parts += [
            missing.index_select(1, self.indicators),
            filled[:, len(self.numeric) :],
            calendar(times).index_select(1, self.calendar_features),
            codes,
        ]
        return torch.cat([part.to(torch.float32) for part in parts], dim=1)

    def rebuild(self, encoded: Tensor, base: Tensor) -> Tensor:
        """Make the numeric blocks of rows those of a possible row where the leading block was interpolated.

        A value that has left that of its base row takes new ones in every other block; one that has not (within a
        thousandth of the leading block's unit, which float32 does not resolve well), or that lies at the limit of ±10,
        where the leading block no longer tells its size, keeps those of its base row.

        Two kinds of values change in the leading block too. In a column whose training values are whole numbers they
        are rounded to the nearest one, and where the base row lacks a value, as its indicator says, they stay at what
        stands for a missing one.

        Args:
            encoded: (N, D), as ``forward`` gives them, the leading block changed.
            base: (N, D), the rows they were before, or the row of each that its other columns come from.

        Returns:
            (N, D), of the same dtype and device; ``encoded`` itself where no block can be computed from the leading
            one, which must be "standard" or "robust".
        """
        affine = [block for block in self.blocks if block in AFFINE]
        if not affine or not self.numeric:
            return encoded
        state = {name: buffer.to(encoded.device) for name, buffer in self.named_buffers()}
        lead, before = (rows[:, : len(self.numeric)].double() for rows in (encoded, base))
        moved = ((lead - before).abs() > _MOVED * before.abs().clamp(min=1)) & (lead.abs() < LIMIT)
        gaps = state["indicators"][state["indicators"] < len(self.numeric)]
        lacks = torch.zeros_like(moved)
        lacks[:, gaps] = base[:, self.num_blocks : self.num_blocks + len(gaps)] > 0
        moved &= ~lacks
        x = lead * state[f"{affine[0]}_scale"] + state[f"{affine[0]}_mean"]
        x = torch.where(state["whole"], (x * state["unit"]).round() / state["unit"], x)
        parts, start = [], 0
        for block in self.blocks:
            statistics = [state[f"{block}_{name}"] for name in BLOCKS[block].statistics]
            fresh = BLOCKS[block].apply(x, *statistics).to(encoded.dtype)
            columns = slice(start, start + fresh.shape[1])
            own = moved.index_select(1, statistics[0]) if block == "bins" else moved
            new = torch.where(own, fresh, base[:, columns])
            parts.append(torch.where(state["whole"] | lacks, new, encoded[:, columns]) if block in AFFINE else new)
            start = columns.stop
        return torch.cat([*parts, encoded[:, start:]], dim=1)

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Encode a table, (N, D) float32; columns may come in any order, extra ones are ignored.

        Raises:
            ValueError: a missing column, or a value that is infinite or of another type.
            RuntimeError: the encoder is not fitted.
        """
        if self.fill.numel() != len(self.numeric) + len(self.boolean) or len(self.categories) != len(self.categorical):
            raise RuntimeError("The encoder is not fitted. Call `fit` with the training rows first.")
        self._check_columns(frame)
        device, dense = self.low.device, self.num_dense
        encoded = torch.empty(len(frame), dense + len(self.categorical), device=device)
        for position, name in enumerate(self.categorical, start=dense):
            encoded[:, position] = torch.from_numpy(category_codes(frame[name], self.categories[name])).to(device)
        for start in range(0, len(frame), _CHUNK):
            rows = slice(start, start + _CHUNK)
            raw = [numbers(frame[name].iloc[rows]) for name in self.numeric]
            raw += [truth(frame[name].iloc[rows]) for name in self.boolean]
            raw += [wall_seconds(frame[name].iloc[rows], self.zones[name]) for name in self.datetime]
            codes = encoded[rows, dense:]
            stacked = np.stack(raw, axis=1) if raw else np.zeros((len(codes), 0))
            encoded[rows] = self(torch.from_numpy(stacked).to(device), codes)
        return encoded

    def get_extra_state(self) -> dict[str, Any]:
        """Arguments, categories and time zones: all that is not a tensor, ready for JSON."""
        return {name: getattr(self, name) for name in _STATE}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`get_extra_state` gave."""
        for name in _STATE:
            setattr(self, name, state[name])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Let the buffers have the names and shapes of the state, so that any encoder takes the state of any other."""
        device = self.low.device
        low = state_dict.get(f"{prefix}low", self.low)
        state_dict.setdefault(f"{prefix}whole", torch.zeros_like(low, dtype=torch.bool))  # older states have none
        self._buffers.clear()
        for key, value in state_dict.items():
            if key.startswith(prefix) and isinstance(value, Tensor):
                self.register_buffer(key.removeprefix(prefix), torch.empty_like(value, device=device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_columns(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise ValueError(
                f"The table lacks the column(s) {', '.join(map(repr, missing))}, which the model was trained on."
            )


def _with_any_value(values: np.ndarray, name: str) -> tuple[np.ndarray, bool]:
    """Return the values and whether some are missing; all must not be."""
    missing = np.isnan(values)
    if missing.all():
        raise ValueError(f"Column {name!r} has no value in the training rows. Leave it out (`drop`).")
    return values, bool(missing.any())
