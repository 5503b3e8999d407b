"""A comparison as JUnit XML, which build servers show: a test case for each pair."""

__all__ = ["as_junit"]

import re
from xml.etree import ElementTree as ET

from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.report.words import explained, sentence

# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(comparison: Comparison) -> str:
    """The text of an XML file. Pairs that went wrong fail; what only inherited an error, could not be paired
    or was refused is skipped; too few pairs are an error."""
    suite = ET.Element("testsuite", name="outgrow compare")
    counts = {"failure": 0, "skipped": 0, "error": 0}

    def case(name: str, outcome: str | None = None, message: str = "") -> None:
        element = ET.SubElement(suite, "testcase", classname="outgrow.compare", name=_text(name))
        if outcome is not None:
            counts[outcome] += 1
            ET.SubElement(element, outcome, message=_text(message))

    if comparison.verdict == "insufficient":
        case("coverage", "error", sentence(comparison))
    for finding in comparison.findings:
        case(finding.pair.expected_name, *_outcome(finding))
    for side, records in (
        ("expected", comparison.pairing.unpaired_expected),
        ("actual", comparison.pairing.unpaired_actual),
    ):
        for record in records:
            case(record.name, "skipped", f"only in the {side} run")
    for refusal in comparison.refused:
        case(refusal.entry, "skipped", f"refused: {refusal.reason}")
    for key, outcome in (("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
        suite.set(key, str(counts[outcome]))
    suite.set("tests", str(len(suite)))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _outcome(finding: Finding) -> tuple[str, str] | tuple[()]:
    if finding.judged.status == "differs":
        return "failure", explained(finding)
    if finding.judged.status == "inherited":
        return "skipped", explained(finding)
    return ()


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
