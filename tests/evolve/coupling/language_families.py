"""Tiny models of language: nobody tuned anything for one of them."""

from tests.evolve.coupling.tiny_sizes import sizes

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
    "gpt_neox": ("GPTNeoXForCausalLM", sizes()),
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
    "llama": ("LlamaForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "llama_tied": ("LlamaForCausalLM", {**sizes(), "num_key_value_heads": 2, "tie_word_embeddings": True}),
    "mistral": ("MistralForCausalLM", {**sizes(), "num_key_value_heads": 2, "sliding_window": 4}),
    "qwen2": ("Qwen2ForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "qwen3": ("Qwen3ForCausalLM", {**sizes(), "num_key_value_heads": 2, "head_dim": 6}),
    "gemma": ("GemmaForCausalLM", {**sizes(), "num_key_value_heads": 1, "head_dim": 6}),
    "gemma2": (
        "Gemma2ForCausalLM",
        {**sizes(), "num_key_value_heads": 2, "head_dim": 6, "sliding_window": 4},
    ),
    "gemma3": (
        "Gemma3ForCausalLM",
        {**sizes(), "num_key_value_heads": 2, "head_dim": 6, "sliding_window": 4},
    ),
    "phi": ("PhiForCausalLM", sizes()),
    "phi3": ("Phi3ForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "stablelm": ("StableLmForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "olmo": ("OlmoForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "olmo2": ("Olmo2ForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "granite": ("GraniteForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "cohere": ("CohereForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "starcoder2": ("Starcoder2ForCausalLM", {**sizes(), "num_key_value_heads": 2}),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}),
    "codegen": (
        "CodeGenForCausalLM",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 32},
    ),
    "mixtral": (
        "MixtralForCausalLM",
        {**sizes(), "num_key_value_heads": 2, "num_local_experts": 3, "num_experts_per_tok": 2},
    ),
    "qwen2_moe": (
        "Qwen2MoeForCausalLM",
        {
            **sizes(),
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
    "bert": ("BertForSequenceClassification", {**sizes(), "max_position_embeddings": 32}),
    "bert_mlm": ("BertForMaskedLM", {**sizes(), "max_position_embeddings": 32}),
    "bert_base": ("BertModel", {**sizes(), "max_position_embeddings": 32}),
    "roberta": ("RobertaForMaskedLM", {**sizes(), "max_position_embeddings": 32}),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "max_position_embeddings": 32},
    ),
    "albert": (
        "AlbertForSequenceClassification",
        {**sizes(), "embedding_size": 16, "max_position_embeddings": 32},
    ),
    "electra": (
        "ElectraForSequenceClassification",
        {**sizes(), "embedding_size": 16, "max_position_embeddings": 32},
    ),
    "deberta": (
        "DebertaForSequenceClassification",
        {
            **sizes(),
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "max_position_embeddings": 32,
        },
    ),
    "deberta_v2": (
        "DebertaV2ForSequenceClassification",
        {
            **sizes(),
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "max_position_embeddings": 32,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 8,
        },
    ),
    "mpnet": ("MPNetForSequenceClassification", {**sizes(), "max_position_embeddings": 32}),
    "modernbert": (
        "ModernBertForMaskedLM",
        {**sizes(), "local_attention": 4, "cls_token_id": 1, "sep_token_id": 2},
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
        {**sizes(), "embedding_size": 32, "max_position_embeddings": 32},
    ),
    "fnet": ("FNetForSequenceClassification", {**sizes(), "max_position_embeddings": 32}),
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
