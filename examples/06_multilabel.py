"""Several labels at once, each rare in its own way, and a threshold for each.

    - loss = nn.BCEWithLogitsLoss()
    + loss = SigmoidFocalLoss(gamma=2.0)
    ...
    - decision = probabilities >= 0.5
    + decision = probabilities >= per_label_thresholds(threshold_for_f_beta, p_val, y_val)

A focal loss flattens probabilities; the trainer undoes it, so that "mean p" comes near the share, and 0.5 means
0.5. The best F1 of a rare label lies lower. Thresholds are chosen on validation rows and counted on test rows.
"""

import argparse

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

from imbalance_torch import ImbalancedClassifier, SigmoidFocalLoss
from imbalance_torch.decision import per_label_thresholds, threshold_for_f_beta
from imbalance_torch.metrics import per_class_scores
from imbalance_torch.models import MLP

SHARES = torch.tensor([0.3, 0.05, 0.02, 0.01])


def make_rows(num_rows: int, seed: int) -> TensorDataset:
    """Four labels, each of which shifts 5 of 20 features."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(num_rows, 4, generator=generator) < SHARES).long()
    return TensorDataset(torch.randn(num_rows, 20, generator=generator) + y.repeat_interleave(5, dim=1), y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-steps", type=int, default=600)
    max_steps = parser.parse_args().max_steps
    train, val, test = (make_rows(rows, seed) for seed, rows in enumerate([60_000, 20_000, 20_000]))
    L.seed_everything(0, verbose=False)
    module = ImbalancedClassifier(
        MLP(20, num_outputs=4, hidden=[32]), SigmoidFocalLoss(gamma=2.0), task="multilabel", num_classes=4
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_steps=max_steps, enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader(train, batch_size=256, shuffle=True))
    p_val, p_test = (torch.cat(trainer.predict(module, DataLoader(rows, batch_size=4096))) for rows in (val, test))
    y_val, y_test = val.tensors[1], test.tensors[1]
    thresholds = per_label_thresholds(threshold_for_f_beta, p_val, y_val)
    at_half, chosen = per_class_scores(p_test, y_test), per_class_scores(p_test / thresholds, y_test, threshold=1.0)
    print("label   share  mean p     AP   F1 at 0.5  threshold     F1  precision  recall")
    for label, (before, row) in enumerate(zip(at_half, chosen, strict=True)):
        share, mean = y_test[:, label].double().mean(), p_test[:, label].mean()
        print(
            f"{label:5} {share:7.4f} {mean:7.4f} {row['ap']:6.3f} {before['f1']:11.3f} {thresholds[label]:10.3f} "
            f"{row['f1']:6.3f} {row['precision']:10.3f} {row['recall']:7.3f}"
        )


if __name__ == "__main__":
    main()
