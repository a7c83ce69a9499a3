"""TabularDataModule: split before anything is fitted, one source of truth, sampling of the training part alone."""

import numpy as np
import pytest
import torch

from imbalance_torch.samplers import ClassBalancedSampler
from imbalance_torch.training import TabularDataModule


def test_the_encoder_knows_the_training_rows_only(flights):
    data = TabularDataModule(flights, "cancelled", time="scheduled_departure")
    changed = flights.copy()
    changed.loc[changed.index[data.split.test], ["temp", "pressure"]] = 1e6
    other = TabularDataModule(changed, "cancelled", time="scheduled_departure")
    for name, buffer in data.encoder.named_buffers():
        assert torch.equal(buffer, dict(other.encoder.named_buffers())[name]), name


def test_time_order_and_every_row_once(data, flights):
    times = flights["scheduled_departure"].to_numpy()
    assert times[data.split.train].max() < times[data.split.val].min()
    assert times[data.split.val].max() < times[data.split.test].min()
    assert np.array_equal(np.sort(np.concatenate(data.split)), np.arange(len(flights)))


def test_only_the_training_loader_is_sampled(flights):
    data = TabularDataModule(
        flights, "cancelled", time="scheduled_departure", batch_size=100, sampler=ClassBalancedSampler
    )
    fed = torch.cat([y for _, y in data.train_dataloader()])
    assert fed.double().mean() == pytest.approx(0.5, abs=0.01)
    for part in ("val", "test"):
        loader = getattr(data, f"{part}_dataloader")()
        x, y = (torch.cat(column) for column in zip(*loader, strict=True))
        assert torch.equal(x, data.rows(part)[0])
        assert torch.equal(y, data.rows(part)[1])


def test_columns_for_the_network_and_for_smote(data):
    assert data.interpolated_columns == list(range(22))
    assert data.x.shape[1] == data.num_dense + len(data.cardinalities)
    assert data.class_counts == torch.bincount(data.rows("train")[1]).tolist()


def test_embedded_data_by_name_need_no_target():
    data = TabularDataModule("nyc_flights")
    assert data.schema.target == "cancelled"
    assert data.schema.time == "scheduled_departure"
    assert data.num_classes == 2


def test_errors(flights):
    with pytest.raises(ValueError, match="`target` is missing"):
        TabularDataModule(flights).setup()
    with pytest.raises(ValueError, match="no column 'when'"):
        TabularDataModule(flights, "cancelled", time="when").setup()
    early = flights.sort_values("cancelled")
    early["when"] = np.arange(len(early))
    with pytest.raises(ValueError, match="has no row in the train part"):
        TabularDataModule(early, "cancelled", time="when", drop=["scheduled_departure"]).setup()
