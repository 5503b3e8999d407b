"""Pictures and figures of a pair of tensors."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.number_runs import first

pytestmark = pytest.mark.browser


def test_pictures_are_drawn_of_both_sides_and_of_the_difference(show):
    page = show("0_query", at="0,2,0,0")
    for which in ("expected", "actual", "difference"):
        canvas = page.get_by_test_id(f"heatmap-{which}")
        expect(canvas).to_have_attribute("data-drawn", "true")
        assert colours(canvas) > (20 if which != "difference" else 1)
    expect(page.get_by_test_id("heatmap-difference")).to_have_attribute(
        "aria-label", re.compile(r"to 0\.5, largest magnitude at 0, 2, 7, 11")
    )


def colours(canvas):
    return canvas.evaluate(
        """canvas => {
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          return new Set(new Uint32Array(pixels.buffer)).size;
        }"""
    )


def test_a_click_on_a_picture_shows_the_numbers_there(show):
    page = show("0_query", mode="plane", at="0,2,0,0")
    canvas = page.get_by_test_id("heatmap-difference")
    box = canvas.bounding_box()
    place = {"x": box["width"] * 11.5 / 16, "y": box["height"] * 7.5 / 12}
    canvas.hover(position=place)
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("0, 2, 7, 11")
    canvas.click(position=place)
    first(page, "0,2,7,11")
    first(page, "7,2,11", "actual")


def test_zooming_asks_for_finer_pictures_and_keys_do_all_of_it(show):
    page = show("8_long")
    canvas = page.get_by_test_id("heatmap-expected")
    canvas.focus()
    with page.expect_request("**/tile") as asked:
        page.keyboard.press("+")
    assert asked.value.post_data_json["expected"]["height"] < 40
    expect(page).to_have_url(re.compile("zoom="))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("zoom="))
    canvas.hover()
    page.mouse.wheel(0, -100)
    expect(page).to_have_url(re.compile("zoom="))
    before = page.url
    page.mouse.down()
    page.mouse.move(5, 5, steps=3)
    page.mouse.up()
    expect(page).not_to_have_url(before)
    page.keyboard.press("0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("value-expected").first).not_to_have_attribute("data-index", "0")


def test_figures_and_histogram_are_folded_away(show):
    page = show("1_special")
    figures = page.get_by_test_id("statistics")
    assert figures.get_attribute("open") is None
    figures.locator("summary").click()
    expect(figures).to_contain_text("cosine")
    histogram = page.get_by_test_id("histogram")
    histogram.locator("summary").click()
    expect(histogram.locator("svg[role=img]")).to_have_count(2)
    expect(histogram).to_contain_text("NaN: 0 expected, 1 actual")
    expect(histogram).to_contain_text("Inf: 0 expected, 2 actual")


def test_pictures_come_also_after_a_tensor_that_has_none(show, row_of):
    page = show("6_scalar", mode="flat")
    expect(page.get_by_test_id("heatmap-expected")).to_have_count(0)
    page.evaluate("row => void (location.hash = `mode=flat&row=${row}`)", row_of["5_half"])
    expect(page.get_by_test_id("heatmap-expected")).to_have_attribute("data-drawn", "true")


def test_the_picture_of_another_slice_is_no_answer(show, complaints):
    page = show("0_query", at="0,2,0,0")
    heat = page.get_by_role("region", name="Heat maps")
    canvas = page.get_by_test_id("heatmap-expected")
    expect(canvas).to_have_attribute("data-drawn", "true")
    held = []
    page.route("**/tile", lambda route: held.append(route))
    page.get_by_test_id("slice-dim-1").fill("1")
    expect(heat).to_have_attribute("aria-busy", "true")
    expect(canvas).to_have_attribute("aria-label", re.compile("being read"))
    complaints.allow("500")
    for route in held:
        route.fulfill(status=500, body="{}")
    expect(canvas).to_have_attribute("data-drawn", "false")
    page.unroute("**/tile")
    page.get_by_test_id("slice-dim-1").fill("0")
    expect(canvas).to_have_attribute("data-drawn", "true")
    expect(heat).to_have_attribute("aria-busy", "false")
