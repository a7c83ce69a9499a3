"""TabM: k perceptrons that share their weight matrices and are trained as one network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number, require
from imbalance_torch.models._inputs import TableEmbedding


class TabM(nn.Module):
    """Ensemble of ``k`` perceptrons in one network, on the input of `MLP`.

    Member j computes layer ``W (x * r_j) * s_j + b_j``: the matrix W is common to all, the vectors r_j, s_j and b_j are
    its own, and so is its row of ``head``. The members start apart by r_j of random signs in the first layer, one sign
    per input column; all other r_j and s_j start at 1.

    Train on the mean of the members' losses, predict with the mean of their probabilities::

        loss(network(x).flatten(0, 1), y.repeat_interleave(network.num_members))
        network(x).softmax(-1).mean(1)

    Args:
        num_dense: leading columns that are numbers.
        cardinalities: number of codes of each categorical column that follows.
        num_outputs: logits of a member; C for a softmax loss, 1 for a binary and L for a multi-label sigmoid loss.
        k: number of members, >= 1; also the attribute ``num_members``.
        hidden: widths of the hidden layers (ReLU).
        dropout: share of the hidden units dropped while training, in [0, 1]; each member drops its own.
        num_embedding: None, "linear_relu" or "periodic", as in `MLP`. With an embedding the first r_j are drawn from
            the standard normal distribution instead of random signs, as the reference implementation does.
        num_embedding_dim: width of the embedding of a number.
        max_embedding_dim: width of the embedding of a category is ``min(max_embedding_dim, (cardinality + 1) // 2)``.

    Raises:
        TypeError: an argument that is not a number.
        ValueError: ``k`` or a width below 1, a dropout outside [0, 1], an unknown embedding, no input column; in
            ``forward``, another input width.
        ImportError: the package ``tabm``, of the extra "train", is not installed.

    Shape:
        Input (N, num_dense + len(cardinalities)) floating point, output (N, k, num_outputs), in training and in
        evaluation.

    Notes:
        Weights grow by (k - 1) vectors per layer and (k - 1) heads; time and activations grow k-fold.
        The layers are those of the package ``tabm``.
        NOTE[DIFF]: the reference turns a category into one-hot columns, this network into an embedding; the widths of
        hidden layers may differ.

    References:
        Gorishniy et al., TabM: advancing tabular deep learning with parameter-efficient ensembling, ICLR 2025,
        arXiv 2410.24210.

    Example:
        >>> import torch
        >>> network = TabM(2, [3], k=4, hidden=[8])
        >>> logits = network(torch.tensor([[0.5, -1.0, 2.0]]))
        >>> logits.shape, logits.softmax(-1).mean(1).shape
        (torch.Size([1, 4, 2]), torch.Size([1, 2]))
    """

    def __init__(
        self,
        num_dense: int,
        cardinalities: Sequence[int] = (),
        num_outputs: int = 2,
        *,
        k: int = 8,
        hidden: Sequence[int] = (64, 64),
        dropout: float = 0.1,
        num_embedding: str | None = None,
        num_embedding_dim: int = 24,
        max_embedding_dim: int = 16,
    ) -> None:
        super().__init__()
        tabm = require("tabm", extra="train")
        self.num_members = check_int("k", k, minimum=1)
        check_number("dropout", dropout, minimum=0.0, maximum=1.0)
        self.embeddings = TableEmbedding(
            num_dense,
            cardinalities,
            num_embedding=num_embedding,
            num_embedding_dim=num_embedding_dim,
            max_embedding_dim=max_embedding_dim,
        )
        width = sum(self.embeddings.widths)
        first = {
            "scaling_init": ("random-signs" if num_embedding is None else "normal", "ones"),
            "first_scaling_init_chunks": self.embeddings.widths,
        }
        layers: list[nn.Module] = [tabm.EnsembleView(k=k)]
        for i, size in enumerate(hidden):
            start = {"scaling_init": "ones"} if i else first
            linear = tabm.LinearBatchEnsemble(width, check_int("hidden", size, minimum=1), k=k, **start)
            layers += [linear, nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.body = nn.Sequential(*layers)
        self.head = tabm.LinearEnsemble(width, check_int("num_outputs", num_outputs, minimum=1), k=k)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every member, (N, k, num_outputs)."""
        return self.head(self.body(self.embeddings(x)))  # type: ignore[no-any-return]
