"""The order in which a transformer computes."""

import random

import pytest

from outgrow.compare.names import pair_records
from outgrow.compare.order import AFTER_LAYERS, BEFORE_LAYERS, IN_LAYER, stage_place
from tests.compare.names.made import layers, recording

STAGES = (
    "post_ln_pre_attn",
    "query",
    "key",
    "value",
    "query_final",
    "key_final",
    "value_final",
    "scaling",
    "sliding",
    "post_attn",
    "post_attn_pre_resid",
    "pre_mlp",
    "post_mlp",
)


def order(names, *, seed=0, **more):
    shuffled = list(names)
    random.Random(seed).shuffle(shuffled)
    found = pair_records(recording(*shuffled, **more), [recording(*reversed(shuffled))])
    return [pair.expected.name for pair in found.pairs]


@pytest.mark.parametrize("seed", range(3))
def test_a_dump_is_in_the_documented_order(seed):
    names = ["embedding", *layers([0, 1, 2, 10], *STAGES), "final_norm", "head", "logits"]
    assert order(names, seed=seed) == names


def test_modules_are_in_the_order_of_a_forward_pass():
    names = [
        "model.embed_tokens",
        "model.layers.0.input_layernorm",
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.k_proj",
        "model.layers.0.self_attn.v_proj",
        "model.layers.0.self_attn.o_proj",
        "model.layers.0.self_attn",
        "model.layers.0.post_attention_layernorm",
        "model.layers.0.mlp.gate_proj",
        "model.layers.0.mlp.act_fn",
        "model.layers.0.mlp.up_proj",
        "model.layers.0.mlp.down_proj",
        "model.layers.0.mlp",
        "model.layers.0",
        "model.layers.1.input_layernorm",
        "model.norm",
        "lm_head",
    ]
    assert order(names) == names


def test_what_nobody_knows_comes_after_what_it_is_spelled_like():
    names = ["0_query", "0_query_rotated", "0_key", "0_post_mlp", "0_zebra", "1_query", "1_zebra"]
    assert order(names) == names
    around = ["rotary_emb", "0_query", "loss"]
    assert order(around) == around


def test_an_encoder_comes_before_a_decoder():
    names = [
        "shared.weight",
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "encoder.final_layer_norm.weight",
        "decoder.block.0.layer.0.SelfAttention.q.weight",
        "decoder.final_layer_norm.weight",
        "lm_head.weight",
    ]
    assert order(names) == names


def test_gradients_come_last():
    names = ["0_query.weight", "0_query", "1_query", "0_query.weight.grad"]
    assert order(names) == names


def test_recordings_keep_their_own_sequence():
    names = layers([1, 0], "post_mlp", "query")
    expected = recording(*names, is_ordered=True)
    own = pair_records(expected, [recording(*sorted(names))])
    assert [pair.expected.name for pair in own.pairs] == names
    other = pair_records(recording(*sorted(names)), [expected])
    assert [pair.expected.name for pair in other.pairs] == names


def test_parts_of_a_fused_tensor_lie_in_their_order():
    expected = recording(
        "blocks.0.attn.qkv.weight", is_ordered=True, shapes={"blocks.0.attn.qkv.weight": (36,)}
    )
    actual = recording(*(f"layers.0.self_attn.{part}_proj.weight" for part in "vkq"))
    assert [pair.stage for pair in pair_records(expected, [actual]).pairs] == [
        "query.weight",
        "key.weight",
        "value.weight",
    ]


@pytest.mark.parametrize("stages", [BEFORE_LAYERS, IN_LAYER, AFTER_LAYERS])
def test_places_rise_and_inputs_of_modules_come_before_their_parts(stages):
    places = [stage_place(stage, "outputs") for stage in stages]
    assert places == sorted(places)
    assert len(set(stages)) == len(stages)
    for module in ("attn", "mlp", "layer"):
        assert stage_place(module, "inputs") < stage_place(module, "outputs")
    assert stage_place("no_such", "outputs") is None
