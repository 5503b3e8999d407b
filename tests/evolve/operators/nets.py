"""Small networks with a site of each kind, and what tells two of them apart."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolutions(nn.Module):
    """Convolution, batch norm, depthwise convolution, flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.second = nn.Conv2d(4, 5, 3, padding=1, bias=False)
        self.head = nn.Linear(5 * 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(self.first(images)).relu()
        hidden = self.second(self.depthwise(hidden).tanh()).relu()
        return self.head(functional.adaptive_avg_pool2d(hidden, 2).flatten(1))


class Stream(nn.Module):
    """A residual stream that is normalised; with `is_tied`, the embedding reads it, too."""

    def __init__(self, norm: type[nn.Module] = nn.LayerNorm, *, is_tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.norm = norm(6)
        self.up = nn.Linear(6, 8)
        self.down = nn.Linear(8, 6)
        self.last_norm = norm(6)
        self.head = nn.Linear(6, 7, bias=False)
        if is_tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        stream = self.embedding(tokens)
        stream = stream + self.down(functional.gelu(self.up(self.norm(stream))))
        return self.head(self.last_norm(stream))


class Heads(nn.Module):
    """Attention of grouped queries: two query heads for each of two heads of keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.num_groups = 4, 2
        self.queries = nn.Linear(5, 12)
        self.keys = nn.Linear(5, 6)
        self.values = nn.Linear(5, 6)
        self.out = nn.Linear(12, 3)

    def forward(self, rows: Tensor) -> Tensor:
        batch, places, _ = rows.shape
        queries, keys, values = (
            layer(rows).view(batch, places, -1, 3).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, places, -1))


def perceptron(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)


def build(kind: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    """A network whose weights are all random, in train mode, and inputs for it."""
    torch.manual_seed(1)
    model: nn.Module
    if kind == "perceptron":
        model, inputs = perceptron(), torch.randn(6, 3)
    elif kind == "convolutions":
        model, inputs = Convolutions(), torch.randn(3, 2, 4, 4)
    elif kind == "heads":
        model, inputs = Heads(), torch.randn(2, 4, 5)
    else:
        norm = nn.RMSNorm if "rms" in kind else nn.LayerNorm
        model, inputs = Stream(norm, is_tied="tied" in kind), torch.randint(0, 7, (3, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.to(dtype), inputs.to(dtype) if inputs.is_floating_point() else inputs


def contents(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def same(model: nn.Module, expected: dict[str, Tensor]) -> bool:
    actual = model.state_dict()
    return actual.keys() == expected.keys() and all(
        actual[name].dtype == one.dtype and torch.equal(actual[name], one) for name, one in expected.items()
    )


def step(model: nn.Module, inputs: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    outputs = model(inputs)
    target = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).reshape(outputs.shape)
    (outputs - target).square().mean().backward()
    optimizer.step()
