"""Deferred re-weighting: the schedule, weights that change in place, resuming from the epoch alone."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch import nn

from imbalance_torch.losses import (
    ClassWeightedBCEWithLogitsLoss,
    ClassWeightedCrossEntropyLoss,
    DeferredReweighting,
    FocalLoss,
    SigmoidFocalLoss,
)

DOUBLE = torch.float64
WEIGHT = torch.tensor([0.1, 1.7, 9.3], dtype=DOUBLE)  # 1 + (0.1 - 1) is not 0.1 in floating point
RATIO = torch.tensor([30.0, 1.0, 0.3], dtype=DOUBLE)
RAMP = {"start_epoch": 2, "end_epoch": 6, "schedule": "linear"}

LOSSES = {
    "cross-entropy": (ClassWeightedCrossEntropyLoss, {"weight": WEIGHT}, {"weight": torch.ones(3, dtype=DOUBLE)}),
    "focal": (FocalLoss, {"weight": WEIGHT, "label_smoothing": 0.1}, {"label_smoothing": 0.1}),
    "bce": (ClassWeightedBCEWithLogitsLoss, {"weight": WEIGHT, "pos_weight": RATIO}, {}),
    "sigmoid focal": (SigmoidFocalLoss, {"pos_weight": RATIO}, {}),
    "torch cross-entropy": (nn.CrossEntropyLoss, {"weight": WEIGHT}, {}),
    "torch bce": (nn.BCEWithLogitsLoss, {"pos_weight": RATIO}, {}),
}
EVERY = pytest.mark.parametrize("kind", LOSSES)


def build(kind="cross-entropy", **schedule):
    module, weights, _ = LOSSES[kind]
    return DeferredReweighting(module(**weights), **(schedule or RAMP))


def draw(kind="cross-entropy", dtype=DOUBLE):
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(8, 3, generator=generator, dtype=DOUBLE).to(dtype)
    if "bce" in kind or "sigmoid" in kind:
        return logits, torch.randint(2, (8, 3), generator=generator).to(dtype)
    return logits, torch.randint(3, (8,), generator=generator)


# ------------------------------------------------------------------ schedule


@EVERY
@pytest.mark.parametrize("schedule", [RAMP, {**RAMP, "schedule": "cosine"}, {"start_epoch": 2}], ids=str)
def test_the_ends_are_the_unweighted_and_the_weighted_loss_exactly(kind, schedule):
    module, weights, neutral = LOSSES[kind]
    deferred, batch = build(kind, **schedule), draw(kind)
    plain, full = module(**neutral)(*batch), module(**weights)(*batch)
    assert not torch.isclose(plain, full)
    assert torch.equal(deferred(*batch), plain)
    for epoch in (0, 1, 1.999):
        deferred.set_epoch(epoch)
        assert torch.equal(deferred(*batch), plain)
    for epoch in (6, 6.5, 1000):
        deferred.set_epoch(epoch)
        assert torch.equal(deferred(*batch), full)
    deferred.set_epoch(0)  # absolute: there and back
    assert torch.equal(deferred(*batch), plain)


@pytest.mark.parametrize(
    ("schedule", "epoch", "share"),
    [
        ({"start_epoch": 3}, 2.99, 0.0),
        ({"start_epoch": 3}, 3, 1.0),
        ({"start_epoch": 0}, 0, 1.0),
        (RAMP, 2, 0.0),
        (RAMP, 3, 0.25),
        (RAMP, 4, 0.5),
        (RAMP, 5.5, 0.875),
        (RAMP, 6, 1.0),
        ({**RAMP, "schedule": "cosine"}, 2, 0.0),
        ({**RAMP, "schedule": "cosine"}, 3, 0.5 - math.sqrt(0.125)),
        ({**RAMP, "schedule": "cosine"}, 4, 0.5),
        ({**RAMP, "schedule": "cosine"}, 6, 1.0),
        ({"start_epoch": 0.5, "end_epoch": 1.5, "schedule": "linear"}, 0.75, 0.25),
    ],
    ids=str,
)
def test_share_of_the_weights(schedule, epoch, share):
    deferred = build("bce", **schedule)
    deferred.set_epoch(epoch)
    assert deferred.epoch == epoch
    torch.testing.assert_close(deferred.loss.weight, 1 + share * (WEIGHT - 1))
    torch.testing.assert_close(deferred.loss.pos_weight, 1 + share * (RATIO - 1))


def test_the_loss_in_the_middle_is_the_loss_with_the_middle_weights():
    deferred, batch = build(), draw()
    deferred.set_epoch(4)
    rows = torch.arange(8, dtype=DOUBLE)
    expected = ClassWeightedCrossEntropyLoss((1 + WEIGHT) / 2)(*batch, rows)
    torch.testing.assert_close(deferred(*batch, rows), expected)
    torch.testing.assert_close(deferred(*batch, sample_weight=rows), expected)


def test_step_is_the_schedule_of_the_paper():
    counts, betas = torch.tensor([5000.0, 500.0, 50.0], dtype=DOUBLE), (0, 0.9999)  # LDAM-DRW: betas[epoch // 160]
    deferred = DeferredReweighting(
        ClassWeightedCrossEntropyLoss.from_counts(counts, "effective", beta=0.9999, normalize="classes"),
        start_epoch=160,
    )
    for epoch in (0, 159, 160, 199):
        effective = 1.0 - betas[epoch // 160] ** counts
        weights = (1.0 - betas[epoch // 160]) / effective
        deferred.set_epoch(epoch)
        torch.testing.assert_close(deferred.loss.weight, weights / weights.sum() * len(counts))


def test_the_posterior_undoes_the_weights_in_force():
    deferred, (logits, _) = build(), draw()
    for epoch, weight in ((0, torch.ones(3, dtype=DOUBLE)), (4, (1 + WEIGHT) / 2), (6, WEIGHT)):
        deferred.set_epoch(epoch)
        arguments = {"prior": [0.7, 0.2, 0.1], "train_prior": [0.5, 0.3, 0.2]}
        expected = ClassWeightedCrossEntropyLoss(weight).log_posterior(logits, **arguments)
        torch.testing.assert_close(deferred.log_posterior(logits, **arguments), expected)


# ------------------------------------------------------------------ in place


def test_the_buffers_keep_their_addresses():
    deferred = build("bce")
    before = [deferred.loss.weight.data_ptr(), deferred.loss.pos_weight.data_ptr()]
    seen = set()
    for epoch in range(8):
        deferred.set_epoch(epoch)
        seen.add(deferred.loss.weight.sum().item())
        assert [deferred.loss.weight.data_ptr(), deferred.loss.pos_weight.data_ptr()] == before
    assert len(seen) == 5
    assert not any(buffer.requires_grad for buffer in deferred.buffers())


def test_setting_the_epoch_again_touches_nothing():
    deferred = build()
    deferred.set_epoch(4)
    version = deferred.loss.weight._version
    deferred.set_epoch(4)
    deferred.set_epoch(4.0)
    assert deferred.loss.weight._version == version
    deferred.set_epoch(5)
    assert deferred.loss.weight._version > version


@pytest.mark.parametrize("weight", [WEIGHT.clone(), torch.tensor(2.0).expand(3)], ids=["plain", "expanded"])
def test_the_tensor_of_the_caller_stays(weight):
    before = weight.clone()
    deferred = DeferredReweighting(nn.CrossEntropyLoss(weight), start_epoch=1)
    deferred.set_epoch(1)
    assert torch.equal(deferred.loss.weight, before)
    deferred.set_epoch(0)
    assert torch.equal(weight, before)


def test_what_the_caller_does_to_the_tensor_later_does_not_matter():
    weight = WEIGHT.clone()
    deferred = DeferredReweighting(nn.CrossEntropyLoss(weight), start_epoch=1)
    weight.zero_()
    deferred.set_epoch(1)
    assert torch.equal(deferred.loss.weight, WEIGHT)


@pytest.mark.parametrize("kind", ["cross-entropy", "bce"])
def test_compiles_once_for_the_whole_schedule(kind):
    torch._dynamo.reset()
    compiled = []

    def backend(graph, _):
        compiled.append(graph)
        return graph

    deferred, batch = build(kind), draw(kind)
    fast = torch.compile(deferred, fullgraph=True, backend=backend)
    values = []
    for epoch in range(8):
        deferred.set_epoch(epoch)
        values.append(fast(*batch))
        torch.testing.assert_close(values[-1], deferred(*batch))
    assert len(compiled) == 1
    assert len({value.item() for value in values}) == 5
    torch._dynamo.reset()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_graph_follows_the_schedule():
    deferred = build("bce").cuda()
    logits, target = (value.cuda() for value in draw("bce"))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        deferred(logits, target)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = deferred(logits, target)
    for epoch in (0, 4, 6):
        deferred.set_epoch(epoch)
        graph.replay()
        torch.testing.assert_close(captured, deferred(logits, target))


# ------------------------------------------------------------------ state


def saved(module):
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("epoch", [0, 3, 4.5, 6])
@pytest.mark.parametrize("kind", ["cross-entropy", "bce"])
def test_the_epoch_is_the_state(kind, epoch):
    deferred, batch = build(kind), draw(kind)
    deferred.set_epoch(epoch)
    state = saved(deferred)
    assert dict(state) == {"_extra_state": {"epoch": epoch}}
    fresh = build(kind)
    fresh.set_epoch(1000)  # loading goes back, too
    assert fresh.load_state_dict(state, strict=True)
    assert fresh.epoch == epoch
    assert torch.equal(fresh(*batch), deferred(*batch))


@pytest.mark.parametrize("kind", ["cross-entropy", "torch cross-entropy"])
def test_resumes_inside_a_larger_module(kind):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = nn.Linear(3, 3, dtype=DOUBLE)
            self.criterion = build(kind)

    model, fresh, batch = Model(), Model(), draw()
    model.criterion.set_epoch(5)
    state = saved(model)
    assert state["criterion._extra_state"] == {"epoch": 5}
    fresh.load_state_dict(state, strict=True)
    assert torch.equal(fresh.criterion(*batch), model.criterion(*batch))
    for other in (model, fresh):
        other.criterion.set_epoch(6)
    assert torch.equal(fresh.criterion(*batch), model.criterion(*batch))
    assert torch.equal(fresh.criterion.loss.weight, WEIGHT)
    del state["criterion._extra_state"]
    with pytest.raises(RuntimeError, match=r"criterion\._extra_state"):
        fresh.load_state_dict(state, strict=True)


def test_a_bad_state_is_refused():
    with pytest.raises(ValueError, match="`epoch`"):
        build().load_state_dict({"_extra_state": {"epoch": -1}})


@EVERY
def test_modules_travel(kind):
    deferred, batch = build(kind), draw(kind)
    deferred.set_epoch(4)
    expected = deferred(*batch)
    for twin in (copy.deepcopy(deferred), pickle.loads(pickle.dumps(deferred))):
        assert torch.equal(twin(*batch), expected)
        assert repr(twin) == repr(deferred)
        twin.set_epoch(6)
        assert torch.equal(deferred(*batch), expected)  # a twin has weights of its own
        assert torch.equal(twin(*batch), LOSSES[kind][0](**LOSSES[kind][1])(*batch))


def test_moves_with_its_full_weights(device):
    deferred, (logits, target) = build("bce"), draw("bce")
    deferred.set_epoch(4)
    expected = deferred(logits, target)
    moved = copy.deepcopy(deferred).to(device, torch.float32)
    logits, target = logits.to(device, torch.float32), target.to(device, torch.float32)
    assert {(b.device.type, b.dtype) for b in moved.buffers()} == {(device.type, torch.float32)}
    torch.testing.assert_close(moved(logits, target).cpu().double(), expected, rtol=1e-5, atol=0)
    moved.set_epoch(6)
    torch.testing.assert_close(moved.loss.weight.cpu(), WEIGHT.float(), rtol=0, atol=0)
    wide = moved.to(DOUBLE)
    wide.set_epoch(3)
    assert wide.loss.pos_weight.dtype == DOUBLE
    bare = copy.deepcopy(deferred).to("meta")
    bare.set_epoch(6)
    assert {buffer.device.type for buffer in bare.buffers()} == {"meta"}
    assert bare(logits.to("meta"), target.to("meta")).shape == ()


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"start_epoch": -1}, ValueError, "`start_epoch` must be >= 0"),
        ({"start_epoch": "2"}, TypeError, "`start_epoch`"),
        ({"start_epoch": math.nan}, ValueError, "`start_epoch`"),
        ({"start_epoch": 2, "schedule": "steps"}, ValueError, "Did you mean 'step'"),
        ({"start_epoch": 2, "end_epoch": 3}, ValueError, "`end_epoch` must be None for schedule='step'"),
        ({"start_epoch": 2, "schedule": "linear"}, ValueError, "`end_epoch` must be a number for schedule='linear'"),
        ({"start_epoch": 2, "schedule": "cosine"}, ValueError, "`end_epoch` must be a number for schedule='cosine'"),
        ({"start_epoch": 2, "end_epoch": 2, "schedule": "linear"}, ValueError, "`end_epoch` must be > 2"),
        ({"start_epoch": 2, "end_epoch": "9", "schedule": "cosine"}, TypeError, "`end_epoch`"),
    ],
    ids=str,
)
def test_bad_schedules(arguments, error, match):
    with pytest.raises(error, match=match):
        build(**arguments)


@pytest.mark.parametrize("loss", [FocalLoss(), SigmoidFocalLoss(), nn.CrossEntropyLoss(), nn.Linear(2, 2)], ids=repr)
def test_a_loss_without_weights_is_refused(loss):
    with pytest.raises(ValueError, match=f"got {type(loss).__name__} without. Build it with weight="):
        DeferredReweighting(loss, start_epoch=2)


def test_integer_weights_are_refused():
    with pytest.raises(TypeError, match=r"`loss.weight` must be a floating-point tensor"):
        DeferredReweighting(FocalLoss(torch.tensor([1, 2, 3])), start_epoch=2)


@pytest.mark.parametrize(
    ("epoch", "error"), [(-1, ValueError), (math.inf, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_bad_epochs(epoch, error):
    deferred = build()
    with pytest.raises(error, match="`epoch`"):
        deferred.set_epoch(epoch)
    assert deferred.epoch == 0


def test_the_repr_shows_schedule_and_epoch():
    deferred = build()
    deferred.set_epoch(4)
    text = repr(deferred)
    assert "start_epoch=2, end_epoch=6, schedule='linear', epoch=4" in text
    assert "ClassWeightedCrossEntropyLoss(weight=[0.55, 1.35, 5.15]" in text
