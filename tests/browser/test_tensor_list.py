"""The list of tensors: what it shows, and what is asked of it."""

import re

import pytest
import torch
from playwright.sync_api import expect

from tests.browser.listed import ROW, active, lines, row, shown
from tests.browser.runs import planted, write_runs
from tests.browser.served import Served

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def odd_server(web_environment, browser, tmp_path_factory):
    """Runs with tensors on one side, several dtypes, NaN, and a name that would like to be HTML."""
    expected, actual = planted()
    expected["embedding"], actual["embedding"] = (torch.arange(6), torch.arange(6))
    expected["1_scaling"] = torch.ones(5)
    actual["3_sliding"] = torch.ones(7)
    actual["0_key"][0, 0, 0, 0] = torch.nan
    expected[HOSTILE] = actual[HOSTILE] = torch.ones(3)
    served = Served(*write_runs(tmp_path_factory.mktemp("odd"), expected, actual), env=web_environment)
    yield served
    served.stop()


@pytest.fixture
def odd(open_page, odd_server):
    page = open_page(odd_server.url)
    page.get_by_test_id("verdict").wait_for()
    return page


def test_rows_stand_in_layer_order_and_stage_order_below_headers(compared):
    assert lines(compared)[:8] == [
        "# Layer 0", "0_query", "0_key", "0_value", "0_post_attn", "0_post_mlp", "# Layer 1", "1_query",
    ]  # fmt: skip
    assert len(shown(compared)) == 20
    first = row(compared, "2_post_attn")
    expect(first).to_have_attribute("data-status", "differs")
    expect(first).to_have_attribute("aria-label", re.compile("2_post_attn, differs, relative error 0.3"))
    headers = compared.get_by_test_id("tensor-group")
    expect(headers.nth(2)).to_contain_text("2 of 5 not ok")
    expect(headers.nth(3)).to_contain_text("5 of 5 not ok")


def test_tensors_of_one_side_stand_where_they_belong(odd):
    names = shown(odd)
    assert names.index("1_query") < names.index("1_scaling") < names.index("2_query")
    expect(row(odd, "1_scaling")).to_have_attribute("data-status", "only expected")
    expect(row(odd, "3_sliding")).to_have_attribute("data-status", "only actual")
    row(odd, "3_sliding").click()
    expect(odd.get_by_test_id("tensor-view")).to_contain_text("3_sliding")


def test_names_are_text(odd):
    expect(odd.locator("img")).to_have_count(0)
    expect(row(odd, HOSTILE).locator(".name")).to_have_text(HOSTILE)
    assert HOSTILE in row(odd, HOSTILE).get_attribute("title")


def test_the_filter_finds_names(compared):
    for text, names in {
        "1_q": ["1_query"],
        "POST attn 2": ["2_post_attn"],
        "3*mlp": ["3_post_mlp"],
        "_key": ["0_key", "1_key", "2_key", "3_key"],
    }.items():
        compared.get_by_test_id("list-filter").fill(text)
        expect(compared.locator(ROW)).to_have_count(len(names))
        assert shown(compared) == names
    compared.get_by_test_id("list-filter").fill("   ")
    expect(compared.locator(ROW)).to_have_count(20)


def test_from_the_filter_the_keyboard_goes_to_what_it_found(compared):
    compared.get_by_test_id("list-filter").fill("3 mlp")
    compared.keyboard.press("Enter")
    assert active(compared) == "3_post_mlp"
    compared.keyboard.press("Enter")
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("3_post_mlp")


def test_where_nothing_fits_the_filters_are_taken_back(compared):
    compared.get_by_test_id("list-filter").fill("no such tensor")
    empty = compared.get_by_test_id("list-empty")
    expect(empty).to_contain_text("No tensor fits")
    empty.get_by_role("button", name="Clear filters").click()
    expect(compared.locator(ROW)).to_have_count(20)
    expect(compared.get_by_test_id("list-filter")).to_have_value("")


def test_statuses_and_dtypes_are_filtered(odd):
    statuses = odd.get_by_role("group", name="Status")
    for word in ("ok", "inherited"):
        statuses.get_by_label(word).uncheck()
    expect(odd.locator(f"{ROW}[data-status=ok], {ROW}[data-status=inherited]")).to_have_count(0)
    assert {"0_key", "1_scaling", "3_sliding"} <= set(shown(odd))
    for word in ("ok", "inherited"):
        statuses.get_by_label(word).check()
    odd.get_by_label("Dtype").select_option("int64")
    assert shown(odd) == ["embedding"]


def test_a_tensor_that_is_filtered_out_is_said_to_be(compared):
    row(compared, "1_key").click()
    compared.get_by_test_id("list-filter").fill("query")
    note = compared.get_by_test_id("list-hidden")
    expect(note).to_contain_text("filtered out")
    note.get_by_role("button").click()
    expect(row(compared, "1_key")).to_have_attribute("aria-selected", "true")


def test_rows_are_sorted_and_groups_follow(odd):
    odd.get_by_label("Group", exact=True).select_option("none")
    odd.get_by_label("Sort").select_option("error")
    names = shown(odd)
    assert names[0] == "0_key"
    assert set(names[-2:]) == {"1_scaling", "3_sliding"}
    odd.get_by_label("Descending: turn round").click()
    assert shown(odd)[-3] == "0_key"
    odd.get_by_label("Sort").select_option("name")
    assert shown(odd)[:3] == ["0_key", "0_post_attn", "0_post_mlp"]
    odd.get_by_label("Group", exact=True).select_option("status")
    assert lines(odd)[0] == "# differs"


def test_groups_close_and_open(compared):
    compared.get_by_label("Close all groups").click()
    expect(compared.locator(ROW)).to_have_count(0)
    headers = compared.get_by_test_id("tensor-group")
    expect(headers).to_have_count(4)
    expect(headers.nth(1)).to_have_attribute("aria-expanded", "false")
    headers.nth(1).click()
    assert shown(compared) == [f"1_{stage}" for stage in ("query", "key", "value", "post_attn", "post_mlp")]
    compared.get_by_label("Open all groups").click()
    expect(compared.locator(ROW)).to_have_count(20)


def test_the_address_brings_everything_back(compared):
    compared.get_by_test_id("list-filter").fill("post")
    compared.get_by_label("Group", exact=True).select_option("stage")
    compared.get_by_label("Sort").select_option("max")
    compared.get_by_role("group", name="Status").get_by_label("ok").uncheck()
    compared.get_by_test_id("tensor-group").first.click()
    compared.locator(ROW).first.click()
    before, address = lines(compared), compared.url
    assert len(before) > 3
    compared.reload()
    compared.get_by_test_id("tensor-view").wait_for()
    assert compared.url == address
    assert lines(compared) == before


def test_the_keyboard_walks_the_list(compared):
    compared.locator(".scroller").focus()
    press = compared.keyboard.press
    press("ArrowDown")
    assert active(compared) == "0"
    press("ArrowDown")
    assert active(compared) == "0_query"
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_query")
    press("End")
    assert active(compared) == "3_post_mlp"
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("3_post_mlp")
    press("ArrowLeft")
    press("ArrowLeft")
    assert active(compared) == "3"
    expect(row(compared, "3_query")).to_have_count(0)
    press("ArrowRight")
    press("ArrowRight")
    assert active(compared) == "3_query"
    press("Home")
    press("Enter")
    expect(row(compared, "0_query")).to_have_count(0)
    press("Enter")
    press("PageDown")
    assert active(compared) not in ("0", None)
    assert compared.evaluate("document.activeElement.className").startswith("scroller")
    press("Enter")
    assert compared.evaluate("document.activeElement.id") == "main"


def test_a_held_key_moves_at_once_and_shows_the_tensor_when_let_go(compared):
    compared.locator(".scroller").focus()
    for _ in range(4):
        compared.keyboard.down("ArrowDown")
    assert active(compared) == "0_value"
    assert compared.locator(f"{ROW}[aria-selected=true]").count() == 0
    compared.keyboard.up("ArrowDown")
    expect(row(compared, "0_value")).to_have_attribute("aria-selected", "true")


def test_a_tensor_chosen_elsewhere_is_brought_into_view(compared):
    compared.get_by_label("Close all groups").click()
    compared.get_by_test_id("first-divergence").click()
    chosen = row(compared, "2_post_attn")
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(chosen).to_be_in_viewport()


def test_assistive_technology_knows_places_and_sizes(compared):
    tree = compared.get_by_role("tree", name="Tensors")
    expect(tree).to_have_count(1)
    third = row(compared, "1_value")
    for name, value in {"role": "treeitem", "level": "2", "posinset": "3", "setsize": "5"}.items():
        expect(third).to_have_attribute(name if name == "role" else f"aria-{name}", value)
    header = compared.get_by_test_id("tensor-group").nth(1)
    for name, value in {"level": "1", "posinset": "2", "setsize": "4", "expanded": "true"}.items():
        expect(header).to_have_attribute(f"aria-{name}", value)
    compared.get_by_label("Group", exact=True).select_option("none")
    expect(compared.get_by_role("listbox", name="Tensors")).to_have_count(1)
    expect(third).to_have_attribute("role", "option")
    expect(third).to_have_attribute("aria-posinset", "8")
    expect(third).to_have_attribute("aria-setsize", "20")


def test_the_list_is_made_wider(compared):
    width = "document.querySelector('.tensor-list').getBoundingClientRect().width"
    before = compared.evaluate(width)
    splitter = compared.get_by_role("separator", name="Width of the list")
    splitter.focus()
    compared.keyboard.press("ArrowRight")
    assert compared.evaluate(width) == pytest.approx(before + 16, abs=2)
    box = splitter.bounding_box()
    compared.mouse.move(box["x"] + 3, box["y"] + 300)
    compared.mouse.down()
    compared.mouse.move(620, 400, steps=4)
    compared.mouse.up()
    assert compared.evaluate(width) == pytest.approx(620, abs=4)
    compared.reload()
    compared.get_by_test_id("verdict").wait_for()
    assert compared.evaluate(width) == pytest.approx(620, abs=4)
    splitter.dblclick()
    assert compared.evaluate(width) == pytest.approx(before, abs=2)


def test_both_names_are_shown_where_they_differ(serve, open_page, tmp_path):
    expected, actual = planted()
    renamed = {f"model.layers.{name.replace('_', '.', 1)}": value for name, value in actual.items()}
    page = open_page(serve(*write_runs(tmp_path, expected, renamed)).url)
    expect(row(page, "1_key")).to_contain_text("model.layers.1.key")
    assert row(page, "1_key").bounding_box()["height"] == 42
    page.get_by_test_id("list-filter").fill("layers.3 query")
    assert shown(page) == ["3_query"]
