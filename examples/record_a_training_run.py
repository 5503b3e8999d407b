"""Record a training run and a second one with a wrong scale, and look where they part.

python examples/record_a_training_run.py
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from outgrow.capture import open_own, record
from outgrow.difference import difference


class Attention(nn.Module):
    def __init__(self, width: int, scale: float | None = None) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.scale = scale

    def forward(self, hidden):
        return F.scaled_dot_product_attention(
            self.query(hidden), self.key(hidden), self.value(hidden), scale=self.scale
        )


class Model(nn.Module):
    def __init__(self, scale: float | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Attention(16), Attention(16, scale), Attention(16)])
        self.head = nn.Linear(16, 1)

    def forward(self, hidden):
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return self.head(hidden).mean()


def train(model: nn.Module, path: Path, steps: int = 3) -> None:
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    kinds = ("outputs", "gradients", "optimizer")
    with record(model, path, kinds=kinds, optimizer=optimizer, max_bytes="1GiB") as recorder:
        for _ in range(steps):
            loss = model(torch.randn(2, 8, 16))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"{path.name}: {recorder.records} tensors")


def main() -> None:
    right, wrong = Model(), Model(scale=1.0)  # the second forgets 1 / sqrt(width)
    wrong.load_state_dict(right.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        for model, name in ((right, "right"), (wrong, "wrong")):
            train(model, Path(folder) / name)
        with open_own(Path(folder) / "right") as expected, open_own(Path(folder) / "wrong") as actual:
            for one, other in zip(expected.records, actual.records, strict=True):
                found = difference(other.read(), one.read())
                if not found.is_identical:
                    print(f"they part at {one.name}, by {found.max_abs:.2g}")
                    break
        assert one.name == "layers.1.output"


if __name__ == "__main__":
    main()
