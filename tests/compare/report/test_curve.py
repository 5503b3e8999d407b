"""The curve shows where the error jumps."""

import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.report.curve import Point, draw_curve, spark

STATUSES = ("ok", "differs", "inherited", "healed")


def point(error, status="ok", name="x"):
    return Point(name=name, error=error, status=status)


def test_a_line_of_blocks_with_a_mark():
    line, mark = spark([point(0.0), point(1e-7), point(0.5, "differs"), point(math.inf, "inherited")], 80)
    assert line == "·▂▇█"
    assert mark == "  ^"


def test_each_block_shows_its_worst_pair():
    points = [point(0.0)] * 50 + [point(1.0, "differs")] + [point(0.0)] * 49
    line, mark = spark(points, 10)
    assert line == "·····█····"[:10].replace("█", line[5])
    assert line[5] != "·"
    assert mark == "     ^"


def test_nothing_to_draw():
    assert spark([], 80) == ("", "")
    assert draw_curve([]) == ""


@given(
    st.lists(
        st.tuples(st.floats(min_value=0) | st.none(), st.sampled_from(STATUSES), st.text(max_size=5)),
        min_size=1,
        max_size=700,
    )
)
def test_any_curve_is_a_whole_picture(rows):
    printable = [(error, status, "".join(filter(str.isprintable, name))) for error, status, name in rows]
    points = [point(*row) for row in printable]
    root = ET.fromstring(draw_curve(points))
    for circle in root.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= 1040
        assert 0 <= float(circle.get("cy")) <= 300
    line, _mark = spark(points, 40)
    assert len(line) == min(40, len(points))
