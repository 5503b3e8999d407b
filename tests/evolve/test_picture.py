"""The picture shows every layer, every decision, and nothing outside of its frame."""

import re
import xml.dom.minidom

import pytest

from outgrow.evolve.run.lanes import lanes_of
from outgrow.evolve.run.picture import draw_growth


def moment(flops, layers, kind="evaluation", **figures):
    return {
        "kind": kind, "flops": flops, "steps": int(flops), "parameters": 10 + int(flops),
        "layers": [{"name": name, "kind": "Linear", "width": width} for name, width in layers.items()],
        **({"accuracy": min(flops / 10, 1.0)} if kind in ("evaluation", "test") else {}),
        **figures,
    }  # fmt: skip


def decision(flops, layers, label, *, is_made=True, site="a"):
    return moment(
        flops, layers, "decision", label=label, reason="<because>", is_made=is_made, number=0,
        candidate={"site": site} if is_made else None,
    )  # fmt: skip


HISTORY = [
    moment(0.0, {"a": 4, "b": 8}),
    decision(1.0, {"a": 6, "b": 8}, "widen a by=2"),
    decision(2.0, {"a": 6, "b": 8}, "nothing", is_made=False),
    decision(3.0, {"a": 6, "new": 5, "b": 8}, "deepen a"),
    moment(4.0, {"a": 6, "new": 5, "b": 8}),
    moment(5.0, {"a": 6, "b": 8}, "rollback", label="deepen a", reason="nan", number=2),
    decision(6.0, {"a": 6, "b.0": 8, "b.1": 3}, "deepen b", site="b"),
    moment(9.9, {"a": 6, "b.0": 8, "b.1": 3}, "test"),
]


def test_layers_keep_their_lanes():
    lanes = lanes_of(HISTORY)
    assert [lane.name for lane in lanes] == ["a", "new", "b.0", "b.1"]
    assert lanes[0].spans == ((0.0, 4), (1.0, 6))
    assert lanes[1].spans == ((3.0, 5), (5.0, 0))
    assert lanes[2].spans == ((0.0, 8),)
    assert (lanes[0].first, lanes[0].last, lanes[0].most) == (4, 6, 6)
    assert [lanes[1].width_at(flops) for flops in (2.9, 3.0, 4.9, 5.0)] == [0, 5, 5, 0]


def test_a_layer_that_comes_back_is_in_its_lane():
    lanes = lanes_of([*HISTORY[:6], decision(7.0, {"a": 6, "new": 7, "b": 8}, "deepen a")])
    assert [lane.name for lane in lanes] == ["a", "new", "b"]
    assert lanes[1].spans == ((3.0, 5), (5.0, 0), (7.0, 7))


def test_a_number_tells_layers_apart_whose_names_move():
    def layers(*triples):
        return [{"name": n, "kind": "Linear", "width": w, "number": k} for n, w, k in triples]

    entries = [
        moment(0.0, {}) | {"layers": layers(("0", 4, 0), ("1", 6, 1))},
        moment(1.0, {}) | {"layers": layers(("0", 4, 0), ("1", 5, 2), ("2", 6, 1))},
    ]
    assert [(lane.name, lane.spans) for lane in lanes_of(entries)] == [
        ("0", ((0.0, 4),)),
        ("1", ((1.0, 5),)),
        ("2", ((0.0, 6),)),
    ]


@pytest.fixture
def drawn():
    return xml.dom.minidom.parseString(draw_growth(HISTORY, title="a & b <c>", budget_flops=10.0))


def texts(picture):
    return ["".join(one.data for one in node.childNodes) for node in picture.getElementsByTagName("text")]


def test_every_layer_is_a_band_with_its_widths(drawn):
    told = texts(drawn)
    for word in ("a", "new", "b.0", "b.1", "4 → 6", "5 → gone", "8", "3", "99.0% test"):
        assert any(word in text for text in told), word
    titles = [node.firstChild.data for node in drawn.getElementsByTagName("title")]
    assert "a (Linear): 4 to 6 wide" in titles
    assert "a & b <c>" in titles


def test_decisions_are_numbered_where_they_changed_something(drawn):
    circles = drawn.getElementsByTagName("circle")
    kinds = [circle.getAttribute("class") for circle in circles]
    assert kinds.count("mark") == 3
    assert kinds.count("none") == 1
    assert kinds.count("test") == 1
    heights = [float(one.getAttribute("cy")) for one in circles if one.getAttribute("class") == "mark"]
    # On a, on the layer that came after it, and below both on the one that came after b.
    assert heights == sorted(heights)
    assert len(set(heights)) == 3
    crosses = [one for one in drawn.getElementsByTagName("path") if one.getAttribute("class") == "undone"]
    assert len(crosses) == 1
    assert any("<because>" in text for text in texts(drawn))


def test_everything_is_within_the_frame(drawn):
    root = drawn.documentElement
    width, height = float(root.getAttribute("width")), float(root.getAttribute("height"))
    for path in drawn.getElementsByTagName("path"):
        if path.getAttribute("class") == "undone":
            continue
        numbers = [float(word) for word in re.findall(r"-?[\d.]+", path.getAttribute("d"))]
        assert min(numbers[::2]) >= 0
        assert max(numbers[::2]) <= width
        assert min(numbers[1::2]) >= 0
        assert max(numbers[1::2]) <= height
    for text in drawn.getElementsByTagName("text"):
        assert 0 < float(text.getAttribute("y")) < height


def test_a_thicker_band_is_a_wider_layer():
    def extent(width):
        svg = draw_growth([moment(0.0, {"a": width, "b": 40}), moment(5.0, {"a": width, "b": 40})], title="t")
        path = xml.dom.minidom.parseString(svg).getElementsByTagName("path")[0].getAttribute("d")
        ys = [float(pair.split(",")[1]) for pair in re.findall(r"[\d.]+,[\d.]+", path)]
        return max(ys) - min(ys)

    assert extent(20) > extent(10) > extent(5) > 0


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 0.97, 1.0])
def test_the_curve_stays_below_its_highest_line(accuracy):
    entries = [moment(0.0, {"a": 4}), {**moment(5.0, {"a": 4}), "accuracy": accuracy}]
    picture = xml.dom.minidom.parseString(draw_growth(entries, title="t"))
    (curve,) = picture.getElementsByTagName("polyline")
    highest = min(float(line.getAttribute("y1")) for line in picture.getElementsByTagName("line"))
    assert all(float(point.split(",")[1]) >= highest - 0.1 for point in curve.getAttribute("points").split())


def test_a_run_that_has_only_begun_and_one_with_many_layers_and_decisions_are_drawn():
    assert draw_growth([moment(0.0, {"a": 4})], title="t").startswith("<svg")
    layers = {f"block.{number}.mlp": 64 for number in range(60)}
    many = [moment(0.0, layers), *(decision(at / 4, layers, f"widen {at}") for at in range(1, 40))]
    assert "and 23 more, in the log" in draw_growth(many, title="t")
