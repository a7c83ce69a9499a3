"""One rank of test_metrics_ddp.py: `python metrics_ddp_worker.py RANK RANKS STORE OUT`."""

import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from imbalance_torch import metrics

SPLITS = {"odd": 61, "empty batches": 101, "no batch": 101}  # the rows of rank 0 of 101; rank 1 takes the rest
METRICS = {
    "brier": lambda: metrics.BrierScore(),
    "calibration": lambda: metrics.EqualMassCalibrationError(num_bins=7),
    "recall": lambda: metrics.RecallAtPrecision(0.6),
    "ap": lambda: metrics.AveragePrecision(),
    "binned": lambda: metrics.BinnedAveragePrecision(),
    "multiclass": lambda: metrics.MulticlassAveragePrecision(3),
    "multilabel": lambda: metrics.MultilabelAveragePrecision(3),
    "partial": lambda: metrics.PartialAUROC(0.8),
    "precision": lambda: metrics.PrecisionAtK(10),
    "cards": lambda: metrics.CardPrecisionAtK(1),
    "gmean": lambda: metrics.GeometricMean(threshold=0.4),
    "cost": lambda: metrics.ExpectedCost([[0, 1], [30, 0]]),
}


def columns(name: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    p = torch.rand(101, 3, generator=generator)
    hits = (torch.rand(101, 3, generator=generator) < p / 2).long()
    classes, days, cards = (torch.randint(n, (101,), generator=generator) for n in (3, 4, 12))
    if name == "multiclass":
        return [p, classes]
    if name == "multilabel":
        return [p, hits]
    return [p[:, 0], hits[:, 0], *((days, cards) if name == "cards" else ())]


def run(name: str, split: str, rows: slice) -> list[torch.Tensor]:
    metric = METRICS[name]()
    mine = [column[rows] for column in columns(name)]
    if split != "no batch" or len(mine[0]):
        for batch in zip(*(column.split(25) for column in mine), strict=True):
            metric.update(*batch)
    return [metric.compute(), *(metric.bounds() if name == "binned" else ())]


def main() -> None:
    rank, ranks, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(seconds=60)
    )
    results = {
        f"{name}/{split}": run(name, split, slice(0, first) if rank == 0 else slice(first, None))
        for name in METRICS
        for split, first in SPLITS.items()
    }
    torch.save(results, f"{out}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
