"""Grow a language model; compare proves that nothing moved; then it streams, and trains on two workers.

python examples/grow_a_language_model.py
"""

import copy
import tempfile
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import outgrow.shard as gt
from outgrow import evolve, stream
from outgrow.capture import record
from outgrow.compare import compare


def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=256,
        use_cache=False,
    )
    return LlamaForCausalLM(config).eval()


def prove_equal(parent: torch.nn.Module, child: torch.nn.Module, tokens: torch.Tensor) -> None:
    """Every layer of the child gives what the parent's gives; within a layer there is more of it now."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        before, after = Path(folder) / "before", Path(folder) / "after"
        with record(parent, before):
            parent(tokens)
        with record(child, after):
            child(tokens)
        with compare(expected=before, actual=after, only="model.layers.?.output*") as comparison:
            assert comparison.verdict == "match", comparison.verdict
            print(f"compare: {comparison.verdict}, {len(comparison.findings)} layers")


def main() -> None:
    model, tokens = tiny_model(), torch.randint(0, 256, (2, 16))
    parent = copy.deepcopy(model)
    weights = sum(parameter.numel() for parameter in model.parameters())
    for name in [site.name for site in evolve.sites(model, tokens) if "layers.1." in site.name]:
        # Looked up again each time: a group of heads is larger once it has grown.
        site = next(site for site in evolve.sites(model, tokens) if site.name == name)
        edit = evolve.widen(model, site, by=site.step)
        print(f"{edit.site}: {edit.promise}, outputs moved by {edit.change:.0e}")
    grown = sum(parameter.numel() for parameter in model.parameters())
    print(f"from {weights:,} to {grown:,} weights")
    prove_equal(parent, model, tokens)

    with torch.no_grad():
        expected = model(tokens).logits
        # Streamed: the same bits with a third of the weights in memory.
        with tempfile.TemporaryDirectory() as folder:
            config = stream.Config(storage_path=folder, vram_budget_gb=grown * 4 / 3 / 1e9)
            streamed = stream.offload(copy.deepcopy(model), config)
            print("streamed: the same bits:", torch.equal(streamed(tokens).logits, expected))
            stream.restore(streamed)

    # Sharded: a step on two workers gives the loss of a step here.
    alone = model(tokens, labels=tokens).loss.item()
    gt.connect(workers=2)
    sharded = copy.deepcopy(model).to("workers")
    loss = sharded(tokens.to("workers"), labels=tokens.to("workers")).loss
    loss.backward()
    print(f"sharded: loss {loss.item():.4f}, here {alone:.4f}")
    assert abs(loss.item() - alone) < 1e-4
    gt.shutdown()


if __name__ == "__main__":
    main()
