"""Calibration maps: logits -> logits whose probabilities match the frequencies of the rows that they were fitted on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_floating, check_tensor, require

_LIMIT = 36.7  # fits see logits as those of probabilities that float64 tells from 0 and 1
_RIDGE = 1e-3  # pulls towards the identity, so that separable rows have a finite fit too; in units of one row's loss
_TOLERANCE = 1e-8
_LEAST_SCALE = 1e-3  # a fit never reverses or levels the ranking


class TemperatureScaling(nn.Module):
    """Divide the logits by a temperature: ``z / T``. The ranking stays.

    Args:
        temperature: T > 0; above 1 it draws the probabilities together, below 1 apart.

    References:
        C. Guo, G. Pleiss, Y. Sun, K. Weinberger: On Calibration of Modern Neural Networks, ICML 2017.

    Example:
        >>> TemperatureScaling(2.0)(torch.tensor([-4.0, 2.0]))
        tensor([-2.,  1.], dtype=torch.float64)
    """

    temperature: Tensor

    def __init__(self, temperature: Any) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.as_tensor(temperature, dtype=torch.float64).clone())

    def forward(self, logits: Tensor) -> Tensor:
        """Return the calibrated logits in the shape given, float64."""
        return logits.double() / self.temperature

    @classmethod
    def fit(cls, logits: Tensor, target: Tensor) -> TemperatureScaling:
        """Return the map with the lowest log-loss; arguments as for :func:`choose_calibration`."""
        return cls(1 / _fit_affine(*checked_logits(logits, target), num_free=1)[0])


class PlattScaling(nn.Module):
    """Scale and shift the logits: ``a z + b``. With two classes the ranking stays.

    With C classes there is one scale and one shift per class, that of class 0 being 0 (bias-corrected temperature
    scaling).

    Args:
        scale: a > 0.
        shift: b, a number for log-odds, (C,) for C classes.

    References:
        J. Platt: Probabilistic Outputs for Support Vector Machines, 1999. A. Alexandari, A. Kundaje, A. Shrikumar:
        Maximum Likelihood with Bias-Corrected Calibration is Hard-to-Beat at Label Shift Adaptation, ICML 2020.

    Example:
        >>> PlattScaling(0.5, 1.0)(torch.tensor([-4.0, 2.0]))
        tensor([-1.,  2.], dtype=torch.float64)
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Any, shift: Any) -> None:
        super().__init__()
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64).clone())
        self.register_buffer("shift", torch.as_tensor(shift, dtype=torch.float64).clone())

    def forward(self, logits: Tensor) -> Tensor:
        """Return the calibrated logits in the shape given, float64."""
        return self.scale * logits.double() + self.shift

    @classmethod
    def fit(cls, logits: Tensor, target: Tensor) -> PlattScaling:
        """Return the map with the lowest log-loss; arguments as for :func:`choose_calibration`.

        Platt's smoothed targets are left out: with 50 rows of either class they matter little.
        """
        z, y = checked_logits(logits, target)
        theta = _fit_affine(z, y, num_free=z.shape[1] if z.ndim == 2 else 2)
        return cls(theta[0], nn.functional.pad(theta[1:], (1, 0)) if z.ndim == 2 else theta[1])


class IsotonicCalibration(nn.Module):
    """Join the blocks of an isotonic regression by straight lines on the logit scale (log-odds only).

    Isotonic regression gives every block of neighbouring scores one level, which ties their rows and costs average
    precision. Here each level stands at its block's mean score, the map is linear in between, and beyond the first and
    the last block it goes on with slope 1: it increases strictly, so the ranking stays.

    Args:
        score: log-odds of the nodes, ascending, (K,).
        level: calibrated log-odds at the nodes, ascending, (K,).

    Notes:
        The map compares each row with all K nodes: one byte each, and operations that torch.export and ONNX know.

    References:
        B. Zadrozny, C. Elkan: Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002.
        A. Oron, N. Flournoy: Centered Isotonic Regression, Statistics in Biopharmaceutical Research 9, 2017.

    Example:
        >>> IsotonicCalibration([-2.0, 0.0], [-3.0, 1.0])(torch.tensor([-3.0, -1.0, 0.5]))
        tensor([-4.0000, -1.0000,  1.5000], dtype=torch.float64)
    """

    score: Tensor
    level: Tensor
    slope: Tensor

    def __init__(self, score: Any, level: Any) -> None:
        super().__init__()
        self.register_buffer("score", torch.as_tensor(score, dtype=torch.float64).clone())
        self.register_buffer("level", torch.as_tensor(level, dtype=torch.float64).clone())
        one = self.level.new_ones(1)
        slope = torch.cat([one, self.level.diff() / self.score.diff(), one])
        self.register_buffer("slope", slope, persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Return the calibrated log-odds in the shape given, float64."""
        z = logits.double()
        piece = (z[..., None] >= self.score).sum(-1)
        node = (piece - 1).clamp(min=0)
        return self.level[node] + self.slope[piece] * (z - self.score[node])

    @classmethod
    def fit(cls, logits: Tensor, target: Tensor) -> IsotonicCalibration:
        """Return the map of scikit-learn's isotonic regression; log-odds (N,) only, else as for the other maps.

        Levels of 0 and 1 are moved inwards by half a row: to 1 / 2N and 1 - 1 / 2N.
        """
        z, y = checked_logits(logits, target)
        if z.ndim != 1:
            raise ValueError(f"Isotonic calibration is for log-odds of shape (N,), got {tuple(z.shape)}.")
        regression = require("sklearn.isotonic", extra="train").isotonic_regression
        values, group, rows = np.unique(z.cpu().numpy(), return_inverse=True, return_counts=True)
        shares = np.bincount(group, weights=y.cpu().numpy()) / rows
        levels, block = np.unique(regression(shares, sample_weight=rows.astype(float)), return_inverse=True)
        centers = np.bincount(block, weights=values * rows) / np.bincount(block, weights=rows)
        levels = np.clip(levels, 0.5 / len(z), 1 - 0.5 / len(z))
        return cls(centers, np.log(levels / (1 - levels))).to(z.device)


def checked_logits(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return finite float64 logits, log-odds (N,) or log-probabilities (N, C), and class indices (N,)."""
    z, y = check_floating("logits", logits).detach().double(), check_tensor("target", target)
    if z.ndim not in (1, 2) or len(z) == 0 or y.shape != z.shape[:1] or z.shape[-1:] == (1,) != z.shape:
        raise ValueError(
            "`logits` must have shape (N,) for two classes or (N, C), and `target` (N,), with N > 0, "
            f"got {tuple(z.shape)} and {tuple(y.shape)}."
        )
    z = z.log_softmax(dim=1) if z.ndim == 2 else z
    if bool(z.isnan().any()):
        raise ValueError("`logits` must not be NaN: some rows are.")
    num_classes = z.shape[1] if z.ndim == 2 else 2
    if not bool(((y >= 0) & (y < num_classes) & (y == y.long())).all()):
        raise ValueError(f"`target` must hold class indices from 0 to {num_classes - 1}.")
    return z.clamp(-_LIMIT, _LIMIT), y.long()


def _fit_affine(z: Tensor, y: Tensor, num_free: int) -> Tensor:
    """Return scale and shifts of the lowest log-loss by Newton's method; the first ``num_free`` of them may move.

    The loss is convex in them, and halved steps make every one a descent.
    """
    z = torch.stack([torch.zeros_like(z), z], dim=1) if z.ndim == 1 else z
    truth = nn.functional.one_hot(y, z.shape[1]).to(z)
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[0]

    def evaluate(theta: Tensor) -> tuple[Tensor, Tensor]:
        log_p = (theta[0] * z + nn.functional.pad(theta[1:], (1, 0))).log_softmax(dim=1)
        loss = _RIDGE / 2 * (theta - identity).square().sum() - log_p.gather(1, y[:, None]).sum()
        return loss, log_p.exp()

    theta = identity.clone()
    loss, p = evaluate(theta)
    for _ in range(50):
        spread = p * (z - (p * z).sum(dim=1, keepdim=True))
        gradient = torch.cat([((p - truth) * z).sum()[None], (p - truth).sum(0)[1:]]) + _RIDGE * (theta - identity)
        hessian = p.sum(0).diag() - p.T @ p
        hessian[0, :] = hessian[:, 0] = spread.sum(0)
        hessian[0, 0] = (spread * z).sum()
        hessian.diagonal().add_(_RIDGE)
        step = torch.zeros_like(theta)
        step[:num_free] = torch.linalg.solve(hessian[:num_free, :num_free], gradient[:num_free])
        while (reached := evaluate(theta - step))[0] > loss and step.abs().max() > _TOLERANCE:
            step = step / 2
        if step.abs().max() <= _TOLERANCE:
            break
        theta, (loss, p) = theta - step, reached
    return torch.cat([theta[:1].clamp(min=_LEAST_SCALE), theta[1:]])
