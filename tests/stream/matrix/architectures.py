"""Every causal language model of the installed transformers, small, random and without a download."""

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

PROMPT = (2, 9)
"""Sequences and their tokens."""
VOCABULARY = 512

_ALIKE = {
    "hidden_size d_model n_embd emb_dim embed_dim embedding_size word_embed_proj_dim dim_model": 128,
    "lru_width attention_hidden_size input_embedding_size encoder_hidden_size": 128,
    "intermediate_size ffn_dim d_ff encoder_ffn_dim decoder_ffn_dim n_inner dim_ff dff": 320,
    "ffn_hidden_size intermediate_size_mlp shared_intermediate_size": 320,
    "num_hidden_layers n_layer num_layers n_layers encoder_layers decoder_layers num_decoder_layers": 6,
    "num_blocks": 6,
    "num_encoder_layers depth": 2,
    "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads": 4,
    "num_encoder_attention_heads num_decoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim d_kv attention_head_size v_head_dim q_lora_rank kv_lora_rank": 32,
    "qk_rope_head_dim qk_nope_head_dim": 16,
    "num_experts num_local_experts n_routed_experts moe_num_experts": 4,
    "num_experts_per_tok moe_k num_experts_per_token moe_topk": 2,
    "moe_intermediate_size shared_expert_intermediate_size moe_shared_expert_intermediate_size": 48,
    "expert_ffn_hidden_size": 48,
    "n_group topk_group n_shared_experts first_k_dense_replace": 1,
    "state_size mamba_d_state ssm_state_size time_step_rank": 8,
    "max_position_embeddings n_positions max_target_positions n_ctx": 64,
    "sliding_window": 6,
    # Of towers for pictures.
    "image_size": 32,
    "patch_size": 8,
    "num_channels": 3,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id decoder_start_token_id": 1,
    "eos_token_id": 2,
    "is_decoder use_cache": True,
}
SMALL: dict[str, Any] = {name: value for names, value in _ALIKE.items() for name in names.split()}
"""What a configuration is made small by, wherever it has such a field."""

_MAMBA_2 = {"mamba_n_heads": 8, "mamba_d_head": 32}
_MIXED = ["linear_attention", "full_attention"] * 3
_LATENT = {"num_key_value_heads": 4, "head_dim": 16}
_GEMMA_4 = {"num_kv_shared_layers": 0, "head_dim": 32, "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 16, "per_layer_config": {"05": {"head_dim": 64}}}  # fmt: skip
_REGIONS = {
    "hybrid_layer_ids": [1, 4],
    "layers_block_type": ["linear_attention", "hybrid", "linear_attention"] * 2,
}

SPECIAL: dict[str, dict[str, Any]] = {
    "BambaForCausalLM": {**_MAMBA_2, "attn_layer_indices": [1, 3, 5]},
    "BltForCausalLM": {
        "encoder_hash_byte_group_vocab": 64,
        "vocab_size": 260,
        "num_hidden_layers": 6,
        "encoder_config": {"hidden_size_global": 128},
        "decoder_config": {"hidden_size_global": 128},
    },
    "CodeGenForCausalLM": {"rotary_dim": 16},
    "CohereCompassForCausalLM": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}
    },
    "DbrxForCausalLM": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 96, "hidden_size": 128, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "Dots3NoteForCausalLM": {
        "per_layer_config": {layer: {"kv_lora_rank": 48, "head_dim": 32} for layer in ("02", "03", "04")},
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "qk_nope_head_dim": 16,
        "kv_lora_rank": 32,
        "head_dim": 32,
        "index_n_heads": 4,
        "index_head_dim": 32,
    },
    "FalconH1ForCausalLM": {**_MAMBA_2, "mamba_d_ssm": 256},
    "Gemma3nForCausalLM": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 3,
        "activation_sparsity_pattern": [0.5, 0.0] * 3,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 16,
    },
    "Gemma4ForCausalLM": _GEMMA_4,
    "Gemma4UnifiedForCausalLM": {name: _GEMMA_4[name] for name in ("head_dim", "per_layer_config")},
    "Gemma4ForConditionalGeneration": {"text_config": _GEMMA_4},
    "Gemma4UnifiedForConditionalGeneration": {
        "text_config": {name: _GEMMA_4[name] for name in ("head_dim", "per_layer_config")}
    },
    "GPTJForCausalLM": {"rotary_dim": 16},
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 3]], "window_size": 6},
    "GraniteMoeHybridForCausalLM": {**_MAMBA_2, "layer_types": _MIXED},
    "KimiLinearForCausalLM": {"linear_num_heads": 4, "linear_head_dim": 32},
    "Lfm2MoeForCausalLM": {"layer_types": ["conv", "full_attention"] * 3},
    "LongcatFlashForCausalLM": {"zero_expert_num": 2},
    "Mamba2ForCausalLM": {"head_dim": 64, "n_groups": 1},
    "MusicgenForCausalLM": {"num_codebooks": 1},
    "MusicgenMelodyForCausalLM": {"num_codebooks": 1},
    "NemotronHForCausalLM": {"mamba_num_heads": 8, "mamba_head_dim": 32, "n_groups": 1},
    "ProphetNetForCausalLM": {"num_hidden_layers": None, "num_encoder_layers": 6},
    "Qwen4ExpForCausalLM": {
        "layer_types": ["linear_attention", "indexed_attention"] * 3,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "hc_lowrank": 16,
        "ple_embed_dim": 32,
        "ngram_vocab_size_base": 64,
        "split_ngram_parts": 2,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 32,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
    },
    "ReformerModelWithLMHead": {
        "axial_pos_embds_dim": [64, 64],
        "axial_pos_shape": [8, 8],
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "hash_seed": 7,
    },
    "RoCBertForCausalLM": {"pronunciation_vocab_size": 64, "shape_vocab_size": 64},
    "XLNetLMHeadModel": {"max_position_embeddings": None},
    "XmodForCausalLM": {"languages": ["en_XX"], "default_language": "en_XX"},
    "xLSTMForCausalLM": {"v_head_dim": None},
    "ZambaForCausalLM": {
        "layers_block_type": _REGIONS["layers_block_type"],
        "attention_hidden_size": 256,
        "attention_head_dim": 64,
        "head_dim": None,
    },
    "Zamba2ForCausalLM": {
        **_REGIONS,
        "mamba_headdim": 32,
        "attention_hidden_size": 256,
        "attention_head_dim": 64,
    },
    "ZayaForCausalLM": {"num_experts_per_tok": 1, "router_hidden_size": 32},
}
"""What single models need besides or instead, by class; None leaves the model's own value."""

APART = {
    "Gemma4AssistantForCausalLM": "it drafts for another model, whose keys and values it needs",
    "Gemma4UnifiedAssistantForCausalLM": "it drafts for another model, whose keys and values it needs",
}
"""What does not run by itself, with the reason."""

_FALLBACKS: tuple[tuple[str, ...], ...] = (
    (),
    ("head_dim",),
    ("num_key_value_heads",),
    ("head_dim", "num_key_value_heads"),
    ("sliding_window",),
)
"""Fields that are left alone if a configuration refuses them."""

LARGEST = 20_000_000
"""Parameters of a model that still counts as small."""


class NotSmall(Exception):
    """The architecture cannot be built small; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A small random model and what to call it with."""

    model: nn.Module
    inputs: dict[str, torch.Tensor]
    """`input_ids` and `attention_mask`, shape `PROMPT`, and whatever else its forward needs."""


def architectures() -> dict[str, str]:
    """Class names of all causal language models that transformers registers, each with its model type."""
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    found: dict[str, str] = {}
    for model_type, name in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        found.setdefault(name, model_type)
    return found


def build(name: str, seed: int = 0) -> Built:
    """The architecture with random weights, in eval mode.

    Raises:
        NotSmall: it cannot be built small without a download or a package that is not here.
    """
    if name in APART:
        raise NotSmall(APART[name])
    try:
        kind, config = _kind_and_config(name)
        with torch.device("meta"):
            count = sum(weight.numel() for weight in kind(config).parameters())
        if count <= LARGEST:
            torch.manual_seed(seed)
            model = kind(config).eval()
    except Exception as err:  # whatever somebody else's constructor raises becomes a row
        raise NotSmall(f"{type(err).__name__}: {one_line(str(err))}") from err
    if count > LARGEST:
        raise NotSmall(f"{count:,} parameters")
    _disturb(model)
    vocabulary = getattr(config.get_text_config(decoder=True), "vocab_size", VOCABULARY)
    return Built(model=model, inputs=_inputs(min(VOCABULARY, vocabulary)))


def one_line(message: str) -> str:
    """The beginning of an error's message."""
    return " ".join(message.split())[:200]


def _kind_and_config(name: str) -> tuple[Any, Any]:
    kind = getattr(importlib.import_module("transformers"), name)
    auto = importlib.import_module("transformers.models.auto.configuration_auto")
    config_class = kind.config_class or auto.CONFIG_MAPPING[architectures()[name]]
    return kind, _small_config(config_class, SPECIAL.get(name, {}))


def _small_config(config_class: Any, special: dict[str, Any]) -> Any:
    own = config_class()
    wanted = {name: value for name, value in SMALL.items() if _takes(own, name)}
    nested = [name for name in config_class.sub_configs or {} if _takes(own, name)]
    for name in nested:
        inner = getattr(own, name)
        if inner is not None:
            wanted[name] = _small_config(type(inner), special.get(name, {})).to_dict()
    if "kv_lora_rank" in wanted:
        # Latent attention shares its rotary part among as many key heads as there are query heads.
        wanted.update(_LATENT)
    wanted.update({name: value for name, value in special.items() if name not in nested})
    wanted = {name: value for name, value in wanted.items() if value is not None}
    first: Exception | None = None
    for left_alone in _FALLBACKS:
        try:
            return config_class(**{name: value for name, value in wanted.items() if name not in left_alone})
        except Exception as err:  # whatever it dislikes, another choice may do
            first = first or err
    assert first is not None
    raise first


def _takes(config: Any, name: str) -> bool:
    try:
        return hasattr(config, name) or name in getattr(config, "attribute_map", {})
    except Exception:  # fields that differ from layer to layer refuse to be read, with an error of their own
        return False


def _disturb(model: nn.Module) -> None:
    """Make weights differ that are initialised alike (norms, biases), so that a mix-up would be seen."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.is_floating_point():
                weight.add_(torch.randn_like(weight).mul(0.02))


def _inputs(vocabulary: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(3, vocabulary, PROMPT, generator=generator)
    mask = torch.ones(PROMPT, dtype=torch.long)
    # The second sequence is shorter, padded on the left as generate() wants it.
    mask[1, :3] = 0
    tokens[1, :3] = 0
    return {"input_ids": tokens, "attention_mask": mask}
