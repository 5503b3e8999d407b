"""The ways to a number: differences, values, ranges, indices."""

import re

import pytest
import torch
from playwright.sync_api import expect

from tests.browser.number_runs import cell, number, settle
from tests.browser.runs import write_runs
from tests.browser.zones import compare_files, zone

pytestmark = pytest.mark.browser


def test_the_largest_difference_is_one_click_away(show):
    page = show("0_query")
    page.get_by_test_id("jump-max").click()
    wrong = cell(page, "actual", "7,2,11")
    expect(wrong).to_have_class(re.compile("differs.*found"))
    expect(cell(page, "expected", "0,2,7,11")).to_have_class(re.compile("found"))
    expect(page.get_by_test_id("search-message")).to_contain_text("[0, 2, 7, 11]")
    assert page.get_by_test_id("slice-dim-2").input_value() == "7"


def test_differences_follow_each_other_and_begin_anew(show):
    page = show("0_query", mode="plane")
    steps = []
    for _ in range(3):
        page.get_by_test_id("next-difference").click()
        settle(page)
        steps.append(page.get_by_test_id("search-message").inner_text())
    assert "[0, 0, 1, 3]" in steps[0]
    assert "[0, 2, 7, 11]" in steps[1]
    assert "[0, 0, 1, 3]" in steps[2]
    assert "gone on from the beginning" in steps[2]
    page.get_by_test_id("previous-difference").click()
    expect(page.get_by_test_id("search-message")).to_contain_text("[0, 2, 7, 11]")


def test_values_are_searched_forwards_backwards_and_around(show, number_runs):
    page = show("1_special")
    box, said = page.get_by_test_id("search-input"), page.get_by_test_id("search-message")
    box.fill("nan")
    box.press("Enter")
    expect(said).to_have_text("NaN at [2, 5], 1 in all")
    expect(cell(page, "actual", "2,5")).to_have_text("nan")
    page.get_by_test_id("search-next").click()
    expect(said).to_contain_text("gone on from the beginning")
    box.fill("-inf")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("-inf at [5, 19], 1 in all")
    box.fill(number(number_runs[0]["1_special"][3, 4]))
    page.get_by_test_id("search-previous").click()
    expect(said).to_contain_text("[3, 4]")
    large = int((number_runs[0]["1_special"] >= 1).sum())
    box.fill(">1")
    page.get_by_label("Search in").select_option("expected")
    page.get_by_test_id("search-next").click()
    expect(said).to_contain_text(f"{large} in all")
    box.fill("50..60")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("50 to 60: not found")
    box.fill("five")
    page.get_by_test_id("search-next").click()
    expect(said).to_have_text("five is no number")


def test_any_index_can_be_gone_to(show):
    page = show("0_query")
    box = page.get_by_test_id("goto-index")
    box.fill("0, 1, -1, 5")
    box.press("Enter")
    expect(cell(page, "expected", "0,1,11,5")).to_be_visible()
    box.fill("0, 1, 12, 5")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("dim 2 goes from 0 to 11")


def test_the_keys_of_the_page_lead_to_differences(show):
    page = show("0_query")
    page.keyboard.press("m")
    expect(cell(page, "expected", "0,2,7,11")).to_be_focused()
    page.keyboard.press("n")
    expect(cell(page, "expected", "0,0,1,3")).to_be_focused()
    page.keyboard.press("Shift+N")
    expect(cell(page, "expected", "0,2,7,11")).to_be_focused()


def test_differences_follow_each_other_where_each_side_has_indices_of_its_own(show):
    page = show("0_query", dims="own")
    said = page.get_by_test_id("search-message")
    page.get_by_test_id("next-difference").click()
    expect(said).to_contain_text("[0, 0, 1, 3]")
    page.get_by_test_id("next-difference").click()
    expect(said).to_contain_text("[0, 2, 7, 11]")
    expect(cell(page, "actual", "7,2,11")).to_have_class(re.compile("found"))


def test_what_was_found_in_another_tensor_is_not_gone_on_from(show, row_of):
    page = show("0_query", dims="own")
    said = page.get_by_test_id("search-message")
    page.get_by_test_id("search-input").fill(">-100")
    page.get_by_test_id("search-previous").click()
    expect(said).to_contain_text("[0, 2, 11, 15]")
    page.evaluate(f"location.hash = 'row={row_of['1_special']}&dims=own'")
    expect(page.get_by_test_id("tensor-view").get_by_role("heading", name="1_special")).to_be_visible()
    settle(page)
    page.get_by_test_id("next-difference").click()
    expect(said).to_contain_text("[2, 5]")


def test_a_mark_beyond_a_window_that_became_smaller_is_gone_on_from(show):
    page = show("1_special", mode="line")
    page.get_by_test_id("value-expected").nth(9).click()
    page.get_by_test_id("slice-dim-1").fill("17")
    settle(page)
    page.get_by_test_id("next-difference").click()
    expect(page.get_by_test_id("search-message")).to_contain_text("[2, 5]")


def test_counts_are_those_of_the_comparison_that_is_shown(opened, tmp_path):
    page = opened
    said = page.get_by_test_id("search-message")
    for rows, count in ((6, "6 in all"), (2, "2 in all")):
        run = {"0_query": torch.eye(rows)}
        for side in ("expected", "actual"):
            for remove in zone(page, side).get_by_role("button", name="Remove").all():
                remove.click()
            expect(zone(page, side).get_by_role("button", name="Remove")).to_have_count(0)
        compare_files(page, *write_runs(tmp_path / str(rows), run, run))
        page.get_by_test_id("tensor-row").first.click()
        page.get_by_test_id("search-input").fill("1")
        for _ in range(2):
            page.get_by_test_id("search-next").click()
            expect(said).to_contain_text(count)
            settle(page)
        page.evaluate("location.hash = 'row=0&view=open'")
