"""Build servers read the XML, whatever the names are."""

import xml.etree.ElementTree as ET

import torch

from outgrow.compare import compare
from outgrow.compare.report import as_junit


def test_counts_and_cases(broken):
    suite = ET.fromstring(as_junit(broken)).find("testsuite")
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == len(cases) == 17
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed[0] == "2_value"
    assert int(suite.get("failures")) == len(failed)
    skipped = [case for case in cases if case.find("skipped") is not None]
    assert int(suite.get("skipped")) == len(skipped)
    assert "another one" in {case.get("name") for case in skipped}


def test_what_xml_cannot_hold_is_replaced(dumps):
    tensors = {"a\x01b": torch.ones(2)}
    with compare(**dumps(tensors, tensors)) as comparison:
        suite = ET.fromstring(as_junit(comparison)).find("testsuite")
    assert "\x01" not in "".join(case.get("name") for case in suite.findall("testcase"))


def test_too_few_pairs_is_an_error(dumps):
    one = {f"a{index}": torch.ones(3) for index in range(4)}
    other = {f"zz{index}": torch.ones(7) for index in range(4)}
    with compare(**dumps(one, other)) as comparison:
        suite = ET.fromstring(as_junit(comparison)).find("testsuite")
    assert suite.get("errors") == "1"
