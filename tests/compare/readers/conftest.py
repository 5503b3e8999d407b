"""What several files about readers are given."""

import pytest


@pytest.fixture
def empty_temporary(tmp_path_factory, monkeypatch):
    """A folder of temporary files that each test must leave empty."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
