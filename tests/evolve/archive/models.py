"""Models that make archives hard: ties, dropout, BatchNorm, constants, blocks without gradients."""

import torch
import torch.nn.functional as F
from torch import nn


class Odd(nn.Module):
    """Convolutions, BatchNorm, dropout, a tied layer, a buffer that is not persistent, a plain tensor."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.one = nn.Linear(4, 4, bias=False)
        self.other = nn.Linear(4, 4)
        self.other.weight = self.one.weight
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0]), persistent=False)
        self.offset = torch.arange(4.0)
        self.one.bias = None
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, x):
        hidden = self.conv(F.relu_(self.norm(self.stem(x)))).mean((2, 3))
        with torch.no_grad():
            shift = hidden.mean() * 2
        mixed = self.other(self.dropout(self.one(hidden))) * self.scale * self.frozen
        return mixed + self.offset + shift + torch.arange(4, device=x.device) + x.shape[0]


def llama():
    # With sdpa, transformers itself asks whether it is being traced, and then gives the mask in another form:
    # outputs are the same, gradients are to the last bit or two.
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=40, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
            attn_implementation="eager",
        )
    )  # fmt: skip


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            n_embd=16, n_layer=1, n_head=4, vocab_size=40, n_positions=16, bos_token_id=1, eos_token_id=2
        )
    )
