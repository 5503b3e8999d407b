"""Families that descend from GPT-2 and GPT-3."""

__all__ = ["BLOOM", "GPT2", "GPTJ", "GPT_NEOX", "MEGATRON", "MPT"]

from outgrow.compare.names.families.family import Family

GPT2 = Family(
    stages={
        "embed": "wte",
        "embed.position": "wpe",
        "layer": ".",
        "norm.attn": "ln_1",
        "attn": "attn",
        "qkv": "attn.c_attn",
        "query": "attn.attention.q_proj",
        "key": "attn.attention.k_proj",
        "value": "attn.attention.v_proj",
        "attn.out": "attn.c_proj attn.attention.out_proj",
        "norm.mlp": "ln_2",
        "mlp": "mlp",
        "mlp.up": "mlp.c_fc",
        "mlp.act": "mlp.{act,gelu}",
        "mlp.down": "mlp.c_proj",
        "norm.final": "ln_f",
        "head": "lm_head",
    }
)
"""GPT-2, GPT-Neo, GPT-BigCode, nanoGPT."""

GPTJ = Family(
    stages={
        "embed": "wte",
        "layer": ".",
        "norm.attn": "ln_1",
        "attn": "attn",
        "query": "attn.q_proj",
        "key": "attn.k_proj",
        "value": "attn.v_proj",
        "attn.out": "attn.out_proj",
        "mlp": "mlp",
        "mlp.up": "mlp.fc_in",
        "mlp.act": "mlp.act",
        "mlp.down": "mlp.fc_out",
        "norm.final": "ln_f",
        "head": "lm_head",
    },
    known_by="{mlp.fc_in,mlp.fc_out}",
)
"""GPT-J and CodeGen: attention and MLP side by side."""

GPT_NEOX = Family(
    stages={
        "embed": "embed_in",
        "layer": ".",
        "norm.attn": "input_layernorm",
        "attn": "attention",
        "qkv": "attention.query_key_value",
        "attn.out": "attention.dense",
        "norm.mlp": "post_attention_layernorm",
        "mlp": "mlp",
        "mlp.up": "mlp.dense_h_to_4h",
        "mlp.act": "mlp.act",
        "mlp.down": "mlp.dense_4h_to_h",
        "norm.final": "final_layer_norm",
        "head": "{lm_head,embed_out}",
    }
)
"""GPT-NeoX, Pythia."""

BLOOM = Family(
    stages={
        "embed": "word_embeddings",
        "norm.embed": "word_embeddings_layernorm",
        "layer": ".",
        "norm.attn": "input_layernorm ln_attn",
        "attn": "self_attention",
        "qkv": "self_attention.query_key_value",
        "attn.out": "self_attention.dense",
        "norm.mlp": "post_attention_layernorm ln_mlp",
        "mlp": "mlp",
        "mlp.up": "mlp.dense_h_to_4h",
        "mlp.act": "mlp.{act,gelu_impl}",
        "mlp.down": "mlp.dense_4h_to_h",
        "norm.final": "ln_f",
        "head": "lm_head",
    }
)
"""BLOOM, Falcon."""

MPT = Family(
    stages={
        "embed": "wte",
        "layer": ".",
        "norm.attn": "norm_1",
        "attn": "attn",
        "qkv": "attn.Wqkv",
        "attn.out": "attn.out_proj",
        "norm.mlp": "norm_2",
        "mlp": "ffn",
        "mlp.up": "ffn.up_proj",
        "mlp.act": "ffn.act",
        "mlp.down": "ffn.down_proj",
        "norm.final": "norm_f",
        "head": "lm_head",
    },
    known_by="{attn.Wqkv,norm_1}",
)
"""MPT."""

MEGATRON = Family(
    stages={
        "embed": "embedding.word_embeddings",
        "embed.position": "embedding.position_embeddings",
        "layer": ".",
        "norm.attn": "input_layernorm self_attention.linear_qkv.layer_norm",
        "attn": "self_attention",
        "qkv": "self_attention.linear_qkv",
        "norm.query": "self_attention.q_layernorm",
        "norm.key": "self_attention.k_layernorm",
        "attn.core": "self_attention.core_attention",
        "attn.out": "self_attention.linear_proj",
        "norm.mlp": "pre_mlp_layernorm mlp.linear_fc1.layer_norm",
        "mlp": "mlp",
        "mlp.in": "mlp.linear_fc1",
        "mlp.down": "mlp.linear_fc2",
        "mlp.router": "mlp.router",
        "norm.final": "final_layernorm",
        "head": "output_layer",
    },
    known_by="{self_attention.linear_qkv,self_attention.linear_proj,mlp.linear_fc1,mlp.linear_fc2}",
)
"""Megatron core. Its `linear_fc1` is gate and up in one where the model has a gate."""
