"""What tests of streamed models have in common: little memory, and the same bits as without streaming."""

import copy
import gc
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import outgrow.stream as ts
from outgrow.stream.attachment import stream_of
from tests.stream.tiny_models import SMALL, make_model

VOCABULARY = SMALL["vocab_size"]


def llama(dtype=torch.float32, **options):
    """A tiny Llama of about 120 kB in float32, tied to its head unless told otherwise."""
    return make_model("LlamaForCausalLM", {**SMALL, "tie_word_embeddings": True, **options}, dtype)


class Ballast(nn.Module):
    """A module among others that are much larger, so that its own weights have to stream."""

    def __init__(self, inner):
        super().__init__()
        self.before = nn.ModuleList(nn.Linear(160, 160) for _ in range(6))
        self.inner = inner
        self.after = nn.ModuleList(nn.Linear(160, 160) for _ in range(6))

    def forward(self, *args, **kwargs):
        result, mark = self.inner(*args, **kwargs), torch.linspace(-1, 1, 160)
        for linear in (*self.before, *self.after):
            mark = linear(mark).tanh()
        return result, mark


def token_ids(batch=1, length=7, seed=1):
    """Random tokens, none of them special."""
    return torch.randint(3, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


def weights_bytes(model):
    """Bytes of all parameters, shared ones once."""
    return sum(parameter.nbytes for parameter in model.parameters())


def least_budget(model, folder, **options):
    """The least budget that `model` runs in, as the error names it."""
    with pytest.raises(ts.BudgetTooSmall) as error:
        ts.offload(model, ts.Config(storage_path=folder, budget=1, num_io_threads=1, **options))
    return error.value.least_bytes


def streamed(model, folder, budget=None, **options):
    """`model`, streamed from `folder` within `budget`, else within the least that works."""
    options = {"num_io_threads": 1, "debug_mode": True, **options}
    if budget is None:
        budget = least_budget(model, folder, **{k: v for k, v in options.items() if k == "keep_resident"})
    ts.offload(model, ts.Config(storage_path=folder, budget=budget, **options))
    assert not stream_of(model).plan.streams_nothing, "the test would test nothing"
    return model


def twins(model, folder, budget=None, **options):
    """A model and a streamed copy of it."""
    return model, streamed(copy.deepcopy(model), folder, budget, **options)


def assert_same(actual, expected):
    """Equal bits in every tensor of two results."""
    actual, expected = tree_leaves(actual), tree_leaves(expected)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        if isinstance(other, Tensor):
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            assert torch.equal(_raw(one), _raw(other))
        else:
            assert one == other


def _raw(tensor):
    # Bits, not values: NaN is equal to itself here, and 8-bit floats cannot be compared at all.
    return tensor.detach().contiguous().reshape(-1).clone().view(torch.uint8)


def assert_plain(model):
    """Nothing of streaming is left on a model."""
    for module in model.modules():
        assert not {"forward", "_apply", "__deepcopy__", "_outgrow_stream", "load_state_dict"} & set(
            module.__dict__
        )
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    for parameter in model.parameters():
        assert type(parameter) is torch.nn.Parameter
        # transformers leaves its own mark on every parameter that it opens.
        assert not set(parameter.__dict__) - {"_is_hf_initialized"}


def reading_threads():
    """Threads of streams that are alive."""
    gc.collect()
    return sum(thread.name.startswith("outgrow-read") for thread in threading.enumerate())


def open_files():
    """How many descriptors this process has."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def anonymous_bytes():
    """Anonymous memory of this process."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
