"""Small networks that a run can begin with."""

__all__ = ["ConvNet", "ResidualNet"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """Three convolutions, each with BatchNorm and ReLU, an average and a linear layer.

    Takes `[batch, channels, height, width]`, gives logits `[batch, classes]`. Narrow in the beginning: 8, 16
    and 32 channels, from where it pays to grow.
    """

    def __init__(self, channels: int, classes: int, widths: Sequence[int] = (8, 16, 32)) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(third)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.head = nn.Linear(third, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        # Pooled before the ReLU: both commute, and a quarter of the work is left.
        hidden = torch.relu(self.pool(self.norm1(self.conv1(inputs))))
        hidden = torch.relu(self.pool(self.norm2(self.conv2(hidden))))
        hidden = torch.relu(self.norm3(self.conv3(hidden)))
        logits: Tensor = self.head(hidden.mean((2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.norm1(self.conv1(inputs)))
        return torch.relu(self.norm2(self.conv2(hidden)) + self.shortcut(inputs))


class ResidualNet(nn.Module):
    """A stem, three residual blocks, an average and a linear layer; as `ConvNet` in what goes in and out."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int] = (8, 16, 32)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        before = (widths[0], *widths[:-1])
        self.blocks = nn.Sequential(
            *(
                _Block(narrow, width, 1 if place == 0 else 2)
                for place, (narrow, width) in enumerate(zip(before, widths, strict=True))
            )
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.blocks(self.stem(inputs)).mean((2, 3)))
        return logits
