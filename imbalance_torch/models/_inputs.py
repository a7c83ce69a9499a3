"""The input side of the table networks: dense columns and category codes in one tensor become features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_choice, check_int, require


class TableEmbedding(nn.ModuleDict):
    """Features of ``[dense columns | category codes]``: an embedding per category, numbers as they are or embedded.

    Key "i" holds the embedding of categorical column i; key "numeric" that of the numbers, where there is one.
    ``widths`` lists the length of the features of every column.
    """

    def __init__(
        self,
        num_dense: int,
        cardinalities: Sequence[int],
        *,
        num_embedding: str | None,
        num_embedding_dim: int,
        max_embedding_dim: int,
    ) -> None:
        super().__init__()
        self.num_dense = check_int("num_dense", num_dense, minimum=0)
        self.num_categorical = len(cardinalities)
        check_int("max_embedding_dim", max_embedding_dim, minimum=1)
        check_int("num_embedding_dim", num_embedding_dim, minimum=1)
        self.widths = [1 if num_embedding is None else num_embedding_dim] * num_dense
        for i, size in enumerate(cardinalities):
            width = min(max_embedding_dim, (check_int("cardinalities", size, minimum=1) + 1) // 2)
            self[str(i)] = nn.Embedding(size, width, padding_idx=0)
            self.widths.append(width)
        if not self.widths:
            raise ValueError(
                "The network needs at least one input column: `num_dense` is 0 and `cardinalities` is empty."
            )
        if num_embedding is not None and num_dense:
            rtdl = require("rtdl_num_embeddings", extra="train")
            kinds = {"linear_relu": rtdl.LinearReLUEmbeddings, "periodic": partial(rtdl.PeriodicEmbeddings, lite=False)}
            build = kinds[check_choice("num_embedding", num_embedding, kinds)]
            self["numeric"] = nn.Sequential(build(num_dense, num_embedding_dim), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of all columns side by side, (N, sum of widths)."""
        expected = self.num_dense + self.num_categorical
        if x.ndim != 2 or x.shape[1] != expected:
            raise ValueError(f"`x` must have shape (N, {expected}), got {tuple(x.shape)}.")
        dense, codes = x[:, : self.num_dense], x[:, self.num_dense :].long()
        if "numeric" in self:
            dense = self["numeric"](dense)
        return torch.cat([dense, *(self[str(i)](codes[:, i]) for i in range(self.num_categorical))], dim=1)
