"""The models that were looked at while `evolve` was built, small and random."""

__all__ = ["SMALL_MODELS", "Subject"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and how to call it with inputs that differ from seed to seed."""

    model: nn.Module
    inputs: Callable[[int], Any]


class _Block(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or into != out:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, values: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(values)))))
        return torch.relu(inner + self.shortcut(values))


class _ResNet(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(_Block(before, now, stride), _Block(now, now, 1))
            for before, now, stride in ((width, width, 1), (width, 2 * width, 2))
        )
        self.head = nn.Linear(2 * width, 5)

    def forward(self, images: Tensor) -> Tensor:
        values = self.stem(images)
        for stage in self.stages:
            values = stage(values)
        return self.head(values.mean((2, 3)))


class _Odd(nn.Module):
    """Concatenation, depthwise, grouped and transposed convolutions, group norm, padding, flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(14)
        self.depthwise = nn.Conv2d(14, 14, 3, padding=1, groups=14)
        self.pointwise = nn.Conv2d(14, 12, 1)
        self.groups = nn.GroupNorm(4, 12)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=4)
        self.longer = nn.Conv2d(12, 16, 1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.head = nn.Linear(8 * 16, 10)

    def forward(self, images: Tensor) -> Tensor:
        values = torch.relu(self.norm(torch.cat([self.one(images), self.two(images)], 1)))
        values = torch.relu(self.groups(self.pointwise(self.depthwise(values))))
        values = torch.relu(self.grouped(values))
        values = torch.relu(self.longer(values) + F.pad(values, (0, 0, 0, 0, 2, 2)))
        values = torch.relu(self.up(values))
        return self.head(F.adaptive_avg_pool2d(values, 4).flatten(1))


def _images(size: int, count: int = 3) -> Callable[[int], Tensor]:
    def draw(seed: int) -> Tensor:
        return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))

    return draw


def _tokens(vocabulary: int) -> Callable[[int], dict[str, Tensor]]:
    def draw(seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {"input_ids": torch.randint(3, vocabulary, (2, 9 + seed % 4), generator=generator)}

    return draw


def _vit() -> Subject:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=16,
        patch_size=4, num_labels=5,
    )  # fmt: skip
    return Subject(model=ViTForImageClassification(config), inputs=_images(16))


def _gpt2() -> Subject:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=2, n_embd=32, n_head=4, vocab_size=97, n_positions=32, bos_token_id=1, eos_token_id=2
    )
    return Subject(model=GPT2LMHeadModel(config), inputs=_tokens(97))


def _llama() -> Subject:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=97,
    )  # fmt: skip
    return Subject(model=LlamaForCausalLM(config), inputs=_tokens(97))


SMALL_MODELS: dict[str, Callable[[], Subject]] = {
    "resnet": lambda: Subject(model=_ResNet(), inputs=_images(12)),
    "vit": _vit,
    "gpt2": _gpt2,
    "llama": _llama,
    "odd": lambda: Subject(model=_Odd(), inputs=_images(8)),
}
