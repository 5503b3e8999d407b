"""Tiny models of many families, with random weights: nobody tuned anything for one of them."""

import torch
from torch import Tensor, nn

TEXT = {"vocab_size": 61, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def ids(length: int = 9) -> dict[str, Tensor]:
    return {"input_ids": torch.randint(3, 61, (2, length), generator=torch.Generator().manual_seed(1))}


def image(size: int = 32) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))}


def _sizes(hidden: int = 32, layers: int = 2, heads: int = 4, middle: int = 40) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": middle,
    }


LANGUAGE: dict[str, tuple[str, dict[str, object]]] = {
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 32,
        },
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", _sizes()),
    "gptj": (
        "GPTJForCausalLM",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 32},
    ),
    "opt": (
        "OPTForCausalLM",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 40,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 32,
        },
    ),
    "bloom": ("BloomForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon": ("FalconForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
    "falcon_new": (
        "FalconForCausalLM",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "new_decoder_architecture": True,
        },
    ),
    "llama": ("LlamaForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "llama_tied": ("LlamaForCausalLM", {**_sizes(), "num_key_value_heads": 2, "tie_word_embeddings": True}),
    "mistral": ("MistralForCausalLM", {**_sizes(), "num_key_value_heads": 2, "sliding_window": 4}),
    "qwen2": ("Qwen2ForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", {**_sizes(), "num_key_value_heads": 2, "head_dim": 6}),
    "gemma": ("GemmaForCausalLM", {**_sizes(), "num_key_value_heads": 1, "head_dim": 6}),
    "gemma2": (
        "Gemma2ForCausalLM",
        {**_sizes(), "num_key_value_heads": 2, "head_dim": 6, "sliding_window": 4},
    ),
    "gemma3": (
        "Gemma3ForCausalLM",
        {**_sizes(), "num_key_value_heads": 2, "head_dim": 6, "sliding_window": 4},
    ),
    "phi": ("PhiForCausalLM", _sizes()),
    "phi3": ("Phi3ForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "stablelm": ("StableLmForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "olmo": ("OlmoForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "olmo2": ("Olmo2ForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "granite": ("GraniteForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "cohere": ("CohereForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "starcoder2": ("Starcoder2ForCausalLM", {**_sizes(), "num_key_value_heads": 2}),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}),
    "codegen": (
        "CodeGenForCausalLM",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 32},
    ),
    "mixtral": (
        "MixtralForCausalLM",
        {**_sizes(), "num_key_value_heads": 2, "num_local_experts": 3, "num_experts_per_tok": 2},
    ),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        {
            **_sizes(),
            "num_key_value_heads": 2,
            "num_experts": 3,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 12,
            "shared_expert_intermediate_size": 20,
        },
    ),
    "mamba": ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "mamba2": (
        "Mamba2ForCausalLM",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "state_size": 4,
            "num_heads": 8,
            "head_dim": 8,
            "n_groups": 2,
            "chunk_size": 4,
        },
    ),
    "rwkv": ("RwkvForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32}),
    "bert": ("BertForSequenceClassification", {**_sizes(), "max_position_embeddings": 32}),
    "bert_mlm": ("BertForMaskedLM", {**_sizes(), "max_position_embeddings": 32}),
    "bert_base": ("BertModel", {**_sizes(), "max_position_embeddings": 32}),
    "roberta": ("RobertaForMaskedLM", {**_sizes(), "max_position_embeddings": 32}),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "max_position_embeddings": 32},
    ),
    "albert": (
        "AlbertForSequenceClassification",
        {**_sizes(), "embedding_size": 16, "max_position_embeddings": 32},
    ),
    "electra": (
        "ElectraForSequenceClassification",
        {**_sizes(), "embedding_size": 16, "max_position_embeddings": 32},
    ),
    "deberta": (
        "DebertaForSequenceClassification",
        {
            **_sizes(),
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "max_position_embeddings": 32,
        },
    ),
    "deberta_v2": (
        "DebertaV2ForSequenceClassification",
        {
            **_sizes(),
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "max_position_embeddings": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 8,
        },
    ),
    "mpnet": ("MPNetForSequenceClassification", {**_sizes(), "max_position_embeddings": 32}),
    "modernbert": (
        "ModernBertForMaskedLM",
        {**_sizes(), "local_attention": 4, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "funnel": (
        "FunnelForSequenceClassification",
        {
            "d_model": 32,
            "n_head": 4,
            "d_head": 8,
            "d_inner": 40,
            "block_sizes": [1, 1],
            "num_decoder_layers": 1,
        },
    ),
    "convbert": (
        "ConvBertForSequenceClassification",
        {**_sizes(), "embedding_size": 32, "max_position_embeddings": 32},
    ),
    "fnet": ("FNetForSequenceClassification", {**_sizes(), "max_position_embeddings": 32}),
    "xlnet": ("XLNetForSequenceClassification", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 40}),
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 40, "decoder_start_token_id": 0},
    ),
    "t5_gated": (
        "T5ForConditionalGeneration",
        {
            "d_model": 32,
            "num_layers": 2,
            "num_heads": 4,
            "d_kv": 8,
            "d_ff": 40,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "decoder_start_token_id": 0,
        },
    ),
    "bart": (
        "BartForConditionalGeneration",
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 40,
            "decoder_ffn_dim": 40,
            "max_position_embeddings": 32,
        },
    ),
}
"""Name -> class of transformers, and what its configuration differs in."""

_VIT = {"image_size": 32, "patch_size": 8, "num_labels": 5}
VISION: dict[str, tuple[str, dict[str, object]]] = {
    "vit": ("ViTForImageClassification", {**_sizes(), **_VIT}),
    "deit": ("DeiTForImageClassification", {**_sizes(), **_VIT}),
    "beit": (
        "BeitForImageClassification",
        {**_sizes(), **_VIT, "use_relative_position_bias": True, "layer_scale_init_value": 0.1},
    ),
    "beit_shared": (
        "BeitForImageClassification",
        {**_sizes(), **_VIT, "use_shared_relative_position_bias": True},
    ),
    "swin": (
        "SwinForImageClassification",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
    ),
    "swinv2": (
        "Swinv2ForImageClassification",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [2, 2],
            "num_heads": [2, 4],
            "window_size": 4,
            "num_labels": 5,
        },
    ),
    "convnext": (
        "ConvNextForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "num_labels": 5},
    ),
    "convnextv2": (
        "ConvNextV2ForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "num_labels": 5},
    ),
    "resnet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [16, 24], "depths": [2, 2], "num_labels": 5},
    ),
    "resnet_basic": (
        "ResNetForImageClassification",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 12],
            "depths": [2, 2],
            "layer_type": "basic",
            "num_labels": 5,
        },
    ),
    "regnet": (
        "RegNetForImageClassification",
        {
            "embedding_size": 8,
            "hidden_sizes": [16, 24],
            "depths": [2, 2],
            "groups_width": 4,
            "layer_type": "y",
            "num_labels": 5,
        },
    ),
    "bit": (
        "BitForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2], "num_groups": 4, "num_labels": 5},
    ),
    "mobilenet_v1": ("MobileNetV1ForImageClassification", {"depth_multiplier": 0.25, "num_labels": 5}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", {"depth_multiplier": 0.25, "num_labels": 5}),
    "efficientnet": (
        "EfficientNetForImageClassification",
        {
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "depth_divisor": 4,
            "in_channels": [32, 8, 12],
            "out_channels": [8, 12, 16],
            "depthwise_padding": [],
            "strides": [1, 2, 2],
            "kernel_sizes": [3, 3, 5],
            "num_block_repeats": [1, 1, 2],
            "expand_ratios": [1, 3, 3],
            "num_labels": 5,
        },
    ),
    "dinov2": ("Dinov2ForImageClassification", {**_sizes(), **_VIT, "layerscale_value": 0.1}),
    "dinov2_swiglu": ("Dinov2ForImageClassification", {**_sizes(), **_VIT, "use_swiglu_ffn": True}),
    "clip_vision": ("CLIPVisionModelWithProjection", {**_sizes(), **_VIT, "projection_dim": 12}),
    "siglip": ("SiglipForImageClassification", {"vision_config": {**_sizes(), **_VIT}, "num_labels": 5}),
    "segformer": (
        "SegformerForImageClassification",
        {
            "hidden_sizes": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 2],
            "mlp_ratios": [2, 2, 2, 2],
            "num_labels": 5,
        },
    ),
    "pvt": (
        "PvtForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 2],
            "mlp_ratios": [2, 2, 2, 2],
            "num_labels": 5,
        },
    ),
    "poolformer": (
        "PoolFormerForImageClassification",
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "mlp_ratio": 2.0, "num_labels": 5},
    ),
    "mobilevit": (
        "MobileViTForImageClassification",
        {
            "image_size": 64,
            "hidden_sizes": [16, 20, 24],
            "neck_hidden_sizes": [8, 8, 12, 16, 16, 20, 24],
            "num_attention_heads": 4,
            "mlp_ratio": 2.0,
            "num_labels": 5,
        },
    ),
    "focalnet": (
        "FocalNetForImageClassification",
        {
            "image_size": 32,
            "embed_dim": 8,
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
            "num_labels": 5,
        },
    ),
    "vit_msn": ("ViTMSNForImageClassification", {**_sizes(), **_VIT}),
    "hiera": (
        "HieraForImageClassification",
        {
            "image_size": [32, 32],
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "query_stride": [2, 2],
            "masked_unit_size": [4, 4],
            "num_query_pool": 1,
            "patch_stride": [4, 4],
            "num_labels": 5,
        },
    ),
    "swiftformer": (
        "SwiftFormerForImageClassification",
        {
            "image_size": 64,
            "embed_dims": [8, 12, 16, 20],
            "depths": [1, 1, 1, 1],
            "mlp_ratio": 2,
            "num_labels": 5,
        },
    ),
}
"""The same for images."""


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
