"""Families with an encoder."""

__all__ = ["BERT", "DISTILBERT", "T5", "TORCH", "VIT"]

from outgrow.compare.names.families.family import Family

BERT = Family(
    stages={
        "embed": "embeddings.word_embeddings",
        "embed.position": "embeddings.position_embeddings",
        "embed.type": "embeddings.token_type_embeddings",
        "norm.embed": "embeddings.LayerNorm",
        "layer": ". output",
        "attn.core": "attention.self",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attn.out": "attention.output.dense",
        "norm.after_attn": "attention.output.LayerNorm",
        "mlp.up": "intermediate.dense",
        "mlp.act": "intermediate.intermediate_act_fn intermediate",
        "mlp.down": "output.dense",
        "norm.after_mlp": "output.LayerNorm",
        "pooler": "pooler.dense",
        "head.dense": "cls.predictions.transform.dense lm_head.dense",
        "norm.head": "cls.predictions.transform.LayerNorm lm_head.layer_norm",
        "head": "cls.predictions.decoder lm_head.decoder",
    }
)
"""BERT, RoBERTa, ELECTRA: the norms stand behind the sums."""

DISTILBERT = Family(
    stages={
        "embed": "embeddings.word_embeddings",
        "embed.position": "embeddings.position_embeddings",
        "norm.embed": "embeddings.LayerNorm",
        "layer": ".",
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attn.out": "attention.out_lin",
        "norm.after_attn": "sa_layer_norm",
        "mlp": "ffn",
        "mlp.up": "ffn.lin1",
        "mlp.act": "ffn.activation",
        "mlp.down": "ffn.lin2",
        "norm.after_mlp": "output_layer_norm",
        "head.dense": "vocab_transform",
        "norm.head": "vocab_layer_norm",
        "head": "vocab_projector",
    }
)
"""DistilBERT."""

VIT = Family(
    stages={
        "embed": "embeddings.patch_embeddings.projection patch_embed.proj",
        "layer": ".",
        "norm.attn": "layernorm_before",
        "attn": "attention",
        "query": "attention.q_proj attention.attention.query",
        "key": "attention.k_proj attention.attention.key",
        "value": "attention.v_proj attention.attention.value",
        "attn.out": "attention.o_proj attention.output.dense",
        "norm.mlp": "layernorm_after",
        "mlp.up": "mlp.fc1 intermediate.dense",
        "mlp.down": "mlp.fc2 output.dense",
        "norm.final": "layernorm",
        "pooler": "pooler.dense",
    },
    known_by="{layernorm_before,layernorm_after}",
)
"""Vision transformers of transformers."""

T5 = Family(
    stages={
        "embed": "shared embed_tokens",
        "layer": ".",
        "norm.attn": "layer.0.layer_norm",
        "query": "layer.0.SelfAttention.q",
        "key": "layer.0.SelfAttention.k",
        "value": "layer.0.SelfAttention.v",
        "attn.out": "layer.0.SelfAttention.o",
        "norm.cross": "decoder:layer.1.layer_norm",
        "cross.query": "layer.1.EncDecAttention.q",
        "cross.key": "layer.1.EncDecAttention.k",
        "cross.value": "layer.1.EncDecAttention.v",
        "cross.out": "layer.1.EncDecAttention.o",
        "norm.mlp": "encoder:layer.1.layer_norm layer.2.layer_norm",
        "mlp.up": "layer.{1,2}.DenseReluDense.{wi,wi_1}",
        "mlp.gate": "layer.{1,2}.DenseReluDense.wi_0",
        "mlp.act": "layer.{1,2}.DenseReluDense.act",
        "mlp.down": "layer.{1,2}.DenseReluDense.wo",
        "norm.final": "final_layer_norm",
        "head": "lm_head",
    },
    known_by="{layer.0.SelfAttention.q,layer.0.SelfAttention.o,layer.0.layer_norm}",
)
"""T5, mT5, UMT5."""

TORCH = Family(
    stages={
        "layer": ".",
        "attn": "self_attn",
        "qkv": "self_attn.in_proj",
        "attn.out": "self_attn.out_proj",
        "mlp.up": "linear1",
        "mlp.down": "linear2",
    },
    known_by="{self_attn.in_proj,linear1,linear2}",
)
"""`torch.nn.TransformerEncoderLayer`. Its norms stand before or behind, which their names do not tell."""
