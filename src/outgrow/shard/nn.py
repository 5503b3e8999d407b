"""Modules, losses and an optimizer as the predecessor has them: parameters in a list, (in, out) weights."""

__all__ = [
    "SGD",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "TransformerBlock",
    "binary_cross_entropy",
    "cross_entropy_loss",
    "mse_loss",
    "relu",
    "sigmoid",
    "tanh",
]

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.session import default_session
from outgrow.shard.interface.creation import from_numpy, ones, zeros


class Module:
    """Holds parameters in `_parameters`, a list that programs extend, and other modules as attributes."""

    _parameters: list[Tensor]
    _modules: dict[str, Any]

    def __init__(self) -> None:
        self._parameters = []
        self._modules = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, torch.nn.Module)):
            if "_modules" not in self.__dict__:
                object.__setattr__(self, "_modules", {})
            self._modules[name] = value
        elif name != "_modules" and name in self.__dict__.get("_modules", {}):
            del self._modules[name]
        object.__setattr__(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module does; every module has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """See `forward`."""
        return self.forward(*args, **kwargs)

    def parameters(self) -> list[Tensor]:
        """Those of its own list, then those of the modules it holds, in the order they came."""
        found = list(self.__dict__.get("_parameters", ()))
        for module in self.__dict__.get("_modules", {}).values():
            found.extend(module.parameters())
        return found

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The same with names: of the attribute that holds one, else its place in the list."""
        attributes = {id(value): name for name, value in self.__dict__.items() if isinstance(value, Tensor)}
        for place, parameter in enumerate(self.__dict__.get("_parameters", ())):
            yield prefix + attributes.get(id(parameter), str(place)), parameter
        for name, module in self.__dict__.get("_modules", {}).items():
            for below, parameter in module.named_parameters():
                yield f"{prefix}{name}.{below}", parameter

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters, those of the modules it holds included."""
        for parameter in self.parameters():
            parameter.grad = None


class Linear(Module):
    """`x @ weight + bias`; the weight is `[in_features, out_features]`, drawn from numpy's generator."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        start = np.random.randn(in_features, out_features).astype("float32") * 0.01
        self.weight: Tensor = from_numpy(start, requires_grad=True)
        self._parameters.append(self.weight)
        self.bias: Tensor | None = None
        if bias:
            self.bias = zeros(out_features, requires_grad=True)
            self._parameters.append(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[..., in_features]`: `[..., out_features]`."""
        output = x @ self.weight
        return output if self.bias is None else output + self.bias


class LayerNorm(Module):
    """`(x - mean) / sqrt(variance + eps) * gamma + beta` over the last dim."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma: Tensor = ones(dim, requires_grad=True)
        self.beta: Tensor = zeros(dim, requires_grad=True)
        self._parameters.extend([self.gamma, self.beta])

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape that ends in `dim`: the same shape."""
        return torch.nn.functional.layer_norm(x, (x.shape[-1],), self.gamma, self.beta, self.eps)


class MultiHeadAttention(Module):
    """Self-attention of all positions with all, without a mask."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise InputError(
                f"an embedding of {embed_dim} cannot be cut into {num_heads} heads",
                hint="choose a number of heads that divides it",
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.q_proj = Linear(embed_dim, embed_dim)
        self.k_proj = Linear(embed_dim, embed_dim)
        self.v_proj = Linear(embed_dim, embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[batch, seq, embed_dim]`: the same shape."""
        batch, seq, _ = x.shape
        query, key, value = (
            projection(x).reshape(batch, seq, self.num_heads, self.head_dim).permute(0, 2, 1, 3)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = (query @ key.transpose(2, 3)) * self.head_dim**-0.5
        mixed = torch.softmax(scores, dim=-1) @ value
        out: Tensor = self.out_proj(mixed.permute(0, 2, 1, 3).reshape(batch, seq, self.embed_dim))
        return out


class TransformerBlock(Module):
    """Attention, then two linear layers with a ReLU between; each after a LayerNorm, its result added."""

    def __init__(self, embed_dim: int, num_heads: int, ff_dim: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(embed_dim, num_heads)
        self.norm1 = LayerNorm(embed_dim)
        self.fc1 = Linear(embed_dim, ff_dim)
        self.fc2 = Linear(ff_dim, embed_dim)
        self.norm2 = LayerNorm(embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[batch, seq, embed_dim]`: the same shape."""
        x = x + self.attention(self.norm1(x))
        x = x + self.fc2(relu(self.fc1(self.norm2(x))))
        return x  # noqa: RET504 (mypy takes what a module returns for anything)


class SGD:
    """`parameter -= lr * gradient`."""

    def __init__(self, params: Iterable[Tensor], lr: float = 0.01) -> None:
        self.params = list(params)
        self.lr = lr

    def step(self) -> None:
        """Once for every parameter that has a gradient."""
        with torch.no_grad():
            for parameter in self.params:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad * self.lr)
        default_session().flush(ends_step=True)

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        for parameter in self.params:
            if parameter.grad is not None:
                parameter.grad.zero_()


def mse_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The mean of the squared differences."""
    difference = predicted - target
    return (difference * difference).mean()


def binary_cross_entropy(predicted: Tensor, target: Tensor) -> Tensor:
    """Of probabilities; 1e-7 is added to each before its logarithm is taken."""
    eps = 1e-7
    return -(target * (predicted + eps).log() + (1 - target) * (1 - predicted + eps).log()).mean()


def cross_entropy_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Of logits against targets of the same shape, each element a yes-or-no of its own.

    For classes use `torch.nn.functional.cross_entropy`, which takes these tensors, too.
    """
    return binary_cross_entropy(logits.sigmoid(), targets)


def relu(x: Tensor) -> Tensor:
    """Zero where `x` is below zero."""
    return x.relu()


def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return x.sigmoid()


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return x.tanh()
