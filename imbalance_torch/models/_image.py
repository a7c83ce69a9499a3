"""A small convolutional network for images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from imbalance_torch._checks import check_int, check_number


class ConvNet(nn.Module):
    """Small convolutional network for images of any size.

    A stage is two 3x3 convolutions, each with GroupNorm and ReLU, and a 2x2 average pooling. The mean over all
    positions of the last stage feeds ``head``, a plain :class:`torch.nn.Linear`.

    Args:
        in_channels: channels of an image, >= 1.
        num_outputs: logits; C for a softmax loss, 1 for a binary and L for a multi-label sigmoid loss.
        widths: channels of each stage, >= 1.
        dropout: share of the features dropped before ``head`` while training, in [0, 1].

    Raises:
        TypeError: an argument that is not a number.
        ValueError: an argument out of its range, no stage; in ``forward``, an input of another shape, or smaller than
            the poolings need.

    Shape:
        Input (N, in_channels, H, W) floating point with H and W at least ``2 ** len(widths)``, output
        (N, num_outputs).

    Notes:
        GroupNorm, with up to 8 groups, instead of BatchNorm: a sampler or resampler changes the class shares of the
        training batches, so that batch statistics would describe other images than those that are scored later.
        Average instead of max pooling: the backward pass of the latter is not deterministic on CUDA.

    References:
        Wu and He, Group normalization, ECCV 2018, arXiv 1803.08494.

    Example:
        >>> import torch
        >>> network = ConvNet(3, 2, widths=[8, 16])
        >>> network(torch.zeros(5, 3, 28, 20)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        in_channels: int,
        num_outputs: int = 2,
        *,
        widths: Sequence[int] = (32, 64, 128),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.in_channels = channels = check_int("in_channels", in_channels, minimum=1)
        check_number("dropout", dropout, minimum=0.0, maximum=1.0)
        if not widths:
            raise ValueError("`widths` must name at least one stage, got none.")
        self.min_size = 2 ** len(widths)
        layers: list[nn.Module] = []
        for width in widths:
            groups = math.gcd(8, check_int("widths", width, minimum=1))
            for before in (channels, width):
                convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
                layers += [convolution, nn.GroupNorm(groups, width), nn.ReLU()]
            layers.append(nn.AvgPool2d(2))
            channels = width
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels, check_int("num_outputs", num_outputs, minimum=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, num_outputs)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < self.min_size:
            raise ValueError(
                f"`x` must have shape (N, {self.in_channels}, H, W) with H and W >= {self.min_size}, "
                f"got {tuple(x.shape)}."
            )
        return self.head(self.body(x))  # type: ignore[no-any-return]
