"""Taking a comparison elsewhere: reports, links, and the address that leads back to the same view."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_the_report_comes_as_one_file(compared, open_page, tmp_path):
    with compared.expect_download() as waited:
        compared.get_by_test_id("export-html").click()
    path = tmp_path / waited.value.suggested_filename
    waited.value.save_as(path)
    assert path.name == "outgrow-compare.html"
    page = open_page(path.as_uri())
    expect(page.locator("h1")).to_have_text("They differ")


def test_json_holds_every_pair(compared, tmp_path):
    compared.get_by_role("button", name="Share").click()
    with compared.expect_download() as waited:
        compared.get_by_test_id("export-json").click()
    waited.value.save_as(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == "differ"
    assert report["pairs"] == 20


@pytest.mark.parametrize("with_token", [False, True], ids=["without token", "with token"])
def test_a_copied_link_leads_to_the_same_view(compared, compared_server, open_page, with_token):
    compared.context.grant_permissions(["clipboard-read", "clipboard-write"])
    compared.locator("[data-name='1_value']").click()
    compared.get_by_test_id("tensor-view").wait_for()
    compared.get_by_role("button", name="Share").click()
    compared.get_by_test_id("copy-link-token" if with_token else "copy-link").click()
    expect(compared.get_by_text("The link is copied.")).to_be_visible()
    link = compared.evaluate("navigator.clipboard.readText()")
    assert (compared_server.token in link) is with_token
    if with_token:
        page = open_page(link)
        assert compared_server.token not in page.url
    else:
        page = compared
        page.get_by_role("button", name="Verdict").click()
        page.goto(link)
    expect(page.get_by_test_id("tensor-view")).to_contain_text("1_value")


def test_a_reload_returns_to_the_same_view(compared):
    compared.locator("[data-name='3_key']").click()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("3_key")
    compared.reload()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("3_key")
    expect(compared.locator("[data-name='3_key']")).to_have_attribute("aria-selected", "true")


def test_back_and_forward_go_through_what_was_looked_at(compared):
    compared.locator("[data-name='0_key']").click()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_key")
    compared.go_back()
    expect(compared.get_by_test_id("verdict")).to_be_visible()
    compared.go_forward()
    expect(compared.get_by_test_id("tensor-view")).to_contain_text("0_key")


def test_the_token_does_not_stay_in_the_address(compared, compared_server):
    assert compared_server.token not in compared.url
    assert compared_server.token not in compared.evaluate("document.body.innerHTML")


def test_an_address_into_a_comparison_that_is_not_open_says_so(server, open_page):
    page = open_page(f"{server.url}&row=3")
    expect(page.get_by_text("leads into a comparison that is not open here")).to_be_visible()
    expect(page.get_by_test_id("compare-button")).to_be_visible()
