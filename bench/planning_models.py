"""Models whose steps are planned in tests and in the benchmark: each with random data and a loss."""

__all__ = [
    "GPT",
    "LARGE",
    "SMALL",
    "Case",
    "Convolutions",
    "Llama",
    "Pixel",
    "Words",
    "images",
    "layers",
    "pixel",
    "words",
]

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Case(NamedTuple):
    """A model to train."""

    make: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    data: Callable[[], tuple[Tensor, Tensor]]
    """Input and target."""


class Attention(nn.Module):
    """Written with matrix products and a softmax."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape

        def split(y: Tensor) -> Tensor:
            return y.reshape(batch, length, self.heads, dim // self.heads).permute(0, 2, 1, 3)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        weights = torch.softmax((q @ k.transpose(2, 3)) * (dim // self.heads) ** -0.5, -1)
        return self.o((weights @ v).permute(0, 2, 1, 3).reshape(batch, length, dim))


class Block(nn.Module):
    """Of the Pixel Transformer."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.relu(self.up(self.norm2(x))))


class Pixel(nn.Module):
    """Frames as tokens: one wide embedding, trainable positions, a small transformer."""

    def __init__(
        self, image: int = 200, dim: int = 128, heads: int = 4, layers: int = 2, hidden: int = 256
    ) -> None:
        super().__init__()
        self.embedding = nn.Linear(image * image, dim)
        self.position = nn.Parameter(torch.randn(16, dim) * 0.01)
        self.blocks = nn.ModuleList([Block(dim, heads, hidden) for _ in range(layers)])
        self.head = nn.Linear(dim, 10)

    def forward(self, frames: Tensor) -> Tensor:
        batch, length = frames.shape[:2]
        x = self.embedding(frames.reshape(batch, length, -1)) + self.position[:length]
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class Convolutions(nn.Module):
    """Four convolutions and two linear layers, of which the first may be large."""

    def __init__(
        self, hidden: int = 512, channels: int = 32, image: int = 32, *, norms: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, width in enumerate((channels, channels, 2 * channels, 2 * channels)):
            layers.append(nn.Conv2d(before, width, 3, padding=1))
            if norms:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            if number % 2:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.features = nn.Sequential(*layers)
        self.first, self.second = nn.Linear(2 * channels * (image // 4) ** 2, hidden), nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.relu(self.first(self.features(x).flatten(1))))


class GPTBlock(nn.Module):
    """One projection for queries, keys and values; torch's own attention."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = (
            one.view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
            for one in self.qkv(self.norm1(x)).split(dim, 2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Like GPT-2, positions and all."""

    def __init__(self, vocabulary: int = 1024, dim: int = 128, heads: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, dim), nn.Embedding(64, dim)
        self.register_buffer("places", torch.arange(64))
        self.blocks = nn.ModuleList([GPTBlock(dim, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(self.places[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class RMSNorm(nn.Module):
    """Written out, as Hugging Face does."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class LlamaBlock(nn.Module):
    """Rotary positions and a gated hidden layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RMSNorm(dim), RMSNorm(dim)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, dim = x.shape
        y = self.norm1(x)

        def split(z: Tensor) -> Tensor:
            return z.view(batch, length, self.heads, dim // self.heads).transpose(1, 2)

        def turned(z: Tensor) -> Tensor:
            first, second = z.chunk(2, -1)
            return z * cosine + torch.cat((-second, first), -1) * sine

        mixed = functional.scaled_dot_product_attention(
            turned(split(self.q(y))), turned(split(self.k(y))), split(self.v(y)), is_causal=True
        )
        x = x + self.o(mixed.transpose(1, 2).reshape(batch, length, dim))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Angles in buffers."""

    def __init__(self, vocabulary: int = 1024, dim: int = 128, heads: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, dim)
        self.blocks = nn.ModuleList([LlamaBlock(dim, heads) for _ in range(layers)])
        self.norm, self.head = RMSNorm(dim), nn.Linear(dim, vocabulary, bias=False)
        rates = 10000.0 ** (-torch.arange(0, dim // heads, 2).float() / (dim // heads))
        angles = torch.arange(64).float()[:, None] * rates[None]
        angles = torch.cat((angles, angles), -1)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        x, length = self.token(tokens), tokens.shape[1]
        for block in self.blocks:
            x = block(x, self.cosine[:length], self.sine[:length])
        return self.head(self.norm(x))


class Words(nn.Module):
    """Hardly more than a large vocabulary."""

    def __init__(self, vocabulary: int = 32768, dim: int = 128, hidden: int = 256) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens)
        return self.head(x + self.down(functional.relu(self.up(x))))


def _squares(output: Tensor, target: Tensor) -> Tensor:
    return ((output - target) ** 2).mean()


def _classes(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1))


def pixel(batch: int = 4, length: int = 4, image: int = 200, **sizes: int) -> Case:
    """The Pixel Transformer."""
    return Case(
        lambda: Pixel(image, **sizes),
        _squares,
        lambda: (torch.randn(batch, length, image, image) * 0.1, torch.randn(batch, 10)),
    )


def words(kind: Callable[..., nn.Module], batch: int, length: int, vocabulary: int, **sizes: int) -> Case:
    """A language model."""

    def data() -> tuple[Tensor, Tensor]:
        tokens = torch.randint(0, vocabulary, (batch, length + 1))
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    return Case(lambda: kind(vocabulary, **sizes), _classes, data)


def images(
    batch: int, hidden: int = 512, channels: int = 32, image: int = 32, *, norms: bool = False
) -> Case:
    """A convolutional network."""
    return Case(
        lambda: Convolutions(hidden, channels, image, norms=norms),
        _classes,
        lambda: (torch.randn(batch, 3, image, image), torch.randint(0, 10, (batch,))),
    )


def layers(batch: int, *widths: int) -> Case:
    """Linear layers with rectifiers between."""

    def make() -> nn.Module:
        parts: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            parts += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    return Case(make, _squares, lambda: (torch.randn(batch, widths[0]), torch.randn(batch, widths[-1])))


LARGE: dict[str, Case] = {
    "pixel": pixel(),
    "pixel_d512": pixel(dim=512, heads=8, hidden=1024),
    "pixel_batch64": pixel(64),
    "cnn": images(64),
    "cnn_large_head": images(16, 4096),
    "vocabulary_32k": words(Words, 8, 16, 32768),
    "gpt_d512": words(GPT, 8, 64, 4096, dim=512),
    "llama_d512": words(Llama, 8, 64, 4096, dim=512),
    "mlp": layers(64, 4096, 512, 64),
    "gpt_24_layers": words(GPT, 8, 64, 1024, layers=24),
    "llama_24_layers": words(Llama, 8, 64, 1024, layers=24),
}
"""As the benchmark plans them."""
SMALL: dict[str, Case] = {
    "pixel": pixel(image=16, dim=32, heads=4, hidden=64, layers=1),
    "pixel_two_blocks": pixel(8, 3, image=16, dim=32, heads=4, hidden=64),
    "mlp": layers(16, 32, 24, 8),
    "mlp_odd": layers(12, 30, 18, 6),
    "cnn": images(8, 64, 8, 8),
    "cnn_norms": images(8, 64, 8, 8, norms=True),
    "gpt": words(GPT, 4, 16, 64, dim=32, heads=4, layers=1),
    "gpt_two_layers": words(GPT, 8, 8, 48, dim=16, heads=4),
    "llama": words(Llama, 4, 16, 64, dim=32, heads=4, layers=1),
    "vocabulary": words(Words, 4, 8, 256, dim=16, hidden=32),
}
"""Of the same kinds, for running them."""
