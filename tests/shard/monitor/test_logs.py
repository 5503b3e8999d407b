"""Logs are read strictly, and become traces and pictures."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError
from outgrow.shard.dispatch.instruction_log import Timeline
from outgrow.shard.monitor import chrome_trace, draw_timeline, read_log
from tests.shard.monitor.log_events import EVENTS, START, message


def write(path, events, tail=""):
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + tail)
    return path


def test_a_log_is_read_as_it_was_written(tmp_path):
    assert read_log(write(tmp_path / "a.log", EVENTS)) == EVENTS
    assert read_log(write(tmp_path / "b.log", EVENTS, tail='{"event": "mess')) == EVENTS


def test_what_a_dispatcher_writes_is_read(tmp_path):
    timeline = Timeline(3, tmp_path / "own.log")
    timeline.add("session", session=1, is_open=True)
    timeline.close()
    events = read_log(tmp_path / "own.log")
    assert [event["event"] for event in events] == ["start", "session"]
    assert events[0]["world_size"] == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: it does not begin as one"),
        ("hello\n", "line 1: no JSON"),
        ("3\n", "line 1: no event"),
        ('{"event": "session", "time": 1}\n', "line 1: it does not begin as one"),
        ('{"event": "start", "time": 0, "version": 9, "world_size": 2}\n', "version 9, expected 1"),
        (json.dumps(START) + '\n{"event": "message", "time": 1}\n', "line 2: a message without times"),
        (json.dumps(START) + '\n\n{"event": "x", "time": 1}\n', "line 2: no JSON"),
    ],
)
def test_other_files_are_refused(text, says, tmp_path):
    (tmp_path / "wrong.log").write_text(text)
    with pytest.raises(InputError, match=says):
        read_log(tmp_path / "wrong.log")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_log(tmp_path / "none.log")
    with pytest.raises(InputError, match="directory"):
        read_log(tmp_path)
    (tmp_path / "bytes.log").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text"):
        read_log(tmp_path / "bytes.log")


def check_trace(trace):
    """What Perfetto's and Chrome's readers need."""
    assert json.loads(json.dumps(trace)) == trace
    open_pairs = {}
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
            continue
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        elif event["ph"] == "b":
            open_pairs[event["id"]] = event["ts"]
        elif event["ph"] == "e":
            assert event["ts"] >= open_pairs.pop(event["id"])
        else:
            assert event["ph"] == "i"
    assert not open_pairs


def test_a_trace_has_a_track_for_each_worker():
    trace = chrome_trace(EVENTS)
    check_trace(trace)
    tracks = {
        event["tid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name"
    }
    assert tracks == {0: "dispatcher", 1: "worker 0", 2: "worker 1"}
    complete = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(event["tid"], event["name"]) for event in complete] == [
        (1, "put"),
        (2, "put"),
        (1, "segment 0 (30 instructions)"),
        (2, "segment 0 (30 instructions)"),
        (1, "segment 1 (3 instructions)"),
        (1, "fetch"),
    ]
    assert complete[3]["dur"] == pytest.approx(19_000)


TIMES = st.one_of(st.none(), st.tuples(st.floats(0, 10), st.floats(0, 10)).map(sorted).map(list))
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["CALL", "PUT", "FETCH"]), st.lists(TIMES, min_size=2, max_size=2), st.integers(0, 9)
    ),
    max_size=20,
)


@given(given=MESSAGES)
def test_any_log_becomes_a_trace_and_a_picture(given):
    events = [START]
    events += [
        message(number, kind, times, segment=segment) for number, (kind, times, segment) in enumerate(given)
    ]
    check_trace(chrome_trace(events))
    drawn = ElementTree.fromstring(draw_timeline(events, "a <log> & more"))
    boxes = [one for one in drawn.iter("{http://www.w3.org/2000/svg}rect") if one.get("x")]
    assert all(float(box.get("width")) >= 0 and float(box.get("x")) <= 1000 for box in boxes)


def test_the_picture_shows_every_worker_and_the_busiest_segments():
    drawn = draw_timeline(EVENTS, "my.log")
    assert "worker 0" in drawn
    assert "worker 1" in drawn
    assert "segment 0 (30 instructions): 1 times, 10 ms on worker 0" in drawn
    assert "prefers-color-scheme: dark" in drawn


def test_a_long_log_gives_a_small_picture():
    events = [START]
    for number in range(20_000):
        start = number * 1e-3
        events.append(
            message(number, "CALL" if number % 2 else "PUT", [[start, start + 5e-4]] * 2, segment=number % 9)
        )
    drawn = draw_timeline(events, "long")
    assert len(re.findall("<rect", drawn)) < 2 * 2 * 860 + 50


def test_a_full_disk_ends_the_log_and_nothing_else(capfd):
    timeline = Timeline(1, Path("/dev/full"))
    for _ in range(1000):
        timeline.add("segment", session=1, segment=0, instructions=1, ops={"aten.add": 1})
    timeline.flush()
    timeline.add("session", session=1, is_open=False)
    timeline.close()
    said = capfd.readouterr().err
    assert said.count("'/dev/full' ends here: No space left on device") == 1
