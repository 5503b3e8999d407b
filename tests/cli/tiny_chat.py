"""A tiny language model with a tokenizer and a chat template, all made here."""

import functools
from pathlib import Path

from tests.stream.tiny_models import SMALL, make_model, save

WORDS = ["<unk>", "<s>", "</s>", "user", "assistant", *(f"word{number}" for number in range(62))]
TEMPLATE = "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}assistant"


def make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.decoder = decoders.Sequence([decoders.Fuse()])
    words.decoder = decoders.WordPiece(prefix="", cleanup=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def make_small(folder: Path) -> Path:
    """A Llama of 12 layers and 11 MB, whose largest weights are cut among workers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=128, intermediate_size=192, vocab_size=4096, num_hidden_layers=12)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@functools.cache
def chat_model(folder: Path) -> Path:
    """A Llama of 2.4 MB, large enough that a budget of 1 MB streams."""
    options = {**SMALL, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3, "head_dim": 32}
    options |= {"eos_token_id": None, "pad_token_id": 2}
    save(make_model("LlamaForCausalLM", options), folder)
    make_tokenizer(folder)
    return folder
