"""Tiny models of many families, with random weights, and what to call them with."""

import torch
from torch import Tensor, nn

from tests.evolve.coupling.language_families import LANGUAGE
from tests.evolve.coupling.tiny_sizes import TEXT
from tests.evolve.coupling.vision_families import VISION


def ids(length: int = 9) -> dict[str, Tensor]:
    return {"input_ids": torch.randint(3, 61, (2, length), generator=torch.Generator().manual_seed(1))}


def image(size: int = 32) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))}


def build(family: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, dict[str, object]]:
    """A model of a family in eval mode, and what to call it with."""
    import transformers

    name, differences = {**LANGUAGE, **VISION}[family]
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    is_language = family in LANGUAGE
    base = {**TEXT, "num_labels": 5} if is_language else {}
    model = kind(kind.config_class(**{**base, **differences}))
    with torch.no_grad():  # far from the usual start, where much is almost linear or zero
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            else:
                parameter.mul_(3)
    if not is_language:
        size = differences.get("image_size", 32)
        inputs: dict[str, object] = dict(image(size[0] if isinstance(size, list) else int(str(size))))
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)  # type: ignore[attr-defined]
    else:
        inputs = dict(ids())
        if "CausalLM" in name:
            inputs["use_cache"] = False
        if "Conditional" in name:
            inputs |= {"decoder_input_ids": ids(5)["input_ids"], "use_cache": False}
    return model.eval().to(dtype), inputs
