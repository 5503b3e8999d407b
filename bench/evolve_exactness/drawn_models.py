"""Models of transformers that nobody chose: drawn by a seed from all that can be built small."""

__all__ = ["draw_models", "make_drawn"]

import importlib
import random
from typing import Any

import torch

from bench.evolve_exactness.small_models import Subject

_SIZES = {
    "hidden_size d_model n_embd embed_dim embedding_size dim hidden_dim": 32,
    "intermediate_size ffn_dim d_ff n_inner mlp_dim": 48,
    "num_hidden_layers n_layer num_layers encoder_layers decoder_layers": 2,
    "num_attention_heads n_head num_heads encoder_attention_heads decoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "image_size": 32,
    "patch_size": 8,
    "vocab_size": 128,
    "max_position_embeddings n_positions": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "num_labels": 5,
}
_SMALL = {name: value for names, value in _SIZES.items() for name in names.split()}
_LISTS = {"hidden_sizes", "embed_dims", "depths", "embedding_dims"}
_LARGEST = 3_000_000


def draw_models(count: int, seed: int) -> list[tuple[str, str]]:
    """`(kind, class name)` of architectures that can be built small, drawn blindly, half of each kind."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    drawn = []
    for kind, names in (
        ("language", auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        ("vision", auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES),
    ):
        known = sorted({one for value in names.values() for one in _several(value)})
        random.Random(seed).shuffle(known)
        found = 0
        for name in known:
            if found == count // 2:
                break
            try:
                subject = make_drawn(kind, name, 0)
                subject.model(**subject.inputs(0))
                doubled = {
                    n: v.double() if v.is_floating_point() else v for n, v in subject.inputs(0).items()
                }
                subject.model.double()(**doubled)  # some have kernels for single precision only
            except Exception:  # somebody else's constructor dislikes its sizes: another one is drawn
                continue
            drawn.append((kind, name))
            found += 1
    return drawn


def make_drawn(kind: str, name: str, seed: int) -> Subject:
    """One of them with random weights, in eval mode."""
    transformers: Any = importlib.import_module("transformers")
    model_class = getattr(transformers, name)
    config = _small(model_class.config_class)
    with torch.device("meta"):
        size = sum(one.numel() for one in model_class(config).parameters())
    if size > _LARGEST:
        raise ValueError(f"{size} parameters")
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.is_floating_point():
                weight.add_(torch.randn_like(weight) * 0.02)

    def inputs(draw: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(draw)
        if kind == "language":
            return {"input_ids": torch.randint(3, 100, (2, 8 + draw % 3), generator=generator)}
        side = getattr(config, "image_size", 32)
        side = side if isinstance(side, int) else side[0]
        return {"pixel_values": torch.randn(2, 3, side, side, generator=generator)}

    return Subject(model=model, inputs=inputs)


def _several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _small(config_class: Any) -> Any:
    own = config_class()
    wanted: dict[str, Any] = {name: value for name, value in _SMALL.items() if hasattr(own, name)}
    for name in _LISTS:
        value = getattr(own, name, None)
        if isinstance(value, list | tuple):
            wanted[name] = [1 if name == "depths" else 16 * (place + 1) for place in range(len(value))]
    wanted = {
        name: value
        for name, value in wanted.items()
        if name in _LISTS or not isinstance(getattr(own, name), list | tuple)
    }
    try:
        return config_class(**wanted)
    except Exception:
        return config_class(
            **{k: v for k, v in wanted.items() if k not in ("head_dim", "num_key_value_heads")}
        )
