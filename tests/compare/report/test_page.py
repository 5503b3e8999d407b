"""The page is one whole file that loads nothing, and names from files are text in it."""

import re
from html.parser import HTMLParser

import torch

from outgrow.compare import compare
from outgrow.compare.report import as_html, as_notebook
from tests.compare.report.conftest import HOSTILE

VOID = {"meta", "input", "br"}


class Reader(HTMLParser):
    """Collects tags, rows and text; complains about what is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.scripts = [], [], [], 0
        self.statuses, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attributes]
        if tag == "tr" and dict(attributes).get("data-status"):
            self.statuses.append(dict(attributes)["data-status"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def test_the_page_is_whole(broken):
    reader = read(as_html(broken))
    text = "".join(reader.text)
    assert reader.tags.count("script") == 1
    assert "They differ" in text
    assert "2_value" in text
    assert reader.statuses == [finding.judged.status for finding in broken.findings]


def test_names_are_text(broken):
    for page in (as_html(broken), as_notebook(broken)):
        assert "<script>alert" not in page
    assert HOSTILE in "".join(read(as_html(broken)).text)


def test_control_characters_are_written_out():
    tensors = {"a\x1b[31m\udcff": torch.ones(2)}
    with compare(expected=tensors, actual=tensors) as comparison:
        page = as_html(comparison)
    assert "\x1b" not in page
    assert "a\\x1b[31m\\udcff" in page


def test_the_page_loads_nothing(broken):
    page = as_html(broken)
    assert not re.search(r"(src|href)\s*=|https?://(?!www\.w3\.org)|@import|url\(", page)
    assert "default-src 'none'" in page


def test_rows_have_a_cell_for_each_column(broken):
    for page in (as_html(broken), as_notebook(broken)):
        table = page[page.index("<table") : page.index("</table>")]
        columns = table.count("<th ")
        assert {row.count("<td") for row in table.split("<tr")[2:]} == {columns}


def test_a_notebook_shows_what_went_wrong(broken):
    page = as_notebook(broken)
    assert "<script" not in page
    assert "2_value" in page
    assert broken._repr_html_() == page
