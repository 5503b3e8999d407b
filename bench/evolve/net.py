"""The net of the curves: three convolutions with BatchNorm, two poolings, an average and one linear layer."""

__all__ = ["UNIT_MACS", "ThreeConv", "forward_macs", "picture_macs", "widths_of"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn

UNIT_MACS = 5.76e11
"""1x, in multiply-adds of training (three times the forward pass): five epochs of 20k for 16.32.64."""


class ThreeConv(nn.Module):
    """Pictures `[batch, 1, side, side]` to logits `[batch, classes]`.

    Pooling comes before the ReLU: max and ReLU commute, so it gives the same from a quarter of the work.
    """

    def __init__(self, widths: Sequence[int], classes: int = 10) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, third, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(third)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(third, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = torch.relu(self.pool(self.norm1(self.conv1(inputs))))
        hidden = torch.relu(self.pool(self.norm2(self.conv2(hidden))))
        hidden = torch.relu(self.norm3(self.conv3(hidden)))
        return self.head(hidden.mean((2, 3)))


def widths_of(model: nn.Module) -> tuple[int, int, int]:
    """The widths a net has now, read from its weights."""
    return tuple(model.get_submodule(name).weight.shape[0] for name in ("conv1", "conv2", "conv3"))


def forward_macs(widths: Sequence[int], side: int = 28, classes: int = 10) -> int:
    """Multiply-adds of one forward pass of one picture, convolutions and the linear layer."""
    first, second, third = widths
    half, quarter = side // 2, side // 4
    return (
        9 * first * side**2 + 9 * first * second * half**2 + 9 * second * third * quarter**2 + third * classes
    )


def picture_macs(model: nn.Module) -> float:
    """`forward_macs` at the widths that a net has now."""
    return float(forward_macs(widths_of(model)))
