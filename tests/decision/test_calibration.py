"""The choice of a calibration map: honest on good probabilities, firm on distorted ones."""

import json

import pytest
import torch

from imbalance_torch.decision import Calibration, choose_calibration


def drawn(seed, rows, shift, distort=lambda z: z):
    """Return distorted log-odds and labels drawn from the undistorted ones."""
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(rows, generator=generator, dtype=torch.float64) + shift
    y = (torch.rand(rows, generator=generator, dtype=torch.float64) < z.sigmoid()).long()
    return distort(z), y


def bend(z):
    """Flatten the upper part and raise everything, as training on synthetic positives may."""
    return torch.where(z > -2, -2 + 0.3 * (z + 2), z) + 1.5


def log_loss(z, y):
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, y.double()))


@pytest.mark.parametrize(("rows", "shift"), [(3000, -5), (3000, -2)])
def test_good_probabilities_are_left_alone(rows, shift):
    names = [choose_calibration(*drawn(seed, rows, shift)).name for seed in range(40)]
    assert names.count("none") >= 36


@pytest.mark.parametrize(
    ("distort", "names"),
    [
        (lambda z: 2 * z, {"temperature", "platt"}),
        (lambda z: z / 2, {"temperature", "platt"}),
        (lambda z: z + 1, {"platt"}),
        (lambda z: 2 * z + 2, {"platt"}),
    ],
)
def test_distorted_probabilities_are_repaired(distort, names):
    for seed in range(3):
        calibration = choose_calibration(*drawn(seed, 5000, -5, distort))
        z, y = drawn(100 + seed, 50_000, -5, distort)
        truth, _ = drawn(100 + seed, 50_000, -5)
        assert calibration.name in names
        assert log_loss(calibration(z), y) - log_loss(truth, y) < 0.15 * (log_loss(z, y) - log_loss(truth, y))
        assert "On held-out folds the log-loss falls from" in calibration.reason


def test_isotonic_wins_on_a_bent_scale_from_1000_positives_on():
    z, y = drawn(0, 40_000, -3, bend)
    assert int(y.sum()) > 5000
    calibration = choose_calibration(z, y)
    assert calibration.name == "isotonic"
    held_out, labels = drawn(1, 100_000, -3, bend)
    platt = choose_calibration(z[:5000], y[:5000])
    assert int(y[:5000].sum()) < 1000
    assert "isotonic" not in platt.log_losses
    assert log_loss(calibration(held_out), labels) < log_loss(platt(held_out), labels) < log_loss(held_out, labels)


def test_too_few_positives():
    z, y = drawn(0, 4000, -2, lambda z: 3 * z)
    positives, negatives = y.nonzero()[:, 0], (y == 0).nonzero()[:, 0]
    for count in (0, 30, 49):
        rows = torch.cat([positives[:count], negatives[: 10 * count + 50]])
        calibration = choose_calibration(z[rows], y[rows])
        assert calibration.name == "none"
        expected = f"Class 1 has {count} validation rows, fewer than 50: only the prior shift is applied."
        assert calibration.reason == expected
        assert set(calibration.log_losses) == {"none"}
        assert calibration(z).equal(z)
    rows = torch.cat([positives[:50], negatives[:550]])
    assert choose_calibration(z[rows], y[rows]).name in ("temperature", "platt")
    rows = torch.cat([positives, negatives[:30]])
    assert choose_calibration(z[rows], y[rows]).reason.startswith("Class 0 has 30 validation rows")


def test_fewer_rows_suffice_where_one_says_so():
    distorted, y = drawn(0, 4000, -2, lambda z: z / 30)  # about what a margin loss on cosines does
    rows = torch.cat([y.nonzero()[:12, 0], (y == 0).nonzero()[:100, 0]])
    z, y = distorted[rows], y[rows]
    assert choose_calibration(z, y).name == "none"
    calibration = choose_calibration(z, y, min_rows=12)
    assert calibration.name in ("temperature", "platt")
    held_out, labels = drawn(1, 20_000, -2, lambda z: z / 30)
    assert log_loss(calibration(held_out), labels) < 0.8 * log_loss(held_out, labels)
    assert choose_calibration(z, y, min_rows=13).reason.startswith("Class 1 has 12 validation rows, fewer than 13")
    with pytest.raises(ValueError, match="`min_rows` must be >= 2"):
        choose_calibration(z, y, min_rows=1)
    flat, noise = drawn(2, 1200, -3)
    assert "isotonic" not in choose_calibration(flat, noise, min_rows=10).log_losses


@pytest.mark.parametrize("positives", [10, 20])
def test_few_rows_rarely_spoil_good_probabilities(positives):
    losses = []
    held_out, labels = drawn(100, 50_000, -3)
    for seed in range(30):
        z, y = drawn(seed, 4000, -3)
        rows = torch.cat([y.nonzero()[:positives, 0], (y == 0).nonzero()[: 9 * positives, 0]])
        losses.append(log_loss(choose_calibration(z[rows], y[rows], min_rows=10)(held_out), labels))
    assert sum(losses) / 30 < 1.1 * log_loss(held_out, labels)


def test_several_classes():
    generator = torch.Generator().manual_seed(5)
    z = 2 * torch.randn(4000, 4, generator=generator, dtype=torch.float64) - torch.arange(4) / 2
    y = torch.multinomial(z.softmax(1), 1, generator=generator)[:, 0]
    assert choose_calibration(z, y).name == "none"
    assert choose_calibration(2 * z, y).name == "temperature"
    shifted = z + torch.tensor([0.0, 1.0, -1.0, 0.0])
    calibration = choose_calibration(shifted, y)
    assert calibration.name == "platt"
    torch.testing.assert_close(calibration(shifted).softmax(1), z.softmax(1), atol=0.1, rtol=0)
    assert set(calibration.log_losses) == {"none", "temperature", "platt"}
    few = choose_calibration(shifted, y.clamp(max=2))
    assert few.reason.startswith("Class 3 has 0 validation rows")
    log_p, probabilities = z.log_softmax(1), z.softmax(1)
    assert choose_calibration(log_p, y).log_losses == pytest.approx(choose_calibration(z, y).log_losses)
    assert choose_calibration(probabilities.log(), y).name == "none"


def test_one_calibration_per_label():
    columns = [drawn(0, 3000, -3, lambda z: 3 * z), drawn(1, 3000, -12)]
    logits, target = (torch.stack(each, dim=1) for each in zip(*columns, strict=True))
    chosen = [choose_calibration(z, y) for z, y in zip(logits.T, target.T, strict=True)]
    assert [each.name for each in chosen] == ["temperature", "none"]


def test_folds_judge_on_rows_that_the_fit_has_not_seen():
    _, y = drawn(0, 40_000, -3)
    noise = torch.randn(40_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    calibration = choose_calibration(noise, y)  # scores without information: the best is the share of positives
    share = y.double().mean()
    entropy = -float(share * share.log() + (1 - share) * (1 - share).log())
    assert calibration.name == "platt"
    assert entropy < calibration.log_losses["platt"] < entropy + 1e-3
    assert calibration.log_losses["isotonic"] > calibration.log_losses["platt"]


def test_a_larger_margin_is_more_cautious_and_seeds_fix_the_folds():
    z, y = drawn(0, 4000, -4, lambda z: 1.4 * z)
    assert choose_calibration(z, y).name == "temperature"
    cautious = choose_calibration(z, y, margin=50.0)
    assert cautious.name == "none"
    assert cautious.reason == "No map lowers the log-loss by more than the margin: only the prior shift is applied."
    first, again, other = (choose_calibration(z, y, random_state=seed) for seed in (0, 0, 1))
    assert first.log_losses == again.log_losses != other.log_losses
    state = torch.Generator().manual_seed(0)
    assert choose_calibration(z, y, random_state=state).log_losses != first.log_losses


def test_awkward_rows():
    z, y = drawn(0, 2000, -2)
    extremes = torch.logit((z > 0).double())  # probabilities of 0 and 1
    calibration = choose_calibration(extremes, y)
    assert calibration.name != "none"
    assert log_loss(calibration(extremes.clamp(-36.7, 36.7)), y) < 1
    assert bool(calibration(extremes).sigmoid().isfinite().all())
    assert choose_calibration(torch.full_like(z, float(torch.logit(y.double().mean()))), y).name == "none"
    reversed_scores = choose_calibration(-z, y)
    assert reversed_scores(z).argsort().equal(z.argsort())
    with pytest.raises(ValueError, match="N > 0"):
        choose_calibration(z[:0], y[:0])
    with pytest.raises(ValueError, match="must not be NaN"):
        choose_calibration(z * torch.nan, y)
    with pytest.raises(ValueError, match="`num_folds` must be >= 2"):
        choose_calibration(z, y, num_folds=1)
    with pytest.raises(ValueError, match="`margin` must be >= 0"):
        choose_calibration(z, y, margin=-1.0)


def test_device(device):
    z, y = drawn(0, 40_000, -3, bend)
    expected, moved = choose_calibration(z, y), choose_calibration(z.to(device), y.to(device))
    assert (moved.name, moved.reason) == (expected.name, expected.reason)
    torch.testing.assert_close(moved(z.to(device)).cpu(), expected(z), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["none", "temperature", "platt", "isotonic"])
def test_a_record_in_json_is_the_same_calibration(name):
    distort = {"none": lambda z: z, "temperature": lambda z: 2 * z, "platt": lambda z: 2 * z + 1, "isotonic": bend}
    z, y = drawn(0, 40_000, -3, distort[name])
    calibration = choose_calibration(z, y)
    assert calibration.name == name
    copy = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    assert copy(z).equal(calibration(z))
    assert copy.to_dict() == calibration.to_dict()
    assert name in repr(copy)
    program = torch.export.export(calibration, (z[:4],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(z), calibration(z))


def test_an_unknown_map_is_named():
    with pytest.raises(ValueError, match="Did you mean 'platt'"):
        Calibration("plat", {}, "", {})
