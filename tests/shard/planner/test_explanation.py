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


def _with_details(wide, **changes):
    """The same answer with other details of the plan that runs."""
    (cycle,) = wide["cycles"]
    first, *others = cycle["candidates"]
    changed = {**first, "details": {**first["details"], **changes}}
    return {**wide, "cycles": [{**cycle, "candidates": [changed, *others]}]}


def test_a_plan_that_exchanges_nothing_says_so():
    text = explanation_text(answer(make_plan(linear_step(outputs=128)), 2))
    assert text.splitlines()[-1] == "Nothing is exchanged."


def test_long_tables_end_with_what_is_left_out(wide):
    details = wide["cycles"][0]["candidates"][0]["details"]
    leaf = {**details["leaves"][0], "bytes": 1000, "name": "small"}
    others = {"count": 4, "bytes": 2000}
    text = explanation_text(_with_details(wide, leaves=[leaf] * 30, other_leaves=others))
    assert sum(line.startswith("small ") for line in text.splitlines()) == 24
    assert "and 10 more of 8.00 kB together" in text.splitlines()
    (move,) = details["collectives"]
    moves = [{**move, "bytes": 1000 * number} for number in range(1, 28)]
    text = explanation_text(_with_details(wide, collectives=[*moves, *moves]))
    lines = text.splitlines()
    assert sum(line.startswith("all_reduce ") for line in lines) == 24
    assert lines[-1] == "and 3 kinds more"


def test_a_picture_shows_times_only_where_they_were_measured(wide):
    (cycle,) = wide["cycles"]
    assert "·  measured " in picture(wide)
    unmeasured = [{**one, "measured_seconds": None} for one in cycle["candidates"]]
    drawn = picture({**wide, "cycles": [{**cycle, "candidates": unmeasured}]})
    assert "·  measured " not in drawn
    assert picture(wide).count("<rect") - drawn.count("<rect") == len(unmeasured)


def test_a_picture_shows_what_is_exchanged_on_the_way_back_and_who_owns_what(wide):
    *before, last = wide["cycles"][0]["candidates"][0]["details"]["stages"]
    move = {"collective": "all_gather", "bytes": 3000}
    stages = [*before, {**last, "backward": [move, move], "placement": "O(1)"}]
    drawn = picture(_with_details(wide, stages=stages))
    assert "all-gather 6.00 kB in 2" in drawn
    assert "on worker 1" in drawn
    assert "all-gather" not in picture(wide)


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
