"""One rank of test_batch_ddp.py: `python batch_ddp_worker.py RANK RANKS STORE OUT`."""

import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from imbalance_torch.losses._overlap import SoftF1Loss, TverskyLoss
from imbalance_torch.losses._pairwise_auc import PairwiseAUCLoss
from imbalance_torch.losses._smooth_ap import SmoothAPLoss

WEIGHT = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
SPLITS = {"all": 5, "rank 0": 5, "none": 5, "empty": 8}  # the rows of rank 0; rank 1 takes the rest of eight
IGNORE = -5
LOSSES = {
    "tversky": lambda **k: TverskyLoss(weight=WEIGHT, **k),
    "soft_f1": lambda **k: SoftF1Loss(**k),
    "smooth_ap_index": lambda **k: SmoothAPLoss(weight=WEIGHT, temperature=0.5, **k),
    "smooth_ap_labels": lambda **k: SmoothAPLoss(**k),
    "auc_index": lambda **k: PairwiseAUCLoss(surrogate="logistic", **k),
    "auc_labels": lambda **k: PairwiseAUCLoss(weight=WEIGHT, **k),
    "auc_single": lambda **k: PairwiseAUCLoss(**k),
    "tversky_sum": lambda **k: TverskyLoss(reduction="sum", **k),
    "tversky_none": lambda **k: TverskyLoss(reduction="none", **k),
    "auc_sum": lambda **k: PairwiseAUCLoss(reduction="sum", **k),
    "smooth_ap_none": lambda **k: SmoothAPLoss(reduction="none", **k),
}


def data(name: str, valid: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eight rows; with valid="rank 0" every row of rank 1 is ignored, with "none" every row."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    weight = torch.rand(8, generator=generator, dtype=torch.float64) + 0.5
    if "labels" in name:
        y = torch.randint(2, (8, 3), generator=generator)
    elif "single" in name:
        y = torch.tensor([0, 1, 0, 0, 1, 0, 1, 0])
    else:
        y = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    if valid in ("rank 0", "none"):
        y[SPLITS[valid] if valid == "rank 0" else 0 :] = IGNORE
    return x, y, weight


def network() -> nn.Linear:
    head = nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4))
        head.bias.zero_()
    return head


def run(model: nn.Module, name: str, sync: bool, valid: str, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, weight = data(name, valid)
    logits = model(x[rows])
    logits = logits[:, 0] if "single" in name else logits
    loss = LOSSES[name](ignore_index=IGNORE, sync_normalizer=sync)(logits, y[rows], weight[rows])
    model.zero_grad()
    loss.sum().backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


def main() -> None:
    rank, ranks, store, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(seconds=60)
    )
    model = DistributedDataParallel(network())
    results = {
        f"{name}/{sync}/{valid}": run(model, name, sync, valid, slice(0, split) if rank == 0 else slice(split, None))
        for name in LOSSES
        for sync in (False, True)
        for valid, split in SPLITS.items()
    }
    torch.save(results, f"{out}/{rank}.pt")
    if rank == 0:  # without the argument, or with another reduction, nothing is collective
        for name in LOSSES:
            run(network(), name, name.endswith(("sum", "none")), "all", slice(0, 5))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
