"""One rank of test_sync_normalizer.py: `python ddp_worker.py RANK RANKS STORE OUT`."""

import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from imbalance_torch.losses import ClassWeightedCrossEntropyLoss, FocalLoss, SigmoidFocalLoss

sys.path.insert(0, str(Path(__file__).parents[1] / "contracts"))
from loss_cases import CASES

WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
SPLIT = 5  # rank 0 takes five rows, rank 1 three
LOSSES = {
    "weight": lambda sync, **k: FocalLoss(WEIGHT, sync_normalizer=sync, **k),
    "count": lambda sync, **k: FocalLoss(WEIGHT, normalizer="count", sync_normalizer=sync, **k),
    "weighted": lambda sync, **k: ClassWeightedCrossEntropyLoss(WEIGHT, sync_normalizer=sync, **k),
    "sigmoid": lambda sync, **k: SigmoidFocalLoss(sync_normalizer=sync, **k),
    "sigmoid_weight": lambda sync, **k: SigmoidFocalLoss(normalizer="weight", weight=WEIGHT, sync_normalizer=sync, **k),
    "positives": lambda sync, **k: SigmoidFocalLoss(normalizer="positives", sync_normalizer=sync, **k),
    "number": lambda sync, **k: FocalLoss(WEIGHT, normalizer=3.0, sync_normalizer=sync, **k),
    "sum": lambda sync, **k: FocalLoss(WEIGHT, reduction="sum", sync_normalizer=sync, **k),
    "none": lambda sync, **k: FocalLoss(WEIGHT, reduction="none", sync_normalizer=sync, **k),
    "torch": lambda sync, **k: nn.CrossEntropyLoss(WEIGHT, **k),
    "neutral": lambda sync, **k: ClassWeightedCrossEntropyLoss(WEIGHT, **k),
    "torch sigmoid": lambda sync, ignore_index: nn.BCEWithLogitsLoss(),
    **{
        name: lambda sync, case=case, **k: case.build(**case.settings, sync_normalizer=sync, **k)
        for name, case in CASES.items()
    },
    **{
        f"neutral {name}": lambda sync, case=case, **k: case.build(
            **case.neutral, **({"weight": WEIGHT} if case.family == "softmax" else {}), **k
        )
        for name, case in CASES.items()
        if case.neutral is not None
    },
}
SIGMOID = {name for name, case in CASES.items() if case.family == "sigmoid"}
SIGMOID |= {f"neutral {name}" for name in SIGMOID} | {"sigmoid", "sigmoid_weight", "positives", "torch sigmoid"}


def data(name: str, valid: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Eight rows; with valid="rank 0" every row of rank 1 is ignored, with "none" every row."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    if name in SIGMOID:
        y, ignore = torch.randint(2, (8, 3), generator=generator), -1
    else:
        y, ignore = torch.randint(3, (8,), generator=generator), -100
    if valid != "all":
        y[SPLIT if valid == "rank 0" else 0 :] = ignore
    return x, y, ignore


def network() -> nn.Linear:
    head = nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4))
        head.bias.zero_()
    return head


def run(model: nn.Module, name: str, sync: bool, valid: str, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, ignore = data(name, valid)
    y = y.double() if name == "torch sigmoid" else y
    loss = LOSSES[name](sync, ignore_index=ignore)(model(x[rows]), y[rows])
    model.zero_grad()
    loss.sum().backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


def main() -> None:
    rank, ranks, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(seconds=60)
    )
    model = DistributedDataParallel(network())
    rows = slice(0, SPLIT) if rank == 0 else slice(SPLIT, None)
    results = {
        f"{name}/{sync}/{valid}": run(model, name, sync, valid, rows)
        for name in LOSSES
        for sync in (False, True)
        for valid in ("all", "rank 0", "none")
    }
    torch.save(results, f"{out}/{rank}.pt")
    if rank == 0:  # without the argument nothing is collective: the other rank takes no part
        run(network(), "weight", False, "all", rows)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
