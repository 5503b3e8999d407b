"""`outgrow demo whole`: every promise is looked at, and a broken one is said."""

import dataclasses
import json
import xml.etree.ElementTree as ET

import pytest
import torch

from outgrow.cli import demo_whole, one_model_in_four_rooms
from outgrow.cli.main import main
from outgrow.cli.one_model_in_four_rooms import Rooms, Row, small_model
from outgrow.cli.rooms_picture import draw_rooms

ROW = Row(
    room="a < b",
    promise="bit-identical",
    found="2 of 2 equal",
    is_kept=True,
    first_divergence=None,
    memory_bytes=5_000_000,
    seconds=1.5,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("transformers")
    from tests.cli.tiny_chat import make_tokenizer

    folder = small_model(tmp_path_factory.mktemp("small") / "model")
    make_tokenizer(folder)
    return folder


@pytest.fixture
def _small(model, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo_whole, "prepare_model", lambda *, may_fetch: model)


@pytest.mark.usefixtures("_small")
def test_the_whole_demo_says_what_changed_in_every_room(tmp_path, capsys):
    picture = tmp_path / "rooms.svg"
    prompt = " ".join(f"word{number}" for number in range(20))
    assert main(["demo", "whole", "--json", "--prompt", prompt, "--svg", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)["whole"]
    assert [row["room"] for row in found["rooms"]] == [
        "resident, again", "streamed", "sharded", "grown", "grown, streamed",
    ]  # fmt: skip
    assert all(row["is_kept"] for row in found["rooms"])
    memory = {row["room"]: row["memory_bytes"] for row in found["rooms"]}
    assert 0 < memory["streamed"] <= memory["resident, again"] // 10
    assert ".self_attn" in found["planted"]["first_divergence"]["expected"]
    ET.parse(picture)


@pytest.mark.usefixtures("_small")
def test_a_promise_that_is_not_kept_is_said(capsys, monkeypatch):
    def visit(source, folder, tokens):
        rooms = Rooms(folder, torch.ones(2, 4))
        net = torch.nn.Sequential(torch.nn.Linear(4, 4))
        rooms.record(net, "resident")
        rooms.rows = [ROW, dataclasses.replace(ROW, is_kept=False, first_divergence="its.layer")]
        yield from [rooms] * 5
        rooms.record(net, "faulty")

    monkeypatch.setattr(one_model_in_four_rooms, "visit", visit)
    assert main(["demo", "whole", "--prompt", "word1"]) == 1
    said = capsys.readouterr().out
    assert said.count("NOT KEPT") == 1
    assert "its.layer" in said


def test_the_picture_says_what_was_not_kept():
    text = draw_rooms([ROW, dataclasses.replace(ROW, is_kept=False)])
    assert "a &lt; b" in text
    assert text.count("✓ kept") == text.count("✗ not kept") == 1
    ET.fromstring(text)
