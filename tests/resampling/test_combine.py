"""SMOTEENN and SMOTETomek: over-sampler and cleaner one after the other, with the provenance of what is left."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.combine import SMOTEENN as ImblearnSMOTEENN
from imblearn.combine import SMOTETomek as ImblearnSMOTETomek

from imbalance_torch.resampling import (
    ADASYN,
    SMOTE,
    SMOTEENN,
    BorderlineSMOTE,
    EditedNearestNeighbours,
    Resampled,
    SMOTETomek,
    TomekLinks,
    smote_from_plan,
)

PEERS = {SMOTEENN: ImblearnSMOTEENN, SMOTETomek: ImblearnSMOTETomek}
CLEANERS = {SMOTEENN: EditedNearestNeighbours, SMOTETomek: TomekLinks}
NAMES = {SMOTEENN: "enn", SMOTETomek: "tomek"}
both = pytest.mark.parametrize("cls", CLEANERS)


def data(counts=(60, 12, 25), columns=4, seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=generator)]
    X = torch.randn(len(y), columns, generator=generator) * 3 + 4 * y[:, None]
    return X.to(device, dtype), y.to(device)


@both
def test_it_is_one_after_the_other(cls):
    X, y = data()
    X_res, y_res = cls(random_state=0).fit_resample(X, y)
    expected = CLEANERS[cls]("all").fit_resample(*SMOTE(random_state=0).fit_resample(X, y))
    assert torch.equal(X_res, expected[0])
    assert torch.equal(y_res, expected[1])
    assert len(X_res) < 180


@both
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strategy", ["auto", {1: 50}], ids=str)
def test_imbalanced_learns_draws_give_its_rows(cls, strategy, seed, monkeypatch):
    X, y = data(seed=seed)
    expected = PEERS[cls](sampling_strategy=strategy, random_state=seed).fit_resample(X.numpy(), y.numpy())

    def replay(self, table, labels, return_info):
        """Grow by the plan of imbalanced-learn, which restarts the same stream in every class."""
        self.fit(table, labels)
        new, name, base, neighbor, gap = [], [], [], [], []
        for label, number in self.sampling_strategy_.items():
            if number:
                random_state = np.random.RandomState(seed)
                edges, index = self.graph_.edges[label], self.graph_.row_index
                pair = torch.as_tensor(random_state.randint(0, edges.neighbors.numel(), number))
                base.append(index[edges.bases[pair // 5]])
                neighbor.append(index[edges.neighbors.flatten()[pair]])
                gap.append(torch.as_tensor(random_state.uniform(size=number)))
                new.append(smote_from_plan(table, base[-1], neighbor[-1], gap[-1]))
                name.append(torch.full((number,), label))
        X_res = torch.cat((table, *new))
        plan = (torch.cat(part) for part in (base, neighbor, gap))
        return Resampled(X_res, torch.cat((labels, *name)), torch.arange(len(X_res)) >= len(table), *plan)

    monkeypatch.setattr(SMOTE, "fit_resample", replay)
    X_res, y_res = cls(strategy).fit_resample(X, y)
    assert np.array_equal(X_res.numpy(), expected[0])
    assert np.array_equal(y_res.numpy(), expected[1])


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_info_states_where_the_rows_that_are_left_came_from(cls, dtype, device):
    X, y = data(dtype=torch.float64)
    X, y = (X * 10).to(device, dtype), y.to(device)
    X_before = X.clone()
    combined = cls(random_state=0)
    info = combined.fit_resample(X, y, return_info=True)
    assert type(info) is Resampled
    assert torch.equal(X, X_before)
    assert (info.X.dtype, info.X.device, info.y.dtype) == (X.dtype, X.device, y.dtype)
    assert torch.equal(info.X[~info.is_synthetic], X[combined.sample_indices_])
    assert torch.equal(info.y[~info.is_synthetic], y[combined.sample_indices_])
    new = smote_from_plan(X, info.base_index, info.neighbor_index, info.gap)
    assert torch.equal(info.X[info.is_synthetic], new)
    assert torch.equal(info.y[info.is_synthetic], y[info.base_index])
    assert len(info.gap) == len(info.base_index) == int(info.is_synthetic.sum()) > 20
    assert combined.class_counts_ == {0: 60, 1: 12, 2: 25}
    assert combined.sampling_strategy_ == {1: 48, 2: 35}
    again = cls(random_state=0).fit_resample(X, y)
    assert torch.equal(again[0], info.X)
    assert torch.equal(again[1], info.y)


@both
def test_every_kind_of_container_gives_the_same_rows(cls):
    X, y = data(dtype=torch.float32)
    expected = cls(random_state=0).fit_resample(X, y, return_info=True)
    arrays = cls(random_state=0).fit_resample(X.numpy(), y.numpy(), return_info=True)
    for part, array in zip(expected, arrays, strict=True):
        assert type(array) is np.ndarray
        assert np.array_equal(array, part)
    names = np.array(["x", "y", "z"])
    frame = pd.DataFrame(X.numpy(), columns=list("abcd"), index=range(900, 997))
    series = pd.Series(names[y.numpy()], name="kind", dtype="category", index=frame.index)
    X_pd, y_pd = cls(random_state=0).fit_resample(frame, series)
    assert X_pd.index.equals(pd.RangeIndex(len(X_pd)))
    assert y_pd.index.equals(X_pd.index)
    assert (list(X_pd.columns), y_pd.name, y_pd.dtype) == (list("abcd"), "kind", series.dtype)
    assert np.array_equal(X_pd.to_numpy(), expected.X)
    assert y_pd.tolist() == names[expected.y].tolist()
    table, labels = pl.DataFrame(X.numpy(), schema=list("abcd")), pl.Series("kind", names[y.numpy()])
    X_pl, y_pl = cls(random_state=0).fit_resample(table, labels)
    assert X_pl.schema == table.schema
    assert np.array_equal(X_pl.to_numpy(), expected.X)
    assert (y_pl.name, y_pl.to_list()) == ("kind", names[expected.y].tolist())


@both
def test_given_parts_are_used_and_left_alone(cls):
    X, y = data()
    smote, cleaner = SMOTE({1: 40}, k_neighbors=3, random_state=1), CLEANERS[cls]("majority")
    combined = cls(smote=smote, **{NAMES[cls]: cleaner})
    X_res, y_res = combined.fit_resample(X, y)
    expected = CLEANERS[cls]("majority").fit_resample(*SMOTE({1: 40}, k_neighbors=3, random_state=1).fit_resample(X, y))
    assert torch.equal(X_res, expected[0])
    assert y_res.bincount()[1:].tolist() == [40, 25]
    assert not smote.is_fitted
    assert not hasattr(cleaner, "sample_indices_")
    assert combined.smote_.is_fitted
    assert type(getattr(combined, f"{NAMES[cls]}_")) is CLEANERS[cls]
    assert torch.equal(combined.fit_resample(X, y)[0], X_res)


@both
@pytest.mark.parametrize("over", [BorderlineSMOTE, ADASYN])
def test_another_over_sampler_may_add_the_rows(cls, over):
    X, y = data((60, 20))
    X_res, _ = cls(smote=over(random_state=0)).fit_resample(X, y)
    assert torch.equal(X_res, CLEANERS[cls]("all").fit_resample(*over(random_state=0).fit_resample(X, y))[0])


@both
def test_the_seed_decides(cls):
    X, y = data()
    first = cls(random_state=3).fit_resample(X, y)[0]
    assert torch.equal(cls(random_state=3).fit_resample(X, y)[0], first)
    assert not torch.equal(cls(random_state=4).fit_resample(X, y)[0], first)
    seeds = torch.Generator().manual_seed(3)
    combined = cls(smote=SMOTE(random_state=seeds))
    assert not torch.equal(combined.fit_resample(X, y)[0], combined.fit_resample(X, y)[0])
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    cls().fit_resample(X, y)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_tomek_takes_as_many_rows_of_both_classes():
    X, y = data((100, 40))
    counts = SMOTETomek(random_state=0).fit_resample(X, y)[1].bincount().tolist()
    assert counts[0] == counts[1] < 100


def test_rows_by_class_after_enn_and_originals_first_after_tomek():
    X, y = data()
    info = SMOTEENN(random_state=0).fit_resample(X, y, return_info=True)
    assert torch.equal(info.y, info.y.sort().values)
    for label in range(3):
        flags = info.is_synthetic[info.y == label].byte()
        assert torch.equal(flags, flags.sort().values)
    flags = SMOTETomek(random_state=0).fit_resample(X, y, return_info=True).is_synthetic.byte()
    assert torch.equal(flags, flags.sort().values)


def test_a_class_that_cleaning_empties_is_named():
    """The one cloud of class 1 lies on a crowd of class 0."""
    generator = torch.Generator().manual_seed(0)
    X = torch.cat((torch.randn(200, 2, generator=generator), torch.randn(30, 2, generator=generator) * 9))
    y = torch.tensor([0] * 200 + [1] * 30)
    enn = EditedNearestNeighbours("all", n_neighbors=100)
    with pytest.warns(UserWarning, match="Cleaning removes all 31 rows of class 1"):
        assert SMOTEENN({1: 31}, enn=enn, random_state=0).fit_resample(X, y)[1].unique().tolist() == [0]


@both
def test_equal_rows_warn_or_raise(cls):
    X = torch.cat((torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.ones(8, 2) * 50))
    y = torch.tensor([0] * 20 + [1] * 8)
    with pytest.warns(UserWarning, match="copies") as caught:
        assert cls(random_state=0).fit_resample(X, y)[1].bincount().tolist() == [20, 20]
    assert len(caught) == 1
    with pytest.raises(ValueError, match="copies"):
        cls(on_degenerate="error").fit_resample(X, y)


@both
@pytest.mark.parametrize("memory_budget", [1, 10_000])
def test_the_budget_of_the_search_does_not_show(cls, memory_budget):
    X, y = data()
    expected = cls(random_state=0).fit_resample(X, y)[0]
    combined = cls(random_state=0, memory_budget=memory_budget)
    assert torch.equal(combined.fit_resample(X, y)[0], expected)
    assert combined.smote_.memory_budget == getattr(combined, f"{NAMES[cls]}_").memory_budget == memory_budget


@both
def test_wrong_arguments(cls):
    with pytest.raises(TypeError, match="`smote` must be of class OverSampler or None, got TomekLinks"):
        cls(smote=TomekLinks())
    with pytest.raises(TypeError, match=f"`{NAMES[cls]}` must be of class {CLEANERS[cls].__name__} or None, got SMOTE"):
        cls(**{NAMES[cls]: SMOTE()})
    with pytest.raises(ValueError, match="`on_degenerate`"):
        cls(on_degenerate="no")
    with pytest.raises(ValueError, match="k_neighbors=5 and 3 rows of class 1"):
        cls().fit_resample(*data((30, 3)))
    with pytest.raises(ValueError, match="`X` must be finite"):
        cls().fit_resample(torch.full((4, 1), torch.nan), [0, 0, 0, 1])
