"""How small the configurations of tiny models are."""

TEXT = {"vocab_size": 61, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def sizes(hidden: int = 32, layers: int = 2, heads: int = 4, middle: int = 40) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": middle,
    }
