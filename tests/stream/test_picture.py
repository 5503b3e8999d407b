import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.stream.picture import draw_plan
from outgrow.stream.plan import make_plan
from outgrow.stream.prediction import Prediction
from outgrow.stream.preview import Preview
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import Use, Weight

SVG = "{http://www.w3.org/2000/svg}"
PREDICTION = Prediction(
    compute_seconds=0.02, read_seconds=0.1, bytes_per_second=1e9, bandwidth_source="measured"
)


def make_preview(layers=4, width=512, budget=0.25, name="org/model", prediction=PREDICTION):
    shapes = [("model.embed_tokens.weight", (1000, width), Use.GATHER)]
    for layer in range(layers):
        shapes.append((f"model.layers.{layer}.norm.weight", (width,), Use.WHOLE))
        shapes += [
            (f"model.layers.{layer}.mlp.{part}.weight", (width, width), Use.ROWS)
            for part in ("q_proj", "up_proj", "down_proj")
        ]
    shapes.append(("lm_head.weight", (1000, width), Use.ROWS))
    weights, end = [], 4096
    for weight_name, shape, use in shapes:
        nbytes = 2 * torch.Size(shape).numel()
        run = Segment(path=Path("model.safetensors"), offset=end, nbytes=nbytes, begin=0)
        source = WeightSource(name=weight_name, shape=shape, dtype=torch.bfloat16, segments=(run,))
        weights.append(Weight(index=len(weights), source=source, dtype=torch.bfloat16, use=use))
        end += nbytes
    total = sum(weight.nbytes for weight in weights)
    order = [weight.index for weight in weights if weight.use is not Use.GATHER]
    plan = make_plan(weights, budget_bytes=int(total * budget), order=order)
    return Preview(
        name=name,
        architecture="LlamaForCausalLM",
        dtype=torch.bfloat16,
        has_weights=True,
        weights=tuple(weights),
        order=(0, *order),
        plan=plan,
        least_bytes=1_000_000,
        prediction=prediction,
    )


def boxes(svg):
    """`(class, x, y, width, height)` of all rectangles."""
    numbers = ("x", "y", "width", "height")
    return [
        (box.get("class"), *(float(box.get(key, 0)) for key in numbers))
        for box in ET.fromstring(svg).iter(f"{SVG}rect")
    ]


def texts(svg):
    """`(text, left, right, baseline)` by the most that a font is expected to take."""
    found = []
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        styles = text.get("class").split()
        size = 20 if "title" in styles else 14 if "head" in styles else 11 if "small" in styles else 13
        width = len(text.text) * size * 0.6
        x = float(text.get("x"))
        left = x - width / 2 if "middle" in styles else x - width if "end" in styles else x
        found.append((text.text, left, left + width, float(text.get("y"))))
    return found


def test_the_strip_is_as_wide_as_the_picture_allows_and_true_to_bytes():
    preview = make_preview()
    strip = [box for box in boxes(draw_plan(preview)) if box[4] == 56 and box[0] != "empty"]
    resident = sum(box[3] for box in strip if box[0] == "resident")
    total = sum(box[3] for box in strip)
    assert total == pytest.approx(896, rel=0.05)
    assert resident / total == pytest.approx(
        preview.plan.resident_bytes / preview.plan.weights_bytes, abs=0.03
    )
    assert {box[0] for box in strip} == {"resident", "streamed", "rows"}


def test_weights_are_in_order_of_use():
    svg = draw_plan(make_preview(layers=2))
    titles = [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")][1:]
    names = list(dict.fromkeys(title.partition(":")[0] for title in titles))
    assert names[0] == "model.embed_tokens.weight"
    assert names[1:5] == [
        "model.layers.0.norm.weight",
        "model.layers.0.mlp.q_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    ]
    assert "lm_head.weight" in names


def test_layers_are_labelled_and_figures_said():
    svg = draw_plan(make_preview())
    said = [text for text, *_ in texts(svg)]
    labels = [text for text in said if re.fullmatch(r"(layer )?\d+", text)]
    assert labels == ["layer 0", "1", "2", "3"]
    assert "100 ms a token: the disk is the limit" in said
    assert any("(measured)" in text and "(estimated)" in text for text in said)


def test_it_says_in_words_what_it_shows():
    root = ET.fromstring(draw_plan(make_preview()))
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    assert "within" in title.text
    assert "stream from disk in each pass" in description.text


def test_it_is_readable_on_dark_ground_too():
    svg = draw_plan(make_preview())
    assert "prefers-color-scheme: dark" in svg
    used = set(re.findall(r'class="([a-z ]+)"', svg))
    style = svg[: svg.index("</style>")]
    for name in {word for names in used for word in names.split()}:
        assert f".{name} " in style


@settings(max_examples=30, deadline=None)
@given(
    layers=st.sampled_from([0, 1, 3, 30, 80, 130]),
    budget=st.sampled_from([0.1, 0.5, 0.9, 1.0, 3.0]),
    name=st.sampled_from(["m", "org/a-model-with-a-rather-long-name-70B-Instruct", '<&">']),
)
def test_no_text_lies_on_another_or_outside(layers, budget, name):
    svg = draw_plan(make_preview(layers=layers, width=256, budget=budget, name=name))
    width, height = (float(number) for number in ET.fromstring(svg).get("viewBox").split()[2:])
    placed = texts(svg)
    for text, left, right, baseline in placed:
        assert left >= 0, text
        assert right <= width + 1, text
        assert 0 < baseline < height, text
    for number, (text, left, right, baseline) in enumerate(placed):
        for other, other_left, other_right, other_baseline in placed[number + 1 :]:
            if abs(baseline - other_baseline) < 11:
                assert right <= other_left or other_right <= left, (text, other)


def test_boxes_of_a_strip_do_not_overlap():
    strip = sorted(
        box for box in boxes(draw_plan(make_preview(layers=80))) if box[4] == 56 and box[0] != "empty"
    )
    strip.sort(key=lambda box: box[1])
    for one, other in itertools.pairwise(strip):
        assert one[1] + one[3] <= other[1] + 0.1


def test_an_unmeasured_disk_is_said():
    unknown = Prediction(
        compute_seconds=0.02, read_seconds=None, bytes_per_second=None, bandwidth_source="not measured: holes"
    )
    assert any(
        "not measured: holes" in text for text, *_ in texts(draw_plan(make_preview(prediction=unknown)))
    )
