"""Names and layouts by hand on the page: why they lie so, another layout or partner, and saving it all."""

import json

import pytest
import torch
from playwright.sync_api import expect

from outgrow.compare import compare
from tests.browser.runs import write_runs
from tests.browser.served import Served
from tests.browser.test_accessibility import axe, violations  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser
FLAGSHIP = "permute(1, 0, 2), unsqueeze(0)"


def crossed():
    """Heads first in the actual run; one query has another name, and a square is turned."""
    generator = torch.Generator().manual_seed(0)
    expected = {f"{layer}_query": torch.randn(1, 8, 12, 16, generator=generator) for layer in range(3)}
    actual = {name: tensor[0].permute(1, 0, 2).contiguous() for name, tensor in expected.items()}
    actual["something else"] = actual.pop("1_query")
    expected["square"] = torch.randn(8, 8, generator=generator)
    actual["square"] = expected["square"].T.contiguous()
    return expected, actual


@pytest.fixture(scope="session")
def crossed_files(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("crossed"), *crossed())


@pytest.fixture(scope="session")
def crossed_server(web_environment, crossed_files, browser):
    """Its tabs begin with these runs, and change them for themselves."""
    served = Served(*crossed_files, env=web_environment)
    yield served
    served.stop()


@pytest.fixture
def page(crossed_server, open_page):
    page = open_page(crossed_server.url, height=1400)
    page.get_by_test_id("verdict").wait_for()
    return page


def go(page, name):
    row(page, name).first.click()
    expect(page.get_by_test_id("tensor-view")).to_contain_text(name)
    return page.get_by_test_id("layout-panel")


def row(page, name):
    return page.locator(f'[data-testid=tensor-row][data-name="{name}"]')


def status(page, name):
    return row(page, name).get_attribute("data-status")


def becomes(page, name, wanted):
    expect(row(page, name)).to_have_attribute("data-status", wanted)


def test_it_says_why_in_words_and_as_a_picture(page):
    panel = go(page, "0_query")
    expect(panel).to_contain_text("their names are equal")
    expect(panel).to_contain_text("permute(1, 0, 2)")
    picture = panel.get_by_test_id("layout-picture").locator("svg")
    expect(picture).to_have_attribute(
        "aria-label",
        "actual [12, 8, 16], then permute(1, 0, 2) [8, 12, 16], then unsqueeze(0) [1, 8, 12, 16], "
        "then expected [1, 8, 12, 16]",
    )
    assert picture.locator("rect").count() == 14


def test_a_usual_layout_turns_the_verdict_and_removing_it_turns_it_back(page):
    panel = go(page, "square")
    assert status(page, "square") == "differs"
    panel.get_by_text("Change the layout").click()
    panel.get_by_role("button", name="transpose", exact=True).click()
    expect(panel.get_by_test_id("layout-check")).to_contain_text("✓ it makes [8, 8], as expected")
    panel.get_by_test_id("layout-apply").click()
    expect(panel.get_by_test_id("rule-list")).to_contain_text("square = square")
    becomes(page, "square", "ok")
    expect(panel).to_contain_text("Paired by a rule of yours")
    panel.get_by_role("button", name="Remove the rule square = square").click()
    becomes(page, "square", "differs")
    expect(panel).to_contain_text("No rules")


def test_a_lone_tensor_is_paired_by_hand(page):
    panel = go(page, "1_query")
    panel.get_by_text("Pair by hand").click()
    panel.get_by_test_id("pair-filter").fill("some else")
    panel.get_by_test_id("pair-choice").select_option("something else")
    panel.get_by_test_id("pair-apply").click()
    expect(page.get_by_test_id("rule-list")).to_contain_text('1_query = "something else"')
    becomes(page, "1_query", "ok")
    expect(page.get_by_test_id("tensor-view")).to_contain_text("something else")
    expect(row(page, "something else")).to_have_count(0)


def test_what_has_no_partner_is_said_and_taken_back(page):
    panel = go(page, "square")
    panel.get_by_text("Pair by hand").click()
    panel.get_by_test_id("pair-none").click()
    expect(page.get_by_test_id("rule-list")).to_contain_text("square has no partner")
    expect(page.get_by_test_id("tensor-view")).to_contain_text("only expected")
    expect(row(page, "square")).to_have_count(2)
    page.get_by_role("button", name="Remove all").click()
    expect(row(page, "square")).to_have_count(1)
    becomes(page, "square", "differs")


def test_dims_by_hand_become_the_layout_of_all_layers(page):
    panel = go(page, "2_query")
    panel.get_by_text("Change the layout").click()
    text, dims = panel.get_by_test_id("layout-text"), panel.get_by_test_id("dims-by-hand")
    dims.get_by_label("Piece 0 of expected dim 1").select_option(label="dim 0 (12)")
    expect(dims).to_contain_text("this makes [1, 12, 8, 16]")
    dims.get_by_label("Piece 0 of expected dim 1").select_option(label="dim 1 (8)")
    expect(text).to_have_value(FLAGSHIP)
    panel.get_by_test_id("layout-all-layers").check()
    panel.get_by_test_id("layout-apply").click()
    expect(page.get_by_test_id("rule-list")).to_contain_text("{layer}_query = {layer}_query")
    for name in ("0_query", "2_query"):
        assert status(page, name) == "ok"


def test_a_typed_layout_is_checked_as_it_is_typed(page):
    panel = go(page, "0_query")
    panel.get_by_text("Change the layout").click()
    text, check = panel.get_by_test_id("layout-text"), panel.get_by_test_id("layout-check")
    text.fill("permute(0, 1, 2)")
    expect(check).to_contain_text("✗ it makes [12, 8, 16], but [1, 8, 12, 16] is expected")
    expect(panel.get_by_test_id("layout-apply")).to_be_disabled()
    text.fill("turn(1)")
    expect(check).to_contain_text("there is no 'turn'")
    text.fill("")
    expect(check).to_contain_text("found from the numbers")
    text.fill("reshape")
    expect(check).to_contain_text("✓")
    text.press("Enter")
    becomes(page, "0_query", "differs")


def test_rules_hold_when_the_same_runs_are_compared_with_other_settings(page):
    panel = go(page, "1_query")
    panel.get_by_text("Pair by hand").click()
    panel.get_by_test_id("pair-choice").select_option("something else")
    panel.get_by_test_id("pair-apply").click()
    becomes(page, "1_query", "ok")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Open others").click()
    page.get_by_test_id("compare-button").click()
    page.get_by_test_id("verdict").wait_for()
    becomes(page, "1_query", "ok")
    go(page, "1_query")
    expect(page.get_by_test_id("rule-list")).to_contain_text("something else")


def test_each_side_has_its_own_indices(page):
    go(page, "0_query")
    manual = page.get_by_test_id("mapping-manual")
    expect(manual).to_have_attribute("aria-pressed", "false")
    manual.click()
    expect(manual).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("copy-to-actual")).to_be_visible()
    page.get_by_test_id("copy-to-actual").click()
    manual.click()
    expect(page.get_by_test_id("copy-to-actual")).to_have_count(0)


@pytest.mark.parametrize("button", ["save-rules", "save-whole-mapping"])
def test_what_is_saved_gives_the_command_line_the_same_result(page, crossed_files, tmp_path, button):
    panel = go(page, "1_query")
    panel.get_by_text("Pair by hand").click()
    panel.get_by_test_id("pair-choice").select_option("something else")
    panel.get_by_test_id("pair-apply").click()
    expect(page.get_by_test_id("rule-list")).to_contain_text("1_query")
    go(page, "square")
    page.get_by_text("Change the layout").click()
    page.get_by_test_id("layout-text").fill("transpose(0, 1)")
    page.get_by_test_id("layout-apply").click()
    expect(page.get_by_test_id("rule-list").locator("li")).to_have_count(2)
    with page.expect_download() as saving:
        page.get_by_test_id(button).click()
    saving.value.save_as(tmp_path / "saved.map")
    expected, actual = crossed_files
    with compare(expected=expected, actual=actual, name_map=tmp_path / "saved.map") as comparison:
        assert comparison.verdict == "match"
        assert len(comparison.findings) == 4
        rows = {finding.pair.expected_name: finding.judged.status for finding in comparison.findings}
    assert rows == {name: status(page, name) for name in rows}


@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_keeps_people_out(open_page, crossed_server, axe, theme, width):  # noqa: F811
    page = open_page(crossed_server.url, theme=theme, width=width)
    page.get_by_test_id("verdict").wait_for()
    panel = go(page, "0_query")
    panel.get_by_text("Change the layout").click()
    panel.get_by_text("Pair by hand").click()
    page.get_by_test_id("mapping-manual").click()
    panel.get_by_test_id("layout-text").fill("reshape")
    panel.get_by_test_id("layout-apply").click()
    expect(page.get_by_test_id("rule-list")).to_be_visible()
    becomes(page, "0_query", "differs")
    expect(page.locator(".window.waiting")).to_have_count(0)
    assert json.loads(violations(page, axe)) == []
