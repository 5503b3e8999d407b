"""The report in a real browser, offline: it filters, sorts, and obeys no name from a file."""

import math

import pytest
import torch

from outgrow.compare import compare
from outgrow.compare.report import as_html
from outgrow.store import write_safetensors

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(tab, tmp_path):
    generator = torch.Generator().manual_seed(0)
    names = [f"{layer}_{stage}" for layer in range(4) for stage in ("query", "post_mlp")]
    expected = {name: torch.randn(6, 8, generator=generator) for name in names}
    actual = {name: value * (1.3 if name >= "2" else 1.0) for name, value in expected.items()}
    actual["3_query"] = actual["3_query"].clone()
    actual["3_query"][0, 0] = math.nan
    expected[HOSTILE] = torch.ones(3)
    for side, tensors in (("expected", expected), ("actual", actual)):
        write_safetensors(tmp_path / f"{side}.safetensors", tensors)
    paths = {side: tmp_path / f"{side}.safetensors" for side in ("expected", "actual")}
    with compare(**paths) as comparison:
        (tmp_path / "report.html").write_text(as_html(comparison))
    tab.goto((tmp_path / "report.html").as_uri())
    return tab


def shown(page):
    return page.locator("tbody tr:visible code:first-of-type").all_inner_texts()


def test_it_opens_with_the_verdict_and_every_pair(page):
    assert page.locator("h1").inner_text() == "They differ"
    assert len(shown(page)) == 8
    assert page.locator("svg.curve circle").count() == 8
    assert page.get_by_text(HOSTILE).count() == 1
    assert page.locator("img").count() == 0


def test_rows_are_found_by_text(page):
    page.get_by_label("Find").fill("1_q")
    assert shown(page) == ["1_query"]


def test_rows_are_filtered_by_status(page):
    page.get_by_label("ok (").uncheck()
    assert {name[0] for name in shown(page)} == {"2", "3"}
    page.get_by_label("ok (").check()
    assert len(shown(page)) == 8


def test_figures_are_sorted_worst_first_and_back(page):
    header = page.get_by_role("columnheader", name="relative error")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert shown(page)[0] == "3_query"
    header.get_by_role("button").click()
    assert shown(page)[-1] == "3_query"
    first = page.get_by_role("columnheader", name="#")
    first.get_by_role("button").click()
    assert shown(page)[0] == "0_query"


def test_the_keyboard_reaches_everything(page):
    page.get_by_label("Find").focus()
    for _ in range(5):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").count() == 1
