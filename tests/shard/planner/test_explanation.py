"""What is said and drawn of a plan."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from bench.planning_capture import capture
from bench.planning_models import GPT as GPTModel
from bench.planning_models import SMALL, pixel, words
from outgrow.shard.planner.explanation import cycle_sentence, explanation_text, placement_text
from outgrow.shard.planner.picture import picture
from outgrow.shard.planner.plan import make_plan
from tests.shard.planner.answers import answer
from tests.shard.planner.linear_step import linear_step


@pytest.fixture(scope="module")
def wide():
    """What is answered about a wide layer, by JSON and back."""
    return json.loads(json.dumps(answer(make_plan(linear_step()), 2)))


def test_the_text_names_placements_bytes_and_times(wide):
    text = explanation_text(wide, {1: "embedding.weight"})
    assert "2 workers" in text
    assert "Step 1: planned." in text
    assert "one worker alone" in text
    (line,) = [line for line in text.splitlines() if line.startswith("embedding.weight")]
    assert "40000x127" in line
    assert "cut along dim 0" in line
    assert "20.3 MB" in line
    assert "10.2 MB" in line
    assert "held whole, a step would take" in line
    assert "all_reduce" in text
    assert "2.03 kB" in text
    assert max(map(len, text.splitlines())) < 200


def test_what_is_not_decided_is_said_so(wide):
    (cycle,) = wide["cycles"]
    trying = {**wide, "cycles": [{**cycle, "used": None, "is_final": False}]}
    assert "being tried" in explanation_text(trying)
    none = {
        **wide,
        "cycles": [{**cycle, "used": None, "candidates": [], "notes": ["MemoryLimitTooSmall: x"]}],
    }
    assert "MemoryLimitTooSmall" in explanation_text(none)
    assert "Nothing has repeated" in explanation_text({"world_size": 2, "cycles": []})
    banned = [{**cycle["candidates"][0], "banned": "loss differs by 0.1"}, *cycle["candidates"][1:]]
    assert "loss differs by 0.1" in explanation_text(
        {**wide, "cycles": [{**cycle, "candidates": banned, "used": 1}]}
    )


def test_a_step_is_told_in_a_line(wide):
    (cycle,) = wide["cycles"]
    assert cycle_sentence(cycle) == "planned: 10.5 MB on each worker, 2.03 kB in 1 exchange"
    assert cycle_sentence({**cycle, "used": None}) == "no plan yet: op by op"
    solo = next(number for number, one in enumerate(cycle["candidates"]) if one["kind"] == "solo")
    told = cycle_sentence({**cycle, "used": solo})
    assert told.startswith("one worker alone: ")
    assert told.endswith(" on one worker, no exchange")


def test_placements_have_words():
    texts = ("R", "S(0)", "P(sum)", "P(max)", "O(1)")
    assert [placement_text(text) for text in texts] == [
        "whole", "cut along dim 0", "sums", "parts (max)", "on worker 1",
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["pixel", "gpt_two_layers", "cnn"])
@pytest.mark.parametrize("world_size", [2, 8])
def test_pictures_are_well_formed_for_every_candidate(case, world_size):
    plans = make_plan(capture(SMALL[case], "adam", world_size).problem)
    for used in range(len(plans)):
        root = ElementTree.fromstring(picture(answer(plans, world_size, used=used), {0: "a <b> & c"}))
        assert root.tag.endswith("svg")
        texts = [element.text for element in root.iter() if element.tag.endswith("text")]
        assert any(text.startswith(f"One step on {world_size}") for text in texts)
        height = float(root.attrib["height"])
        assert all(
            0 <= float(element.attrib["y"]) <= height for element in root.iter() if "y" in element.attrib
        )


def test_the_picture_shows_what_is_exchanged():
    plans = make_plan(capture(pixel(image=200, layers=1), "sgd", 2).problem)
    text = picture(answer(plans, 2))
    assert "all-reduce 8.19 kB" in text
    at = [plan.kind for plan in plans].index("data parallel")
    text = picture(answer(plans, 2, used=at))
    assert "all-reduce 20.5 MB" in text


def test_layers_that_repeat_are_drawn_once():
    plans = make_plan(capture(words(GPTModel, 8, 8, 48, dim=16, heads=4, layers=6), "sgd", 2).problem)
    at = [plan.kind for plan in plans].index("replicated")
    stages = plans[at].details["stages"]
    assert len(stages) < 12
    assert max(stage["repeats"] for stage in stages) == 6


def test_a_picture_without_a_plan_says_so():
    assert "Nothing has repeated yet" in picture({"world_size": 2, "cycles": []})
