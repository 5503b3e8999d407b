"""Recordings of sharded runs, judged by recordings of the same run on one device."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from outgrow import shard as gt
from outgrow.capture import open_own, record
from outgrow.compare import compare
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_layer=2, n_head=4, n_embd=32, vocab_size=64, n_positions=16, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    model: nn.Module = transformers.GPT2LMHeadModel(config)
    return model


def recorded(path: Path, model: nn.Module, tokens: torch.Tensor) -> Path:
    """One forward and backward pass, outputs and gradients of every module."""
    with record(model, path, kinds=["outputs", "gradients"]):
        model(tokens, labels=tokens).loss.backward()
    return path


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.randint(0, 64, (4, 8), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, tokens: torch.Tensor) -> Path:
    return recorded(tmp_path_factory.mktemp("local") / "run", gpt2(), tokens)


def test_every_module_of_a_sharded_run_equals_the_local_one(
    tmp_path: Path, local: Path, tokens: torch.Tensor
) -> None:
    with use_session(Session(SimulatedLink(2))):
        model = gpt2().to("workers")
        sharded = recorded(tmp_path / "sharded", model, gt.place(tokens.to("workers"), gt.Shard(0)))
    with open_own(sharded) as recording:
        placements = {entry.placement for entry in recording.records}
        assert {"Shard(0)", "Replicate()"} <= placements
        assert {entry.rank for entry in recording.records} == {0, 1}
    with compare(expected=local, actual=sharded) as comparison:
        assert comparison.verdict == "match"
        assert len(comparison.findings) > 80  # outputs of 39 stages, gradients of outputs and of parameters
        with open_own(local) as expected:
            names = {entry.name for entry in expected.records}
        assert {finding.pair.expected.name for finding in comparison.findings} == names


def test_a_fault_of_one_layer_is_found_there(tmp_path: Path, local: Path, tokens: torch.Tensor) -> None:
    with use_session(Session(SimulatedLink(2))):
        model = gpt2().to("workers")
        model.transformer.h[1].attn.scaling = 1.0
        sharded = recorded(tmp_path / "sharded", model, gt.place(tokens.to("workers"), gt.Shard(0)))
    with compare(expected=local, actual=sharded) as comparison:
        assert comparison.verdict == "differ"
        first = comparison.first_divergence
        assert first is not None
        assert first.pair.expected.name.startswith("transformer.h.1.attn")
