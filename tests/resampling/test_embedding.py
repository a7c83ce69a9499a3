"""BatchSMOTE: each class of a batch is topped up between its own embeddings, with gradients and resumable numbers."""

import copy
import math
import pickle
import warnings

import pytest
import torch
from torch import nn

from imbalance_torch import adjust_logits
from imbalance_torch.neighbors import knn
from imbalance_torch.resampling import BatchSMOTE


def batch(counts=(40, 6, 12), columns=4, seed=0, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    return (torch.randn(len(y), columns, generator=generator) + 9 * y[:, None]).to(device, dtype), y.to(device)


def between(new, pool, k, bases=None):
    """Say of each new row whether it lies on a segment from a base row to one of its k nearest rows of the pool."""
    pool, new = pool.double(), new.double()
    near = knn(pool, pool, min(k, len(pool) - 1), exclude_self=True).indices[:bases]
    start = pool[: len(near), None]
    way = pool[near] - start
    gap = ((new[:, None, None] - start) * way).sum(-1) / way.square().sum(-1)
    off = (start + gap[..., None] * way - new[:, None, None]).norm(dim=-1)
    return ((off < 1e-5 * pool.abs().max()) & (gap > -1e-5) & (gap < 1 + 1e-5)).flatten(1).any(1)


@pytest.mark.parametrize("ratio", [0.05, 0.25, 0.4, 1.0])
def test_every_smaller_class_reaches_its_target_exactly(ratio, device):
    z, y = batch(device=device)
    new, labels = BatchSMOTE(target_ratio=ratio, random_state=0)(z, y)
    assert labels.bincount().tolist() == [40, max(6, round(40 * ratio)), max(12, round(40 * ratio))]
    assert torch.equal(new[: len(z)], z)
    assert torch.equal(labels[: len(y)], y)
    assert torch.equal(labels[len(y) :], labels[len(y) :].sort().values)
    assert (new.device, new.dtype, labels.dtype) == (z.device, z.dtype, y.dtype)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_rows_lie_between_a_row_and_its_nearest_of_the_class(k):
    z, y = batch()
    new, labels = BatchSMOTE(k_neighbors=k, target_ratio=1.0, random_state=0)(z, y)
    for label in (1, 2):
        rows = new[len(z) :][labels[len(y) :] == label]
        assert between(rows, z[y == label], k).all()
    if k == 1:
        assert not between(rows[:20], z[y == 2].flip(1), 1).any()


def test_eval_passes_the_input_on_and_counts_no_batch():
    z, y = batch()
    layer = BatchSMOTE(random_state=0).eval()
    out = layer(z, y)
    assert out[0] is z
    assert out[1] is y
    assert layer.random_counter[1] == 0


def test_a_batch_that_lacks_nothing_comes_back_as_it_is():
    for z, y in [
        batch((10, 10)),
        batch((10,)),
        batch((40, 10)),
        (torch.empty(0, 3), torch.empty(0, dtype=torch.int64)),
    ]:
        out = BatchSMOTE(random_state=0)(z, y)
        assert out[0] is z
        assert out[1] is y


@pytest.mark.parametrize("detached", [True, False])
def test_gradients_reach_the_parents_that_they_should(detached):
    """The sum of a new row moves by 1 - gap with its base row and by gap with its neighbour."""
    z = torch.tensor([[0.0], [1.0], [10.0], [11.0], [12.0], [13.0]], requires_grad=True)
    y = torch.tensor([1, 1, 0, 0, 0, 0])
    new, _ = BatchSMOTE(target_ratio=1.0, detach_neighbors=detached, random_state=3)(z, y)
    synthetic = new[6:]
    assert len(synthetic) == 2
    for row in synthetic:
        (gradient,) = torch.autograd.grad(row.sum(), z, retain_graph=True)
        assert gradient[2:].eq(0).all()
        value = float(row.detach())
        parts = torch.tensor([1 - value, value])  # the base row at 0 or 1: its part, and that of the other
        if detached:
            assert sorted((gradient[:2, 0] != 0).tolist()) == [False, True]
            assert torch.isclose(gradient[:2, 0], parts).sum() == 1
        else:
            torch.testing.assert_close(gradient[:2, 0], parts)


def test_gradients_agree_with_finite_differences():
    z, y = batch((12, 4), columns=2, dtype=torch.float64)

    def moved(z):
        return BatchSMOTE(target_ratio=1.0, detach_neighbors=False, random_state=0)(z, y)[0]

    assert torch.autograd.gradcheck(moved, z.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_halves_are_interpolated_in_float32(dtype, device):
    z, y = batch(dtype=dtype, device=device)
    new, _ = BatchSMOTE(target_ratio=1.0, random_state=0)(z, y)
    wide, _ = BatchSMOTE(target_ratio=1.0, random_state=0)(z.to(torch.promote_types(dtype, torch.float32)), y)
    assert new.dtype == dtype
    assert torch.equal(new, wide.to(dtype))


def test_autocast_trains(device):
    z, y = batch((40, 6), device=device)
    backbone, head = nn.Linear(4, 8).to(device), nn.Linear(8, 2).to(device)
    smote = BatchSMOTE(random_state=0, bank_size=4, num_features=8, num_classes=2).to(device)
    for _ in range(2):
        with torch.autocast(device.type, torch.bfloat16):
            out, labels = smote(backbone(z), y)
            loss = nn.functional.cross_entropy(head(out), labels)
        loss.backward()
    assert out.dtype == torch.bfloat16
    assert smote.bank.dtype == torch.float32
    assert backbone.weight.grad.isfinite().all()
    assert backbone.weight.grad.any()


def test_the_seed_decides_and_batches_differ():
    z, y = batch()
    first, second = BatchSMOTE(random_state=1), BatchSMOTE(random_state=1)
    draws = [first(z, y)[0] for _ in range(3)]
    assert all(torch.equal(second(z, y)[0], draw) for draw in draws)
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(BatchSMOTE(random_state=2)(z, y)[0], draws[0])
    assert not torch.equal(BatchSMOTE()(z, y)[0], BatchSMOTE()(z, y)[0])
    seeds = torch.Generator().manual_seed(0)
    assert not torch.equal(BatchSMOTE(random_state=seeds)(z, y)[0], BatchSMOTE(random_state=seeds)(z, y)[0])


def test_classes_have_streams_of_their_own():
    z, _ = batch((30, 5), columns=2)
    twins = torch.cat((z, z[:5], z[:5]))
    y = torch.tensor([0] * 35 + [1] * 5 + [2] * 5)
    new, labels = BatchSMOTE(target_ratio=1.0, random_state=0)(twins, y)
    new, labels = new[45:], labels[45:]
    assert (new[labels == 1] != new[labels == 2]).any(1).all()


def test_no_global_random_number_is_read_or_drawn():
    z, y = batch()
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = BatchSMOTE(random_state=0)(z, y)[0]
    BatchSMOTE()(z, y)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(BatchSMOTE(random_state=0)(z, y)[0], first)


@pytest.mark.parametrize("bank_size", [0, 3])
def test_training_resumes_exactly(bank_size):
    def layer(seed):
        return BatchSMOTE(bank_size=bank_size, num_features=4, num_classes=3, random_state=seed, target_ratio=1.0)

    batches = [batch(seed=seed) for seed in range(6)]
    whole = layer(0)
    expected = [whole(*each)[0] for each in batches]
    part = layer(0)
    for each in batches[:3]:
        part(*each)
    loaded = layer(99)
    loaded.load_state_dict(part.state_dict())
    for heir in (loaded, copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        for each, rows in zip(batches[3:], expected[3:], strict=True):
            assert torch.equal(heir(*each)[0], rows)
    assert all(isinstance(value, torch.Tensor) for value in part.state_dict().values())


def bank(size, **arguments):
    return BatchSMOTE(bank_size=size, num_features=1, num_classes=3, random_state=0, **arguments)


@pytest.mark.filterwarnings("ignore:Class 2 has one row:UserWarning")
def test_the_bank_keeps_the_last_rows_of_each_class():
    layer = bank(3)
    layer(torch.arange(10.0)[:, None], torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 0, 0]))
    assert layer.bank[0].flatten().sort().values.tolist() == [4, 8, 9]
    assert layer.bank[1].flatten().tolist() == [5, 6, 0]
    assert layer.bank_count.tolist() == [3, 2, 1]
    layer(torch.tensor([[20.0], [21.0], [22.0], [23.0]]), torch.tensor([1, 1, 2, 0]))
    assert layer.bank[0].flatten().sort().values.tolist() == [8, 9, 23]
    assert layer.bank[1].flatten().tolist() == [21, 6, 20]
    assert layer.bank[2].flatten().tolist() == [7, 22, 0]


def test_kept_rows_serve_as_neighbours_without_gradient():
    layer = bank(4, target_ratio=1.0, detach_neighbors=False)
    layer(torch.tensor([[100.0], [101.0], [50.0], [51.0]]), torch.tensor([1, 1, 0, 0]))
    z = torch.tensor([[102.0], [60.0], [61.0], [62.0], [63.0]], requires_grad=True)
    new, labels = layer(z, torch.tensor([1, 0, 0, 0, 0]))
    assert labels.tolist() == [1, 0, 0, 0, 0, 1, 1, 1]
    assert between(new[5:].detach(), torch.tensor([[102.0], [100.0], [101.0]]), 5, bases=1).all()
    new[5:].sum().backward()
    assert z.grad[1:].eq(0).all()
    assert 0 < float(z.grad[0]) <= 3
    assert not layer.bank.requires_grad


def test_an_absent_class_grows_from_the_bank_alone():
    layer = bank(4, target_ratio=0.5)
    layer(torch.tensor([[100.0], [104.0], [50.0], [51.0]]), torch.tensor([1, 1, 0, 0]))
    new, labels = layer(torch.arange(60.0, 70.0)[:, None], torch.zeros(10, dtype=torch.int64))
    assert labels.bincount().tolist() == [10, 5]  # and none of class 2, of which nothing is known
    assert ((new[10:] >= 100) & (new[10:] <= 104)).all()


def test_a_full_bank_gives_all_of_its_rows_as_bases_and_no_others():
    layer = bank(3, target_ratio=1.0)
    for _ in range(3):
        layer(torch.cat((torch.arange(8.0), torch.arange(50.0, 58.0)))[:, None], torch.tensor([1] * 8 + [0] * 8))
    new, labels = layer(torch.full((400, 1), 70.0), torch.zeros(400, dtype=torch.int64))
    assert labels.bincount().tolist() == [400, 400]
    assert 5 <= new[400:].min() < 5.1
    assert 6.9 < new[400:].max() <= 7


def test_bases_are_rows_of_the_batch_where_it_has_any():
    layer = bank(50, k_neighbors=1, target_ratio=1.0)
    layer(torch.cat((torch.zeros(30), torch.full((30,), 500.0)))[:, None], torch.tensor([1] * 30 + [0] * 30))
    new, labels = layer(torch.tensor([[7.0]] + [[500.0]] * 20), torch.tensor([1] + [0] * 20))
    assert labels.bincount().tolist() == [20, 20]
    assert new[21:].max() > 0
    assert (new[21:] <= 7).all()
    assert len(new[21:].unique()) == 19


def test_one_row_without_a_bank_is_copied_and_says_so_once():
    z, y = batch((10, 1))
    layer = BatchSMOTE(target_ratio=0.5, random_state=0)
    with pytest.warns(UserWarning, match="Class 1 has one row in a batch") as caught:
        draws = [layer(z, y) for _ in range(2)]
    assert len(caught) == 1
    new, labels = draws[1]
    assert labels.bincount().tolist() == [10, 5]
    assert (new[11:] == z[y == 1]).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_is_passed_on_and_not_kept(value):
    layer = BatchSMOTE(bank_size=4, num_features=4, num_classes=3, random_state=0)
    z, y = batch()
    broken = z.clone()
    broken[y == 1] = value
    with pytest.warns(UserWarning, match="NaN or infinite") as caught:
        draws = [layer(broken, y) for _ in range(2)]
    assert len(caught) == 1
    assert draws[1][0] is broken
    assert draws[1][1] is y
    assert not layer.bank_count.any()
    assert layer(z, y)[0].isfinite().all()


@pytest.mark.parametrize("scale", [1e-30, 1e15])
def test_scale_equal_rows_and_wide_columns_do_no_harm(scale):
    z, y = batch(dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = BatchSMOTE(random_state=0)(z, y)[0]
        torch.testing.assert_close(BatchSMOTE(random_state=0)(z * scale, y)[0] / scale, expected)
        z[:, 0] *= 1e6
        assert BatchSMOTE(random_state=0)(z, y)[0].isfinite().all()
        equal = BatchSMOTE(random_state=0)(torch.ones_like(z), y)[0]
        assert (equal == 1).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32])
def test_labels_keep_their_kind(dtype):
    z, y = batch((40, 6))
    new, labels = BatchSMOTE(bank_size=2, num_features=4, num_classes=2, random_state=0)(z, y.to(dtype))
    assert labels.dtype == dtype
    assert labels.long().bincount().tolist() == [40, 10]
    assert len(new) == 50


def test_strided_and_frozen_embeddings():
    z, y = batch()
    expected = BatchSMOTE(random_state=0)(z, y)[0]
    assert torch.equal(BatchSMOTE(random_state=0)(z.T.contiguous().T, y)[0], expected)
    with torch.no_grad():
        assert torch.equal(BatchSMOTE(random_state=0)(z.requires_grad_(), y)[0], expected)


def test_the_prior_that_the_head_sees():
    layer = BatchSMOTE(target_ratio=0.25)
    assert layer.effective_prior([0.9, 0.02, 0.08]).tolist() == pytest.approx([0.9 / 1.35, 1 / 6, 1 / 6])
    assert layer.effective_prior([0.6, 0.4]).tolist() == [0.6, 0.4]
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(20_000, generator=generator) < 0.05).long()
    labels = BatchSMOTE(random_state=0)(torch.randn(20_000, 2, generator=generator), y)[1]
    torch.testing.assert_close(
        labels.bincount().double() / len(labels), layer.effective_prior([0.95, 0.05]), atol=1e-3, rtol=0
    )
    adjust_logits(torch.zeros(1, 2), from_prior=layer.effective_prior([0.95, 0.05]), to_prior=[0.95, 0.05])
    for wrong in ([], [0.0, 0.0], [-1.0, 2.0], [[0.5, 0.5]], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="`prior`"):
            layer.effective_prior(wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"k_neighbors": 0}, ValueError, "`k_neighbors` must be >= 1"),
        ({"k_neighbors": 1.5}, TypeError, "`k_neighbors`"),
        ({"target_ratio": 0}, ValueError, "`target_ratio` must be > 0"),
        ({"target_ratio": 1.1}, ValueError, "`target_ratio` must be <= 1"),
        ({"bank_size": -1}, ValueError, "`bank_size`"),
        ({"bank_size": 3}, ValueError, "Pass `num_features` and `num_classes`"),
        ({"bank_size": 3, "num_features": 0, "num_classes": 2}, ValueError, "`num_features`"),
        ({"detach_neighbors": 1}, TypeError, "`detach_neighbors`"),
        ({"random_state": -1}, ValueError, "`random_state`"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        BatchSMOTE(**arguments)


@pytest.mark.parametrize(
    ("z", "y", "error", "words"),
    [
        ([[1.0]], torch.zeros(1).long(), TypeError, "`z`"),
        (torch.ones(3, 2).long(), torch.zeros(3).long(), TypeError, "floating"),
        (torch.ones(3, 2), [0, 0, 1], TypeError, "`y`"),
        (torch.ones(3, 2), torch.zeros(3), TypeError, "integer"),
        (torch.ones(3, 2, 2), torch.zeros(3).long(), ValueError, "Flatten"),
        (torch.ones(3, 0), torch.zeros(3).long(), ValueError, "d >= 1"),
        (torch.ones(3, 2), torch.zeros(4).long(), ValueError, "shapes"),
        (torch.ones(3, 2), torch.tensor([0, -1, 0]), ValueError, "labels from 0"),
    ],
)
def test_wrong_batches_are_refused(z, y, error, words):
    with pytest.raises(error, match=words):
        BatchSMOTE()(z, y)


def test_the_bank_knows_its_shape():
    layer = BatchSMOTE(bank_size=2, num_features=4, num_classes=2)
    z, y = batch()
    with pytest.raises(ValueError, match="labels from 0 to 1, got 0 to 2"):
        layer(z, y)
    with pytest.raises(ValueError, match="4 columns of `num_features`, got 3"):
        layer(z[:, :3], y)
    assert "bank_size=2" in repr(layer)


def test_ranks_draw_numbers_of_their_own(monkeypatch):
    z, y = batch()
    alone = BatchSMOTE(random_state=0)(z, y)[0]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    ranks = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        ranks.append(BatchSMOTE(random_state=0)(z, y)[0])
    assert torch.equal(ranks[0], alone)
    assert not torch.equal(ranks[1], alone)


def test_devices_draw_the_same_rows(device):
    z, y = batch(dtype=torch.float64)
    expected = BatchSMOTE(random_state=0)(z, y)[0]
    torch.testing.assert_close(BatchSMOTE(random_state=0).to(device)(z.to(device), y.to(device))[0].cpu(), expected)
