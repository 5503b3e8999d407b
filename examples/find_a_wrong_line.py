"""Two runs of a small transformer, one with a line that is wrong; compare finds the line.

python examples/find_a_wrong_line.py
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from outgrow.capture import record
from outgrow.compare import compare, report


class Block(nn.Module):
    """A block of a transformer; `scale` is the factor of the scores, which somebody may forget."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.attention, self.out = Attention(scale), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = values + self.out(self.attention(*self.qkv(self.norm(values)).chunk(3, dim=-1)))
        return values + self.mlp(values)


class Attention(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return (query @ key.mT * self.scale).softmax(-1) @ value


def main() -> None:
    width = 64
    torch.manual_seed(0)
    model = nn.Sequential(*(Block(width, width**-0.5) for _ in range(4))).eval()
    batch = torch.randn(2, 12, width)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        right, wrong = Path(folder) / "right", Path(folder) / "wrong"
        with record(model, right):
            model(batch)
        model[2].attention.scale = 1.0  # the line that is wrong
        with record(model, wrong):
            model(batch)
        with compare(expected=right, actual=wrong) as comparison:
            print(report.as_text(comparison))
            assert comparison.first_divergence is not None
            assert comparison.first_divergence.pair.expected.module == "2.attention"


if __name__ == "__main__":
    main()
