"""What all pictures share: escaped words, and a page that any reader of XML takes."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from outgrow.markup import crop_end, crop_start, escaped, svg_page, svg_rect, svg_text

SVG = "{http://www.w3.org/2000/svg}"


def drawn(words):
    parts = [svg_text(1, 2, words, "ink"), svg_rect(0, 0, 5, 5, "soft")]
    return ET.fromstring(svg_page(parts, width=10, height=20.5, title=words, description=words))


@given(st.text())
def test_names_of_any_letters_make_a_page_that_can_be_read(words):
    page = drawn(words)
    shown = [page.find(f"{SVG}title").text, page.find(f"{SVG}desc").text] if words else []
    assert set(shown) <= {page.find(f"{SVG}text").text}


def test_letters_that_can_be_printed_are_shown_as_they_are_and_others_written_out():
    assert drawn("a <b> & 'c' \"d\" é 漢").find(f"{SVG}text").text == "a <b> & 'c' \"d\" é 漢"
    assert drawn("a\x1b[31m\x00").find(f"{SVG}text").text == "a\\x1b[31m\\x00"
    assert escaped("\udcff<") == "\\udcff&lt;"


def test_a_page_says_its_size_and_what_it_shows():
    page = drawn("one")
    assert page.get("viewBox") == "0 0 10 20.5"
    assert page.get("aria-labelledby") == "title description"
    bare = ET.fromstring(svg_page([], width=1, height=1, title="t"))
    assert bare.get("aria-labelledby") == "title"
    assert bare.find(f"{SVG}desc") is None


def test_dark_colours_stand_in_the_rule_for_dark_ground_alone():
    page = svg_page(
        [], width=1, height=1, title="t", style="  .a { fill: #111111; }\n", dark=".a { fill: #eee; }"
    )
    light, dark = page.split("@media (prefers-color-scheme: dark)")
    assert "#111111" in light
    assert "#eee" in dark
    assert "#eee" not in light
    assert page.count("{") == page.count("}")
    assert set(re.findall(r"\.(\w+) {", dark)) == {"page", "ink", "soft", "a"}


def test_no_rectangle_is_too_thin_to_be_seen():
    assert 'width="0.05"' in svg_rect(0, 0, 0, 1, "a")


@given(st.text(), st.integers(1, 30))
def test_a_cropped_text_keeps_its_start_or_its_end(text, most):
    assert len(crop_end(text, most)) == len(crop_start(text, most)) == min(len(text), most)
    if len(text) <= most:
        assert crop_end(text, most) == crop_start(text, most) == text
    else:
        assert crop_end(text, most) == text[: most - 1] + "…"
        assert crop_start(text, most).startswith("…")
        assert text.endswith(crop_start(text, most)[1:])
