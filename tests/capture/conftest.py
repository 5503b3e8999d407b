"""What several files about recordings are given."""

import pytest
import torch

from tests.capture.small_recordings import write


@pytest.fixture
def run(tmp_path):
    """A recording of four tensors of 40 bytes."""
    write(tmp_path / "run", [torch.full((10,), float(number)) for number in range(4)])
    return tmp_path / "run"
