"""What the parts of real models are, written down by hand and apart from the registry under test.

In a layer by what stands behind its number, outside by the whole name without `model.` and the like. Parts
that are held in one tensor are a tuple. Modules without an entry are containers and activations that have no
counterpart elsewhere, and are left out.
"""

from dataclasses import dataclass

from tests.compare.names import real_names

Part = str | tuple[str, ...]

QKV = ("q", "k", "v")
_HF = {
    "": "layer",
    "self_attn": "attn",
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "self_attn.q_norm": "q_norm",
    "self_attn.k_norm": "k_norm",
    "mlp": "mlp",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
    "mlp.act_fn": "act",
    "input_layernorm": "norm_before_attn",
    "post_attention_layernorm": "norm_before_mlp",
    "embed_tokens": "embed",
    "norm": "norm_last",
    "lm_head": "head",
}
_GEMMA = _HF | {
    "post_attention_layernorm": "norm_of_attn",
    "pre_feedforward_layernorm": "norm_before_mlp",
    "post_feedforward_layernorm": "norm_of_mlp",
}
_FUSED = _HF | {"self_attn.qkv_proj": QKV, "mlp.gate_up_proj": ("gate", "up"), "mlp.activation_fn": "act"}
_MOE = _HF | {
    "mlp.gate": "router",
    "mlp.experts": "experts",
    "mlp.experts.gate_up_proj": "experts.gate_up",
    "mlp.experts.down_proj": "experts.down",
    "mlp.experts.act_fn": "experts.act",
}
_GPT2 = {
    "": "layer",
    "ln_1": "norm_before_attn",
    "attn": "attn",
    "attn.c_attn": QKV,
    "attn.c_proj": "o",
    "ln_2": "norm_before_mlp",
    "mlp": "mlp",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
    "mlp.act": "act",
    "wte": "embed",
    "wpe": "positions",
    "ln_f": "norm_last",
    "lm_head": "head",
}
_NEOX = {
    "": "layer",
    "input_layernorm": "norm_before_attn",
    "post_attention_layernorm": "norm_before_mlp",
    "attention": "attn",
    "attention.query_key_value": QKV,
    "attention.dense": "o",
    "mlp": "mlp",
    "mlp.dense_h_to_4h": "up",
    "mlp.dense_4h_to_h": "down",
    "mlp.act": "act",
    "embed_in": "embed",
    "final_layer_norm": "norm_last",
    "lm_head": "head",
}
_BLOOM = {
    "": "layer",
    "input_layernorm": "norm_before_attn",
    "post_attention_layernorm": "norm_before_mlp",
    "self_attention": "attn",
    "self_attention.query_key_value": QKV,
    "self_attention.dense": "o",
    "mlp": "mlp",
    "mlp.dense_h_to_4h": "up",
    "mlp.dense_4h_to_h": "down",
    "mlp.act": "act",
    "mlp.gelu_impl": "act",
    "word_embeddings": "embed",
    "word_embeddings_layernorm": "norm_of_embed",
    "ln_f": "norm_last",
    "lm_head": "head",
}
_BERT = {
    "": "layer",
    "attention.self": "attn.core",
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    "attention.output.LayerNorm": "norm_after_attn",
    "intermediate.dense": "up",
    "intermediate.intermediate_act_fn": "act",
    "output.dense": "down",
    "output.LayerNorm": "norm_after_mlp",
    "embeddings.word_embeddings": "embed",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm_of_embed",
    "cls.predictions.transform.dense": "head.dense",
    "cls.predictions.transform.LayerNorm": "head.norm",
    "cls.predictions.decoder": "head",
    "lm_head.dense": "head.dense",
    "lm_head.layer_norm": "head.norm",
    "lm_head.decoder": "head",
}
_T5 = {
    "": "layer",
    "layer.0.layer_norm": "norm_before_attn",
    "layer.0.SelfAttention.q": "q",
    "layer.0.SelfAttention.k": "k",
    "layer.0.SelfAttention.v": "v",
    "layer.0.SelfAttention.o": "o",
    "decoder:layer.1.layer_norm": "norm_before_cross",
    "layer.1.EncDecAttention.q": "cross.q",
    "layer.1.EncDecAttention.k": "cross.k",
    "layer.1.EncDecAttention.v": "cross.v",
    "layer.1.EncDecAttention.o": "cross.o",
    "encoder:layer.1.layer_norm": "norm_before_mlp",
    "layer.2.layer_norm": "norm_before_mlp",
    "layer.1.DenseReluDense.wi": "up",
    "layer.1.DenseReluDense.wo": "down",
    "layer.2.DenseReluDense.wi": "up",
    "layer.2.DenseReluDense.wo": "down",
    "layer.1.DenseReluDense.act": "act",
    "layer.2.DenseReluDense.act": "act",
    "shared": "embed",
    "final_layer_norm": "norm_last",
    "lm_head": "head",
}
REAL: dict[str, dict[str, Part]] = {
    "llama": _HF,
    "qwen2": _HF,
    "qwen3": _HF,
    "mistral": _HF,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "olmo2": {**_HF, "post_attention_layernorm": "norm_of_attn", "post_feedforward_layernorm": "norm_of_mlp"},
    "glm4": {**_FUSED, "post_self_attn_layernorm": "norm_of_attn", "post_mlp_layernorm": "norm_of_mlp"},
    "phi": {
        **_HF,
        "self_attn.dense": "o",
        "mlp.fc1": "up",
        "mlp.fc2": "down",
        "mlp.activation_fn": "act",
        "final_layernorm": "norm_last",
    },
    "phi3": _FUSED,
    "mixtral": _MOE,
    "qwen3_moe": _MOE,
    "gpt2": _GPT2,
    "gpt_neo": {
        **_GPT2,
        "attn.attention.q_proj": "q",
        "attn.attention.k_proj": "k",
        "attn.attention.v_proj": "v",
        "attn.attention.out_proj": "o",
    },
    "gptj": {
        **_GPT2,
        "attn.q_proj": "q",
        "attn.k_proj": "k",
        "attn.v_proj": "v",
        "attn.out_proj": "o",
        "mlp.fc_in": "up",
        "mlp.fc_out": "down",
    },
    "gpt_neox": _NEOX,
    "bloom": _BLOOM,
    "falcon": _BLOOM,
    "mpt": {
        "": "layer",
        "norm_1": "norm_before_attn",
        "attn": "attn",
        "attn.Wqkv": QKV,
        "attn.out_proj": "o",
        "norm_2": "norm_before_mlp",
        "ffn": "mlp",
        "ffn.up_proj": "up",
        "ffn.act": "act",
        "ffn.down_proj": "down",
        "wte": "embed",
        "norm_f": "norm_last",
        "lm_head": "head",
    },
    "starcoder2": {**_HF, "mlp.c_fc": "up", "mlp.c_proj": "down", "mlp.act": "act"},
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        "": "layer",
        "attention.q_lin": "q",
        "attention.k_lin": "k",
        "attention.v_lin": "v",
        "attention.out_lin": "o",
        "sa_layer_norm": "norm_after_attn",
        "ffn": "mlp",
        "ffn.lin1": "up",
        "ffn.activation": "act",
        "ffn.lin2": "down",
        "output_layer_norm": "norm_after_mlp",
        "embeddings.word_embeddings": "embed",
        "embeddings.position_embeddings": "positions",
        "embeddings.LayerNorm": "norm_of_embed",
        "vocab_transform": "head.dense",
        "vocab_layer_norm": "head.norm",
        "vocab_projector": "head",
    },
    "vit": {
        "": "layer",
        "attention": "attn",
        "attention.q_proj": "q",
        "attention.k_proj": "k",
        "attention.v_proj": "v",
        "attention.o_proj": "o",
        "layernorm_before": "norm_before_attn",
        "layernorm_after": "norm_before_mlp",
        "mlp": "mlp",
        "mlp.fc1": "up",
        "mlp.fc2": "down",
        "mlp.activation_fn": "act",
        "layernorm": "norm_last",
        "pooler.dense": "pooler.dense",
        "embeddings.patch_embeddings.projection": "embed",
    },
    "t5": _T5,
    "deepseek3": {**_HF, "mlp.gate": "router", "mlp.experts": "experts"},
}
"""Models of transformers. BART, Whisper and OPT stay out: their norms have equal names and other places."""

# Written out, since these are not modules of transformers.
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
    **{name: part for name, part in _HF.items() if not name.startswith("mlp") and "." not in name},
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
    **_HF,
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
        {k: v for k, v in _HF.items() if k not in ("embed_tokens", "norm", "lm_head")},
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

_TOWERS = ("t5", "bert", "roberta")
_STEMS = ("model.", "transformer.", "gpt_neox.", "bert.", "roberta.", "distilbert.")
_LAYERS = (
    "encoder.layer.",
    "transformer.layer.",
    "encoder.block.",
    "decoder.block.",
    "layers.",
    "h.",
    "blocks.",
)


@dataclass(frozen=True, slots=True)
class Known:
    """A name of a model, and what it is."""

    name: str
    module: str
    part: Part
    place: str
    """The tower and the layer."""

    @property
    def identity(self) -> tuple[str, Part]:
        return self.place, self.part


def modules_of(family: str) -> list[Known]:
    """All modules of a model with two layers that have an entry."""
    if family in WRITTEN:
        pattern, inside, around = WRITTEN[family]
        found = [
            Known(name, name, part, "decoder" if "decoder" in name else "") for name, part in around.items()
        ]
        for layer in range(2):
            front = pattern.format(layer)
            place = f"decoder{layer}" if "decoder" in front else str(layer)
            found += [
                Known(f"{front}.{name}" if name else front, f"{front}.{name}" if name else front, part, place)
                for name, part in inside.items()
            ]
        return found
    found = []
    for name in _real()[family]["modules"]:
        known = _look_up(family, name)
        if known is not None:
            found.append(known)
    return found


def parameters_of(family: str) -> list[Known]:
    """All parameters of the modules that have an entry; of what is written out the weights."""
    if family in WRITTEN:
        leaves = ("layer", "attn", "mlp", "act", "attn.core", "experts")
        return [
            Known(f"{known.name}.weight", known.module, known.part, known.place)
            for known in modules_of(family)
            if known.part not in leaves
        ]
    found = []
    for name in _real()[family]["parameters"]:
        whole = _look_up(family, name)
        module, _, leaf = name.rpartition(".")
        known = whole or _look_up(family, module)
        if known is not None:
            part = known.part if leaf == "weight" or whole else _with_leaf(known.part, leaf)
            found.append(Known(name, module, part, known.place))
    return found


def families() -> list[str]:
    return [*REAL, *WRITTEN]


def _with_leaf(part: Part, leaf: str) -> Part:
    return f"{part}.{leaf}" if isinstance(part, str) else tuple(f"{one}.{leaf}" for one in part)


def _look_up(family: str, name: str) -> Known | None:
    short = name
    for stem in _STEMS:
        if not short.startswith("transformer.layer."):
            short = short.removeprefix(stem)
    for container in _LAYERS:
        if short.startswith(container):
            number, _, rest = short.removeprefix(container).partition(".")
            if not number.isdigit():
                return None
            tower = container.split(".")[0] if family in _TOWERS else ""
            table = REAL[family]
            part = table.get(f"{tower}:{rest}", table.get(rest))
            return None if part is None else Known(name, name, part, f"{tower}{number}")
    tower = ""
    if family in _TOWERS and short.startswith(("encoder.", "decoder.")):
        tower, _, short = short.partition(".")
    part = REAL[family].get(short) if short else None
    return None if part is None else Known(name, name, part, tower)


def _real() -> dict[str, dict[str, list[str]]]:
    return real_names.read()
