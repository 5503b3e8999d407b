"""The whole page by keyboard: one letter for what is done often, and a dialog that tells them."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def current(page):
    return page.locator("[data-testid=tensor-row][aria-selected=true]").get_attribute("data-name")


def focus(page):
    return page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def test_j_and_k_go_through_the_tensors(compared):
    compared.keyboard.press("j")
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_query")
    compared.keyboard.press("j")
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_key")
    compared.keyboard.press("k")
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_query")
    compared.keyboard.press("k")
    assert current(compared) == "0_query"


def test_f_leads_to_where_the_runs_part_and_v_back(compared):
    compared.keyboard.press("f")
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("2_post_attn")
    compared.keyboard.press("v")
    expect(compared.get_by_test_id("verdict")).to_be_visible()


def test_a_slash_filters_and_letters_are_text_there(compared):
    compared.keyboard.press("/")
    compared.keyboard.type("value")
    expect(compared.get_by_test_id("tensor-row")).to_have_count(4)
    expect(compared.get_by_test_id("verdict")).to_be_visible()
    compared.keyboard.press("Escape")
    compared.keyboard.press("Escape")
    compared.keyboard.press("j")
    expect(compared.get_by_test_id("tensor-view")).to_be_visible()


def test_escape_leaves_the_tensor(compared):
    compared.keyboard.press("f")
    expect(compared.get_by_test_id("tensor-view")).to_be_visible()
    compared.keyboard.press("Escape")
    expect(compared.get_by_test_id("verdict")).to_be_visible()


def test_o_opens_others_and_goes_back(compared):
    compared.keyboard.press("o")
    expect(compared.get_by_test_id("compare-button")).to_be_visible()
    compared.keyboard.press("j")
    expect(compared.get_by_test_id("compare-button")).to_be_visible()
    compared.keyboard.press("o")
    expect(compared.get_by_test_id("verdict")).to_be_visible()


def test_e_exports(compared):
    with compared.expect_download() as waited:
        compared.keyboard.press("e")
    assert waited.value.suggested_filename == "outgrow-compare.html"


def test_the_help_keeps_the_focus_and_gives_it_back(compared):
    compared.get_by_test_id("export-html").focus()
    compared.keyboard.press("?")
    dialog = compared.get_by_test_id("keys-dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Largest difference")
    for _ in range(3):
        compared.keyboard.press("Tab")
        assert compared.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    compared.keyboard.press("j")
    expect(compared.get_by_test_id("tensor-view")).to_have_count(0)
    compared.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert "export-html" in focus(compared)
    expect(compared.get_by_test_id("verdict")).to_be_visible()


def test_control_and_letters_are_the_browsers(compared):
    compared.keyboard.press("Control+j")
    compared.keyboard.press("Alt+f")
    expect(compared.get_by_test_id("tensor-view")).to_have_count(0)


def test_m_leads_to_the_largest_difference_and_n_to_the_next(compared):
    compared.keyboard.press("f")
    compared.get_by_test_id("tensor-view").wait_for()
    line = compared.locator("[aria-live=polite]").first
    compared.keyboard.press("m")
    expect(line).to_contain_text("largest difference at [")
    largest = line.inner_text()
    compared.keyboard.press("n")
    expect(line).not_to_have_text(largest)
    expect(line).to_contain_text("difference at [")


def test_the_first_tab_stop_skips_to_the_content(compared):
    compared.reload()
    compared.get_by_test_id("verdict").wait_for()
    compared.evaluate("document.activeElement.blur()")
    compared.locator("body").press("Tab")
    skip = compared.get_by_role("link", name="Skip to the content")
    skip.focus()
    expect(skip).to_be_in_viewport()
    compared.keyboard.press("Enter")
    assert compared.evaluate("document.activeElement.id") == "main"


def test_two_runs_are_opened_and_read_by_keyboard_alone(opened, run_files):
    # As long as somebody listens, the browser opens no window of its own.
    opened.on("filechooser", lambda chooser: None)
    for side, path in zip(("expected", "actual"), run_files, strict=True):
        field = opened.get_by_label(f"Pick files of the {side} run")
        field.focus()
        with opened.expect_file_chooser() as chooser:
            opened.keyboard.press("Enter")
        chooser.value.set_files(path)
    button = opened.get_by_test_id("compare-button")
    expect(button).to_be_enabled()
    button.focus()
    opened.keyboard.press("Enter")
    expect(opened.get_by_test_id("verdict")).to_contain_text("They differ")
    opened.get_by_test_id("first-divergence").focus()
    opened.keyboard.press("Enter")
    expect(opened.get_by_test_id("tensor-view")).to_contain_text("2_post_attn")


def test_what_a_number_tells_is_what_stands_there_after_a_jump(compared):
    compared.keyboard.press("f")
    compared.get_by_test_id("value-expected").nth(3).hover()
    tip = compared.get_by_role("tooltip")
    expect(tip).to_contain_text("expected [0, 0, 0, 3]")
    compared.keyboard.press("m")
    expect(compared.locator("[aria-live=polite]").first).to_contain_text("largest difference at [")
    expect(compared.locator(".values[aria-busy=true]")).to_have_count(0)
    found = compared.locator("[data-testid=value-expected].found")
    expect(found).to_have_count(1)
    index = found.get_attribute("data-index").replace(",", ", ")
    expect(tip).to_contain_text(f"expected [{index}]")
