"""What different projects call the same places of a model."""

__all__ = ["VOCABULARIES", "Vocabulary"]

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.planted.points import FIRST, LAST, PARTS, STAGES, Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Names by stage; `{n}` is the layer's number. `qkv` and `gate_up` are what fused lines are called."""

    names: Mapping[str, str]
    fuses: tuple[str, ...] = ()
    """Which of the fused lines this project always has."""
    is_gated: bool | None = None
    """Which kind of MLP it has; None for both."""
    are_modules: bool = True
    weights: Mapping[str, str] = field(default_factory=dict)
    """Modules by the role of their weights (`norm1`, `q`, …), where parameters can be dumped, too."""

    def name(self, point: Point, first_layer: int = 0) -> str | None:
        """What a point is called; None where this project does not show it."""
        template = self.names.get(point.stage)
        if template is None:
            return None
        return template.format(n="" if point.layer is None else point.layer + first_layer)


def _modules(prefix: str, outside: str, inside: str, **more: object) -> Vocabulary:
    """`outside` names embeddings, final norm and logits, `inside` the lines of a layer, `stage=name`."""
    names = dict(part.split("=") for part in outside.split())
    names |= {stage: f"{prefix}.{{n}}.{name}" for stage, name in (part.split("=") for part in inside.split())}
    return Vocabulary(names=names, **more)  # type: ignore[arg-type]


_STAGES = {stage: stage for stage in (*FIRST, *LAST)}
_STAGES |= {stage: f"{{n}}_{stage}" for stage in (*STAGES, "qkv") if stage not in PARTS}

VOCABULARIES: dict[str, Vocabulary] = {
    "stages": Vocabulary(names=_STAGES, are_modules=False),
    "hugging_face": _modules(
        "model.layers",
        "embeddings=model.embed_tokens final_norm=model.norm logits=lm_head",
        "post_ln_pre_attn=input_layernorm query=self_attn.q_proj key=self_attn.k_proj value=self_attn.v_proj "
        "qkv=self_attn.qkv_proj post_attn_pre_resid=self_attn.o_proj pre_mlp=post_attention_layernorm "
        "gate=mlp.gate_proj up=mlp.up_proj gate_up=mlp.gate_up_proj post_mlp=mlp.down_proj",
        weights={
            "embed": "model.embed_tokens",
            "norm1": "model.layers.{n}.input_layernorm",
            **{role: f"model.layers.{{n}}.self_attn.{role}_proj" for role in "qkvo"},
            "norm2": "model.layers.{n}.post_attention_layernorm",
            **{role: f"model.layers.{{n}}.mlp.{role}_proj" for role in ("gate", "up", "down")},
            "norm": "model.norm",
            "head": "lm_head",
        },
    ),
    "vllm": _modules(
        "model.layers",
        "embeddings=model.embed_tokens final_norm=model.norm logits=lm_head",
        "post_ln_pre_attn=input_layernorm qkv=self_attn.qkv_proj post_attn=self_attn.attn "
        "post_attn_pre_resid=self_attn.o_proj pre_mlp=post_attention_layernorm "
        "gate_up=mlp.gate_up_proj post_mlp=mlp.down_proj",
        fuses=("qkv", "gate_up"),
        is_gated=True,
    ),
    "llama": _modules(
        "layers",
        "embeddings=tok_embeddings final_norm=norm logits=output",
        "post_ln_pre_attn=attention_norm query=attention.wq key=attention.wk value=attention.wv "
        "post_attn_pre_resid=attention.wo pre_mlp=ffn_norm gate=feed_forward.w1 up=feed_forward.w3 "
        "post_mlp=feed_forward.w2",
        is_gated=True,
    ),
    "gpt2": _modules(
        "transformer.h",
        "embeddings=transformer.wte final_norm=transformer.ln_f logits=lm_head",
        "post_ln_pre_attn=ln_1 qkv=attn.c_attn post_attn_pre_resid=attn.c_proj pre_mlp=ln_2 up=mlp.c_fc "
        "post_mlp=mlp.c_proj",
        fuses=("qkv",),
        is_gated=False,
    ),
    "neox": _modules(
        "gpt_neox.layers",
        "embeddings=gpt_neox.embed_in final_norm=gpt_neox.final_layer_norm logits=embed_out",
        "post_ln_pre_attn=input_layernorm qkv=attention.query_key_value post_attn_pre_resid=attention.dense "
        "pre_mlp=post_attention_layernorm up=mlp.dense_h_to_4h post_mlp=mlp.dense_4h_to_h",
        fuses=("qkv",),
        is_gated=False,
    ),
    "megatron": _modules(
        "decoder.layers",
        "embeddings=embedding.word_embeddings final_norm=decoder.final_layernorm logits=output_layer",
        "post_ln_pre_attn=input_layernorm qkv=self_attention.linear_qkv "
        "post_attn_pre_resid=self_attention.linear_proj pre_mlp=pre_mlp_layernorm gate_up=mlp.linear_fc1 "
        "post_mlp=mlp.linear_fc2",
        fuses=("qkv", "gate_up"),
        is_gated=True,
    ),
    "plain": _modules(
        "blocks",
        "embeddings=embed final_norm=norm logits=head",
        "post_ln_pre_attn=norm1 query=attn.q key=attn.k value=attn.v qkv=attn.qkv "
        "post_attn_pre_resid=attn.proj pre_mlp=norm2 gate=mlp.gate up=mlp.up post_mlp=mlp.down",
    ),
}
