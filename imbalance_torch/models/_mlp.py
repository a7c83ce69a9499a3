"""A multi-layer perceptron over dense and categorical columns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.models._inputs import TableEmbedding


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
        num_embedding: how each number becomes ``num_embedding_dim`` features: "linear_relu" (a linear layer of its own
            and ReLU) or "periodic" (sines and cosines of learned frequencies, then the same). None takes numbers as
            they are. Needs the package ``rtdl_num_embeddings``, of the extra "train".
        num_embedding_dim: width of the embedding of a number.
        max_embedding_dim: width of the embedding of a category is ``min(max_embedding_dim, (cardinality + 1) // 2)``.

    Raises:
        TypeError: an argument that is not a number.
        ValueError: a width below 1, a dropout outside [0, 1], an unknown embedding, no input column; in ``forward``,
            another input width.
        ImportError: ``num_embedding`` without its package.

    Shape:
        Input (N, num_dense + len(cardinalities)) floating point, output (N, num_outputs). Keep the input in float32,
        under autocast too: bfloat16 holds no code above 256.

    References:
        Gorishniy et al., On embeddings for numerical features in tabular deep learning, NeurIPS 2022,
        arXiv 2203.05556.

    Example:
        >>> import torch
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
        hidden: Sequence[int] = (128, 128),
        dropout: float = 0.1,
        num_embedding: str | None = None,
        num_embedding_dim: int = 24,
        max_embedding_dim: int = 16,
    ) -> None:
        super().__init__()
        check_number("dropout", dropout, minimum=0.0, maximum=1.0)
        self.embeddings = TableEmbedding(
            num_dense,
            cardinalities,
            num_embedding=num_embedding,
            num_embedding_dim=num_embedding_dim,
            max_embedding_dim=max_embedding_dim,
        )
        width = sum(self.embeddings.widths)
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(width, check_int("hidden", size, minimum=1)), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, check_int("num_outputs", num_outputs, minimum=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, num_outputs)."""
        return self.head(self.body(self.embeddings(x)))  # type: ignore[no-any-return]
