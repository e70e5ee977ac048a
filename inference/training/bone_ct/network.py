"""The network: a compact U-Net with additive skips, of operators that ONNX Runtime Web has on WebGPU."""

from itertools import pairwise

import torch  # type: ignore[import-not-found]  # lives in the training environment only
from torch import nn

WIDTHS = (12, 32, 64, 96, 128)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class BoneNet(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Three neighbouring slices (N, 3, H, W) to logits of bone (N, 1, H, W); H and W are multiples of 16.

    The first level has few channels: at full resolution a channel costs four times what it does one level
    below, and edges are placed again at the scanner's resolution anyway.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = _block(3, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_block(fine, coarse, 2), _block(coarse, coarse)) for fine, coarse in pairwise(widths)
        )
        self.bottom = _block(widths[-1], widths[-1])
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(_block(width, width) for width in widths[:-1])
        self.grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.head = nn.Conv2d(widths[0], 1, 3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        levels = [self.stem(image)]
        for step in self.down:
            levels.append(step(levels[-1]))
        deep = self.bottom(levels.pop())
        for narrow, up in zip(reversed(self.narrow), reversed(self.up), strict=True):
            deep = up(self.grow(narrow(deep)) + levels.pop())
        logits: torch.Tensor = self.head(deep)
        return logits


class Deployed(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The network as it ships: probabilities."""

    def __init__(self, network: BoneNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities of bone in [0, 1]."""
        return torch.sigmoid(self.network(image))
