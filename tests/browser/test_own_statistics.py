"""Figures of a tensor that only one run has."""

import pytest
import torch
from playwright.sync_api import expect

from tests.browser.runs import write_runs

pytestmark = pytest.mark.browser


def test_a_tensor_without_partner_has_statistics_of_its_own(serve, open_page, tmp_path):
    alone = torch.tensor([[1.0, 2.0], [3.0, float("nan")]])
    same = {"0_query": torch.ones(4)}
    server = serve(*write_runs(tmp_path / "runs", same | {"1_alone": alone}, same))
    page = open_page(server.url)
    page.locator('[data-testid=tensor-row][data-name="1_alone"]').click()
    figures = page.get_by_test_id("statistics")
    figures.locator("summary").click()
    expect(figures.locator("thead th")).to_have_text(["expected"])
    rows = figures.locator("tbody tr")
    expect(rows).to_have_count(6)
    found = {row.locator("th").inner_text(): row.locator("td").inner_text() for row in rows.all()}
    assert (found["mean"], found["minimum"], found["maximum"], found["NaN"]) == ("2", "1", "3", "1")
    page.locator('[data-testid=tensor-row][data-name="0_query"]').click()
    expect(page.get_by_test_id("statistics").locator("caption")).to_have_text(["Each side", "Between them"])
