"""Modules of every kind, small."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, weight_norm

from tests.stream.streaming import Ballast

WIDTH = 48


class Noisy(nn.Module):
    """Parameters of its own, besides those of its children."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.inner = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.register_buffer("kept", torch.randn(WIDTH))
        self.register_buffer("dropped", torch.randn(WIDTH), persistent=False)

    def forward(self, x):
        return self.inner(x @ self.scale) * self.kept + self.dropped


class Repeated(nn.Module):
    """One module under two names and called three times."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.again = self.first
        self.other = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.again(self.other(self.first(self.first(x))))


class Recursive(nn.Module):
    """Calls itself while it runs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / 7)
        self.after = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, depth=2):
        x = x @ self.weight
        return self.after(self(x, depth - 1)) @ self.weight if depth else x


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.loop = Recursive()
        self.end = nn.Linear(WIDTH, 3)

    def forward(self, x):
        return self.end(self.loop(x))


class ReadsOthers(nn.Module):
    """Uses another module's weights, outside of its forward, in several ways."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(WIDTH, 2 * WIDTH)
        self.b = nn.Linear(WIDTH, WIDTH)
        self.conv = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x):
        y = F.linear(x, self.a.weight[:WIDTH], self.a.bias[:WIDTH]) + x @ self.a.weight[WIDTH:].T
        y = y * self.b.weight.abs().mean() + self.b(y) @ self.conv.weight.squeeze(-1)
        return torch.cat([y, self.b.weight.sum(0, keepdim=True)])


class Tied(nn.Module):
    """Three names for one weight; two parameters for the bytes of another."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(90, WIDTH)
        self.middle = nn.Linear(WIDTH, WIDTH)
        self.twin = nn.Linear(WIDTH, WIDTH)
        self.twin.weight.data = self.middle.weight.data
        self.head = nn.Linear(WIDTH, 90, bias=False)
        self.second_head = nn.Linear(WIDTH, 90)
        self.head.weight = self.second_head.weight = self.table.weight

    def forward(self, x):
        y = self.twin(self.middle(self.table(x)))
        return self.head(y), self.second_head(y)


class Transposed(nn.Module):
    """Weights that are dense but not row-major, and one that is a gap-filled view."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, 100)
        self.linear.weight = nn.Parameter(torch.randn(WIDTH, 100).t())
        self.conv = nn.Conv2d(8, 24, 3).to(memory_format=torch.channels_last)
        self.gaps = nn.Parameter(torch.randn(WIDTH, 2 * WIDTH)[:, ::2])

    def forward(self, x):
        return self.linear(x @ self.gaps), self.conv(x.reshape(-1, 8, 6, 1).expand(-1, -1, 6, 6))


class Odd(nn.Module):
    """Shapes and dtypes at the edge."""

    def __init__(self):
        super().__init__()
        self.scalar = nn.Parameter(torch.tensor(1.5))
        self.empty = nn.Parameter(torch.empty(0, WIDTH))
        self.one = nn.Parameter(torch.randn(1))
        self.counts = nn.Parameter(torch.arange(WIDTH * WIDTH).reshape(WIDTH, WIDTH), requires_grad=False)
        self.flags = nn.Parameter(torch.rand(WIDTH, WIDTH) > 0.5, requires_grad=False)
        self.eighths = nn.Parameter(torch.randn(WIDTH, WIDTH).to(torch.float8_e4m3fn), requires_grad=False)
        self.waves = nn.Parameter(torch.randn(WIDTH, WIDTH, dtype=torch.complex64), requires_grad=False)
        self.halves = nn.Parameter(torch.randn(WIDTH, WIDTH).half(), requires_grad=False)
        self.brains = nn.Parameter(torch.randn(WIDTH, WIDTH).bfloat16(), requires_grad=False)
        self.doubles = nn.Parameter(torch.randn(WIDTH, WIDTH).double(), requires_grad=False)

    def forward(self, x):
        y = x * self.scalar + self.one + self.empty.sum() + (x.long() @ self.counts % 7) * self.scalar
        y = y.masked_fill(self.flags[0], 0) @ self.eighths.float() + (x + 0j).matmul(self.waves).real
        return y, x.half() @ self.halves, x.bfloat16() @ self.brains, x.double() @ self.doubles


class Changing(nn.Module):
    """Runs other parts in every pass."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(6))
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        for index in torch.randperm(6, generator=torch.Generator().manual_seed(self.passes))[
            : 2 + self.passes % 4
        ]:
            x = self.parts[int(index)](x).tanh()
        return x


class Experts(nn.Module):
    """Which expert runs depends on the data."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, 8)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(8))

    def forward(self, x):
        chosen, result = self.router(x).argmax(-1), torch.zeros_like(x)
        for number in chosen.unique().tolist():
            rows = chosen == number
            result[rows] = self.experts[number](x[rows])
        return result


def recurrent(kind, **options):
    return lambda: kind(WIDTH, 40, num_layers=2, batch_first=True, **options)


def conv_net():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, groups=4), nn.GroupNorm(4, 32),
        nn.ConvTranspose2d(32, 8, 2, stride=2), nn.PReLU(8),
        nn.Conv2d(8, 64, 3, padding="same", padding_mode="circular"),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 100),
    )  # fmt: skip


def with_parametrizations():
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(WIDTH, 64)),
        parametrizations.spectral_norm(nn.Linear(64, 64)),
        parametrizations.orthogonal(nn.Linear(64, WIDTH)),
    )


def with_weight_norm():
    with pytest.warns(FutureWarning):
        return nn.Sequential(weight_norm(nn.Linear(WIDTH, 64)), nn.Linear(64, WIDTH))


def encoder(**options):
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 96, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def rows(*shape):
    return lambda: (torch.randn(*shape, generator=torch.Generator().manual_seed(5)),)


KINDS = {
    "linears": (lambda: nn.Sequential(nn.Linear(WIDTH, 300), nn.Tanh(), nn.Linear(300, 5)), rows(3, WIDTH)),
    "convolutions and norms": (conv_net, rows(2, 3, 12, 12)),
    "own parameters and buffers": (Noisy, rows(4, WIDTH)),
    "one module three times": (Repeated, rows(4, WIDTH)),
    "a module within itself": (Inner, rows(4, WIDTH)),
    "weights of other modules": (ReadsOthers, rows(4, WIDTH)),
    "tied": (Tied, lambda: (torch.arange(6),)),
    "not row-major": (Transposed, rows(4, WIDTH)),
    "edge shapes and dtypes": (Odd, rows(4, WIDTH)),
    "other parts in every pass": (Changing, rows(4, WIDTH)),
    "experts": (Experts, rows(4, WIDTH)),
    "LSTM": (recurrent(nn.LSTM, bidirectional=True), rows(2, 5, WIDTH)),
    "LSTM with projections": (recurrent(nn.LSTM, proj_size=24), rows(2, 5, WIDTH)),
    "GRU": (recurrent(nn.GRU), rows(2, 5, WIDTH)),
    "RNN": (recurrent(nn.RNN), rows(2, 5, WIDTH)),
    "parametrizations": (with_parametrizations, rows(4, WIDTH)),
    "weight norm by hooks": (with_weight_norm, rows(4, WIDTH)),
    "bilinear": (lambda: nn.Bilinear(WIDTH, WIDTH, 12), lambda: rows(4, WIDTH)() * 2),
    "embedding bag": (lambda: nn.EmbeddingBag(200, WIDTH), lambda: (torch.arange(12).reshape(3, 4),)),
    "padded embedding": (lambda: nn.Embedding(2000, WIDTH, padding_idx=3), lambda: (torch.arange(7),)),
    "attention": (lambda: nn.MultiheadAttention(WIDTH, 4, batch_first=True), lambda: rows(2, 5, WIDTH)() * 3),
    "attention of other widths": (
        lambda: nn.MultiheadAttention(WIDTH, 4, kdim=WIDTH, vdim=WIDTH, add_bias_kv=True),
        lambda: rows(2, 5, WIDTH)() * 3,
    ),
    "transformer": (
        lambda: nn.Transformer(WIDTH, 4, 2, 2, 96, batch_first=True), lambda: rows(2, 5, WIDTH)() * 2
    ),
}  # fmt: skip


def built(make):
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and parameter.dtype.itemsize > 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def built_anew(kind):
    return Ballast(built(KINDS[kind][0]))
