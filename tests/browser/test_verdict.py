"""The verdict on the page: the sentence, where the runs part, what was compared and what was not."""

import pytest
import torch
from playwright.sync_api import expect

from tests.browser.runs import planted, write_runs
from tests.browser.zones import compare_files

pytestmark = pytest.mark.browser


def test_it_says_that_they_differ_and_leads_to_where(compared):
    verdict = compared.get_by_test_id("verdict")
    expect(verdict).to_contain_text("They differ")
    expect(verdict).to_have_attribute("data-verdict", "differ")
    first = compared.get_by_test_id("first-divergence")
    expect(first).to_contain_text("2_post_attn")
    first.click()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("2_post_attn")
    expect(compared.locator("[data-testid=tensor-row][aria-selected=true]")).to_have_attribute(
        "data-name", "2_post_attn"
    )


def test_a_diagnosis_leads_to_its_tensor(compared):
    diagnosis = compared.get_by_test_id("diagnosis").first
    expect(diagnosis).to_contain_text("1.3 times")
    diagnosis.get_by_role("button").click()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("2_post_attn")


def test_a_count_shows_these_alone_in_the_list(compared):
    compared.get_by_test_id("count-differs").click()
    expect(compared.get_by_test_id("tensor-row")).to_have_count(1)
    expect(compared.get_by_test_id("tensor-row")).to_have_attribute("data-status", "differs")
    expect(compared.get_by_test_id("count-differs")).to_have_attribute("aria-pressed", "true")
    compared.get_by_test_id("count-differs").click()
    expect(compared.get_by_test_id("count-differs")).to_have_attribute("aria-pressed", "false")
    assert compared.get_by_test_id("tensor-row").count() > 10


def test_runs_that_match_look_like_it(opened, run_files):
    page = opened
    compare_files(page, run_files[0], run_files[0])
    verdict = page.get_by_test_id("verdict")
    expect(verdict).to_contain_text("They match: 20 pairs, all numbers equal.")
    expect(page.get_by_test_id("first-divergence")).to_have_count(0)
    expect(page.get_by_test_id("coverage")).to_contain_text("All of it")


def test_what_has_no_partner_is_told_with_names_like_it(opened, tmp_path):
    page = opened
    expected, actual = planted()
    expected["final.weight"] = torch.ones(5)
    actual["other"] = torch.ones(7)
    actual["final.weights"] = torch.ones(6)
    compare_files(page, *write_runs(tmp_path, expected, actual))
    coverage = page.get_by_test_id("coverage")
    expect(coverage).to_contain_text("20 of 21 tensors of the expected run have a partner")
    lone = page.get_by_test_id("unpaired-expected")
    lone.locator("summary").click()
    expect(lone).to_contain_text("like final.weights")
    lone.get_by_role("button", name="final.weight").click()
    expect(page.get_by_test_id("tensor-view")).to_contain_text("final.weight")


def test_too_little_to_say_is_no_match(opened, tmp_path):
    page = opened
    generator = torch.Generator().manual_seed(1)
    expected = {f"one.{number}": torch.randn(4 + number, generator=generator) for number in range(6)}
    actual = {f"zwei{number}_x": torch.randn(40 + number, generator=generator) for number in range(6)}
    compare_files(page, *write_runs(tmp_path, expected, actual))
    verdict = page.get_by_test_id("verdict")
    expect(verdict).to_have_attribute("data-verdict", "insufficient")
    expect(verdict).to_contain_text("Too little to say")


def test_a_fault_in_one_part_leaves_the_others(compared, complaints):
    complaints.allow("TypeError", "Cannot read properties")
    compared.route(
        "**/api/rows/0", lambda route: route.fulfill(json={"row": 0, "expected": 7, "actual": None})
    )
    compared.locator("[data-name='0_query']").click()
    expect(compared.get_by_test_id("error-banner").first).to_contain_text("fault")
    assert compared.get_by_test_id("tensor-row").count() > 10
    compared.locator("[data-name='0_key']").click()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_key")


def test_the_title_says_where_one_is(compared):
    assert compared.title().startswith("They differ")
    compared.locator("[data-name='0_key']").click()
    compared.get_by_test_id("tensor-view").wait_for()
    assert compared.title().startswith("0_key")
