"""The models and batches of `shard_step`: plain torch, so that every column trains the same."""

__all__ = ["MODELS", "Task"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One model with its data, loss and optimizer."""

    model: Callable[[], nn.Module]
    batch: Callable[[int], tuple[Tensor, Tensor]]
    """From a seed to inputs and targets."""
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    memory: str
    """A cap on what one worker may hold that rules out one worker but not two."""


class Block(nn.Module):
    """A transformer block of the pre-norm kind."""

    def __init__(self, width: int, heads: int, hidden: int, *, is_causal: bool = False) -> None:
        super().__init__()
        self.heads, self.is_causal = heads, is_causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, seq, width]` to the same."""
        batch, length, width = x.shape
        y = self.norm1(x)
        q, k, v = (
            part(y).reshape(batch, length, self.heads, -1).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        scores = (q @ k.transpose(2, 3)) * (width // self.heads) ** -0.5
        if self.is_causal:
            scores = scores + self.mask[:length, :length]
        y = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.o(y)
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Pixel(nn.Module):
    """Tokens are whole frames of 200 x 200 pixels; positions are trained."""

    def __init__(self, pixels: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(pixels, width)
        self.positions = nn.Parameter(torch.randn(16, width) * 0.01)
        self.blocks = nn.ModuleList(Block(width, 4, 2 * width) for _ in range(layers))
        self.head = nn.Linear(width, 10)

    def forward(self, frames: Tensor) -> Tensor:
        """`[batch, frames, pixels]` to `[batch, 10]`."""
        x = self.embedding(frames) + self.positions[: frames.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class Convolutional(nn.Module):
    """Two convolutions before a head that holds nearly all parameters."""

    def __init__(self, channels: int, side: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.head1 = nn.Linear(channels * (side // 4) ** 2, hidden)
        self.head2 = nn.Linear(hidden, 10)

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, 3, side, side]` to `[batch, 10]`."""
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head2(F.relu(self.head1(x.flatten(1))))


class Language(nn.Module):
    """A small GPT; with a large vocabulary its ends hold most parameters."""

    def __init__(self, vocabulary: int, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.01)
        self.blocks = nn.ModuleList(Block(width, 4, 4 * width, is_causal=True) for _ in range(layers))
        for block in self.blocks:
            mask = torch.full((length, length), float("-inf")).triu(1)
            block.register_buffer("mask", mask)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """`[batch, seq]` to `[batch * seq, vocabulary]`."""
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


def _frames(pixels: int, batch: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    def make(seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        frames = torch.rand(batch, 4, pixels, generator=generator)
        return frames, torch.randint(10, (batch,), generator=generator)

    return make


def _images(side: int, batch: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    def make(seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        images = torch.rand(batch, 3, side, side, generator=generator)
        return images, torch.randint(10, (batch,), generator=generator)

    return make


def _ids(vocabulary: int, batch: int, length: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    def make(seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(vocabulary, (batch, length + 1), generator=generator)
        return ids[:, :-1].contiguous(), ids[:, 1:].reshape(-1)

    return make


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01)


def _adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


MODELS: dict[str, Task] = {
    "pixel": Task(
        model=lambda: Pixel(40_000, 128, 2), batch=_frames(40_000, 4), optimizer=_sgd, memory="40MB"
    ),
    "cnn": Task(
        model=lambda: Convolutional(32, 32, 2048), batch=_images(32, 32), optimizer=_sgd, memory="30MB"
    ),
    "vocabulary": Task(
        model=lambda: Language(32_000, 128, 2, 32), batch=_ids(32_000, 8, 32), optimizer=_sgd, memory="55MB"
    ),
    "gpt": Task(
        model=lambda: Language(256, 256, 4, 64), batch=_ids(256, 16, 64), optimizer=_adam, memory="60MB"
    ),
    "toy": Task(model=lambda: Pixel(64, 8, 1), batch=_frames(64, 4), optimizer=_sgd, memory="1MB"),
}
"""By name."""
