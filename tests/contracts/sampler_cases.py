"""How the contract suite builds a sampler from labels, where its constructor takes something else."""

import numpy as np

from imbalance_torch.samplers import (
    BalancedBatchSampler,
    GroupBalancedSampler,
    MultiLabelBalancedSampler,
    ProgressiveSampler,
    RepeatFactorSampler,
    WeightedSampler,
    labels_of,
)
from imbalance_torch.samplers._labels import class_rows


def balanced_batches(labels, *, batch_size, **more):
    classes = np.unique(labels_of(labels)).tolist()
    per_class = {label: max(len(range(i, int(batch_size), len(classes))), 1) for i, label in enumerate(classes)}
    return BalancedBatchSampler(labels, batch_size, per_class=per_class, **more)


def progressive(labels, **more):
    return ProgressiveSampler(labels, 3, **more)


def group_balanced(labels, **more):
    return GroupBalancedSampler(labels, np.arange(len(labels_of(labels))) % 2, **more)


def multi_label(labels, **more):
    class_rows(labels)  # refuses bad labels by their name
    return MultiLabelBalancedSampler([[label] for label in labels_of(labels).tolist()], **more)


def repeat_factor(labels, **more):
    return RepeatFactorSampler(labels, threshold=0.5, **more)


def weighted(labels, **more):
    _, counts, rows, _ = class_rows(labels)
    weights = np.empty(int(counts.sum()))
    for count, members in zip(counts.tolist(), rows[:], strict=True):
        weights[members.numpy()] = 1 / count
    return WeightedSampler(weights, labels=labels, **more)


# class name -> function(labels, *, batch_size, seed, num_replicas, rank, drop_last, **more)
BUILDERS = {
    "BalancedBatchSampler": balanced_batches,
    "GroupBalancedSampler": group_balanced,
    "MultiLabelBalancedSampler": multi_label,
    "ProgressiveSampler": progressive,
    "RepeatFactorSampler": repeat_factor,
    "WeightedSampler": weighted,
}
