"""What the parts of models are that are no modules of transformers: their names written out, too."""

from tests.compare.names.transformers_parts import HF, QKV, Part

_LLAMA_ORIGINAL = {
    "": "layer",
    "attention": "attn",
    "attention.wq": "q",
    "attention.wk": "k",
    "attention.wv": "v",
    "attention.wo": "o",
    "attention_norm": "norm_before_attn",
    "ffn_norm": "norm_before_mlp",
    "feed_forward": "mlp",
    "feed_forward.w1": "gate",
    "feed_forward.w2": "down",
    "feed_forward.w3": "up",
}
_VLLM = {
    "": "layer",
    "self_attn": "attn",
    "self_attn.qkv_proj": QKV,
    "self_attn.attn": "attn.core",
    "self_attn.o_proj": "o",
    "mlp": "mlp",
    "mlp.gate_up_proj": ("gate", "up"),
    "mlp.down_proj": "down",
    "mlp.act_fn": "act",
    "input_layernorm": "norm_before_attn",
    "post_attention_layernorm": "norm_before_mlp",
}
_MEGATRON = {
    "": "layer",
    "input_layernorm": "norm_before_attn",
    "self_attention": "attn",
    "self_attention.linear_qkv": QKV,
    "self_attention.core_attention": "attn.core",
    "self_attention.linear_proj": "o",
    "pre_mlp_layernorm": "norm_before_mlp",
    "mlp": "mlp",
    "mlp.linear_fc1": ("gate", "up"),
    "mlp.linear_fc2": "down",
}
_MEGATRON_GPT = {**_MEGATRON, "mlp.linear_fc1": "up"}
_GGUF = {
    "attn_norm": "norm_before_attn",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_norm": "norm_before_mlp",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
_PLAIN = {
    "": "layer",
    "attn_norm": "norm_before_attn",
    "attn": "attn",
    "attn.wq": "q",
    "attn.wk": "k",
    "attn.wv": "v",
    "attn.wo": "o",
    "mlp_norm": "norm_before_mlp",
    "mlp": "mlp",
    "mlp.gate": "gate",
    "mlp.up": "up",
    "mlp.down": "down",
}
_MIXTRAL_OLD = {
    **{name: part for name, part in HF.items() if not name.startswith("mlp") and "." not in name},
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "block_sparse_moe": "mlp",
    "block_sparse_moe.gate": "router",
    "block_sparse_moe.experts": "experts",
    **{
        f"block_sparse_moe.experts.{expert}.{name}": f"expert{expert}.{part}"
        for expert in range(3)
        for name, part in (("w1", "gate"), ("w2", "down"), ("w3", "up"))
    },
}
_QWEN_MOE_OLD = {
    **HF,
    "mlp.gate": "router",
    "mlp.experts": "experts",
    **{
        f"mlp.experts.{expert}.{name}_proj": f"expert{expert}.{name}"
        for expert in range(3)
        for name in ("gate", "up", "down")
    },
}
for _name in ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "mlp.act_fn"):
    del _QWEN_MOE_OLD[_name]
WRITTEN: dict[str, tuple[str, dict[str, Part], dict[str, Part]]] = {
    "llama_original": (
        "layers.{}",
        _LLAMA_ORIGINAL,
        {"tok_embeddings": "embed", "norm": "norm_last", "output": "head"},
    ),
    "vllm": (
        "model.layers.{}",
        _VLLM,
        {"model.embed_tokens": "embed", "model.norm": "norm_last", "lm_head": "head"},
    ),
    "megatron": (
        "decoder.layers.{}",
        _MEGATRON,
        {
            "embedding.word_embeddings": "embed",
            "decoder.final_layernorm": "norm_last",
            "output_layer": "head",
        },
    ),
    "megatron_gpt": (
        "module.decoder.layers.{}",
        _MEGATRON_GPT,
        {
            "module.embedding.word_embeddings": "embed",
            "module.embedding.position_embeddings": "positions",
            "module.decoder.final_layernorm": "norm_last",
            "module.output_layer": "head",
        },
    ),
    "gguf": ("blk.{}", _GGUF, {"token_embd": "embed", "output_norm": "norm_last", "output": "head"}),
    "plain": ("blocks.{}", _PLAIN, {"tok_emb": "embed", "norm": "norm_last", "head": "head"}),
    "compiled": (
        "_orig_mod.module.model.layers.{}",
        {k: v for k, v in HF.items() if k not in ("embed_tokens", "norm", "lm_head")},
        {
            "_orig_mod.module.model.embed_tokens": "embed",
            "_orig_mod.module.model.norm": "norm_last",
            "_orig_mod.module.lm_head": "head",
        },
    ),
    "mixtral_old": (
        "model.layers.{}",
        {k: v for k, v in _MIXTRAL_OLD.items() if k not in ("embed_tokens", "norm", "lm_head")},
        {"model.embed_tokens": "embed", "model.norm": "norm_last", "lm_head": "head"},
    ),
    "qwen_moe_old": (
        "model.layers.{}",
        {k: v for k, v in _QWEN_MOE_OLD.items() if k not in ("embed_tokens", "norm", "lm_head")},
        {"model.embed_tokens": "embed", "model.norm": "norm_last", "lm_head": "head"},
    ),
}
"""Pattern of the layers, what is in one, what is around them."""
