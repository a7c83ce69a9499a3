"""Calibration maps against scikit-learn and scipy, their shapes, their extremes and their export."""

import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from imbalance_torch.decision import IsotonicCalibration, PlattScaling, TemperatureScaling

MAPS = {
    "temperature": TemperatureScaling(1.7),
    "platt": PlattScaling(0.6, -0.3),
    "isotonic": IsotonicCalibration([-3.0, -1.0, 0.5], [-4.0, -1.5, -1.0]),
}
maps = pytest.mark.parametrize("name", MAPS)


def log_odds(generator, rows=3000, scale=1.0, shift=0.0):
    """Return distorted log-odds and labels drawn from the undistorted ones."""
    z = 2 * torch.randn(rows, generator=generator, dtype=torch.float64) - 2
    y = (torch.rand(rows, generator=generator) < z.sigmoid()).long()
    return scale * z + shift, y


def class_logits(generator, rows=3000, classes=4):
    z = torch.randn(rows, classes, generator=generator, dtype=torch.float64) - torch.arange(classes) / 2
    y = torch.multinomial(z.softmax(1), 1, generator=generator)[:, 0]
    return 2 * z + torch.tensor([0.5, 0.0, -1.0, 1.0]), y


def log_loss(z, y):
    if z.ndim == 2:
        return float(torch.nn.functional.cross_entropy(z, y))
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, y.double()))


def test_platt_is_logistic_regression_without_penalty(generator):
    z, y = log_odds(generator, scale=2.5, shift=1.0)
    fitted = PlattScaling.fit(z, y)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(z.numpy()[:, None], y.numpy())
    assert float(fitted.scale) == pytest.approx(reference.coef_[0, 0], abs=1e-4)
    assert float(fitted.shift) == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_temperature_against_a_scalar_search(generator):
    for z, y in (log_odds(generator, scale=2.5), class_logits(generator)):
        fitted = TemperatureScaling.fit(z, y)
        reference = minimize(lambda t, z=z, y=y: log_loss(z / t[0], y), [1.0], bounds=[(0.1, 10)], tol=1e-12)
        assert float(fitted.temperature) == pytest.approx(reference.x[0], abs=1e-4)


def test_class_shifts_against_a_general_optimiser(generator):
    z, y = class_logits(generator)
    fitted = PlattScaling.fit(z, y)
    reference = minimize(
        lambda theta: log_loss(theta[0] * z + torch.tensor([0.0, *theta[1:]]), y), [1.0, 0.0, 0.0, 0.0], tol=1e-12
    )
    torch.testing.assert_close(
        torch.cat([fitted.scale[None], fitted.shift[1:]]), torch.from_numpy(reference.x), atol=1e-4, rtol=0
    )
    assert fitted.shift[0] == 0
    assert log_loss(fitted(z), y) < log_loss(TemperatureScaling.fit(z, y)(z), y) < log_loss(z, y)


def test_two_classes_as_log_odds_or_as_two_columns(generator):
    z, y = log_odds(generator, scale=2.0, shift=0.7)
    pair = torch.stack([torch.nn.functional.logsigmoid(-z), torch.nn.functional.logsigmoid(z)], dim=1)
    for kind in (TemperatureScaling, PlattScaling):
        two = kind.fit(pair, y)(pair).log_softmax(1)
        torch.testing.assert_close(two[:, 1] - two[:, 0], kind.fit(z, y)(z), atol=1e-7, rtol=1e-7)


def test_isotonic_nodes_are_the_levels_of_scikit_learn(generator):
    z, y = log_odds(generator, rows=4000, scale=0.5)
    z = z.mul(100).round() / 100  # with ties
    fitted = IsotonicCalibration.fit(z, y)
    reference = IsotonicRegression().fit(z.numpy(), y.numpy())
    expected = reference.predict(fitted.score.numpy()).clip(0.5 / 4000, 1 - 0.5 / 4000)
    np.testing.assert_allclose(fitted.level.sigmoid().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(fitted(fitted.score), fitted.level, atol=1e-12)
    assert len(fitted.score) == len(np.unique(reference.predict(z.numpy()).round(12)))


def test_isotonic_between_and_beyond_the_nodes():
    x = torch.tensor([-5.0, -3.0, -2.0, -1.0, 0.0, 0.5, 2.0], dtype=torch.float64)
    expected = [-6.0, -4.0, -2.75, -1.5, -1.5 + 1 / 3, -1.0, 0.5]
    torch.testing.assert_close(MAPS["isotonic"](x), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(MAPS["isotonic"](x.reshape(7, 1))[:, 0], MAPS["isotonic"](x))


def test_every_fitted_map_keeps_the_ranking(generator):
    z, y = log_odds(generator)
    bent = torch.where(z > -2, -2 + (z + 2) / 4, z)
    for kind in (TemperatureScaling, PlattScaling, IsotonicCalibration):
        for labels in (y, 1 - y):  # also where the scores point the wrong way
            calibrated = kind.fit(bent, labels)(bent)
            assert calibrated.unique().numel() == bent.unique().numel()
            assert calibrated.argsort().equal(bent.argsort())


@maps
def test_extremes(name):
    z = torch.tensor([-torch.inf, -1e4, -40.0, 0.0, 40.0, 1e4, torch.inf])
    calibrated = MAPS[name](z)
    assert calibrated.dtype == torch.float64
    assert not calibrated.isnan().any()
    assert bool((calibrated.diff() > 0).all())
    assert bool(calibrated.sigmoid().isfinite().all())


@pytest.mark.parametrize("kind", [TemperatureScaling, PlattScaling, IsotonicCalibration])
def test_fits_of_awkward_rows_are_finite(kind, generator):
    z, y = log_odds(generator, rows=400)
    cases = {
        "probabilities of 0 and 1": (torch.logit((z > 0).double()), y),
        "separable": (2.0 * y - 1 + 0.01 * z.sigmoid(), y),
        "all scores equal": (torch.full_like(z, -2.0), y),
        "scores that point the wrong way": (-z, y),
        "one class": (z, y * 0),
        "one row": (z[:1], y[:1]),
        "huge": (1e300 * z, y),
        "tiny": (1e-300 * z, y),
        "float32": (z.float(), y.float()),
    }
    for case, (scores, labels) in cases.items():
        fitted = kind.fit(scores, labels)
        assert all(bool(buffer.isfinite().all()) for buffer in fitted.buffers()), case
        inputs = scores.clamp(-1e4, 1e4)
        assert bool(fitted(inputs).isfinite().all()), case
        if case not in ("scores that point the wrong way", "one row"):
            clamped = scores.double().clamp(-36.7, 36.7)
            assert log_loss(fitted(clamped), labels) <= log_loss(clamped, labels) + 1e-3, case


def test_a_large_temperature_is_found_from_far_away(generator):
    z, y = log_odds(generator)
    for factor in (0.1, 1 / 4, 15.0):
        scaled = TemperatureScaling.fit(factor * z.clamp(-2.4, 2.4), y)
        plain = TemperatureScaling.fit(z.clamp(-2.4, 2.4), y)
        assert float(scaled.temperature) == pytest.approx(factor * float(plain.temperature), rel=1e-2)


def test_fits_need_no_graph_and_leave_none(generator, device):
    z, y = log_odds(generator)
    expected = PlattScaling.fit(z, y)
    with torch.inference_mode():
        inside = PlattScaling.fit(z, y)
    traced = PlattScaling.fit(z.clone().requires_grad_(), y)
    for other in (inside, traced):
        assert float(other.shift) == float(expected.shift)
        assert not other.shift.requires_grad
    for kind in (TemperatureScaling, PlattScaling, IsotonicCalibration):
        fitted = kind.fit(z.to(device), y.to(device))
        assert all(buffer.device.type == device.type for buffer in fitted.buffers())
        torch.testing.assert_close(fitted(z.to(device)).cpu(), kind.fit(z, y)(z), atol=1e-6, rtol=1e-6)


@maps
def test_torch_export(name):
    z = torch.linspace(-6, 6, 25)
    program = torch.export.export(MAPS[name], (z[:4],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(z), MAPS[name](z))


@pytest.mark.slow
@maps
def test_onnx(name, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    z = torch.linspace(-6, 6, 25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            MAPS[name],
            (z[:4],),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    program.save(tmp_path / "map.onnx")
    session = runtime.InferenceSession(tmp_path / "map.onnx")
    found = session.run(None, {session.get_inputs()[0].name: z.numpy()})[0]
    np.testing.assert_allclose(found, MAPS[name](z), atol=1e-9)


def test_bad_input(generator):
    z, y = log_odds(generator, rows=10)
    with pytest.raises(ValueError, match="must not be NaN"):
        PlattScaling.fit(z * torch.nan, y)
    with pytest.raises(ValueError, match="must not be NaN"):
        PlattScaling.fit(torch.full((10, 2), -torch.inf), y)
    for shape, labels in (((0,), y[:0]), ((10, 1), y), ((10, 2, 2), y), ((9,), y), ((), y[0])):
        with pytest.raises(ValueError, match=r"`logits` must have shape \(N,\)"):
            PlattScaling.fit(torch.zeros(shape), labels)
    for label in (-1, 2, 0.5):
        with pytest.raises(ValueError, match="class indices from 0 to 1"):
            TemperatureScaling.fit(z, torch.full((10,), label))
    with pytest.raises(ValueError, match=r"log-odds of shape \(N,\), got \(10, 2\)"):
        IsotonicCalibration.fit(torch.zeros(10, 2), y)
    with pytest.raises(TypeError, match="floating-point"):
        PlattScaling.fit(y, y)
