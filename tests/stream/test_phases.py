"""Streamed weights lie at the addresses, modulo 16, that they would have in memory: kernels look at them."""

import json

import pytest
import torch
from torch import nn

from outgrow.stream import Config, load, offload, restore, set_budget
from outgrow.stream.attachment import stream_of
from outgrow.stream.weights import PHASE_BYTES
from tests.stream.tiny_models import SMALL, make_model

WIDE = {
    **SMALL, "hidden_size": 128, "head_dim": 32, "intermediate_size": 320, "num_hidden_layers": 4,
    "vocab_size": 512,
}  # fmt: skip


def shift_data(path, nbytes):
    """Let the data of a safetensors file begin `nbytes` further on."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    header = raw[8:end] + b" " * nbytes
    json.loads(header)
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[end:])


class Odd(nn.Module):
    """Three values before a matrix: in a file it would begin at no round address."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(3))
        self.layers = nn.ModuleList(nn.Linear(129, 129) for _ in range(8))

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x)) + self.shift.sum()
        return x


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_matrices_after_odd_ones_give_equal_bits(tmp_path, share):
    torch.manual_seed(0)
    model = Odd().eval()
    inputs = torch.randn(5, 129)
    with torch.no_grad():
        expected = model(inputs)
    total = sum(weight.nbytes for weight in model.parameters())
    offload(model, Config(storage_path=tmp_path, budget=int(total * share)))
    with torch.no_grad():
        assert torch.equal(model(inputs), expected)
        set_budget(model, int(total * 0.5))
        assert torch.equal(model(inputs), expected)
        assert torch.equal(restore(model)(inputs), expected)


def test_offloaded_matrices_can_be_read_in_place(tmp_path):
    model = nn.Sequential(nn.Linear(256, 129), nn.Linear(129, 256), nn.Linear(256, 256))
    offload(model, Config(storage_path=tmp_path, budget=300_000))
    plan = stream_of(model).plan
    streamed = [plan.footprints[index] for index in plan.order if plan.pieces[index].nbytes >= 64 * 1024]
    assert streamed
    assert all(footprint.is_in_place for footprint in streamed)


@pytest.mark.peer
@pytest.mark.parametrize("share", [0.3, 0.7, 2.0])
@pytest.mark.parametrize("shift", [0, 8])
def test_float32_checkpoints_give_equal_bits_wherever_their_data_begin(tmp_path, shift, share):
    transformers = pytest.importorskip("transformers")
    make_model("LlamaForCausalLM", WIDE, torch.float32).save_pretrained(tmp_path)
    shift_data(tmp_path / "model.safetensors", shift)
    peer = transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval()
    phases = {weight.data_ptr() % PHASE_BYTES for weight in peer.parameters()}
    model = load(tmp_path, int(share * sum(weight.nbytes for weight in peer.parameters())))
    tokens = torch.randint(3, 512, (2, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, peer(tokens).logits), phases
        assert torch.equal(model(tokens[:1, :1]).logits, peer(tokens[:1, :1]).logits), phases


def test_resident_and_streamed_weights_have_the_phase_of_the_file(tmp_path):
    pytest.importorskip("transformers")
    make_model("LlamaForCausalLM", WIDE, torch.float32).save_pretrained(tmp_path)
    shift_data(tmp_path / "model.safetensors", 4)
    model = load(tmp_path, 1_500_000)
    for weight in stream_of(model).weights:
        expected = weight.weight.source.segments[0].offset % PHASE_BYTES
        assert weight.weight.phase == expected
        if weight.resident is not None:
            assert weight.resident.data_ptr() % PHASE_BYTES == expected
        for rows, tile in weight.tiles.items():
            row_bytes = weight.weight.nbytes // weight.shape[0]
            assert tile.data_ptr() % PHASE_BYTES == (expected + rows[0] * row_bytes) % PHASE_BYTES
