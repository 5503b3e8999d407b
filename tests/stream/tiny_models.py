"""Tiny random transformers models and their checkpoints, each with something special about it."""

import importlib
import json
from pathlib import Path

import torch
from torch import nn

SMALL = {
    "vocab_size": 67,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GEMMA3 = {**SMALL, "num_hidden_layers": 6, "sliding_window": 8}
QWEN_MOE = {**SMALL, "moe_intermediate_size": 24, "num_experts": 11, "num_experts_per_tok": 2}
OPT = {**SMALL, "ffn_dim": 48, "max_position_embeddings": 32, "word_embed_proj_dim": 16}
T5 = {
    "vocab_size": 67,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 67, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32, "bos_token_id": 1}

FALCON = {
    "vocab_size": 67, "hidden_size": 32, "ffn_hidden_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "new_decoder_architecture": True, "num_kv_heads": 2,
}  # fmt: skip

# Each with what makes it special.
FAMILIES = {
    "llama": ("LlamaForCausalLM", SMALL),
    "llama tied": ("LlamaForCausalLM", {**SMALL, "tie_word_embeddings": True}),
    "llama with biases": ("LlamaForCausalLM", {**SMALL, "attention_bias": True, "mlp_bias": True}),
    "gpt2: Conv1D, tied, saved without its prefix": ("GPT2LMHeadModel", GPT2),
    "qwen3": ("Qwen3ForCausalLM", SMALL),
    "gemma 2": ("Gemma2ForCausalLM", SMALL),
    "gemma 3: a buffer scales the embedding": ("Gemma3ForCausalLM", GEMMA3),
    "mixtral: experts merged on load": ("MixtralForCausalLM", {**SMALL, "num_local_experts": 4}),
    "qwen3 moe: eleven experts, 10 after 2": ("Qwen3MoeForCausalLM", QWEN_MOE),
    "phi-3: fused projections": ("Phi3ForCausalLM", SMALL),
    "opt: projections around": ("OPTForCausalLM", OPT),
    "falcon": ("FalconForCausalLM", FALCON),
    "mamba: no attention": ("MambaForCausalLM", {**SMALL, "state_size": 4}),
    "t5: encoder and decoder, three names for one weight": ("T5ForConditionalGeneration", T5),
    "bert: encoder alone, tied with a bias": ("BertForMaskedLM", SMALL),
    "marian: positions that no file holds": (
        "MarianMTModel",
        {"vocab_size": 67, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
         "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
         "decoder_ffn_dim": 48, "pad_token_id": 0,
         "decoder_start_token_id": 0, "max_position_embeddings": 16},
    ),
    "batch norm: persistent buffers, integers among them": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_channels": 3},
    ),
}  # fmt: skip


def make_model(class_name, options, dtype=torch.bfloat16):
    torch.manual_seed(0)
    kind = getattr(importlib.import_module("transformers"), class_name)
    model = kind(kind.config_class(**options)).to(dtype).eval()
    with torch.no_grad():
        # Initialised biases and norms are all alike; a mix-up would not be seen.
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight, dtype=torch.float32).mul(0.1).to(dtype))
        for buffer in model.buffers():
            if buffer.is_floating_point() and buffer.dim():
                buffer.add_(torch.rand_like(buffer))
    return model


def save(model, folder, **options):
    model.save_pretrained(folder, **options)
    return folder


def write_holes(model: nn.Module, folder: Path, files: int) -> None:
    """A sharded bfloat16 checkpoint of `model` whose weights are holes: any size, no disk."""
    weights = list(model.state_dict().items())
    places = {}
    for i in range(files):
        name, entries, end = f"model-{i + 1:05}-of-{files:05}.safetensors", {}, 0
        for key, weight in weights[i::files]:
            begin, end = end, end + weight.nbytes
            entries[key] = {"dtype": "BF16", "shape": list(weight.shape), "data_offsets": [begin, end]}
            places[key] = name
        header = json.dumps(entries).encode()
        with (folder / name).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + end)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
