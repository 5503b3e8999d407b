"""Let go of the weights of any module: they move to disk, and come back whenever the module needs them.

    python examples/stream_your_own_module.py [--storage DIR]

The module mixes a table, convolutions and linear layers; the budget changes while it runs, and at the end all
weights come back.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from outgrow import stream
from outgrow.quantities import format_bytes


class Reader(nn.Module):
    """Tokens `[batch, seq]` to classes `[batch, 10]`."""

    def __init__(self, width: int = 256, depth: int = 6) -> None:
        super().__init__()
        self.table = nn.Embedding(2000, width)
        self.mix = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )
            for _ in range(depth)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.table(tokens)
        hidden = hidden + self.mix(hidden.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden.mean(dim=1))


def hear(event: object) -> None:
    """Called after each pass, and with progress while weights are written and read."""
    if isinstance(event, stream.PassEnded):
        print(
            f"pass {event.number}: read {format_bytes(event.bytes_read)}, waited {event.stall_seconds:.4f} s"
        )


@torch.no_grad()
def main(storage: Path) -> None:
    torch.manual_seed(0)
    model = Reader().eval()
    tokens = torch.randint(0, 2000, (4, 32))
    expected = model(tokens)
    print(f"{format_bytes(stream.estimate_model_memory(model))} of weights")

    stream.offload(model, stream.Config(storage_path=storage, budget="3MB"), listener=hear)
    assert torch.equal(model(tokens), expected)  # the same bits
    assert torch.equal(model(tokens), expected)

    stream.set_budget(model, "8MB")  # more memory became free
    assert torch.equal(model(tokens), expected)
    print(f"now {format_bytes(stream.statistics(model).resident_bytes)} stay in memory")

    stream.restore(model)
    assert torch.equal(model(tokens), expected)
    print("all weights are back")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", type=Path, help="directory for the weights; a temporary one if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(options.storage or Path(scratch) / "weights")
