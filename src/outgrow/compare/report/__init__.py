"""A comparison as others read it: a sentence, JSON, one HTML file, JUnit."""

__all__ = [
    "FORMATS", "as_dict", "as_html", "as_json", "as_junit", "as_notebook", "as_text", "error_text",
    "hints_of", "points_of", "sentence", "spark",
]  # fmt: skip

from collections.abc import Callable, Mapping

from outgrow.compare.comparison import Comparison
from outgrow.compare.report.contents import as_dict, as_json
from outgrow.compare.report.curve import points_of, spark
from outgrow.compare.report.junit import as_junit
from outgrow.compare.report.page import as_html, as_notebook
from outgrow.compare.report.words import as_text, error_text, hints_of, sentence

FORMATS: Mapping[str, Callable[[Comparison], str]] = {
    "json": as_json,
    "html": as_html,
    "junit": as_junit,
}
"""What a comparison can be written as, by the name of the option that asks for it."""
