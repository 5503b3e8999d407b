"""The nearest names, in bounded time."""

import random
import time

import pytest

from outgrow.compare.names import pair_records
from outgrow.compare.names.near import find_near
from tests.compare.names.made import recording


def test_the_likest_come_first():
    others = ["model.layers.3.mlp.up", "model.layers.3.mlp.upp", "embed", "model.norm"]
    near = find_near(["model.layers.3.mlp.uq", "zzz"], others)
    assert near == {"model.layers.3.mlp.uq": (*others[:2], "model.norm")}


def test_the_same_layer_comes_first():
    others = [f"layers.{layer}.up_proj" for layer in range(200)]
    assert find_near(["layers.77.up_prok"], others)["layers.77.up_prok"][0] == "layers.77.up_proj"


def test_nothing_is_near_where_there_is_nothing():
    assert find_near(["a"], []) == find_near([], ["a"]) == {}


def word(rng):
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9)))


@pytest.mark.parametrize("vocabulary", [0, 40])
def test_twenty_thousand_names_take_no_minutes(vocabulary):
    rng = random.Random(5)
    few = [word(rng) for _ in range(vocabulary)]

    def names(count):
        return [".".join(rng.choice(few) if few else word(rng) for _ in range(5)) for _ in range(count)]

    here, there = names(20_000), names(20_000)
    started = time.process_time()
    near = find_near(here, there)
    assert time.process_time() - started < 5  # 0.5 s where this was written, on an idle machine
    assert all(1 <= len(found) <= 3 for found in near.values())


def test_endless_names_are_compared_by_their_ends():
    here = ["x" * 50_000 + f".{index}a" for index in range(50)]
    started = time.process_time()
    assert find_near(here, [name + "b" for name in here])
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "part", [".weight", "-12345", "1.", "a/", "_", "layers.", "module.", "output.0", "é"]
)
def test_hostile_names_cost_no_minutes(part):
    names = [part * 9_000 + f"{index}x" for index in range(4)]
    started = time.process_time()
    pair_records(recording(*names), [recording(*(name + "y" for name in names))])
    assert time.process_time() - started < 5
