"""What a table holds, before anything is trained on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from imbalance_torch.training import TabularDataModule


def inspect(data: TabularDataModule) -> dict[str, Any]:
    """Return rows, roles of the columns, class counts, missing shares and the split of a table, ready for JSON.

    Raises:
        ValueError: whatever makes the table unusable for training, such as a constant target.
    """
    schema, labels = data.schema, data.y.numpy()
    counts = np.bincount(labels, minlength=schema.num_classes)
    missing = data.frame[schema.features].isna().mean()
    return {
        "rows": len(labels),
        "target": schema.target,
        "classes": {str(label): int(count) for label, count in zip(schema.classes, counts, strict=True)},
        "imbalance": f"1:{counts.max() / counts.min():.1f}",
        "time": schema.time,
        "numeric": schema.numeric,
        "categorical": schema.categorical,
        "ignored": schema.ignored,
        "missing": {name: round(float(share), 4) for name, share in missing[missing > 0].items()},
        "split": {
            name: np.bincount(labels[rows], minlength=schema.num_classes).tolist()
            for name, rows in data.split._asdict().items()
        },
    }
