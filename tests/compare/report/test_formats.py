"""Every format that a comparison can be written as."""

import pytest

from outgrow.compare.report import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_what_went_wrong(name, broken):
    text = FORMATS[name](broken)
    assert "2_value" in text
    assert text.endswith("\n")
    text.encode()
