"""Families of transformers in tiny configurations: what is listed grows exactly."""

import copy

import pytest
import torch

from outgrow import evolve
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from tests.evolve.coupling.families import build
from tests.evolve.coupling.language_families import LANGUAGE
from tests.evolve.coupling.vision_families import VISION

pytest.importorskip("transformers")

QUICK = ("gpt2", "llama", "vit", "resnet_basic")
NEEDS_FLOAT32 = {"mixtral", "qwen2_moe"}
"""Their experts run in one fused product that knows no float64."""
MAYBE_EMPTY = {"bit", "mamba2"}
"""Weights that are normalised before they are used; state space heads that reshape by their own sizes."""
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}


def grown_everywhere(family, dtype, counts):
    model, inputs = build(family, dtype)
    found = evolve.sites(model, inputs)
    assert len({site.name for site in found}) == len(found)
    with torch.no_grad():
        before = output_tensors(model(**inputs))
    for number, site in enumerate(found):
        grown, step = copy.deepcopy(model), counts[number % len(counts)] * site.step
        edit = evolve.widen(grown, site, by=step, seed=number)
        assert edit.promise == "exact"
        with torch.no_grad():
            change = relative_change(output_tensors(grown(**inputs)), before)
        assert change <= ROUNDING[dtype], (site.name, step, change)
    return found


@pytest.mark.parametrize("family", QUICK)
def test_a_few_families_grow_exactly_wherever_it_is_said(family):
    dtype = torch.float64
    found = grown_everywhere(family, dtype, (1, 2))
    assert len(found) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({**LANGUAGE, **VISION}))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["fp64", "fp32"])
def test_every_family_grows_exactly_wherever_it_is_said(family, dtype):
    if family in NEEDS_FLOAT32 and dtype == torch.float64:
        pytest.skip("its experts do not run in float64")
    found = grown_everywhere(family, dtype, (1, 2, 3))
    assert found or family in MAYBE_EMPTY


def test_heads_of_gpt2_change_with_the_numbers_its_attention_splits_by():
    model, inputs = build("gpt2")
    evolve.widen(model, "transformer.h.1.attn.c_attn", by=48, example_inputs=inputs)
    attention = model.transformer.h[1].attn
    assert attention.split_size == 48
    assert attention.c_attn.nf == 144
    assert model.transformer.h[0].attn.split_size == 32


def test_groups_and_heads_within_groups_of_llama_have_names_of_their_own():
    model, inputs = build("llama")
    found = {site.name: site for site in evolve.sites(model, inputs)}
    groups, within = (found[f"model.layers.0.{name}"] for name in ("self_attn.q_proj", "self_attn"))
    assert {one.weight.split(".")[-2] for one in groups.coupled} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert {one.weight.split(".")[-2] for one in within.coupled} == {"q_proj", "o_proj"}
    evolve.widen(model, "model.layers.0.self_attn.k_proj", by=16, example_inputs=inputs)
    assert model.model.layers[0].self_attn.k_proj.out_features == 24


def test_numbers_that_only_the_other_kernel_reads_change_too():
    """Without a mask the fused kernel counts the heads; with one, the module repeats keys by a number."""
    model, inputs = build("llama")
    evolve.widen(model, "model.layers.0.self_attn", by=16, example_inputs=inputs)
    assert [layer.self_attn.num_key_value_groups for layer in model.model.layers] == [3, 2]
    assert model.config._attn_implementation == "sdpa"
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, :3] = 0
    fresh, _ = build("llama")
    with torch.no_grad():
        expected, actual = (one(**inputs, attention_mask=mask).logits for one in (fresh, model))
    assert torch.allclose(actual[1], expected[1], rtol=1e-10, atol=1e-12)
