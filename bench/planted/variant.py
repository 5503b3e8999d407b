"""How the two runs of a case are dumped, drawn at random."""

__all__ = ["TRANSPORTS", "Variant", "draw_variant"]

import random
from dataclasses import dataclass

from bench.planted.dump import Style
from bench.planted.shape import Shape

TRANSPORTS = ("mapping", "recording", "directory", "zip", "tar.gz", "safetensors")
_ONE, _MANY = ("h s d", "s h d"), ("b h s d", "b s (h d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The styles of both sides and the way in which they reach the comparison."""

    expected: Style
    actual: Style
    transport: str
    is_mirrored: bool
    """Whether the run that may be broken is given as the expected one."""
    families: tuple[str, ...]
    """What makes this pair hard: `names`, `shifted`, `layout`, `fused`, `repeated`, `parameters`,
    `tp2`, `tp4`; `plain` where nothing does."""


def draw_variant(rng: random.Random, shape: Shape, tp: int) -> Variant:
    """Of all combinations; one pair in five differs in nothing but who computed it."""
    families = []
    naming = rng.choices(["same", "recorded", "shifted", "modules"], [0.38, 0.12, 0.15, 0.35])[0]
    lays_out = rng.random() < 0.65
    expected_name = actual_name = "stages"
    fused: tuple[str, ...] = ()
    if naming == "modules":
        expected_name = rng.choices(
            ["hugging_face", "llama" if shape.is_gated else "plain", "stages"], [7, 2, 1]
        )[0]
        others = ["hugging_face", "plain"]
        others += ["vllm", "llama", "megatron"] if shape.is_gated else ["gpt2", "neox"]
        actual_name = rng.choice([name for name in others if name != expected_name])
        families.append("names")
        always = {
            "vllm": ("qkv", "gate_up"),
            "megatron": ("qkv", "gate_up"),
            "gpt2": ("qkv",),
            "neox": ("qkv",),
        }
        fused = always.get(actual_name, ())
    if naming == "recorded":
        expected_name = actual_name = "hugging_face"
    if not fused and rng.random() < 0.12 and actual_name not in ("llama",):
        fused = ("qkv",)
    if fused:
        families.append("fused")
    if naming == "shifted":
        families.append("shifted")
    one = shape.batch == 1
    repeats = (
        actual_name == expected_name == "stages" and shape.heads > shape.kv_heads and rng.random() < 0.08
    )
    if repeats:
        families.append("repeated")
    are_modules = expected_name != "stages" and actual_name != "stages"
    expected_heads = "b s (h d)" if naming in ("modules", "recorded") else "b h s d"
    hidden, heads = "b s c", expected_heads
    if lays_out:
        hidden = rng.choice(["s b c", "s b c", "b s c", "(b s) c", "s c" if one else "(s b) c"])
        heads = rng.choice(
            ["s b h d", "b s h d", "s b (h d)", "(b s) h d", "(b s) (h d)", *(_ONE if one else _MANY)]
        )
        if are_modules:
            heads = hidden.replace("c", "(h d)") if rng.random() < 0.7 else heads
        if (hidden, heads) != ("b s c", expected_heads):
            families.append("layout")
    if tp > 1:
        families.append(f"tp{tp}")
    order = {"neox": "groups", "megatron": "groups", "vllm": "parts", "gpt2": "parts"}
    scalars = rng.random() < 0.6
    transport = rng.choices(TRANSPORTS, [5, 3 if are_modules else 0, 1, 0.5, 0.5, 1])[0]
    if naming == "recorded":
        transport = "recording"
    shows_parameters = naming == "recorded" and tp == 1 and rng.random() < 0.6
    if shows_parameters:
        families.append("parameters")
    return Variant(
        expected=Style(
            vocabulary=expected_name,
            heads=expected_heads,
            has_scalars=scalars,
            repeats_kv=repeats,
            has_parameters=shows_parameters,
        ),
        actual=Style(
            vocabulary=actual_name,
            first_layer=rng.choice([1, 3, 10]) if naming == "shifted" else 0,
            hidden=hidden,
            heads=heads,
            fused=fused,
            fused_order=order.get(actual_name) or rng.choice(["parts", "groups"]),
            has_scalars=scalars,
            has_parameters=shows_parameters,
            gathers_logits=rng.random() < 0.5,
        ),
        transport=transport,
        is_mirrored=tp == 1 and rng.random() < 0.1,
        families=tuple(families) or ("plain",),
    )
