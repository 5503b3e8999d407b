"""Families of transformers whose modules are called as Llama's."""

__all__ = ["DEEPSEEK", "GEMMA", "GLM4", "LLAMA", "MIXTRAL", "MIXTRAL_OLD", "OLMO2", "PHI", "PHI3"]

from outgrow.compare.names.families.family import Family

_AROUND = {"embed": "embed_tokens", "norm.final": "norm", "head": "lm_head", "layer": "."}
_ATTENTION = {
    "attn": "self_attn",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "attn.out": "self_attn.o_proj",
    "norm.query": "self_attn.q_norm",
    "norm.key": "self_attn.k_norm",
}
_GATED = {
    "mlp": "mlp",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
    "mlp.act": "mlp.{act_fn,activation_fn}",
}
_BEFORE = {"norm.attn": "input_layernorm", "norm.mlp": "post_attention_layernorm"}
_FUSED_GATE = {
    "mlp": "mlp",
    "mlp.gate_up": "mlp.gate_up_proj",
    "mlp.down": "mlp.down_proj",
    "mlp.act": "mlp.{act_fn,activation_fn}",
}
_SANDWICH = {
    "norm.attn": "input_layernorm",
    "norm.attn_out": "post_attention_layernorm",
    "norm.mlp": "pre_feedforward_layernorm",
    "norm.mlp_out": "post_feedforward_layernorm",
}

LLAMA = Family(stages={**_AROUND, **_ATTENTION, **_GATED, **_BEFORE})
"""Llama, Mistral, Qwen2, Qwen3, Cohere and everything built like them."""

GEMMA = Family(stages={**_AROUND, **_ATTENTION, **_GATED, **_SANDWICH}, known_by="pre_feedforward_layernorm")
"""Gemma 2 and later: a norm before and after each part."""

OLMO2 = Family(
    stages={
        **_AROUND,
        **_ATTENTION,
        **_GATED,
        "norm.attn_out": "post_attention_layernorm",
        "norm.mlp_out": "post_feedforward_layernorm",
    },
    known_by="post_feedforward_layernorm",
)
"""OLMo 2: norms only after each part."""

GLM4 = Family(
    stages={
        **_AROUND,
        **_ATTENTION,
        **_FUSED_GATE,
        **_BEFORE,
        "norm.attn_out": "post_self_attn_layernorm",
        "norm.mlp_out": "post_mlp_layernorm",
    },
    known_by="post_self_attn_layernorm",
)
"""GLM-4."""

PHI = Family(
    stages={
        **_AROUND,
        **_ATTENTION,
        "attn.out": "self_attn.dense",
        "norm.attn": "input_layernorm",
        "mlp": "mlp",
        "mlp.up": "mlp.fc1",
        "mlp.act": "mlp.activation_fn",
        "mlp.down": "mlp.fc2",
        "norm.final": "final_layernorm",
    },
    known_by="self_attn.dense",
)
"""Phi 1 and 2: attention and MLP side by side."""

PHI3 = Family(
    stages={**_AROUND, "attn": "self_attn", "qkv": "self_attn.qkv_proj", "attn.out": "self_attn.o_proj"}
    | {**_FUSED_GATE, **_BEFORE},
    known_by="self_attn.qkv_proj",
)
"""Phi 3, and models as vLLM holds them."""

MIXTRAL = Family(
    stages={
        **_AROUND,
        **_ATTENTION,
        **_BEFORE,
        "mlp": "mlp",
        "mlp.router": "mlp.gate",
        "expert.gate_up": "mlp.experts.gate_up_proj",
        "expert.gate": "mlp.experts.gate_proj",
        "expert.up": "mlp.experts.up_proj",
        "expert.down": "mlp.experts.down_proj",
        "expert": "mlp.experts",
        "shared_expert": "mlp.shared_expert{s,}",
        "shared_expert.gate": "mlp.shared_expert{s,}.gate_proj",
        "shared_expert.up": "mlp.shared_expert{s,}.up_proj",
        "shared_expert.down": "mlp.shared_expert{s,}.down_proj",
    },
    known_by="{mlp.experts,mlp.experts.gate_up_proj,mlp.experts.gate_proj,mlp.experts.down_proj}",
)
"""Mixtral of transformers 5, Qwen MoE: experts below `mlp`."""

MIXTRAL_OLD = Family(
    stages={
        **_AROUND,
        **_ATTENTION,
        **_BEFORE,
        "mlp": "block_sparse_moe",
        "mlp.router": "block_sparse_moe.gate",
        "expert": "block_sparse_moe.experts",
        "expert.gate": "block_sparse_moe.experts.w1",
        "expert.up": "block_sparse_moe.experts.w3",
        "expert.down": "block_sparse_moe.experts.w2",
    },
    known_by="{block_sparse_moe,block_sparse_moe.gate,block_sparse_moe.experts.w1}",
)
"""Mixtral of transformers 4 and in its files."""

DEEPSEEK = Family(
    stages={
        **_AROUND,
        **_GATED,
        **_BEFORE,
        "attn": "self_attn",
        "attn.out": "self_attn.o_proj",
        "mlp.router": "mlp.gate",
        "expert": "mlp.experts",
        "expert.gate": "mlp.experts.gate_proj",
        "expert.up": "mlp.experts.up_proj",
        "expert.down": "mlp.experts.down_proj",
        "shared_expert": "mlp.shared_experts",
        "shared_expert.gate": "mlp.shared_experts.gate_proj",
        "shared_expert.up": "mlp.shared_experts.up_proj",
        "shared_expert.down": "mlp.shared_experts.down_proj",
    },
    known_by="self_attn.kv_a_proj_with_mqa",
)
"""DeepSeek 2 and 3; the parts of their latent attention are paired by equal names alone."""
