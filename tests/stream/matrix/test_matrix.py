"""Streamed architectures of transformers give the bits of resident ones: some in every run, all if slow."""

import copy
import sys

import pytest
import torch

from outgrow.errors import InputError
from outgrow.stream import Config, offload, restore, statistics

pytest.importorskip("transformers")

from tests.stream.matrix.__main__ import main
from tests.stream.matrix.architectures import architectures, build
from tests.stream.matrix.results import PAGE, RESULTS, Results, installed_versions
from tests.stream.matrix.verdict import CRASHED, DIFFERS, EQUAL, REFUSED, UNBUILT, Verdict, judge
from tests.stream.matrix.worker import judge_apart

KEPT = Results(RESULTS)

# Each with what makes it special.
SAMPLE = {
    "LlamaForCausalLM": "the plain one",
    "GPT2LMHeadModel": "Conv1D, tied",
    "Gemma3ForCausalLM": "sliding windows, a scaled embedding, tied",
    "MixtralForCausalLM": "experts in one weight each",
    "GptOssForCausalLM": "experts with biases, sinks",
    "DeepseekV3ForCausalLM": "latent attention, shared experts",
    "MambaForCausalLM": "state space: convolution and state kept between tokens",
    "Zamba2ForCausalLM": "layers that share weights, adapters between them",
    "RecurrentGemmaForCausalLM": "gated linear recurrences between local attention",
    "ReformerModelWithLMHead": "hashing, reversible layers, computes in float32 alone",
    "BloomForCausalLM": "alibi, an embedding with a norm",
    "MarianForCausalLM": "positions computed, not stored",
}


@pytest.mark.peer
@pytest.mark.parametrize("name", SAMPLE)
def test_streamed_at_30_percent_gives_the_bits_of_the_resident_model(name, tmp_path):
    verdict = judge(name, tmp_path)
    assert (verdict.outcome, verdict.reason) == (EQUAL, "")
    assert verdict.checkpoint == EQUAL
    assert verdict.generation == EQUAL
    assert 0 < verdict.peak_bytes <= (verdict.least_bytes or verdict.budget_bytes)
    assert verdict.planned_bytes_per_pass > 0.3 * verdict.weights_bytes
    # Reads for the next pass begin before it does, and the window may have changed since: not the last tenth.
    assert verdict.read_bytes_per_pass > 0.7 * verdict.planned_bytes_per_pass


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("name", architectures())
def test_no_architecture_is_worse_than_committed(name, tmp_path):
    verdict = judge(name, tmp_path)
    assert verdict.outcome not in (DIFFERS, CRASHED), verdict.reason
    assert verdict.checkpoint.partition(":")[0] not in (DIFFERS, CRASHED), verdict.checkpoint
    kept = KEPT.verdicts.get(name)
    if kept is not None and KEPT.versions == installed_versions():
        assert (verdict.outcome, verdict.checkpoint) == (kept.outcome, kept.checkpoint)


def test_at_least_nine_in_ten_are_equal_and_none_is_silently_wrong():
    counts = KEPT.counts()
    compared = sum(counts.values()) - counts.get(UNBUILT, 0)
    assert counts.get(EQUAL, 0) >= max(0.9 * compared, 100)
    assert not counts.keys() & {DIFFERS, CRASHED}
    for verdict in KEPT.verdicts.values():
        assert verdict.checkpoint.partition(":")[0] in ("", EQUAL, REFUSED, UNBUILT), verdict
        assert verdict.outcome == EQUAL or verdict.reason


def test_the_page_shows_the_committed_results():
    assert KEPT.page() == PAGE.read_text()


def test_a_model_that_answers_otherwise_is_noticed(tmp_path, monkeypatch):
    from tests.stream.matrix import verdict as module

    genuine = module.offload

    def forgetful(model, config):
        streamed = genuine(model, config)
        head = streamed.lm_head
        streamed.lm_head.register_forward_hook(lambda _, __, logits: logits * (1 + 2**-20))
        assert head is streamed.lm_head
        return streamed

    monkeypatch.setattr(module, "offload", forgetful)
    verdict = judge("LlamaForCausalLM", tmp_path)
    assert verdict.outcome == DIFFERS
    assert "pass 1" in verdict.reason


def test_a_model_that_changes_its_own_weights_runs_with_these_kept_in_memory(tmp_path):
    """RWKV divides some when it is first called."""
    built = build("RwkvForCausalLM")
    streamed, resident = copy.deepcopy(built.model), built.model
    budget = sum(weight.nbytes for weight in resident.parameters()) // 2
    offload(streamed, Config(storage_path=tmp_path, budget=budget))
    with torch.no_grad():
        expected = resident(**built.inputs).logits
        with pytest.raises(InputError, match=r"div_.*\n.*keep_resident=\('rwkv\.blocks\.0\."):
            streamed(**built.inputs)
    restore(streamed)
    written = ("*.attention.output.weight", "*.feed_forward.value.weight")
    offload(streamed, Config(storage_path=tmp_path, budget=budget, keep_resident=written))
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(streamed(**built.inputs).logits, expected)
    assert statistics(streamed).streamed_bytes_per_pass > 0


WORKER = """
import json, os, sys, time
folder, *names = sys.argv[1:]
for name in names:
    if name == "dies":
        print("last words", flush=True)
        os._exit(7)
    if name == "hangs":
        time.sleep(600)
    with open(os.path.join(folder, "verdicts"), "a") as file:
        file.write(json.dumps({"architecture": name, "outcome": "equal"}) + "\\n")
"""


def test_what_dies_or_hangs_costs_its_own_row_alone():
    names = ["first", "dies", "between", "hangs", "last"]
    command = (sys.executable, "-c", WORKER)
    found = list(judge_apart(names, timeout_seconds=1, start_seconds=2, command=command))
    assert [verdict.architecture for verdict in found] == names
    assert [verdict.outcome for verdict in found] == [EQUAL, CRASHED, EQUAL, CRASHED, EQUAL]
    assert "ended with 7" in found[1].reason
    assert "last words" in found[1].reason
    assert "no answer in time" in found[3].reason


def test_a_sweep_goes_on_where_it_was_left(tmp_path, monkeypatch, capsys):
    from tests.stream.matrix import __main__ as sweep

    asked = []

    def answer(batch, *, timeout_seconds):
        asked.extend(batch)
        yield from (Verdict(architecture=name, outcome=EQUAL, weights_bytes=7) for name in batch)

    monkeypatch.setattr(sweep, "judge_apart", answer)
    files = ["--results", str(tmp_path / "results.json"), "--page", str(tmp_path / "page.md")]
    assert main(["LlamaForCausalLM", "OPTForCausalLM", *files]) == 0
    assert asked == ["LlamaForCausalLM", "OPTForCausalLM"]
    asked.clear()
    assert main(files) == 0
    assert sorted(asked) == sorted(set(architectures()) - {"LlamaForCausalLM", "OPTForCausalLM"})
    assert "`OPTForCausalLM`" in (tmp_path / "page.md").read_text()
    assert "equal" in capsys.readouterr().out
