"""A residual network over dense and categorical columns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number
from imbalance_torch.models._inputs import TableEmbedding


class ResNet(nn.Module):
    """Residual network for tables, on the input of `MLP`.

    A linear layer maps the features to ``width``; every block adds
    ``Dropout(Linear(Dropout(ReLU(Linear(LayerNorm(x))))))`` to its input x; LayerNorm, ReLU and the linear layer
    ``head`` end the network.

    Args:
        num_dense: leading columns that are numbers.
        cardinalities: number of codes of each categorical column that follows.
        num_outputs: logits; C for a softmax loss, 1 for a binary and L for a multi-label sigmoid loss.
        width: length of the vector that the blocks add to, >= 2.
        num_blocks: number of blocks, >= 0.
        hidden_factor: hidden units of a block per ``width``, > 0.
        dropout: share of the hidden units dropped while training, in [0, 1].
        residual_dropout: share of what a block adds dropped while training, in [0, 1].
        num_embedding: None, "linear_relu" or "periodic", as in `MLP`.
        num_embedding_dim: width of the embedding of a number.
        max_embedding_dim: width of the embedding of a category is ``min(max_embedding_dim, (cardinality + 1) // 2)``.

    Raises:
        TypeError: an argument that is not a number.
        ValueError: an argument out of its range, an unknown embedding, no input column; in ``forward``, another input
            width.
        ImportError: ``num_embedding`` without the package ``rtdl_num_embeddings``.

    Shape:
        Input (N, num_dense + len(cardinalities)) floating point, output (N, num_outputs).

    Notes:
        NOTE[DIFF]: the paper normalises with BatchNorm. Its statistics come from the training batches: under a sampler
        or resampler they describe other class shares than the rows that are scored later, and a batch of one row has
        none. LayerNorm looks at one row at a time.

    References:
        Gorishniy et al., Revisiting deep learning models for tabular data, NeurIPS 2021, arXiv 2106.11959, section 3.2.

    Example:
        >>> import torch
        >>> network = ResNet(2, [3], width=8)
        >>> network(torch.tensor([[0.5, -1.0, 2.0]])).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        num_dense: int,
        cardinalities: Sequence[int] = (),
        num_outputs: int = 2,
        *,
        width: int = 128,
        num_blocks: int = 2,
        hidden_factor: float = 2.0,
        dropout: float = 0.2,
        residual_dropout: float = 0.0,
        num_embedding: str | None = None,
        num_embedding_dim: int = 24,
        max_embedding_dim: int = 16,
    ) -> None:
        super().__init__()
        check_int("width", width, minimum=2)
        check_number("hidden_factor", hidden_factor, exclusive_minimum=0.0)
        check_number("dropout", dropout, minimum=0.0, maximum=1.0)
        check_number("residual_dropout", residual_dropout, minimum=0.0, maximum=1.0)
        self.embeddings = TableEmbedding(
            num_dense,
            cardinalities,
            num_embedding=num_embedding,
            num_embedding_dim=num_embedding_dim,
            max_embedding_dim=max_embedding_dim,
        )
        hidden = max(1, round(width * hidden_factor))
        self.first = nn.Linear(sum(self.embeddings.widths), width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, width),
                nn.Dropout(residual_dropout),
            )
            for _ in range(check_int("num_blocks", num_blocks, minimum=0))
        )
        self.last = nn.Sequential(nn.LayerNorm(width), nn.ReLU())
        self.head = nn.Linear(width, check_int("num_outputs", num_outputs, minimum=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, num_outputs)."""
        x = self.first(self.embeddings(x))
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.last(x))  # type: ignore[no-any-return]
