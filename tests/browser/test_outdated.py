"""Numbers of a comparison whose place another one has taken are not shown for those of the new one."""

import httpx
import pytest
import torch
from playwright.sync_api import expect

from tests.browser.runs import write_runs

pytestmark = pytest.mark.browser


@pytest.fixture
def page(serve, open_page, tmp_path):
    """At row 0, the first of two tensors of one shape that may be paired crosswise."""
    run = {"0_query": torch.arange(40.0), "0_key": torch.arange(40.0) + 1000}
    server = serve(*write_runs(tmp_path, run, run))
    page = open_page(f"{server.address}/#token={server.token}&row=0")
    expect(page.get_by_test_id("value-actual").first).to_have_text("0.0")
    page.server = server
    return page


def replace_comparison(page):
    """As another page of this tab would: the two actual tensors change places."""
    session = page.evaluate("sessionStorage.getItem('outgrow.session')")
    headers = {"Authorization": f"Bearer {page.server.token}", "X-Outgrow-Session": session}
    rules = [{"expected": one, "actual": other, "layout": None} for one, other in NAMES]
    with httpx.Client(base_url=page.server.address, headers=headers, timeout=30) as client:
        status = client.put("/api/mapping", json={"rules": rules}).json()
        while status["state"] != "ready":
            assert status["state"] in ("opening", "comparing"), status
            status = client.get(f"/api/comparison?after={status['revision']}").json()


NAMES = [("0_query", "0_key"), ("0_key", "0_query")]


def test_numbers_of_another_comparison_are_not_taken_for_those_that_are_shown(page, complaints):
    complaints.allow("409")
    replace_comparison(page)
    with page.expect_response("**/values") as answer:
        page.get_by_test_id("slice-dim-0").fill("10")
    assert answer.value.status == 409
    assert answer.value.json()["error"]["code"] == "gone"
    page.wait_for_timeout(200)
    assert not [text for text in page.get_by_test_id("value-actual").all_inner_texts() if float(text) >= 1000]
    expect(page.get_by_test_id("error-banner")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("value-actual").first).to_have_text("1010.0")


def test_a_report_of_another_comparison_is_not_made(page, complaints):
    complaints.allow("409")
    replace_comparison(page)
    page.get_by_test_id("export-html").click()
    expect(page.get_by_test_id("error-banner")).to_contain_text("The report was not made")
