"""A model of many weights, streamed, that has to run as the resident one."""

import torch

from tests.stream.streaming import assert_same, llama, token_ids

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}


def tall(dtype=torch.float32):
    return llama(dtype, **LARGE)


def assert_runs_the_same(model, resident):
    with torch.no_grad():
        for _ in range(2):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)
