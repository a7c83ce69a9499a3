"""Which calibration map, if any, validation rows call for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_int, check_number
from imbalance_torch._random import RandomState, generator_for, seed_from
from imbalance_torch.decision._calibration_maps import (
    IsotonicCalibration,
    PlattScaling,
    TemperatureScaling,
    checked_logits,
)

_MAPS: dict[str, Any] = {
    "none": nn.Identity,
    "temperature": TemperatureScaling,
    "platt": PlattScaling,
    "isotonic": IsotonicCalibration,
}
_ISOTONIC_ROWS = 1000


class Calibration(nn.Module):
    """A chosen calibration map with the reason for the choice; made by :func:`choose_calibration`.

    Args:
        name: "none", "temperature", "platt" or "isotonic".
        parameters: arguments of the map's class, such as ``{"temperature": 2.0}``; none for "none".
        reason: one sentence that says why.
        log_losses: mean log-loss in nats of each candidate on rows that its fit has not seen.

    Example:
        >>> calibration = Calibration("temperature", {"temperature": 2.0}, "As in the paper.", {})
        >>> calibration(torch.tensor([-4.0, 2.0]))
        tensor([-2.,  1.], dtype=torch.float64)
    """

    def __init__(self, name: str, parameters: Mapping[str, Any], reason: str, log_losses: Mapping[str, float]) -> None:
        super().__init__()
        self.name, self.reason, self.log_losses = check_choice("name", name, _MAPS), reason, dict(log_losses)
        self.map: nn.Module = _MAPS[name](**parameters)

    def forward(self, logits: Tensor) -> Tensor:
        """Return calibrated logits: (N,) log-odds from log-odds, (N, C) logits (not normalised) from (N, C), float64.

        Their sigmoid or softmax is the calibrated probability. Infinite log-odds stay infinite. float64, so that
        different scores do not become equal by rounding.
        """
        calibrated: Tensor = self.map(logits.double())
        return calibrated

    def to_dict(self) -> dict[str, Any]:
        """Return name, parameters, reason and log-losses in types that JSON keeps exactly."""
        parameters = {name: value.tolist() for name, value in self.map.state_dict().items()}
        return {
            "name": self.name,
            "parameters": parameters,
            "reason": self.reason,
            "log_losses": dict(self.log_losses),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Calibration:
        """Return the calibration that :meth:`to_dict` described."""
        return cls(**record)

    def extra_repr(self) -> str:
        """Return the name and the reason."""
        return f"{self.name!r}, {self.reason!r}"


def choose_calibration(
    logits: Tensor,
    target: Tensor,
    *,
    num_folds: int = 5,
    margin: float = 1.0,
    min_rows: int = 50,
    random_state: RandomState = 0,
) -> Calibration:
    """Choose and fit a calibration map on validation rows: none, temperature, Platt or isotonic.

    Each candidate is fitted on all folds but one and judged on the one left out, so that a more flexible map gains
    nothing by fitting noise. They are taken from simple to flexible; one replaces the map held so far only if it
    lowers the mean log-loss by more than ``margin`` standard errors of the per-row differences. The chosen map is then
    fitted on all rows.

    - none, the corrected logits as they are: always a candidate;
    - temperature and Platt: from ``min_rows`` rows of every class on;
    - isotonic: from 1,000 rows of both classes on, two classes only.

    Args:
        logits: of validation rows that keep their natural class shares, already corrected for weights and sampling:
            log-odds (N,) for two classes, or logits or log-probabilities (N, C). From probabilities:
            ``torch.logit(p)``, or ``p.log()`` for (N, C); probabilities of 0 and 1 are welcome.
        target: class index, (N,).
        num_folds: folds, at least 2, drawn within classes.
        margin: standard errors by which a map must improve, >= 0.
        min_rows: rows that every class needs before a map is considered, at least 2. Logits that no closed form could
            correct are far enough off for a map from 10 rows to help.
        random_state: of the folds: seed, CPU generator (which advances) or None for fresh entropy.

    Returns:
        The calibration, on the device of ``logits``; its ``reason`` says why this one.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: other shapes, no rows, NaN, labels that are no class index, or a number out of range.

    Notes:
        Rows that drift between validation and use are beyond any map fitted here. For several labels, choose one
        calibration for each: ``[choose_calibration(z, y) for z, y in zip(logits.T, target.T)]``.
        Two fits per fold and a Newton iteration each, O(N C^2); isotonic O(N log N).

    References:
        See :class:`TemperatureScaling`, :class:`PlattScaling` and :class:`IsotonicCalibration`.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> z = torch.randn(4000, generator=generator) - 2
        >>> y = (torch.rand(4000, generator=generator) < z.sigmoid()).long()
        >>> choose_calibration(z, y).name, choose_calibration(3 * z, y).name
        ('none', 'temperature')
        >>> choose_calibration(z[:200], y[:200]).reason
        'Class 1 has 33 validation rows, fewer than 50: only the prior shift is applied.'
    """
    check_int("num_folds", num_folds, minimum=2)
    check_number("margin", margin, minimum=0.0)
    check_int("min_rows", min_rows, minimum=2)
    z, y = checked_logits(logits, target)
    counts = torch.bincount(y, minlength=z.shape[1] if z.ndim == 2 else 2)
    needed = {"temperature": min_rows, "platt": min_rows, "isotonic": max(min_rows, _ISOTONIC_ROWS)}
    candidates = [
        name for name, rows in needed.items() if int(counts.min()) >= rows and not (name == "isotonic" and z.ndim == 2)
    ]
    fold = _folds(y, num_folds, seed_from(random_state))
    losses = {"none": _row_losses(z, y)} | {name: _held_out_losses(_MAPS[name], z, y, fold) for name in candidates}
    name, reason = "none", "No map lowers the log-loss by more than the margin: only the prior shift is applied."
    if not candidates:
        reason = (
            f"Class {int(counts.argmin())} has {int(counts.min())} validation rows, fewer than {min_rows}: "
            "only the prior shift is applied."
        )
    for candidate in candidates:
        gain = losses[name] - losses[candidate]
        error = float(gain.std()) / math.sqrt(len(gain))
        if float(gain.mean()) > margin * error:
            before, after = float(losses[name].mean()), float(losses[candidate].mean())
            reason = (
                f"On held-out folds the log-loss falls from {before:.4g} ({name}) to {after:.4g} ({candidate}), "
                f"by {float(gain.mean()) / error:.1f} standard errors."
            )
            name = candidate
    chosen = nn.Identity() if name == "none" else _MAPS[name].fit(z, y)
    means = {name: float(values.mean()) for name, values in losses.items()}
    return Calibration(name, chosen.state_dict(), reason, means).to(z.device)


def _folds(y: Tensor, num_folds: int, seed: int) -> Tensor:
    shuffled = torch.randperm(len(y), generator=generator_for(seed)).to(y.device)
    fold = torch.empty_like(y)
    fold[shuffled[y[shuffled].argsort(stable=True)]] = torch.arange(len(y), device=y.device) % num_folds
    return fold


def _held_out_losses(candidate: Any, z: Tensor, y: Tensor, fold: Tensor) -> Tensor:
    losses = torch.empty(len(z), dtype=torch.float64, device=z.device)
    for index in range(int(fold.max()) + 1):
        held_out = fold == index
        fitted = candidate.fit(z[~held_out], y[~held_out])
        losses[held_out] = _row_losses(fitted(z[held_out]), y[held_out])
    return losses


def _row_losses(z: Tensor, y: Tensor) -> Tensor:
    if z.ndim == 2:
        return nn.functional.cross_entropy(z, y, reduction="none")
    return nn.functional.binary_cross_entropy_with_logits(z, y.to(z), reduction="none")
