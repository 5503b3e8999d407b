"""What several files about the page's server are given."""

import pytest

from tests.compare.web.serving import serving


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for the tests that leave it running."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server
