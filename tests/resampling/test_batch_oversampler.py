"""Over-sampling inside the loop: exact counts per batch, rows from the graph, stated class shares."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch.resampling import SMOTE, SMOTENC, BatchOversampler


def data(counts=(600, 40, 80), columns=4, seed=0, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) + 3 * y[:, None]
    return X.to(device, dtype), y.to(device)


def fitted(**kwargs):
    X, y = data()
    return BatchOversampler(SMOTE(random_state=0), **kwargs).fit(X, y), X, y


@pytest.mark.parametrize("ratio", [0.05, 0.25, 1.0])
@pytest.mark.parametrize("rows", [0, 1, 7, 64, 720])
def test_each_minority_class_reaches_its_count_and_nothing_is_removed(ratio, rows, device):
    oversampler, X, y = fitted(target_ratio=ratio)
    X, y = X.to(device), y.to(device)
    X_out, y_out = oversampler(X[:rows], y[:rows])
    before, after = y[:rows].bincount(minlength=3).tolist(), y_out.bincount(minlength=3).tolist()
    wanted = round(ratio * before[0])
    assert after == [before[0], max(before[1], wanted), max(before[2], wanted)]
    assert torch.equal(X_out[:rows], X[:rows])
    assert torch.equal(y_out[:rows], y[:rows])
    assert (X_out.device, y_out.device) == (X.device, y.device)


def test_rows_come_from_the_graph_not_from_the_batch():
    """A batch that holds no minority row gets rows on segments of the training data."""
    oversampler, X, y = fitted()
    batch = X[y == 0][:100]
    new, labels = (part[100:] for part in oversampler(batch, torch.zeros(100, dtype=torch.int64)))
    assert labels.tolist() == [1] * 25 + [2] * 25
    for label in (1, 2):
        low, high = X[y == label].aminmax(dim=0)
        assert ((new[labels == label] >= low) & (new[labels == label] <= high)).all()
    twin = SMOTE(random_state=0).fit(X, y).sample({1: 25, 2: 25})
    assert torch.equal(new, twin.X)


@pytest.mark.parametrize("label_dtype", [torch.int64, torch.int32, torch.uint8])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_follow_the_batch(dtype, label_dtype):
    oversampler, X, y = fitted()
    X_out, y_out = oversampler(X[:64].to(dtype), y[:64].to(label_dtype))
    assert (X_out.dtype, y_out.dtype) == (dtype, label_dtype)
    assert len(X_out) > 64


def test_boolean_labels():
    X, y = data((90, 10))
    oversampler = BatchOversampler(SMOTE(random_state=0), target_ratio=0.5).fit(X, y.bool())
    labels = oversampler(X, y.bool())[1]
    assert labels.dtype == torch.bool
    assert labels.sum() == 45


def test_a_batch_that_has_enough_is_returned_as_it_is():
    oversampler, X, y = fitted(target_ratio=0.01)
    X_out, y_out = oversampler(X, y)
    assert X_out is X
    assert y_out is y


@pytest.mark.parametrize("majority", [0, 1, 2])
def test_the_majority_is_the_one_of_the_training_data(majority):
    counts = [40, 80]
    counts.insert(majority, 600)
    X, y = data(counts)
    oversampler = BatchOversampler(SMOTE(random_state=0), target_ratio=1.0).fit(X, y)
    assert oversampler(X, y)[1].bincount().tolist() == [600, 600, 600]
    assert len(oversampler(X[y != majority], y[y != majority])[1]) == 120
    shares = torch.tensor([0.1, 0.1, 0.1], dtype=torch.float64)
    shares[majority] = 0.8
    torch.testing.assert_close(oversampler.effective_prior(shares), torch.full((3,), 1 / 3, dtype=torch.float64))


def test_new_rows_every_call_repeated_from_the_seed_or_the_generator():
    first, X, y = fitted()
    second = fitted()[0]
    calls = [first(X[:64], y[:64])[0] for _ in range(2)]
    assert not torch.equal(*calls)
    assert all(torch.equal(second(X[:64], y[:64])[0], call) for call in calls)
    drawn = [o(X[:64], y[:64], generator=torch.Generator().manual_seed(1))[0] for o in (first, second, first)]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    with pytest.raises(TypeError, match="`generator`"):
        first(X[:64], y[:64], generator=1)


@pytest.mark.parametrize("columns", [[0, 2], [2, 0], (3,)])
def test_other_columns_are_copied_from_the_base_row(columns):
    X, y = data()
    others = [j for j in range(4) if j not in columns]
    X[:, others] = (X[:, others] * 7).round()
    oversampler = BatchOversampler(SMOTE(random_state=0), target_ratio=1.0, columns=columns).fit(X, y)
    X_out, y_out = oversampler(X, y)
    assert torch.equal(X_out[: len(X)], X)
    twin = SMOTE(random_state=0).fit(X[:, list(columns)], y).sample({1: 560, 2: 520})
    assert torch.equal(X_out[len(X) :, list(columns)], twin.X)
    assert torch.equal(X_out[len(X) :, others], X[twin.base_index][:, others])
    assert torch.equal(y_out[len(X) :], twin.y)


def test_distances_are_those_of_the_columns():
    """A wild column outside `columns` changes no neighbour."""
    X, y = data()
    X[:, 3] *= 1e6
    oversampler = BatchOversampler(SMOTE(random_state=0), columns=[0, 1, 2]).fit(X, y)
    expected = SMOTE().fit(X[:, :3], y).graph_.edges[1].neighbors
    assert torch.equal(oversampler.resampler.graph_.edges[1].neighbors, expected)


def test_a_resampler_fitted_before_is_used_as_it_is():
    X, y = data()
    oversampler = BatchOversampler(SMOTE(random_state=0).fit(X.numpy(), y.numpy()))
    assert oversampler.is_fitted
    expected = fitted()[0](X[:64], y[:64])[0]
    assert torch.equal(oversampler(X[:64], y[:64])[0], expected)
    assert not BatchOversampler(SMOTE().fit(X, y), columns=[0]).is_fitted


def test_state():
    resampler = SMOTE()
    oversampler = BatchOversampler(resampler)
    assert oversampler.resampler is resampler
    assert oversampler.target_ratio == 0.25
    assert not oversampler.is_fitted
    X, y = data()
    assert oversampler.fit(X, y) is oversampler
    assert oversampler.is_fitted
    assert oversampler.to("cpu") is oversampler


def test_wrap_is_sized_and_can_be_iterated_again():
    oversampler, X, y = fitted()
    loader = oversampler.wrap(DataLoader(TensorDataset(X, y), batch_size=100, drop_last=False))
    assert len(loader) == 8
    epochs = [list(loader) for _ in range(2)]
    for (first, labels), (second, _) in zip(*epochs, strict=True):
        counts = labels.bincount()
        assert (counts[1:] >= torch.round(counts[0] * 0.25)).all()
        assert first.shape == second.shape
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])


@pytest.mark.parametrize("batch", [(1, 2, 3), {"x": 1, "y": 2}, torch.zeros(2, 2), [1]])
def test_wrap_refuses_other_batches(batch):
    with pytest.raises(ValueError, match=r"\(X, y\) batches"):
        next(iter(fitted()[0].wrap([batch])))


@pytest.mark.parametrize(
    ("prior", "ratio", "expected"),
    [
        ([0.9, 0.02, 0.08], 0.25, [0.9, 0.225, 0.225]),
        ([0.9, 0.02, 0.08], 0.05, [0.9, 0.045, 0.08]),
        ([600, 40, 80], 1.0, [1, 1, 1]),
        ([1.0, 0.0, 0.0], 0.5, [1, 0.5, 0.5]),
    ],
)
def test_effective_prior_in_closed_form(prior, ratio, expected):
    shares = fitted(target_ratio=ratio)[0].effective_prior(prior)
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(shares, expected / expected.sum())
    assert shares.dtype == torch.float64


def test_effective_prior_is_what_the_network_sees():
    oversampler, X, y = fitted()
    loader = oversampler.wrap(
        DataLoader(TensorDataset(X, y), batch_size=180, shuffle=True, generator=torch.Generator().manual_seed(0))
    )
    seen = sum(labels.bincount(minlength=3) for _ in range(20) for _, labels in loader)
    torch.testing.assert_close(seen / seen.sum(), oversampler.effective_prior(y.bincount()).float(), rtol=0, atol=2e-3)


def test_classes_that_do_not_grow_keep_their_share():
    X, y = data()
    oversampler = BatchOversampler(SMOTE("minority"), target_ratio=0.5).fit(X, y)
    assert oversampler(X, y)[1].bincount().tolist() == [600, 300, 80]
    expected = torch.tensor([600, 300, 80], dtype=torch.float64) / 980
    torch.testing.assert_close(oversampler.effective_prior([600, 40, 80]), expected)


@pytest.mark.parametrize(
    ("prior", "words"), [([0.5, 0.5], r"\(3,\)"), ([1, -1, 1], "non-negative"), ([0, 0, 0], "zero"),
                         ([1, torch.nan, 1], "non-negative")],
)  # fmt: skip
def test_wrong_priors(prior, words):
    with pytest.raises(ValueError, match=words):
        fitted()[0].effective_prior(prior)


@pytest.mark.parametrize(
    ("X", "y", "error", "words"),
    [
        (torch.ones(3, 5), torch.zeros(3).long(), ValueError, r"\(B, 4\)"),
        (torch.ones(3), torch.zeros(3).long(), ValueError, r"\(B, 4\)"),
        (torch.ones(3, 4), torch.zeros(2).long(), ValueError, r"\(B,\)"),
        (torch.ones(3, 4), torch.zeros(3, 1).long(), ValueError, r"\(B,\)"),
        (torch.ones(3, 4), torch.zeros(3), TypeError, "integer labels"),
        (torch.ones(3, 4), torch.tensor([0, 1, 3]), ValueError, "below 3, got 3"),
        (torch.ones(3, 4, dtype=torch.int64), torch.zeros(3).long(), TypeError, "kind"),
        ([[1.0] * 4], torch.zeros(1).long(), TypeError, "`X`"),
        (torch.ones(3, 4), [0, 0, 0], TypeError, "`y`"),
    ],
)
def test_wrong_batches(X, y, error, words):
    with pytest.raises(error, match=words):
        fitted()[0](X, y)


def test_before_fit():
    X, y = data()
    oversampler = BatchOversampler(SMOTE())
    for call in (lambda: oversampler(X, y), lambda: oversampler.effective_prior([1, 1, 1])):
        with pytest.raises(RuntimeError, match=r"fit\(X, y\)"):
            call()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"target_ratio": 0.0}, ValueError, "`target_ratio` must be > 0"),
        ({"target_ratio": 1.5}, ValueError, "`target_ratio` must be <= 1"),
        ({"target_ratio": "x"}, TypeError, "`target_ratio`"),
        ({"columns": [0, 0]}, ValueError, "repeat"),
        ({"columns": [-1]}, ValueError, "`columns` must be >= 0"),
        ({"columns": ["a"]}, TypeError, "`columns`"),
        ({"columns": [4]}, ValueError, "columns of the 4"),
        ({"columns": []}, ValueError, "columns of the 4"),
        ({"resampler": "smote"}, TypeError, "`resampler`"),
    ],
)
def test_wrong_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        BatchOversampler(**({"resampler": SMOTE()} | arguments)).fit(*data())


@pytest.mark.parametrize("names", [["a", "b", "c"], [-1, 0, 1], [0.0, 1.0, 2.0]], ids=str)
def test_labels_must_be_class_indices(names):
    X, y = data()
    labels = [names[label] for label in y.tolist()]
    with pytest.raises(TypeError, match="0 to C - 1"):
        BatchOversampler(SMOTE()).fit(X.numpy(), labels)


def test_gradients_reach_the_rows_of_the_batch_only():
    oversampler, X, y = fitted()
    X = X[:64].requires_grad_()
    oversampler(X, y[:64])[0].sum().backward()
    assert torch.equal(X.grad, torch.ones_like(X))


def test_a_resampler_fitted_on_text_is_refused():
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) ** 2, "kind": ["x", "y", "z"] * 20})
    y = (np.arange(60) >= 40).astype(int)
    oversampler = BatchOversampler(SMOTENC([2], random_state=0).fit(frame, y))
    with pytest.raises(TypeError, match="numeric tensor of codes"):
        oversampler(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 1]))


def test_negative_labels_are_refused():
    X, y = torch.randn(40, 2), (torch.arange(40) >= 30).long()
    oversampler = BatchOversampler(SMOTE(random_state=0)).fit(X, y)
    with pytest.raises(ValueError, match="from 0 to 1, got -100"):
        oversampler(X, y.masked_fill(torch.arange(40) == 3, -100))


def test_a_resampler_that_was_fitted_elsewhere_is_noticed():
    X, y = torch.randn(40, 3), (torch.arange(40) >= 30).long()
    shared = SMOTE(random_state=0)
    first = BatchOversampler(shared, columns=[0, 1]).fit(X, y)
    first.to("cpu")(X, y)
    copy.deepcopy(first)(X, y)
    BatchOversampler(shared, columns=[1, 2]).fit(X, y)
    with pytest.raises(RuntimeError, match="fitted again elsewhere"):
        first(X, y)
