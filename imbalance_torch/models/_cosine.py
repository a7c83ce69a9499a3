"""A linear head without lengths: cosines between features and class directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imbalance_torch._checks import check_int
from imbalance_torch._reduction import widen


class CosineClassifier(nn.Module):
    """Head whose outputs are cosines, the logits that `LDAMLoss` expects.

    ``logits_ic = <x_i, w_c> / (|x_i| |w_c|)`` with x = the features and w = ``weight``. Every logit lies in [-1, 1]: a
    class cannot win by a long weight vector, which frequent classes otherwise grow.

    Args:
        in_features: Length of a feature vector, >= 1.
        num_classes: C >= 2.

    Raises:
        TypeError: An argument is no integer.
        ValueError: An argument is out of range.

    Notes:
        A feature vector of length 0 has logits 0. There is no bias, and losses other than `LDAMLoss` need the cosines
        times a scale of about 10 to 30. Half input is normalised in float32 and returned in its own dtype.

    References:
        Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019,
        arXiv 1906.07413.

    Example:
        >>> head = CosineClassifier(4, 3)
        >>> cosines = head(torch.ones(2, 4))
        >>> cosines.shape, bool((cosines.abs() <= 1).all())
        (torch.Size([2, 3]), True)
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.in_features = check_int("in_features", in_features, minimum=1)
        self.num_classes = check_int("num_classes", num_classes, minimum=2)
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return the cosines.

        Args:
            features: (*, in_features) float tensor.

        Returns:
            (*, C) tensor of the dtype of ``features``.
        """
        directions = F.normalize(widen(self.weight), dim=-1)
        cosines = F.linear(F.normalize(widen(features), dim=-1), directions)
        return cosines.to(features.dtype)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"in_features={self.in_features}, num_classes={self.num_classes}"
