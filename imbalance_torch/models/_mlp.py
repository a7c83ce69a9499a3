"""A multi-layer perceptron over dense and categorical columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number


class MLP(nn.Module):
    """Multi-layer perceptron on one tensor ``[dense columns | category codes]``, as the table encoder makes it.

    Every category becomes an embedding; code 0 (a value never seen in training) is the zero vector. The last layer is
    ``head``, a plain :class:`torch.nn.Linear`, so that its bias can start at the log prior.

    Args:
        num_dense: leading columns that are numbers.
        cardinalities: number of codes of each categorical column that follows.
        num_outputs: logits; C for a softmax loss, 1 for a binary and L for a multi-label sigmoid loss.
        hidden: widths of the hidden layers (ReLU).
        dropout: share of the hidden units dropped while training, in [0, 1].
        max_embedding_dim: width of an embedding is ``min(max_embedding_dim, (cardinality + 1) // 2)``.

    Raises:
        TypeError: an argument that is not a number.
        ValueError: a width below 1, a dropout outside [0, 1], no input column; in ``forward``, another input width.

    Shape:
        Input (N, num_dense + len(cardinalities)) floating point, output (N, num_outputs).

    Example:
        >>> network = MLP(2, [3], hidden=[4])
        >>> network(torch.tensor([[0.5, -1.0, 2.0]])).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        num_dense: int,
        cardinalities: Sequence[int] = (),
        num_outputs: int = 2,
        *,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.1,
        max_embedding_dim: int = 16,
    ) -> None:
        super().__init__()
        self.num_dense = check_int("num_dense", num_dense, minimum=0)
        check_number("dropout", dropout, minimum=0.0, maximum=1.0)
        check_int("max_embedding_dim", max_embedding_dim, minimum=1)
        self.embeddings = nn.ModuleList(
            nn.Embedding(check_int("cardinalities", size, minimum=1), min(max_embedding_dim, (size + 1) // 2), 0)
            for size in cardinalities
        )
        width = num_dense + sum(embedding.embedding_dim for embedding in self.embeddings)  # type: ignore[misc]
        if width == 0:
            raise ValueError(
                "The network needs at least one input column: `num_dense` is 0 and `cardinalities` is empty."
            )
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(width, check_int("hidden", size, minimum=1)), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, check_int("num_outputs", num_outputs, minimum=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, num_outputs)."""
        expected = self.num_dense + len(self.embeddings)
        if x.ndim != 2 or x.shape[1] != expected:
            raise ValueError(f"`x` must have shape (N, {expected}), got {tuple(x.shape)}.")
        dense, codes = x[:, : self.num_dense], x[:, self.num_dense :].long()
        embedded = [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        return self.head(self.body(torch.cat([dense, *embedded], dim=1)))  # type: ignore[no-any-return]
